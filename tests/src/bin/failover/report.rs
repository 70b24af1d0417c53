//! What all rounds together show.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};
use swarm_tests::fault::Fault;

use crate::options::Options;
use crate::rounds::Outcome;

pub(crate) struct Report {
    lease: Duration,
    outcomes: BTreeMap<Fault, Vec<Outcome>>,
    pub(crate) creates: Creates,
}

/// Creates by what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Creates {
    /// Answered 201.
    pub(crate) acknowledged: usize,
    /// Answered otherwise.
    pub(crate) refused: usize,
    /// Acknowledged, and on no engine.
    pub(crate) lost: usize,
    /// Sent once, done more than once.
    pub(crate) doubled: usize,
}

impl Report {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            lease: options.lease,
            outcomes: BTreeMap::new(),
            creates: Creates::default(),
        }
    }

    pub(crate) fn add(&mut self, fault: Fault, outcome: Outcome) {
        self.outcomes.entry(fault).or_default().push(outcome);
    }

    /// Nothing failed, and every median is within its budget.
    pub(crate) fn is_good(&self) -> bool {
        self.creates.lost == 0
            && self.creates.doubled == 0
            && self.rows().all(|row| row.failed == 0 && row.is_within())
    }

    pub(crate) fn json(&self) -> Value {
        let row = |row: Row| {
            json!({
                "fault": row.fault.name(), "rounds": row.rounds, "budget_ms": millis(row.budget),
                "read_gap_ms": row.reads.json(), "create_gap_ms": row.writes.json(),
                "reads": row.read, "failed_reads": row.failed, "refused_creates": row.refused,
                "within_budget": row.is_within(),
            })
        };
        let creates = self.creates;
        json!({
            "lease_ms": millis(self.lease),
            "faults": self.rows().map(row).collect::<Vec<_>>(),
            "creates": {
                "acknowledged": creates.acknowledged, "refused": creates.refused,
                "lost": creates.lost, "doubled": creates.doubled,
            },
            "good": self.is_good(),
        })
    }

    fn rows(&self) -> impl Iterator<Item = Row> {
        self.outcomes.iter().map(|(fault, outcomes)| Row {
            fault: *fault,
            rounds: outcomes.len(),
            budget: fault.budget(self.lease),
            reads: Spread::of(outcomes.iter().map(|one| one.read_gap).collect()),
            writes: Spread::of(outcomes.iter().map(|one| one.write_gap).collect()),
            read: outcomes.iter().map(|one| one.reads).sum(),
            failed: outcomes.iter().map(|one| one.failed_reads.len()).sum(),
            refused: outcomes.iter().map(|one| one.failed_creates.len()).sum(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "lease {:?}; gaps in ms, as clients of a surviving replica saw them\n",
            self.lease
        )?;
        writeln!(
            f,
            "{:13} {:>6}  {:>7} {:>7} {:>7} {:>7}  {:>6} {:>6}  {:>7} {:>7} {:>7}  {:>7}",
            "fault",
            "rounds",
            "median",
            "p95",
            "worst",
            "budget",
            "reads",
            "failed",
            "create",
            "p95",
            "worst",
            "refused"
        )?;
        for row in self.rows() {
            writeln!(
                f,
                "{:13} {:>6}  {} {:>7.0}  {:>6} {:>6}  {}  {:>7}{}",
                row.fault,
                row.rounds,
                row.reads,
                millis(row.budget),
                row.read,
                row.failed,
                row.writes,
                row.refused,
                if row.is_within() { "" } else { "  OVER BUDGET" }
            )?;
        }
        write!(
            f,
            "\ncreates: {} acknowledged, {} refused; {} lost, {} done twice",
            self.creates.acknowledged,
            self.creates.refused,
            self.creates.lost,
            self.creates.doubled
        )
    }
}

struct Row {
    fault: Fault,
    rounds: usize,
    budget: Duration,
    reads: Spread,
    writes: Spread,
    read: usize,
    failed: usize,
    refused: usize,
}

impl Row {
    fn is_within(&self) -> bool {
        self.reads.median <= self.budget
    }
}

#[derive(Clone, Copy, Debug)]
struct Spread {
    median: Duration,
    p95: Duration,
    worst: Duration,
}

impl Spread {
    fn of(mut gaps: Vec<Duration>) -> Self {
        gaps.sort_unstable();
        // Nearest rank.
        let rank = |percent: usize| {
            let rank = (gaps.len() * percent).div_ceil(100);
            gaps.get(rank.saturating_sub(1))
                .copied()
                .unwrap_or_default()
        };
        Self {
            median: rank(50),
            p95: rank(95),
            worst: rank(100),
        }
    }

    fn json(self) -> Value {
        json!({"median": millis(self.median), "p95": millis(self.p95), "worst": millis(self.worst)})
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, p95, worst] = [self.median, self.p95, self.worst].map(millis);
        write!(f, "{median:7.1} {p95:7.1} {worst:7.1}")
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
