//! Host clocks: each host's own idea of true time.

use swarm_core::time::{Mono, Wall};

/// 2024-02-29T23:59:30Z: a leap day, and midnight half a minute into every run.
const EPOCH_SECONDS: u64 = 1_709_251_170;
/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
/// Parts per million of a rate.
const MILLION: i128 = 1_000_000;

/// A clock that runs at a rate of its own from an offset of its own. Both hands, the monotonic and the calendar one,
/// run at the same rate; only the calendar is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostClock {
    /// True time at which the present rate began, in nanoseconds.
    since: u64,
    /// What the monotonic clock showed then.
    mono: u64,
    /// What the calendar showed then.
    wall: u64,
    /// How much faster than true time it runs, in parts per million; negative for slower.
    rate_ppm: i32,
    frozen: bool,
}

impl HostClock {
    /// A clock as of the start of the run. The monotonic clock shows `offset` then, the calendar is off by
    /// `wall_offset_seconds`.
    pub(crate) fn new(offset: u64, rate_ppm: i32, wall_offset_seconds: i64) -> Self {
        let seconds = EPOCH_SECONDS.saturating_add_signed(wall_offset_seconds);
        Self {
            since: 0,
            mono: offset,
            wall: seconds.saturating_mul(SECOND),
            rate_ppm,
            frozen: false,
        }
    }

    /// How far the clock went since the present rate began.
    fn gone(&self, now: u64) -> u64 {
        if self.frozen {
            return 0;
        }
        let elapsed = i128::from(now.saturating_sub(self.since));
        let gone = elapsed + elapsed * i128::from(self.rate_ppm) / MILLION;
        u64::try_from(gone).unwrap_or(0)
    }

    /// The monotonic clock at true time `now`.
    pub(crate) fn mono(&self, now: u64) -> Mono {
        Mono(self.mono.saturating_add(self.gone(now)))
    }

    /// The calendar at true time `now`.
    pub(crate) fn wall(&self, now: u64) -> Wall {
        Wall(self.wall.saturating_add(self.gone(now)))
    }

    /// How much true time passes until the monotonic clock shows `at`, never less; `None` while it stands still.
    pub(crate) fn true_until(&self, at: Mono, now: u64) -> Option<u64> {
        if self.frozen {
            return None;
        }
        // Counted from where the rate began: rounding must not make the wait shorter.
        let target = i128::from(at.0.saturating_sub(self.mono));
        let rate = MILLION + i128::from(self.rate_ppm);
        let due = (target * MILLION + rate - 1) / rate;
        let due = u64::try_from(due)
            .unwrap_or(u64::MAX)
            .saturating_add(self.since);
        let wait = due.saturating_sub(now);
        let early = self.mono(now.saturating_add(wait)) < at;
        Some(wait.saturating_add(u64::from(early)))
    }

    /// From true time `now` on it runs at another rate.
    pub(crate) fn set_rate(&mut self, now: u64, rate_ppm: i32) {
        self.settle(now);
        self.rate_ppm = rate_ppm;
    }

    /// It stops, or goes on.
    pub(crate) fn freeze(&mut self, now: u64, frozen: bool) {
        self.settle(now);
        self.frozen = frozen;
    }

    /// The calendar is set forward or back.
    pub(crate) fn step_wall(&mut self, seconds: i64) {
        let step = seconds.saturating_mul(1_000_000_000);
        self.wall = self.wall.saturating_add_signed(step);
    }

    /// Both clocks jump forward by `ns`.
    pub(crate) fn jump(&mut self, ns: u64) {
        self.mono = self.mono.saturating_add(ns);
        self.wall = self.wall.saturating_add(ns);
    }

    fn settle(&mut self, now: u64) {
        let gone = self.gone(now);
        self.mono = self.mono.saturating_add(gone);
        self.wall = self.wall.saturating_add(gone);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_ends_when_the_clock_shows_the_time_and_not_before() {
        for rate_ppm in [-200_000, -20_000, -200, 0, 200, 20_000, 900_000] {
            let mut clock = HostClock::new(77, 13, 0);
            clock.set_rate(1_234, rate_ppm);
            for start in [2_000, 1_000_000, 999_000_000, 123_456_789_012] {
                let at = Mono(clock.mono(start).0 + 1_234_567_000);
                let wait = clock.true_until(at, start).unwrap();
                assert!(clock.mono(start + wait) >= at, "{rate_ppm} {start}");
                let late = clock.mono(start + wait).0 - at.0;
                assert!(late < 10, "{rate_ppm} {start}: {late}");
            }
        }
    }

    #[test]
    fn a_run_starts_on_a_leap_day_shortly_before_midnight() {
        let clock = HostClock::new(0, 0, 0);
        assert_eq!(clock.wall(0).rfc3339(), "2024-02-29T23:59:30Z");
        assert_eq!(clock.wall(30 * SECOND).rfc3339(), "2024-03-01T00:00:00Z");
    }

    #[test]
    fn a_clock_keeps_what_it_showed_when_its_rate_changes_or_it_stops() {
        let mut clock = HostClock::new(5, 1_000, 0);
        let before = clock.mono(SECOND);
        clock.set_rate(SECOND, -1_000);
        assert_eq!(clock.mono(SECOND), before);
        clock.freeze(2 * SECOND, true);
        let stopped = clock.mono(2 * SECOND);
        assert_eq!(clock.mono(9 * SECOND), stopped);
        assert_eq!(clock.true_until(Mono(stopped.0 + 1), 9 * SECOND), None);
        clock.freeze(9 * SECOND, false);
        assert_eq!(clock.mono(9 * SECOND), stopped);
        assert_eq!(clock.mono(10 * SECOND).0, stopped.0 + 999_000_000);
        clock.jump(7);
        assert_eq!(clock.mono(10 * SECOND).0, stopped.0 + 999_000_007);
    }

    #[test]
    fn setting_the_calendar_leaves_the_monotonic_clock_alone() {
        let mut clock = HostClock::new(5, 0, 0);
        let (mono, wall) = (clock.mono(SECOND), clock.wall(SECOND));
        clock.step_wall(-86_400);
        assert_eq!(clock.mono(SECOND), mono);
        assert_eq!(clock.wall(SECOND).0, wall.0 - 86_400 * SECOND);
    }
}
