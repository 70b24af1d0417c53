//! From the configured strategy and filters to a scheduler.

use swarm_core::config::Manage;
use swarm_core::rng::Random;
use swarm_core::scheduler::{Scheduler, overcommit_percent};

/// The scheduler that `config` asks for.
pub(super) fn scheduler(config: &Manage, random: Random) -> Scheduler {
    Scheduler::new(
        config.strategy,
        config.filters.clone(),
        overcommit_percent(config.overcommit),
        random,
    )
}
