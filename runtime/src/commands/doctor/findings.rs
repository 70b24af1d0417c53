//! What was found, and how it is told.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::commands::ask::printable;

/// What a finding is about, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Area {
    Configuration,
    Certificates,
    Store,
    Managers,
    Engines,
    Machine,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// A manager works, and an operator should know.
    Warning,
    /// A manager cannot do its work.
    Failure,
}

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) area: Area,
    pub(super) verdict: Verdict,
    pub(super) text: String,
}

/// All that was looked at.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Finding>);

/// The form for scripts.
#[derive(Serialize)]
struct Document<'a> {
    failures: usize,
    warnings: usize,
    findings: &'a [Finding],
}

impl Findings {
    pub(super) fn ok(&mut self, area: Area, text: impl Display) {
        self.add(area, Verdict::Ok, text);
    }

    pub(super) fn warning(&mut self, area: Area, text: impl Display) {
        self.add(area, Verdict::Warning, text);
    }

    pub(super) fn failure(&mut self, area: Area, text: impl Display) {
        self.add(area, Verdict::Failure, text);
    }

    pub(super) fn add(&mut self, area: Area, verdict: Verdict, text: impl Display) {
        let text = printable(&text.to_string());
        self.0.push(Finding {
            area,
            verdict,
            text,
        });
    }

    /// How many of them keep a manager from its work.
    pub(super) fn failures(&self) -> usize {
        self.count(Verdict::Failure)
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> &[Finding] {
        &self.0
    }

    fn count(&self, verdict: Verdict) -> usize {
        let same = |finding: &&Finding| finding.verdict == verdict;
        self.0.iter().filter(same).count()
    }

    /// For scripts.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        let document = Document {
            failures: self.failures(),
            warnings: self.count(Verdict::Warning),
            findings: &self.0,
        };
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let mut area = None;
        for finding in &self.0 {
            if area.replace(finding.area) != Some(finding.area) {
                text.push_str(&format!("{}\n", finding.area));
            }
            text.push_str(&format!("  {:7}  {}\n", finding.verdict, finding.text));
        }
        let (failures, warnings) = (self.failures(), self.count(Verdict::Warning));
        text + &format!(
            "\n{failures} failed, {warnings} warnings, {} in all\n",
            self.0.len()
        )
    }
}

impl Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configuration => "Configuration",
            Self::Certificates => "Certificates",
            Self::Store => "Store",
            Self::Managers => "Managers",
            Self::Engines => "Engines",
            Self::Machine => "This machine",
        })
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failure => "FAILURE",
        })
    }
}
