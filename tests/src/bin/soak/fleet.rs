//! The cluster, and what is done to it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;
use swarm_tests::cluster::{self, status};
use swarm_tests::engines::{self, Engine};
use swarm_tests::fault::Fault;
use swarm_tests::manager::{self, Manager};
use swarm_tests::process::{Process, Streams};
use swarm_tests::scratch::Scratch;
use swarm_tests::servers::Servers;
use swarm_tests::{agent, wait};

use crate::options::Options;

const MANAGERS: usize = 3;
/// The manager that is never ended.
const VETERAN: usize = 0;
const LIMIT: Duration = Duration::from_secs(120);
/// A frozen primary stays so after another one serves.
const FROZEN: Duration = Duration::from_secs(2);

pub(crate) struct Fleet {
    managers: Vec<Manager>,
    _agents: Vec<Process>,
    pub(crate) engines: Vec<Engine>,
    store: Servers,
    /// Where containers write that they ran.
    pub(crate) ledger: Scratch,
}

impl Fleet {
    pub(crate) async fn start(options: &Options) -> Result<Self> {
        let binary = manager::optimised_binary().await?;
        let store = Servers::start(options.store, options.members, None).await?;
        println!("{}, {}", binary.display(), store.discovery());
        let engines = engines::start(options.engines).await?;
        let (mut agents, mut managers) = (Vec::new(), Vec::new());
        for engine in &engines {
            agents.push(agent::join(engine.address(), &store.discovery(), &[]).await?);
        }
        for _ in 0..MANAGERS {
            let manager = Manager::replicated(&store.discovery(), &[], Streams::Pipes).await?;
            manager.wait_listening(LIMIT).await?;
            managers.push(manager);
        }
        let fleet = Self {
            managers,
            _agents: agents,
            engines,
            store,
            ledger: Scratch::new("ledger")?,
        };
        fleet.settle().await?;
        Ok(fleet)
    }

    /// Waits until all managers agree; returns the primary's place and epoch.
    pub(crate) async fn settle(&self) -> Result<(usize, u64)> {
        cluster::settled(&self.managers, self.engines.len(), LIMIT).await
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.managers.iter().map(Manager::address).collect()
    }

    pub(crate) fn veteran(&self) -> Result<&Process> {
        Ok(&self.manager(VETERAN)?.process)
    }

    /// Does `fault` to the primary, but lets the veteran only step down; makes the cluster whole again. What happened,
    /// in a line.
    pub(crate) async fn strike(&mut self, fault: Fault) -> Result<String> {
        let (victim, epoch) = self.settle().await?;
        let fault = match victim {
            VETERAN => Fault::StepDown,
            _ => fault,
        };
        let observer = self.manager((victim + 1) % MANAGERS)?.address();
        let struck = self.managers.get(victim).context("no such manager")?;
        let at = fault.strike(struck, &mut self.store).await?;
        let next = wait::until("another primary", LIMIT, async || {
            let now = status(observer).await.ok()?;
            now.primary.filter(|_| now.epoch > epoch)
        });
        let next = next.await.with_context(|| cluster::logs(&self.managers))?;
        let after = at.elapsed();
        self.heal(victim, fault).await?;
        let (_, epoch) = self.settle().await?;
        Ok(format!(
            "{fault:13} manager {victim}: {next} is known after {} ms, epoch {epoch}",
            after.as_millis()
        ))
    }

    async fn heal(&mut self, victim: usize, fault: Fault) -> Result<()> {
        match fault {
            Fault::StepDown | Fault::StoreKill | Fault::StoreStop => return Ok(()),
            Fault::StopGroup => {
                tokio::time::sleep(FROZEN).await;
                return self.manager(victim)?.process.signal_group(Signal::CONT);
            }
            Fault::Term => {
                let ended = self.manager(victim)?.process.wait_exit(LIMIT).await?;
                anyhow::ensure!(
                    ended.success(),
                    "after SIGTERM a manager ended with {ended}"
                );
            }
            Fault::Kill | Fault::KillGroup => {}
        }
        let manager = self.managers.remove(victim).restart().await?;
        manager.wait_listening(LIMIT).await?;
        self.managers.insert(victim, manager);
        Ok(())
    }

    fn manager(&self, index: usize) -> Result<&Manager> {
        self.managers.get(index).context("no such manager")
    }
}
