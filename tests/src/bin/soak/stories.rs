//! What each container's client was told, held against what is.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use anyhow::{Context, Result};
use swarm_tests::http as client;

use crate::fleet::Fleet;

/// The label that tells the containers apart.
pub(crate) const LABEL: &str = "soak.story";

/// How one request ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Step {
    /// It was not made.
    #[default]
    NotAsked,
    /// Acknowledged.
    Done,
    /// Answered otherwise.
    Refused(String),
    /// It may have been carried out.
    Unknown(String),
}

/// One container's life as its client saw it.
#[derive(Debug, Default)]
pub(crate) struct Story {
    pub(crate) label: u64,
    pub(crate) created: Step,
    pub(crate) started: Step,
    pub(crate) awaited: Step,
    pub(crate) removed: Step,
    /// Why an acknowledged container could not be inspected.
    pub(crate) unseen: Option<String>,
}

/// What became of all of them.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    stories: usize,
    whole: usize,
    unknown: usize,
    refused: BTreeMap<String, usize>,
    /// Promises that were broken.
    broken: Vec<String>,
}

impl Story {
    pub(crate) fn new(label: u64) -> Self {
        Self {
            label,
            ..Self::default()
        }
    }

    fn steps(&self) -> [&Step; 4] {
        [&self.created, &self.started, &self.awaited, &self.removed]
    }

    /// What is wrong with `there` containers of it and `ran` lines in the ledger.
    fn problem(&self, there: usize, ran: usize) -> Option<String> {
        let least = match (&self.created, &self.removed) {
            (Step::Done, Step::NotAsked | Step::Refused(_)) => 1,
            (Step::Done | Step::NotAsked | Step::Refused(_) | Step::Unknown(_), _) => 0,
        };
        let most = match (&self.created, &self.removed) {
            (_, Step::Done) | (Step::NotAsked, _) => 0,
            (Step::Done | Step::Refused(_) | Step::Unknown(_), _) => 1,
        };
        let least_runs = usize::from(self.started == Step::Done);
        let most_runs = usize::from(self.started != Step::NotAsked);
        let fits = (least..=most).contains(&there) && (least_runs..=most_runs).contains(&ran);
        (!fits).then(|| format!("{there} there, {ran} runs: {self:?}"))
    }
}

/// Looks at all engines and the ledger.
pub(crate) async fn judge(stories: &[Story], fleet: &Fleet) -> Result<Verdict> {
    let mut there = BTreeMap::<u64, usize>::new();
    for engine in &fleet.engines {
        let list = client::get(engine.address(), "/containers/json?all=1").await?;
        let list = list.success()?.json()?;
        for container in list.as_array().context("no list")? {
            let label = container
                .get("Labels")
                .and_then(|labels| labels.get(LABEL)?.as_str());
            if let Some(label) = label.and_then(|label| label.parse().ok()) {
                *there.entry(label).or_default() += 1;
            }
        }
    }
    let mut verdict = Verdict {
        stories: stories.len(),
        ..Verdict::default()
    };
    for story in stories {
        let written = fs::read_to_string(fleet.ledger.path().join(story.label.to_string()));
        let ran = written.map_or(0, |text| text.lines().count());
        let there = there.get(&story.label).copied().unwrap_or_default();
        verdict.add(story, story.problem(there, ran));
    }
    Ok(verdict)
}

impl Verdict {
    fn add(&mut self, story: &Story, problem: Option<String>) {
        self.whole += usize::from(story.steps().iter().all(|step| **step == Step::Done));
        for step in story.steps() {
            match step {
                Step::NotAsked | Step::Done => {}
                Step::Unknown(_) => self.unknown += 1,
                Step::Refused(text) => *self.refused.entry(shape(text)).or_default() += 1,
            }
        }
        self.broken.extend(problem);
        if let Some(why) = &story.unseen {
            self.broken.push(format!(
                "story {}: acknowledged and not found: {why}",
                story.label
            ));
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.broken.is_empty() && self.whole > 0
    }
}

/// An answer without what is different in each: names and numbers.
fn shape(text: &str) -> String {
    let words = text.split_whitespace();
    let known = words.filter(|word| !word.chars().any(|c| c.is_ascii_digit()) || word.len() == 3);
    known.collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} containers, {} of them created, started, awaited and removed; {} requests of unknown outcome",
            self.stories, self.whole, self.unknown
        )?;
        for (answer, times) in &self.refused {
            writeln!(f, "refused {times} times: {answer}")?;
        }
        for problem in self.broken.iter().take(20) {
            writeln!(f, "BROKEN: {problem}")?;
        }
        writeln!(f, "{} promises broken", self.broken.len())
    }
}
