use swarm_core::time::Wall;
use swarm_models::engine::tar::{self, Entry};

use super::*;

impl Rig {
    async fn build(&self, query: &str, dockerfile: &str) -> Reply {
        let mut build = request(
            "POST",
            &format!("/v1.41/build?{query}"),
            &[("content-type", "application/x-tar")],
            "",
        );
        let file = Entry {
            path: "Dockerfile".to_owned(),
            directory: false,
            mode: 0o644,
            modified: Wall(0),
            data: dockerfile.to_owned().into(),
        };
        *build.body_mut() = body::full(tar::write(&[file]));
        Reply::of(self.open(build, false).await).await
    }
}

#[tokio::test]
async fn an_image_is_built_where_its_arguments_say_and_seen_at_once() {
    let rig = Rig::new(3).await;
    // {"constraint:node":"=node-1","A":"1"}
    let arguments = "%7B%22constraint%3Anode%22%3A%22%3Dnode-1%22%2C%22A%22%3A%221%22%7D";
    let reply = rig
        .build(
            &format!("t=own:1&buildargs={arguments}"),
            "FROM alpine\nLABEL a=b\n",
        )
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let lines = reply.lines();
    assert_eq!(lines[0]["stream"], "Step 1/2 : FROM alpine\n");
    assert_eq!(
        lines.last().unwrap()["stream"],
        "Successfully tagged own:1\n"
    );
    assert_eq!(
        rig.ask_engine(1, "GET", "/v1.41/images/own:1/json")
            .await
            .status,
        200
    );
    let shown = rig.ask("GET", "/v1.41/images/own:1/json").await.json();
    assert_eq!(shown["Config"]["Labels"]["a"], "b");
    // What was built runs, although it is on one engine only and in no registry.
    let run = rig
        .post("/v1.41/containers/create", &json!({"Image": "own:1"}))
        .await;
    assert_eq!(run.status, 201, "{run:?}");
    rig.close().await;
}

#[tokio::test]
async fn a_build_that_cannot_be_placed_is_refused_and_an_engines_refusal_is_passed_on() {
    let rig = Rig::new(2).await;
    let nowhere = "%7B%22constraint%3Anode%22%3A%22%3Dabsent%22%7D";
    let reply = rig
        .build(&format!("buildargs={nowhere}"), "FROM alpine\n")
        .await;
    assert_eq!(reply.status, 500, "{reply:?}");
    assert!(reply.message().contains("node==absent"));
    let reply = rig.build("dockerfile=Other", "FROM alpine\n").await;
    assert_eq!(reply.status, 500, "{reply:?}");
    assert!(
        reply
            .message()
            .contains("Cannot locate specified Dockerfile"),
        "{reply:?}"
    );
    let reply = rig.ask("POST", "/v1.41/build/cancel").await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (400, "build ID not provided")
    );
    let reply = rig.ask("POST", "/v1.41/session").await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (400, "no session ID provided")
    );
    rig.close().await;
}
