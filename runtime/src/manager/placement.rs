//! From the configured strategy and filters to a scheduler.

use swarm_core::config::Manage;
use swarm_core::scheduler::{Filter, Scheduler, Strategy, Unsupported, overcommit_percent};

/// The scheduler that `config` asks for.
///
/// Of the filters those apply that exist so far, in the configured order; a request that needs another one is refused.
///
/// # Errors
/// When the strategy does not exist yet: placing containers by another one would not be what was asked for.
pub(super) fn scheduler(config: &Manage) -> Result<Scheduler, Unsupported> {
    let strategy = Strategy::try_from(config.strategy)?;
    let filters = config
        .filters
        .iter()
        .filter_map(|filter| Filter::try_from(*filter).ok());
    Ok(Scheduler::new(
        strategy,
        filters.collect(),
        overcommit_percent(config.overcommit),
    ))
}
