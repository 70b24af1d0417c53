use super::*;
use crate::http::lines::Lines;

#[tokio::test]
async fn a_pull_reaches_every_healthy_engine_under_its_name() {
    let rig = Rig::new(3).await;
    rig.fail(2).await;
    let reply = rig
        .ask("POST", "/v1.41/images/create?fromImage=redis&tag=7")
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let lines = reply.lines();
    for node in ["node-0", "node-1"] {
        let own: Vec<_> = lines.iter().filter(|line| line["id"] == node).collect();
        assert_eq!(own[0]["status"], "Pulling redis:7...");
        assert_eq!(own.last().unwrap()["status"], "Pulling redis:7...");
        assert!(own.len() > 2, "{own:?}");
    }
    let left_out: Vec<_> = lines.iter().filter(|line| line["id"] == "node-2").collect();
    assert_eq!(
        left_out,
        [&json!({"status": "Left out: the engine does not answer", "id": "node-2"})]
    );
    let images = rig
        .ask(
            "GET",
            "/v1.41/images/json?filters=%7B%22reference%22%3A%5B%22redis%3A7%22%5D%7D",
        )
        .await
        .json();
    assert_eq!(images.as_array().unwrap().len(), 1, "{images}");
    rig.close().await;
}

#[tokio::test]
async fn one_engine_that_cannot_pull_does_not_fail_the_others() {
    let rig = Rig::new(2).await;
    let missing = |number: usize| {
        rig.doubles[number].set_faults(|faults| {
            faults.missing_images.insert("redis:7".to_owned());
        });
    };
    missing(0);
    let reply = rig
        .ask("POST", "/v1.41/images/create?fromImage=redis&tag=7")
        .await;
    assert_eq!(reply.status, 200);
    let found = reply.lines();
    assert!(
        found.iter().all(|line| line.get("error").is_none()),
        "{found:?}"
    );
    missing(1);
    let reply = rig
        .ask("POST", "/v1.41/images/create?fromImage=redis&tag=7")
        .await;
    assert_eq!(reply.status, 404, "{reply:?}");
    assert!(reply.message().contains("pull access denied"), "{reply:?}");
    rig.close().await;
}

#[tokio::test]
async fn a_create_pulls_the_image_its_engine_lacks() {
    let rig = Rig::new(1).await;
    let body = json!({"Image": "redis:7"}).to_string();
    let reply = rig
        .send("POST", "/v1.41/containers/create", &[], &body)
        .await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let missing = json!({"Image": "nosuch:1"}).to_string();
    rig.doubles[0].set_faults(|faults| {
        faults.missing_images.insert("nosuch:1".to_owned());
    });
    let reply = rig
        .send(
            "POST",
            "/v1.41/containers/create",
            &[("test-id", "n")],
            &missing,
        )
        .await;
    assert_eq!(reply.status, 404);
    assert!(
        reply.message().starts_with("No such image: nosuch:1"),
        "{reply:?}"
    );
    rig.close().await;
}

#[tokio::test]
async fn an_image_is_inspected_where_it_is() {
    let rig = Rig::new(2).await;
    rig.ask_engine(1, "POST", "/v1.41/images/create?fromImage=redis&tag=7")
        .await;
    rig.until("the image is seen", |cluster| {
        !cluster.image_holders("redis:7").is_empty()
    })
    .await;
    let reply = rig.ask("GET", "/v1.41/images/redis:7/json").await;
    assert_eq!(reply.json()["RepoTags"], json!(["redis:7"]), "{reply:?}");
    let reply = rig.ask("GET", "/v1.41/images/nosuch/json").await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (404, "No such image: nosuch:latest")
    );
    rig.close().await;
}

/// spec/classic.md section 10.3, A13: a line of more than 64 KiB ended a stream, which then counted as a success.
#[tokio::test]
async fn a13_a_line_of_any_length_is_passed_on_or_ends_in_an_error() {
    let line = |length: usize| format!("{{\"status\":\"{}\"}}\n", "x".repeat(length));
    let mut lines = Lines::new(body::full(line(100 << 10) + &line(5)));
    assert_eq!(lines.next().await.unwrap().unwrap().len(), (100 << 10) + 13);
    assert_eq!(lines.next().await.unwrap().unwrap().len(), 18);
    assert_eq!(lines.next().await.unwrap(), None);
    let (sender, endless) = body::channel(1);
    let feed = async { while sender.send(vec![b'x'; 64 << 10]).await.is_ok() {} };
    let mut lines = Lines::new(endless);
    let read = async {
        let failure = lines.next().await.unwrap_err();
        drop(lines);
        failure
    };
    let (failure, ()) = tokio::join!(read, feed);
    assert!(failure.starts_with("a line is longer than"), "{failure}");
}
