//! How a member can be made to misbehave while it runs.

use std::time::Duration;

use super::server::Failure;
use crate::trouble;
pub use crate::trouble::{Outage, Watches, Which};

/// What one member does wrong. The default is nothing; see [`super::Server::faults`].
///
/// There are no stale reads: ranges are linearizable unless a client asks for less
/// (etcd.io/docs/v3.4/learning/api_guarantees), which the runtime never does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The whole member is away.
    pub outage: Outage,
    /// It runs but does not hear a majority: it knows no leader, and leads nobody.
    pub cut_off: bool,
    /// Requests are turned down before anything else is looked at.
    pub refuse: Option<Refuse>,
    /// How long a write waits before it is applied, as on a slow disk.
    pub before_apply: Duration,
    /// How long the answer to a write waits after it was applied.
    pub before_reply: Duration,
    /// How long a range waits before it looks.
    pub before_read: Duration,
    /// What becomes of watches.
    pub watches: Watches,
}

/// Answers given instead of doing anything.
pub type Refuse = trouble::Refuse<Refusal>;

/// Writes after which the client cannot know whether they happened.
pub type Ambiguous = trouble::Ambiguous<AmbiguousAnswer>;

/// An answer to a request that was not carried out, in etcd's own words
/// (github.com/etcd-io/etcd/blob/release-3.4/etcdserver/api/v3rpc/rpctypes/error.go). Some of them are also said of
/// writes that were applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 503, the member knows no leader.
    NoLeader,
    /// 503, there was another leader before the read was confirmed.
    LeaderChanged,
    /// 503, the proposal was not applied in time.
    TimedOut,
    /// 503, the member is being stopped.
    Stopped,
    /// 429, too many proposals wait to be applied.
    TooManyRequests,
    /// 429, the quota is used up; said of writes.
    NoSpace,
    /// 403, the user lost its rights.
    PermissionDenied,
}

/// What a client sees of a write with an unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmbiguousAnswer {
    /// 503, the proposal was not known to be applied in time.
    TimedOut,
    /// 503, likewise, and the leader changed meanwhile.
    LeaderFailed,
    /// 503, likewise, and the member did not hear the leader all the time.
    ConnectionLost,
    /// The connection is closed without an answer.
    Cut,
    /// Nothing, for as long as the client waits.
    Silence,
}

/// The codes of gRPC (grpc.io/docs/guides/status-codes) that etcd's answers have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    Unknown,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    OutOfRange,
    Unimplemented,
    Unavailable,
}

impl Code {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Unknown => 2,
            Self::InvalidArgument => 3,
            Self::NotFound => 5,
            Self::PermissionDenied => 7,
            Self::ResourceExhausted => 8,
            Self::FailedPrecondition => 9,
            Self::OutOfRange => 11,
            Self::Unimplemented => 12,
            Self::Unavailable => 14,
        }
    }

    /// What the gateway makes of it (`HTTPStatusFromCode` of grpc-gateway 1).
    pub(super) const fn status(self) -> (u16, &'static str) {
        match self {
            Self::Unknown => (500, "Internal Server Error"),
            Self::InvalidArgument | Self::OutOfRange => (400, "Bad Request"),
            Self::NotFound => (404, "Not Found"),
            Self::PermissionDenied => (403, "Forbidden"),
            Self::ResourceExhausted => (429, "Too Many Requests"),
            Self::FailedPrecondition => (412, "Precondition Failed"),
            Self::Unimplemented => (501, "Not Implemented"),
            Self::Unavailable => (503, "Service Unavailable"),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (code, text) = match refusal {
            Refusal::NoLeader => (Code::Unavailable, "etcdserver: no leader"),
            Refusal::LeaderChanged => (Code::Unavailable, "etcdserver: leader changed"),
            Refusal::TimedOut => (Code::Unavailable, "etcdserver: request timed out"),
            Refusal::Stopped => (Code::Unavailable, "etcdserver: server stopped"),
            Refusal::TooManyRequests => (Code::ResourceExhausted, "etcdserver: too many requests"),
            Refusal::NoSpace => (
                Code::ResourceExhausted,
                "etcdserver: mvcc: database space exceeded",
            ),
            Refusal::PermissionDenied => (Code::PermissionDenied, "etcdserver: permission denied"),
        };
        Self::answer(code, text)
    }
}

impl From<AmbiguousAnswer> for Failure {
    fn from(answer: AmbiguousAnswer) -> Self {
        let text = match answer {
            AmbiguousAnswer::TimedOut => "etcdserver: request timed out",
            AmbiguousAnswer::LeaderFailed => {
                "etcdserver: request timed out, possibly due to previous leader failure"
            }
            AmbiguousAnswer::ConnectionLost => {
                "etcdserver: request timed out, possibly due to connection lost"
            }
            AmbiguousAnswer::Cut => return Self::Cut,
            AmbiguousAnswer::Silence => return Self::Silence,
        };
        Self::answer(Code::Unavailable, text)
    }
}
