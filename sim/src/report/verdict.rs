//! Whether a campaign passed, in a number and in words.

use super::Report;
use super::cases::{GATE, suites};
use super::words::{counted, list};
use crate::property::Promise;

/// Exit codes from the gravest on; whatever else failed comes last.
const GRAVEST_FIRST: [u8; 5] = [
    Promise::Safety.exit_code(),
    Promise::Crash.exit_code(),
    Promise::Liveness.exit_code(),
    Promise::Determinism.exit_code(),
    GATE,
];

/// What a campaign comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Cases that passed; what a case is, `junit.xml` lists.
    pub passed: u64,
    /// Cases that failed.
    pub failed: u64,
    /// A sentence without its full stop.
    pub words: String,
    /// What the program ends with.
    pub exit_code: u8,
}

impl Verdict {
    /// Whether nothing failed.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.failed == 0
    }
}

impl Report {
    /// Whether the campaign passed.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let suites = suites(self);
        let cases = || suites.iter().flat_map(|suite| &suite.cases);
        let codes: Vec<u8> = cases()
            .filter_map(|case| Some(case.broken.as_ref()?.code))
            .collect();
        let failed = codes.len() as u64;
        let gravest = GRAVEST_FIRST.into_iter().find(|code| codes.contains(code));
        Verdict {
            passed: cases().filter(|case| !case.skipped).count() as u64 - failed,
            failed,
            words: if failed == 0 {
                self.what_held()
            } else {
                self.what_failed()
            },
            exit_code: if failed == 0 { 0 } else { gravest.unwrap_or(1) },
        }
    }

    /// The last line a program prints.
    #[must_use]
    pub fn last_line(&self) -> String {
        let verdict = self.verdict();
        format!("{} passed, {} failed", verdict.passed, verdict.failed)
    }

    /// Marks that nothing reached.
    #[must_use]
    pub fn marks_missed(&self) -> Vec<&str> {
        let marks = self.coverage.marks.iter();
        marks
            .filter(|(_, times)| **times == 0)
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Random runs of all batches.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.batches.iter().map(|batch| batch.runs).sum()
    }

    fn what_held(&self) -> String {
        let parts = [
            (self.runs(), "random run"),
            (self.scenarios.len() as u64, "scenario"),
            (self.corpus.len() as u64, "former failure"),
        ];
        let parts = parts.into_iter().filter(|(number, _)| *number > 0);
        let parts: Vec<String> = parts.map(|(number, noun)| counted(number, noun)).collect();
        if parts.is_empty() && self.mutants.is_empty() {
            return "nothing failed".to_owned();
        }
        let mut words = format!("every promise held in {}", list(parts));
        if !self.mutants.is_empty() {
            let noticed = counted(self.mutants.len() as u64, "planted bug");
            words = format!("{words}, and each of {noticed} was noticed");
        }
        words
    }

    fn what_failed(&self) -> String {
        let mut parts = Vec::new();
        let random = self.failures.iter().filter(|one| one.source.is_empty());
        match random.collect::<Vec<_>>().as_slice() {
            [] => {}
            [one] => parts.push(format!(
                "{} was broken in {}",
                one.signature,
                counted(one.count, "run")
            )),
            [first, rest @ ..] => {
                let others: u64 = rest.iter().map(|one| one.count).sum();
                parts.push(format!(
                    "{} was broken in {}",
                    first.signature,
                    counted(first.count, "run")
                ));
                parts.push(format!("{} failed otherwise", counted(others, "run")));
            }
        }
        let scenarios = self.scenarios.iter().filter(|one| !one.failure.is_empty());
        let corpus = self.corpus.iter().filter(|one| !one.failure.is_empty());
        let silent = self.mutants.iter().filter(|one| one.killed_after.is_none());
        let differ = self.determinism.mismatches.len() as u64;
        let deaf = u64::from(self.determinism.canary_caught == Some(false));
        let missed = if self.coverage_gate {
            self.marks_missed().len() as u64
        } else {
            0
        };
        for (number, noun, what) in [
            (scenarios.count() as u64, "scenario", "failed"),
            (corpus.count() as u64, "former failure", "came back"),
            (silent.count() as u64, "planted bug", "went unnoticed"),
            (differ, "run", "did not repeat"),
            (deaf, "planted nondeterminism", "went unnoticed"),
            (missed, "mark", "not reached"),
        ] {
            if number > 0 {
                parts.push(format!("{} {what}", counted(number, noun)));
            }
        }
        if parts.is_empty() {
            parts.push("runs failed that nothing tells about".to_owned());
        }
        parts.join("; ")
    }
}
