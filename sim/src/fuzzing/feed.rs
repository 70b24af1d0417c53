//! The stream of an engine's events, through the reader that keeps nothing between two reads.

use swarm::http::Client;
use swarm::http::client::ClientConfig;
use swarm::http::feed::Feed;
use swarm_core::address::HostPort;

use super::http_response::play;
use super::{memory, reference};

/// Longer heads may be refused.
const HEAD_BYTES: usize = 8 << 10;

/// A feed is what a second reader makes of the bytes, and ends where that one says.
///
/// # Panics
/// When that is not so.
pub fn feed(bytes: &[u8]) {
    let expected = reference::response(bytes, false).map(|(response, _)| response);
    let found = memory::run(async |memory, dialled| {
        play(&memory, dialled, bytes.to_vec());
        let client = Client::new(memory, ClientConfig::default());
        let engine = HostPort::localhost();
        let opened = Feed::open(&client, &engine, "/events").await;
        let (status, mut feed) = opened.ok()?;
        let mut body = Vec::new();
        let ended = loop {
            match feed.read(|data| body.extend_from_slice(data)).await {
                Ok(true) => {}
                Ok(false) => break true,
                Err(_) => break false,
            }
        };
        Some((status.as_str().to_owned(), body, ended))
    });
    let Some(expected) = expected else { return };
    assert!(
        found.is_some() || !expected.plain || bytes.len() > HEAD_BYTES,
        "a plain response is refused: {expected:?}"
    );
    let Some((status, body, ended)) = found else {
        return;
    };
    assert_eq!(status, expected.start);
    // There is no body, whatever the head says; nobody reads on.
    if ["204", "304"].contains(&status.as_str()) {
        return;
    }
    assert!(ended || !expected.plain, "a plain body breaks off");
    if ended {
        assert_eq!(body, expected.body);
    }
}
