//! Real time, for measuring the testbed itself. Nothing that a run depends on may look at it.

use std::time::{Duration, Instant};

/// Measures from its making.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "measures the testbed, never a simulated host"
    )]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "measures the testbed, never a simulated host"
    )]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}
