//! Counting failures, and how long to wait after one.

use std::time::Duration;

use super::CallError;
use crate::rng::Random;
use crate::time::Mono;

/// Time between attempts while the engine is still given the benefit of the doubt, and the least time between two
/// failures that both count: many refused requests within milliseconds are one failure (E10).
pub(super) const QUICK: Duration = Duration::from_secs(1);
/// Most time between two attempts to reach an engine that does not answer (E6).
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Consecutive failures of one engine.
#[derive(Clone, Debug)]
pub(super) struct Health {
    limit: u32,
    failures: u32,
    last: Option<Mono>,
    reason: Option<String>,
}

impl Health {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            limit: limit.max(1),
            failures: 0,
            last: None,
            reason: None,
        }
    }

    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether as many calls failed in a row as make an engine unhealthy.
    pub(super) fn exhausted(&self) -> bool {
        self.failures >= self.limit
    }

    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// A share of 100 (spec/classic.md section 6.6), of an engine that is healthy.
    pub(super) fn indicator(&self) -> u8 {
        let lost = u64::from(self.failures) * 100 / u64::from(self.limit);
        u8::try_from(100_u64.saturating_sub(lost)).unwrap_or(0)
    }

    /// Counts a failure.
    pub(super) fn fail(&mut self, now: Mono, error: &CallError) {
        self.failures = self.failures.saturating_add(1);
        self.last = Some(now);
        self.reason = Some(error.reason.clone());
    }

    /// Whether a failure now would be another one, not the same again.
    pub(super) fn counts(&self, now: Mono) -> bool {
        self.last.is_none_or(|last| now.since(last) >= QUICK)
    }

    /// Shows a reason without counting it.
    pub(super) fn note(&mut self, error: &CallError) {
        self.reason = Some(error.reason.clone());
    }

    pub(super) fn succeed(&mut self) {
        self.failures = 0;
        self.last = None;
        self.reason = None;
    }

    /// How long to wait before the next attempt: about a second until the limit is reached, then doubling.
    pub(super) fn pause(&self, random: &mut Random) -> Duration {
        if self.failures < self.limit {
            return random.duration(QUICK * 3 / 4, QUICK * 5 / 4);
        }
        let doublings = (self.failures - self.limit + 1).min(6);
        let full = (QUICK * (1 << doublings)).min(MAX_PAUSE);
        random.duration(full / 2, full)
    }
}
