//! From the configured strategy and filters to a scheduler.

use swarm_core::config::Manage;
use swarm_core::rng::Random;
use swarm_core::scheduler::{Filter, Scheduler, overcommit_percent};

/// The scheduler that `config` asks for.
///
/// Of the filters those apply that exist so far, in the configured order; a request that needs another one is refused.
pub(super) fn scheduler(config: &Manage, random: Random) -> Scheduler {
    let filters = config
        .filters
        .iter()
        .filter_map(|filter| Filter::try_from(*filter).ok());
    Scheduler::new(
        config.strategy,
        filters.collect(),
        overcommit_percent(config.overcommit),
        random,
    )
}
