//! The messages of ZooKeeper in its own encoding, Jute: numbers big-endian, texts and bytes behind their length, and
//! every message behind its own (zookeeper.jute in the sources of ZooKeeper, which has not changed them since 3.4).

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A larger message is not one to our questions: 65,536 engines fit.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// What a new session has instead of a password.
const NO_PASSWORD: [u8; 16] = [0; 16];

/// All rights.
const PERMISSIONS: i32 = 0b1_1111;

/// The number of a message nobody asked for: something watched has changed.
pub(super) const XID_EVENT: i32 = -1;
pub(super) const XID_PING: i32 = -2;
pub(super) const XID_AUTH: i32 = -4;

/// Any version, in a check or a write.
pub(super) const ANY: i32 = -1;

/// Why a server did not do what it was asked (`KeeperException.Code`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code(pub(super) i32);

impl Code {
    pub(super) const NO_NODE: Self = Self(-101);
    pub(super) const NO_AUTH: Self = Self(-102);
    pub(super) const BAD_VERSION: Self = Self(-103);
    pub(super) const NODE_EXISTS: Self = Self(-110);
    pub(super) const AUTH_FAILED: Self = Self(-115);
    /// What the steps of a transaction get that were not tried after one that failed.
    const NOT_TRIED: Self = Self(-2);
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match *self {
            Self::NO_NODE => "there is no such node",
            Self::NO_AUTH => "not authorized: see --discovery-opt zk.auth",
            Self::BAD_VERSION => "the node has another version",
            Self::NODE_EXISTS => "the node exists already",
            Self::AUTH_FAILED => "authentication failed: see --discovery-opt zk.auth",
            Self(-4) => "connection loss",
            Self(-7) => "operation timeout",
            Self(-111) => "the node has children",
            Self(-112) => "the session has expired",
            Self(-118) => "the session has moved to another server",
            Self(-125) => "the quota is exceeded",
            Self(-127) => "the server is overloaded",
            Self(_) => "an error of ZooKeeper",
        };
        f.write_str(text)
    }
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Answered with a [`Stat`]; `watch` also where there is no node.
    Exists {
        path: String,
        watch: bool,
    },
    /// Answered with bytes and a [`Stat`].
    Get {
        path: String,
    },
    /// Answered with names.
    Children {
        path: String,
        watch: bool,
    },
    Create {
        path: String,
        data: Vec<u8>,
        /// It goes with the session.
        ephemeral: bool,
    },
    Delete {
        path: String,
        version: i32,
    },
    /// Answered with a [`Stat`].
    Set {
        path: String,
        data: Vec<u8>,
        version: i32,
    },
    /// Only in a transaction.
    Check {
        path: String,
        version: i32,
    },
    /// All of them or none.
    Multi(Vec<Self>),
}

impl Op {
    fn number(&self) -> i32 {
        match self {
            Self::Create { .. } => 1,
            Self::Delete { .. } => 2,
            Self::Exists { .. } => 3,
            Self::Get { .. } => 4,
            Self::Set { .. } => 5,
            Self::Children { .. } => 8,
            Self::Check { .. } => 13,
            Self::Multi(_) => 14,
        }
    }

    /// The whole message. With `owned` the nodes that are created are those of who logged in, else everybody's.
    pub(super) fn message(&self, xid: i32, owned: bool) -> Bytes {
        message(|out| {
            out.put_i32(xid);
            out.put_i32(self.number());
            self.put(out, owned);
        })
    }

    fn put(&self, out: &mut BytesMut, owned: bool) {
        match self {
            Self::Exists { path, watch } | Self::Children { path, watch } => {
                put_bytes(out, path.as_bytes());
                out.put_u8(u8::from(*watch));
            }
            Self::Get { path } => {
                put_bytes(out, path.as_bytes());
                out.put_u8(0);
            }
            Self::Create {
                path,
                data,
                ephemeral,
            } => {
                put_bytes(out, path.as_bytes());
                put_bytes(out, data);
                put_acl(out, owned);
                out.put_i32(i32::from(*ephemeral));
            }
            Self::Set {
                path,
                data,
                version,
            } => {
                put_bytes(out, path.as_bytes());
                put_bytes(out, data);
                out.put_i32(*version);
            }
            Self::Delete { path, version } | Self::Check { path, version } => {
                put_bytes(out, path.as_bytes());
                out.put_i32(*version);
            }
            Self::Multi(steps) => {
                for step in steps {
                    put_step(out, step.number(), false);
                    step.put(out, owned);
                }
                put_step(out, -1, true);
            }
        }
    }
}

/// What a server needs to start or resume a session.
pub(super) fn hello(timeout_ms: i32, session: i64, password: &[u8]) -> Bytes {
    message(|out| {
        out.put_i32(0);
        // What was seen last. A server that lags behind would refuse us, and one whose data were lost for ever.
        out.put_i64(0);
        out.put_i32(timeout_ms);
        out.put_i64(session);
        let new = session == 0;
        put_bytes(out, if new { &NO_PASSWORD } else { password });
        // Not from a server that cannot write.
        out.put_u8(0);
    })
}

pub(super) fn ping() -> Bytes {
    message(|out| {
        out.put_i32(XID_PING);
        out.put_i32(11);
    })
}

/// Logs in as `NAME:PASSWORD`.
pub(super) fn login(user: &str) -> Bytes {
    message(|out| {
        out.put_i32(XID_AUTH);
        out.put_i32(100);
        out.put_i32(0);
        put_bytes(out, b"digest");
        put_bytes(out, user.as_bytes());
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
    out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    out.put_slice(bytes);
}

fn put_acl(out: &mut BytesMut, owned: bool) {
    let (scheme, id): (&[u8], &[u8]) = if owned {
        (b"auth", b"")
    } else {
        (b"world", b"anyone")
    };
    out.put_i32(1);
    out.put_i32(PERMISSIONS);
    put_bytes(out, scheme);
    put_bytes(out, id);
}

fn put_step(out: &mut BytesMut, number: i32, done: bool) {
    out.put_i32(number);
    out.put_u8(u8::from(done));
    out.put_i32(-1);
}

/// The message is not one of ZooKeeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message of ZooKeeper")]
pub(super) struct Garbled;

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

/// What a server says of a session that it started or resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Welcome {
    /// 0: the session that was to be resumed has ended.
    pub(super) session: i64,
    pub(super) timeout_ms: u32,
    pub(super) password: Bytes,
}

impl Welcome {
    pub(super) fn read(mut message: Bytes) -> Result<Self, Garbled> {
        let _version = message.try_get_i32().map_err(|_| Garbled)?;
        let timeout = message.try_get_i32().map_err(|_| Garbled)?;
        Ok(Self {
            session: message.try_get_i64().map_err(|_| Garbled)?,
            timeout_ms: u32::try_from(timeout).unwrap_or(0),
            password: take_bytes(&mut message)?,
        })
    }
}

/// What every answer starts with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) xid: i32,
    /// Up to where the server's data had come.
    pub(super) zxid: i64,
    pub(super) body: Result<Bytes, Code>,
}

impl Reply {
    pub(super) fn read(mut message: Bytes) -> Result<Self, Garbled> {
        let xid = message.try_get_i32().map_err(|_| Garbled)?;
        let zxid = message.try_get_i64().map_err(|_| Garbled)?;
        let code = message.try_get_i32().map_err(|_| Garbled)?;
        let body = if code == 0 {
            Ok(message)
        } else {
            Err(Code(code))
        };
        Ok(Self { xid, zxid, body })
    }
}

/// The path that an event is about.
pub(super) fn event_path(mut body: Bytes) -> Result<String, Garbled> {
    let _type = body.try_get_i32().map_err(|_| Garbled)?;
    let _state = body.try_get_i32().map_err(|_| Garbled)?;
    take_text(&mut body)
}

/// What of a node's status matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stat {
    /// When it was changed last: transactions of the whole store are numbered.
    pub(super) mzxid: i64,
    /// How often it was changed since it was created.
    pub(super) version: i32,
    /// The session it goes with; 0 if it stays.
    pub(super) owner: i64,
}

impl Stat {
    pub(super) fn read(body: &mut Bytes) -> Result<Self, Garbled> {
        let mut number = || body.try_get_i64().map_err(|_| Garbled);
        let (_created, mzxid) = (number()?, number()?);
        let (_created_at, _changed_at) = (number()?, number()?);
        let mut number = || body.try_get_i32().map_err(|_| Garbled);
        let (version, _children, _acl) = (number()?, number()?, number()?);
        let owner = body.try_get_i64().map_err(|_| Garbled)?;
        let _length_and_children = body.try_get_i64().map_err(|_| Garbled)?;
        let _children_changed = body.try_get_i64().map_err(|_| Garbled)?;
        Ok(Self {
            mzxid,
            version,
            owner,
        })
    }
}

/// The answer to [`Op::Get`].
pub(super) fn read_data(mut body: Bytes) -> Result<(Bytes, Stat), Garbled> {
    let data = take_bytes(&mut body)?;
    Ok((data, Stat::read(&mut body)?))
}

/// The answer to [`Op::Children`].
pub(super) fn read_names(mut body: Bytes) -> Result<Vec<String>, Garbled> {
    let count = body.try_get_i32().map_err(|_| Garbled)?;
    (0..count).map(|_| take_text(&mut body)).collect()
}

/// The answer to [`Op::Multi`]: the status that each [`Op::Set`] left, or why nothing was done.
pub(super) fn read_multi(mut body: Bytes) -> Result<Result<Vec<Stat>, Code>, Garbled> {
    let mut left = Vec::new();
    let mut failed = None;
    loop {
        let number = body.try_get_i32().map_err(|_| Garbled)?;
        let done = body.try_get_u8().map_err(|_| Garbled)? != 0;
        let _code = body.try_get_i32().map_err(|_| Garbled)?;
        if done {
            return Ok(failed.map_or(Ok(left), Err));
        }
        match number {
            1 => drop(take_bytes(&mut body)?),
            2 | 13 => {}
            5 => left.push(Stat::read(&mut body)?),
            -1 => {
                let code = Code(body.try_get_i32().map_err(|_| Garbled)?);
                // The steps before the one that failed say 0, those behind it that they were not tried.
                if code != Code(0) && (failed.is_none() || failed == Some(Code::NOT_TRIED)) {
                    failed = Some(code);
                }
            }
            _ => return Err(Garbled),
        }
    }
}

fn take_bytes(body: &mut Bytes) -> Result<Bytes, Garbled> {
    let length = body.try_get_i32().map_err(|_| Garbled)?;
    // -1 stands for none.
    let length = usize::try_from(length.max(0)).map_err(|_| Garbled)?;
    if body.len() < length {
        return Err(Garbled);
    }
    Ok(body.split_to(length))
}

fn take_text(body: &mut Bytes) -> Result<String, Garbled> {
    let bytes = take_bytes(body)?;
    String::from_utf8(bytes.into()).map_err(|_| Garbled)
}

#[cfg(test)]
mod tests;
