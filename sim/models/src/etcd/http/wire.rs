//! The gateway's JSON: bytes in base64, 64-bit numbers as text, and fields left out where they have their default.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use crate::etcd::cluster::Inner;
use crate::etcd::server::Failure;
use crate::etcd::state::{Did, Done, Event, Pair};

/// Any number will do that no other member has.
const CLUSTER_ID: u64 = 14_841_639_068_965_178_418;
const FIRST_MEMBER_ID: u64 = 10_276_657_743_932_975_437;

/// Bytes in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::etcd) struct Base64(pub(in crate::etcd) Bytes);

impl Base64 {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        Ok(Self(Bytes::from(bytes)))
    }
}

/// A 64-bit number as text; plain numbers are understood too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::etcd) struct Int(pub(in crate::etcd) u64);

impl Int {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
    fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl Serialize for Int {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Number(u64),
        }
        match Either::deserialize(deserializer)? {
            Either::Text(text) => text.parse().map(Self).map_err(D::Error::custom),
            Either::Number(number) => Ok(Self(number)),
        }
    }
}

/// What each answer says of who gave it.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(in crate::etcd) struct Header {
    #[serde(skip_serializing_if = "Int::is_zero")]
    cluster_id: Int,
    #[serde(skip_serializing_if = "Int::is_zero")]
    member_id: Int,
    #[serde(skip_serializing_if = "Int::is_zero")]
    revision: Int,
    #[serde(skip_serializing_if = "Int::is_zero")]
    raft_term: Int,
}

impl Header {
    /// Of an answer of member `id`.
    pub(in crate::etcd) fn of(inner: &Inner, id: usize) -> Self {
        Self {
            cluster_id: Int(CLUSTER_ID),
            member_id: Int(FIRST_MEMBER_ID + id as u64),
            revision: Int(inner.state.revision()),
            raft_term: Int(inner.term),
        }
    }

    /// The same at another revision.
    pub(super) fn moved_to(self, revision: u64) -> Self {
        Self {
            revision: Int(revision),
            ..self
        }
    }

    /// Of one operation of a transaction.
    fn at(revision: u64) -> Self {
        Self {
            revision: Int(revision),
            ..Self::default()
        }
    }
}

#[derive(Serialize)]
struct PairJson {
    key: Base64,
    #[serde(skip_serializing_if = "Int::is_zero")]
    create_revision: Int,
    mod_revision: Int,
    #[serde(skip_serializing_if = "Int::is_zero")]
    version: Int,
    #[serde(skip_serializing_if = "Base64::is_empty")]
    value: Base64,
    #[serde(skip_serializing_if = "Int::is_zero")]
    lease: Int,
}

impl From<&Pair> for PairJson {
    fn from(pair: &Pair) -> Self {
        Self {
            key: Base64(pair.key.clone()),
            create_revision: Int(pair.create_revision),
            mod_revision: Int(pair.mod_revision),
            version: Int(pair.version),
            value: Base64(pair.value.clone()),
            lease: Int(pair.lease),
        }
    }
}

/// The answer to a range.
#[derive(Serialize)]
pub(super) struct Found {
    header: Header,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kvs: Vec<PairJson>,
    #[serde(skip_serializing_if = "Int::is_zero")]
    count: Int,
}

impl Found {
    pub(super) fn new(header: Header, pairs: &[Arc<Pair>]) -> Self {
        Self {
            header,
            kvs: pairs.iter().map(|pair| PairJson::from(&**pair)).collect(),
            count: Int(pairs.len() as u64),
        }
    }
}

/// The answer to a change.
#[derive(Default, Serialize)]
pub(super) struct Changed {
    pub(super) header: Header,
    #[serde(skip_serializing_if = "Int::is_zero")]
    pub(super) deleted: Int,
}

/// The answer to a transaction.
#[derive(Serialize)]
pub(super) struct Transacted {
    header: Header,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    succeeded: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    responses: Vec<OpJson>,
}

#[derive(Serialize)]
enum OpJson {
    #[serde(rename = "response_put")]
    Put(Changed),
    #[serde(rename = "response_delete_range")]
    Delete(Changed),
    #[serde(rename = "response_range")]
    Range(Found),
}

impl Transacted {
    pub(super) fn new(header: Header, succeeded: bool, done: &[Done]) -> Self {
        let response = |done: &Done| {
            let header = Header::at(done.revision);
            let deleted = |count| Changed {
                header,
                deleted: Int(count),
            };
            match &done.what {
                Did::Put => OpJson::Put(deleted(0)),
                Did::Deleted(count) => OpJson::Delete(deleted(*count)),
                Did::Found(pairs) => OpJson::Range(Found::new(header, pairs)),
            }
        };
        Self {
            header,
            succeeded,
            responses: done.iter().map(response).collect(),
        }
    }
}

/// The answer to what is asked of a lease.
#[derive(Serialize)]
pub(super) struct LeaseJson {
    pub(super) header: Header,
    #[serde(rename = "ID", skip_serializing_if = "Int::is_zero")]
    pub(super) id: Int,
    #[serde(rename = "TTL", skip_serializing_if = "Int::is_zero")]
    pub(super) ttl: Int,
}

/// One message of a stream.
pub(in crate::etcd) fn message(result: &impl Serialize) -> Bytes {
    #[derive(Serialize)]
    struct Message<'a, T> {
        result: &'a T,
    }
    // Plain numbers and strings: serialising cannot fail.
    let mut line = serde_json::to_vec(&Message { result }).unwrap_or_default();
    line.push(b'\n');
    Bytes::from(line)
}

#[derive(Serialize)]
struct Watched {
    header: Header,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    created: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    canceled: bool,
    #[serde(skip_serializing_if = "Int::is_zero")]
    compact_revision: Int,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events: Vec<EventJson>,
}

#[derive(Serialize)]
struct EventJson {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    kv: PairJson,
}

impl Watched {
    const fn new(header: Header) -> Self {
        Self {
            header,
            created: false,
            canceled: false,
            compact_revision: Int(0),
            events: Vec::new(),
        }
    }
}

/// The first message of a watch.
pub(in crate::etcd) fn created(header: &Header) -> Bytes {
    message(&Watched {
        created: true,
        ..Watched::new(*header)
    })
}

/// Tells a watch what changed.
pub(in crate::etcd) fn changed(header: &Header, events: &[Arc<Event>]) -> Bytes {
    let event = |event: &Arc<Event>| EventJson {
        kind: event.deleted.then_some("DELETE"),
        kv: PairJson::from(&event.pair),
    };
    message(&Watched {
        events: events.iter().map(event).collect(),
        ..Watched::new(*header)
    })
}

/// Tells a watch that its start is no longer kept.
pub(in crate::etcd) fn compacted(header: &Header, revision: u64) -> Bytes {
    let header = Header {
        revision: Int(0),
        ..*header
    };
    message(&Watched {
        canceled: true,
        compact_revision: Int(revision),
        ..Watched::new(header)
    })
}

/// An error in a stream; nothing follows it.
pub(in crate::etcd) fn stream_error(failure: &Failure) -> Bytes {
    let Failure::Answer(code, text) = failure else {
        return Bytes::new();
    };
    let (status, words) = code.status();
    let error = json!({
        "grpc_code": code.number(),
        "http_code": status,
        "message": text,
        "http_status": words,
    });
    Bytes::from(json!({ "error": error }).to_string())
}

/// An error instead of an answer.
pub(super) fn error(code: u8, text: &str) -> Value {
    json!({ "error": text, "message": text, "code": code })
}
