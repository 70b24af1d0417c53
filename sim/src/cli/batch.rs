//! `lab`, `world`, `scenario` and `mutants`.

use std::path::Path;

use super::progress::Bar;
use super::{Batch, Library, Mutants, Scenario, assemble, jobs};
use crate::campaign::Campaign;
use crate::findings::{Workshop, replay_line};
use crate::hunt::{QUARRIES, Quarry, hunt};
use crate::parallel;
use crate::plan::Tier;
use crate::report::{MutantLine, Report, ScenarioLine, write};
use crate::stopwatch::Stopwatch;
use crate::trace::Keep;

pub(super) fn run(library: &dyn Library, tier: Tier, batch: &Batch) -> anyhow::Result<u8> {
    let stopwatch = Stopwatch::start();
    let campaign = Campaign {
        tier,
        seeds: batch.seeds.0.clone(),
        profile: batch.profile,
        jobs: jobs(batch.jobs),
        budget: batch.budget,
        mutant: batch.mutant,
        recheck: true,
    };
    let outcome = show_campaign(&campaign);
    if batch.hashes {
        for done in &outcome.done {
            say!("{}:{} {}", tier.name(), done.seed, done.hash);
        }
    }
    let mut report = assemble::empty(batch.profile.name());
    let as_code = |name: &str, plan: &_, violation: &_| library.as_code(name, plan, violation);
    let workshop = Workshop {
        tries_max: batch.tries,
        as_code: &as_code,
    };
    assemble::add_campaign(&mut report, &campaign, &outcome, workshop);
    assemble::finish(&mut report, campaign.jobs, &stopwatch);
    tell_failures(&report);
    for line in &report.latency {
        say!(
            "failover after {:<10} {:>6} times: median {:>8.1} ms, worst {:>8.1} ms, at most {:.0} % of the budget",
            line.fault,
            line.count,
            line.p50_us as f64 / 1_000.0,
            line.max_us as f64 / 1_000.0,
            line.worst_of_budget_per_mille as f64 / 10.0,
        );
    }
    say!(
        "{} {} runs, {:.1} simulated hours in {:.1} s, {:.0} x real time per thread, hash {}",
        outcome.done.len(),
        tier.name(),
        report
            .batches
            .iter()
            .map(|one| one.simulated_ms)
            .sum::<u64>() as f64
            / 3_600_000.0,
        outcome.wall.as_secs_f64(),
        outcome.speed(campaign.jobs),
        outcome.hash(),
    );
    end(&report, batch.out.as_deref())
}

/// Runs a campaign under a progress bar; each failure is told when it is found.
pub(super) fn show_campaign(campaign: &Campaign) -> crate::campaign::Outcome {
    let runs = campaign.seeds.end.saturating_sub(campaign.seeds.start);
    let bar = Bar::new(campaign.tier.name(), runs);
    let outcome = campaign.run(|progress, done| {
        bar.show(progress);
        let replay = || replay_line(campaign.tier, done.seed, campaign.profile, campaign.mutant);
        if let Some(violation) = &done.violation {
            bar.say(&format!("FAILED {violation}\n  replay: {}", replay()));
        }
        if let Some(mismatch) = &done.mismatch {
            bar.say(&format!(
                "NOT REPEATABLE {mismatch}\n  replay: {}",
                replay()
            ));
        }
    });
    bar.end();
    outcome
}

/// What was found, as short as it could be made.
pub(super) fn tell_failures(report: &Report) {
    for failure in &report.failures {
        say!(
            "\n{} ({} runs), faults needed: {}",
            failure.signature,
            failure.count,
            failure.faults_needed
        );
        if let Some(violation) = &failure.violation {
            say!("  {violation}");
        }
        if let Some(plan) = &failure.minimised {
            for fault in &plan.faults {
                say!("  fault {fault}");
            }
            if let Some(drill) = &plan.drill {
                say!("  drill {drill}");
            }
        }
        for line in &failure.slice {
            say!("  | {line}");
        }
        for line in &failure.pending {
            say!("  waits: {line}");
        }
        say!("  replay: {}", failure.replay);
    }
}

/// Writes the report if asked for; prints the last line.
pub(super) fn end(report: &Report, out: Option<&Path>) -> anyhow::Result<u8> {
    if let Some(out) = out {
        write::write(report, out)?;
        say!("report: {}", out.join("index.html").display());
    }
    let verdict = report.verdict();
    say!("{}", report.last_line());
    Ok(verdict.exit_code)
}

pub(super) fn scenarios(library: &dyn Library, selection: &Scenario) -> anyhow::Result<u8> {
    let stopwatch = Stopwatch::start();
    let chosen: Vec<ScenarioLine> = library
        .scenarios()
        .into_iter()
        .filter(|line| {
            let fits = |word: &String| line.name.contains(word) || line.family.contains(word);
            selection.words.is_empty() || selection.words.iter().any(fits)
        })
        .collect();
    anyhow::ensure!(
        !chosen.is_empty(),
        "no scenario has any of {:?} in its name or family: `swarm-sim list` names them",
        selection.words
    );
    let mut report = assemble::empty("custom");
    let jobs = jobs(None);
    report.scenarios = parallel::map(&chosen, jobs, |listed| {
        let checked = library.check(&listed.name, Keep::Hash, selection.mutant);
        let line = checked.map_or_else(|| listed.clone(), |(line, _)| line);
        print_scenario(&line);
        line
    });
    assemble::finish(&mut report, jobs, &stopwatch);
    end(&report, None)
}

pub(super) fn print_scenario(line: &ScenarioLine) {
    if line.failure.is_empty() {
        say!("passed {}", line.name);
    } else {
        say!(
            "FAILED {}: {}\n  {}\n  replay: {}",
            line.name,
            line.failure,
            line.story,
            line.replay
        );
    }
}

pub(super) fn mutants(selection: &Mutants) -> anyhow::Result<u8> {
    let stopwatch = Stopwatch::start();
    let chosen =
        |quarry: &&Quarry| selection.names.is_empty() || selection.names.contains(&quarry.mutant);
    let quarries: Vec<Quarry> = QUARRIES.iter().filter(chosen).copied().collect();
    let jobs = jobs(selection.jobs);
    let mut report = assemble::empty("custom");
    report.mutants = show_hunt(&quarries, jobs);
    assemble::finish(&mut report, jobs, &stopwatch);
    end(&report, None)
}

pub(super) fn show_hunt(quarries: &[Quarry], jobs: usize) -> Vec<MutantLine> {
    let bar = Bar::new("mutants", quarries.len() as u64);
    let lines = hunt(quarries, jobs, |line| {
        bar.step(line.name.clone());
        bar.say(&match line.killed_after {
            Some(after) => format!(
                "noticed {} after {after} of {} seeds: {}",
                line.name, line.seeds_max, line.signature
            ),
            None => format!(
                "MISSED {} in {} seeds: {}",
                line.name, line.seeds_max, line.words
            ),
        });
    });
    bar.end();
    lines
}
