//! One run of one plan, in either tier, and what it showed.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Deserialize, Serialize};
use swarm_core::testbed::{Mark, Mutant, plant, reached_marks, reset_marks};

use crate::judge::{Failover, Term};
use crate::plan::{Plan, Tier};
use crate::property::{Property, Violation};
use crate::trace::{Keep, RunHash, Trace};
use crate::{lab, world};

/// How requests of clients ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Asked.
    pub asked: u64,
    /// Answered with success.
    pub done: u64,
    /// Answered that nothing was carried out.
    pub refused: u64,
    /// Answered that the outcome is unknown, or the connection broke.
    pub unknown: u64,
}

impl Answers {
    /// Adds another run's numbers.
    pub fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.done += other.done;
        self.refused += other.refused;
        self.unknown += other.unknown;
    }
}

/// What was reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// How often each mark was reached, by its name.
    pub marks: BTreeMap<String, u64>,
    /// How often a kind of fault met a role in a standing: `kill/primary/acting`.
    pub matrix: BTreeMap<String, u64>,
    /// How often a machine in a state took an input: `election:acting/observed`.
    pub edges: BTreeMap<String, u64>,
}

impl Coverage {
    /// Adds another run's numbers.
    pub fn add(&mut self, other: &Self) {
        for (to, from) in [
            (&mut self.marks, &other.marks),
            (&mut self.matrix, &other.matrix),
            (&mut self.edges, &other.edges),
        ] {
            for (name, count) in from {
                *to.entry(name.clone()).or_default() += count;
            }
        }
    }

    /// Counts that a kind of fault met a role in a standing.
    pub fn met(&mut self, fault: &str, role: &str, standing: &str) {
        let cell = format!("{fault}/{role}/{standing}");
        *self.matrix.entry(cell).or_default() += 1;
    }
}

/// What a run showed.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The first broken promise.
    pub violation: Option<Violation>,
    /// Over everything that happened.
    pub hash: RunHash,
    /// Simulated time, in nanoseconds.
    pub simulated: u64,
    /// Who acted, oldest first.
    pub terms: Vec<Term>,
    /// Failovers that were measured.
    pub failovers: Vec<Failover>,
    /// Requests of clients.
    pub answers: Answers,
    /// Changes that left for engines.
    pub dispatched: u64,
    /// What was reached.
    pub coverage: Coverage,
    /// What everybody waited for when a run did not recover.
    pub pending: Vec<String>,
    /// What happened, as far as it was kept.
    pub trace: Trace,
}

thread_local! {
    static RUNNING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in the middle of a run: a panic there is a finding, not a failure of the program.
#[must_use]
pub fn is_running() -> bool {
    RUNNING.get()
}

/// Runs `plan`, with `mutant` planted if given. Never panics: a panic of the code under test is a violation.
#[must_use]
pub fn run(plan: &Plan, keep: Keep, mutant: Option<Mutant>) -> Run {
    let _planted = plant(mutant);
    reset_marks();
    let tier = match plan.tier {
        Tier::Lab => lab::run,
        Tier::World => world::run,
    };
    let before = RUNNING.replace(true);
    let caught = catch_unwind(AssertUnwindSafe(|| tier(plan, keep)));
    RUNNING.set(before);
    let mut run = caught.unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without words".to_owned());
        Run {
            violation: Some(Violation::new(Property::NoPanic, "", 0, what)),
            ..Run::default()
        }
    });
    for (mark, count) in Mark::ALL.into_iter().zip(reached_marks()) {
        run.coverage.marks.insert(format!("{mark:?}"), count);
    }
    run
}
