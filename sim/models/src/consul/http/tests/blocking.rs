//! Blocking queries and session expiry (HA.md sections 2.1, 2.2 and 2.5; api-docs/features/blocking).

use super::*;

/// Sends a blocking query on a connection of its own; the answer comes with how long it took.
async fn watch(
    bench: &Bench,
    server: usize,
    uri: &str,
) -> tokio::sync::oneshot::Receiver<(Got, Duration)> {
    let mut client = bench.client(server).await;
    let host = Arc::clone(&bench.host);
    let uri = uri.to_owned();
    let start = bench.now();
    let watching = bench.start(async move {
        let got = client.get(&uri).await;
        (got, host.mono().since(start))
    });
    bench.pass(1).await;
    watching
}

fn millis(range: std::ops::RangeInclusive<u64>) -> std::ops::RangeInclusive<Duration> {
    Duration::from_millis(*range.start())..=Duration::from_millis(*range.end())
}

/// A query returns when its key is written, not when another one is.
#[tokio::test(start_paused = true)]
async fn a_write_wakes_the_watch_of_its_key_only() {
    let bench = Bench::new(Options::default());
    bench.cluster.put("k", "a");
    let waiting = watch(&bench, 0, "/v1/kv/k?index=11&wait=60s").await;
    bench.pass(1_000).await;
    bench.cluster.put("other", "x");
    bench.cluster.put("k", "a");
    bench.pass(1_000).await;
    bench.cluster.put("k", "b");
    let (got, took) = waiting.await.unwrap();
    assert!(millis(2_000..=2_100).contains(&took), "{took:?}");
    assert_eq!(
        (got.json()[0]["Value"].clone(), got.index()),
        (json!("Yg=="), 14)
    );
}

/// Measured 1.006 to 1.065 s for `wait=1s`: up to a sixteenth is added.
#[tokio::test(start_paused = true)]
async fn a_wait_ends_after_its_time_and_up_to_a_sixteenth() {
    let bench = Bench::new(Options::default());
    bench.cluster.put("k", "a");
    let mut client = bench.client(0).await;
    let mut seen = BTreeSet::new();
    for (wait, least, most) in [
        ("1s", 1_000, 1_063),
        ("1s", 1_000, 1_063),
        ("1s", 1_000, 1_063),
        // The default and the cap.
        ("0s", 300_000, 318_760),
        ("2h", 600_000, 637_510),
    ] {
        let start = bench.now();
        let got = client.get(&format!("/v1/kv/k?index=11&wait={wait}")).await;
        let took = bench.now().since(start);
        assert!(millis(least..=most).contains(&took), "{wait}: {took:?}");
        assert_eq!(got.index(), 11);
        seen.insert(took);
    }
    assert!(
        seen.len() > 3,
        "the added time is drawn each time: {seen:?}"
    );
}

/// An index that is already outdated, or none, answers at once.
#[tokio::test(start_paused = true)]
async fn an_old_index_does_not_block() {
    let bench = Bench::new(Options::default());
    bench.cluster.put("k", "a");
    bench.cluster.put("k", "b");
    let mut client = bench.client(0).await;
    let start = bench.now();
    for uri in ["/v1/kv/k", "/v1/kv/k?index=0", "/v1/kv/k?index=11&wait=60s"] {
        assert_eq!(client.get(uri).await.index(), 12);
    }
    assert_eq!(bench.now(), start);
}

/// With an index from the future a change is delivered only at the end of the wait, with the lower index.
#[tokio::test(start_paused = true)]
async fn a_future_index_blinds() {
    let bench = Bench::new(Options::default());
    bench.cluster.put("k", "a");
    let waiting = watch(&bench, 0, "/v1/kv/k?index=99999999&wait=5s").await;
    bench.pass(300).await;
    bench.cluster.put("k", "b");
    let (got, took) = waiting.await.unwrap();
    assert!(millis(5_000..=5_314).contains(&took), "{took:?}");
    assert_eq!(
        (got.json()[0]["Value"].clone(), got.index()),
        (json!("Yg=="), 12)
    );
}

/// A missing key has the index of the table; writes elsewhere raise it but wake nobody (1.10.11).
#[tokio::test(start_paused = true)]
async fn a_missing_key_waits_for_its_creation_only() {
    let bench = Bench::new(Options::default());
    bench.cluster.put("other", "x");
    let waiting = watch(&bench, 0, "/v1/kv/k?index=11&wait=60s").await;
    bench.cluster.put("other", "y");
    bench.pass(2_000).await;
    bench.cluster.put("k", "v");
    let (got, took) = waiting.await.unwrap();
    assert!(millis(2_000..=2_100).contains(&took), "{took:?}");
    assert_eq!((got.status, got.index()), (200, 13));

    let waiting = watch(&bench, 0, "/v1/kv/k?index=13&wait=60s").await;
    bench.cluster.delete("k");
    let (got, _took) = waiting.await.unwrap();
    assert_eq!((got.status, got.index()), (404, 14));
}

/// A list wakes for a write, a creation and a deletion below its prefix.
#[tokio::test(start_paused = true)]
async fn a_list_waits_for_any_change_below_it() {
    let bench = Bench::new(Options::default());
    bench.cluster.put("n/1", "a");
    for (change, index) in [("put", 11), ("delete", 12)] {
        let uri = format!("/v1/kv/n/?recurse&index={index}&wait=60s");
        let waiting = watch(&bench, 0, &uri).await;
        match change {
            "put" => bench.cluster.put("n/2", "b"),
            _ => bench.cluster.delete("n/2"),
        }
        let (got, took) = waiting.await.unwrap();
        assert!(took < Duration::from_millis(100), "{change}: {took:?}");
        assert_eq!(got.index(), index + 1);
    }
}

/// A session of 10 s frees its key 20 s after the last renewal, and that alone wakes the watch.
#[tokio::test(start_paused = true)]
async fn an_expiring_session_wakes_the_watch_of_its_key() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    let id = client
        .session(json!({ "TTL": "10s", "LockDelay": "0s" }))
        .await;
    client.put(&format!("/v1/kv/k?acquire={id}"), "v").await;
    bench.pass(5_000).await;
    client.put(&format!("/v1/session/renew/{id}"), "").await;
    let index = client.get("/v1/kv/k").await.index();
    let waiting = watch(&bench, 0, &format!("/v1/kv/k?index={index}&wait=60s")).await;
    let (got, took) = waiting.await.unwrap();
    assert!(millis(20_000..=20_010).contains(&took), "{took:?}");
    assert_eq!(got.json()[0].get("Session"), None);
    assert!(bench.cluster.sessions().is_empty());
}

/// A lost session leaves the lock-delay: `acquire` says false, without a notification when it ends.
#[tokio::test(start_paused = true)]
async fn acquire_is_refused_during_the_lock_delay() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    let first = client.session(json!({ "LockDelay": "2s" })).await;
    let second = client.session(json!({})).await;
    client.put(&format!("/v1/kv/k?acquire={first}"), "v").await;
    client
        .put(&format!("/v1/session/destroy/{first}"), "")
        .await;
    let acquire = format!("/v1/kv/k?acquire={second}");
    assert_eq!(client.put(&acquire, "w").await.answer(), (200, "false"));
    let lock = json!([{ "KV": { "Verb": "lock", "Key": "k", "Session": second } }]);
    let refused = client.put("/v1/txn", lock.to_string()).await;
    assert_eq!(refused.status, 409);
    assert_eq!(
        refused.json()["Errors"][0]["What"],
        json!("failed to lock key \"k\" due to lock delay")
    );
    bench.pass(2_000).await;
    assert_eq!(client.put(&acquire, "w").await.answer(), (200, "true"));
}

/// The timers belong to the leader: a new one gives every session its full time again (measured 27.9 to 40.4 s).
#[tokio::test(start_paused = true)]
async fn a_new_leader_restarts_session_timers() {
    let bench = Bench::three();
    let mut client = bench.client(0).await;
    client.session(json!({ "TTL": "10s" })).await;
    bench.pass(15_000).await;
    bench.cluster.set_leader(None);
    bench.pass(10_000).await;
    assert_eq!(bench.cluster.sessions().len(), 1);
    bench.cluster.set_leader(Some(1));
    bench.pass(19_990).await;
    assert_eq!(bench.cluster.sessions().len(), 1);
    bench.pass(20).await;
    assert!(bench.cluster.sessions().is_empty());
}

/// A stale renewal answered by a follower resets a timer that nobody looks at: 200, and the session ends all the same.
#[tokio::test(start_paused = true)]
async fn a_stale_renewal_at_a_follower_is_useless() {
    let bench = Bench::three();
    let mut client = bench.client(1).await;
    let id = client.session(json!({ "TTL": "10s" })).await;
    bench.pass(15_000).await;
    let renewed = client
        .put(&format!("/v1/session/renew/{id}?stale"), "")
        .await;
    assert_eq!(renewed.status, 200);
    bench.pass(5_010).await;
    assert!(bench.cluster.sessions().is_empty());
}
