//! Many random runs: seeds handed out to threads, results put together in the order of seeds.
//!
//! Each thread owns whole runs, so that what a campaign finds does not depend on how many threads there are.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use swarm_core::testbed::Mutant;

use crate::judge::Failover;
use crate::plan::{Family, Plan, Profile, Tier};
use crate::property::Violation;
use crate::run::{Answers, Coverage, Run, run};
use crate::stopwatch::Stopwatch;
use crate::trace::{Keep, RunHash, parting};

/// Every so many runs one is made twice, on the same thread with others in between.
pub const RECHECK_EVERY: u64 = 20;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// Where.
    pub tier: Tier,
    /// Which seeds.
    pub seeds: Range<u64>,
    /// How hostile.
    pub profile: Profile,
    /// Threads.
    pub jobs: usize,
    /// No run begins after so much real time.
    pub budget: Option<Duration>,
    /// A planted bug.
    pub mutant: Option<Mutant>,
    /// Whether a share of the runs is made twice.
    pub recheck: bool,
}

/// One run of a campaign.
#[derive(Clone, Debug)]
pub struct Done {
    /// Its seed.
    pub seed: u64,
    /// Over everything that happened in it.
    pub hash: RunHash,
    /// What it broke.
    pub violation: Option<Violation>,
    /// Simulated nanoseconds.
    pub simulated: u64,
    /// Changes of primary.
    pub terms: u64,
    /// Failovers that were measured.
    pub failovers: Vec<Failover>,
    /// Requests.
    pub answers: Answers,
    /// Changes that left for engines.
    pub dispatched: u64,
    /// The families of its faults.
    pub families: Vec<Family>,
    /// Whether it was made twice.
    pub rechecked: bool,
    /// Where the second run parted from the first.
    pub mismatch: Option<String>,
}

/// What a campaign showed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Every run, in the order of seeds.
    pub done: Vec<Done>,
    /// What was reached.
    pub coverage: Coverage,
    /// Real time.
    pub wall: Duration,
}

impl Outcome {
    /// The hash over all runs in the order of seeds.
    #[must_use]
    pub fn hash(&self) -> RunHash {
        let mix = |whole: u128, done: &Done| (whole ^ done.hash.0).wrapping_mul(RunHash::PRIME);
        RunHash(self.done.iter().fold(0, mix))
    }

    /// Runs that broke a promise or were not repeatable.
    #[must_use]
    pub fn failed(&self) -> u64 {
        let bad = |done: &&Done| done.violation.is_some() || done.mismatch.is_some();
        self.done.iter().filter(bad).count() as u64
    }

    /// Simulated seconds for each second of one thread.
    #[must_use]
    pub fn speed(&self, jobs: usize) -> f64 {
        let simulated: u64 = self.done.iter().map(|done| done.simulated).sum();
        let simulated = Duration::from_nanos(simulated).as_secs_f64();
        simulated / (self.wall.as_secs_f64() * jobs as f64).max(1e-9)
    }
}

/// How far a campaign is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Runs that ended.
    pub runs: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Simulated nanoseconds.
    pub simulated: u64,
}

impl Campaign {
    /// The plan of a seed.
    #[must_use]
    pub fn plan(&self, seed: u64) -> Plan {
        Plan::draw(self.tier, seed, self.profile)
    }

    /// Runs everything. `watch` is called after each run.
    pub fn run(&self, mut watch: impl FnMut(&Progress, &Done)) -> Outcome {
        let stopwatch = Stopwatch::start();
        let next = AtomicU64::new(self.seeds.start);
        let mut outcome = Outcome::default();
        std::thread::scope(|scope| {
            let (sender, results) = mpsc::channel();
            for _ in 0..self.jobs.max(1) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    while !self.is_over(&stopwatch) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= self.seeds.end {
                            break;
                        }
                        if sender.send(self.one(seed)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let mut progress = Progress::default();
            for (done, coverage) in results {
                progress.runs += 1;
                progress.simulated += done.simulated;
                let bad = done.violation.is_some() || done.mismatch.is_some();
                progress.failed += u64::from(bad);
                outcome.coverage.add(&coverage);
                watch(&progress, &done);
                outcome.done.push(done);
            }
        });
        outcome.done.sort_by_key(|done| done.seed);
        outcome.wall = stopwatch.elapsed();
        outcome
    }

    fn is_over(&self, stopwatch: &Stopwatch) -> bool {
        self.budget
            .is_some_and(|budget| stopwatch.elapsed() >= budget)
    }

    fn one(&self, seed: u64) -> (Done, Coverage) {
        let plan = self.plan(seed);
        let mut first = run(&plan, Keep::Hash, self.mutant);
        let rechecked = self.recheck && seed.is_multiple_of(RECHECK_EVERY);
        let mismatch = rechecked
            .then(|| {
                // Another run in between: nothing may be left over from it.
                let _ = run(&self.plan(seed.wrapping_add(1)), Keep::Hash, self.mutant);
                difference(&first, &run(&plan, Keep::Hash, self.mutant))
            })
            .flatten();
        let mut families: Vec<Family> = plan.faults.iter().map(|fault| fault.op.family()).collect();
        families.sort_unstable();
        families.dedup();
        let coverage = std::mem::take(&mut first.coverage);
        let done = Done {
            seed,
            hash: first.hash,
            violation: first.violation,
            simulated: first.simulated,
            terms: first.terms.len() as u64,
            failovers: first.failovers,
            answers: first.answers,
            dispatched: first.dispatched,
            families,
            rechecked,
            mismatch,
        };
        (done, coverage)
    }
}

/// Where two runs of the same plan part, in words.
#[must_use]
pub fn difference(one: &Run, other: &Run) -> Option<String> {
    let (from, to) = parting(&one.trace, &other.trace)?;
    Some(format!(
        "hash {} and {}: the first difference is between events {from} and {to}",
        one.hash, other.hash
    ))
}
