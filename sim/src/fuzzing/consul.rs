//! What Consul, or whatever answers in its place, says.

use std::time::Duration;

use serde_json::Value;
use swarm::http::Client;
use swarm::http::client::ClientConfig;
use swarm::store::consul::ConsulConfig;
use swarm::store::{Consul, Cursor, Store, StoreError};
use swarm_core::address::HostPort;
use swarm_core::discovery::{KV_PATH_DEFAULT, KeyLayout};
use swarm_core::election::{Reading, Record, SwapOutcome, Version};

use super::memory;
use super::served::{Answer, answers, ask, play, record as own};

/// No answer is taken for more than it says: a swap counts as done only if the answer names the key and its version, as
/// not done only if the server says so; what is read as a record is one.
///
/// The first byte chooses the operation (`w`, `v`, `s`, `S`, `a`, `p`, `e`, `r`, `d`). Sections divided by lines of
/// `---` are the answers, the last one again and again: a line with the status and the index, then the body.
///
/// # Panics
/// When that is not so.
pub fn consul(bytes: &[u8]) {
    let (operation, rest) = bytes.split_first().unwrap_or((&b'w', &[]));
    let answers = answers(rest);
    let Ok(layout) = KeyLayout::new("p", KV_PATH_DEFAULT) else {
        return;
    };
    let first = answers.first().cloned().unwrap_or_default();
    memory::run(async |memory, dialled| {
        play(&memory, dialled, answers);
        let config = ConsulConfig {
            servers: vec![HostPort::localhost()],
            token: None,
            layout: layout.clone(),
            operation: Duration::from_millis(500),
        };
        let client = Client::new(memory.clone(), ClientConfig::default());
        let store = Consul::new(memory, client, config);
        operate(&store, *operation, &first, layout.lease()).await;
    });
}

async fn operate(store: &Consul, operation: u8, first: &Answer, key: &str) {
    let engine = HostPort::localhost();
    match operation {
        b'v' => reading(store.verify_lease().await, first),
        b's' => swap(&store.swap_lease(None, &own()).await, first, key),
        b'S' => swap(
            &store.swap_lease(Some(Version(5)), &own()).await,
            first,
            key,
        ),
        b'a' => {
            let announced = store.announce_primary(&engine).await;
            assert!(announced.is_err() || first.is_success());
        }
        b'p' | b'e' | b'r' | b'd' => ask(store, operation).await,
        _ => {
            let mut cursor = Cursor::default();
            reading(store.watch_lease(&mut cursor).await, first);
            let _ = store.watch_lease(&mut cursor).await;
        }
    }
}

fn reading(found: Result<Reading, StoreError>, answer: &Answer) {
    match found {
        Ok(Reading::Present { record, .. }) => {
            assert!(answer.is_success(), "{record:?} from {answer:?}");
            assert_eq!(Record::parse(&record.to_bytes()), Ok(record));
        }
        Ok(Reading::Absent) => {
            assert!(answer.is_success() || answer.status == 404, "{answer:?}");
        }
        Ok(Reading::Malformed { .. }) => assert!(answer.is_success(), "{answer:?}"),
        Err(error) => {
            let silent = matches!(error, StoreError::Unreachable { .. });
            assert!(!silent, "{answer:?}: {error}");
        }
    }
}

fn swap(outcome: &SwapOutcome, answer: &Answer, key: &str) {
    match outcome {
        SwapOutcome::Swapped(version) => {
            assert!(answer.is_success(), "{answer:?}");
            assert!(names(answer, key, version.0), "{version} from {answer:?}");
        }
        SwapOutcome::Conflict(_) => assert_eq!(answer.status, 409),
        SwapOutcome::NotApplied => {
            let said = matches!(answer.status, 400..=499 | 500 | 503);
            assert!(said, "{answer:?} does not say that nothing was done");
        }
        SwapOutcome::Unknown => {
            assert!(!(400..=499).contains(&answer.status), "{answer:?}");
        }
    }
}

/// Whether the answer says that `key` has `version` now.
fn names(answer: &Answer, key: &str, version: u64) -> bool {
    let read = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    let results = read.get("Results").and_then(Value::as_array);
    results.into_iter().flatten().any(|result| {
        let pair = result.get("KV");
        let of = |name: &str| pair.and_then(|pair| pair.get(name));
        of("Key").and_then(Value::as_str) == Some(key)
            && of("ModifyIndex").and_then(Value::as_u64) == Some(version)
    })
}
