use super::*;

impl Rig {
    async fn volumes(&self) -> Vec<String> {
        let listed = self.ask("GET", "/v1.41/volumes").await.json();
        let listed = listed["Volumes"].as_array().unwrap().iter();
        listed
            .map(|volume| volume["Name"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn a_volume_is_made_on_every_engine_and_removed_from_all() {
    let rig = Rig::new(3).await;
    rig.fail(2).await;
    let body = json!({"Name": "data", "Labels": {"a": "b"}, "DriverOpts": {"type": "tmpfs"}});
    let made = rig.post("/v1.41/volumes/create", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json()["Name"], "data");
    assert_eq!(rig.volumes().await, ["node-0/data", "node-1/data"]);
    // What one create made on several engines is one thing to its user (defect A15).
    let inspected = rig.ask("GET", "/v1.41/volumes/data").await;
    assert_eq!(inspected.status, 200, "{inspected:?}");
    assert_eq!(inspected.json()["Labels"]["a"], "b");
    let one = rig.ask("DELETE", "/v1.41/volumes/node-1/data").await;
    assert_eq!((one.status, one.text.as_str()), (204, ""), "{one:?}");
    assert_eq!(rig.volumes().await, ["node-0/data"]);
    let rest = rig.ask("DELETE", "/v1.41/volumes/data").await;
    assert_eq!(rest.status, 204, "{rest:?}");
    let none = rig.ask("DELETE", "/v1.41/volumes/data").await;
    assert_eq!(
        (none.status, none.message().as_str()),
        (404, "get data: no such volume")
    );
    rig.close().await;
}

#[tokio::test]
async fn a_volume_goes_where_its_name_or_its_labels_say() {
    let rig = Rig::new(3).await;
    let named = json!({"Name": "node-1/own"});
    assert_eq!(rig.post("/v1.41/volumes/create", &named).await.status, 201);
    let labels = json!({"com.docker.swarm.whitelists": "[\"node==node-0|node-2\"]"});
    let listed = json!({"Name": "two", "Labels": labels});
    assert_eq!(rig.post("/v1.41/volumes/create", &listed).await.status, 201);
    assert_eq!(
        rig.volumes().await,
        ["node-0/two", "node-1/own", "node-2/two"]
    );
    let labels = json!({"com.docker.swarm.constraints": "[\"node==absent\"]"});
    let nowhere = json!({"Name": "none", "Labels": labels});
    let reply = rig.post("/v1.41/volumes/create", &nowhere).await;
    assert_eq!(reply.status, 500, "{reply:?}");
    assert!(reply.message().contains("node==absent"), "{reply:?}");
    rig.close().await;
}

#[tokio::test]
async fn a_volume_without_a_name_gets_one_for_all_engines_also_when_it_is_repeated() {
    let rig = Rig::new(2).await;
    for _ in 0..2 {
        let made = rig.post("/v1.41/volumes/create", &json!({})).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.json()["Name"], "0".repeat(64));
    }
    assert_eq!(rig.volumes().await.len(), 2);
    rig.close().await;
}

/// spec/classic.md section 10.3, A15: which engines failed, and why, is said; with no engine there is no success.
#[tokio::test]
async fn a15_failures_are_told_by_engine_and_no_engine_is_no_success() {
    let rig = Rig::new(2).await;
    rig.post("/v1.41/volumes/create", &json!({"Name": "data"}))
        .await;
    let body = json!({
        "Image": "alpine", "HostConfig": {"Binds": ["data:/data"]}, "Env": ["constraint:node==node-1"],
    });
    let made = rig.post("/v1.41/containers/create", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let reply = rig.ask("DELETE", "/v1.41/volumes/data").await;
    assert_eq!(reply.status, 409, "{reply:?}");
    assert!(reply.message().starts_with("node-1: "), "{reply:?}");
    assert_eq!(rig.volumes().await, ["node-1/data"]);
    rig.fail(0).await;
    rig.fail(1).await;
    let reply = rig
        .post("/v1.41/volumes/create", &json!({"Name": "more"}))
        .await;
    assert_eq!(reply.status, 503, "{reply:?}");
    let reply = rig.ask("DELETE", "/v1.41/volumes/data").await;
    assert_eq!(reply.status, 503, "{reply:?}");
    rig.close().await;
}

#[tokio::test]
async fn nothing_is_made_by_a_manager_that_is_not_the_primary() {
    let rig = Rig::new(2).await;
    rig.gate.open.store(false, Ordering::SeqCst);
    for (target, body) in [
        ("/v1.41/volumes/create", json!({"Name": "data"})),
        ("/v1.41/networks/create", json!({"Name": "back"})),
        ("/v1.41/volumes/prune", json!({})),
        ("/v1.41/images/load", json!({})),
        ("/v1.41/build", json!({})),
    ] {
        let reply = rig.post(target, &body).await;
        assert_eq!(reply.status, 421, "{target}: {reply:?}");
    }
    rig.gate.open.store(true, Ordering::SeqCst);
    assert!(rig.volumes().await.is_empty());
    rig.close().await;
}
