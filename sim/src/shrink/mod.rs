//! Finds the shortest story of a failure: the smallest plan that still breaks the same promise in the same way.
//!
//! Delta debugging over the faults first (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
//! 2002), then one simplification after the other: hosts, clients, knobs, times, kinds of fault. A candidate counts only
//! if its run has the same signature.

use crate::plan::{Fault, Plan};
use crate::property::Violation;

mod simpler;

/// How many runs a shrink may take.
pub const TRIES_MAX: u32 = 200;

/// The outcome of a shrink.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The smallest plan found.
    pub plan: Plan,
    /// What it breaks.
    pub violation: Violation,
    /// Faults of the plan it started from.
    pub faults_before: usize,
    /// Runs that were made.
    pub tries: u32,
}

/// Shrinks `plan`, whose run ended in `violation`. `run` runs a plan and tells what it broke.
pub fn shrink(
    plan: &Plan,
    violation: &Violation,
    tries_max: u32,
    run: impl FnMut(&Plan) -> Option<Violation>,
) -> Shrunk {
    let mut search = Search {
        best: plan.clone(),
        violation: violation.clone(),
        signature: violation.signature(),
        tries: 0,
        tries_max,
        run,
    };
    search.end_after_violation();
    // Each pass may make another one fruitful: once more while it pays.
    loop {
        let before = search.best.clone();
        search.drop_faults();
        search.apply(simpler::topologies);
        search.apply(simpler::workloads);
        search.apply(simpler::knobs);
        search.apply(simpler::operations);
        search.apply(simpler::times);
        if search.best == before || search.exhausted() {
            break;
        }
    }
    Shrunk {
        plan: search.best,
        violation: search.violation,
        faults_before: plan.faults.len(),
        tries: search.tries,
    }
}

struct Search<R> {
    best: Plan,
    violation: Violation,
    signature: String,
    tries: u32,
    tries_max: u32,
    run: R,
}

impl<R: FnMut(&Plan) -> Option<Violation>> Search<R> {
    fn exhausted(&self) -> bool {
        self.tries >= self.tries_max
    }

    /// Takes `candidate` if it is another plan that fails in the same way.
    fn try_plan(&mut self, candidate: Plan) -> bool {
        if self.exhausted() || candidate == self.best || candidate.check().is_err() {
            return false;
        }
        self.tries += 1;
        let violation = (self.run)(&candidate);
        let Some(violation) = violation.filter(|found| found.signature() == self.signature) else {
            return false;
        };
        self.best = candidate;
        self.violation = violation;
        true
    }

    /// Nothing that would have begun after the violation matters.
    fn end_after_violation(&mut self) {
        let at_ms = self.violation.at / 1_000_000;
        let mut plan = self.best.clone();
        plan.faults.retain(|fault| fault.at_ms <= at_ms);
        self.try_plan(plan);
        let mut plan = self.best.clone();
        if plan.drill.take().is_some() {
            self.try_plan(plan);
        }
    }

    /// Leaves out ever smaller shares of the faults, down to single ones.
    fn drop_faults(&mut self) {
        let mut share = self.best.faults.len().div_ceil(2);
        while share > 0 && !self.exhausted() {
            let mut from = 0;
            while from < self.best.faults.len() && !self.exhausted() {
                let faults = without(&self.best.faults, from, share);
                let plan = Plan {
                    faults,
                    ..self.best.clone()
                };
                if !self.try_plan(plan) {
                    from += share;
                }
            }
            share = if share == 1 { 0 } else { share.div_ceil(2) };
        }
    }

    /// Tries simpler plans as long as one of them fails too; `candidates` come in the order of preference.
    fn apply(&mut self, candidates: fn(&Plan) -> Vec<Plan>) {
        // Every success makes the plan smaller, so that this ends; the bound guards against candidates that do not.
        for _ in 0..64 {
            let found = candidates(&self.best)
                .into_iter()
                .any(|candidate| self.try_plan(candidate));
            if !found || self.exhausted() {
                return;
            }
        }
    }
}

fn without(faults: &[Fault], from: usize, count: usize) -> Vec<Fault> {
    let (before, rest) = faults.split_at(from.min(faults.len()));
    let after = rest.get(count.min(rest.len())..).unwrap_or_default();
    before.iter().chain(after).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Host, Knobs, Op, Topology, Workload};
    use crate::property::Property;

    fn fault(id: u32, at_ms: u64, op: Op) -> Fault {
        Fault {
            id,
            at_ms,
            lasts_ms: 3_217,
            op,
        }
    }

    fn noisy_plan() -> Plan {
        let mut faults: Vec<Fault> = (0..20)
            .map(|n| fault(n, u64::from(n) * 1_000, Op::StuckWatches))
            .collect();
        faults[7].op = Op::PowerLoss {
            host: Host::Manager(1),
        };
        faults[13].op = Op::Cut {
            from: Host::Manager(2),
            to: Host::Store(1),
            way: crate::plan::Way::default(),
            how: crate::plan::How::default(),
        };
        Plan {
            topology: Topology {
                managers: 5,
                stores: 3,
                engines: 4,
                agents: true,
                ..Topology::default()
            },
            knobs: Knobs {
                lease_ms: 700,
                latency_max_us: 9_000,
                ..Knobs::default()
            },
            workload: Workload {
                readers: 4,
                writers: 3,
                streams: 2,
                ..Workload::default()
            },
            faults,
            ..Plan::default()
        }
    }

    /// A failure that needs both a loss of `m1` and a cut, at least three managers, and the short lease.
    fn broken(plan: &Plan) -> Option<Violation> {
        let has = |wanted: fn(&Op) -> bool| plan.faults.iter().any(|fault| wanted(&fault.op));
        let fails = has(|op| matches!(op, Op::PowerLoss { .. } | Op::Kill { .. }))
            && has(|op| matches!(op, Op::Cut { .. }))
            && plan.topology.managers >= 3
            && plan.knobs.lease_ms == 700;
        fails.then(|| Violation::new(Property::SinglePrimary, "", 15_000_000_000, "two"))
    }

    #[test]
    fn only_what_the_failure_needs_is_left() {
        let plan = noisy_plan();
        let violation = broken(&plan).unwrap();
        let shrunk = shrink(&plan, &violation, 1_000, broken);
        let kinds: Vec<_> = shrunk
            .plan
            .faults
            .iter()
            .map(|fault| fault.op.kind())
            .collect();
        assert_eq!(kinds, ["kill", "cut"], "{}", shrunk.plan.to_json());
        assert_eq!(shrunk.faults_before, 20);
        assert_eq!(
            (shrunk.plan.topology.managers, shrunk.plan.topology.stores),
            (3, 1)
        );
        assert_eq!(
            shrunk.plan.knobs,
            Knobs {
                lease_ms: 700,
                latency_max_us: shrunk.plan.knobs.latency_min_us,
                ..Knobs::default()
            }
        );
        assert_eq!(shrunk.plan.workload.streams, 0);
        assert!(
            shrunk
                .plan
                .faults
                .iter()
                .all(|fault| fault.at_ms % 100 == 0)
        );
    }

    #[test]
    fn another_failure_on_the_way_is_not_taken() {
        let plan = noisy_plan();
        let violation = broken(&plan).unwrap();
        let shrunk = shrink(&plan, &violation, 1_000, |candidate| {
            let other = Violation::new(Property::ErrorLog, "", 0, "another");
            broken(candidate).or(Some(other))
        });
        assert_eq!(shrunk.violation.signature(), "single-primary");
        assert_eq!(shrunk.plan.faults.len(), 2);
    }

    #[test]
    fn the_number_of_runs_is_bounded() {
        let plan = noisy_plan();
        let violation = broken(&plan).unwrap();
        let mut runs = 0;
        let shrunk = shrink(&plan, &violation, 10, |candidate| {
            runs += 1;
            broken(candidate)
        });
        assert_eq!((runs, shrunk.tries), (10, 10));
        assert!(broken(&shrunk.plan).is_some());
    }
}
