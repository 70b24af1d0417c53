//! A story as data.

use serde::{Deserialize, Serialize};
use swarm_sim::plan::{PLAN_VERSION, Plan, PlanError};

use crate::expect::Expect;
use crate::script::Script;

/// The version of the format of files.
pub const SCENARIO_VERSION: u32 = 1;

/// A plan, what it tells, and what must come of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// [`SCENARIO_VERSION`].
    pub version: u32,
    /// Names it: letters, digits and underscores.
    pub name: String,
    /// The group it is listed under.
    pub family: String,
    /// What it tells, in one sentence.
    pub story: String,
    /// What must come of it. That no promise is broken goes without saying.
    pub expect: Vec<Expect>,
    /// What is run.
    pub plan: Plan,
}

/// Why a text is not a scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// Not the JSON of a scenario.
    #[error("not a scenario: {0}")]
    Json(#[from] serde_json::Error),
    /// Of a version that is not known here.
    #[error("the {part} has version {found}, known is {known}")]
    Version {
        /// The scenario, or its plan.
        part: &'static str,
        /// The version it has.
        found: u32,
        /// The version it should have.
        known: u32,
    },
    /// Its plan cannot be run.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl Scenario {
    /// Begins to tell a scenario.
    pub fn named(name: &str) -> Script {
        Script::named(name)
    }

    /// Reads a scenario.
    ///
    /// # Errors
    /// When `text` is no scenario, is of an unknown version, or its plan cannot be run.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        let scenario: Self = serde_json::from_str(text)?;
        known_version("scenario", scenario.version, SCENARIO_VERSION)?;
        known_version("plan", scenario.plan.version, PLAN_VERSION)?;
        scenario.plan.check()?;
        Ok(scenario)
    }

    /// The text [`Scenario::parse`] reads.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain numbers and strings: serialising cannot fail.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

pub(crate) fn known_version(
    part: &'static str,
    found: u32,
    known: u32,
) -> Result<(), ScenarioError> {
    if found == known {
        Ok(())
    } else {
        Err(ScenarioError::Version { part, found, known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::*;
    use crate::script::*;

    fn story() -> Scenario {
        let script = Scenario::named("a_story")
            .family("tests")
            .story("Something happens.")
            .lease(2.secs())
            .at(2.secs())
            .power_loss(primary())
            .lasting(5.secs())
            .expect(took_over_within_budget())
            .expect(logs(Who::LastPrimary, "Cluster leadership acquired"));
        script.into()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let story = story();
        assert_eq!(Scenario::parse(&story.to_json()).unwrap(), story);
    }

    #[test]
    fn every_declared_scenario_is_read_back() {
        for scenario in crate::all() {
            let read = Scenario::parse(&scenario.to_json()).unwrap();
            assert_eq!(read, scenario);
        }
    }

    #[test]
    fn unknown_versions_and_fields_are_refused() {
        let mut newer = story();
        newer.version = 2;
        let refused = Scenario::parse(&newer.to_json()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the scenario has version 2, known is 1"
        );
        let mut newer = story();
        newer.plan.version = 0;
        let refused = Scenario::parse(&newer.to_json()).unwrap_err();
        assert_eq!(refused.to_string(), "the plan has version 0, known is 1");
        let unknown = story().to_json().replace("\"story\"", "\"tale\"");
        assert!(Scenario::parse(&unknown).is_err());
        let unknown = story().to_json().replace("took-over-within-budget", "luck");
        assert!(Scenario::parse(&unknown).is_err());
    }

    #[test]
    fn a_plan_that_cannot_be_run_is_refused() {
        let mut story = story();
        story.plan.topology.managers = 0;
        assert!(Scenario::parse(&story.to_json()).is_err());
    }
}
