//! What is measured, and what it may cost.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use swarm_core::duration::GoDuration;
use swarm_tests::ensemble::Kind;

/// What happens to the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// SIGTERM: a clean stop.
    Term,
    /// SIGKILL of the manager: its guard survives.
    Kill,
    /// SIGKILL of the manager's process group, its guard included, as when a container is killed.
    KillGroup,
    /// SIGSTOP of the process group; afterwards it goes on for a moment, and is killed.
    StopGroup,
    /// `POST /_swarm/step-down`.
    StepDown,
}

impl Fault {
    pub(crate) const ALL: [Self; 5] = [
        Self::Term,
        Self::Kill,
        Self::StepDown,
        Self::KillGroup,
        Self::StopGroup,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Kill => "SIGKILL",
            Self::KillGroup => "SIGKILL-group",
            Self::StopGroup => "SIGSTOP-group",
            Self::StepDown => "step-down",
        }
    }

    /// What the median gap of a reader may be.
    pub(crate) fn budget(self, lease: Duration) -> Duration {
        match self {
            Self::Term | Self::Kill | Self::StepDown => Duration::from_millis(100),
            Self::KillGroup | Self::StopGroup => patience(lease) + Duration::from_millis(300),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How long a replica waits for a silent primary: W of the design, with clocks that differ by 2 %.
fn patience(lease: Duration) -> Duration {
    lease.mul_f64(1.02 / 0.98) + Duration::from_millis(20)
}

/// What elects the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// The double, or a real one where `SWARM_TEST_CONSUL` names it.
    Consul,
    Ensemble(Kind),
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) lease: Duration,
    pub(crate) lease_text: String,
    pub(crate) faults: Vec<Fault>,
    pub(crate) json: bool,
    pub(crate) store: StoreKind,
    /// Servers of an ensemble.
    pub(crate) members: usize,
    /// Managers log all they can; rounds over their budget are told line by line.
    pub(crate) logs: bool,
}

impl Options {
    /// Reads the command line, without the program's name.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            rounds: 20,
            lease: Duration::from_secs(2),
            lease_text: "2s".to_owned(),
            faults: Vec::new(),
            json: false,
            logs: false,
            store: StoreKind::Consul,
            members: 1,
        };
        while let Some(flag) = arguments.next() {
            let mut value = || {
                let value = arguments.next();
                value.with_context(|| format!("{flag} needs a value"))
            };
            match flag.as_str() {
                "--rounds" => options.rounds = value()?.parse().context("--rounds: a number")?,
                "--lease" => {
                    options.lease_text = value()?;
                    let lease: GoDuration = options.lease_text.parse()?;
                    options.lease = lease.to_duration().context("--lease: not below zero")?;
                }
                "--fault" => options.faults.push(fault(&value()?)?),
                "--store" => options.store = store(&value()?)?,
                "--members" => options.members = value()?.parse().context("--members: 1 or 3")?,
                "--json" => options.json = true,
                "--logs" => options.logs = true,
                _ => bail!(
                    "unknown flag {flag}: see the first lines of tests/src/bin/failover/main.rs"
                ),
            }
        }
        if options.faults.is_empty() {
            options.faults = Fault::ALL.to_vec();
        }
        if options.members > 1 && options.store == StoreKind::Consul {
            bail!("--members: only of etcd and zk");
        }
        if options.rounds == 0 {
            bail!("--rounds: at least 1");
        }
        Ok(options)
    }
}

fn store(name: &str) -> Result<StoreKind> {
    match name {
        "consul" => Ok(StoreKind::Consul),
        "etcd" => Ok(StoreKind::Ensemble(Kind::Etcd)),
        "zk" => Ok(StoreKind::Ensemble(Kind::ZooKeeper)),
        _ => bail!("unknown store {name}: one of consul, etcd, zk"),
    }
}

fn fault(name: &str) -> Result<Fault> {
    let known = Fault::ALL
        .into_iter()
        .find(|fault| fault.name().eq_ignore_ascii_case(name));
    known.with_context(|| {
        let names = Fault::ALL.map(Fault::name).join(", ");
        format!("unknown fault {name}: one of {names}")
    })
}
