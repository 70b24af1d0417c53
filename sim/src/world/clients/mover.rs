//! A client whose containers are to run whatever happens to their engines: it makes a few, looks at them by name, and never
//! touches them again.

use http::Method;
use serde_json::json;
use swarm_models::engine::Change;

use super::ClientHost;
use super::asker::{Ask, Asker};
use crate::history::{Nature, Told};

/// Containers of one client.
const KEPT: usize = 4;
/// How often a start is tried.
const STARTS: u32 = 40;

pub(super) async fn work(host: ClientHost) {
    let asker = Asker::new(host);
    let mut kept = Vec::new();
    loop {
        if kept.len() < KEPT {
            kept.extend(make(&asker).await);
        }
        for name in &kept {
            // It is there under its name, wherever it is, unless its engine has left the cluster.
            let path = format!("/v1.41/containers/{name}/json");
            asker
                .look(&format!("container {name}"), path, |ledger| {
                    ledger.moves().may_be_out()
                })
                .await;
            asker.pause().await;
        }
        asker.pause().await;
    }
}

/// Makes and starts one; its name, if it is certainly there.
async fn make(asker: &Asker) -> Option<String> {
    let config =
        json!({"Image": "busybox", "Cmd": ["sleep", "inf"], "Env": ["reschedule:on-node-failure"]});
    let (client, life) = (asker.host.name.clone(), asker.host.life);
    let name_of = |id: u64| format!("{client}.{life}-{id}");
    let made = asker
        .create(config, |id| {
            asker.ledger().moves().expect(id);
            Some(name_of(id))
        })
        .await;
    if !made.is_done() {
        return None;
    }
    let name = name_of(made.id);
    for _ in 0..STARTS {
        let path = format!("/v1.41/containers/{name}/start");
        let ask = Ask::new(Method::POST, path, Nature::Settled);
        let started = asker.change(made.id, Change::Start, "", ask).await;
        // Refused is what runs already.
        if matches!(started.told, Told::Done | Told::Rejected) {
            asker.ledger().moves().runs(made.id);
            break;
        }
        asker.pause().await;
    }
    Some(name)
}
