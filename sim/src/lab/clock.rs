//! A host's own clock, as a function of true time.

use swarm_core::time::Mono;

const MILLION: u64 = 1_000_000;

/// A clock with an offset and a rate that may change; it can jump forward and stand still.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    since: u64,
    local: u64,
    /// Local time in a million of true time.
    rate: u64,
    /// The rate it drew for itself.
    own_rate: u64,
    frozen: u32,
}

impl Clock {
    pub(super) fn new(offset: u64, ppm: i32) -> Self {
        let rate = rate(ppm);
        Self {
            since: 0,
            local: offset,
            rate,
            own_rate: rate,
            frozen: 0,
        }
    }

    pub(super) fn local(&self, now: u64) -> Mono {
        if self.frozen > 0 {
            return Mono(self.local);
        }
        Mono(self.local + scale(now.saturating_sub(self.since), self.rate))
    }

    /// The first true instant at which the clock shows `local`; `None` while it stands still, and beyond all time.
    pub(super) fn when(&self, local: Mono, now: u64) -> Option<u64> {
        if self.frozen > 0 {
            return None;
        }
        let ahead = local.0.saturating_sub(self.local);
        let whole = (ahead / self.rate).checked_mul(MILLION)?;
        let true_time = whole.checked_add(ahead % self.rate * MILLION / self.rate)?;
        let mut at = self.since.checked_add(true_time)?.max(now);
        if at == u64::MAX {
            return None;
        }
        while self.local(at) < local {
            at += 1;
        }
        Some(at)
    }

    /// Sets the rate; without `ppm` the one it drew.
    pub(super) fn set_rate(&mut self, now: u64, ppm: Option<i32>) {
        self.rebase(now);
        self.rate = ppm.map_or(self.own_rate, rate);
    }

    pub(super) fn jump(&mut self, now: u64, by: u64) {
        self.rebase(now);
        self.local += by;
    }

    pub(super) fn freeze(&mut self, now: u64) {
        self.rebase(now);
        self.frozen += 1;
    }

    pub(super) fn thaw(&mut self, now: u64) {
        self.rebase(now);
        self.frozen = self.frozen.saturating_sub(1);
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen > 0
    }

    fn rebase(&mut self, now: u64) {
        self.local = self.local(now).0;
        self.since = now;
    }
}

fn rate(ppm: i32) -> u64 {
    MILLION.saturating_add_signed(i64::from(ppm)).max(1)
}

fn scale(time: u64, rate: u64) -> u64 {
    time / MILLION * rate + time % MILLION * rate / MILLION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_a_time_from_the_instant_it_names_on() {
        for ppm in [-19_900, -200, 0, 200, 19_900] {
            let clock = Clock::new(12_345, ppm);
            for local in [12_345, 12_346, 999_999_999, 60_000_000_007] {
                let at = clock.when(Mono(local), 0).unwrap();
                assert!(clock.local(at) >= Mono(local), "{ppm} {local}");
                assert!(
                    at == 0 || clock.local(at - 1) < Mono(local),
                    "{ppm} {local}"
                );
            }
        }
    }

    #[test]
    fn it_stands_still_jumps_and_changes_its_rate() {
        let mut clock = Clock::new(0, 0);
        clock.freeze(1_000);
        assert_eq!(clock.local(9_000), Mono(1_000));
        assert_eq!(clock.when(Mono(2_000), 1_000), None);
        clock.thaw(9_000);
        clock.jump(9_000, 500);
        clock.set_rate(9_000, Some(-500_000));
        assert_eq!(clock.local(11_000), Mono(2_500));
        clock.set_rate(11_000, None);
        assert_eq!(clock.local(12_000), Mono(3_500));
    }
}
