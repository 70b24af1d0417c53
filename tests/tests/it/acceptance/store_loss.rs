//! The store goes away and comes back, and comes back empty.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use serde_json::json;
use swarm_tests::http::{self as client, Answer};
use swarm_tests::{modelled, wait};

use super::world::{LIMIT, World};

const OUTAGE: Duration = Duration::from_secs(10);
const ENGINES: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_changes_no_primary_and_stops_no_reads() -> Result<()> {
    let mut world = World::with_modelled_engines(ENGINES).await?;
    let before = world.settled().await?;
    let primary = world.manager(before.0)?.address();
    let replica = world.replica().await?;
    ensure!(create(replica).await?.status == StatusCode::CREATED);

    world.store.stop().await;
    let waiting = tokio::spawn(async move {
        // While the lease still runs the primary may even do it.
        tokio::time::sleep(OUTAGE / 3).await;
        create(replica).await
    });
    let end = Instant::now() + OUTAGE;
    while Instant::now() < end {
        for manager in [primary, replica] {
            let answer = client::get(manager, "/containers/json?all=1").await?;
            let answer = answer.success()?.json()?;
            let listed = answer.as_array().context("no list")?.len();
            ensure!(listed == 1, "{manager} lists {listed} containers");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.store.start_again().await?;
    let waited = waiting.await??;
    let clear = waited.status == StatusCode::SERVICE_UNAVAILABLE
        && waited.headers.contains_key("retry-after")
        && waited.text().contains("\"message\"");
    ensure!(
        waited.status == StatusCode::CREATED || clear,
        "{}: {}",
        waited.status,
        waited.text()
    );
    let after = world.settled().await?;
    ensure!(
        after == before,
        "primary and epoch {before:?} became {after:?}"
    );
    ensure!(create(replica).await?.success()?.status == StatusCode::CREATED);
    world.check_logs()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_failsafe_a_store_that_is_away_stops_no_changes() -> Result<()> {
    let mut world = World::empty().await?;
    world.modelled = modelled::start(&world.store, ENGINES).await?;
    world.start_managers(3, &["--failsafe"]).await?;
    let before = world.settled().await?;
    let primary = world.manager(before.0)?.address();
    let replica = world.replica().await?;
    failsafe(primary, "ready").await?;

    world.store.stop().await;
    let end = Instant::now() + OUTAGE;
    while Instant::now() < end {
        create(replica).await?.success()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    failsafe(primary, "active").await?;
    world.store.start_again().await?;
    failsafe(primary, "ready").await?;
    let after = world.settled().await?;
    ensure!(
        after == before,
        "primary and epoch {before:?} became {after:?}"
    );
    world.check_logs()
}

/// Waits until a manager of three says that it stands so by failsafe.
async fn failsafe(manager: SocketAddr, standing: &str) -> Result<()> {
    let what = format!("failsafe is {standing}");
    wait::until(&what, LIMIT, async || {
        let answer = client::get(manager, "/_swarm/status").await.ok()?;
        let status = answer.success().ok()?.json().ok()?;
        let members = status.get("members")?.as_array()?.len();
        (status.get("failsafe")? == standing && members == 3).then_some(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_store_is_filled_again_with_a_higher_epoch() -> Result<()> {
    let mut world = World::empty().await?;
    for n in 1..=ENGINES {
        let engine = modelled::ModelledEngine::start(&format!("node-{n}")).await?;
        world.modelled.push(engine);
    }
    world
        .join_engines(&["--heartbeat", "1s", "--ttl", "10s"])
        .await?;
    world.start_managers(3, &[]).await?;
    let (_, before) = world.settled().await?;
    let replica = world.replica().await?;

    world.store.wipe().await?;
    let after = wait::until("a new epoch", LIMIT, async || {
        let (_, epoch) = world.settled().await.ok()?;
        (epoch > before).then_some(epoch)
    })
    .await?;
    ensure!(after > before);
    let made = wait::until("a create works", LIMIT, async || {
        create(replica).await.ok()?.success().ok()
    });
    made.await?;
    let entries = wait::until("the agents have registered again", LIMIT, async || {
        let path = "/v1/kv/nodes/docker/swarm/nodes?keys";
        let answer = client::get(world.store.address(), path).await.ok()?;
        let keys = answer.success().ok()?.json().ok()?;
        (keys.as_array()?.len() == ENGINES).then_some(())
    });
    entries.await?;
    world.settled().await?;
    world.check_logs()
}

async fn create(manager: SocketAddr) -> Result<Answer> {
    let body = json!({"Image": "busybox", "Cmd": ["true"]});
    client::post_json(manager, "/containers/create", &body).await
}
