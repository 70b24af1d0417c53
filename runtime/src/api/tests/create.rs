use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn body(memory: u64) -> String {
    json!({"Image": "alpine", "Cmd": ["top"], "Zeta": [1, 2], "Labels": {"own": "x", "OWN": "y"},
        "HostConfig": {"Memory": memory}})
    .to_string()
}

#[tokio::test]
async fn containers_are_spread_and_carry_their_request_and_epoch() {
    let rig = Rig::new(3).await;
    for number in 0..6 {
        rig.create(&format!("c{number}"), &["top"]).await;
    }
    for double in &rig.doubles {
        assert_eq!(double.containers().len(), 2);
        for container in double.containers() {
            let id = format!("{:0>64}", container.name);
            assert_eq!(container.labels.get(SWARM_ID_LABEL), Some(&id));
            assert_eq!(container.labels["com.docker.swarm.epoch"], "7");
        }
    }
    assert_eq!(rig.api.reserved(), 0);
    rig.close().await;
}

#[tokio::test]
async fn labels_of_the_client_stay_and_swarms_own_cannot_be_forged() {
    // spec/classic.md section 10.5, E17
    let rig = Rig::new(1).await;
    let body = json!({"Image": "alpine", "Labels": {"a": "1", "A": "2", SWARM_ID_LABEL: "forged",
        "com.docker.swarm.epoch": "99"}})
    .to_string();
    let reply = rig
        .send(
            "POST",
            "/v1.41/containers/create",
            &[("test-id", "abcd")],
            &body,
        )
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let labels = rig.doubles[0].containers()[0].labels.clone();
    assert_eq!((labels["a"].as_str(), labels["A"].as_str()), ("1", "2"));
    assert_eq!(labels[SWARM_ID_LABEL], "abcd");
    assert_eq!(labels["com.docker.swarm.epoch"], "7");
    rig.close().await;
}

#[tokio::test]
async fn the_same_request_creates_once() {
    let rig = Rig::new(2).await;
    let create = || {
        rig.send(
            "POST",
            "/v1.41/containers/create?name=web",
            &[("test-id", "r1")],
            "{\"Image\":\"alpine\"}",
        )
    };
    // At the same time, one after the other, and as a repetition after a failover.
    let (first, second) = tokio::join!(create(), create());
    let third = create().await;
    let headers = [("test-id", "r1"), ("test-repeat", "1")];
    let fourth = rig
        .send(
            "POST",
            "/v1.41/containers/create?name=web",
            &headers,
            "{\"Image\":\"alpine\"}",
        )
        .await;
    let id = first.json()["Id"].clone();
    for reply in [first, second, third, fourth] {
        assert_eq!(reply.status, 201, "{reply:?}");
        assert_eq!(reply.json()["Id"], id);
    }
    let made: usize = rig
        .doubles
        .iter()
        .map(|double| double.creates().len())
        .sum();
    assert_eq!(made, 1);
    rig.close().await;
}

#[tokio::test]
async fn a_repetition_finds_what_the_view_has_not_seen_yet() {
    let rig = Rig::new(2).await;
    // What the last primary did a moment ago, known to one engine only.
    let body = json!({"Image": "alpine", "Labels": {SWARM_ID_LABEL: "r2"}}).to_string();
    let create = request("POST", "/v1.41/containers/create", &[], &body);
    rig.client.send(&rig.addresses[1], create).await.unwrap();
    let headers = [("test-id", "r2"), ("test-repeat", "1")];
    let reply = rig
        .send("POST", "/v1.41/containers/create", &headers, &body)
        .await;
    assert_eq!(reply.status, 201);
    assert_eq!(
        reply.json()["Id"],
        rig.doubles[1].containers()[0].id.as_str()
    );
    assert_eq!(rig.doubles[0].creates().len(), 0);
    rig.close().await;
}

#[tokio::test]
async fn what_an_earlier_epoch_made_is_not_taken_for_its_own_double() {
    let rig = Rig::new(2).await;
    // Made by the last primary, in epoch 6, and found by this one.
    let labels = json!({SWARM_ID_LABEL: "r5", EPOCH_LABEL: "6"});
    let body = json!({"Image": "alpine", "Labels": labels}).to_string();
    let create = request("POST", "/v1.41/containers/create", &[], &body);
    rig.client.send(&rig.addresses[1], create).await.unwrap();
    let headers = [("test-id", "r5"), ("test-repeat", "1")];
    let reply = rig
        .send("POST", "/v1.41/containers/create", &headers, &body)
        .await;
    assert_eq!(reply.status, 201);
    let cluster = rig.engines.cluster().read();
    assert!(cluster.by_swarm_id("r5").is_some());
    assert_eq!(cluster.doubles_of("r5", rig.api.made_in("r5")), []);
    drop(cluster);
    rig.close().await;
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_finds_its_container() {
    let rig = Rig::new(1).await;
    rig.doubles[0].set_faults(|faults| {
        faults.lose_creates.insert(1);
    });
    let reply = rig
        .send(
            "POST",
            "/v1.41/containers/create",
            &[("test-id", "r3")],
            &body(0),
        )
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert_eq!(
        reply.json()["Id"],
        rig.doubles[0].containers()[0].id.as_str()
    );
    assert_eq!(rig.doubles[0].creates().len(), 1);
    rig.close().await;
}

#[tokio::test]
async fn what_cannot_be_seen_after_its_creation_is_not_acknowledged() {
    let rig = Rig::new(1).await;
    let double = &rig.doubles[0];
    // Slow enough to die between the creation and the first look at the container.
    double.set_faults(|faults| faults.latency = Duration::from_millis(200));
    let headers = [("test-id", "r4")];
    let text = body(0);
    let create = rig.send("POST", "/v1.41/containers/create", &headers, &text);
    let die = async {
        while double.creates().is_empty() {
            sleep(&*rig.platform, Duration::from_millis(5)).await;
        }
        sleep(&*rig.platform, Duration::from_millis(50)).await;
        double.set_faults(|faults| faults.stopped = true);
    };
    let (reply, ()) = tokio::join!(create, die);
    assert_eq!(reply.status, 502, "{reply:?}");
    let id = double.containers()[0].id.clone();
    let told = format!(
        "engine node-0 created container {id} and does not answer any more; look for it before trying again"
    );
    assert_eq!(reply.message(), told);
    rig.close().await;
}

#[tokio::test]
async fn a_name_in_use_anywhere_is_a_conflict() {
    let rig = Rig::new(2).await;
    rig.create("web", &["top"]).await;
    let reply = rig
        .send(
            "POST",
            "/v1.41/containers/create?name=web",
            &[("test-id", "other")],
            &body(0),
        )
        .await;
    assert_eq!(reply.status, 409);
    let text = "Conflict: The name web is already assigned. You have to delete (or rename) that container to be able \
                to assign web to a container again.";
    assert_eq!(reply.message(), text);
    rig.close().await;
}

#[tokio::test]
async fn a_request_no_engine_has_room_for_says_why() {
    let rig = Rig::new(1).await;
    let reply = rig
        .send("POST", "/v1.41/containers/create", &[], &body(9 << 30))
        .await;
    assert_eq!(reply.status, 500);
    let text = "no resources available to schedule container (node-0: memory: 9 GiB requested, 0 B of 8.4 GiB reserved)";
    assert_eq!(reply.message(), text);
    rig.fail(0).await;
    let reply = rig
        .send("POST", "/v1.41/containers/create", &[], &body(0))
        .await;
    assert_eq!(reply.status, 503);
    assert!(
        reply
            .message()
            .starts_with("No healthy node available in the cluster (node-0: Unhealthy")
    );
    rig.close().await;
}

#[tokio::test]
async fn cpu_shares_count_cpus_and_reach_the_engine_as_shares() {
    // spec/classic.md section 5.5
    let rig = Rig::new(1).await;
    let create = |cpus: u64, id: &'static str| {
        let body =
            json!({"Image": "alpine", "HostConfig": {"CpuShares": cpus, "Init": true}}).to_string();
        let rig = &rig;
        async move {
            rig.send(
                "POST",
                "/v1.41/containers/create",
                &[("test-id", id)],
                &body,
            )
            .await
        }
    };
    let reply = create(3, "a").await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let id = reply.json()["Id"].as_str().unwrap().to_owned();
    let inspect = rig
        .ask("GET", &format!("/v1.41/containers/{id}/json"))
        .await
        .json();
    assert_eq!(inspect["HostConfig"]["CpuShares"], 768);
    assert_eq!(create(2, "b").await.status, 500);
    assert_eq!(create(1, "c").await.status, 201);
    rig.close().await;
}

#[tokio::test]
async fn bodies_that_two_readers_could_read_differently_are_refused() {
    let rig = Rig::new(1).await;
    for (body, status) in [
        (
            r#"{"Image":"a","HostConfig":{},"hostconfig":{"Memory":9}}"#.to_owned(),
            400,
        ),
        (r#"{"Image":"a","Image":"b"}"#.to_owned(), 400),
        ("[]".to_owned(), 400),
        ("{".to_owned(), 400),
        (format!("{{\"Image\":\"{}\"}}", "a".repeat(5 << 20)), 413),
    ] {
        let reply = rig
            .send("POST", "/v1.41/containers/create", &[], &body)
            .await;
        assert_eq!(reply.status, status, "{:.80}", body);
        assert!(!reply.message().is_empty());
    }
    assert_eq!(rig.doubles[0].creates().len(), 0);
    rig.close().await;
}

#[tokio::test]
async fn how_large_a_body_may_be_can_be_changed() {
    let limits = Limits {
        body_size: 64 << 10,
        ..Limits::default()
    };
    let rig = Rig::limited(vec![Options::new("node-0")], limits).await;
    let create = async |length: usize| {
        let mut config: Value = serde_json::from_str(&body(0)).unwrap();
        config["Labels"] = serde_json::json!({ "long": "x".repeat(length) });
        let path = "/v1.41/containers/create";
        rig.send("POST", path, &[], &config.to_string()).await
    };
    assert_eq!(create(60 << 10).await.status, 201);
    assert_eq!(create(64 << 10).await.status, 413);
    rig.close().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = Limits {
        body_timeout: Duration::from_millis(100),
        ..Limits::default()
    };
    let rig = Rig::limited(vec![Options::new("node-0")], limits).await;
    let mut client = rig.platform.connect(&rig.manager).await.unwrap();
    let head = "POST /v1.41/containers/create HTTP/1.1\r\nHost: m\r\nContent-Length: 99\r\n\r\n{";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    // The connection ends, too: what would come next could be the rest of the body.
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("did not come within 100ms"), "{answer}");
    rig.close().await;
}

#[tokio::test]
async fn an_engine_that_cannot_be_reached_is_passed_over() {
    let mut rig = Rig::new(2).await;
    // Not noticed yet: the manager still believes in it.
    rig.stops.remove(0).stop().await;
    let reply = rig
        .send(
            "POST",
            "/v1.41/containers/create",
            &[("test-id", "p")],
            &body(0),
        )
        .await;
    let made: usize = rig
        .doubles
        .iter()
        .map(|double| double.creates().len())
        .sum();
    assert_eq!((reply.status, made), (201, 1), "{reply:?}");
    rig.close().await;
}

#[tokio::test]
async fn a_repetition_makes_no_second_container_while_an_engine_cannot_be_asked() {
    let rig = Rig::new(2).await;
    rig.fail(0).await;
    let headers = [("test-id", "r4"), ("test-repeat", "1")];
    let reply = rig
        .send("POST", "/v1.41/containers/create", &headers, &body(0))
        .await;
    assert_eq!(reply.status, 502, "{reply:?}");
    let silent = format!("engine {} does not answer", rig.addresses[0]);
    assert!(reply.message().contains(&silent), "{reply:?}");
    assert_eq!(rig.doubles[1].creates().len(), 0);
    rig.close().await;
}
