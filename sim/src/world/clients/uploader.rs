//! A client that uploads archives, short enough to be sent again and longer, and looks whether they are there.

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use swarm_core::rng::Random;
use swarm_core::time::Wall;
use swarm_models::engine::Change;
use swarm_models::engine::tar::{self, Entry};

use super::ClientHost;
use super::asker::{Ask, Asker};
use crate::history::{Nature, Told};
use crate::property::Property;

/// Files for one container.
const FILES: u64 = 10;

pub(super) async fn work(host: ClientHost) {
    let mut random = host.random.fork("uploader");
    let asker = Asker::new(host);
    loop {
        if let Some((key, id)) = make(&asker).await {
            for _ in 0..FILES {
                asker.pause().await;
                upload(&asker, &mut random, key, &id).await;
            }
            let path = format!("/v1.41/containers/{id}?force=1");
            let ask = Ask::new(Method::DELETE, path, Nature::Repeatable);
            asker.change(key, Change::Remove, "", ask).await;
        }
        asker.pause().await;
    }
}

async fn make(asker: &Asker) -> Option<(u64, String)> {
    let config = json!({"Image": "busybox", "Cmd": ["sleep", "inf"]});
    let heard = asker.create(config, |_| None).await;
    if !heard.is_done() {
        return None;
    }
    let answer: Value = serde_json::from_slice(&heard.body).ok()?;
    let id = answer.get("Id")?.as_str()?.to_owned();
    Some((heard.id, id))
}

async fn upload(asker: &Asker, random: &mut Random, key: u64, id: &str) {
    let size = match random.below(8) {
        0 => random.between(1_100_000, 1_500_000),
        1 | 2 => random.between(100_000, 900_000),
        _ => random.between(1, 8_000),
    };
    let name = format!("up-{}", random.hex(6));
    let file = Entry {
        path: name.clone(),
        directory: false,
        mode: 0o644,
        modified: Wall(0),
        data: content(random.next_u64(), size),
    };
    let path = format!("/v1.41/containers/{id}/archive?path=/tmp");
    let mut ask = Ask::new(Method::PUT, path, Nature::Repeatable);
    ask.body = tar::write(std::slice::from_ref(&file));
    let heard = asker.change(key, Change::Put, &name, ask).await;
    if !heard.is_done() {
        return;
    }
    asker.pause().await;
    let path = format!("/v1.41/containers/{id}/archive?path=/tmp/{name}");
    let there = asker.ask(Ask::get(path)).await;
    let found = tar::read(&there.body);
    let same = || {
        let found = found.as_deref().unwrap_or_default().first();
        found.is_some_and(|found| found.data == file.data)
    };
    if there.told == Told::Rejected || there.is_done() && !same() {
        let what = format!(
            "upload {} of {size} bytes was acknowledged, and request {} does not find it so",
            heard.id, there.id
        );
        asker.ledger().fail(Property::OutcomeTruth, "upload", what);
    }
}

/// Bytes that differ from place to place and from file to file.
fn content(seed: u64, size: u64) -> Bytes {
    let words =
        (0..size.div_ceil(8)).map(|at| seed.wrapping_add(at).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    bytes.into()
}
