//! Tier B: the shipping runtime on turmoil. To come.

use crate::plan::Plan;
use crate::run::Run;
use crate::trace::Keep;

/// Runs `plan` in the world.
#[must_use]
pub fn run(_plan: &Plan, _keep: Keep) -> Run {
    Run::default()
}
