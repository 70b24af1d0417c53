//! Host clocks: each host's own idea of true time.

use std::time::Duration;

use swarm_core::time::{Mono, Wall, nanos};

/// 2024-02-29T23:59:30Z: a leap day, and midnight half a minute into every run.
const EPOCH_SECONDS: u64 = 1_709_251_170;
/// Parts per million of a rate.
const MILLION: i128 = 1_000_000;

/// A clock that runs at a rate of its own from an offset of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostClock {
    /// What the monotonic clock shows at the start, in nanoseconds.
    pub offset: u64,
    /// How much faster than true time it runs, in parts per million; negative for slower.
    pub rate_ppm: i32,
    /// How far the wall clock is from the true date, in seconds.
    pub wall_offset_seconds: i64,
}

impl HostClock {
    /// A perfect clock.
    pub const TRUE: Self = Self {
        offset: 0,
        rate_ppm: 0,
        wall_offset_seconds: 0,
    };

    /// The monotonic clock at true time `elapsed`.
    #[must_use]
    pub fn mono(&self, elapsed: Duration) -> Mono {
        let elapsed = i128::from(nanos(elapsed));
        let shown = elapsed + elapsed * i128::from(self.rate_ppm) / MILLION;
        Mono(
            self.offset
                .saturating_add(u64::try_from(shown).unwrap_or(0)),
        )
    }

    /// The wall clock at true time `elapsed`.
    #[must_use]
    pub fn wall(&self, elapsed: Duration) -> Wall {
        let seconds = EPOCH_SECONDS.saturating_add_signed(self.wall_offset_seconds);
        Wall(
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(nanos(elapsed)),
        )
    }

    /// How much true time passes until the monotonic clock shows `at`; never less.
    #[must_use]
    pub fn true_until(&self, at: Mono, elapsed: Duration) -> Duration {
        let shown = i128::from(nanos(at.since(self.mono(elapsed))));
        let rate = MILLION + i128::from(self.rate_ppm);
        let wait = (shown * MILLION + rate - 1) / rate;
        Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_when_the_clock_shows_the_time_and_not_before() {
        for rate_ppm in [-20_000, -200, 0, 200, 20_000] {
            let clock = HostClock {
                offset: 77,
                rate_ppm,
                wall_offset_seconds: 0,
            };
            for start_ms in [0, 1, 999, 123_456] {
                let start = Duration::from_millis(start_ms);
                let at = clock.mono(start) + Duration::from_micros(1_234_567);
                let wait = clock.true_until(at, start);
                assert!(clock.mono(start + wait) >= at, "{rate_ppm} {start_ms}");
                assert!(
                    clock.mono(start + wait) < at + Duration::from_nanos(10),
                    "{rate_ppm} {start_ms}"
                );
            }
        }
    }

    #[test]
    fn a_run_starts_on_a_leap_day_shortly_before_midnight() {
        assert_eq!(
            HostClock::TRUE.wall(Duration::ZERO).rfc3339(),
            "2024-02-29T23:59:30Z"
        );
        assert_eq!(
            HostClock::TRUE.wall(Duration::from_secs(30)).rfc3339(),
            "2024-03-01T00:00:00Z"
        );
    }
}
