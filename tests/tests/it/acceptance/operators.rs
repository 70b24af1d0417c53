//! What operators rely on before and while managers run.

use std::fs;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use swarm_tests::manager;

use super::world::World;

/// What `swarm doctor` says with the options of a manager that advertises `address`.
async fn doctor(world: &World, address: &str) -> Result<Output> {
    let mut command = manager::command().await?;
    command
        .args(["doctor", "--replication", "--advertise", address])
        .arg(world.store.discovery());
    let output = tokio::task::spawn_blocking(move || command.output());
    Ok(output.await??)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tells_what_is_well_and_what_is_not() -> Result<()> {
    let mut world = World::with_modelled_engines(2).await?;
    let (primary, epoch) = world.settled().await?;
    let manager = |index: usize| {
        let manager = world.manager(index).map(|manager| manager.address());
        manager.map(|address| address.to_string())
    };
    let (first, other) = (manager(primary)?, manager((primary + 1) % 3)?);
    let found = doctor(&world, &other).await?;
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    ensure!(found.status.success(), "{text}");
    for part in [
        format!("  ok       {first} holds the lease, epoch {epoch}"),
        format!(
            "{first} runs swarm {} as primary",
            env!("CARGO_PKG_VERSION")
        ),
        format!(
            "{other} runs swarm {} as replica",
            env!("CARGO_PKG_VERSION")
        ),
        "  ok       all 2 answer and can be used".to_owned(),
        "  warning  anybody who reaches the store may write there".to_owned(),
    ] {
        ensure!(text.contains(&part), "{part}: {text}");
    }
    let after = world.settled().await?;
    ensure!(
        after == (primary, epoch),
        "looking changed something: {after:?}"
    );

    world.store.stop().await;
    let found = doctor(&world, &other).await?;
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    ensure!(found.status.code() == Some(1), "{text}");
    let part = format!("  FAILURE  the store at {}", world.store.address());
    ensure!(text.contains(&part), "{part}: {text}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_no_memory_of_credentials() -> Result<()> {
    let world = World::with_modelled_engines(1).await?;
    let manager = world.managers.first().context("no manager")?;
    let limits = fs::read_to_string(format!("/proc/{}/limits", manager.process.id()))?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let soft = line.and_then(|line| line.split_whitespace().nth(4));
    ensure!(soft == Some("0"), "{line:?}");
    Ok(())
}
