//! What operators rely on before and while managers run.

use std::fs;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use swarm_tests::certs::Certificates;
use swarm_tests::ensemble::{Ensemble, Kind};
use swarm_tests::manager::{self, Manager};
use swarm_tests::process::{Process, Streams};
use swarm_tests::scratch::Scratch;
use swarm_tests::{http as client, ports, wait};
use tokio::net::UnixDatagram;

use super::world::{LIMIT, World};

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
        let manager = world.manager(index).map(Manager::address);
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
async fn the_doctor_knows_a_store_that_asks_for_certificates() -> Result<()> {
    if !Kind::ZooKeeper.is_here()? {
        return Ok(());
    }
    let certs = Certificates::new().await?;
    let servers = Ensemble::start_with(Kind::ZooKeeper, 1, Some(certs.clone())).await?;
    let mut command = manager::command().await?;
    command.args(["doctor", "--replication", "--advertise", "127.0.0.1:1"]);
    for option in certs.store_options() {
        command.args(["--discovery-opt", &option]);
    }
    command.arg(servers.discovery());
    let found = tokio::task::spawn_blocking(move || command.output()).await??;
    let text = String::from_utf8_lossy(&found.stdout);
    ensure!(found.status.success(), "{text}");
    for part in [
        "answers, lets this manager write",
        "  ok       nobody writes there without credentials",
    ] {
        ensure!(text.contains(part), "{part}: {text}");
    }
    Ok(())
}

/// What each manager answers a load balancer at `path`.
async fn probed(world: &World, path: &str) -> Result<Vec<u16>> {
    let mut statuses = Vec::new();
    for manager in &world.managers {
        let answer = client::get(manager.address(), path).await?;
        statuses.push(answer.status.as_u16());
    }
    Ok(statuses)
}

#[tokio::test(flavor = "multi_thread")]
async fn load_balancers_are_told_where_to_send_clients() -> Result<()> {
    let mut world = World::with_modelled_engines(1).await?;
    let (primary, _) = world.settled().await?;
    let with = |usual: u16, primarys: u16| {
        let mut statuses = vec![usual; 3];
        if let Some(status) = statuses.get_mut(primary) {
            *status = primarys;
        }
        statuses
    };
    for (path, expected) in [
        ("/livez", with(200, 200)),
        ("/readyz", with(200, 200)),
        ("/primary", with(503, 200)),
        ("/replica", with(200, 503)),
    ] {
        let statuses = probed(&world, path).await?;
        ensure!(statuses == expected, "{path}: {statuses:?}");
    }
    // Nobody can follow this primary.
    world.store.stop().await;
    world.kill(primary)?;
    let noticed = wait::until("no manager is ready", LIMIT, async || {
        let statuses = probed(&world, "/readyz").await.ok()?;
        (statuses == [503, 503]).then_some(())
    });
    noticed.await?;
    ensure!(probed(&world, "/livez").await? == [200, 200]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_of_start_reload_and_stop() -> Result<()> {
    let folder = Scratch::new("notify")?;
    let path = folder.path().join("socket");
    let socket = UnixDatagram::bind(&path)?;
    let (address, certs) = (ports::claim()?.to_string(), Certificates::new().await?);
    let mut command = manager::command().await?;
    command
        .args(["manage", "--host", &address, "nodes://127.0.0.1:1"])
        .args(certs.manager_flags())
        .env("NOTIFY_SOCKET", &path);
    let process = Process::spawn("manager", command, Streams::Pipes)?;
    let told = async || {
        let mut message = [0; 256];
        let read = tokio::time::timeout(LIMIT, socket.recv(&mut message)).await??;
        let text = message.get(..read).unwrap_or_default();
        anyhow::Ok(String::from_utf8_lossy(text).trim_end().to_owned())
    };
    ensure!(told().await? == "READY=1");
    process.signal(Signal::HUP)?;
    let reloading = told().await?;
    ensure!(
        reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{reloading}"
    );
    ensure!(told().await? == "READY=1");
    process.signal(Signal::TERM)?;
    ensure!(told().await? == "STOPPING=1");
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
