//! The lab itself: hostile runs keep the promises, planted bugs are noticed, runs repeat.

use swarm_sim::hunt::{QUARRIES, Quarry, hunt};
use swarm_sim::plan::{Plan, Profile, Tier};
use swarm_sim::run::{Run, run};
use swarm_sim::trace::{Keep, parting};

/// Random plans that must keep every promise.
const SEEDS: u64 = 100;

fn drawn(seed: u64) -> Run {
    run(&Plan::draw(Tier::Lab, seed, Profile::Pr), Keep::Hash, None)
}

#[test]
fn hostile_runs_keep_every_promise() {
    let (mut dispatched, mut terms, mut measured) = (0, 0, 0);
    for seed in 0..SEEDS {
        let run = drawn(seed);
        assert_eq!(run.violation, None, "seed {seed}: {:#?}", run.pending);
        dispatched += run.dispatched;
        terms += run.terms.len() as u64;
        measured += run.failovers.len() as u64;
    }
    assert!(
        dispatched > 200 * SEEDS,
        "hardly anything was dispatched: {dispatched}"
    );
    assert!(
        terms > 2 * SEEDS && measured > SEEDS / 2,
        "{terms} terms, {measured} failovers"
    );
}

#[test]
fn the_same_plan_is_the_same_run() {
    for seed in 0..6 {
        let plan = Plan::draw(Tier::Lab, seed, Profile::Pr);
        let one = run(&plan, Keep::Hash, None);
        let other = run(&plan, Keep::All, None);
        assert_eq!(parting(&one.trace, &other.trace), None, "seed {seed}");
        assert_eq!(one.hash, other.hash);
        assert_eq!(one.coverage.edges, other.coverage.edges);
    }
}

#[test]
fn in_calm_weather_nothing_changes() {
    for managers in [1, 2, 3, 5, 7] {
        let mut plan = Plan {
            tier: Tier::Lab,
            seed: managers.into(),
            ..Plan::default()
        };
        plan.topology.managers = managers;
        plan.knobs.clock_error_ppm = 19_900;
        plan.phases.faults_ms = 60_000;
        let run = run(&plan, Keep::Story, None);
        assert_eq!(run.violation, None);
        assert_eq!(run.terms.len(), 1, "one primary for good");
        assert_eq!(run.answers.refused, 0);
    }
}

#[test]
fn every_bug_planted_in_the_lab_is_noticed() {
    let hunted = QUARRIES.iter().filter(|quarry| quarry.tier == Tier::Lab);
    let hunted: Vec<Quarry> = hunted.copied().collect();
    for line in hunt(&hunted, 2, |_| {}) {
        println!("{}: {:?} {}", line.name, line.killed_after, line.signature);
        assert!(
            line.killed_after.is_some(),
            "{} can be planted unnoticed",
            line.name
        );
    }
}
