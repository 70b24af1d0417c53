//! Real store servers from Debian: an etcd or ZooKeeper of one or three, whose members can be killed, stopped and
//! started again.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use swarm::http::Client;
use swarm::http::client::ClientConfig;
use swarm::platform::{SharedPlatform, TokioPlatform};
use swarm::store::{self, Store};
use swarm::tls::ClientTls;
use swarm_core::config::DiscoveryConfig;
use swarm_core::discovery::DiscoveryOptions;

use crate::certs::Certificates;
use crate::process::{Process, Streams};
use crate::scratch::Scratch;
use crate::{ports, real, wait};

mod etcd;
mod zookeeper;

/// Until started servers have elected a leader.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The store at `discovery`, for this process to use; no operation takes longer than `operation`.
///
/// # Errors
/// When it is no store, or an option cannot be used.
pub fn open(discovery: &str, options: &[&str], operation: Duration) -> Result<Arc<dyn Store>> {
    let platform: SharedPlatform = Arc::new(TokioPlatform::new()?);
    let options = DiscoveryOptions::parse(options.iter().copied())?;
    let config = DiscoveryConfig::of(discovery, options)?;
    let tls = ClientTls::optional(&platform, config.options.tls.as_ref())?;
    let client = Client::with_tls(platform.clone(), ClientConfig::default(), tls);
    store::open(&platform, &client, &config, operation).context("not a store")
}

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// etcd.
    Etcd,
    /// ZooKeeper.
    ZooKeeper,
}

impl Kind {
    /// Whether its servers can and shall run here. Prints the reason when not.
    ///
    /// # Errors
    /// When `SWARM_TEST_REAL=1` demands them and they are missing.
    pub fn is_here(self) -> Result<bool> {
        match self {
            Self::Etcd => real::program("etcd"),
            Self::ZooKeeper => match zookeeper::missing() {
                Some(file) => real::missing(file),
                None => real::program("java"),
            },
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ZooKeeper => "zk",
        }
    }

    fn command(
        self,
        members: &[Member],
        member: &Member,
        certs: Option<&Certificates>,
    ) -> Result<Command> {
        match self {
            Self::Etcd => Ok(etcd::command(members, member, certs)),
            Self::ZooKeeper => zookeeper::command(members, member, certs),
        }
    }

    /// Whether the server there leads; an error while it does not answer or knows no leader.
    async fn leads(self, client: SocketAddr) -> Result<bool> {
        match self {
            Self::Etcd => etcd::leads(client).await,
            Self::ZooKeeper => zookeeper::leads(client).await,
        }
    }
}

/// The servers. Dropping them stops them.
#[derive(Debug)]
pub struct Ensemble {
    kind: Kind,
    members: Vec<Member>,
    /// For servers that speak TLS.
    certs: Option<Arc<Certificates>>,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Member {
    /// From 1.
    number: usize,
    /// Where clients are served.
    client: SocketAddr,
    /// Where clients are served with TLS, if they are.
    secure: SocketAddr,
    /// Where the other servers reach it.
    peer: SocketAddr,
    /// Where servers of ZooKeeper elect their leader.
    election: SocketAddr,
    // Before `data`: a process still writes to its directory.
    process: Option<Process>,
    data: Scratch,
}

impl Ensemble {
    /// Starts `count` servers of one cluster, empty, and waits until they have a leader.
    ///
    /// # Errors
    /// When they do not elect one in time; the message holds their output.
    pub async fn start(kind: Kind, count: usize) -> Result<Self> {
        Self::start_with(kind, count, None).await
    }

    /// As [`Ensemble::start`]; with certificates, clients are led to where they are served with TLS. ZooKeeper asks
    /// them for certificates, etcd does not.
    ///
    /// # Errors
    /// When they do not elect one in time; the message holds their output.
    pub async fn start_with(
        kind: Kind,
        count: usize,
        certs: Option<Arc<Certificates>>,
    ) -> Result<Self> {
        let mut members = Vec::new();
        for number in 1..=count {
            members.push(Member {
                number,
                client: ports::claim()?,
                secure: ports::claim()?,
                peer: ports::claim()?,
                election: ports::claim()?,
                process: None,
                data: Scratch::new(kind.scheme())?,
            });
        }
        let mut ensemble = Self {
            kind,
            members,
            certs,
        };
        ensemble.start_all().await?;
        Ok(ensemble)
    }

    /// How many servers there are.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// What to hand to `swarm manage`, with the prefix of the multi-manager guide.
    pub fn discovery(&self) -> String {
        let clients = self.members.iter().map(|member| match &self.certs {
            None => member.client.to_string(),
            Some(_) => member.secure.to_string(),
        });
        let clients: Vec<String> = clients.collect();
        format!("{}://{}/nodes", self.kind.scheme(), clients.join(","))
    }

    /// Kills a server at once. What it holds stays.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn kill(&mut self, index: usize) -> Result<()> {
        self.member(index)?.process = None;
        Ok(())
    }

    /// Starts a server that was killed, on its ports and with what it holds; it may take a while to answer.
    ///
    /// # Errors
    /// When it runs, or cannot be started.
    pub fn start_again(&mut self, index: usize) -> Result<()> {
        let kind = self.kind;
        ensure!(
            self.member(index)?.process.is_none(),
            "the server runs already"
        );
        let member = self.members.get(index).context("no such server")?;
        let certs = self.certs.as_deref();
        let command = kind.command(&self.members, member, certs)?;
        let name = format!("{}-{}", kind.scheme(), member.number);
        let process = Process::spawn(&name, command, Streams::Pipes)?;
        self.member(index)?.process = Some(process);
        Ok(())
    }

    /// Stops a server as SIGSTOP does: it says nothing and keeps its connections.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn freeze(&mut self, index: usize) -> Result<()> {
        let member = self.member(index)?;
        let process = member.process.as_ref().context("it does not run")?;
        process.freeze().await
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn thaw(&mut self, index: usize) -> Result<()> {
        let member = self.member(index)?;
        let process = member.process.as_ref().context("it does not run")?;
        process.signal(Signal::CONT)
    }

    /// Which server leads.
    ///
    /// # Errors
    /// When none does for long.
    pub async fn leader(&self) -> Result<usize> {
        let found = wait::until("the store has a leader", START_LIMIT, async || {
            for (index, member) in self.members.iter().enumerate() {
                if let Ok(true) = self.kind.leads(member.client).await {
                    return Some(index);
                }
            }
            None
        });
        found.await.with_context(|| self.output())
    }

    /// Kills all servers. What they hold stays.
    pub fn kill_all(&mut self) {
        for member in &mut self.members {
            member.process = None;
        }
    }

    /// Starts all servers that do not run, and waits until there is a leader and all follow it.
    ///
    /// # Errors
    /// When they do not in time; the message holds their output.
    pub async fn start_all(&mut self) -> Result<()> {
        for index in 0..self.members.len() {
            if self.member(index)?.process.is_none() {
                self.start_again(index)?;
            }
        }
        let kind = self.kind;
        for member in &self.members {
            let follows = wait::until("a server of the store answers", START_LIMIT, async || {
                kind.leads(member.client).await.ok()
            });
            follows.await.with_context(|| self.output())?;
        }
        self.leader().await.map(|_| ())
    }

    /// Kills all servers, lets them forget everything and starts them.
    ///
    /// # Errors
    /// When they do not come back.
    pub async fn wipe(&mut self) -> Result<()> {
        self.kill_all();
        for member in &self.members {
            member.data.clear()?;
        }
        self.start_all().await
    }

    /// Runs a command of ZooKeeper's own command line at the first server, and returns what it prints.
    ///
    /// # Errors
    /// When it fails; the message holds what it printed.
    pub async fn zookeeper_cli(&self, arguments: &[&str]) -> Result<String> {
        let member = self.members.first().context("no server")?;
        zookeeper::cli(member.client, arguments).await
    }

    fn member(&mut self, index: usize) -> Result<&mut Member> {
        match self.members.get_mut(index) {
            Some(member) => Ok(member),
            None => bail!("no server {index}"),
        }
    }

    fn output(&self) -> String {
        let outputs = self.members.iter().map(|member| {
            let text = member
                .process
                .as_ref()
                .map_or_else(String::new, Process::text);
            format!("--- {} {}\n{text}\n", self.kind.scheme(), member.number)
        });
        outputs.collect()
    }
}
