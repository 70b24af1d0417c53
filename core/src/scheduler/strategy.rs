//! Strategies: which of the possible engines is best.

use std::fmt;

use super::{Candidate, Node, Refusal, Request, shortage, show_bytes};
use crate::cluster::NANO;

/// How the best engine is chosen (spec/classic.md section 5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// The engine with the most room.
    Spread,
}

/// The share of weight one point of health indicator is worth: a recent failure outweighs any difference in room.
const HEALTH_FACTOR: i64 = 10;

impl Strategy {
    /// Orders the engines that have room, best first; why the others have none goes to `refused`.
    pub(super) fn rank(
        self,
        nodes: &[Node<'_>],
        request: &Request,
        refused: &mut Vec<Refusal>,
    ) -> Vec<Candidate> {
        let factor = match self {
            Self::Spread => -HEALTH_FACTOR,
        };
        let mut ranked = Vec::with_capacity(nodes.len());
        for node in nodes {
            match scores(node, request) {
                Ok(score) => ranked.push(Candidate {
                    address: node.engine.address.clone(),
                    name: node.engine.name().to_owned(),
                    weight: score + factor * i64::from(node.engine.indicator),
                    containers: node.containers,
                }),
                Err(reason) => refused.push(node.refusal(reason)),
            }
        }
        // Stable: further ties stay in the order of discovery, the same on every manager that saw it.
        ranked.sort_by_key(|candidate| (candidate.weight, candidate.containers));
        ranked
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
        shortage("CPUs", request.resources.nano_cpus, used, total, show_cpus)
    })?;
    let memory = score(
        node.used.memory,
        request.resources.memory,
        node.total.memory,
    )
    .ok_or_else(|| {
        let (used, total) = (node.used.memory, node.total.memory);
        shortage("memory", request.resources.memory, used, total, show_bytes)
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

fn show_cpus(nano: u64) -> String {
    let (whole, rest) = (nano / NANO, nano % NANO);
    if rest == 0 {
        whole.to_string()
    } else {
        format!("{whole}.{rest:09}")
            .trim_end_matches('0')
            .to_owned()
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spread => "spread",
        })
    }
}
