//! `swarm-sim`: the testbed's command line, with the declared scenarios. See `swarm-sim --help`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use swarm_core::testbed::Mutant;
use swarm_scenarios::corpus::Found;
use swarm_scenarios::{CorpusEntry, Scenario, all, as_code, check, corpus};
use swarm_sim::cli::{self, Library};
use swarm_sim::plan::Plan;
use swarm_sim::property::Violation;
use swarm_sim::report::{CorpusLine, ScenarioLine};
use swarm_sim::run::Run;
use swarm_sim::trace::Keep;

fn main() -> ExitCode {
    cli::main(&Declared)
}

struct Declared;

impl Declared {
    fn find(name: &str) -> Option<Scenario> {
        all().into_iter().find(|scenario| scenario.name == name)
    }
}

fn listed(scenario: &Scenario) -> ScenarioLine {
    ScenarioLine {
        name: scenario.name.clone(),
        family: scenario.family.clone(),
        story: scenario.story.clone(),
        replay: format!("cargo sim replay {}", scenario.name),
        ..ScenarioLine::default()
    }
}

impl Library for Declared {
    fn scenarios(&self) -> Vec<ScenarioLine> {
        all().iter().map(listed).collect()
    }

    fn plan(&self, name: &str) -> Option<Plan> {
        Self::find(name).map(|scenario| scenario.plan)
    }

    fn check(&self, name: &str, keep: Keep, mutant: Option<Mutant>) -> Option<(ScenarioLine, Run)> {
        let scenario = Self::find(name)?;
        let verdict = check(&scenario, keep, mutant);
        let mut run = verdict.run;
        let failure = verdict.failure.as_ref().map(ToString::to_string);
        let line = ScenarioLine {
            failure: failure.unwrap_or_default(),
            hash: run.hash.to_string(),
            failover_us: run.failovers.first().map(|failover| failover.took_us),
            simulated_ms: run.simulated / 1_000_000,
            ..listed(&scenario)
        };
        run.violation = verdict.failure;
        Some((line, run))
    }

    fn corpus(&self) -> anyhow::Result<Vec<(CorpusLine, Plan)>> {
        let entries = corpus::load(&corpus::folder())?;
        let line = |(file, entry): (String, CorpusEntry)| {
            let line = CorpusLine {
                file,
                why: entry.why,
                failure: String::new(),
            };
            (line, entry.plan)
        };
        Ok(entries.into_iter().map(line).collect())
    }

    fn keep(
        &self,
        signature: &str,
        commit: String,
        plan: &Plan,
        why: &str,
    ) -> anyhow::Result<PathBuf> {
        let entry = CorpusEntry {
            plan: plan.clone(),
            found: Found {
                commit,
                seed: plan.seed,
            },
            fixed: String::new(),
            why: why.to_owned(),
        };
        let path = corpus::folder().join(entry.file_name(signature));
        std::fs::write(&path, entry.to_json())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn as_code(&self, name: &str, plan: &Plan, violation: &Violation) -> String {
        as_code(name, plan, &violation.what)
    }
}
