//! A client that follows `GET /events` and comes back when its manager goes.

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde::Deserialize;
use swarm::http::Body;
use swarm::http::body;
use swarm::http::client::SendOptions;
use swarm::platform::timeout;

use super::ClientHost;
use super::asker::{Ask, Asker, not_answered, told};
use super::frames::Lines;
use crate::property::Property;

/// What of an event names it.
#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "timeNano")]
    nanos: u64,
    #[serde(default)]
    node: Node,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    name: String,
}

pub(super) async fn work(host: ClientHost) {
    let asker = Asker::new(host);
    loop {
        if let Some(events) = subscribe(&asker).await {
            follow(&asker, events).await;
        }
        asker.pause().await;
    }
}

async fn subscribe(asker: &Asker) -> Option<Body> {
    let ask = Ask::get("/v1.41/events");
    let id = asker.begin(&ask);
    let mut request = Request::new(body::empty());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = ask.path.parse().ok()?;
    let answer = asker.respond(request, SendOptions::endless());
    let limit = asker.patience() * 2;
    let nothing = bytes::Bytes::new;
    match timeout(asker.host.platform.as_ref(), limit, answer).await {
        Ok(Ok(response)) => {
            let status = response.status();
            asker.heard(id, told(status), status.as_u16(), nothing());
            (status == StatusCode::OK).then(|| response.into_body())
        }
        Ok(Err(failure)) => {
            asker.heard(id, not_answered(&failure), 0, nothing());
            None
        }
        Err(_) => {
            asker.ledger().gave_up(id);
            None
        }
    }
}

async fn follow(asker: &Asker, mut events: Body) {
    let stream = asker.ledger().stream_opened(asker.host.id);
    let mut lines = Lines::default();
    while let Some(Ok(frame)) = events.frame().await {
        let data = frame.into_data().unwrap_or_default();
        lines.push(&data);
        while let Some(line) = lines.next() {
            show(asker, stream, &line);
        }
    }
    let manager = asker.host.manager.host();
    asker.ledger().stream_broke(stream, manager);
}

fn show(asker: &Asker, stream: usize, line: &[u8]) {
    if line.iter().all(u8::is_ascii_whitespace) {
        return;
    }
    let mut ledger = asker.ledger();
    match serde_json::from_slice::<Event>(line) {
        // Managers speak of engines in between.
        Ok(event) if event.kind == "swarm" => {}
        Ok(event) => ledger.stream_showed(stream, &event.node.name, event.nanos),
        Err(error) => {
            let line = String::from_utf8_lossy(line);
            let what = format!("an event stream showed {line:?}: {error}");
            ledger.fail(Property::EventStream, "content", what);
        }
    }
}
