//! Expectations on runs made by hand: each holds for one and fails for another.

use std::time::Duration;

use swarm_core::testbed::Mark;
use swarm_sim::judge::{Failover, Term};
use swarm_sim::plan::Plan;
use swarm_sim::run::{Answers, Run};
use swarm_sim::trace::{HostId, Keep, Kind, Trace};

use super::broken;
use crate::expect::*;
use crate::scenario::Scenario;
use crate::script::*;

const SECOND: u64 = 1_000_000_000;

/// A run on m1, m2 and c1 of so many seconds.
fn run_of(seconds: u64) -> Run {
    let hosts = ["m1", "m2", "c1"].map(str::to_owned).into();
    Run {
        simulated: seconds * SECOND,
        trace: Trace::new(Keep::Story, hosts),
        ..Run::default()
    }
}

/// Adds an event, its time in milliseconds.
fn add(run: &mut Run, (ms, host, kind): (u64, HostId, Kind), a: u64, text: &str) {
    let at = ms * 1_000_000;
    if kind == Kind::Acting && !run.terms.iter().any(|term| term.epoch == a) {
        run.terms.push(Term { at, host, epoch: a });
    }
    run.trace
        .add((at, host, kind), (a, 200), 0, || text.to_owned());
}

/// m1 acts from 1 s, loses its power at 5 s; m2 acts from 7.1 s; m1 is back at 9 s; the end is at 10 s.
fn failover() -> Run {
    let mut run = run_of(10);
    for (ms, host, kind, a, text) in [
        (0, 0, Kind::Started, 1, ""),
        (0, 1, Kind::Started, 1, ""),
        (1_000, 0, Kind::Acting, 1, ""),
        (1_000, 0, Kind::Log, 3, "Cluster leadership acquired"),
        (5_000, 0, Kind::FaultBegan, 1, ""),
        (5_000, 0, Kind::Ended, 2, ""),
        (7_100, 1, Kind::Acting, 2, ""),
        (7_100, 1, Kind::Log, 3, "New leader elected: m2:4000"),
        (7_101, 1, Kind::Log, 3, "Cluster leadership acquired"),
        (9_000, 0, Kind::FaultEnded, 1, ""),
        (9_000, 0, Kind::Started, 2, ""),
    ] {
        add(&mut run, (ms, host, kind), a, text);
    }
    run
}

fn plan() -> Plan {
    let script = Scenario::named("x").at(2.secs()).power_loss(primary());
    Scenario::from(script).plan
}

fn seen(expect: &Expect, run: &Run) -> Option<String> {
    let violation = broken(expect, &plan(), run, &mut |_| Run::default())?;
    assert_eq!(
        violation.signature(),
        format!("expectation.{}", expect.name())
    );
    Some(violation.what)
}

fn held(expect: Expect, run: &Run) {
    assert_eq!(seen(&expect, run), None);
}

fn fails(expect: Expect, run: &Run, words: &str) {
    assert_eq!(seen(&expect, run).as_deref(), Some(words));
}

#[test]
fn takeovers_are_measured_from_the_fault() {
    let good = failover();
    held(took_over_within_budget(), &good);
    held(took_over_within(1, 2_100.ms()), &good);
    fails(
        took_over_within(1, 2_099.ms()),
        &good,
        "expected a takeover within 2.099 s after fault 1; seen: it took 2.100 s after fault 1, \
         allowed are 2.099 s",
    );
    let mut late = failover();
    late.terms[1].at = 8 * SECOND;
    assert!(seen(&took_over_within_budget(), &late).is_some());
    late.terms.pop();
    assert!(seen(&took_over_within_budget(), &late).is_some());
    fails(
        took_over_within(2, 1.secs()),
        &good,
        "expected a takeover within 1 s after fault 2; seen: fault 2 never began",
    );
}

#[test]
fn a_story_without_a_loss_of_the_primary_measures_nothing() {
    let calm = Plan::default();
    let nothing = broken(&took_over_within_budget(), &calm, &failover(), &mut |_| {
        Run::default()
    });
    assert!(nothing.is_some());
    let mut drilled = failover();
    let mut failover = Failover {
        cause: "kill".into(),
        at: 0,
        took_us: 10,
        budget_us: 10,
    };
    drilled.failovers.push(failover.clone());
    let measured = |run: &Run| {
        broken(&took_over_within_budget(), &calm, run, &mut |_| {
            Run::default()
        })
    };
    assert_eq!(measured(&drilled), None);
    failover.took_us = 11;
    drilled.failovers.push(failover);
    assert!(measured(&drilled).is_some());
}

#[test]
fn terms_are_counted_and_told() {
    let run = failover();
    held(terms(2), &run);
    held(terms_at_least(2), &run);
    held(epochs_increase(), &run);
    fails(
        terms(1),
        &run,
        "expected exactly 1 terms; seen: m1 in epoch 1 from 1.000 s, m2 in epoch 2 from 7.100 s",
    );
    assert!(seen(&terms_at_least(3), &run).is_some());
    assert!(seen(&keeps_its_epoch(), &run).is_some());
    held(last_primary_is(Who::Manager(2)), &run);
    held(last_primary_is(Who::LastPrimary), &run);
    assert!(seen(&last_primary_is(Who::FirstPrimary), &run).is_some());
    let mut back = failover();
    back.terms[1].epoch = 1;
    assert!(seen(&epochs_increase(), &back).is_some());
    fails(
        keeps_its_epoch(),
        &run_of(1),
        "expected that one manager keeps one epoch; seen: nobody acted",
    );
}

#[test]
fn the_old_primary_must_run_and_not_act() {
    held(old_primary_is_replica(), &failover());
    let mut gone = failover();
    add(&mut gone, (9_500, 0, Kind::Ended), 0, "");
    fails(
        old_primary_is_replica(),
        &gone,
        "expected that the first primary ends as a replica; seen: it does not run and these act at \
         the end: [\"m2\"]",
    );
    let mut again = failover();
    add(&mut again, (9_200, 1, Kind::Idle), 2, "");
    assert!(seen(&old_primary_is_replica(), &again).is_some());
    add(&mut again, (9_300, 0, Kind::Acting), 3, "");
    assert!(seen(&old_primary_is_replica(), &again).is_some());
}

#[test]
fn times_without_a_primary_are_measured() {
    let run = failover();
    held(nobody_acts_for(2_100.ms()), &run);
    assert!(seen(&nobody_acts_for(2_101.ms()), &run).is_some());
    held(never_without_primary_for(2_100.ms()), &run);
    fails(
        never_without_primary_for(2.secs()),
        &run,
        "expected a primary at all times but for 2 s; seen: nobody acted from 5.000 s to 7.100 s",
    );
    held(stops_within(1, 1.ms()), &run);
    held(acts_within(1, 0.ms()), &run);
    let mut idle = failover();
    add(&mut idle, (8_000, 1, Kind::Idle), 2, "");
    assert!(seen(&acts_within(1, 500.ms()), &idle).is_some());
    add(&mut idle, (9_400, 1, Kind::Acting), 2, "");
    held(acts_within(1, 400.ms()), &idle);
    assert!(seen(&acts_within(1, 399.ms()), &idle).is_some());
    assert!(seen(&never_without_primary_for(Duration::ZERO), &run_of(1)).is_some());
}

#[test]
fn who_is_hit_must_stop_in_time() {
    let mut run = run_of(10);
    add(&mut run, (1_000, 0, Kind::Acting), 1, "");
    add(&mut run, (2_000, 0, Kind::FaultBegan), 1, "");
    add(&mut run, (3_500, 0, Kind::Idle), 1, "");
    held(stops_within(1, 1_500.ms()), &run);
    fails(
        stops_within(1, 1_499.ms()),
        &run,
        "expected that who acts when fault 1 begins stops within 1.499 s; seen: m1 acts for \
         another 1.500 s",
    );
}

#[test]
fn two_that_believe_in_themselves_are_seen() {
    let one = failover();
    assert!(seen(&two_believe_for_at_most(2.secs()), &one).is_some());
    let mut two = run_of(10);
    add(&mut two, (1_000, 0, Kind::Acting), 1, "");
    add(&mut two, (2_000, 1, Kind::Acting), 2, "");
    add(&mut two, (2_500, 0, Kind::Idle), 1, "");
    held(two_believe_for_at_most(500.ms()), &two);
    fails(
        two_believe_for_at_most(499.ms()),
        &two,
        "expected that two believe in themselves, for at most 0.499 s; seen: the longest time with \
         two is 0.500 s",
    );
}

#[test]
fn log_lines_are_found_where_and_when_they_are() {
    let run = failover();
    let acquired = "leadership acquired";
    held(logs(Who::FirstPrimary, acquired), &run);
    held(logs(Who::Manager(2), "New leader elected: m2"), &run);
    fails(
        logs(Who::Manager(1), "New leader"),
        &run,
        "expected that m1 logs \"New leader\"; seen: no such line",
    );
    held(logs_times(Who::Anybody, acquired, 2), &run);
    held(never_logs(Who::Anybody, "ERROR"), &run);
    fails(
        never_logs(Who::Manager(2), acquired),
        &run,
        "expected that m2 logs \"leadership acquired\" 0 times; seen: 1 such lines",
    );
    held(logs_within(Who::LastPrimary, acquired, 1, 2_101.ms()), &run);
    assert!(
        seen(
            &logs_within(Who::LastPrimary, acquired, 1, 2_100.ms()),
            &run
        )
        .is_some()
    );
    assert!(seen(&logs_within(Who::FirstPrimary, acquired, 1, 9.secs()), &run).is_some());
}

/// A client asks at `asked` seconds and is answered a millisecond later.
fn ask(run: &mut Run, asked: u64, status: u64) {
    let (at, id) = (asked * SECOND, run.trace.len() + 100);
    run.trace.add((at, 2, Kind::Asked), (id, 0), 0, String::new);
    run.trace.add(
        (at + 1_000_000, 2, Kind::Answered),
        (id, status),
        0,
        String::new,
    );
}

#[test]
fn answers_are_counted() {
    let mut run = run_of(10);
    run.answers = Answers {
        asked: 10,
        done: 10,
        refused: 0,
        unknown: 1,
    };
    held(done_at_least(10), &run);
    assert!(seen(&done_at_least(11), &run).is_some());
    held(unknown_at_most(1), &run);
    assert!(seen(&unknown_at_most(0), &run).is_some());
    fails(
        no_request_failed(),
        &run,
        "expected that no request fails; seen: nobody asked",
    );
    ask(&mut run, 2, 503);
    ask(&mut run, 4, 200);
    ask(&mut run, 5, 404);
    held(no_request_failed(), &run);
    assert!(
        seen(&refused_at_least(1), &run).is_some(),
        "the warm-up does not count"
    );
    ask(&mut run, 6, 0);
    fails(
        no_request_failed(),
        &run,
        "expected that no request fails; seen: one, asked at 6.000 s, ended in 0",
    );
    assert!(
        seen(&told_unknown(), &run).is_some(),
        "a broken connection tells nothing"
    );
    ask(&mut run, 7, 502);
    held(told_unknown(), &run);
    held(refused_at_most(0), &run);
    ask(&mut run, 8, 503);
    held(refused_at_least(1), &run);
    held(refused_at_most(1), &run);
    assert!(seen(&refused_at_most(0), &run).is_some());
    assert!(seen(&refused_at_least(2), &run).is_some());
}

#[test]
fn answers_are_timed() {
    let mut run = run_of(10);
    add(&mut run, (1_000, 2, Kind::FaultBegan), 1, "");
    add(&mut run, (2_000, 2, Kind::Asked), 7, "");
    add(&mut run, (2_300, 2, Kind::Answered), 7, "");
    held(answered_within(300.ms()), &run);
    fails(
        answered_within(299.ms()),
        &run,
        "expected answers within 0.299 s; seen: one took 0.300 s, asked at 2.000 s",
    );
    held(slowest_takes(300.ms()), &run);
    fails(
        slowest_takes(301.ms()),
        &run,
        "expected a request that takes 0.301 s; seen: the slowest took 0.300 s",
    );
    held(serves_within(1, 1_300.ms()), &run);
    assert!(seen(&serves_within(1, 1_299.ms()), &run).is_some());
    assert!(seen(&serves_again_within(1, 9.secs()), &run).is_some());
    add(&mut run, (2_000, 2, Kind::FaultEnded), 1, "");
    held(serves_again_within(1, 300.ms()), &run);
    let silent = run_of(1);
    assert!(seen(&answered_within(1.secs()), &silent).is_some());
    assert!(seen(&slowest_takes(0.secs()), &silent).is_some());
}

#[test]
fn what_was_reached_is_counted() {
    let mut run = failover();
    run.dispatched = 3;
    held(dispatches_at_least(3), &run);
    assert!(seen(&dispatches_at_least(4), &run).is_some());
    held(starts_at_least(3), &run);
    assert!(seen(&starts_at_least(4), &run).is_some());
    assert!(seen(&reaches(Mark::Held), &run).is_some());
    assert!(
        seen(&never_reaches(Mark::Held), &run).is_some(),
        "a mark that nobody counts"
    );
    run.coverage.marks.insert("Held".into(), 0);
    held(never_reaches(Mark::Held), &run);
    run.coverage.marks.insert("Held".into(), 1);
    held(reaches(Mark::Held), &run);
    assert!(seen(&never_reaches(Mark::Held), &run).is_some());
    assert!(seen(&meets("kill/primary"), &run).is_some());
    run.coverage.met("kill", "primary", "acting");
    held(meets("kill/primary"), &run);
}

#[test]
fn another_run_without_some_faults_must_have_the_same_terms() {
    let script = Scenario::named("x").kill(primary());
    let script = script.at(3.secs()).wall_step(replica(), 86_400);
    let plan = Scenario::from(script).plan;
    let expect = same_terms_without(&["wall-step"]);
    let run = failover();
    let mut asked = Vec::new();
    let same = broken(&expect, &plan, &run, &mut |plan| {
        asked.push(plan.clone());
        failover()
    });
    assert_eq!(same, None);
    assert_eq!(
        (asked[0].faults.len(), asked[0].phases.faults_ms),
        (1, 3_000)
    );
    let differs = broken(&expect, &plan, &run, &mut |_| Run::default());
    assert!(differs.is_some());
    let nothing = broken(&same_terms_without(&["wipe"]), &plan, &run, &mut |_| {
        failover()
    });
    assert!(nothing.is_some(), "nothing to leave out");
}
