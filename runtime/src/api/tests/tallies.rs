use super::*;

/// spec/classic.md section 10.3, A4: the prunes and `system/df` were missing.
#[tokio::test]
async fn a4_every_engine_prunes_and_the_view_follows() {
    let rig = Rig::new(2).await;
    rig.create("one", &["true"]).await;
    rig.create("two", &["true"]).await;
    rig.run("kept").await;
    let pruned = rig.post("/v1.41/containers/prune", &json!({})).await;
    assert_eq!(pruned.status, 200, "{pruned:?}");
    let pruned = pruned.json();
    assert_eq!(
        pruned["ContainersDeleted"].as_array().unwrap().len(),
        2,
        "{pruned}"
    );
    assert!(pruned["SpaceReclaimed"].is_u64());
    let left = rig.names("all=1").await;
    assert_eq!(left.len(), 1, "{left:?}");
    rig.post("/v1.41/volumes/create", &json!({"Name": "data"}))
        .await;
    let pruned = rig.post("/v1.41/volumes/prune", &json!({})).await.json();
    assert_eq!(
        pruned["VolumesDeleted"],
        json!(["node-0/data", "node-1/data"])
    );
    rig.post("/v1.41/networks/create", &json!({"Name": "node-1/back"}))
        .await;
    let pruned = rig.post("/v1.41/networks/prune", &json!({})).await.json();
    assert_eq!(pruned["NetworksDeleted"], json!(["node-1/back"]));
    let listed = rig
        .ask(
            "GET",
            "/v1.41/networks?filters=%7B%22name%22%3A%5B%22back%22%5D%7D",
        )
        .await;
    assert_eq!(listed.json(), json!([]));
    for kind in ["images", "build"] {
        let pruned = rig.post(&format!("/v1.41/{kind}/prune"), &json!({})).await;
        assert_eq!(pruned.status, 200, "{pruned:?}");
    }
    rig.close().await;
}

#[tokio::test]
async fn disk_usage_is_that_of_all_engines_that_answer() {
    let rig = Rig::new(3).await;
    rig.run("one").await;
    rig.run("two").await;
    rig.run("three").await;
    rig.post("/v1.41/volumes/create", &json!({"Name": "data"}))
        .await;
    let usage = rig.ask("GET", "/v1.41/system/df").await.json();
    let names: Vec<_> = usage["Containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|container| container["Names"][0].as_str().unwrap())
        .collect();
    assert_eq!(names.len(), 3);
    assert!(
        names.iter().all(|name| name.starts_with("/node-")),
        "{names:?}"
    );
    assert_eq!(usage["Volumes"][2]["Name"], "node-2/data");
    rig.fail(2).await;
    let usage = rig.ask("GET", "/v1.41/system/df").await.json();
    assert_eq!(usage["Volumes"].as_array().unwrap().len(), 2);
    rig.close().await;
}

#[tokio::test]
async fn what_all_engines_say_alike_is_said_once() {
    let rig = Rig::new(2).await;
    let target = "/v1.41/networks/prune?filters=%7B%22nonsense%22%3A%5B%22x%22%5D%7D";
    let reply = rig.ask("POST", target).await;
    let engine = rig.ask_engine(0, "POST", target).await;
    assert_eq!(
        (reply.status, reply.message()),
        (engine.status, engine.message())
    );
    rig.close().await;
}
