//! What etcd, or whatever answers in its place, says.

use std::time::Duration;

use serde_json::Value;
use swarm::http::Client;
use swarm::http::client::ClientConfig;
use swarm::store::etcd::EtcdConfig;
use swarm::store::{Cursor, Etcd, Store};
use swarm_core::address::HostPort;
use swarm_core::discovery::{KV_PATH_DEFAULT, KeyLayout, Secret, StoreUser};
use swarm_core::election::{SwapOutcome, Version};

use super::memory;
use super::served::{Answer, answers, ask, play, record};

/// No answer is taken for more than it says: a swap counts as done only if the answer says so and names the revision, as
/// not done only if the server refused it.
///
/// The first byte chooses the operation (`w`, `v`, `s`, `S`, `u`, `p`, `e`, `r`, `d`). Sections divided by lines of
/// `---` are the answers, the last one again and again: a line with the status, then the body.
///
/// # Panics
/// When that is not so.
pub fn etcd(bytes: &[u8]) {
    let (operation, rest) = bytes.split_first().unwrap_or((&b'w', &[]));
    let answers = answers(rest);
    let Ok(layout) = KeyLayout::new("p", KV_PATH_DEFAULT) else {
        return;
    };
    let first = answers.first().cloned().unwrap_or_default();
    memory::run(async |memory, dialled| {
        play(&memory, dialled, answers);
        let user = (*operation == b'u').then(|| StoreUser {
            name: "u".to_owned(),
            password: Secret::new("p"),
        });
        let config = EtcdConfig {
            servers: vec![HostPort::localhost()],
            user,
            layout: layout.clone(),
            operation: Duration::from_millis(500),
        };
        let client = Client::new(memory.clone(), ClientConfig::default());
        let store = Etcd::new(memory, client, config);
        operate(&store, *operation, &first).await;
    });
}

async fn operate(store: &Etcd, operation: u8, first: &Answer) {
    match operation {
        b'v' | b'u' => {
            let _ = store.verify_lease().await;
        }
        b's' => swap(&store.swap_lease(None, &record()).await, first),
        b'S' => swap(&store.swap_lease(Some(Version(5)), &record()).await, first),
        b'p' | b'e' | b'r' | b'd' => ask(store, operation).await,
        _ => {
            let mut cursor = Cursor::default();
            for _ in 0..3 {
                let _ = store.watch_lease(&mut cursor).await;
            }
        }
    }
}

fn swap(outcome: &SwapOutcome, answer: &Answer) {
    // What nobody asks for need not be text.
    let text = String::from_utf8_lossy(&answer.body);
    let said = serde_json::from_str::<Value>(&text).unwrap_or_default();
    let succeeded = said.get("succeeded").and_then(Value::as_bool);
    match outcome {
        SwapOutcome::Swapped(version) => {
            let revision = said.pointer("/header/revision").and_then(Value::as_str);
            let named = revision.and_then(|text| text.parse().ok());
            assert_eq!(Some(version.0), named, "{answer:?}");
            assert!(version.0 > 0, "{answer:?}");
            assert_eq!((answer.status, succeeded), (200, Some(true)), "{answer:?}");
        }
        SwapOutcome::Conflict(_) => {
            assert!(
                answer.status == 200 && succeeded != Some(true),
                "{answer:?}"
            );
        }
        SwapOutcome::NotApplied => {
            assert!((400..=499).contains(&answer.status), "{answer:?}");
        }
        SwapOutcome::Unknown => {
            let refused = matches!(answer.status, 400..=407 | 409..=499);
            assert!(!refused, "{answer:?}");
        }
    }
}
