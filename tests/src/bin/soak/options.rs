//! What the command line asks for.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use swarm_core::duration::GoDuration;
use swarm_tests::servers::StoreKind;

pub(crate) struct Options {
    pub(crate) length: Duration,
    /// Between two faults.
    pub(crate) every: Duration,
    pub(crate) workers: usize,
    pub(crate) engines: usize,
    pub(crate) store: StoreKind,
    /// Servers of an ensemble.
    pub(crate) members: usize,
}

impl Options {
    /// Reads the command line, without the program's name.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            length: Duration::from_secs(30 * 60),
            every: Duration::from_secs(60),
            workers: 3,
            engines: 2,
            store: StoreKind::Consul,
            members: 1,
        };
        while let Some(flag) = arguments.next() {
            let value = arguments.next();
            let value = value.with_context(|| format!("{flag} needs a value"))?;
            let number = || {
                let number = value.parse::<u32>().ok().filter(|number| *number > 0);
                number.with_context(|| format!("{flag}: a number above 0, not {value:?}"))
            };
            match flag.as_str() {
                "--minutes" => options.length = Duration::from_secs(60) * number()?,
                "--every" => {
                    let every: GoDuration = value.parse().with_context(|| flag.clone())?;
                    options.every = every.to_duration().context("--every: not below zero")?;
                }
                "--workers" => options.workers = usize::try_from(number()?)?,
                "--engines" => options.engines = usize::try_from(number()?)?,
                "--store" => options.store = value.parse()?,
                "--members" => options.members = usize::try_from(number()?)?,
                _ => {
                    bail!("unknown flag {flag}: see the first lines of tests/src/bin/soak/main.rs")
                }
            }
        }
        Ok(options)
    }
}
