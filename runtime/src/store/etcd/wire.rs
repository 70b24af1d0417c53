//! The messages of etcd v3 as its JSON gateway speaks them: bytes in base64, 64-bit numbers as text, and fields left
//! out where they have their default (etcd.io/docs/v3.4/dev-guide/api_grpc_gateway and the Protocol Buffers it names).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Base64(pub(super) Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64_STANDARD
            .decode(text)
            .map(Self)
            .map_err(de::Error::custom)
    }
}

/// A 64-bit number as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Int(pub(super) u64);

impl Serialize for Int {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

/// One key, or all that start with a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Span {
    key: Base64,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_end: Option<Base64>,
}

impl Span {
    pub(super) fn key(key: &str) -> Self {
        Self {
            key: Base64(key.into()),
            range_end: None,
        }
    }

    /// All keys that start with `prefix`, which ends with a slash.
    pub(super) fn below(prefix: &str) -> Self {
        let mut end = prefix.as_bytes().to_vec();
        // The first key behind them all; no byte of a path is 0xff, so nothing is carried.
        if let Some(last) = end.last_mut() {
            *last = last.saturating_add(1);
        }
        Self {
            key: Base64(prefix.into()),
            range_end: Some(Base64(end)),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Header {
    #[serde(default)]
    pub(super) revision: Int,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Pair {
    pub(super) key: Base64,
    #[serde(default)]
    pub(super) value: Base64,
    #[serde(default)]
    pub(super) mod_revision: Int,
    #[serde(default)]
    pub(super) lease: Int,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Range {
    #[serde(default)]
    pub(super) header: Header,
    #[serde(default)]
    pub(super) kvs: Vec<Pair>,
}

/// Writes a key, perhaps bound to a lease.
#[derive(Debug, Serialize)]
pub(super) struct Put {
    pub(super) key: Base64,
    pub(super) value: Base64,
    pub(super) lease: Int,
}

/// An answer of which nothing is needed.
#[derive(Debug, Deserialize)]
pub(super) struct Done {}

/// "If the key was changed last at this revision (0: if it does not exist), write it, else read it."
#[derive(Debug, Serialize)]
pub(super) struct Swap {
    compare: [Compare; 1],
    success: [PutOp; 1],
    failure: [RangeOp; 1],
}

#[derive(Debug, Serialize)]
struct Compare {
    key: Base64,
    target: &'static str,
    result: &'static str,
    mod_revision: Int,
}

#[derive(Debug, Serialize)]
struct PutOp {
    request_put: Put,
}

#[derive(Debug, Serialize)]
struct RangeOp {
    request_range: Span,
}

impl Swap {
    pub(super) fn new(key: &str, expected: u64, value: Vec<u8>) -> Self {
        let compare = Compare {
            key: Base64(key.into()),
            target: "MOD",
            result: "EQUAL",
            mod_revision: Int(expected),
        };
        let request_put = Put {
            key: Base64(key.into()),
            value: Base64(value),
            lease: Int(0),
        };
        let request_range = Span::key(key);
        Self {
            compare: [compare],
            success: [PutOp { request_put }],
            failure: [RangeOp { request_range }],
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Swapped {
    #[serde(default)]
    pub(super) header: Header,
    #[serde(default)]
    pub(super) succeeded: bool,
    #[serde(default)]
    responses: Vec<SwapResponse>,
}

#[derive(Debug, Deserialize)]
struct SwapResponse {
    response_range: Option<Range>,
}

impl Swapped {
    /// What was there instead; `None` if the answer does not say.
    pub(super) fn found(self) -> Option<Range> {
        let mut responses = self.responses.into_iter();
        responses.find_map(|response| response.response_range)
    }
}

#[derive(Debug, Serialize)]
pub(super) struct WatchRequest {
    create_request: WatchCreate,
}

#[derive(Debug, Serialize)]
struct WatchCreate {
    #[serde(flatten)]
    span: Span,
    start_revision: Int,
}

impl WatchRequest {
    pub(super) fn from(span: Span, start: u64) -> Self {
        let start_revision = Int(start);
        Self {
            create_request: WatchCreate {
                span,
                start_revision,
            },
        }
    }
}

/// One message of a stream.
#[derive(Debug, Deserialize)]
pub(super) struct Message<T> {
    pub(super) result: Option<T>,
    pub(super) error: Option<StreamError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct StreamError {
    #[serde(default)]
    pub(super) http_code: u16,
    #[serde(default)]
    pub(super) message: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Watched {
    #[serde(default)]
    pub(super) canceled: bool,
    /// Not 0 where the revision that was asked for is no longer kept.
    #[serde(default)]
    pub(super) compact_revision: Int,
    #[serde(default)]
    pub(super) cancel_reason: String,
    #[serde(default)]
    pub(super) events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Event {
    #[serde(default)]
    pub(super) r#type: EventType,
    pub(super) kv: Pair,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) enum EventType {
    #[default]
    #[serde(rename = "PUT")]
    Put,
    #[serde(rename = "DELETE")]
    Delete,
}

#[derive(Debug, Serialize)]
pub(super) struct LeaseGrant {
    /// In seconds.
    #[serde(rename = "TTL")]
    pub(super) ttl: Int,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LeaseId {
    #[serde(rename = "ID")]
    pub(super) id: Int,
}

#[derive(Debug, Deserialize)]
pub(super) struct LeaseAlive {
    /// What is left, in seconds; 0 if the lease is gone.
    #[serde(rename = "TTL", default)]
    pub(super) ttl: Int,
}

#[derive(Serialize)]
pub(super) struct Login<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
}

#[derive(Deserialize)]
pub(super) struct Token {
    pub(super) token: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_compares_writes_and_reads_one_key() {
        let swap = Swap::new("k", 7, b"v".to_vec());
        insta::assert_snapshot!(
            serde_json::to_string(&swap).unwrap(),
            @r#"{"compare":[{"key":"aw==","target":"MOD","result":"EQUAL","mod_revision":"7"}],"success":[{"request_put":{"key":"aw==","value":"dg==","lease":"0"}}],"failure":[{"request_range":{"key":"aw=="}}]}"#
        );
    }

    #[test]
    fn a_directory_ends_before_its_siblings() {
        let span = Span::below("docker/swarm/nodes/");
        assert_eq!(
            span.range_end,
            Some(Base64(b"docker/swarm/nodes0".to_vec()))
        );
    }

    #[test]
    fn answers_without_defaults_are_read() {
        let range: Range = serde_json::from_str("{}").unwrap();
        assert!(range.kvs.is_empty());
        let found: Range =
            serde_json::from_str(r#"{"header":{"revision":"9"},"kvs":[{"key":"aw=="}]}"#).unwrap();
        assert_eq!(found.header.revision, Int(9));
        assert_eq!(found.kvs[0].mod_revision, Int(0));
        for garbage in [
            r#"{"kvs":[{"key":"?"}]}"#,
            r#"{"header":{"revision":"-1"}}"#,
            "7",
        ] {
            assert!(serde_json::from_str::<Range>(garbage).is_err(), "{garbage}");
        }
    }
}
