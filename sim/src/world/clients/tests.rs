//! Clients of every kind in a whole world.

use swarm_core::testbed::Mutant;

use crate::plan::{Fault, Host, Op, Plan, Workload};
use crate::run::{Run, run};
use crate::trace::Keep;

/// One client of each kind at each of three managers.
const ALL: Workload = Workload {
    readers: 1,
    writers: 3,
    streams: 2,
    attachers: 2,
    uploaders: 1,
    pace_ms: 50,
};

fn plan(seed: u64, workload: Workload, faults: Vec<(u64, u64, Op)>) -> Plan {
    let faults = (1..).zip(faults);
    let faults = faults.map(|(id, (at_ms, lasts_ms, op))| Fault {
        id,
        at_ms,
        lasts_ms,
        op,
    });
    Plan {
        seed,
        workload,
        faults: faults.collect(),
        ..Plan::default()
    }
}

fn outcome(plan: &Plan, mutant: Option<Mutant>) -> Run {
    run(plan, Keep::Hash, mutant)
}

#[test]
fn in_calm_weather_every_client_is_served_and_nothing_is_wrong() {
    let run = outcome(&plan(1, ALL, vec![]), None);
    assert_eq!(run.violation, None);
    assert!(run.answers.done > 500, "{:?}", run.answers);
    assert_eq!(run.answers.unknown, 0, "{:?}", run.answers);
}

#[test]
fn failovers_of_all_kinds_break_no_promise_to_clients() {
    let primary = || Host::Primary;
    let faults = vec![
        (1_000, 0, Op::StepDown { host: primary() }),
        (
            4_000,
            3_000,
            Op::Kill {
                host: primary(),
                guard: true,
            },
        ),
        (
            9_000,
            6_000,
            Op::Kill {
                host: primary(),
                guard: false,
            },
        ),
    ];
    let run = outcome(&plan(2, ALL, faults), None);
    assert_eq!(run.violation, None);
    assert!(run.terms.len() >= 4, "{:?}", run.terms);
}
