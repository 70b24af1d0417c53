//! `GET /events` through a replica while the primary is killed.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Method;
use serde_json::{Value, json};
use swarm_tests::cluster;
use swarm_tests::http::{self as client, Lines};
use swarm_tests::modelled::ModelledEngine;

use super::world::{LIMIT, World};

const PAUSE: Duration = Duration::from_millis(5);
/// How many events pass before and after the primary is killed.
const SHARE: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_survives_the_primary_without_gap_or_duplicate() -> Result<()> {
    let mut world = World::with_modelled_engines(3).await?;
    let (primary, epoch) = world.settled().await?;
    let replica = world.replica().await?;
    let request = client::request(Method::GET, "/events")?;
    let mut events = Lines::new(client::open(replica, request).await?);

    // On the engines themselves, so that events go on while there is no primary.
    let stop = Arc::new(AtomicBool::new(false));
    let engines: Vec<_> = world.modelled.iter().map(ModelledEngine::address).collect();
    let creating = tokio::spawn(create_until(engines, Arc::clone(&stop)));
    let mut seen = Vec::new();
    read(&mut events, &mut seen, SHARE).await?;
    world.kill(primary)?;
    read(&mut events, &mut seen, 2 * SHARE).await?;
    let (_, after) = cluster::settled(&world.managers, 3, LIMIT).await?;
    ensure!(after > epoch, "no failover: epoch {after} after {epoch}");
    read(&mut events, &mut seen, 3 * SHARE).await?;
    stop.store(true, Ordering::Relaxed);
    let created = creating.await??;
    read(&mut events, &mut seen, created.values().map(Vec::len).sum()).await?;

    for (engine, expected) in &created {
        let told: Vec<_> = seen
            .iter()
            .filter(|id| expected.contains(id))
            .cloned()
            .collect();
        ensure!(
            &told == expected,
            "{engine}: {} events of {} creates, or in another order",
            told.len(),
            expected.len()
        );
    }
    world.check_logs()
}

/// Creates containers on one engine after the other; returns their ids by engine, in order.
async fn create_until(
    engines: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
) -> Result<BTreeMap<SocketAddr, Vec<String>>> {
    let mut created: BTreeMap<SocketAddr, Vec<String>> = BTreeMap::new();
    let body = json!({"Image": "busybox", "Cmd": ["true"]});
    for engine in engines.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let answer = client::post_json(*engine, "/containers/create", &body).await?;
        let answer = answer.success()?.json()?;
        let id = answer.get("Id").and_then(Value::as_str).context("no id")?;
        created.entry(*engine).or_default().push(id.to_owned());
        tokio::time::sleep(PAUSE).await;
    }
    Ok(created)
}

/// Reads on until `seen` holds the ids of `count` create events.
async fn read(events: &mut Lines, seen: &mut Vec<String>, count: usize) -> Result<()> {
    while seen.len() < count {
        let line = events.next(LIMIT).await;
        let line = line.with_context(|| format!("{} of {count} events", seen.len()))?;
        let line = line.with_context(|| format!("the stream ended after {} events", seen.len()))?;
        let event: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        if event.get("Action").and_then(Value::as_str) == Some("create") {
            let id = event.pointer("/Actor/ID").and_then(Value::as_str);
            seen.push(id.context("no id")?.to_owned());
        }
    }
    Ok(())
}
