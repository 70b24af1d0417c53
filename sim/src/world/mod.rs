//! Tier B: the shipping runtime on simulated hosts.

use crate::plan::Plan;
use crate::run::Run;
use crate::trace::Keep;

pub(crate) mod clients;
mod clock;
mod io;
mod log;
mod pause;
mod platform;
mod tap;
pub(crate) mod witness;

/// Runs `plan` in the world.
#[must_use]
pub fn run(_plan: &Plan, _keep: Keep) -> Run {
    Run::default()
}
