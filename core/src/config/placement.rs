//! `--strategy` and `--filter`.

use std::fmt;
use std::str::FromStr;

/// How engines that can take a container are ranked (spec/classic.md section 5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The least loaded first.
    #[default]
    Spread,
    /// The most loaded first.
    BinPack,
    /// Any.
    Random,
}

/// What rules engines out for a container (spec/classic.md section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Unhealthy engines.
    Health,
    /// Engines where a wanted port is taken.
    Port,
    /// Engines whose `containerslots` label is used up.
    ContainerSlots,
    /// Engines without the containers this one depends on.
    Dependency,
    /// Engines ruled out by `affinity:` expressions.
    Affinity,
    /// Engines ruled out by `constraint:` expressions.
    Constraint,
    /// Engines that no `whitelist:` expression names.
    Whitelist,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 3] = [Self::Spread, Self::BinPack, Self::Random];

    /// The name users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Spread => "spread",
            Self::BinPack => "binpack",
            Self::Random => "random",
        }
    }
}

impl Filter {
    /// All filters, in the order they apply by default.
    pub const ALL: [Self; 7] = [
        Self::Health,
        Self::Port,
        Self::ContainerSlots,
        Self::Dependency,
        Self::Affinity,
        Self::Constraint,
        Self::Whitelist,
    ];

    /// The name users write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Port => "port",
            Self::ContainerSlots => "containerslots",
            Self::Dependency => "dependency",
            Self::Affinity => "affinity",
            Self::Constraint => "constraint",
            Self::Whitelist => "whitelist",
        }
    }
}

/// The name is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

impl FromStr for Strategy {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name == "binpacking" {
            return Ok(Self::BinPack);
        }
        Self::ALL
            .into_iter()
            .find(|strategy| strategy.name() == name)
            .ok_or(UnknownName)
    }
}

impl FromStr for Filter {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|filter| filter.name() == name)
            .ok_or(UnknownName)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

pub(super) fn known_strategies() -> String {
    Strategy::ALL.map(Strategy::name).join(", ")
}

pub(super) fn known_filters() -> String {
    Filter::ALL.map(Filter::name).join(", ")
}
