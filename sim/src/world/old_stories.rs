//! Stories of failovers in simulated time: the shipping runtime, real HTTP bytes, clocks that err by almost 2 %.
#![expect(clippy::unwrap_used, reason = "a story ends at the first violation")]

use std::time::Duration;

use swarm_models::consul::faults::Outage;
use swarm_sim::{Plan, STORE, World, WorldConfig};

const SECOND: Duration = Duration::from_secs(1);

fn world(seed: u64) -> World {
    World::new(&WorldConfig {
        seed,
        clock_error_ppm: 19_000,
        ..WorldConfig::default()
    })
}

/// `W·(1+ρ) + two swaps + 100 ms` for the default lease (DESIGN section 3); messages take 1 to 3 ms each way.
fn host_loss_budget() -> Duration {
    let wait = swarm_core::election::lease::takeover_wait(2 * SECOND);
    wait * 1_020 / 1_000 + Duration::from_millis(100 + 2 * 6)
}

/// A world whose first primary has acted for a while, its name, and a replica's.
fn settled(seed: u64) -> (World, String, String) {
    let mut world = world(seed);
    let primary = world.run_until_primary(5 * SECOND).unwrap();
    world.run_for(4 * SECOND).unwrap();
    assert_eq!(
        world.acting().map(|(name, _)| name),
        Some(primary.clone()),
        "a calm network changes nothing"
    );
    let replica = world
        .managers()
        .into_iter()
        .find(|name| *name != primary)
        .unwrap();
    (world, primary, replica)
}

/// Runs until somebody else than `former` acts, and says how long that took.
fn takeover(world: &mut World, former: &str) -> Duration {
    let began = world.elapsed();
    while world.acting().is_none_or(|(name, _)| name == former) {
        world.run_for(Duration::from_millis(1)).unwrap();
        assert!(
            world.elapsed() - began < 20 * SECOND,
            "nobody took over: {:#?}",
            world.log()
        );
    }
    world.elapsed() - began
}

#[test]
fn a_crashed_primary_without_a_guard_is_replaced_within_the_budget() {
    for seed in 0..2 {
        let (mut world, primary, _) = settled(seed);
        world.crash(&primary);
        let took = takeover(&mut world, &primary);
        assert!(took <= host_loss_budget(), "seed {seed}: {took:?}");
        let successor = world.acting().unwrap().0;
        world.restart(&primary);
        world.run_for(5 * SECOND).unwrap();
        assert_eq!(
            world.acting().unwrap().0,
            successor,
            "the old primary comes back as a replica"
        );
    }
}

#[test]
fn a_clean_stop_hands_over_in_a_few_round_trips() {
    for seed in 10..12 {
        let (mut world, primary, _) = settled(seed);
        world.terminate(&primary);
        let took = takeover(&mut world, &primary);
        assert!(took <= Duration::from_millis(100), "seed {seed}: {took:?}");
    }
}

#[test]
fn a_primary_cut_off_from_the_store_stops_before_another_starts() {
    for seed in 20..22 {
        let (mut world, primary, _) = settled(seed);
        world.cut(&primary, STORE);
        let took = takeover(&mut world, &primary);
        assert!(took <= host_loss_budget(), "seed {seed}: {took:?}");
        world.run_for(3 * SECOND).unwrap();
        world.heal(&primary, STORE);
        world.run_for(10 * SECOND).unwrap();
        assert_eq!(
            world.history().len(),
            2,
            "seed {seed}: {:?}",
            world.history()
        );
    }
}

#[test]
fn a_reader_at_a_replica_never_sees_a_failure() {
    for seed in 30..32 {
        let (mut world, primary, replica) = settled(seed);
        let readings = world.add_reader(&replica);
        world.run_for(SECOND).unwrap();
        world.terminate(&primary);
        world.run_for(3 * SECOND).unwrap();
        let seen = readings.borrow().clone();
        assert_eq!(seen.failed, Vec::<String>::new(), "seed {seed}");
        assert!(seen.answered > 50, "seed {seed}: {seen:?}");
        assert!(
            seen.slowest < Duration::from_millis(300),
            "seed {seed}: {seen:?}"
        );
    }
}

#[test]
fn a_reader_survives_the_loss_of_the_primarys_host() {
    let (mut world, primary, replica) = settled(40);
    let readings = world.add_reader(&replica);
    world.run_for(SECOND).unwrap();
    world.isolate(&primary);
    let before = readings.borrow().answered;
    takeover(&mut world, &primary);
    world.run_for(3 * SECOND).unwrap();
    let seen = readings.borrow().clone();
    assert_eq!(seen.failed, Vec::<String>::new());
    assert!(seen.answered > before + 100, "{seen:?}");
}

#[test]
fn a_store_outage_changes_no_primary() {
    for seed in 50..52 {
        let (mut world, primary, _) = settled(seed);
        let store = world.store().unwrap().clone();
        store.faults(|faults| faults.outage = Outage::Down);
        world.run_for(10 * SECOND).unwrap();
        assert_eq!(world.acting(), None, "the lease lapsed");
        store.faults(|faults| faults.outage = Outage::None);
        world.run_for(5 * SECOND).unwrap();
        assert_eq!(world.acting(), Some((primary, 1)), "seed {seed}");
    }
}

#[test]
fn an_emptied_store_is_recovered_from_with_a_higher_epoch() {
    for seed in 60..62 {
        let (mut world, ..) = settled(seed);
        world.store().unwrap().wipe();
        world.run_for(15 * SECOND).unwrap();
        let (_, epoch) = world.acting().unwrap();
        assert!(epoch > 1, "seed {seed}");
    }
}

#[test]
fn random_faults_break_no_promise() {
    // Crashes, a clean stop, two isolated managers and a store that hangs, partly at the same time.
    let config = WorldConfig {
        seed: 5,
        clock_error_ppm: 19_000,
        ..WorldConfig::default()
    };
    let plan = Plan::draw(config.seed, &config, 40 * SECOND);
    let outcome = plan
        .run(&config)
        .unwrap_or_else(|violation| panic!("{violation}: {plan:?}"));
    assert!(
        outcome.failed > 100,
        "nobody noticed the faults: {outcome:?}"
    );
}

#[test]
fn the_same_seed_is_the_same_run() {
    let story = |seed| {
        let (mut world, primary, replica) = settled(seed);
        let readings = world.add_reader(&replica);
        world.crash(&primary);
        world.run_for(6 * SECOND).unwrap();
        let seen = readings.borrow().clone();
        (world.log(), world.history().to_vec(), seen)
    };
    let first = story(70);
    story(71);
    assert_eq!(first, story(70));
    assert_ne!(first.0, story(71).0, "another seed is another run");
}
