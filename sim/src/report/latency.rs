//! How long failovers took.

use std::collections::BTreeMap;

use super::Latency;
use crate::judge::Failover;

/// So many points has a curve.
const POINTS: usize = 48;

/// One line for each kind of fault in `failovers`, in the order of their names.
#[must_use]
pub fn latencies(tier: &str, failovers: &[Failover]) -> Vec<Latency> {
    let mut kinds: BTreeMap<&str, Vec<&Failover>> = BTreeMap::new();
    for failover in failovers {
        kinds.entry(&failover.cause).or_default().push(failover);
    }
    let kinds = kinds.into_iter();
    kinds.map(|(fault, all)| line(tier, fault, &all)).collect()
}

fn line(tier: &str, fault: &str, all: &[&Failover]) -> Latency {
    let mut took: Vec<u64> = all.iter().map(|failover| failover.took_us).collect();
    took.sort_unstable();
    let share = |failover: &&Failover| failover.took_us * 1_000 / failover.budget_us.max(1);
    Latency {
        tier: tier.to_owned(),
        fault: fault.to_owned(),
        count: took.len() as u64,
        min_us: at(&took, 0, 100),
        p50_us: at(&took, 50, 100),
        p95_us: at(&took, 95, 100),
        p99_us: at(&took, 99, 100),
        max_us: at(&took, 100, 100),
        worst_of_budget_per_mille: all.iter().map(share).max().unwrap_or(0),
        budget_us: all.iter().map(|one| one.budget_us).min().unwrap_or(0),
        curve_us: (0..=POINTS).map(|n| at(&took, n, POINTS)).collect(),
    }
}

/// The smallest value that `part` of `whole` are not above (nearest rank).
fn at(sorted: &[u64], part: usize, whole: usize) -> u64 {
    let rank = (sorted.len() * part).div_ceil(whole);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_fault_has_its_own_line() {
        let failover = |cause: &str, took_us, budget_us| Failover {
            cause: cause.to_owned(),
            at: 0,
            took_us,
            budget_us,
        };
        let mut all: Vec<Failover> = (1..=200)
            .rev()
            .map(|took| failover("kill", took, 400))
            .collect();
        all.push(failover("pause", 90, 100));
        all.push(failover("pause", 80, 160));
        let lines = latencies("lab", &all);
        let [kill, pause] = lines.as_slice() else {
            panic!("{lines:?}");
        };
        assert_eq!((kill.fault.as_str(), kill.count), ("kill", 200));
        assert_eq!((kill.min_us, kill.max_us), (1, 200));
        assert_eq!((kill.p50_us, kill.p95_us, kill.p99_us), (100, 190, 198));
        assert_eq!(kill.worst_of_budget_per_mille, 500);
        assert_eq!((kill.curve_us[0], kill.curve_us[POINTS]), (1, 200));
        assert!(kill.curve_us.is_sorted());
        assert_eq!((pause.budget_us, pause.p50_us), (100, 80));
        assert_eq!(pause.worst_of_budget_per_mille, 900);
    }
}
