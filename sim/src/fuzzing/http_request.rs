//! What clients send, through the shipping listener.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, Request, Response, StatusCode};
use swarm::http::body::collect_limited;
use swarm::http::error::{error, text};
use swarm::http::server::ServerConfig;
use swarm::http::{Body, Handler, Peer, Server};
use swarm::platform::BoxFuture;
use tokio::io::duplex;

use super::memory;
use super::reference::{self, Message};

/// The handler sees a request only where a second, stricter reader sees the very same one at this place, however the
/// bytes are cut: so nothing behind a refused request is ever taken for a request. What is plain is served.
///
/// # Panics
/// When that is not so.
pub fn http_request(bytes: &[u8]) {
    let (expected, clean) = reference::requests(bytes);
    let whole = served(bytes, 64 * 1024);
    let pieces = served(bytes, 1 + bytes.len() % 13);
    assert_eq!(whole.seen, pieces.seen, "pieces matter");
    // Whether half a head is refused or its connection is closed depends on how much of it came at once.
    let differ = whole.statuses.len().abs_diff(pieces.statuses.len());
    let same = whole
        .statuses
        .iter()
        .zip(&pieces.statuses)
        .all(|(a, b)| a == b);
    assert!(
        same && differ <= 1,
        "{:?} or {:?}",
        whole.statuses,
        pieces.statuses
    );
    assert!(whole.seen.len() <= expected.len(), "{:?}", whole.seen);
    for (seen, expected) in whole.seen.iter().zip(&expected) {
        assert_eq!(seen.start, expected.start);
        assert_eq!(seen.headers, expected.headers);
        assert_eq!(seen.body, expected.body);
    }
    let refused = whole.statuses.iter().filter(|status| **status != 200);
    assert!(refused.count() <= 1, "{:?}", whole.statuses);
    if clean && expected.iter().all(|request| request.plain) {
        assert_eq!(whole.seen.len(), expected.len(), "{expected:?}");
        assert_eq!(whole.statuses, vec![200; expected.len()]);
    }
}

struct Served {
    /// Of the final answers, in order.
    statuses: Vec<u16>,
    seen: Vec<Message>,
}

/// What becomes of `bytes` when they are sent `piece` at a time, and that direction is closed behind them.
fn served(bytes: &[u8], piece: usize) -> Served {
    let recorder = Arc::new(Recorder::default());
    let answer = memory::run(async |memory, _| {
        let handler: Arc<dyn Handler> = Arc::clone(&recorder) as Arc<dyn Handler>;
        let server = Server::new(memory, ServerConfig::default(), handler);
        let (client, io) = duplex(piece);
        server.serve_stream(Box::new(io), "client");
        let (mut read, mut write) = tokio::io::split(client);
        let ((), answer) = tokio::join!(
            memory::write_and_close(&mut write, bytes),
            memory::read_all(&mut read)
        );
        answer
    });
    let seen = std::mem::take(&mut *recorder.seen.lock().unwrap_or_else(PoisonError::into_inner));
    Served {
        statuses: statuses(&answer),
        seen,
    }
}

/// The answers hold no text of the client, so each mark starts one.
fn statuses(answer: &[u8]) -> Vec<u16> {
    let answer = String::from_utf8_lossy(answer);
    let heads = answer.split("HTTP/1.").skip(1);
    heads
        .filter_map(|head| head.get(2..5)?.parse().ok())
        .filter(|status| *status >= 200)
        .collect()
}

/// Notes requests that arrived whole.
#[derive(Default)]
struct Recorder {
    seen: Mutex<Vec<Message>>,
}

impl Handler for Recorder {
    fn handle(
        self: Arc<Self>,
        request: Request<Body>,
        _: Peer,
    ) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let Ok(body) = collect_limited(body, 1 << 20).await else {
                return error(StatusCode::BAD_REQUEST, "broken off");
            };
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(Message {
                start: format!("{} {}", parts.method, parts.uri),
                headers: sorted(&parts.headers),
                body: body.to_vec(),
                plain: false,
            });
            text(StatusCode::OK, "ok")
        })
    }
}

fn sorted(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let mut sorted: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    sorted.sort();
    sorted
}
