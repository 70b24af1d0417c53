//! Puts a report together from what was run.

use std::collections::BTreeMap;
use std::process::Command;

use crate::campaign::{Campaign, Outcome};
use crate::findings::{Workshop, failures};
use crate::judge::Failover;
use crate::plan::{Family, Profile};
use crate::property::Property;
use crate::report::{Batch, FamilyLine, REPORT_VERSION, Report, Tool, latency, properties};
use crate::run::Answers;
use crate::stopwatch::Stopwatch;

/// A report without anything in it yet.
pub(super) fn empty(profile: &str) -> Report {
    Report {
        version: REPORT_VERSION,
        tool: tool(profile),
        ..Report::default()
    }
}

/// The first line of what a program prints, if it is there and succeeds.
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output
        .status
        .success()
        .then(|| text.lines().next().unwrap_or_default().to_owned())
}

/// The commit of the tree this runs in; empty outside one.
pub(super) fn commit() -> String {
    first_line("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_default()
}

fn tool(profile: &str) -> Tool {
    Tool {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: commit(),
        dirty: first_line("git", &["status", "--porcelain"]).is_some_and(|line| !line.is_empty()),
        rustc: first_line("rustc", &["--version"]).unwrap_or_default(),
        target: format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS),
        build: if cfg!(debug_assertions) {
            "debug"
        } else {
            "optimised"
        }
        .to_owned(),
        profile: profile.to_owned(),
    }
}

/// Adds a campaign of random runs: its numbers, its failures, what it reached.
pub(super) fn add_campaign(
    report: &mut Report,
    campaign: &Campaign,
    outcome: &Outcome,
    workshop: Workshop<'_>,
) {
    let tier = campaign.tier.name();
    let mut answers = Answers::default();
    for done in &outcome.done {
        answers.add(&done.answers);
    }
    let sum = |number: fn(&crate::campaign::Done) -> u64| outcome.done.iter().map(number).sum();
    report.batches.push(Batch {
        tier: tier.to_owned(),
        seeds: format!("{}..{}", campaign.seeds.start, campaign.seeds.end),
        runs: outcome.done.len() as u64,
        failed: outcome.failed(),
        simulated_ms: outcome
            .done
            .iter()
            .map(|done| done.simulated / 1_000_000)
            .sum(),
        terms: sum(|done| done.terms),
        answers,
        dispatched: sum(|done| done.dispatched),
    });
    let failovers: Vec<Failover> = outcome
        .done
        .iter()
        .flat_map(|done| done.failovers.iter().cloned())
        .collect();
    report.latency.extend(latency::latencies(tier, &failovers));
    report.coverage.add(&outcome.coverage);
    add_families(report, outcome);
    report
        .failures
        .extend(failures(campaign, outcome, workshop));
    let determinism = &mut report.determinism;
    determinism.checked += outcome.done.iter().filter(|done| done.rechecked).count() as u64;
    for done in &outcome.done {
        if let Some(mismatch) = &done.mismatch {
            let line = format!("{tier}:{}: {mismatch}", done.seed);
            determinism.mismatches.push(line);
        }
    }
    determinism.whole.push_str(&outcome.hash().to_string());
    let speed = outcome.speed(campaign.jobs);
    report.host.speed.insert(tier.to_owned(), speed);
    let minutes = outcome.wall.as_secs_f64() * campaign.jobs as f64 / 60.0;
    let rate = outcome.done.len() as f64 / minutes.max(1e-9);
    report.host.runs_per_minute.insert(tier.to_owned(), rate);
}

fn add_families(report: &mut Report, outcome: &Outcome) {
    let mut lines: BTreeMap<Family, (u64, u64)> = BTreeMap::new();
    for done in &outcome.done {
        for family in &done.families {
            let line = lines.entry(*family).or_default();
            line.0 += 1;
            line.1 += u64::from(done.violation.is_some());
        }
    }
    for (family, (runs, failed)) in lines {
        let name = family.name();
        match report.families.iter_mut().find(|line| line.family == name) {
            Some(line) => {
                line.runs += runs;
                line.failed += failed;
            }
            None => report.families.push(FamilyLine {
                family: name.to_owned(),
                runs,
                failed,
            }),
        }
    }
}

/// Fills in what follows from the rest.
pub(super) fn finish(report: &mut Report, jobs: usize, stopwatch: &Stopwatch) {
    let mut violated: BTreeMap<Property, u64> = BTreeMap::new();
    for failure in &report.failures {
        if let Some(violation) = &failure.violation {
            *violated.entry(violation.property).or_default() += failure.count;
        }
    }
    report.properties = properties::lines(&checked(report), &violated);
    report.host.jobs = jobs as u64;
    report.host.wall_ms = u64::try_from(stopwatch.elapsed().as_millis()).unwrap_or(u64::MAX);
    report.host.written = written();
}

/// In how many runs each promise was looked at: random runs by tier, declared plans, and runs that were repeated.
fn checked(report: &Report) -> BTreeMap<&'static str, BTreeMap<Property, u64>> {
    let runs = |tier: &str| -> u64 {
        let batches = report.batches.iter().filter(|batch| batch.tier == tier);
        batches.map(|batch| batch.runs).sum()
    };
    let scenarios = report.scenarios.len() as u64;
    let declared = scenarios + report.corpus.len() as u64;
    let (lab, world) = (runs("lab"), runs("world"));
    let count = |property: Property| match property {
        Property::Determinism => [0, 0, 0, report.determinism.checked],
        Property::Expectation => [0, 0, scenarios, 0],
        Property::EventStream | Property::Tunnel | Property::Leaks | Property::ErrorLog => {
            [0, world, declared, 0]
        }
        Property::SinglePrimary
        | Property::EpochOrder
        | Property::DispatchInLease
        | Property::ReleaseFinal
        | Property::Failover
        | Property::Liveness
        | Property::Stability
        | Property::OneAnswer
        | Property::OutcomeTruth
        | Property::ExactlyOnce
        | Property::NoLoop
        | Property::StoreLoad
        | Property::NoPanic => [lab, world, declared, 0],
    };
    let mut places: BTreeMap<&'static str, BTreeMap<Property, u64>> = BTreeMap::new();
    for property in Property::ALL {
        let names = ["lab", "world", "declared", "repeated"];
        for (name, runs) in names.into_iter().zip(count(property)) {
            if runs > 0 {
                places.entry(name).or_default().insert(property, runs);
            }
        }
    }
    places
}

#[expect(
    clippy::disallowed_methods,
    reason = "the date of a report, which no run depends on"
)]
fn written() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = since.map_or(0, swarm_core::time::nanos);
    swarm_core::time::Wall(now).rfc3339()
}

/// What a profile asks for: seeds in the lab, seeds in the world, runs that may be spent on each failure.
pub(super) const fn extent(profile: Profile) -> (u64, u64, u32) {
    match profile {
        Profile::Pr => (2_000, 40, 200),
        Profile::Nightly => (100_000, 1_000, 400),
        Profile::Soak => (1_000_000, 10_000, 1_000),
    }
}
