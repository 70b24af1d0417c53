//! Strategies: which of the possible engines is best.

use std::cmp::Ordering;

use super::{Node, Request};
use crate::cluster::human;
use crate::config::Strategy;
use crate::rng::Random;

/// The share of weight one point of health indicator is worth: a recent failure outweighs any difference in room.
const HEALTH_FACTOR: i64 = 10;

/// An engine that has room.
#[derive(Clone, Debug)]
pub(super) struct Ranked {
    /// Its place among all engines.
    pub(super) at: usize,
    pub(super) weight: i64,
    pub(super) containers: usize,
    /// For each wish, whether the engine fails it.
    pub(super) unmet: Vec<bool>,
}

impl Strategy {
    /// What the engine is worth.
    ///
    /// # Errors
    /// Why it has no room.
    pub(super) fn weight(self, node: &Node<'_>, request: &Request) -> Result<i64, String> {
        let score = scores(node, request)?;
        Ok(score + self.health_factor() * i64::from(node.engine.indicator))
    }

    /// Orders the engines, best first. Those that fail fewer wishes come first, the wishes written first counting most.
    /// Equal engines stay in the order they come in, that of their names and addresses.
    pub(super) fn order(self, ranked: &mut [Ranked], random: &mut Random) {
        let worth = |one: &Ranked| (one.weight, one.containers);
        // Stable sorts: the order they come in decides among equal ones.
        match self {
            Self::Spread => {
                ranked.sort_by(|a, b| wishes(a, b).then_with(|| worth(a).cmp(&worth(b))));
            }
            Self::BinPack => {
                ranked.sort_by(|a, b| wishes(a, b).then_with(|| worth(b).cmp(&worth(a))));
            }
            Self::Random => {
                shuffle(ranked, random);
                ranked.sort_by(wishes);
            }
        }
    }

    fn health_factor(self) -> i64 {
        match self {
            Self::Spread => -HEALTH_FACTOR,
            Self::BinPack => HEALTH_FACTOR,
            Self::Random => 0,
        }
    }
}

/// The order of engines by the wishes they fail. Most requests wish for nothing, and comparing nothing thousands of times
/// took most of a placement.
fn wishes(one: &Ranked, other: &Ranked) -> Ordering {
    match one.unmet.is_empty() {
        true => Ordering::Equal,
        false => one.unmet.cmp(&other.unmet),
    }
}

/// Every order is as likely as any other.
fn shuffle<T>(ranked: &mut [T], random: &mut Random) {
    for last in (1..ranked.len()).rev() {
        let bound = u64::try_from(last + 1).unwrap_or(u64::MAX);
        let chosen = usize::try_from(random.below(bound)).unwrap_or(last);
        ranked.swap(last, chosen);
    }
}

/// The sum of the percentages of CPUs and memory that would be in use, 100 for each that is not asked for.
fn scores(node: &Node<'_>, request: &Request) -> Result<i64, String> {
    let cpus = score(
        node.used.nano_cpus,
        request.resources.nano_cpus,
        node.total.nano_cpus,
    )
    .ok_or_else(|| {
        let (used, total) = (node.used.nano_cpus, node.total.nano_cpus);
        shortage(
            "CPUs",
            request.resources.nano_cpus,
            used,
            total,
            human::cpus,
        )
    })?;
    let memory = score(
        node.used.memory,
        request.resources.memory,
        node.total.memory,
    )
    .ok_or_else(|| {
        let (used, total) = (node.used.memory, node.total.memory);
        shortage(
            "memory",
            request.resources.memory,
            used,
            total,
            human::bytes,
        )
    })?;
    Ok(cpus + memory)
}

/// Percent in use after the request; `None` when that is over 100. Exact comparison comes before the percentage, which
/// is cut off: 100.9 % would pass otherwise.
fn score(used: u64, wanted: u64, total: u64) -> Option<i64> {
    if wanted == 0 {
        return Some(100);
    }
    // Done for every engine, and wide divisions are slow.
    if let Some(after) = used.checked_add(wanted)
        && let Some(hundredfold) = after.checked_mul(100)
    {
        return match after <= total {
            true => i64::try_from(hundredfold / total).ok(),
            false => None,
        };
    }
    let after = u128::from(used) + u128::from(wanted);
    if after > u128::from(total) {
        return None;
    }
    i64::try_from(after * 100 / u128::from(total)).ok()
}

/// `<amount> requested, <used> of <total> in use` for a refusal.
fn shortage(what: &str, wanted: u64, used: u64, total: u64, show: fn(u64) -> String) -> String {
    debug_assert!(wanted > 0, "nothing requested cannot be short");
    format!(
        "{what}: {} requested, {} of {} reserved",
        show(wanted),
        show(used),
        show(total)
    )
}
