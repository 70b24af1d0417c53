//! What is measured, and what it may cost.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use swarm_core::duration::GoDuration;
use swarm_tests::fault::Fault;
use swarm_tests::servers::StoreKind;
use swarm_tests::store::real_binary;

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
    /// Everybody speaks TLS and shows a certificate.
    pub(crate) tls: bool,
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
            tls: false,
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
                "--fault" => options.faults.push(value()?.parse()?),
                "--store" => options.store = value()?.parse()?,
                "--members" => options.members = value()?.parse().context("--members: 1 or 3")?,
                "--tls" => options.tls = true,
                "--json" => options.json = true,
                "--logs" => options.logs = true,
                _ => bail!(
                    "unknown flag {flag}: see the first lines of tests/src/bin/failover/main.rs"
                ),
            }
        }
        if options.faults.is_empty() {
            options.faults = Fault::ALL.to_vec();
            if options.store == StoreKind::Consul && real_binary().is_none() {
                // The double is no process that could be stopped.
                options.faults.retain(|fault| *fault != Fault::StoreStop);
            }
        }
        if options.rounds == 0 {
            bail!("--rounds: at least 1");
        }
        Ok(options)
    }
}
