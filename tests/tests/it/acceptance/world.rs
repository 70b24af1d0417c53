//! A whole cluster of processes, and the checks every story ends with.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use swarm_tests::engines::{self, Engine};
use swarm_tests::manager::Manager;
use swarm_tests::modelled::{self, ModelledEngine};
use swarm_tests::process::{Process, Streams};
use swarm_tests::store::Store;
use swarm_tests::{agent, cluster};

/// Generous: other tests share the machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Managers, engines and the store between them.
#[derive(Debug)]
pub(crate) struct World {
    // In the order they should go: managers and agents complain about a store or engine that is gone.
    pub(crate) managers: Vec<Manager>,
    pub(crate) agents: Vec<Process>,
    pub(crate) engines: Vec<Engine>,
    pub(crate) modelled: Vec<ModelledEngine>,
    pub(crate) store: Store,
    /// What managers that were ended or restarted had logged.
    past: Vec<String>,
}

impl World {
    /// A store and nothing else.
    pub(crate) async fn empty() -> Result<Self> {
        Ok(Self {
            managers: Vec::new(),
            agents: Vec::new(),
            engines: Vec::new(),
            modelled: Vec::new(),
            store: Store::start().await?,
            past: Vec::new(),
        })
    }

    /// Three managers with modelled engines, settled.
    pub(crate) async fn with_modelled_engines(count: usize) -> Result<Self> {
        let mut world = Self::empty().await?;
        world.modelled = modelled::start(&world.store, count).await?;
        world.start_managers(3, &[]).await?;
        world.settled().await?;
        Ok(world)
    }

    /// Three managers with real engines that joined, settled.
    pub(crate) async fn with_real_engines(count: usize) -> Result<Self> {
        let mut world = Self::empty().await?;
        world.engines = engines::start(count).await?;
        world.join_engines(&[]).await?;
        world.start_managers(3, &[]).await?;
        world.settled().await?;
        Ok(world)
    }

    /// Runs `swarm join` for every engine.
    pub(crate) async fn join_engines(&mut self, arguments: &[&str]) -> Result<()> {
        let real = self.engines.iter().map(Engine::address);
        let modelled = self.modelled.iter().map(ModelledEngine::address);
        for address in real.chain(modelled) {
            let agent = agent::join(address, &self.store.discovery(), arguments).await?;
            self.agents.push(agent);
        }
        Ok(())
    }

    /// Starts managers, each once the one before it listens.
    pub(crate) async fn start_managers(&mut self, count: usize, arguments: &[&str]) -> Result<()> {
        for _ in 0..count {
            let discovery = self.store.discovery();
            let manager = Manager::replicated(&discovery, arguments, Streams::Pipes).await?;
            manager.wait_listening(LIMIT).await?;
            self.managers.push(manager);
        }
        Ok(())
    }

    /// Waits until everybody agrees; returns the primary's place and its epoch.
    pub(crate) async fn settled(&self) -> Result<(usize, u64)> {
        let engines = self.engines.len() + self.modelled.len();
        cluster::settled(&self.managers, engines, LIMIT).await
    }

    pub(crate) fn manager(&self, index: usize) -> Result<&Manager> {
        self.managers.get(index).context("no such manager")
    }

    /// A manager that is not the primary.
    pub(crate) async fn replica(&self) -> Result<SocketAddr> {
        let (primary, _) = self.settled().await?;
        Ok(self.manager((primary + 1) % self.managers.len())?.address())
    }

    /// Kills a manager at once and takes it out of the cluster.
    pub(crate) fn kill(&mut self, index: usize) -> Result<()> {
        self.manager(index)?.process.signal(Signal::KILL)?;
        let gone = self.managers.remove(index);
        self.past.push(gone.process.text());
        Ok(())
    }

    /// Nothing went wrong unsaid: no panic and no error in any log.
    pub(crate) fn check_logs(&self) -> Result<()> {
        let managers = self.managers.iter().map(|manager| manager.process.text());
        let agents = self.agents.iter().map(Process::text);
        for log in managers.chain(agents).chain(self.past.iter().cloned()) {
            check_log(&log)?;
        }
        Ok(())
    }
}

/// No panic and no error in this log.
pub(crate) fn check_log(log: &str) -> Result<()> {
    let bad = log.lines().find(|line| {
        ["panicked", "level=error", "level=fatal", "ERRO[", "FATA["]
            .iter()
            .any(|mark| line.contains(mark))
    });
    if let Some(line) = bad {
        bail!("a log has this line: {line}\nall of it:\n{log}");
    }
    ensure!(!log.contains("RUST_BACKTRACE"), "a panic:\n{log}");
    Ok(())
}

/// A terminal's line without its colours.
pub(crate) fn plain(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, escape)) = rest.split_once('\u{1b}') {
        text.push_str(before);
        rest = escape.split_once('m').map_or("", |(_colour, after)| after);
    }
    text.push_str(rest);
    text.trim_end().to_owned()
}
