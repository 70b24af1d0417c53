//! Tier A: the machines of `core` in a plain event loop. To come.

use crate::plan::Plan;
use crate::run::Run;
use crate::trace::Keep;

/// Runs `plan` in the lab.
#[must_use]
pub fn run(_plan: &Plan, _keep: Keep) -> Run {
    Run::default()
}
