//! Lists of the made-up report.

use std::collections::BTreeMap;

use swarm_core::testbed::Mutant;

use super::stories;
use crate::plan::{Family, Plan};
use crate::property::{Property, Violation};
use crate::report::slice::slice;
use crate::report::svg::timeline;
use crate::report::{CorpusLine, Failure, FamilyLine, HostBlock, MutantLine, ScenarioLine, Story};
use crate::run::Run;

pub(super) fn families() -> Vec<FamilyLine> {
    let line = |(index, family): (u64, Family)| FamilyLine {
        family: format!("{family:?}").to_lowercase(),
        runs: 2_400 - index * 97,
        failed: [0, 0, 3, 2, 0, 1, 0, 0, 0, 0, 0]
            .get(usize::try_from(index).unwrap_or(0))
            .copied()
            .unwrap_or(0),
    };
    (0..).zip(Family::ALL).map(line).collect()
}

pub(super) fn failures() -> Vec<Failure> {
    let (mut minimised, run) = stories::two_primaries();
    (minimised.seed, minimised.phases.faults_ms) = (2_817, 7_000);
    let mut drawn = stories::stormy().0;
    drawn.seed = 2_817;
    let seen = run.violation.clone();
    let event = seen.as_ref().map_or(0, |violation| violation.event);
    let first = Failure {
        source: String::new(),
        signature: "single-primary".to_owned(),
        count: 3,
        tier: "lab".to_owned(),
        seed: "2817".to_owned(),
        replay: "swarm-sim replay failures/single-primary/plan.min.json".to_owned(),
        faults_needed: "3 of 41".to_owned(),
        scenario: "scenario(\"two primaries after a pause\")\n    .managers(3)\n    .stores(3)\n    .at(3.2, cut(m(1), s(1)).lasts(5.8))\n    \
                   .at(3.9, pause(m(1)).lasts(3.71))\n    .at(4.1, rate(m(2), 48_000).lasts(5.4))\n    .expect(single_primary())\n"
            .to_owned(),
        slice: slice(&run.trace, event, 30),
        timeline: timeline(&minimised, &run),
        violation: seen,
        plan: Some(drawn),
        minimised: Some(minimised),
        pending: Vec::new(),
    };
    let (plan, run) = stories::store_away();
    let words = "m2 leads nowhere 12.000 s after the last fault: it knows no primary";
    let second = Failure {
        signature: "liveness.no-lead".to_owned(),
        count: 1,
        tier: "world".to_owned(),
        seed: "77".to_owned(),
        violation: Some(Violation::new(
            Property::Liveness,
            "no-lead",
            14_900_000_000,
            words,
        )),
        replay: "swarm-sim replay --tier world --seed 77".to_owned(),
        faults_needed: "1 of 9".to_owned(),
        slice: slice(&run.trace, 0, 12),
        pending: vec![
            "m1: acts in epoch 1, renews in 0.400 s".to_owned(),
            "m2: waits for an answer to a read that was sent at 9.412 s; gives up at 14.412 s"
                .to_owned(),
            "c1: request 81 is held at m2 for want of a primary".to_owned(),
        ],
        timeline: timeline(&plan, &run),
        minimised: Some(plan),
        ..Failure::default()
    };
    let third = Failure {
        signature: "tunnel.left-open".to_owned(),
        count: 1,
        source: "scenario attach-ends".to_owned(),
        tier: "world".to_owned(),
        seed: "1".to_owned(),
        replay: "swarm-sim replay attach-ends".to_owned(),
        ..Failure::default()
    };
    vec![first, second, third]
}

/// Name, family, story, and the failover in microseconds.
const SCENARIOS: [(&str, &str, &str, Option<u64>); 12] = [
    (
        "kill-primary",
        "failover",
        "The primary is killed; its guard gives the lease back and a replica takes over.",
        Some(19_400),
    ),
    (
        "power-loss-primary",
        "failover",
        "The primary's host loses power; a replica takes over when the lease is surely over.",
        Some(2_214_000),
    ),
    (
        "step-down",
        "operator",
        "An operator asks the primary to step down; another manager acts at once.",
        Some(12_800),
    ),
    (
        "rolling-restart",
        "operator",
        "All managers are restarted one after the other; clients see waits and no errors.",
        Some(31_000),
    ),
    (
        "store-away-5s",
        "store",
        "The store is away for five seconds; the epoch stays.",
        None,
    ),
    (
        "store-new-leader",
        "store",
        "The store changes its leader three times; the epoch stays.",
        None,
    ),
    (
        "wall-step-day",
        "clocks",
        "Calendars jump by a day in both directions; roles do not change.",
        None,
    ),
    (
        "paused-zombie",
        "pause",
        "A primary is stopped longer than its lease and wakes up; it changes nothing any more.",
        Some(2_380_000),
    ),
    (
        "create-across-failover",
        "clients",
        "A create is under way when the primary dies; one container exists afterwards.",
        Some(24_100),
    ),
    (
        "events-across-failover",
        "clients",
        "An event stream goes on through ten changes of primary, without a gap or a duplicate.",
        Some(18_900),
    ),
    (
        "attach-ends",
        "clients",
        "An attached terminal ends with its primary instead of hanging.",
        Some(20_200),
    ),
    (
        "engine-gone-and-back",
        "engines",
        "An engine is away for a minute and comes back under its own identity.",
        None,
    ),
];

pub(super) fn scenarios() -> Vec<ScenarioLine> {
    (0_u64..)
        .zip(SCENARIOS)
        .map(|(index, (name, family, story, failover_us))| ScenarioLine {
            name: name.to_owned(),
            family: family.to_owned(),
            story: story.to_owned(),
            failure: if name == "attach-ends" {
                "21.004 s: tunnel: the tunnel of c2 to m1 was still open 1.500 s after m1 had lost its lease".to_owned()
            } else {
                String::new()
            },
            replay: format!("swarm-sim replay {name}"),
            hash: format!("{:032x}", 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128.wrapping_mul(u128::from(index) + 11)),
            failover_us,
            simulated_ms: 20_000 + index * 1_700,
        })
        .collect()
}

pub(super) fn corpus() -> Vec<CorpusLine> {
    let line = |file: &str, why: &str| CorpusLine {
        file: file.to_owned(),
        why: why.to_owned(),
        failure: String::new(),
    };
    vec![
        line(
            "single-primary-1a2b.json",
            "A lease was counted from the answer to its swap.",
        ),
        line(
            "liveness.no-lead-77c0.json",
            "A replica trusted a watch that never returned.",
        ),
        line(
            "one-answer.late-90ff.json",
            "A held request outlived its limit when the store came back in the same instant.",
        ),
    ]
}

pub(super) fn mutants() -> Vec<MutantLine> {
    (0_u64..)
        .zip(Mutant::ALL)
        .map(|(index, mutant)| MutantLine {
            name: format!("{mutant:?}"),
            words: format!(
                "stands in for bug {} of the list of planted bugs",
                index + 1
            ),
            tier: if index < 18 { "lab" } else { "world" }.to_owned(),
            seeds_max: if index < 18 { 256 } else { 48 },
            killed_after: (mutant != Mutant::SkipsVerify).then_some(1 + index * index % 47),
            signature: match index {
                _ if mutant == Mutant::SkipsVerify => "",
                0..8 => "single-primary",
                8..18 => "dispatch-in-lease.no-lease",
                _ => "exactly-once.twice",
            }
            .to_owned(),
        })
        .collect()
}

pub(super) fn told() -> Vec<Story> {
    let story = |title: &str, (plan, run): (Plan, Run), replay: &str| Story {
        title: title.to_owned(),
        replay: replay.to_owned(),
        timeline: timeline(&plan, &run),
    };
    vec![
        story(
            "The fastest failover: a killed primary whose guard lives",
            stories::killed_primary(),
            "swarm-sim replay kill-primary",
        ),
        story(
            "The most faults in one run",
            stories::stormy(),
            "swarm-sim replay --tier lab --seed 311",
        ),
    ]
}

pub(super) fn host() -> HostBlock {
    let by_tier =
        |lab, world| BTreeMap::from([("lab".to_owned(), lab), ("world".to_owned(), world)]);
    HostBlock {
        wall_ms: 873_000,
        jobs: 2,
        written: "2026-11-26T13:40:00Z".to_owned(),
        speed: by_tier(6_140.0, 71.5),
        runs_per_minute: by_tier(614.0, 85.8),
    }
}
