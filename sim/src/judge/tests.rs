//! The judge on true time, step by step.

use super::*;
use crate::plan::{Fault, Host};

const SECOND: u64 = 1_000_000_000;

fn broken(judge: &Judge) -> Option<String> {
    judge.violation().map(Violation::signature)
}

#[test]
fn two_primaries_are_one_too_many() {
    let mut judge = Judge::new(&Plan::default());
    judge.look(0, &[(0, 1)]);
    judge.look(1, &[(0, 1), (1, 2)]);
    assert_eq!(broken(&judge).as_deref(), Some("single-primary"));
}

#[test]
fn outside_the_model_two_may_believe_in_themselves_for_a_lease() {
    let mut plan = Plan::default();
    plan.faults.push(Fault {
        id: 1,
        at_ms: 0,
        lasts_ms: 1,
        op: Op::Wipe,
    });
    let mut judge = Judge::new(&plan);
    judge.look(0, &[(0, 1), (1, 2)]);
    judge.look(2 * SECOND, &[(0, 1), (1, 2)]);
    assert_eq!(broken(&judge), None);
    judge.look(3 * SECOND, &[(0, 1), (1, 2)]);
    assert_eq!(
        broken(&judge).as_deref(),
        Some("single-primary.longer-than-a-lease")
    );
}

#[test]
fn an_epoch_is_never_used_again() {
    let mut judge = Judge::new(&Plan::default());
    judge.look(0, &[(0, 2)]);
    judge.look(1, &[]);
    judge.look(2, &[(0, 2)]);
    assert_eq!(broken(&judge), None, "a lapsed holder resumes its epoch");
    judge.look(3, &[(1, 2)]);
    assert_eq!(broken(&judge).as_deref(), Some("epoch-order"));
}

#[test]
fn a_drill_has_its_budget() {
    let op = Op::Kill {
        host: Host::Primary,
        guard: true,
    };
    let mut judge = Judge::new(&Plan::default());
    judge.look(0, &[(0, 1)]);
    judge.drill_began(SECOND, &op, 0);
    judge.look(SECOND + 20_000_000, &[(1, 2)]);
    assert_eq!(judge.failovers()[0].took_us, 20_000);
    judge.drill_began(2 * SECOND, &op, 1);
    judge.look(3 * SECOND, &[]);
    assert_eq!(broken(&judge).as_deref(), Some("failover.kill"));
}

#[test]
fn a_change_in_calm_weather_needs_a_cause() {
    let mut judge = Judge::new(&Plan::default());
    judge.look(0, &[(0, 1)]);
    judge.calm(1, true);
    judge.look(2, &[(1, 2)]);
    assert_eq!(broken(&judge).as_deref(), Some("stability.outage"));
}

#[test]
fn a_dispatch_needs_its_own_lease() {
    let mut judge = Judge::new(&Plan::default());
    judge.look(0, &[(0, 1)]);
    judge.dispatched_by(1, 0, 1, Some(1));
    assert_eq!(broken(&judge), None);
    judge.released(2, 1);
    judge.dispatched_by(3, 0, 1, Some(1));
    assert_eq!(broken(&judge).as_deref(), Some("release-final"));
    let mut judge = Judge::new(&Plan::default());
    judge.dispatched_by(1, 0, 1, None);
    assert_eq!(
        broken(&judge).as_deref(),
        Some("dispatch-in-lease.no-lease")
    );
}
