//! The messages of ZooKeeper in its own encoding, Jute, as a server reads and writes them: numbers big-endian, texts and
//! bytes behind their length, and every message behind its own (`zookeeper.jute` in the sources of ZooKeeper).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::state::{Change, Done, Event, Failed, Node, Outcome};

/// `jute.maxbuffer`.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The number of a message nobody asked for.
const XID_EVENT: i32 = -1;
/// What a connected client's events say of its connection.
const SYNC_CONNECTED: i32 = 3;

/// Why something was not done (`KeeperException.Code`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub i32);

impl Code {
    /// It was.
    pub(super) const OK: Self = Self(0);
    /// A step of a transaction behind the one that failed.
    const RUNTIME_INCONSISTENCY: Self = Self(-2);
    pub(super) const MARSHALLING: Self = Self(-5);
    pub(super) const UNIMPLEMENTED: Self = Self(-6);
    pub(super) const BAD_ARGUMENTS: Self = Self(-8);
    pub(super) const NO_NODE: Self = Self(-101);
    pub(super) const NO_AUTH: Self = Self(-102);
    pub(super) const BAD_VERSION: Self = Self(-103);
    pub(super) const NO_CHILDREN_FOR_EPHEMERALS: Self = Self(-108);
    pub(super) const NODE_EXISTS: Self = Self(-110);
    pub(super) const NOT_EMPTY: Self = Self(-111);
    pub(super) const SESSION_EXPIRED: Self = Self(-112);
    pub(super) const SESSION_MOVED: Self = Self(-118);
    pub(super) const QUOTA_EXCEEDED: Self = Self(-125);
    pub(super) const THROTTLED: Self = Self(-127);
}

/// A message that no client of ZooKeeper sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of ZooKeeper")]
pub(super) struct Garbled;

impl From<bytes::TryGetError> for Garbled {
    fn from(_: bytes::TryGetError) -> Self {
        Self
    }
}

/// What a client begins with (`ConnectRequest`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// The last transaction it knows of.
    pub(super) last_zxid: i64,
    pub(super) timeout_ms: u64,
    /// The session to go on with; 0 for a new one.
    pub(super) session: i64,
    pub(super) password: Bytes,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    Exists {
        path: String,
        watch: bool,
    },
    Get {
        path: String,
        watch: bool,
    },
    Children {
        path: String,
        watch: bool,
    },
    /// One change; the answer has no header of its own for it.
    Write(Change),
    Multi(Vec<Change>),
    Ping,
    /// Logs in.
    Auth,
    /// Ends the session.
    Close,
    /// Something else.
    Unknown,
}

impl Request {
    /// Whether the leader has to commit it.
    pub(super) const fn writes(&self) -> bool {
        matches!(self, Self::Write(_) | Self::Multi(_) | Self::Close)
    }

    /// What requests of its kind are called.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "exists",
            Self::Get { .. } => "getData",
            Self::Children { .. } => "getChildren",
            Self::Write(Change::Create { .. }) => "create",
            Self::Write(Change::Delete { .. }) => "delete",
            Self::Write(Change::Set { .. }) => "setData",
            Self::Write(Change::Check { .. }) => "check",
            Self::Multi(changes) if only_checks(changes) => "check",
            Self::Multi(_) => "multi",
            Self::Ping => "ping",
            Self::Auth => "auth",
            Self::Close => "closeSession",
            Self::Unknown => "unknown",
        }
    }
}

/// Whether nothing is changed.
pub(super) fn only_checks(changes: &[Change]) -> bool {
    let checks = |change: &Change| matches!(change, Change::Check { .. });
    changes.iter().all(checks)
}

/// Takes the first message off what was received; `None` while it is incomplete.
pub(super) fn take_message(received: &mut BytesMut) -> Result<Option<Bytes>, Garbled> {
    let Some(mut length) = received.get(..4) else {
        return Ok(None);
    };
    let length = usize::try_from(length.get_i32()).map_err(|_| Garbled)?;
    if length > MESSAGE_BYTES_MAX {
        return Err(Garbled);
    }
    if received.len() - 4 < length {
        return Ok(None);
    }
    received.advance(4);
    Ok(Some(received.split_to(length).freeze()))
}

pub(super) fn read_hello(mut message: Bytes) -> Result<Hello, Garbled> {
    let _version = message.try_get_i32()?;
    let last_zxid = message.try_get_i64()?;
    let timeout = message.try_get_i32()?;
    Ok(Hello {
        last_zxid,
        timeout_ms: u64::try_from(timeout).unwrap_or(0),
        session: message.try_get_i64()?,
        password: take_bytes(&mut message)?,
    })
}

/// Reads a request and its number; nodes that go with their session go with `session`.
pub(super) fn read_request(mut message: Bytes, session: i64) -> Result<(i32, Request), Garbled> {
    let xid = message.try_get_i32()?;
    let kind = message.try_get_i32()?;
    let request = match kind {
        3 | 4 | 8 => {
            let path = take_text(&mut message)?;
            let watch = message.try_get_u8()? != 0;
            match kind {
                3 => Request::Exists { path, watch },
                4 => Request::Get { path, watch },
                _ => Request::Children { path, watch },
            }
        }
        1 | 2 | 5 => Request::Write(take_change(kind, &mut message, session)?),
        14 => {
            let mut changes = Vec::new();
            loop {
                let kind = message.try_get_i32()?;
                let is_end = message.try_get_u8()? != 0;
                let _error = message.try_get_i32()?;
                if is_end {
                    break Request::Multi(changes);
                }
                changes.push(take_change(kind, &mut message, session)?);
            }
        }
        11 => Request::Ping,
        100 => Request::Auth,
        -11 => Request::Close,
        _ => Request::Unknown,
    };
    Ok((xid, request))
}

fn take_change(kind: i32, body: &mut Bytes, session: i64) -> Result<Change, Garbled> {
    let path = take_text(body)?;
    Ok(match kind {
        1 => {
            let data = take_bytes(body)?;
            for _ in 0..body.try_get_i32()? {
                let _permissions = body.try_get_i32()?;
                let (_scheme, _id) = (take_text(body)?, take_text(body)?);
            }
            let flags = body.try_get_i32()?;
            Change::Create {
                path,
                data,
                owner: if flags & 1 == 0 { 0 } else { session },
                sequential: flags & 2 != 0,
            }
        }
        2 => Change::Delete {
            path,
            version: body.try_get_i32()?,
        },
        5 => Change::Set {
            path,
            data: take_bytes(body)?,
            version: body.try_get_i32()?,
        },
        13 => Change::Check {
            path,
            version: body.try_get_i32()?,
        },
        _ => return Err(Garbled),
    })
}

/// The answer to a [`Hello`]; no session stands for one that has ended.
pub(super) fn welcome(session: Option<(i64, u64, &Bytes)>) -> Bytes {
    message(|out| {
        let none = Bytes::from_static(&[0; 16]);
        let (id, timeout_ms, password) = session.unwrap_or((0, 0, &none));
        out.put_i32(0);
        out.put_i32(i32::try_from(timeout_ms).unwrap_or(i32::MAX));
        out.put_i64(id);
        put_bytes(out, password);
        // It is not one of those that only read.
        out.put_u8(0);
    })
}

/// An answer without a body.
pub(super) fn bare(xid: i32, zxid: i64, code: Code) -> Bytes {
    reply(xid, zxid, code, |_| ())
}

pub(super) fn stat(xid: i32, zxid: i64, node: &Node) -> Bytes {
    reply(xid, zxid, Code::OK, |out| put_stat(out, node))
}

pub(super) fn data(xid: i32, zxid: i64, node: &Node) -> Bytes {
    reply(xid, zxid, Code::OK, |out| {
        put_bytes(out, &node.data);
        put_stat(out, node);
    })
}

pub(super) fn children(xid: i32, zxid: i64, node: &Node) -> Bytes {
    reply(xid, zxid, Code::OK, |out| {
        out.put_i32(count(node.children.len()));
        for name in &node.children {
            put_bytes(out, name.as_bytes());
        }
    })
}

/// The answer to a change that was carried out.
pub(super) fn done(xid: i32, zxid: i64, done: &Done) -> Bytes {
    reply(xid, zxid, Code::OK, |out| put_done(out, done))
}

/// The answer to a transaction: what became of each step, or which of so many failed and why.
pub(super) fn transaction(xid: i32, zxid: i64, steps: usize, outcome: &Outcome) -> Bytes {
    reply(xid, zxid, Code::OK, |out| {
        match outcome {
            Ok(all) => {
                for done in all {
                    put_step(out, kind_of(done), false, 0);
                    put_done(out, done);
                }
            }
            Err(Failed { step: failed, code }) => {
                for step in 0..steps {
                    let code = match step.cmp(failed) {
                        std::cmp::Ordering::Less => Code::OK,
                        std::cmp::Ordering::Equal => *code,
                        std::cmp::Ordering::Greater => Code::RUNTIME_INCONSISTENCY,
                    };
                    put_step(out, -1, false, code.0);
                    out.put_i32(code.0);
                }
            }
        }
        put_step(out, -1, true, -1);
    })
}

/// What a watch tells.
pub(super) fn event(event: Event, path: &str) -> Bytes {
    reply(XID_EVENT, -1, Code::OK, |out| {
        out.put_i32(match event {
            Event::Created => 1,
            Event::Deleted => 2,
            Event::Changed => 3,
            Event::Children => 4,
        });
        out.put_i32(SYNC_CONNECTED);
        put_bytes(out, path.as_bytes());
    })
}

const fn kind_of(done: &Done) -> i32 {
    match done {
        Done::Created(_) => 1,
        Done::Deleted => 2,
        Done::Set(_) => 5,
        Done::Checked => 13,
    }
}

fn put_done(out: &mut BytesMut, done: &Done) {
    match done {
        Done::Created(path) => put_bytes(out, path.as_bytes()),
        Done::Set(node) => put_stat(out, node),
        Done::Deleted | Done::Checked => {}
    }
}

fn put_step(out: &mut BytesMut, kind: i32, is_end: bool, code: i32) {
    out.put_i32(kind);
    out.put_u8(u8::from(is_end));
    out.put_i32(code);
}

fn put_stat(out: &mut BytesMut, node: &Node) {
    out.put_i64(node.czxid);
    out.put_i64(node.mzxid);
    out.put_i64(node.ctime);
    out.put_i64(node.mtime);
    out.put_i32(node.version);
    out.put_i32(node.cversion);
    // Of the rights, which nobody changes.
    out.put_i32(0);
    out.put_i64(node.owner);
    out.put_i32(count(node.data.len()));
    out.put_i32(count(node.children.len()));
    out.put_i64(node.pzxid);
}

fn reply(xid: i32, zxid: i64, code: Code, body: impl FnOnce(&mut BytesMut)) -> Bytes {
    message(|out| {
        out.put_i32(xid);
        out.put_i64(zxid);
        out.put_i32(code.0);
        body(out);
    })
}

fn message(body: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut content = BytesMut::new();
    body(&mut content);
    let mut whole = BytesMut::with_capacity(content.len() + 4);
    put_bytes(&mut whole, &content);
    whole.freeze()
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(count(bytes.len()));
    out.put_slice(bytes);
}

fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn take_bytes(body: &mut Bytes) -> Result<Bytes, Garbled> {
    // -1 stands for none.
    let length = usize::try_from(body.try_get_i32()?.max(0)).map_err(|_| Garbled)?;
    if body.len() < length {
        return Err(Garbled);
    }
    Ok(body.split_to(length))
}

fn take_text(body: &mut Bytes) -> Result<String, Garbled> {
    let bytes = take_bytes(body)?;
    String::from_utf8(bytes.into()).map_err(|_| Garbled)
}
