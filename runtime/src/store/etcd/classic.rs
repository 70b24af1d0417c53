//! What classic Swarm left in etcd: it knows only the v2 API, whose keys v3 does not show.

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Deserialize;

use super::super::StoreError;
use super::super::servers::Call;
use super::gateway::Gateway;
use crate::http::body;

/// What has a meaning of its own in a path.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'%');

#[derive(Deserialize)]
struct Answer {
    node: Node,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    value: String,
    /// A lock is a key with a time to live (spec/classic.md section 3).
    ttl: Option<i64>,
}

/// The address of the classic manager that holds the lock at `key`. None where the server has no v2 API any more.
pub(super) async fn primary(
    gateway: &Gateway,
    call: &Call<'_>,
    key: &str,
) -> Result<Option<String>, StoreError> {
    let path = format!("/v2/keys/{}?quorum=true", utf8_percent_encode(key, IN_PATH));
    let uri: Uri = path.parse().map_err(|error| gateway.garbage(error))?;
    let request = || {
        let mut request = Request::new(body::empty());
        *request.uri_mut() = uri.clone();
        request
    };
    let answer = call.ask(request).await?;
    Ok(holder(answer.status(), answer.body()))
}

fn holder(status: StatusCode, body: &Bytes) -> Option<String> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let held = status == StatusCode::OK && answer.node.ttl.is_some();
    held.then_some(answer.node.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_that_expires_is_a_lock() {
        let lock = r#"{"action":"get","node":{"key":"/docker/swarm/leader","value":"m:4000","expiration":"2026-01-01T00:00:00Z","ttl":9,"modifiedIndex":5,"createdIndex":5}}"#;
        let plain = r#"{"action":"get","node":{"key":"/docker/swarm/leader","value":"m:4000"}}"#;
        let none = r#"{"errorCode":100,"message":"Key not found","cause":"/docker","index":4}"#;
        for (status, body, expected) in [
            (200, lock, Some("m:4000")),
            (200, plain, None),
            (404, none, None),
            (404, "404 page not found\n", None),
            (401, lock, None),
        ] {
            let found = holder(StatusCode::from_u16(status).unwrap(), &Bytes::from(body));
            assert_eq!(found.as_deref(), expected, "{status} {body}");
        }
    }
}
