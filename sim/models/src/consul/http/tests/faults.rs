//! Misbehaviour (HA.md sections 2.5, 2.6 and 11).

use super::*;

/// A follower passes reads and writes on; with `stale` it answers itself, as late as it is.
#[tokio::test(start_paused = true)]
async fn a_follower_answers_stale_reads_from_what_it_has() {
    let bench = Bench::three();
    let lag = Duration::from_secs(3);
    bench
        .cluster
        .server(1)
        .faults(|faults| faults.stale_lag = lag);
    bench.pass(10_000).await;
    let mut client = bench.client(1).await;
    client.put("/v1/kv/k", "v").await;
    assert_eq!(client.get("/v1/kv/k").await.status, 200);
    assert_eq!(client.get("/v1/kv/k?consistent").await.status, 200);
    let stale = client.get("/v1/kv/k?stale").await;
    assert_eq!(
        (stale.status, stale.header("x-consul-lastcontact")),
        (404, "3000")
    );
    let start = bench.now();
    let seen = client.get("/v1/kv/k?stale&index=1&wait=60s").await;
    assert_eq!(seen.status, 200);
    assert_eq!(bench.now().since(start), lag);
}

/// Without a leader a request waits for one, then gets a 500; stale reads go on.
#[tokio::test(start_paused = true)]
async fn without_a_leader_requests_are_held_and_then_refused() {
    let bench = Bench::three();
    bench.cluster.put("k", "v");
    bench.cluster.set_leader(None);
    let mut client = bench.client(0).await;
    let start = bench.now();
    assert_eq!(
        client.put("/v1/kv/k", "w").await.answer(),
        (500, "No cluster leader")
    );
    assert_eq!(bench.now().since(start), Duration::from_secs(7));
    assert_eq!(client.get("/v1/status/leader").await.text(), "\"\"");
    let stale = client.get("/v1/kv/k?stale").await;
    assert_eq!(
        (stale.status, stale.header("x-consul-knownleader")),
        (200, "false")
    );

    let held = bench.start(async move { client.put("/v1/kv/k", "w").await.status });
    bench.pass(1_000).await;
    bench.cluster.set_leader(Some(2));
    assert_eq!(held.await.unwrap(), 200);
    assert_eq!(bench.cluster.get("k").unwrap().value, "w");
}

/// A killed leader: its connections end, followers cannot reach it, a blocked read there ends with EOF.
#[tokio::test(start_paused = true)]
async fn a_killed_leader_cuts_connections_and_is_unreachable() {
    let bench = Bench::three();
    bench.cluster.put("k", "v");
    let mut direct = bench.client(0).await;
    let mut follower = bench.client(1).await;
    let blocked = bench.start(async move {
        let got = follower.get("/v1/kv/k?consistent&index=11&wait=60s").await;
        (got, follower)
    });
    let cut = bench.start(async move {
        direct
            .try_send(request("GET", "/v1/kv/k?index=11&wait=60s", ""))
            .await
            .is_none()
    });
    bench.pass(100).await;
    bench
        .cluster
        .server(0)
        .faults(|faults| faults.outage = Outage::Down);
    assert!(cut.await.unwrap());
    let (got, mut follower) = blocked.await.unwrap();
    assert_eq!(got.answer(), (500, "rpc error making call: EOF"));
    let got = follower.put("/v1/kv/k", "w").await;
    assert_eq!(got.status, 500);
    assert!(
        got.text()
            .starts_with("rpc error getting client: failed to get conn: dial tcp ")
    );
    bench.cluster.set_leader(Some(1));
    assert_eq!(follower.put("/v1/kv/k", "w").await.status, 200);

    let mut refused = bench.client(0).await;
    assert!(
        refused
            .try_send(request("GET", "/v1/kv/k", ""))
            .await
            .is_none()
    );
    bench
        .cluster
        .server(0)
        .faults(|faults| faults.outage = Outage::None);
    assert_eq!(bench.client(0).await.get("/v1/kv/k").await.status, 200);
}

/// A paused server answers nothing, lets its session timers stand still, and goes on where it stopped.
#[tokio::test(start_paused = true)]
async fn a_paused_leader_answers_late_and_expires_nothing_meanwhile() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    client.session(json!({ "TTL": "10s" })).await;
    let server = bench.cluster.server(0);
    server.faults(|faults| faults.outage = Outage::Hung);
    let mut late = bench.start(async move { client.put("/v1/kv/k", "v").await.status });
    bench.pass(60_000).await;
    assert!(late.try_recv().is_err());
    assert_eq!(bench.cluster.get("k"), None);
    assert_eq!(bench.cluster.sessions().len(), 1);
    server.faults(|faults| faults.outage = Outage::None);
    assert_eq!(late.await.unwrap(), 200);
    assert!(bench.cluster.get("k").is_some());
    assert!(bench.cluster.sessions().is_empty());
}

/// The n-th write loses its answer, applied or not, in each of the ways a client may see it.
#[tokio::test(start_paused = true)]
async fn an_ambiguous_write_is_applied_or_not_whatever_is_answered() {
    for (answer, text) in [
        (AmbiguousAnswer::Eof, Some("rpc error making call: EOF")),
        (
            AmbiguousAnswer::LeadershipLost,
            Some("raft apply failed: leadership lost while committing log"),
        ),
        (
            AmbiguousAnswer::SnapshotRestored,
            Some("raft apply failed: snapshot restored while committing log"),
        ),
        (AmbiguousAnswer::Cut, None),
    ] {
        for applied in [true, false] {
            let bench = Bench::new(Options::default());
            let mut client = bench.client(0).await;
            let ambiguous = Ambiguous {
                skip: 1,
                count: 1,
                applied,
                answer,
            };
            bench.cluster.lose_replies(ambiguous);
            assert_eq!(client.put("/v1/txn", cas("k", "a", 0)).await.status, 200);
            let lost = client
                .try_send(request("PUT", "/v1/txn", cas("k", "b", 11)))
                .await;
            let lost = lost.map(|got| (got.status, got.text().to_owned()));
            assert_eq!(lost, text.map(|text| (500, text.to_owned())), "{answer:?}");
            let value = bench.cluster.get("k").unwrap().value;
            assert_eq!(value, if applied { "b" } else { "a" }, "{answer:?}");
            let mut client = bench.client(0).await;
            assert_eq!(client.put("/v1/kv/k", "c").await.status, 200);
        }
    }
}

/// A write whose client gives up is still carried out; a lost answer may also just never come.
#[tokio::test(start_paused = true)]
async fn a_write_outlives_its_client() {
    let bench = Bench::new(Options::default());
    let server = bench.cluster.server(0);
    server.faults(|faults| faults.before_apply = Duration::from_secs(2));
    let mut client = bench.client(0).await;
    let gone = bench.host.sleep(Duration::from_secs(1));
    tokio::select! {
        biased;
        got = client.put("/v1/kv/k", "v") => panic!("answered early: {got:?}"),
        () = gone => drop(client),
    }
    assert_eq!(bench.cluster.get("k"), None);
    bench.pass(1_500).await;
    assert!(bench.cluster.get("k").is_some());

    server.faults(|faults| {
        faults.before_apply = Duration::ZERO;
        faults.before_reply = Duration::from_secs(3);
    });
    bench.cluster.lose_replies(Ambiguous {
        skip: 0,
        count: 1,
        applied: true,
        answer: AmbiguousAnswer::Silence,
    });
    let mut client = bench.client(0).await;
    let mut silent = bench.start(async move { client.put("/v1/kv/k", "w").await });
    bench.pass(3_600_000).await;
    assert!(silent.try_recv().is_err());
    assert_eq!(bench.cluster.get("k").unwrap().value, "w");
    let start = bench.now();
    assert_eq!(bench.client(0).await.put("/v1/kv/k", "x").await.status, 200);
    assert_eq!(bench.now().since(start), Duration::from_secs(3));
}

/// Refusals name their reason, hit only what they should, and change nothing.
#[tokio::test(start_paused = true)]
async fn a_refusal_changes_nothing() {
    let bench = Bench::new(Options::default());
    bench.cluster.put("k", "v");
    let mut client = bench.client(0).await;
    for (with, status, text) in [
        (Refusal::NoLeader, 500, "No cluster leader"),
        (
            Refusal::EnqueueTimeout,
            500,
            "timed out enqueuing operation",
        ),
        (Refusal::NotLeader, 500, "node is not the leader"),
        (
            Refusal::TransferInProgress,
            500,
            "leadership transfer in progress",
        ),
        (
            Refusal::LeaderNotTracked,
            500,
            "Raft leader not found in server lookup mapping",
        ),
        (Refusal::NoServers, 500, "No known Consul servers"),
        (Refusal::RateLimited, 429, "RPC rate limit exceeded"),
        (Refusal::Unavailable, 503, "retry later"),
        (Refusal::PermissionDenied, 403, "Permission denied"),
        (Refusal::AclNotFound, 403, "ACL not found"),
    ] {
        let which = Which::Writes;
        bench
            .cluster
            .faults(|faults| faults.refuse = Some(Refuse { which, with }));
        let got = client.put("/v1/txn", cas("k", "w", 11)).await;
        assert_eq!(got.status, status, "{with:?}");
        assert!(got.text().contains(text), "{with:?}: {got:?}");
        assert_eq!(client.get("/v1/kv/k").await.status, 200);
    }
    let refuse = Refuse {
        which: Which::Reads,
        with: Refusal::NotReadyForConsistentReads,
    };
    bench.cluster.faults(|faults| faults.refuse = Some(refuse));
    assert_eq!(
        client.get("/v1/kv/k?consistent").await.answer(),
        (500, "Not ready to serve consistent reads")
    );
    assert_eq!(bench.cluster.get("k").unwrap().value, "v");
}

/// Default reads may be old or jump back; consistent ones are always right.
#[tokio::test(start_paused = true)]
async fn default_reads_can_be_stale_or_regress() {
    let bench = Bench::new(Options::default());
    bench.pass(5_000).await;
    bench.cluster.put("k", "old");
    bench.pass(2_000).await;
    bench.cluster.put("k", "new");
    let mut client = bench.client(0).await;
    let mut raw = async |uri: &str| client.get(uri).await.text().to_owned();
    let set = |reads| {
        bench
            .cluster
            .faults(move |faults| faults.default_reads = reads);
    };
    set(DefaultReads::Behind(Duration::from_secs(1)));
    assert_eq!(raw("/v1/kv/k?raw").await, "old");
    assert_eq!(raw("/v1/kv/k?raw&consistent").await, "new");
    set(DefaultReads::Regressing(Duration::from_secs(1)));
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(raw("/v1/kv/k?raw").await);
    }
    seen.dedup();
    assert!(seen.len() >= 3, "{seen:?}");
    set(DefaultReads::Fresh);
    assert_eq!(raw("/v1/kv/k?raw").await, "new");
}

/// A watch may miss its change, hear of it late, or never return.
#[tokio::test(start_paused = true)]
async fn watches_can_be_dropped_late_or_stuck() {
    for (watches, least, most, value) in [
        (Watches::Dropped, 10_000, 10_700, "a"),
        (Watches::Late(Duration::from_secs(4)), 5_000, 5_100, "b"),
        (Watches::Stuck, 60_000, 60_100, "b"),
    ] {
        let bench = Bench::new(Options::default());
        bench.cluster.put("k", "a");
        bench.cluster.faults(|faults| faults.watches = watches);
        let mut client = bench.client(0).await;
        let host = Arc::clone(&bench.host);
        let waiting = bench.start(async move {
            let start = host.mono();
            let got = client.get("/v1/kv/k?raw&index=11&wait=10s").await;
            (got.text().to_owned(), host.mono().since(start))
        });
        bench.pass(1_000).await;
        bench.cluster.put("k", "b");
        if watches == Watches::Stuck {
            bench.pass(59_000).await;
            bench
                .cluster
                .faults(|faults| faults.watches = Watches::Working);
        }
        let (got, took) = waiting.await.unwrap();
        let expected = Duration::from_millis(least)..=Duration::from_millis(most);
        assert!(expected.contains(&took), "{watches:?}: {took:?}");
        assert_eq!(got, value, "{watches:?}");
    }
}

/// Lost, restored and renumbered data: where the indexes go, and that blocked queries return at once.
#[tokio::test(start_paused = true)]
async fn a_replaced_state_ends_blocked_queries() {
    for what in ["wipe", "restore", "rollback", "renumber"] {
        let bench = Bench::new(Options::default());
        bench.cluster.put("k", "old");
        let snapshot = bench.cluster.snapshot();
        for _ in 0..100 {
            bench.cluster.put("k", "new");
            bench.cluster.put("k", "newer");
        }
        let (index, before) = (
            bench.cluster.get("k").unwrap().modify_index,
            bench.cluster.index(),
        );
        let mut client = bench.client(0).await;
        let uri = format!("/v1/kv/k?index={index}&wait=60s");
        let blocked = bench.start(async move { (client.get(&uri).await, client) });
        bench.pass(1_000).await;
        match what {
            "wipe" => bench.cluster.wipe(),
            "restore" => bench.cluster.restore(&snapshot),
            "rollback" => bench.cluster.rollback(&snapshot),
            _ => bench.cluster.renumber(),
        }
        let start = bench.now();
        let (got, mut client) = blocked.await.unwrap();
        assert_eq!(bench.now(), start, "{what}");
        let raft = bench.cluster.index();
        let (status, index, raft_is) = match what {
            "wipe" => (404, 1, raft == 10),
            "restore" => (200, 11, raft == before + 1),
            "rollback" => (200, 11, raft == 11),
            _ => (200, 11, raft == 11),
        };
        assert_eq!(
            (got.status, got.index(), raft_is),
            (status, index, true),
            "{what}"
        );
        // An index from before blinds until the wait is over.
        let start = bench.now();
        client
            .get(&format!("/v1/kv/k?index={before}&wait=1s"))
            .await;
        assert!(bench.now().since(start) >= Duration::from_secs(1), "{what}");
    }
}

/// Tokens can be taken away while clients run.
#[tokio::test(start_paused = true)]
async fn a_token_can_be_revoked() {
    let bench = Bench::new(Options::default());
    let mut client = bench.client(0).await;
    assert_eq!(client.put("/v1/kv/k?token=t", "v").await.status, 200);
    bench.cluster.set_tokens(Some(BTreeSet::new()));
    assert_eq!(
        client.put("/v1/kv/k?token=t", "v").await.answer(),
        (403, "ACL not found")
    );
    bench
        .cluster
        .set_tokens(Some(BTreeSet::from(["t".to_owned()])));
    assert_eq!(client.put("/v1/kv/k?token=t", "v").await.status, 200);
}

/// The same seed gives the same session ids: a run can be repeated.
#[tokio::test(start_paused = true)]
async fn session_ids_depend_on_the_seed_alone() {
    let mut ids = BTreeSet::new();
    for seed in [1, 1, 2] {
        let bench = Bench::new(Options {
            seed,
            ..Options::default()
        });
        let id = bench.client(0).await.session(json!({})).await;
        assert_eq!(id.len(), 36);
        ids.insert(id);
    }
    assert_eq!(ids.len(), 2);
}

/// A cluster that nobody uses any more stops its timer task.
#[tokio::test(start_paused = true)]
async fn a_dropped_cluster_leaves_nothing_behind() {
    let host = Arc::new(TokioHost::new());
    let cluster = Cluster::new(Arc::clone(&host) as Arc<dyn Host>, Options::default());
    let weak = Arc::downgrade(&cluster);
    let server: Server = cluster.server(7);
    drop(cluster);
    assert_eq!(server.name(), "consul-1");
    assert!(weak.upgrade().is_some());
    drop(server);
    host.sleep(Duration::from_millis(1)).await;
    assert!(weak.upgrade().is_none());
}

/// A pause in the middle of a request: the write is applied and the read is answered only when the server goes on.
#[tokio::test(start_paused = true)]
async fn a_pause_holds_requests_that_were_already_taken() {
    let bench = Bench::new(Options::default());
    bench.cluster.put("k", "a");
    let server = bench.cluster.server(0);
    server.faults(|faults| faults.before_apply = Duration::from_secs(1));
    let mut writer = bench.client(0).await;
    let mut reader = bench.client(0).await;
    let mut write = bench.start(async move { writer.put("/v1/kv/k", "b").await.status });
    let mut read = bench.start(async move {
        let got = reader.get("/v1/kv/other?index=11&wait=2s").await;
        got.status
    });
    bench.pass(500).await;
    server.faults(|faults| faults.outage = Outage::Hung);
    bench.pass(10_000).await;
    assert!(write.try_recv().is_err());
    assert!(read.try_recv().is_err());
    assert_eq!(bench.cluster.get("k").unwrap().value, "a");
    server.faults(|faults| faults.outage = Outage::None);
    assert_eq!((write.await.unwrap(), read.await.unwrap()), (200, 404));
    assert_eq!(bench.cluster.get("k").unwrap().value, "b");
}
