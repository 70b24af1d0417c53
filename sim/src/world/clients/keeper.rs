//! A client that makes networks and volumes, looks at them and removes them.

use http::Method;
use serde_json::{Value, json};
use swarm_core::rng::Random;
use swarm_models::engine::Change;

use super::ClientHost;
use super::asker::{Ask, Asker};
use super::ledger::KEY_LABEL;
use crate::history::Nature;

/// What it makes.
struct Sort {
    word: &'static str,
    made: Change,
    removed: Change,
    /// Of two attempts at a network, one may make it; a volume is the same volume however often it is made.
    nature: Nature,
}

const NETWORK: Sort = Sort {
    word: "networks",
    made: Change::NetworkCreate,
    removed: Change::NetworkRemove,
    nature: Nature::Once,
};

const VOLUME: Sort = Sort {
    word: "volumes",
    made: Change::VolumeCreate,
    removed: Change::VolumeRemove,
    nature: Nature::Repeatable,
};

pub(super) async fn work(host: ClientHost) {
    let mut random = host.random.fork("keeper");
    let asker = Asker::new(host);
    loop {
        let sort = if random.chance(600) {
            &NETWORK
        } else {
            &VOLUME
        };
        life(&asker, sort, &mut random).await;
        asker.pause().await;
    }
}

/// One network's or volume's life, as far as its client knows of it.
async fn life(asker: &Asker, sort: &Sort, random: &mut Random) {
    let Some((key, name)) = make(asker, sort).await else {
        return;
    };
    asker.pause().await;
    let what = format!("{name} of request {key} among {}", sort.word);
    let path = format!("/v1.41/{}/{name}", sort.word);
    // Its engine may have left the cluster.
    asker
        .look(&what, path, |ledger| ledger.moves().may_be_out())
        .await;
    asker.pause().await;
    if random.chance(800) {
        let path = format!("/v1.41/{}/{name}", sort.word);
        let ask = Ask::new(Method::DELETE, path, Nature::Repeatable);
        asker.change(key, sort.removed, "", ask).await;
    }
}

/// The request that made one and its name, if it is certainly there.
async fn make(asker: &Asker, sort: &Sort) -> Option<(u64, String)> {
    let path = format!("/v1.41/{}/create", sort.word);
    let mut ask = Ask::new(Method::POST, path, sort.nature);
    let id = asker.begin(&ask);
    let name = format!("{}.{}-{id}", asker.host.name, asker.host.life);
    asker.ledger().changes(id, id, sort.made, "");
    let config: Value = json!({"Name": name, "Labels": {KEY_LABEL: id.to_string()}});
    ask.body = config.to_string().into();
    let made = asker.send(id, ask).await;
    made.is_done().then_some((id, name))
}
