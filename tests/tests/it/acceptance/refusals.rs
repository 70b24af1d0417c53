//! Managers that must not start beside others, and one that others cannot reach.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use swarm_tests::manager::{self, Manager};
use swarm_tests::ports;
use swarm_tests::process::{Process, Streams};
use swarm_tests::store::Store;

use super::world::{LIMIT, World, check_log};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_manager_with_the_same_advertise_refuses_to_start() -> Result<()> {
    let mut world = World::empty().await?;
    world.start_managers(1, &[]).await?;
    let (_, before) = world.settled().await?;
    let taken = world.manager(0)?.address().to_string();
    let own = ports::claim()?.to_string();
    let arguments = ["manage", "-H", &own, "--replication", "--advertise", &taken];
    let log = refused(&world.store, &arguments).await?;
    ensure!(log.contains(&taken) && log.contains("--advertise"), "{log}");
    ensure!(
        world.settled().await?.1 == before,
        "the first one lost its lease"
    );
    world.check_logs()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manager_refuses_to_start_beside_a_classic_one() -> Result<()> {
    let store = Store::start().await?;
    let session = store.put("/v1/session/create", r#"{"TTL": "60s"}"#).await?;
    let session: Value = serde_json::from_str(&session)?;
    let session = session
        .get("ID")
        .and_then(Value::as_str)
        .context("no session")?;
    let key = format!("/v1/kv/nodes/docker/swarm/leader?acquire={session}");
    ensure!(store.put(&key, "192.0.2.7:4000").await? == "true");

    let own = ports::claim()?.to_string();
    let arguments = ["manage", "-H", &own, "--replication", "--advertise", &own];
    let log = refused(&store, &arguments).await?;
    ensure!(
        log.contains("classic") && log.contains("192.0.2.7:4000"),
        "{log}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_others_cannot_reach_is_reported() -> Result<()> {
    let store = Store::start().await?;
    let (own, nowhere) = (ports::claim()?.to_string(), ports::claim()?.to_string());
    let mut command = manager::command().await?;
    command.args([
        "manage",
        "-H",
        &own,
        "--replication",
        "--advertise",
        &nowhere,
    ]);
    command.arg(store.discovery());
    let primary = Process::spawn("primary", command, Streams::Pipes)?;
    primary
        .wait_line("Cluster leadership acquired", LIMIT)
        .await?;
    let replica = Manager::replicated(&store.discovery(), &[], Streams::Pipes).await?;
    let told = replica
        .process
        .wait_line("Cannot reach the primary", LIMIT)
        .await?;
    ensure!(
        told.text.contains(&nowhere) && told.text.contains("level=warn"),
        "{}",
        told.text
    );
    let own_words = primary.wait_line("does not reach itself", LIMIT).await?;
    ensure!(own_words.text.contains(&nowhere), "{}", own_words.text);
    check_log(&primary.text())?;
    check_log(&replica.process.text())
}

/// Runs `swarm ARGUMENTS… DISCOVERY`, which must end with exit code 1, and returns what it said.
async fn refused(store: &Store, arguments: &[&str]) -> Result<String> {
    let mut command = manager::command().await?;
    command.args(arguments).arg(store.discovery());
    let process = Process::spawn("refused manager", command, Streams::Pipes)?;
    let status = process.wait_exit(LIMIT).await?;
    ensure!(status.code() == Some(1), "{status}: {}", process.text());
    Ok(process.text())
}
