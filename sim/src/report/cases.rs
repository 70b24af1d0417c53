//! A report as things that passed or failed: what JUnit lists, and what the verdict counts.

use super::properties::named;
use super::words::{count, counted};
use super::{Batch, Failure, Report};
use crate::property::{Promise, Property};

/// The exit code for what the testbed did not reach or would not notice.
pub(super) const GATE: u8 = 131;

/// Cases that belong together.
#[derive(Debug)]
pub(super) struct Suite {
    pub(super) name: String,
    pub(super) cases: Vec<Case>,
}

/// Something that passed or failed.
#[derive(Debug, Default)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) broken: Option<Broken>,
    /// Nothing looked at it.
    pub(super) skipped: bool,
    pub(super) properties: Vec<(&'static str, String)>,
    pub(super) out: Vec<String>,
    pub(super) simulated_ms: u64,
}

/// How something failed.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) words: String,
    /// What kind of failure, as an exit code.
    pub(super) code: u8,
}

impl Case {
    fn new(name: impl Into<String>, broken: Option<Broken>) -> Self {
        Self {
            name: name.into(),
            broken,
            ..Self::default()
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        if !value.is_empty() {
            self.properties.push((name, value.to_owned()));
        }
        self
    }
}

/// Everything in `report` that passed or failed.
pub(super) fn suites(report: &Report) -> Vec<Suite> {
    let mut suites: Vec<Suite> = report
        .batches
        .iter()
        .map(|one| batch(report, one))
        .collect();
    suites.extend(others(report));
    suites.extend(scenarios(report));
    suites.push(Suite {
        name: "corpus".to_owned(),
        cases: report.corpus.iter().map(corpus).collect(),
    });
    suites.push(Suite {
        name: "planted bugs".to_owned(),
        cases: report.mutants.iter().map(mutant).collect(),
    });
    suites.push(testbed(report));
    suites.retain(|suite| !suite.cases.is_empty());
    suites
}

/// A case for each promise, and for each failure that breaks none of those.
fn batch(report: &Report, batch: &Batch) -> Suite {
    // What is declared has cases of its own.
    let random = |one: &&Failure| one.source.is_empty() && one.tier == batch.tier;
    let own = || report.failures.iter().filter(random);
    let mut cases: Vec<Case> = Vec::new();
    for line in &report.properties {
        let failures: Vec<&Failure> = own().filter(|one| property(one) == line.name).collect();
        let mut case = failed(&line.name, &failures);
        let here = line.checked_in.get(&batch.tier).copied();
        let checked = here.unwrap_or(if line.checked_in.is_empty() {
            line.checked
        } else {
            0
        });
        case.skipped = case.broken.is_none() && checked == 0;
        cases.push(case.with("words", &line.words).with("seeds", &batch.seeds));
    }
    let listed = |one: &&Failure| {
        let mut lines = report.properties.iter();
        lines.any(|line| line.name == property(one))
    };
    for failure in own().filter(|one| !listed(one)) {
        cases.push(failed(&failure.signature, &[failure]));
    }
    if batch.failed > 0 && own().next().is_none() {
        let words = format!(
            "{} failed and nothing tells how",
            counted(batch.failed, "run")
        );
        cases.push(Case::new("runs", Some(Broken { words, code: 1 })));
    }
    Suite {
        name: format!("random runs, {}", batch.tier),
        cases,
    }
}

/// Failures of random runs whose tier has no batch.
fn others(report: &Report) -> Option<Suite> {
    let batched = |one: &&Failure| report.batches.iter().any(|batch| batch.tier == one.tier);
    let random = report.failures.iter().filter(|one| one.source.is_empty());
    let rest = random.filter(|one| !batched(one));
    let cases: Vec<Case> = rest.map(|one| failed(&one.signature, &[one])).collect();
    (!cases.is_empty()).then(|| Suite {
        name: "other failures".to_owned(),
        cases,
    })
}

fn property(failure: &Failure) -> &str {
    match &failure.violation {
        Some(violation) => violation.property.name(),
        None => failure.signature.split('.').next().unwrap_or_default(),
    }
}

fn failed(name: &str, failures: &[&Failure]) -> Case {
    let Some(first) = failures.first() else {
        return Case::new(name, None);
    };
    let told: Vec<String> = failures.iter().map(|failure| in_words(failure)).collect();
    let broken = Broken {
        words: told.join("; "),
        code: named(property(first)).map_or(1, code),
    };
    let mut case = Case::new(name, Some(broken))
        .with("seed", &first.seed)
        .with("replay", &first.replay);
    for failure in failures {
        case.out.extend(failure.slice.iter().cloned());
    }
    case
}

fn in_words(failure: &Failure) -> String {
    let what = match &failure.violation {
        Some(violation) => violation.to_string(),
        None => failure.signature.clone(),
    };
    format!("{what} ({})", counted(failure.count, "run"))
}

const fn code(property: Property) -> u8 {
    property.promise().exit_code()
}

/// The exit code of a failure that is known in words only: they name the promise where one was broken.
fn code_of(words: &str) -> u8 {
    let mut parts = words.split(": ");
    let property = parts.find_map(named);
    property.map_or(Promise::Safety.exit_code(), code)
}

fn broken(words: &str) -> Option<Broken> {
    (!words.is_empty()).then(|| Broken {
        words: words.to_owned(),
        code: code_of(words),
    })
}

fn scenarios(report: &Report) -> Vec<Suite> {
    let mut suites: Vec<Suite> = Vec::new();
    for line in &report.scenarios {
        let mut case = Case::new(&line.name, broken(&line.failure))
            .with("story", &line.story)
            .with("replay", &line.replay)
            .with("hash", &line.hash);
        case.simulated_ms = line.simulated_ms;
        let name = format!("scenarios, {}", line.family);
        match suites.iter_mut().find(|suite| suite.name == name) {
            Some(suite) => suite.cases.push(case),
            None => suites.push(Suite {
                name,
                cases: vec![case],
            }),
        }
    }
    suites
}

fn corpus(line: &super::CorpusLine) -> Case {
    Case::new(&line.file, broken(&line.failure)).with("why", &line.why)
}

fn mutant(line: &super::MutantLine) -> Case {
    let broken = line.killed_after.is_none().then(|| Broken {
        words: format!(
            "nothing noticed it in {} of the {}: {}",
            counted(line.seeds_max, "seed"),
            line.tier,
            line.words
        ),
        code: GATE,
    });
    let after = line.killed_after.map(count).unwrap_or_default();
    Case::new(&line.name, broken)
        .with("words", &line.words)
        .with("tier", &line.tier)
        .with("seeds", &after)
        .with("signature", &line.signature)
}

/// What the testbed promises about itself.
fn testbed(report: &Report) -> Suite {
    let mut cases = Vec::new();
    let determinism = &report.determinism;
    if determinism.checked > 0 {
        let differ = !determinism.mismatches.is_empty();
        let broken = differ.then(|| Broken {
            words: determinism.mismatches.join("; "),
            code: Promise::Determinism.exit_code(),
        });
        cases.push(Case::new("runs repeat", broken).with("hash", &determinism.whole));
    }
    if let Some(caught) = determinism.canary_caught {
        let broken = (!caught).then(|| Broken {
            words: "the planted nondeterminism was not noticed".to_owned(),
            code: Promise::Determinism.exit_code(),
        });
        cases.push(Case::new("planted nondeterminism is noticed", broken));
    }
    if report.coverage_gate {
        let missed = report.marks_missed();
        let broken = (!missed.is_empty()).then(|| Broken {
            words: format!("never reached: {}", missed.join(", ")),
            code: GATE,
        });
        cases.push(Case::new("every mark is reached", broken));
    }
    Suite {
        name: "testbed".to_owned(),
        cases,
    }
}
