//! Every declared scenario goes as it is told, and as it went before.

#![expect(
    clippy::disallowed_methods,
    reason = "which scenarios to play is told by the environment"
)]
#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use swarm_scenarios::{Scenario, all, check, corpus};
use swarm_sim::stopwatch::Stopwatch;
use swarm_sim::trace::Keep;
use swarm_sim::{parallel, run};

/// One line of the table.
struct Line {
    name: String,
    text: String,
    hash: String,
    failed: bool,
}

fn play(scenario: &Scenario) -> Line {
    let began = Stopwatch::start();
    let verdict = check(scenario, Keep::Story, None);
    let run = &verdict.run;
    let failover = run.failovers.last();
    let failover = failover.map_or_else(String::new, |failover| {
        format!("{} ms", failover.took_us / 1_000)
    });
    let mut text = format!(
        "{:<44} {:>5.1} s {:>5} ms {:>2} terms {:>5} asked {:>4} refused {:>4} unknown {failover:>8}",
        scenario.name,
        run.simulated as f64 / 1e9,
        began.elapsed().as_millis(),
        run.terms.len(),
        run.answers.asked,
        run.answers.refused,
        run.answers.unknown,
    );
    if let Some(failure) = &verdict.failure {
        let _ = write!(text, "\n    FAILED {failure}");
        eprintln!("{text}");
    }
    Line {
        name: scenario.name.clone(),
        text,
        hash: run.hash.to_string(),
        failed: verdict.failure.is_some(),
    }
}

/// Plays scenarios on two threads; the lines are in the order of the scenarios.
fn play_all(scenarios: &[Scenario]) -> Vec<Line> {
    parallel::map(scenarios, 2, play)
}

fn golden_path() -> PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/golden.txt").into()
}

/// Those with a golden hash; `cargo sim prove`, which `tests/run` ends with, plays all. `SCENARIOS=<part of a name>`
/// plays those that have it in their name, `UPDATE_GOLDEN=1` writes the hashes instead of comparing them.
#[test]
fn declared_scenarios_go_as_they_are_told_and_as_they_went_before() {
    let text = std::fs::read_to_string(golden_path()).unwrap();
    let golden: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    assert!(golden.len() >= 25);
    let part = std::env::var("SCENARIOS").ok();
    let mut scenarios = all();
    scenarios.retain(|scenario| match &part {
        Some(part) => scenario.name.contains(part),
        None => golden.contains_key(scenario.name.as_str()),
    });
    let lines = play_all(&scenarios);
    for line in &lines {
        println!("{}", line.text);
    }
    let failed: Vec<&str> = lines
        .iter()
        .filter(|line| line.failed)
        .map(|line| line.text.as_str())
        .collect();
    assert!(
        failed.is_empty(),
        "{} of {} scenarios failed:\n{}",
        failed.len(),
        lines.len(),
        failed.join("\n")
    );
    if part.is_none() {
        compare_with_golden(&lines, &golden);
    }
}

fn compare_with_golden(lines: &[Line], golden: &BTreeMap<&str, &str>) {
    let now: BTreeMap<&str, &str> = lines
        .iter()
        .map(|line| (line.name.as_str(), line.hash.as_str()))
        .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text: String = golden
            .keys()
            .map(|name| format!("{name} {}\n", now[name]))
            .collect();
        std::fs::write(golden_path(), text).unwrap();
        return;
    }
    let changed: Vec<String> = golden
        .iter()
        .filter(|(name, hash)| now.get(*name) != Some(hash))
        .map(|(name, hash)| format!("{name}: {hash} became {:?}", now.get(name)))
        .collect();
    assert!(
        changed.is_empty(),
        "behaviour changed: if that is meant, run with UPDATE_GOLDEN=1 and say why in the commit\n{}",
        changed.join("\n")
    );
}

#[test]
fn the_corpus_stays_mended() {
    for (file, entry) in corpus::load(&corpus::folder()).unwrap() {
        let signature = file.rsplit_once('-').unwrap().0;
        assert_eq!(file, entry.file_name(signature), "the name tells the plan");
        let run = run::run(&entry.plan, Keep::Hash, None);
        if let Some(violation) = run.violation {
            panic!("{file}: {violation}\n{}", entry.why);
        }
    }
}
