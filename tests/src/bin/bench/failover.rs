//! A failover of two managers with warm views.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use swarm_tests::manager::Manager;
use swarm_tests::process::Streams;
use swarm_tests::store::Store;
use swarm_tests::{cluster, modelled};

use crate::client::{Client, occurrences};
use crate::engines::Engines;
use crate::figures::Spread;
use crate::options::Options;
use crate::phases::{arguments, count_containers};
use crate::report::{self, Report};

const LIMIT: Duration = Duration::from_secs(1200);
const ROUNDS: usize = 5;

/// Kills primaries, and measures how long it takes until the survivor lists all containers.
pub(crate) async fn measure(
    options: &Options,
    engines: &Engines,
    report: &mut Report,
) -> Result<()> {
    let store = Store::start_double().await?;
    for address in engines.addresses() {
        modelled::register(&store, &address.to_string()).await?;
    }
    let (count, discovery) = (usize::try_from(options.size.engines)?, store.discovery());
    let mut managers = Vec::new();
    for _ in 0..2 {
        let arguments = arguments(options);
        let manager = Manager::replicated(&discovery, &arguments, Streams::Pipes).await?;
        manager.wait_listening(LIMIT).await?;
        managers.push(manager);
    }
    let (mut until_whole, mut whole) = (Vec::new(), 0);
    for round in 1..=ROUNDS {
        let (primary, _) = cluster::settled(&managers, count, LIMIT).await?;
        let survivor = managers.get(1 - primary).context("survivor")?.address();
        whole = count_containers(survivor)?;
        let victim = managers.remove(primary);
        let killed = Instant::now();
        victim.process.signal(Signal::KILL)?;
        let listed = tokio::task::spawn_blocking(move || list(survivor)).await??;
        until_whole.push(killed.elapsed());
        ensure!(
            listed == whole,
            "round {round}: {listed} containers listed instead of {whole}"
        );
        if round < ROUNDS {
            let again = victim.restart().await?;
            again.wait_listening(LIMIT).await?;
            managers.push(again);
        }
    }
    let spread = Spread::of(until_whole);
    report.add(report::FAILOVER, format!("{spread}, {whole} containers"));
    Ok(())
}

/// `ps -a` once: the survivor holds the request until somebody is primary.
fn list(survivor: SocketAddr) -> Result<usize> {
    let mut client = Client::open(survivor)?;
    let list = client.expect("GET", "/v1.41/containers/json?all=1", "")?;
    Ok(occurrences(list, r#""ImageID":"#))
}
