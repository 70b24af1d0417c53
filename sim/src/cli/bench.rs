//! `bench`: how fast the tiers are, against their aims (DESIGN section 9).

use std::time::Duration;

use super::Bench;
use crate::campaign::Campaign;
use crate::plan::{Fault, Host, Op, Plan, Profile, Tier, Topology, Workload};
use crate::run::run as run_plan;
use crate::stopwatch::Stopwatch;
use crate::trace::Keep;

/// Ten-minute runs of the lab for each minute of one core.
const LAB_AIM: f64 = 600.0;
/// Simulated seconds of a world with twelve hosts for each second of one core.
const WORLD_AIM: f64 = 60.0;

pub(super) fn run(bench: &Bench) -> anyhow::Result<u8> {
    let length = Duration::from_secs(bench.seconds);
    let (runs, took) = repeat(length, lab_plan);
    let rate = f64::from(runs) / took.as_secs_f64() * 60.0;
    say!("lab: {rate:.0} ten-minute runs a minute on one core (aim {LAB_AIM:.0}), {runs} runs");
    let (runs, took) = repeat(length, world_plan);
    let simulated = 90.0 * f64::from(runs);
    let rate = simulated / took.as_secs_f64();
    say!(
        "world of 12 hosts: {rate:.0} x real time on one core (aim {WORLD_AIM:.0}), {runs} runs of 90 s"
    );
    for tier in [Tier::Lab, Tier::World] {
        let campaign = Campaign {
            tier,
            seeds: 0..u64::MAX,
            profile: Profile::Pr,
            jobs: 1,
            budget: Some(length),
            mutant: None,
            recheck: false,
        };
        let outcome = campaign.run(|_, _| {});
        let minutes = outcome.wall.as_secs_f64() / 60.0;
        say!(
            "random {} runs as drawn: {:.0} a minute on one core, {:.0} x real time",
            tier.name(),
            outcome.done.len() as f64 / minutes,
            outcome.speed(1)
        );
    }
    Ok(0)
}

/// Runs plans of rising seeds for about `length`.
fn repeat(length: Duration, plan: impl Fn(u64) -> Plan) -> (u32, Duration) {
    let stopwatch = Stopwatch::start();
    let mut runs = 0;
    while stopwatch.elapsed() < length || runs == 0 {
        let _ = run_plan(&plan(u64::from(runs)), Keep::Hash, None);
        runs += 1;
    }
    (runs, stopwatch.elapsed())
}

/// Ten minutes with three managers, a crash a minute and steady clients.
fn lab_plan(seed: u64) -> Plan {
    let faults = (0..9).map(|minute| Fault {
        id: minute,
        at_ms: u64::from(minute) * 60_000,
        lasts_ms: 5_000,
        op: Op::Kill {
            host: Host::Primary,
            guard: minute % 2 == 0,
        },
    });
    let mut plan = Plan {
        tier: Tier::Lab,
        seed,
        faults: faults.collect(),
        ..Plan::default()
    };
    plan.phases.faults_ms =
        600_000 - plan.phases.warm_up_ms - plan.phases.recovery_ms - plan.phases.proof_ms;
    plan
}

/// Ninety seconds with three managers, a store of three, three engines, three clients that do not hurry.
fn world_plan(seed: u64) -> Plan {
    let mut plan = Plan {
        tier: Tier::World,
        seed,
        topology: Topology {
            managers: 3,
            stores: 3,
            engines: 3,
            agents: false,
            ..Topology::default()
        },
        workload: Workload {
            readers: 2,
            writers: 1,
            pace_ms: 250,
            ..Workload::default()
        },
        faults: vec![Fault {
            id: 1,
            at_ms: 20_000,
            lasts_ms: 10_000,
            op: Op::Kill {
                host: Host::Primary,
                guard: true,
            },
        }],
        ..Plan::default()
    };
    // As most random worlds have it.
    plan.knobs.tick_ms = 2;
    plan.phases.faults_ms =
        90_000 - plan.phases.warm_up_ms - plan.phases.recovery_ms - plan.phases.proof_ms;
    plan
}
