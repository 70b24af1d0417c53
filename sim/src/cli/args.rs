//! What the command line takes.

use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use swarm_core::duration::GoDuration;
use swarm_core::testbed::Mutant;

use super::Library;
use crate::plan::{Plan, Profile, Tier};

/// A range of seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seeds(pub(super) Range<u64>);

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            text.parse::<u64>().map_err(|_| {
                format!("{text:?} is not a seed: give a number, or a range like 0..1000")
            })
        };
        let range = match text.split_once("..") {
            Some((first, end)) => number(first)?..number(end)?,
            None => number(text).map(|seed| seed..seed.saturating_add(1))?,
        };
        if range.is_empty() {
            return Err(format!("{text:?} has no seeds: the end is not included"));
        }
        Ok(Self(range))
    }
}

pub(super) fn length(text: &str) -> Result<Duration, String> {
    let length: GoDuration = text.parse().map_err(|error| format!("{error}"))?;
    length
        .to_duration()
        .ok_or_else(|| format!("{text:?} is negative"))
}

pub(super) fn profile(text: &str) -> Result<Profile, String> {
    Profile::ALL
        .into_iter()
        .find(|profile| profile.name() == text)
        .ok_or_else(|| format!("{text:?} is no profile: pr, nightly or soak"))
}

pub(super) fn mutant(text: &str) -> Result<Mutant, String> {
    Mutant::ALL
        .into_iter()
        .find(|mutant| mutant.name() == text)
        .ok_or_else(|| format!("there is no mutant {text:?}: `swarm-sim list` names them"))
}

/// What is to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A drawn plan.
    Seed(Tier, u64, Profile),
    /// A plan in a file.
    File(PathBuf),
    /// A declared scenario.
    Scenario(String),
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let tier = [Tier::Lab, Tier::World].into_iter().find_map(|tier| {
            let rest = text.strip_prefix(tier.name())?.strip_prefix(':')?;
            Some((tier, rest))
        });
        if let Some((tier, rest)) = tier {
            let (seed, drawn) = match rest.split_once('@') {
                Some((seed, name)) => (seed, profile(name)?),
                None => (rest, Profile::Pr),
            };
            let seed = seed
                .parse()
                .map_err(|_| format!("{seed:?} is not a seed: give a number, as in lab:7"))?;
            return Ok(Self::Seed(tier, seed, drawn));
        }
        if text.ends_with(".json") {
            return Ok(Self::File(text.into()));
        }
        Ok(Self::Scenario(text.to_owned()))
    }
}

impl Subject {
    /// The plan to run.
    pub(super) fn plan(&self, library: &dyn Library) -> anyhow::Result<Plan> {
        match self {
            Self::Seed(tier, seed, profile) => Ok(Plan::draw(*tier, *seed, *profile)),
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                // An entry of the corpus has its plan inside.
                let inner: Option<serde_json::Value> = serde_json::from_str(&text)
                    .ok()
                    .and_then(|whole: serde_json::Value| whole.get("plan").cloned());
                let text = inner.map_or(text, |plan| plan.to_string());
                Plan::parse(&text).with_context(|| path.display().to_string())
            }
            Self::Scenario(name) => library.plan(name).with_context(|| {
                format!(
                    "there is no scenario {name:?}: `swarm-sim list` names them; a seed is written lab:7 or world:7, \
                     a file ends in .json"
                )
            }),
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Seed(tier, seed, Profile::Pr) => write!(f, "{}:{seed}", tier.name()),
            Self::Seed(tier, seed, profile) => {
                write!(f, "{}:{seed}@{}", tier.name(), profile.name())
            }
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Scenario(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_a_number_or_a_range() {
        assert_eq!("3..9".parse(), Ok(Seeds(3..9)));
        assert_eq!("7".parse(), Ok(Seeds(7..8)));
        for bad in ["", "x", "1..", "5..5", "9..3"] {
            assert!(bad.parse::<Seeds>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_subject_prints_what_it_is_read_from() {
        for text in ["lab:7", "world:12@nightly", "a/plan.json", "power_loss"] {
            assert_eq!(text.parse::<Subject>().unwrap().to_string(), text);
        }
        assert!("lab:x".parse::<Subject>().is_err());
        assert!("lab:1@never".parse::<Subject>().is_err());
    }

    #[test]
    fn every_mutant_can_be_named() {
        for one in Mutant::ALL {
            assert_eq!(mutant(&one.name()), Ok(one));
        }
        assert!(mutant("nothing").is_err());
    }
}
