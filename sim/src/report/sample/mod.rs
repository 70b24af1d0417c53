//! A made-up report that has something in every part, for the look of the page and the tests of it.

use std::collections::BTreeMap;

use swarm_core::testbed::{Mark, Mutant};

use super::latency::latencies;
use super::slice::slice;
use super::svg::timeline;
use super::{
    Batch, CorpusLine, Determinism, Failure, FamilyLine, HostBlock, MutantLine, REPORT_VERSION,
    Report, ScenarioLine, Story, Tool, properties,
};
use crate::judge::Failover;
use crate::plan::{Family, Plan};
use crate::property::{Property, Violation};
use crate::run::{Answers, Coverage};

pub mod stories;

/// What no page, table or file may take for more than text.
pub const HOSTILE: &str = "<script>document.title='owned'</script>\"'&|`]]><img src=x onerror=\"document.title='owned'\">\u{1}\n../..";

/// A campaign in which something went wrong everywhere.
#[must_use]
pub fn report() -> Report {
    let checked = Property::ALL.map(|one| (one, if one == Property::Tunnel { 0 } else { 4_608 }));
    let violated = BTreeMap::from([(Property::SinglePrimary, 3), (Property::Liveness, 1)]);
    Report {
        version: REPORT_VERSION,
        tool: tool(),
        batches: batches(),
        properties: properties::lines(&checked.into(), &violated),
        latency: latency(),
        coverage: coverage(),
        coverage_gate: true,
        families: families(),
        failures: failures(),
        scenarios: scenarios(),
        corpus: corpus(),
        mutants: mutants(),
        determinism: Determinism {
            checked: 236,
            mismatches: Vec::new(),
            canary_caught: Some(true),
            whole: "5d41a0c2b8f0e61977c3de2f90ab3416".to_owned(),
        },
        stories: told(),
        host: host(),
    }
}

/// The same campaign, had nothing gone wrong.
#[must_use]
pub fn good() -> Report {
    let mut report = report();
    report.failures.clear();
    report
        .properties
        .iter_mut()
        .for_each(|line| line.violated = 0);
    report.batches.iter_mut().for_each(|line| line.failed = 0);
    report.families.iter_mut().for_each(|line| line.failed = 0);
    report.scenarios.retain(|line| line.failure.is_empty());
    report.corpus.retain(|line| line.failure.is_empty());
    report.mutants.retain(|line| line.killed_after.is_some());
    report.coverage.marks.retain(|_, times| *times > 0);
    report
        .latency
        .retain(|line| line.worst_of_budget_per_mille <= 1_000);
    report
}

/// A campaign all of whose texts are [`HOSTILE`].
#[must_use]
pub fn hostile() -> Report {
    let bad = || HOSTILE.to_owned();
    let mut report = report();
    let tool = &mut report.tool;
    (tool.version, tool.commit, tool.profile) = (bad(), bad(), bad());
    (tool.rustc, tool.target, tool.build) = (bad(), bad(), bad());
    report.host.written = bad();
    report.host.speed = BTreeMap::from([(bad(), 1.5)]);
    for batch in &mut report.batches {
        batch.seeds = bad();
    }
    for line in &mut report.properties {
        (line.words, line.kind) = (bad(), bad());
    }
    for line in &mut report.latency {
        (line.tier, line.fault) = (bad(), bad());
    }
    report.coverage = Coverage {
        marks: [(bad(), 0), (format!("{HOSTILE}2"), 5)].into(),
        matrix: [(format!("{HOSTILE}/{HOSTILE}"), 5)].into(),
        edges: [(format!("{HOSTILE}:{HOSTILE}/{HOSTILE}"), 5)].into(),
    };
    for line in &mut report.families {
        line.family = bad();
    }
    for failure in &mut report.failures {
        failure.signature = bad();
        (failure.seed, failure.replay, failure.scenario) = (bad(), bad(), bad());
        (failure.faults_needed, failure.slice, failure.pending) = (bad(), vec![bad()], vec![bad()]);
        if let Some(violation) = &mut failure.violation {
            (violation.what, violation.aspect) = (bad(), bad());
        }
    }
    if let Some(failure) = report.failures.first_mut() {
        failure.timeline = format!("<svg ><script>document.title='owned'</script>{HOSTILE}</svg>");
    }
    if let Some(failure) = report.failures.last_mut() {
        let (plan, mut run) = stories::two_primaries();
        run.violation = Some(Violation::new(Property::Failover, HOSTILE, 9, HOSTILE));
        failure.timeline = timeline(&plan, &run);
    }
    for line in &mut report.scenarios {
        (line.name, line.family, line.story) = (bad(), bad(), bad());
        (line.failure, line.replay, line.hash) = (bad(), bad(), bad());
    }
    for line in &mut report.corpus {
        (line.file, line.why, line.failure) = (bad(), bad(), bad());
    }
    for line in &mut report.mutants {
        (line.name, line.words, line.tier, line.signature) = (bad(), bad(), bad(), bad());
    }
    report.determinism.mismatches = vec![bad()];
    report.determinism.whole = bad();
    for story in &mut report.stories {
        (story.title, story.replay) = (bad(), bad());
    }
    report
}

fn tool() -> Tool {
    Tool {
        version: "0.1.0".to_owned(),
        commit: "966c23b70d1e4a5f8f3f6b2a9c1d0e7f65a4b3c2".to_owned(),
        dirty: true,
        rustc: "rustc 1.95.0 (2026-04-14)".to_owned(),
        target: "x86_64-unknown-linux-gnu".to_owned(),
        build: "release".to_owned(),
        profile: "nightly".to_owned(),
    }
}

fn batches() -> Vec<Batch> {
    vec![
        Batch {
            tier: "lab".to_owned(),
            seeds: "0..4096".to_owned(),
            runs: 4_096,
            failed: 3,
            simulated_ms: 2_457_600_000,
            terms: 71_204,
            answers: Answers {
                asked: 9_214_377,
                done: 8_930_112,
                refused: 211_004,
                unknown: 73_261,
            },
            dispatched: 4_410_095,
        },
        Batch {
            tier: "world".to_owned(),
            seeds: "0..512".to_owned(),
            runs: 512,
            failed: 1,
            simulated_ms: 25_600_000,
            terms: 2_381,
            answers: Answers {
                asked: 813_040,
                done: 790_551,
                refused: 16_820,
                unknown: 5_669,
            },
            dispatched: 301_446,
        },
    ]
}

/// Latencies that look drawn, and are not: the `n`th of `count`, bent so that few are slow.
fn drawn(cause: &str, count: u64, (least, most, budget): (u64, u64, u64)) -> Vec<Failover> {
    let failover = |n: u64| {
        let part = n * 1_000 / count;
        let bent = part * part / 1_000 * part / 1_000;
        Failover {
            cause: cause.to_owned(),
            at: 0,
            took_us: least + (most - least) * (part / 4 + bent * 3 / 4) / 1_000,
            budget_us: budget,
        }
    };
    (1..=count).map(failover).collect()
}

fn latency() -> Vec<super::Latency> {
    let lab = [
        drawn("kill", 1_033, (9_100, 61_000, 130_000)),
        drawn("step-down", 987, (7_400, 48_200, 130_000)),
        drawn("power-loss", 1_010, (1_420_000, 2_391_000, 2_452_000)),
        drawn("pause", 1_004, (1_433_000, 2_401_000, 2_452_000)),
    ];
    let world = [
        drawn("isolate", 121, (1_440_000, 2_520_000, 2_462_000)),
        drawn("kill", 130, (14_000, 88_400, 131_000)),
    ];
    let mut lines = latencies("lab", &lab.concat());
    lines.extend(latencies("world", &world.concat()));
    lines
}

fn coverage() -> Coverage {
    let mut coverage = Coverage::default();
    for (index, mark) in (0_u64..).zip(Mark::ALL) {
        let missed = matches!(mark, Mark::RecordMalformed | Mark::MovedOn);
        let times = if missed { 0 } else { 3 + index * index * 977 };
        coverage.marks.insert(format!("{mark:?}"), times);
    }
    let faults = [
        "kill",
        "power-loss",
        "pause",
        "freeze",
        "cut",
        "isolate",
        "slow-writes",
        "lost-replies",
        "wipe",
    ];
    let standings = [
        "primary/acting",
        "primary/lapsed",
        "replica/watching",
        "replica/waiting",
        "replica/claiming",
    ];
    for (row, fault) in (0_u64..).zip(faults) {
        for (column, standing) in (0_u64..).zip(standings) {
            let times = (row * 7 + column * 3 + 2) % 9;
            if times > 0 {
                let times = 10_u64.pow(u32::try_from(times % 6).unwrap_or(0)) * (times + 1);
                coverage.matrix.insert(format!("{fault}/{standing}"), times);
            }
        }
    }
    for (machine, states, inputs) in [
        (
            "election",
            ["watching", "claiming", "acting", "lapsed"],
            ["observed", "swapped", "conflict", "wake"],
        ),
        (
            "proxy",
            ["idle", "held", "sent", "streaming"],
            ["arrived", "answered", "broke", "primary"],
        ),
    ] {
        for (row, state) in (1_u64..).zip(states) {
            for (column, input) in (1_u64..).zip(inputs) {
                if (row, column) != (3, 3) {
                    let edge = format!("{machine}:{state}/{input}");
                    coverage.edges.insert(edge, 40 * row * row * column);
                }
            }
        }
    }
    coverage
}

fn families() -> Vec<FamilyLine> {
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

fn failures() -> Vec<Failure> {
    let (mut minimised, run) = stories::two_primaries();
    (minimised.seed, minimised.phases.faults_ms) = (2_817, 7_000);
    let mut drawn = stories::stormy().0;
    drawn.seed = 2_817;
    let seen = run.violation.clone();
    let event = seen.as_ref().map_or(0, |violation| violation.event);
    let first = Failure {
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
    vec![first, second]
}

fn scenarios() -> Vec<ScenarioLine> {
    let stories = [
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
    (0_u64..)
        .zip(stories)
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

fn corpus() -> Vec<CorpusLine> {
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

fn mutants() -> Vec<MutantLine> {
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

fn told() -> Vec<Story> {
    let story = |title: &str, (plan, run): (Plan, crate::run::Run), replay: &str| Story {
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

fn host() -> HostBlock {
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
