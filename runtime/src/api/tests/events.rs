use http_body_util::BodyExt;

use super::*;
use crate::platform::Platform;

/// Reads events until `count` of them are there.
async fn read(rig: &Rig, body: &mut Body, count: usize) -> Vec<Value> {
    let mut text = String::new();
    let reading = async {
        while text.lines().count() < count || !text.ends_with('\n') {
            let frame = body.frame().await.expect("the stream ended").unwrap();
            text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    };
    let done = timeout(&*rig.platform, Duration::from_secs(20), reading).await;
    assert!(done.is_ok(), "only these events came: {text}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn follow(rig: &Rig, query: &str) -> Body {
    let response = rig
        .open(
            request("GET", &format!("/v1.41/events?{query}"), &[], ""),
            false,
        )
        .await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    response.into_body()
}

#[tokio::test]
async fn events_of_all_engines_come_with_their_engine() {
    let rig = Rig::new(2).await;
    // filters={"type":["container"],"event":["create","start"]}
    let filters = "filters=%7B%22type%22%3A%5B%22container%22%5D%2C%22event%22%3A%5B%22create%22%2C%22start%22%5D%7D";
    let mut body = follow(&rig, filters).await;
    let first = rig.run("one").await;
    let second = rig.run("two").await;
    let events = read(&rig, &mut body, 4).await;
    for (id, node, number) in [(&first, "node-0", 0), (&second, "node-1", 1)] {
        let own: Vec<_> = events
            .iter()
            .filter(|event| event["id"] == id.as_str())
            .collect();
        assert_eq!(own[0]["Action"], "create");
        assert_eq!(own[1]["Action"], "start");
        assert_eq!(own[0]["Actor"]["Attributes"]["node.name"], node);
        assert_eq!(own[0]["node"]["Name"], node);
        assert_eq!(own[0]["node"]["Addr"], rig.addresses[number].to_string());
        let from = own[0]["from"].as_str().unwrap();
        assert!(from.ends_with(&format!(" node:{node}")), "{from}");
    }
    rig.close().await;
}

#[tokio::test]
async fn a_span_of_the_past_is_answered_and_ends() {
    let platform = TokioPlatform::new().unwrap();
    let options = Options {
        clock: platform.wall(),
        ..Options::new("node-0")
    };
    let rig = Rig::with(vec![options]).await;
    rig.run("one").await;
    // One second before the manager started, so that the engine is asked too.
    let since = rig.api.started.seconds() - 1;
    let until = rig.platform.wall();
    let query = format!(
        "since={since}&until={}.{:09}",
        until.seconds(),
        until.subsec_nanos()
    );
    let reply = rig.ask("GET", &format!("/v1.41/events?{query}")).await;
    assert_eq!(reply.status, 200);
    let actions: Vec<_> = reply
        .text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["Type"] == "container")
        .map(|event| event["Action"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(actions, ["create", "start"]);
    let reply = rig.ask("GET", "/v1.41/events?until=1").await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    rig.close().await;
}

#[tokio::test]
async fn a_resumed_stream_begins_with_what_was_heard_lately_whatever_clocks_show() {
    let rig = Rig::new(1).await;
    let id = rig.run("one").await;
    // From before this manager looked, when the engine's clock may have shown anything.
    for since in ["60s", "100000.5s"] {
        let mut body = follow(&rig, &format!("since={since}")).await;
        let events = read(&rig, &mut body, 2).await;
        let own = events.iter().filter(|event| event["id"] == id.as_str());
        assert!(own.count() > 0, "{events:?}");
    }
    let mut body = follow(&rig, "since=0s").await;
    let later = rig.run("two").await;
    let events = read(&rig, &mut body, 1).await;
    assert_eq!(events[0]["id"], later.as_str());
    rig.close().await;
}

/// world:717: an event between the start of a manager and its look at the engine was in nobody's answer.
#[tokio::test]
async fn what_happens_before_the_first_look_at_an_engine_is_not_left_out() {
    let platform = TokioPlatform::new().unwrap();
    let options = |name: &str| Options {
        clock: platform.wall(),
        ..Options::new(name)
    };
    let mut rig = Rig::with(vec![options("node-0")]).await;
    let double = Double::new(Arc::new(TokioHost::new()), options("node-1"));
    let (address, stop) = serve_tcp("127.0.0.1:0", double).await.unwrap();
    let address: HostPort = address.to_string().parse().unwrap();
    rig.addresses.push(address.clone());
    rig.stops.push(stop);
    let made = json!({"Image": "alpine"}).to_string();
    let make = request("POST", "/v1.41/containers/create", &[], &made);
    let made = rig.client.send(&address, make).await.unwrap();
    assert_eq!(made.status(), 201);
    rig.engines.add(&address);
    rig.until("the engine is healthy", |cluster| {
        cluster
            .engine(&address)
            .is_some_and(swarm_core::cluster::Engine::is_healthy)
    })
    .await;
    for since in ["60s".to_owned(), rig.api.started.seconds().to_string()] {
        let mut body = follow(
            &rig,
            &format!("since={since}&filters=%7B%22type%22%3A%5B%22container%22%5D%7D"),
        )
        .await;
        let events = read(&rig, &mut body, 1).await;
        assert_eq!(events[0]["Action"], "create", "{events:?}");
    }
    rig.close().await;
}

#[tokio::test]
async fn unusable_queries_are_refused() {
    let rig = Rig::new(1).await;
    for query in [
        "since=x",
        "until=1e5",
        "filters=%7B%22colour%22%3A%5B%22red%22%5D%7D",
    ] {
        let reply = rig.ask("GET", &format!("/v1.41/events?{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
        assert!(!reply.message().is_empty());
    }
    rig.close().await;
}
