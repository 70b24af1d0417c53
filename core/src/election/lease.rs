//! Lease arithmetic: how long a holder may act, and how long everybody else has to wait.

use std::time::Duration;

use crate::testbed::{Mutant, planted};
use crate::time::Mono;

/// The assumed bound on the error of a host's clock rate, in per mille: 2 %.
pub const CLOCK_RATE_ERROR_PER_MILLE: u32 = 20;
/// Added to every wait: covers the granularity of timers.
const WAIT_MARGIN: Duration = Duration::from_millis(20);
/// A mutation leaves only if the lease holds for at least this much longer.
pub const DISPATCH_GUARD: Duration = Duration::from_millis(50);

/// How long others wait for a holder of lease `lease`: `W = L·(1+ρ)/(1-ρ) + 20 ms`.
///
/// The holder stops `L` of its own time after sending; a successor waits `W` of its own time after it learnt of that
/// very version. With both clocks within ρ of true time the holder's interval ends first.
#[must_use]
pub fn takeover_wait(lease: Duration) -> Duration {
    if planted(Mutant::NoClockAllowance) {
        return lease;
    }
    lease * (1_000 + CLOCK_RATE_ERROR_PER_MILLE) / (1_000 - CLOCK_RATE_ERROR_PER_MILLE)
        + WAIT_MARGIN
}

/// How often a holder renews: five times in a lease.
#[must_use]
pub fn beat_interval(lease: Duration) -> Duration {
    lease / 5
}

/// The longest a store operation may take before its outcome counts as unknown: `min(L/4, 5 s)`.
#[must_use]
pub fn operation_timeout(lease: Duration) -> Duration {
    (lease / 4).min(Duration::from_secs(5))
}

/// The right to act as primary: an epoch, and the local time at which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority {
    /// The epoch every mutation is stamped with.
    pub epoch: u64,
    /// When the right ends on the holder's own clock.
    pub until: Mono,
}

impl Authority {
    /// Whether the holder may call itself primary at `now`.
    #[must_use]
    pub fn holds(&self, now: Mono) -> bool {
        now < self.until
    }

    /// Whether a mutation may leave for an engine at `now`.
    #[must_use]
    pub fn may_dispatch(&self, now: Mono) -> bool {
        now + DISPATCH_GUARD < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_default_lease_is_waited_for_a_little_longer() {
        let wait = takeover_wait(Duration::from_secs(2));
        assert!(
            wait > Duration::from_millis(2_101) && wait < Duration::from_millis(2_102),
            "{wait:?}"
        );
    }

    proptest! {
        /// The inequality the safety argument rests on, for every pair of clock rates within the bound.
        #[test]
        fn the_holder_always_stops_first(
            lease_ms in 500_u64..600_000,
            slow in 980_u64..=1_020,
            fast in 980_u64..=1_020,
        ) {
            let lease = Duration::from_millis(lease_ms);
            // A clock of rate r shows r ns for each 1,000 ns of true time.
            let held = lease.as_nanos() * 1_000 / u128::from(slow);
            let waited = takeover_wait(lease).as_nanos() * 1_000 / u128::from(fast);
            prop_assert!(held < waited);
        }
    }
}
