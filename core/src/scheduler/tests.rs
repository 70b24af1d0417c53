use super::*;
use crate::cluster::tests::{Described, NOW, address, cluster};
use crate::cluster::{EngineState, NANO};

const GIB: u64 = 1 << 30;

fn scheduler(overcommit: i64) -> Scheduler {
    Scheduler::new(Strategy::Spread, vec![Filter::Health], overcommit)
}

fn wants(memory: u64, cpus: u64) -> Request {
    Request {
        name: String::new(),
        swarm_id: String::new(),
        resources: Resources {
            memory,
            nano_cpus: cpus * NANO,
        },
    }
}

/// Places as the API does, with the container showing up in the view at once; the engine's number.
fn place(cluster: &mut Cluster, overcommit: i64, memory: u64, cpus: u64) -> Option<usize> {
    let ranking = scheduler(overcommit)
        .rank(cluster, &wants(memory, cpus))
        .ok()?;
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

#[test]
fn golden_1_spread_counts_containers_or_cpus() {
    let mut none = cluster(&[(21, GIB), (42, GIB)]);
    let mut one = none.clone();
    for _ in 0..60 {
        place(&mut none, 0, 0, 0).unwrap();
        place(&mut one, 0, 0, 1).unwrap();
    }
    assert_eq!(counts(&none), [30, 30]);
    assert_eq!(counts(&one), [20, 40]);
}

#[test]
fn golden_2_fewer_containers_win_at_equal_weight() {
    let mut cluster = cluster(&[(4, 4 * GIB), (4, 4 * GIB)]);
    Described::new("a", "a")
        .resources(2 * GIB, 0)
        .put(&mut cluster, 0);
    Described::new("b", "b")
        .resources(GIB, 0)
        .put(&mut cluster, 1);
    Described::new("c", "c")
        .resources(GIB, 0)
        .put(&mut cluster, 1);
    assert_eq!(place(&mut cluster, 0, GIB, 0), Some(0));
}

#[test]
fn golden_3_spread_uses_different_engines() {
    for (memory, cpus) in [(GIB, 0), (0, 1)] {
        let mut cluster = cluster(&[(2, 2 * GIB), (2, 2 * GIB)]);
        place(&mut cluster, 0, memory, cpus).unwrap();
        place(&mut cluster, 0, memory, cpus).unwrap();
        assert_eq!(counts(&cluster), [1, 1]);
    }
}

#[test]
fn golden_4_the_emptier_engine_gets_the_third() {
    let mut cluster = cluster(&[(2, 4 * GIB), (2, 4 * GIB)]);
    let first = place(&mut cluster, 0, 2 * GIB, 0);
    let second = place(&mut cluster, 0, 3 * GIB, 0);
    assert_ne!(first, second);
    assert_eq!(place(&mut cluster, 0, GIB, 0), first);
}

#[test]
fn golden_5_a_hundred_fit_and_no_more() {
    let mut cluster = cluster(&[(1, GIB); 100]);
    for _ in 0..100 {
        assert!(place(&mut cluster, 5, 0, 1).is_some());
    }
    assert_eq!(place(&mut cluster, 5, 0, 1), None);
    for _ in 0..100 {
        assert!(place(&mut cluster, 5, GIB, 0).is_some());
    }
    assert_eq!(place(&mut cluster, 5, GIB, 0), None);
    assert_eq!(counts(&cluster), [2; 100]);
}

#[test]
fn golden_6_overcommit_raises_the_limit() {
    for (memory, fits) in [(90, true), (100, true), (105, true), (106, false)] {
        let mut cluster = cluster(&[(4, 100 * GIB)]);
        assert_eq!(
            place(&mut cluster, overcommit_percent(0.05), memory * GIB, 0).is_some(),
            fits
        );
    }
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
    assert_eq!(ranking.ranked[0].address, address(0));
    let (second, ranking) = scheduler.reserve(&cluster, request(2)).unwrap();
    assert_eq!(ranking.ranked[0].address, address(1));
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
fn one_recent_failure_outweighs_any_difference_in_room() {
    let mut cluster = cluster(&[(4, 4 * GIB), (4, 4 * GIB)]);
    Described::new("a", "a")
        .resources(3 * GIB, 3)
        .put(&mut cluster, 1);
    cluster
        .set_health(&address(0), EngineState::Healthy, 67, None, NOW)
        .unwrap();
    assert_eq!(place(&mut cluster, 0, GIB, 1), Some(1));
}

#[test]
fn what_is_configured_is_applied_or_refused() {
    assert_eq!(
        Strategy::try_from(config::Strategy::Spread),
        Ok(Strategy::Spread)
    );
    assert_eq!(Filter::try_from(config::Filter::Health), Ok(Filter::Health));
    let error = Strategy::try_from(config::Strategy::BinPack).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("--strategy binpack is not implemented")
    );
    let error = Filter::try_from(config::Filter::Port).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("--filter port is not implemented")
    );
    assert_eq!(
        Strategy::Spread.to_string(),
        config::Strategy::Spread.name()
    );
    assert_eq!(Filter::Health.to_string(), config::Filter::Health.name());
    assert_eq!([0.05, -0.5, 0.0].map(overcommit_percent), [5, -50, 0]);
}
