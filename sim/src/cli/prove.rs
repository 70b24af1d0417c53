//! `prove`: everything a profile asks for, in one report.

use super::batch::{end, print_scenario, show_campaign, show_hunt, tell_failures};
use super::{Library, Prove, assemble, jobs};
use crate::campaign::Campaign;
use crate::canary;
use crate::findings::{Workshop, tell};
use crate::hunt::QUARRIES;
use crate::parallel;
use crate::plan::{Op, Plan, Profile, Tier};
use crate::report::{Report, Story};
use crate::run::run as run_plan;
use crate::stopwatch::Stopwatch;
use crate::trace::{Keep, Trace};

pub(super) fn run(library: &dyn Library, prove: &Prove) -> anyhow::Result<u8> {
    let stopwatch = Stopwatch::start();
    let jobs = jobs(prove.jobs);
    let (lab, world, tries_max) = assemble::extent(prove.profile);
    let as_code = |name: &str, plan: &_, violation: &_| library.as_code(name, plan, violation);
    let workshop = Workshop {
        tries_max,
        as_code: &as_code,
    };
    let mut report = assemble::empty(prove.profile.name());
    report.coverage_gate = prove.profile != Profile::Pr;
    check_scenarios(library, &mut report, workshop, jobs);
    check_corpus(library, &mut report, workshop)?;
    report.determinism.canary_caught = Some(canary::caught());
    report.mutants = show_hunt(&QUARRIES, jobs);
    for (tier, count) in [(Tier::Lab, lab), (Tier::World, world)] {
        let campaign = Campaign {
            tier,
            seeds: prove.first_seed..prove.first_seed.saturating_add(count),
            profile: prove.profile,
            jobs,
            budget: None,
            mutant: None,
            recheck: true,
        };
        let outcome = show_campaign(&campaign);
        assemble::add_campaign(&mut report, &campaign, &outcome, workshop);
    }
    report.stories = stories();
    assemble::finish(&mut report, jobs, &stopwatch);
    tell_failures(&report);
    end(&report, Some(&prove.out))
}

fn check_scenarios(
    library: &dyn Library,
    report: &mut Report,
    workshop: Workshop<'_>,
    jobs: usize,
) {
    let listed = library.scenarios();
    let checked = parallel::map(&listed, jobs, |listed| {
        let (line, mut run) = library.check(&listed.name, Keep::Hash, None)?;
        print_scenario(&line);
        // All that is kept of a run; its events would add up.
        run.trace = Trace::default();
        Some((line, run))
    });
    for (line, run) in checked.into_iter().flatten() {
        report.coverage.add(&run.coverage);
        if let (Some(violation), Some(plan)) = (run.violation, library.plan(&line.name)) {
            let mut failure = workshop.work_up(&plan, &violation, None);
            failure.replay.clone_from(&line.replay);
            failure.source = format!("scenario {}", line.name);
            report.failures.push(failure);
        }
        report.scenarios.push(line);
    }
}

fn check_corpus(
    library: &dyn Library,
    report: &mut Report,
    workshop: Workshop<'_>,
) -> anyhow::Result<()> {
    for (mut line, plan) in library.corpus()? {
        let run = run_plan(&plan, Keep::Hash, None);
        if let Some(violation) = run.violation {
            line.failure = violation.to_string();
            say!("FAILED corpus {}: {}", line.file, line.failure);
            let mut failure = workshop.work_up(&plan, &violation, None);
            failure.replay = format!("cargo sim replay scenarios/corpus/{}", line.file);
            failure.source = format!("corpus {}", line.file);
            report.failures.push(failure);
        }
        report.corpus.push(line);
    }
    Ok(())
}

/// Runs that show what a failover looks like, whether or not anything failed.
fn stories() -> Vec<Story> {
    let drills = [
        ("A primary is told to end", "terminate"),
        ("A primary's process dies", "kill"),
        ("A primary's machine loses its power", "power-loss"),
    ];
    drills
        .into_iter()
        .filter_map(|(title, kind)| {
            let (seed, plan) = (0..400).find_map(|seed| {
                let plan = Plan::draw(Tier::World, seed, Profile::Pr);
                let fits = plan.drill.as_ref().map(Op::kind) == Some(kind);
                fits.then_some((seed, plan))
            })?;
            Some(Story {
                title: title.to_owned(),
                replay: format!("cargo sim replay world:{seed}"),
                timeline: tell(&plan, None).timeline,
            })
        })
        .collect()
}
