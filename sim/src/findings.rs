//! What failed in a campaign, told as short as it can be: grouped, shrunk, with picture, slice and replay line.

use std::collections::BTreeMap;

use swarm_core::testbed::Mutant;

use crate::campaign::{Campaign, Outcome};
use crate::plan::{Plan, Profile, Tier};
use crate::property::Violation;
use crate::report::{Failure, slice::slice, svg};
use crate::run::run;
use crate::shrink::{Shrunk, shrink};
use crate::trace::Keep;

/// Lines of a slice.
const SLICE_MAX: usize = 40;

/// How failures are worked up.
#[derive(Clone, Copy)]
pub struct Workshop<'a> {
    /// Runs that may be spent on each signature.
    pub tries_max: u32,
    /// Writes a plan as a scenario to paste: name, plan, what it broke.
    pub as_code: &'a dyn Fn(&str, &Plan, &Violation) -> String,
}

/// The line that replays a seed.
#[must_use]
pub fn replay_line(tier: Tier, seed: u64, profile: Profile, mutant: Option<Mutant>) -> String {
    let mut line = format!("cargo sim replay {}:{seed}", tier.name());
    if profile != Profile::Pr {
        line.push_str(&format!("@{}", profile.name()));
    }
    if let Some(mutant) = mutant {
        line.push_str(&format!(" --mutant {}", mutant.name()));
    }
    line
}

/// The failures of a campaign, one for each signature, that of the lowest seed first.
#[must_use]
pub fn failures(campaign: &Campaign, outcome: &Outcome, workshop: Workshop<'_>) -> Vec<Failure> {
    let mut groups: BTreeMap<String, (u64, u64, Violation)> = BTreeMap::new();
    for done in &outcome.done {
        let Some(violation) = &done.violation else {
            continue;
        };
        let group = groups
            .entry(violation.signature())
            .or_insert_with(|| (0, done.seed, violation.clone()));
        group.0 += 1;
    }
    let mut found: Vec<(u64, Failure)> = groups
        .into_values()
        .map(|(count, seed, violation)| {
            let plan = campaign.plan(seed);
            let mut failure = workshop.work_up(&plan, &violation, campaign.mutant);
            failure.count = count;
            failure.replay = replay_line(campaign.tier, seed, campaign.profile, campaign.mutant);
            (seed, failure)
        })
        .collect();
    found.sort_by_key(|(seed, _)| *seed);
    found.into_iter().map(|(_, failure)| failure).collect()
}

impl Workshop<'_> {
    /// Shrinks a plan that ended in `violation` and tells its story.
    #[must_use]
    pub fn work_up(&self, plan: &Plan, violation: &Violation, mutant: Option<Mutant>) -> Failure {
        let shrunk = self.shrink(plan, violation, mutant);
        let signature = violation.signature();
        let mut failure = tell(&shrunk.plan, mutant);
        failure.scenario = (self.as_code)(&signature, &shrunk.plan, &shrunk.violation);
        failure.faults_needed = format!("{} of {}", shrunk.plan.faults.len(), shrunk.faults_before);
        failure.tier = plan.tier.name().to_owned();
        failure.seed = plan.seed.to_string();
        failure.signature = signature;
        failure.count = 1;
        failure.violation = Some(shrunk.violation);
        failure.plan = Some(plan.clone());
        failure.minimised = Some(shrunk.plan);
        failure
    }

    /// The smallest plan that fails like `plan`.
    #[must_use]
    pub fn shrink(&self, plan: &Plan, violation: &Violation, mutant: Option<Mutant>) -> Shrunk {
        shrink(plan, violation, self.tries_max, |candidate| {
            run(candidate, Keep::Hash, mutant).violation
        })
    }
}

/// Runs `plan` once more and keeps everything: picture, slice, what everybody waited for.
#[must_use]
pub fn tell(plan: &Plan, mutant: Option<Mutant>) -> Failure {
    let whole = run(plan, Keep::All, mutant);
    let event = whole.violation.as_ref().map_or(0, |found| found.event);
    Failure {
        slice: slice(&whole.trace, event, SLICE_MAX),
        pending: whole.pending.clone(),
        timeline: svg::timeline(plan, &whole),
        violation: whole.violation,
        ..Failure::default()
    }
}
