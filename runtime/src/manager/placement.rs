//! From the configured strategy and filters to a scheduler.

use anyhow::bail;
use swarm_core::config::{Filter as Configured, Manage, Strategy as ConfiguredStrategy};
use swarm_core::scheduler::{Filter, Scheduler, Strategy, overcommit_percent};

/// Refuses what this version cannot do, rather than placing containers by another rule than the one asked for.
pub(super) fn check(config: &Manage) -> anyhow::Result<()> {
    match config.strategy {
        ConfiguredStrategy::Spread => Ok(()),
        ConfiguredStrategy::BinPack => {
            bail!("--strategy binpack is not supported by this version yet: use spread")
        }
        ConfiguredStrategy::Random => {
            bail!("--strategy random is not supported by this version yet: use spread")
        }
    }
}

/// The filters that exist so far, in the configured order; requests that need another one are refused one by one.
pub(super) fn scheduler(config: &Manage) -> Scheduler {
    let filters = config.filters.iter().filter_map(|filter| match filter {
        Configured::Health => Some(Filter::Health),
        Configured::Port
        | Configured::ContainerSlots
        | Configured::Dependency
        | Configured::Affinity
        | Configured::Constraint
        | Configured::Whitelist => None,
    });
    Scheduler::new(
        Strategy::Spread,
        filters.collect(),
        overcommit_percent(config.overcommit),
    )
}
