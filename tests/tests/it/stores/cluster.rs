//! A whole cluster on each store that is an ensemble: it elects, serves and fails over.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::json;
use swarm_tests::ensemble::{Ensemble, Kind};
use swarm_tests::manager::Manager;
use swarm_tests::modelled::ModelledEngine;
use swarm_tests::process::Streams;
use swarm_tests::{agent, cluster, http as client, wait};

const LIMIT: Duration = Duration::from_secs(120);
const ENGINES: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_on_etcd_elects_serves_and_fails_over() -> Result<()> {
    if !Kind::Etcd.is_here()? {
        return Ok(());
    }
    elects_serves_and_fails_over(Ensemble::start(Kind::Etcd, 1).await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_on_zookeeper_elects_serves_and_fails_over() -> Result<()> {
    if !Kind::ZooKeeper.is_here()? {
        return Ok(());
    }
    elects_serves_and_fails_over(Ensemble::start(Kind::ZooKeeper, 1).await?).await
}

async fn elects_serves_and_fails_over(store: Ensemble) -> Result<()> {
    let mut engines = Vec::new();
    let mut agents = Vec::new();
    for number in 1..=ENGINES {
        let engine = ModelledEngine::start(&format!("node-{number}")).await?;
        agents.push(agent::join(engine.address(), &store.discovery(), &[]).await?);
        engines.push(engine);
    }
    let mut managers = Vec::new();
    for _ in 0..3 {
        let manager = Manager::replicated(&store.discovery(), &[], Streams::Pipes).await?;
        manager.wait_listening(LIMIT).await?;
        managers.push(manager);
    }
    let (primary, epoch) = cluster::settled(&managers, ENGINES, LIMIT).await?;
    let survivor = managers.get((primary + 1) % 3).context("a replica")?;
    let survivor = survivor.address();
    let create = json!({"Image": "busybox", "Cmd": ["true"]});
    let created = client::post_json(survivor, "/containers/create", &create).await?;
    created.success()?;

    let killed = managers.remove(primary);
    killed.process.signal_group(Signal::KILL)?;
    let next = wait::until("another primary", LIMIT, async || {
        let now = cluster::status(survivor).await.ok()?;
        (now.epoch > epoch && now.primary.is_some()).then_some(now.epoch)
    });
    let next = next.await.with_context(|| cluster::logs(&managers))?;
    let created = client::post_json(survivor, "/containers/create", &create).await?;
    created.success()?;

    managers.insert(primary, killed.restart().await?);
    let (_, last) = cluster::settled(&managers, ENGINES, LIMIT).await?;
    ensure!(
        last == next,
        "a manager that came back changed epoch {next} to {last}: {}",
        cluster::logs(&managers)
    );
    let back = managers.get(primary).context("a manager")?.address();
    let listed = client::get(back, "/containers/json?all=1").await?;
    let listed = listed.success()?.json()?;
    ensure!(listed.as_array().map(Vec::len) == Some(2), "{listed}");

    // An agent takes its engine away when it ends.
    let agent = agents.pop().context("an agent")?;
    agent.signal(Signal::TERM)?;
    let status = agent.wait_exit(LIMIT).await?;
    ensure!(status.success(), "{status}: {}", agent.text());
    let first = managers.first().context("a manager")?.address();
    let left = wait::until("one engine is left", LIMIT, async || {
        let engines = cluster::status(first).await.ok()?.engines;
        (engines.len() == ENGINES - 1).then_some(())
    });
    left.await
}
