//! An engine fails, and the primary with it; an engine is drained.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use serde_json::{Value, json};
use swarm_models::engine::Phase;
use swarm_tests::http as client;
use swarm_tests::{cluster, manager, modelled, wait};

use super::world::{LIMIT, World};

const GRACE: &[&str] = &["--cluster-opt", "swarm.reschedule.grace=2s"];

async fn start() -> Result<World> {
    let mut world = World::empty().await?;
    world.modelled = modelled::start(&world.store, 3).await?;
    world.start_managers(3, GRACE).await?;
    world.settled().await?;
    Ok(world)
}

async fn create(at: SocketAddr, name: &str, env: &[&str]) -> Result<client::Answer> {
    let body = json!({"Image": "busybox", "Cmd": ["sleep", "inf"], "Env": env});
    let path = format!("/v1.41/containers/create?name={name}");
    client::post_json(at, &path, &body).await
}

async fn inspect(at: SocketAddr, name: &str) -> Result<Value> {
    let path = format!("/v1.41/containers/{name}/json");
    client::get(at, &path).await?.success()?.json()
}

/// Runs `swarm engine …` at a manager.
async fn swarm_engine(at: SocketAddr, arguments: &[&str]) -> Result<(bool, String)> {
    let mut command = manager::command().await?;
    command
        .args(["engine", "--host", &at.to_string()])
        .args(arguments);
    let output = tokio::process::Command::from(command).output().await?;
    let text = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_on_an_engine_that_dies_with_the_primary_runs_elsewhere() -> Result<()> {
    let mut world = start().await?;
    let replica = world.replica().await?;
    let env = ["reschedule:on-node-failure", "constraint:node==~node-1"];
    create(replica, "web", &env).await?.success()?;
    client::post(replica, "/v1.41/containers/web/start")
        .await?
        .success()?;
    let before = inspect(replica, "web").await?;
    ensure!(before["Node"]["Name"] == "node-1", "{before}");

    let (primary, _) = world.settled().await?;
    let first = world.modelled.first().context("no engine")?.engine.clone();
    first.set_faults(|faults| faults.stopped = true);
    world.kill(primary)?;
    let after = wait::until("it runs elsewhere", LIMIT, async || {
        let now = inspect(replica, "web").await.ok()?;
        let moved = now["Id"] != before["Id"] && now["State"]["Running"] == true;
        moved.then_some(now)
    })
    .await
    .with_context(|| cluster::logs(&world.managers))?;
    ensure!(after["Node"]["Name"] != "node-1", "{after}");

    // The engine is back, with the container still running on it.
    first.set_faults(|faults| faults.stopped = false);
    wait::until("the old one has given way", LIMIT, async || {
        let old = first.containers().into_iter().next()?;
        (old.phase == Phase::Exited && old.name.starts_with("web-moved-")).then_some(())
    })
    .await
    .with_context(|| cluster::logs(&world.managers))?;
    let still = inspect(replica, "web").await?;
    ensure!(
        still["Id"] == after["Id"] && still["State"]["Running"] == true,
        "{still}"
    );
    world.check_logs()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_engine_gets_nothing_new_also_from_the_next_primary() -> Result<()> {
    let mut world = start().await?;
    let replica = world.replica().await?;
    let here = ["constraint:node==node-2"];
    create(replica, "first", &here).await?.success()?;
    let (done, text) = swarm_engine(replica, &["drain", "node-2"]).await?;
    ensure!(
        done && text.contains("node-2 gets no new containers"),
        "{text}"
    );
    let (done, text) = swarm_engine(replica, &["drain", "node-7"]).await?;
    ensure!(
        !done && text.contains("known are: node-1, node-2, node-3"),
        "{text}"
    );

    let (primary, epoch) = world.settled().await?;
    world.kill(primary)?;
    let next = wait::until("another primary", LIMIT, async || {
        let status = cluster::status(replica).await.ok()?;
        (status.epoch > epoch).then_some(status)
    });
    next.await?;
    let refused = create(replica, "second", &here).await?;
    ensure!(
        refused.status == StatusCode::INTERNAL_SERVER_ERROR,
        "{}",
        refused.text()
    );
    ensure!(
        refused.text().contains("engine node-2 is drained"),
        "{}",
        refused.text()
    );
    ensure!(inspect(replica, "first").await?["Node"]["Name"] == "node-2");
    let status = cluster::status(replica).await?;
    let drained = status.engines.iter().filter(|engine| engine.drained);
    let drained: Vec<_> = drained.map(|engine| engine.name.as_str()).collect();
    ensure!(drained == ["node-2"], "{drained:?}");

    let (done, text) = swarm_engine(replica, &["activate", "node-2"]).await?;
    ensure!(done, "{text}");
    let made = wait::until("it is used again", LIMIT, async || {
        create(replica, "second", &here).await.ok()?.success().ok()
    });
    made.await?;
    world.check_logs()
}
