//! Clients of every kind in a whole world, and what they notice when a rule is taken out.

use swarm_core::testbed::{Mark, Mutant};

use crate::plan::{Fault, Host, How, Knobs, Op, Phases, Plan, Way, Workload};
use crate::run::{Run, run};
use crate::trace::Keep;

const NOBODY: Workload = Workload {
    readers: 0,
    writers: 0,
    streams: 0,
    attachers: 0,
    uploaders: 0,
    movers: 0,
    keepers: 0,
    pace_ms: 50,
};

/// Clients of each kind; `m1` has two.
const ALL: Workload = Workload {
    readers: 1,
    writers: 2,
    streams: 1,
    attachers: 2,
    uploaders: 1,
    movers: 0,
    keepers: 0,
    pace_ms: 100,
};

fn plan(seed: u64, workload: Workload, faults: Vec<(u64, u64, Op)>) -> Plan {
    Plan {
        seed,
        workload,
        faults: Fault::numbered(faults),
        knobs: Knobs {
            tick_ms: 5,
            ..Knobs::default()
        },
        phases: Phases {
            warm_up_ms: 1_000,
            faults_ms: 0,
            recovery_ms: 4_000,
            proof_ms: 3_000,
        },
        ..Plan::default()
    }
}

fn step_down() -> Op {
    Op::StepDown {
        host: Host::Primary,
    }
}

fn kill(guard: bool) -> Op {
    Op::Kill {
        host: Host::Primary,
        guard,
    }
}

/// What the primary says to two of the others does not arrive.
fn speechless(to: Host) -> Op {
    Op::Cut {
        from: Host::Primary,
        to,
        way: Way::Forth,
        how: How::Hold,
    }
}

fn outcome(plan: &Plan, mutant: Option<Mutant>) -> Run {
    run(plan, Keep::Hash, mutant)
}

/// Nothing is wrong with `plan`, and with `mutant` one of `signatures` is.
fn notices(plan: &Plan, mutant: Mutant, signatures: &[&str]) {
    let calm = outcome(plan, None);
    assert_eq!(calm.violation, None, "without {mutant:?}");
    let violation = outcome(plan, Some(mutant)).violation;
    let signature = violation
        .as_ref()
        .map(crate::property::Violation::signature);
    let noticed = signature.is_some_and(|signature| signatures.contains(&signature.as_str()));
    assert!(noticed, "{mutant:?}: {violation:?}");
}

#[test]
fn in_calm_weather_every_client_is_served_and_nothing_is_wrong() {
    let run = outcome(&plan(1, ALL, vec![]), None);
    assert_eq!(run.violation, None);
    assert!(run.answers.done > 100, "{:?}", run.answers);
    assert_eq!(run.answers.unknown, 0, "{:?}", run.answers);
}

#[test]
fn failovers_of_all_kinds_break_no_promise_to_clients() {
    let faults = vec![
        (500, 0, step_down()),
        (2_500, 2_000, kill(true)),
        (5_500, 4_000, kill(false)),
    ];
    let run = outcome(&plan(2, ALL, faults), None);
    assert_eq!(run.violation, None);
    assert_eq!(run.terms.len(), 4, "{:?}", run.terms);
    let resumed = format!("{:?}", Mark::StreamResumed);
    assert!(run.coverage.marks[&resumed] > 0);
}

#[test]
fn repeated_and_skipped_events_are_noticed() {
    let workload = Workload {
        writers: 6,
        streams: 3,
        ..NOBODY
    };
    // What happens between two primaries is what can be skipped: several of them leave no doubt.
    let faults = vec![
        (500, 0, step_down()),
        (1_500, 0, step_down()),
        (2_500, 4_000, kill(false)),
    ];
    let plan = plan(3, workload, faults);
    notices(&plan, Mutant::RepeatsEvents, &["event-stream.twice"]);
    let violation = outcome(&plan, Some(Mutant::SkipsEvents)).violation;
    let signature = violation.map(|violation| violation.signature());
    assert_eq!(signature.as_deref(), Some("event-stream.gap"));
}

#[test]
fn tunnels_that_stay_open_are_noticed() {
    let workload = Workload {
        attachers: 3,
        ..NOBODY
    };
    let plan = plan(4, workload, vec![(2_000, 0, step_down())]);
    notices(&plan, Mutant::KeepsTunnels, &["tunnel.kept"]);
}

#[test]
fn a_create_that_passes_the_gate_only_once_is_noticed() {
    let workload = Workload {
        writers: 9,
        ..NOBODY
    };
    let times = [500, 2_000, 3_500, 5_000];
    let plan = plan(5, workload, times.map(|at| (at, 0, step_down())).into());
    let signatures = [
        "dispatch-in-lease.no-lease",
        "dispatch-in-lease.old-epoch",
        "release-final",
    ];
    notices(&plan, Mutant::GateSkippedOnSecondStep, &signatures);
}

#[test]
fn forgotten_keys_are_noticed() {
    let workload = Workload {
        writers: 9,
        ..NOBODY
    };
    let faults = vec![
        (1_000, 5_000, speechless(Host::Replica)),
        (1_000, 5_000, speechless(Host::SecondReplica)),
        (1_500, 0, step_down()),
    ];
    let plan = plan(6, workload, faults);
    let found = format!("{:?}", Mark::KeyFound);
    assert!(outcome(&plan, None).coverage.marks[&found] > 0);
    let signatures = ["exactly-once.twice", "outcome-truth.rejected"];
    notices(&plan, Mutant::ForgetsKeys, &signatures);
}

#[test]
fn lies_about_outcomes_are_noticed() {
    let workload = Workload {
        writers: 6,
        pace_ms: 500,
        ..NOBODY
    };
    // Three times as long as the primary is believed to be alive: so often what may be repeated is sent.
    let faults = vec![
        (1_000, 50_000, speechless(Host::Replica)),
        (1_000, 50_000, speechless(Host::SecondReplica)),
    ];
    let mut plan = plan(7, workload, faults);
    plan.knobs.primary_wait_ms = 3_000;
    notices(&plan, Mutant::LiesAboutOutcome, &["outcome-truth.not-done"]);
}
