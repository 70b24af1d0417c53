//! Durations and what they have in common.

use std::fmt;
use std::time::Duration;

/// Percentiles of what was measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    pub(crate) count: usize,
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
    pub(crate) worst: Duration,
}

impl Spread {
    pub(crate) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        // Nearest rank.
        let rank = |percent: usize| {
            let rank = (all.len() * percent).div_ceil(100);
            all.get(rank.saturating_sub(1)).copied().unwrap_or_default()
        };
        Self {
            count: all.len(),
            median: rank(50),
            p99: rank(99),
            worst: rank(100),
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, p99, worst] = [self.median, self.p99, self.worst].map(millis);
        write!(
            f,
            "p50 {median}, p99 {p99}, worst {worst} ms ({})",
            self.count
        )
    }
}

pub(crate) fn millis(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1e3;
    let digits = if millis < 10.0 { 2 } else { 0 };
    format!("{millis:.digits$}")
}

/// `whole` shared out among `count`.
pub(crate) fn each(whole: Duration, count: usize) -> Duration {
    whole / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a bench, shown with few digits"
)]
pub(crate) fn rate(count: usize, within: Duration) -> f64 {
    count as f64 / within.as_secs_f64().max(1e-9)
}

/// Bytes in MiB, for people.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}
