//! What is measured, and on how large a cluster.

use std::time::Duration;

use anyhow::{Context, Result, bail};

pub(crate) const HELP: &str = "\
Measures a manager of many engines, as its clients see it.

Usage: swarm-bench [OPTIONS]            starts engines and managers, measures, prints a table
       swarm-bench engines [OPTIONS]    serves the engines alone, until it is killed

      --engines N      engines (default 1000)
      --containers M   running containers on each of them (default 30)
      --seconds S      how long each rate is measured (default 5)
      --only PART      ready, reads, creates, events or failover; may be given several times (default all)
      --debug          managers log all they can, and the log is printed at the end
  -h, --help           this text

SWARM_TEST_BINARY names the swarm binary to measure; without it an optimised one is built.
";

/// The cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) engines: u32,
    /// On each engine.
    pub(crate) containers: u32,
}

impl Size {
    pub(crate) fn all_containers(self) -> usize {
        let all = u64::from(self.engines) * u64::from(self.containers);
        usize::try_from(all).unwrap_or(usize::MAX)
    }
}

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Ready,
    Reads,
    Creates,
    Events,
    Failover,
}

impl Part {
    const ALL: [(&'static str, Self); 5] = [
        ("ready", Self::Ready),
        ("reads", Self::Reads),
        ("creates", Self::Creates),
        ("events", Self::Events),
        ("failover", Self::Failover),
    ];
}

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) size: Size,
    pub(crate) rate_for: Duration,
    only: Vec<Part>,
    pub(crate) debug: bool,
}

pub(crate) enum Mode {
    Help,
    Engines(Size),
    Measure(Options),
}

impl Options {
    /// Reads the command line, without the program's name.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Mode> {
        let mut arguments = arguments.peekable();
        let serves = arguments.next_if(|first| first == "engines").is_some();
        let mut options = Self {
            size: Size {
                engines: 1000,
                containers: 30,
            },
            rate_for: Duration::from_secs(5),
            only: Vec::new(),
            debug: false,
        };
        while let Some(flag) = arguments.next() {
            let mut number = || -> Result<u32> {
                let value = arguments.next();
                let value = value.with_context(|| format!("{flag} needs a value"))?;
                let number = value.parse().ok().filter(|number| *number > 0);
                number.with_context(|| format!("{flag}: {value:?} is not a number above 0"))
            };
            match flag.as_str() {
                "-h" | "--help" => return Ok(Mode::Help),
                "--engines" => options.size.engines = number()?,
                "--containers" => options.size.containers = number()?,
                "--seconds" => options.rate_for = Duration::from_secs(number()?.into()),
                "--only" => options
                    .only
                    .push(part(&arguments.next().unwrap_or_default())?),
                "--debug" => options.debug = true,
                _ => bail!("unknown option {flag}: see swarm-bench --help"),
            }
        }
        if options.size.engines > crate::fleet::ENGINES_MAX {
            bail!(
                "--engines: {} at most, each needs a loopback address",
                crate::fleet::ENGINES_MAX
            );
        }
        Ok(match serves {
            true => Mode::Engines(options.size),
            false => Mode::Measure(options),
        })
    }

    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

fn part(name: &str) -> Result<Part> {
    let known = Part::ALL.into_iter().find(|(known, _)| *known == name);
    known.map(|(_, part)| part).with_context(|| {
        let names = Part::ALL.map(|(name, _)| name).join(", ");
        format!("--only: unknown part {name:?}: one of {names}")
    })
}
