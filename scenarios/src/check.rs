//! Runs a scenario and judges it.

use swarm_core::testbed::Mutant;
use swarm_sim::plan::{Op, Plan};
use swarm_sim::property::{Property, Violation};
use swarm_sim::run::{self, Run};
use swarm_sim::trace::{Keep, Kind};

use crate::expect::{Expect, broken};
use crate::scenario::Scenario;

/// What a scenario showed.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The run.
    pub run: Run,
    /// The first thing that did not go as told: a broken promise, or a failed expectation.
    pub failure: Option<Violation>,
}

/// Runs a scenario and judges it, with `mutant` planted if given. At least [`Keep::Story`] is kept: expectations look
/// at it.
#[must_use]
pub fn check(scenario: &Scenario, keep: Keep, mutant: Option<Mutant>) -> Verdict {
    let keep = match keep {
        Keep::Hash | Keep::Story => Keep::Story,
        Keep::All => Keep::All,
    };
    let run = run::run(&scenario.plan, keep, mutant);
    let failure = judge(scenario, &run, &mut |plan| {
        run::run(plan, Keep::Hash, mutant)
    });
    Verdict { run, failure }
}

/// The first thing in `run` that is not as the scenario tells it; `rerun` runs another plan to compare with.
#[must_use]
pub fn judge(
    scenario: &Scenario,
    run: &Run,
    rerun: &mut dyn FnMut(&Plan) -> Run,
) -> Option<Violation> {
    let breaks = scenario
        .expect
        .iter()
        .any(|expect| matches!(expect, Expect::Breaks { .. }));
    if !breaks {
        if let Some(violation) = &run.violation {
            return Some(violation.clone());
        }
        if let Some(missed) = missed_fault(&scenario.plan, run) {
            return Some(missed);
        }
    }
    scenario
        .expect
        .iter()
        .find_map(|expect| broken(expect, &scenario.plan, run, rerun))
}

/// A story whose faults never strike tells nothing.
fn missed_fault(plan: &Plan, run: &Run) -> Option<Violation> {
    let seen = |kind: Kind, id: u32| {
        let mut events = run.trace.events().iter();
        events.any(|event| event.kind == kind && event.a == u64::from(id))
    };
    let missed = plan.faults.iter().find(|fault| {
        let ends = fault.op.has_end();
        let began = seen(Kind::FaultBegan, fault.id) && (!ends || seen(Kind::FaultEnded, fault.id));
        let kept = || seen(Kind::Kept, fault.id);
        !began || (matches!(fault.op, Op::HoldRequests { .. }) && !kept())
    })?;
    let what = format!("expected that every fault strikes; seen: not {missed}");
    let at = run.simulated;
    Some(Violation::new(
        Property::Expectation,
        "missed-fault",
        at,
        what,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::*;
    use crate::script::*;
    use swarm_sim::trace::Trace;

    fn ran(events: &[(Kind, u64)]) -> Run {
        let mut trace = Trace::new(Keep::Story, vec!["m1".into()]);
        for (kind, a) in events {
            trace.add((0, 0, *kind), (*a, 0), 0, String::new);
        }
        Run {
            trace,
            ..Run::default()
        }
    }

    fn signature(script: Script, run: &Run) -> Option<String> {
        let failure = judge(&script.into(), run, &mut |_| Run::default());
        failure.map(|failure| failure.signature())
    }

    #[test]
    fn faults_that_never_strike_are_noticed() {
        let script = Scenario::named("x").kill(primary()).op(Op::Wipe);
        let all = [
            (Kind::FaultBegan, 1),
            (Kind::FaultEnded, 1),
            (Kind::FaultBegan, 2),
        ];
        assert_eq!(signature(script.clone(), &ran(&all)), None);
        for missing in 0..all.len() {
            let mut events = all.to_vec();
            events.remove(missing);
            assert_eq!(
                signature(script.clone(), &ran(&events)).as_deref(),
                Some("expectation.missed-fault"),
                "{missing}"
            );
        }
    }

    #[test]
    fn a_broken_promise_counts_unless_it_is_expected() {
        let mut run = ran(&[]);
        let calm = Scenario::named("x");
        assert_eq!(signature(calm.clone(), &run), None);
        let broken = || calm.clone().expect(breaks("epoch-order"));
        assert_eq!(
            signature(broken(), &run).as_deref(),
            Some("expectation.breaks")
        );
        run.violation = Some(Violation::new(Property::EpochOrder, "", 0, "x"));
        assert_eq!(
            signature(calm.clone(), &run).as_deref(),
            Some("epoch-order")
        );
        assert_eq!(signature(broken(), &run), None);
    }
}
