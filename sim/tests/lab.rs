//! The lab itself: hostile runs keep the promises, planted bugs are noticed, runs repeat.

use swarm_core::testbed::Mutant;
use swarm_sim::plan::{Plan, Profile, Tier};
use swarm_sim::run::{Run, run};
use swarm_sim::trace::{Keep, parting};

/// Random plans that must keep every promise.
const SEEDS: u64 = 100;

fn drawn(seed: u64, mutant: Option<Mutant>) -> Run {
    let plan = Plan::draw(Tier::Lab, seed, Profile::Pr);
    run(&plan, Keep::Hash, mutant)
}

#[test]
fn hostile_runs_keep_every_promise() {
    let (mut dispatched, mut terms, mut measured) = (0, 0, 0);
    for seed in 0..SEEDS {
        let run = drawn(seed, None);
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

/// Each bug the lab hunts, and within how many seeds it is noticed; about three times what it takes today.
const MUTANTS: [(Mutant, u64); 24] = [
    (Mutant::LeaseFromAnswer, 10),
    (Mutant::IgnoresConflict, 20),
    (Mutant::LateAnswersCount, 60),
    (Mutant::OldEpochsCount, 40),
    (Mutant::TakesOverEarly, 20),
    (Mutant::NoClockAllowance, 40),
    (Mutant::TakesSilenceForDeath, 60),
    (Mutant::AbsentAtOnce, 150),
    (Mutant::LapseIsLoss, 40),
    (Mutant::TrustsRollback, 200),
    (Mutant::ForgetsEpochs, 200),
    (Mutant::BelievesReads, 10),
    (Mutant::SkipsDispatchCheck, 40),
    (Mutant::NoBackOff, 40),
    (Mutant::BlindSwap, 10),
    (Mutant::ForgetsNonces, 120),
    (Mutant::SkipsVerify, 10),
    (Mutant::StepDownCompetes, 20),
    (Mutant::GuardReleasesTheLiving, 10),
    (Mutant::NoHopLimit, 20),
    (Mutant::RepeatsOnce, 60),
    (Mutant::ForgetsKeys, 20),
    (Mutant::LiesAboutOutcome, 60),
    (Mutant::HoldsForEver, 80),
];

#[test]
fn every_planted_bug_is_noticed() {
    for (mutant, seeds) in MUTANTS {
        let noticed = (0..seeds).find_map(|seed| {
            let violation = drawn(seed, Some(mutant)).violation?;
            Some((seed, violation.signature()))
        });
        println!("{mutant:?}: {noticed:?}");
        assert!(noticed.is_some(), "{mutant:?} can be planted unnoticed");
    }
}
