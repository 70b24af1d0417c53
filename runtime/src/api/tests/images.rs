use super::*;

impl Rig {
    /// Has some engines pull an image, and waits until the view shows it.
    async fn pull_on(&self, numbers: &[usize], image: &str) {
        for number in numbers {
            let target = format!("/v1.41/images/create?fromImage={image}&tag=1");
            self.ask_engine(*number, "POST", &target).await;
        }
        let name = format!("{image}:1");
        self.until("the image is seen", |cluster| {
            cluster.image_holders(&name).len() == numbers.len()
        })
        .await;
    }

    async fn has(&self, number: usize, image: &str) -> bool {
        let target = format!("/v1.41/images/{image}/json");
        self.ask_engine(number, "GET", &target).await.status == 200
    }

    /// What this engine saves of an image, sent to the manager under `target`.
    async fn upload(&self, number: usize, image: &str, target: &str) -> Reply {
        let save = request("GET", &format!("/v1.41/images/{image}/get"), &[], "");
        let saved = self.client.send(&self.addresses[number], save).await;
        let archive = body::collect_limited(saved.unwrap().into_body(), 1 << 24)
            .await
            .unwrap();
        let mut load = request("POST", target, &[("content-type", "application/x-tar")], "");
        *load.body_mut() = body::full(archive);
        Reply::of(self.open(load, false).await).await
    }
}

#[tokio::test]
async fn an_image_is_tagged_and_removed_on_each_engine_that_has_it() {
    let rig = Rig::new(3).await;
    rig.pull_on(&[0, 2], "redis").await;
    let reply = rig
        .ask("POST", "/v1.41/images/redis:1/tag?repo=own&tag=2")
        .await;
    assert_eq!((reply.status, reply.text.as_str()), (201, ""), "{reply:?}");
    assert!(rig.has(0, "own:2").await && rig.has(2, "own:2").await);
    assert!(!rig.has(1, "own:2").await);
    let shown = rig.ask("GET", "/v1.41/images/own:2/json").await.json();
    assert_eq!(shown["RepoTags"], json!(["own:2", "redis:1"]));
    let reply = rig.ask("DELETE", "/v1.41/images/own:2").await;
    assert_eq!(
        (reply.status, reply.json()),
        (200, json!([{"Untagged": "own:2"}]))
    );
    assert!(!rig.has(0, "own:2").await && !rig.has(2, "own:2").await);
    let reply = rig.ask("DELETE", "/v1.41/images/own:2").await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (404, "No such image: own:2")
    );
    rig.close().await;
}

#[tokio::test]
async fn an_image_in_use_is_refused_by_its_engine_by_name() {
    let rig = Rig::new(2).await;
    rig.pull_on(&[0, 1], "redis").await;
    let body = json!({"Image": "redis:1", "Env": ["constraint:node==node-1"]});
    let made = rig.post("/v1.41/containers/create", &body).await;
    assert_eq!(made.status, 201, "{made:?}");
    let reply = rig.ask("DELETE", "/v1.41/images/redis:1").await;
    assert_eq!(reply.status, 409, "{reply:?}");
    assert!(
        reply
            .message()
            .starts_with("node-1: conflict: unable to remove"),
        "{reply:?}"
    );
    rig.close().await;
}

/// spec/classic.md section 10.3, A23: a dead engine made every operation on all engines fail.
#[tokio::test]
async fn a23_a_dead_engine_does_not_make_the_others_fail() {
    let rig = Rig::new(3).await;
    rig.pull_on(&[0, 1, 2], "redis").await;
    rig.fail(2).await;
    for (method, target, status) in [
        ("POST", "/v1.41/images/redis:1/tag?repo=own&tag=2", 201),
        ("DELETE", "/v1.41/images/own:2", 200),
        ("POST", "/v1.41/containers/prune", 200),
    ] {
        let reply = rig.ask(method, target).await;
        assert_eq!(reply.status, status, "{target}: {reply:?}");
    }
    let loaded = rig.upload(0, "redis:1", "/v1.41/images/load").await;
    assert_eq!(loaded.status, 200);
    let left_out = loaded.lines().pop().unwrap();
    assert_eq!(left_out["id"], "node-2");
    rig.close().await;
}

/// spec/classic.md section 10.3, A2 and A3: images were looked for on dead engines, and failures became an empty 200.
#[tokio::test]
async fn a2_a3_images_are_asked_for_where_they_are_and_somebody_answers() {
    let rig = Rig::new(2).await;
    rig.pull_on(&[0, 1], "redis").await;
    rig.fail(0).await;
    for action in ["json", "history", "get"] {
        let reply = rig
            .ask("GET", &format!("/v1.41/images/redis:1/{action}"))
            .await;
        assert_eq!(reply.status, 200, "{action}: {reply:?}");
        assert!(!reply.text.is_empty());
    }
    rig.fail(1).await;
    let reply = rig.ask("GET", "/v1.41/images/redis:1/history").await;
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.message().contains("image redis:1 is on engine node-"));
    rig.close().await;
}

#[tokio::test]
async fn several_images_are_saved_by_an_engine_that_has_them_all() {
    let rig = Rig::new(2).await;
    rig.pull_on(&[0], "redis").await;
    rig.pull_on(&[0, 1], "nginx").await;
    let reply = rig
        .ask("GET", "/v1.41/images/get?names=nginx:1&names=redis:1")
        .await;
    assert_eq!(reply.status, 200);
    assert!(reply.text.contains("manifest.json"), "{reply:?}");
    let reply = rig
        .ask("GET", "/v1.41/images/get?names=nginx:1&names=absent")
        .await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (
            404,
            "Unable to find a healthy engine containing all images: [nginx:1 absent]"
        )
    );
    rig.close().await;
}

/// spec/classic.md section 10.3, A13: one engine that refused broke the copy for all others.
#[tokio::test]
async fn a13_every_engine_gets_the_whole_upload_though_one_refuses() {
    let rig = Rig::new(3).await;
    rig.pull_on(&[0], "redis").await;
    let loaded = rig.upload(0, "redis:1", "/v1.41/images/load?quiet=1").await;
    assert_eq!(loaded.status, 200);
    let lines = loaded.lines();
    for node in ["node-1", "node-2"] {
        let own: Vec<_> = lines.iter().filter(|line| line["id"] == node).collect();
        assert_eq!(own[0]["status"], "Loading Image...");
        assert_eq!(own[1]["stream"], "Loaded image: redis:1\n");
        assert_eq!(own[2]["status"], "Loading Image...");
    }
    assert!(rig.has(1, "redis:1").await && rig.has(2, "redis:1").await);
    let holders = |cluster: &swarm_core::cluster::Cluster| cluster.image_holders("redis:1").len();
    assert_eq!(holders(&rig.api.fleet.cluster().read()), 3);
    rig.doubles[1].set_faults(|faults| faults.garbage = true);
    let loaded = rig.upload(0, "redis:1", "/v1.41/images/load").await;
    let failed: Vec<_> = loaded
        .lines()
        .into_iter()
        .filter(|line| {
            let status = line["status"].as_str().unwrap_or_default();
            status.starts_with("Loading Image... : ")
        })
        .collect();
    assert_eq!(failed.len(), 1, "{loaded:?}");
    assert_eq!(failed[0]["id"], "node-1");
    rig.close().await;
}

#[tokio::test]
async fn an_archive_is_imported_on_every_engine() {
    let rig = Rig::new(2).await;
    rig.pull_on(&[0], "redis").await;
    let target = "/v1.41/images/create?fromSrc=-&repo=own&tag=1&message=kept";
    let imported = rig.upload(0, "redis:1", target).await;
    assert_eq!(imported.status, 200, "{imported:?}");
    assert_eq!(imported.lines()[0]["status"], "Importing own:1...");
    assert!(rig.has(0, "own:1").await && rig.has(1, "own:1").await);
    let nonsense = rig.send("POST", target, &[], "this is no archive").await;
    assert_eq!(nonsense.status, 500, "{nonsense:?}");
    assert!(nonsense.message().contains("archive/tar"), "{nonsense:?}");
    rig.close().await;
}

/// spec/classic.md section 10.3, A1: the container's name was replaced in the raw query, where it could hit other things.
#[tokio::test]
async fn a1_a_container_is_committed_where_it_is_and_the_image_is_seen() {
    let rig = Rig::new(2).await;
    rig.run("filler").await;
    rig.run("co").await;
    let reply = rig
        .post(
            "/v1.41/commit?comment=co&container=co&repo=co&tag=1",
            &json!({}),
        )
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let shown = rig.ask("GET", "/v1.41/images/co:1/json").await.json();
    assert_eq!(shown["Id"], reply.json()["Id"]);
    assert_eq!(shown["Comment"], "co");
    let reply = rig
        .post("/v1.41/commit?container=absent&repo=own", &json!({}))
        .await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (404, "No such container: absent")
    );
    rig.close().await;
}
