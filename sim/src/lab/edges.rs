//! Which inputs the machines took in which state: counted in arrays, named at the end.

use swarm_core::election::{Input, Standing, SwapOutcome};
use swarm_core::proxy::{self, Failure, Origin};

use super::manager::{Manager, Stage};
use crate::run::Coverage;

const ELECTION: [&str; 19] = [
    "observed",
    "observe-failed",
    "swapped",
    "conflict",
    "conflict-unread",
    "not-applied",
    "unknown",
    "verified",
    "verify-failed",
    "arrived",
    "left",
    "members",
    "stop",
    "step-down",
    "flushed",
    "promise-asked",
    "promised",
    "not-promised",
    "wake",
];
const PROXY: [&str; 11] = [
    "view-unknown",
    "view-here",
    "view-there",
    "from-client",
    "from-manager",
    "not-sent",
    "not-dispatched",
    "broken",
    "answered",
    "left",
    "wake",
];
const STAGES: [&str; 7] = [
    "idle",
    "held",
    "remote",
    "reading",
    "at-gate",
    "leaving",
    "at-engine",
];

pub(super) struct Edges {
    election: [[u64; ELECTION.len()]; Standing::ALL.len()],
    proxy: [[u64; PROXY.len()]; STAGES.len()],
}

impl Default for Edges {
    fn default() -> Self {
        Self {
            election: [[0; ELECTION.len()]; Standing::ALL.len()],
            proxy: [[0; PROXY.len()]; STAGES.len()],
        }
    }
}

pub(super) const fn standing_name(standing: Standing) -> &'static str {
    match standing {
        Standing::Following => "following",
        Standing::Claiming => "claiming",
        Standing::Acting => "acting",
        Standing::Lapsed => "lapsed",
        Standing::Releasing => "releasing",
    }
}

impl Edges {
    /// Counts an input of an election and returns its number.
    pub(super) fn election(&mut self, standing: Standing, input: &Input) -> u64 {
        let kind = match input {
            Input::Observed(_) => 0,
            Input::ObserveFailed => 1,
            Input::Swapped(_, SwapOutcome::Swapped(_)) => 2,
            Input::Swapped(_, SwapOutcome::Conflict(Some(_))) => 3,
            Input::Swapped(_, SwapOutcome::Conflict(None)) => 4,
            Input::Swapped(_, SwapOutcome::NotApplied) => 5,
            Input::Swapped(_, SwapOutcome::Unknown) => 6,
            Input::Verified(_, Some(_)) => 7,
            Input::Verified(_, None) => 8,
            Input::Arrived(_) => 9,
            Input::Left(_) => 10,
            Input::Members(_) => 11,
            Input::Resign(swarm_core::election::Resignation::Stop) => 12,
            Input::Resign(swarm_core::election::Resignation::StepDown) => 13,
            Input::Flushed => 14,
            Input::PromiseAsked(..) => 15,
            Input::Promised(_, _, true) => 16,
            Input::Promised(_, _, false) => 17,
        };
        count(&mut self.election, standing as usize, kind)
    }

    pub(super) fn woken(&mut self, standing: Standing) {
        count(&mut self.election, standing as usize, ELECTION.len() - 1);
    }

    /// Counts an input of a proxy and returns its number and the stage of the request it concerns.
    pub(super) fn proxy(&mut self, manager: &mut Manager, input: &proxy::Input) -> (u64, u64) {
        let (kind, id) = match input {
            proxy::Input::View(proxy::View::Unknown) => (0, None),
            proxy::Input::View(proxy::View::Primary { local: true, .. }) => (1, None),
            proxy::Input::View(proxy::View::Primary { local: false, .. }) => (2, None),
            proxy::Input::Arrived {
                origin: Origin::Client,
                ..
            } => (3, None),
            proxy::Input::Arrived {
                origin: Origin::Peer { .. },
                ..
            } => (4, None),
            proxy::Input::Failed { id, failure, .. } => match failure {
                Failure::NotSent => (5, Some(*id)),
                Failure::NotDispatched { .. } => (6, Some(*id)),
                Failure::Broken => (7, Some(*id)),
            },
            proxy::Input::Answered { id, .. } => (8, Some(*id)),
            proxy::Input::Interrupted { id, .. } | proxy::Input::Left { id } => (9, Some(*id)),
        };
        let stage = id
            .and_then(|id| manager.job(id))
            .map_or(0, |job| match job.stage {
                Stage::Held => 1,
                Stage::Remote { .. } => 2,
                Stage::Reading => 3,
                Stage::AtGate { .. } => 4,
                Stage::Leaving => 5,
                Stage::AtEngine => 6,
            });
        (100 + count(&mut self.proxy, stage, kind), stage as u64)
    }

    pub(super) fn proxy_woken(&mut self) {
        count(&mut self.proxy, 0, PROXY.len() - 1);
    }

    /// Puts what was counted where reports look for it.
    pub(super) fn name(&self, coverage: &mut Coverage) {
        let standings = Standing::ALL.map(standing_name);
        let election = names("election", &standings, &ELECTION, &self.election);
        let proxy = names("proxy", &STAGES, &PROXY, &self.proxy);
        coverage.edges.extend(election.into_iter().chain(proxy));
    }
}

fn count<const KINDS: usize>(table: &mut [[u64; KINDS]], row: usize, kind: usize) -> u64 {
    if let Some(cell) = table.get_mut(row).and_then(|row| row.get_mut(kind)) {
        *cell += 1;
    }
    kind as u64
}

fn names<const KINDS: usize>(
    machine: &str,
    rows: &[&str],
    kinds: &[&str; KINDS],
    table: &[[u64; KINDS]],
) -> Vec<(String, u64)> {
    let mut named = Vec::new();
    for (row, counts) in rows.iter().zip(table) {
        for (kind, count) in kinds.iter().zip(counts).filter(|(_, count)| **count > 0) {
            named.push((format!("{machine}:{row}/{kind}"), *count));
        }
    }
    named
}
