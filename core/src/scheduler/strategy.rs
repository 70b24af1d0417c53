//! Strategies: which of the possible engines is best.

use std::cmp::Reverse;

use super::{Candidate, Node, Refusal, Request};
use crate::cluster::human;
use crate::config::Strategy;
use crate::rng::Random;

/// The share of weight one point of health indicator is worth: a recent failure outweighs any difference in room.
const HEALTH_FACTOR: i64 = 10;

impl Strategy {
    /// Orders the engines that have room, best first; why the others have none goes to `refused`. Equal engines stay in
    /// the order of their names and addresses, the same on every manager.
    pub(super) fn rank(
        self,
        nodes: &[Node<'_>],
        request: &Request,
        random: &mut Random,
        refused: &mut Vec<Refusal>,
    ) -> Vec<Candidate> {
        let mut ranked = Vec::with_capacity(nodes.len());
        for node in nodes {
            match scores(node, request) {
                Ok(score) => ranked.push(Candidate {
                    address: node.engine.address.clone(),
                    name: node.engine.name().to_owned(),
                    weight: score + self.health_factor() * i64::from(node.engine.indicator),
                    containers: node.containers,
                }),
                Err(reason) => refused.push(node.refusal(reason)),
            }
        }
        ranked.sort_by(|a, b| (&a.name, &a.address).cmp(&(&b.name, &b.address)));
        match self {
            Self::Spread => ranked.sort_by_key(|one| (one.weight, one.containers)),
            Self::BinPack => ranked.sort_by_key(|one| Reverse((one.weight, one.containers))),
            Self::Random => shuffle(&mut ranked, random),
        }
        ranked
    }

    fn health_factor(self) -> i64 {
        match self {
            Self::Spread => -HEALTH_FACTOR,
            Self::BinPack => HEALTH_FACTOR,
            Self::Random => 0,
        }
    }
}

/// Every order is as likely as any other.
fn shuffle(ranked: &mut [Candidate], random: &mut Random) {
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
