use super::*;
use crate::cluster::tests::{Described, NOW, address, cluster};
use crate::cluster::{EngineState, NANO};

mod dependencies;
mod filters;
mod ports;

const GIB: u64 = 1 << 30;

fn scheduler(overcommit: i64) -> Scheduler {
    ranked_by(Strategy::Spread, overcommit)
}

fn ranked_by(strategy: Strategy, overcommit: i64) -> Scheduler {
    Scheduler::new(strategy, Filter::ALL.to_vec(), overcommit, Random::new(1))
}

fn wants(memory: u64, cpus: u64) -> Request {
    Request {
        resources: Resources {
            memory,
            nano_cpus: cpus * NANO,
        },
        ..Request::default()
    }
}

/// Places as the API does, with the container showing up in the view at once; the engine's number.
fn place(
    scheduler: &mut Scheduler,
    cluster: &mut Cluster,
    memory: u64,
    cpus: u64,
) -> Option<usize> {
    let ranking = scheduler.rank(cluster, &wants(memory, cpus)).ok()?;
    let best = ranking.ranked.first()?.address.clone();
    let engines = cluster.engines().len();
    let number = (0..engines).find(|number| address(*number) == best)?;
    let id = format!(
        "id{}",
        cluster
            .engines()
            .map(|engine| engine.containers().len())
            .sum::<usize>()
    );
    Described::new(&id, &id)
        .resources(memory, cpus)
        .put(cluster, number);
    Some(number)
}

fn counts(cluster: &Cluster) -> Vec<usize> {
    cluster
        .engines()
        .map(|engine| engine.containers().len())
        .collect()
}

// The golden vectors are those of spec/classic.md appendix B.

const BOTH: [Strategy; 2] = [Strategy::Spread, Strategy::BinPack];

#[test]
fn golden_1_spread_counts_containers_or_cpus() {
    let mut none = cluster(&[(21, GIB), (42, GIB)]);
    let mut one = none.clone();
    let mut spread = scheduler(0);
    for _ in 0..60 {
        place(&mut spread, &mut none, 0, 0).unwrap();
        place(&mut spread, &mut one, 0, 1).unwrap();
    }
    assert_eq!(counts(&none), [30, 30]);
    assert_eq!(counts(&one), [20, 40]);
}

#[test]
fn golden_2_the_count_decides_at_equal_weight() {
    for (strategy, expected) in BOTH.into_iter().zip([0, 1]) {
        let mut cluster = cluster(&[(4, 4 * GIB), (4, 4 * GIB)]);
        for (id, memory, engine) in [("a", 2 * GIB, 0), ("b", GIB, 1), ("c", GIB, 1)] {
            Described::new(id, id)
                .resources(memory, 0)
                .put(&mut cluster, engine);
        }
        let chosen = place(&mut ranked_by(strategy, 0), &mut cluster, GIB, 0);
        assert_eq!(chosen, Some(expected), "{strategy}");
    }
}

#[test]
fn golden_3_spread_uses_different_engines_and_binpack_one() {
    for (memory, cpus) in [(GIB, 0), (0, 1)] {
        for (strategy, expected) in BOTH.into_iter().zip([[1, 1], [2, 0]]) {
            let mut cluster = cluster(&[(2, 2 * GIB), (2, 2 * GIB)]);
            let mut scheduler = ranked_by(strategy, 0);
            place(&mut scheduler, &mut cluster, memory, cpus).unwrap();
            place(&mut scheduler, &mut cluster, memory, cpus).unwrap();
            assert_eq!(counts(&cluster), expected, "{strategy}");
        }
    }
}

#[test]
fn golden_4_the_third_goes_to_the_emptier_or_the_fuller_engine() {
    for strategy in BOTH {
        let mut cluster = cluster(&[(2, 4 * GIB), (2, 4 * GIB)]);
        let mut scheduler = ranked_by(strategy, 0);
        let emptier = place(&mut scheduler, &mut cluster, 2 * GIB, 0);
        let fuller = place(&mut scheduler, &mut cluster, 3 * GIB, 0);
        assert_ne!(emptier, fuller);
        let third = place(&mut scheduler, &mut cluster, GIB, 0);
        let expected = if strategy == Strategy::Spread {
            emptier
        } else {
            fuller
        };
        assert_eq!(third, expected, "{strategy}");
    }
}

#[test]
fn golden_5_a_hundred_fit_and_no_more() {
    for strategy in Strategy::ALL {
        let mut cluster = cluster(&[(1, GIB); 100]);
        let mut scheduler = ranked_by(strategy, 5);
        for (memory, cpus) in [(0, 1), (GIB, 0)] {
            for _ in 0..100 {
                assert!(place(&mut scheduler, &mut cluster, memory, cpus).is_some());
            }
            // Random too: classic Swarm's looked at no resources (spec/classic.md section 10.4, S2).
            assert_eq!(place(&mut scheduler, &mut cluster, memory, cpus), None);
        }
        assert_eq!(counts(&cluster), [2; 100]);
    }
}

#[test]
fn golden_6_overcommit_raises_the_limit() {
    for (memory, fits) in [(90, true), (100, true), (105, true), (106, false)] {
        let mut cluster = cluster(&[(4, 100 * GIB)]);
        let mut spread = scheduler(overcommit_percent(0.05));
        let chosen = place(&mut spread, &mut cluster, memory * GIB, 0);
        assert_eq!(chosen.is_some(), fits);
    }
}

#[test]
fn golden_7_binpack_fills_one_engine_after_the_other() {
    let mut cluster = cluster(&[(4, 2 * GIB); 3]);
    let mut binpack = ranked_by(Strategy::BinPack, 0);
    assert_eq!(place(&mut binpack, &mut cluster, 10 * GIB, 0), None);
    for (memory, expected) in [(GIB, 0), (GIB, 0), (2 * GIB, 1), (GIB, 2), (GIB, 2)] {
        let chosen = place(&mut binpack, &mut cluster, memory, 0);
        assert_eq!(chosen, Some(expected));
    }
    assert_eq!(place(&mut binpack, &mut cluster, GIB, 0), None);
    assert!(cluster.remove_container(&address(1), "id2"));
    assert_eq!(place(&mut binpack, &mut cluster, GIB, 0), Some(1));
}

#[test]
fn random_uses_every_engine_and_repeats_itself_from_the_same_stream() {
    let cluster = cluster(&[(1, GIB); 5]);
    let draw = |seed| -> Vec<HostPort> {
        let filters = vec![Filter::Health];
        let mut scheduler = Scheduler::new(Strategy::Random, filters, 0, Random::new(seed));
        let mut first = || {
            scheduler
                .rank(&cluster, &wants(0, 0))
                .unwrap()
                .ranked
                .remove(0)
        };
        (0..200).map(|_| first().address.clone()).collect()
    };
    for number in 0..5 {
        let times = draw(7).into_iter().filter(|one| *one == address(number));
        // 40 on average; anything outside is less likely than one in a million.
        assert!((10..=75).contains(&times.count()), "{number}");
    }
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

#[test]
fn equal_engines_are_ranked_by_name() {
    // spec/classic.md section 10.4, S14: the order of discovery is another on each manager.
    let (forth, back) = (cluster(&[(1, GIB); 4]), backwards(4));
    for strategy in BOTH {
        let names = |cluster: &Cluster| {
            let ranking = ranked_by(strategy, 0).rank(cluster, &wants(0, 0)).unwrap();
            let names = ranking.ranked.into_iter().map(|one| one.name.to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(&forth), ["node-0", "node-1", "node-2", "node-3"]);
        assert_eq!(names(&forth), names(&back), "{strategy}");
    }
}

/// Engines discovered in the other order.
fn backwards(engines: usize) -> Cluster {
    let mut cluster = Cluster::new();
    for number in (0..engines).rev() {
        let address = address(number);
        assert!(cluster.add_engine(&address, NOW));
        let specs = crate::cluster::tests::specs(number, 1, GIB);
        cluster.admit(&address, address.ip(), specs, NOW).unwrap();
        cluster
            .set_health(&address, EngineState::Healthy, 100, None, NOW)
            .unwrap();
    }
    cluster
}

#[test]
fn reservations_count_until_released_or_visible() {
    let mut cluster = cluster(&[(1, 2 * GIB), (1, 2 * GIB)]);
    let mut scheduler = scheduler(0);
    let request = |number: u64| Request {
        name: format!("c{number}"),
        swarm_id: format!("s{number}"),
        ..wants(2 * GIB, 0)
    };
    let (first, ranking) = scheduler.reserve(&cluster, request(1)).unwrap();
    assert_eq!(ranking.ranked.len(), 2);
    assert_eq!(*ranking.ranked[0].address, address(0));
    let (second, ranking) = scheduler.reserve(&cluster, request(2)).unwrap();
    assert_eq!(*ranking.ranked[0].address, address(1));
    let error = scheduler
        .reserve(&cluster, request(3))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "no resources available to schedule container (node-0: memory: 2 GiB requested, 2 GiB of 2 GiB reserved; \
         node-1: memory: 2 GiB requested, 2 GiB of 2 GiB reserved)"
    );
    scheduler.release(second);
    assert!(scheduler.rank(&cluster, &request(3)).is_ok());
    // Seen in the view it is not counted twice.
    Described::new("aaa", "c1")
        .swarm_id("s1")
        .resources(GIB, 0)
        .put(&mut cluster, 0);
    assert_eq!(
        scheduler
            .rank(&cluster, &wants(GIB, 0))
            .unwrap()
            .ranked
            .len(),
        2
    );
    scheduler.move_to(first, &address(1));
    scheduler.release(first);
    assert_eq!(scheduler.reserved(), 0);
}

#[test]
fn a_name_is_given_once_in_the_whole_cluster() {
    let mut cluster = cluster(&[(1, GIB), (1, GIB)]);
    Described::new("aaa", "web").put(&mut cluster, 1);
    let mut scheduler = scheduler(0);
    let named = |name: &str| Request {
        name: name.to_owned(),
        ..Request::default()
    };
    let conflict = "Conflict: The name web is already assigned. You have to delete (or rename) that container to be \
                    able to assign web to a container again.";
    assert_eq!(
        scheduler
            .reserve(&cluster, named("web"))
            .unwrap_err()
            .to_string(),
        conflict
    );
    assert_eq!(
        scheduler
            .reserve_name(&cluster, "/web")
            .unwrap_err()
            .to_string(),
        conflict
    );
    let (id, _) = scheduler.reserve(&cluster, named("db")).unwrap();
    assert!(scheduler.reserve_name(&cluster, "db").is_err());
    scheduler.release(id);
    assert!(scheduler.reserve_name(&cluster, "db").is_ok());
    assert!(scheduler.reserve(&cluster, named("")).is_ok());
    assert!(scheduler.reserve(&cluster, named("")).is_ok());
}

#[test]
fn engines_that_do_not_answer_are_refused_with_their_error() {
    let mut cluster = cluster(&[(1, GIB), (1, GIB)]);
    let fail = |cluster: &mut Cluster, number| {
        let error = Some("connection refused".to_owned());
        cluster
            .set_health(&address(number), EngineState::Unhealthy, 0, error, NOW)
            .unwrap();
    };
    fail(&mut cluster, 0);
    let ranking = scheduler(0).rank(&cluster, &wants(0, 0)).unwrap();
    assert_eq!(ranking.ranked.len(), 1);
    assert_eq!(ranking.refused[0].reason, "Unhealthy: connection refused");
    fail(&mut cluster, 1);
    let error = scheduler(0)
        .rank(&cluster, &wants(0, 0))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("No healthy node available in the cluster (node-0: Unhealthy"),
        "{error}"
    );
    assert_eq!(
        scheduler(0).rank(&Cluster::new(), &wants(0, 0)),
        Err(PlaceError::NoEngines)
    );
}

#[test]
fn parts_of_a_cpu_are_reserved() {
    // spec/classic.md section 10.4, S9
    let cluster = cluster(&[(2, GIB)]);
    let half = Request {
        resources: Resources {
            memory: 0,
            nano_cpus: NANO / 2,
        },
        ..Request::default()
    };
    let mut scheduler = scheduler(0);
    for _ in 0..4 {
        scheduler.reserve(&cluster, half.clone()).unwrap();
    }
    assert_eq!(
        scheduler.reserve(&cluster, half).unwrap_err().to_string(),
        "no resources available to schedule container (node-0: CPUs: 0.5 requested, 2 of 2 reserved)"
    );
}

#[test]
fn one_recent_failure_outweighs_any_difference_in_room() {
    let mut cluster = cluster(&[(4, 4 * GIB), (4, 4 * GIB)]);
    Described::new("a", "a")
        .resources(3 * GIB, 3)
        .put(&mut cluster, 1);
    cluster
        .set_health(&address(0), EngineState::Healthy, 67, None, NOW)
        .unwrap();
    assert_eq!(place(&mut scheduler(0), &mut cluster, GIB, 1), Some(1));
}

#[test]
fn overcommit_is_cut_off_to_whole_percent() {
    assert_eq!(
        [0.05, -0.5, 0.0, 0.019].map(overcommit_percent),
        [5, -50, 0, 1]
    );
}
