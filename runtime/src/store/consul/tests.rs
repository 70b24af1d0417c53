//! The store contract, over loopback connections to the Consul double.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use swarm_core::discovery::{KV_PATH_DEFAULT, KeyLayout};
use swarm_core::election::{Reading, Record, SwapOutcome, Version};
use swarm_models::consul::faults::{Ambiguous, AmbiguousAnswer, Outage};
use swarm_models::consul::{Cluster, Options};
use swarm_models::tokio_host::{StopHandle, TokioHost, serve_tcp};

use super::*;
use crate::http::client::ClientConfig;
use crate::platform::TokioPlatform;

struct Bench {
    cluster: Arc<Cluster>,
    store: Arc<Consul>,
    stops: Vec<StopHandle>,
}

async fn bench_with(options: Options, servers: usize, token: Option<&str>) -> Bench {
    let cluster = Cluster::new(Arc::new(TokioHost::new()), options);
    let (mut addresses, mut stops) = (Vec::new(), Vec::new());
    for n in 0..servers {
        let (address, stop) = serve_tcp("127.0.0.1:0", Arc::new(cluster.server(n)))
            .await
            .unwrap();
        addresses.push(address.to_string().parse().unwrap());
        stops.push(stop);
    }
    let platform: SharedPlatform = Arc::new(TokioPlatform::new().unwrap());
    let config = ConsulConfig {
        servers: addresses,
        token: token.map(Secret::new),
        layout: KeyLayout::new("nodes", KV_PATH_DEFAULT).unwrap(),
        operation: Duration::from_millis(500),
    };
    let client = Client::new(platform.clone(), ClientConfig::default());
    Bench {
        cluster,
        store: Consul::new(platform, client, config),
        stops,
    }
}

async fn bench() -> Bench {
    bench_with(Options::default(), 1, None).await
}

fn record(epoch: u64) -> Record {
    Record {
        cluster: "c".into(),
        epoch,
        holder: "m1:4000".parse().unwrap(),
        instance: "i".into(),
        nonce: format!("n{epoch}"),
        beat: 0,
        lease_ms: 2_000,
        released: false,
        failsafe: false,
        members: Vec::new(),
    }
}

fn swapped(outcome: SwapOutcome) -> Version {
    let SwapOutcome::Swapped(version) = outcome else {
        panic!("not swapped: {outcome:?}")
    };
    version
}

#[tokio::test]
async fn a_swap_names_the_version_and_a_conflict_shows_what_is_there() {
    let bench = bench().await;
    assert_eq!(bench.store.verify_lease().await, Ok(Reading::Absent));
    let first = swapped(bench.store.swap_lease(None, &record(1)).await);
    let second = swapped(bench.store.swap_lease(Some(first), &record(2)).await);
    assert!(second > first);
    let there = Reading::Present {
        version: second,
        record: record(2),
    };
    for stale in [None, Some(first)] {
        let outcome = bench.store.swap_lease(stale, &record(3)).await;
        assert_eq!(outcome, SwapOutcome::Conflict(Some(there.clone())));
    }
    assert_eq!(bench.store.verify_lease().await, Ok(there));
}

#[tokio::test]
async fn a_watch_returns_when_the_record_changes() {
    let bench = bench().await;
    let mut cursor = Cursor::default();
    assert_eq!(
        bench.store.watch_lease(&mut cursor).await,
        Ok(Reading::Absent)
    );
    let store = bench.store.clone();
    let watcher = async {
        let seen = store.watch_lease(&mut cursor).await.unwrap();
        assert_eq!(seen.record().map(|record| record.epoch), Some(1));
    };
    let writer = async { swapped(bench.store.swap_lease(None, &record(1)).await) };
    tokio::join!(watcher, writer);
}

#[tokio::test]
async fn a_watch_starts_anew_when_the_store_lost_its_data() {
    let bench = bench().await;
    for _ in 0..50 {
        bench.cluster.put("other", "x");
    }
    swapped(bench.store.swap_lease(None, &record(1)).await);
    let mut cursor = Cursor::default();
    bench.store.watch_lease(&mut cursor).await.unwrap();
    let before = cursor;
    bench.cluster.wipe();
    // The query made with the old index comes back at its wait at the latest, lower than before.
    let seen = bench.store.watch_lease(&mut cursor).await.unwrap();
    assert_eq!(seen, Reading::Absent);
    assert!(cursor.0 < before.0, "{cursor:?}");
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_its_nonce_shows_in_the_next_conflict() {
    let bench = bench().await;
    let lost = Ambiguous {
        skip: 0,
        count: 1,
        applied: true,
        answer: AmbiguousAnswer::Cut,
    };
    bench.cluster.lose_replies(lost);
    assert_eq!(
        bench.store.swap_lease(None, &record(1)).await,
        SwapOutcome::Unknown
    );
    let again = bench.store.swap_lease(None, &record(2)).await;
    let SwapOutcome::Conflict(Some(Reading::Present { record: there, .. })) = again else {
        panic!("{again:?}")
    };
    assert_eq!(there.nonce, "n1");
}

#[tokio::test]
async fn a_store_that_is_not_there_applied_nothing() {
    let mut bench = bench().await;
    for stop in bench.stops.drain(..) {
        stop.stop().await;
    }
    assert_eq!(
        bench.store.swap_lease(None, &record(1)).await,
        SwapOutcome::NotApplied
    );
    let error = bench.store.verify_lease().await.unwrap_err().to_string();
    assert!(
        error.contains("127.0.0.1:") && error.contains("cannot be reached"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_that_hangs_is_unknown_for_writes_and_passed_over_for_reads() {
    let bench = bench_with(
        Options {
            servers: 3,
            ..Options::default()
        },
        3,
        None,
    )
    .await;
    swapped(bench.store.swap_lease(None, &record(1)).await);
    bench
        .cluster
        .server(0)
        .faults(|faults| faults.outage = Outage::Hung);
    let outcome = bench.store.swap_lease(None, &record(2)).await;
    assert_eq!(outcome, SwapOutcome::Unknown);
    bench.cluster.set_leader(Some(1));
    assert!(bench.store.verify_lease().await.is_ok());
}

#[tokio::test]
async fn another_server_takes_over_when_one_is_gone() {
    let mut bench = bench_with(
        Options {
            servers: 3,
            ..Options::default()
        },
        3,
        None,
    )
    .await;
    bench.cluster.set_leader(Some(1));
    bench.stops.remove(0).stop().await;
    let first = swapped(bench.store.swap_lease(None, &record(1)).await);
    swapped(bench.store.swap_lease(Some(first), &record(2)).await);
}

#[tokio::test]
async fn a_wrong_token_is_said_to_be_wrong() {
    let bench = bench_with(Options::default(), 1, Some("wrong")).await;
    bench.cluster.set_tokens(Some(["right".to_owned()].into()));
    let error = bench.store.verify_lease().await.unwrap_err();
    assert!(
        matches!(error, StoreError::Refused { status: 403, .. }),
        "{error}"
    );
    assert_eq!(
        bench.store.swap_lease(None, &record(1)).await,
        SwapOutcome::NotApplied
    );
    bench.cluster.set_tokens(Some(["wrong".to_owned()].into()));
    swapped(bench.store.swap_lease(None, &record(1)).await);
}

#[tokio::test]
async fn a_registration_is_listed_survives_the_loss_of_its_session_and_ends_when_asked() {
    let bench = bench().await;
    let engine: HostPort = "10.0.0.1:2375".parse().unwrap();
    let ttl = Duration::from_secs(30);
    bench
        .cluster
        .put("nodes/docker/swarm/nodes-staging/10.9.9.9:1", "10.9.9.9:1");
    bench.store.register(&engine, ttl).await.unwrap();
    let listed = async || {
        bench
            .store
            .watch_engines(&mut Cursor::default())
            .await
            .unwrap()
    };
    assert_eq!(listed().await, ["10.0.0.1:2375"]);
    for session in bench.cluster.sessions() {
        bench.cluster.destroy_session(&session.id);
    }
    assert!(listed().await.is_empty());
    bench.store.register(&engine, ttl).await.unwrap();
    assert_eq!(listed().await, ["10.0.0.1:2375"]);
    bench.store.deregister(&engine).await.unwrap();
    assert!(listed().await.is_empty());
    assert!(bench.cluster.sessions().is_empty());
}

#[tokio::test]
async fn only_a_held_lock_counts_as_a_classic_primary() {
    let bench = bench().await;
    assert_eq!(bench.store.classic_primary().await, Ok(None));
    bench
        .store
        .announce_primary(&"m1:4000".parse().unwrap())
        .await
        .unwrap();
    assert_eq!(bench.store.classic_primary().await, Ok(None));
    let entry = bench.cluster.get("nodes/docker/swarm/leader").unwrap();
    assert_eq!(
        (&entry.value[..], entry.flags),
        (&b"m1:4000"[..], CLASSIC_FLAGS)
    );
}

#[tokio::test]
async fn drained_engines_are_kept_by_id_and_followed() {
    let bench = bench().await;
    let mut cursor = Cursor::default();
    assert_eq!(
        bench.store.watch_drained(&mut cursor).await,
        Ok(BTreeSet::new())
    );
    bench.store.set_drained("A:1", "n1", true).await.unwrap();
    let one = BTreeSet::from(["A:1".to_owned()]);
    assert_eq!(bench.store.watch_drained(&mut cursor).await, Ok(one));
    // Engines that are registered are another listing.
    let mut engines = Cursor::default();
    assert_eq!(
        bench.store.watch_engines(&mut engines).await,
        Ok(Vec::new())
    );
    bench.store.set_drained("A:1", "n1", false).await.unwrap();
    bench.store.set_drained("never", "n2", false).await.unwrap();
    assert_eq!(
        bench.store.watch_drained(&mut cursor).await,
        Ok(BTreeSet::new())
    );
    for stop in bench.stops {
        stop.stop().await;
    }
}
