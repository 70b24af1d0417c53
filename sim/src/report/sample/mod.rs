//! A made-up report that has something in every part, for the look of the page and the tests of it.

use std::collections::BTreeMap;

use swarm_core::testbed::Mark;

use self::lines::{corpus, failures, families, host, mutants, scenarios, told};
use super::latency::latencies;
use super::svg::timeline;
use super::{Batch, Determinism, Latency, REPORT_VERSION, Report, Tool, properties};
use crate::judge::Failover;
use crate::property::{Property, Violation};
use crate::run::{Answers, Coverage};

mod lines;
pub mod stories;

/// What no page, table or file may take for more than text.
pub const HOSTILE: &str = "<script>document.title='owned'</script>\"'&|`]]><img src=x onerror=\"document.title='owned'\">\u{1}\n../..";

/// Promises that the lab does not check.
const IN_WORLD_ONLY: [Property; 5] = [
    Property::EventStream,
    Property::StoreLoad,
    Property::Leaks,
    Property::ErrorLog,
    Property::NoLoop,
];

/// A campaign in which something went wrong everywhere.
#[must_use]
pub fn report() -> Report {
    let checked = BTreeMap::from([
        ("lab", checked(&[], 4_096)),
        ("world", checked(&IN_WORLD_ONLY, 512)),
    ]);
    let violated = BTreeMap::from([(Property::SinglePrimary, 3), (Property::Liveness, 1)]);
    Report {
        version: REPORT_VERSION,
        tool: tool(),
        batches: batches(),
        properties: properties::lines(&checked, &violated),
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

/// Every promise but those of whole campaigns, and `more`.
fn checked(more: &[Property], runs: u64) -> BTreeMap<Property, u64> {
    let left_out = [
        Property::Tunnel,
        Property::Determinism,
        Property::Expectation,
    ];
    let in_world = |one: &Property| !IN_WORLD_ONLY.contains(one) || more.contains(one);
    let all = Property::ALL.into_iter().filter(in_world);
    all.filter(|one| !left_out.contains(one))
        .map(|one| (one, runs))
        .collect()
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

fn latency() -> Vec<Latency> {
    let lab = [
        drawn("kill", 1_033, (9_100, 61_000, 130_000)),
        drawn("step-down", 987, (7_400, 48_200, 130_000)),
        drawn("power-loss", 1_010, (1_420_000, 2_391_000, 2_452_000)),
        drawn("pause", 1_004, (1_433_000, 2_401_000, 2_452_000)),
    ];
    let world = [
        drawn("isolate", 121, (1_440_000, 2_441_000, 2_462_000)),
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
