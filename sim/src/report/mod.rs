//! What a campaign showed, as data. `report.json` is this; every other report is a view of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::property::Violation;
use crate::run::{Answers, Coverage};

mod cases;
pub mod escape;
pub mod html;
pub mod junit;
pub mod latency;
pub mod properties;
pub mod sample;
pub mod slice;
pub mod summary;
pub mod svg;
mod timeline;
pub mod verdict;
pub mod words;
pub mod write;

pub use verdict::Verdict;

/// The version of the format.
pub const REPORT_VERSION: u32 = 1;

/// Everything a report shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// What was tested with what.
    pub tool: Tool,
    /// Batches of random runs, one for each tier.
    pub batches: Vec<Batch>,
    /// Each promise.
    pub properties: Vec<PropertyLine>,
    /// Failover latency by kind of fault.
    pub latency: Vec<Latency>,
    /// What was reached, over all runs.
    pub coverage: Coverage,
    /// Whether a mark that was never reached is a failure.
    #[serde(default)]
    pub coverage_gate: bool,
    /// Which families of faults the random runs had, and what they found.
    pub families: Vec<FamilyLine>,
    /// Failures, grouped by signature.
    pub failures: Vec<Failure>,
    /// Declared scenarios.
    pub scenarios: Vec<ScenarioLine>,
    /// Minimised plans of former failures.
    pub corpus: Vec<CorpusLine>,
    /// Planted bugs.
    pub mutants: Vec<MutantLine>,
    /// Whether runs repeat.
    pub determinism: Determinism,
    /// Runs worth looking at though nothing failed.
    pub stories: Vec<Story>,
    /// The only part that may differ between two runs of the same campaign.
    pub host: HostBlock,
}

/// Why a text is not a report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Not the JSON of a report.
    #[error("not a report: {0}")]
    Json(#[from] serde_json::Error),
    /// Written by a newer version.
    #[error("the report has version {0}, this program knows versions up to {REPORT_VERSION}")]
    Version(u64),
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// When `text` is not a report or is of a newer version.
    pub fn parse(text: &str) -> Result<Self, ReportError> {
        /// The one field that every version has.
        #[derive(Deserialize)]
        struct Head {
            version: u64,
        }
        // First: a newer report may look different everywhere else.
        let Head { version } = serde_json::from_str(text)?;
        if version > u64::from(REPORT_VERSION) {
            return Err(ReportError::Version(version));
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The text that [`Report::parse`] reads.
    ///
    /// # Errors
    /// When the report holds a number that JSON cannot hold.
    pub fn to_json(&self) -> Result<String, ReportError> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }
}

/// What was tested with what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Of swarm.
    pub version: String,
    /// The commit, or empty.
    pub commit: String,
    /// Whether files differed from the commit.
    pub dirty: bool,
    /// The compiler.
    pub rustc: String,
    /// The target.
    pub target: String,
    /// `debug` or `release`.
    pub build: String,
    /// `pr`, `nightly`, `soak` or `custom`.
    pub profile: String,
}

/// A batch of random runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// `lab` or `world`.
    pub tier: String,
    /// The seeds, as `0..4096`.
    pub seeds: String,
    /// Runs that were made (a budget may end a batch early).
    pub runs: u64,
    /// Runs that broke a promise.
    pub failed: u64,
    /// Simulated time over all runs, in milliseconds.
    pub simulated_ms: u64,
    /// Changes of primary.
    pub terms: u64,
    /// Requests of clients.
    pub answers: Answers,
    /// Changes that left for engines.
    pub dispatched: u64,
}

/// One promise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PropertyLine {
    /// Its name.
    pub name: String,
    /// In words.
    pub words: String,
    /// `safety`, `liveness`, `crash` or `determinism`.
    pub kind: String,
    /// Runs it was checked in.
    pub checked: u64,
    /// The same by tier, and for runs that are not random by what they were.
    #[serde(default)]
    pub checked_in: BTreeMap<String, u64>,
    /// Runs it was broken in.
    pub violated: u64,
}

/// Failover latency of one kind of fault, in microseconds of true time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// `lab` or `world`.
    pub tier: String,
    /// The kind of fault.
    pub fault: String,
    /// How many were measured.
    pub count: u64,
    /// The smallest.
    pub min_us: u64,
    /// Half are below.
    pub p50_us: u64,
    /// 95 % are below.
    pub p95_us: u64,
    /// 99 % are below.
    pub p99_us: u64,
    /// The largest.
    pub max_us: u64,
    /// The largest share of its budget that one took, in per mille.
    pub worst_of_budget_per_mille: u64,
    /// The tightest budget among them.
    pub budget_us: u64,
    /// A few dozen points of the distribution: ascending latencies at equal shares.
    pub curve_us: Vec<u64>,
}

/// One family of faults in random runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FamilyLine {
    /// Its name.
    pub family: String,
    /// Runs that had it.
    pub runs: u64,
    /// Runs that had it and failed.
    pub failed: u64,
}

/// Runs that failed in the same way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Property and aspect.
    pub signature: String,
    /// How many runs failed so.
    pub count: u64,
    /// Where it was found if not in random runs: `scenario drain`, `corpus leaks-1.json`.
    #[serde(default)]
    pub source: String,
    /// The first of them: its tier.
    pub tier: String,
    /// Its seed, as text.
    pub seed: String,
    /// What was broken.
    pub violation: Option<Violation>,
    /// The line that replays it.
    pub replay: String,
    /// The plan as drawn.
    pub plan: Option<Plan>,
    /// The smallest plan that still fails so.
    pub minimised: Option<Plan>,
    /// `3 of 41`: faults needed of faults drawn.
    pub faults_needed: String,
    /// A scenario to paste into `scenarios/`.
    pub scenario: String,
    /// The events that led to it, oldest first, one a line.
    pub slice: Vec<String>,
    /// What everybody waited for, when the run did not recover.
    pub pending: Vec<String>,
    /// The picture of the minimised run, as SVG.
    pub timeline: String,
}

/// A declared scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioLine {
    /// Its name.
    pub name: String,
    /// The group it is listed under.
    pub family: String,
    /// What it tells.
    pub story: String,
    /// Why it failed; empty if it passed.
    pub failure: String,
    /// The line that replays it.
    pub replay: String,
    /// The hash of its run.
    pub hash: String,
    /// The failover it measured, in microseconds.
    pub failover_us: Option<u64>,
    /// Simulated time, in milliseconds.
    pub simulated_ms: u64,
}

/// A plan of the corpus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusLine {
    /// The file.
    pub file: String,
    /// Why it is there.
    pub why: String,
    /// Why it failed; empty if it passed.
    pub failure: String,
}

/// A planted bug.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MutantLine {
    /// Its name.
    pub name: String,
    /// What it does.
    pub words: String,
    /// Which tier hunts it.
    pub tier: String,
    /// How many seeds it has to be noticed in.
    pub seeds_max: u64,
    /// How many it took; none if it was not noticed.
    pub killed_after: Option<u64>,
    /// How it was noticed.
    pub signature: String,
}

/// Whether runs repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Determinism {
    /// How many runs were repeated.
    pub checked: u64,
    /// Runs that differed, with where they parted.
    pub mismatches: Vec<String>,
    /// Whether the planted nondeterminism was caught; none if it was not tried.
    pub canary_caught: Option<bool>,
    /// The hash of everything that was run, in the order of tiers and seeds.
    pub whole: String,
}

/// A run worth looking at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Story {
    /// Its title.
    pub title: String,
    /// The line that replays it.
    pub replay: String,
    /// The picture, as SVG.
    pub timeline: String,
}

/// The machine and its speed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostBlock {
    /// Since the start, in milliseconds.
    pub wall_ms: u64,
    /// Threads.
    pub jobs: u64,
    /// When the report was written, RFC 3339.
    pub written: String,
    /// By tier: simulated seconds for each second of one thread.
    pub speed: BTreeMap<String, f64>,
    /// By tier: runs for each minute of one thread.
    pub runs_per_minute: BTreeMap<String, f64>,
}

#[cfg(test)]
mod tests;
