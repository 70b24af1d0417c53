//! How a server can be made to misbehave while it runs (HA.md sections 2.5, 2.6 and 11).

use std::time::Duration;

use crate::trouble;
pub use crate::trouble::{Outage, Watches, Which};

/// What one server does wrong. The default is nothing; see [`super::Server::faults`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The whole server is away.
    pub outage: Outage,
    /// Requests are turned down before anything else is looked at.
    pub refuse: Option<Refuse>,
    /// How long a write waits before it is applied, as on a slow disk.
    pub before_apply: Duration,
    /// How long the answer to a write waits after it was applied.
    pub before_reply: Duration,
    /// How long a read waits before it looks.
    pub before_read: Duration,
    /// What default reads are answered from. `consistent` reads are always right.
    pub default_reads: DefaultReads,
    /// How far this server is behind the leader, for `stale` reads; it means nothing on the leader.
    pub stale_lag: Duration,
    /// What becomes of blocking queries.
    pub watches: Watches,
}

/// Answers given instead of doing anything.
pub type Refuse = trouble::Refuse<Refusal>;

/// Writes after which the client cannot know whether they happened.
pub type Ambiguous = trouble::Ambiguous<AmbiguousAnswer>;

/// An answer that says for certain that nothing was applied; `text` has Consul's words (HA.md section 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 500, no election has been won.
    NoLeader,
    /// 500, the leader's port is closed.
    LeaderUnreachable,
    /// 500, raft's queue is full.
    EnqueueTimeout,
    /// 500, leadership was lost before the entry was taken.
    NotLeader,
    /// 500, leadership is being handed over.
    TransferInProgress,
    /// 500, the leader's node is unknown to this server.
    LeaderNotTracked,
    /// 500, a client agent knows no server.
    NoServers,
    /// 500, a new leader has not yet caught up (`consistent` reads).
    NotReadyForConsistentReads,
    /// 429, too many requests.
    RateLimited,
    /// 503, as Consul 1.15 and later and proxies in front of it answer.
    Unavailable,
    /// 403, the token lost its rights.
    PermissionDenied,
    /// 403, the token is gone.
    AclNotFound,
}

/// What a client sees of a write with an unknown outcome (HA.md section 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmbiguousAnswer {
    /// 500, the leader died while it was asked.
    Eof,
    /// 500, leadership was lost after the entry was taken.
    LeadershipLost,
    /// 500, a snapshot was restored meanwhile.
    SnapshotRestored,
    /// The connection is closed without an answer.
    Cut,
    /// Nothing, for as long as the client waits.
    Silence,
}

/// What default reads are answered from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultReads {
    /// The present state.
    #[default]
    Fresh,
    /// The state of this long ago: an old leader that has not noticed.
    Behind(Duration),
    /// By turns the present state and that of this long ago: a client that talks to two leaders.
    Regressing(Duration),
}

impl Refusal {
    /// The status code and Consul's text.
    #[must_use]
    pub fn answer(self) -> (u16, &'static str) {
        match self {
            Self::NoLeader => (500, "No cluster leader"),
            Self::LeaderUnreachable => (
                500,
                "rpc error getting client: failed to get conn: dial tcp 127.0.0.1:8300: connect: connection refused",
            ),
            Self::EnqueueTimeout => (500, "raft apply failed: timed out enqueuing operation"),
            Self::NotLeader => (500, "raft apply failed: node is not the leader"),
            Self::TransferInProgress => (500, "raft apply failed: leadership transfer in progress"),
            Self::LeaderNotTracked => (500, "Raft leader not found in server lookup mapping"),
            Self::NoServers => (500, "No known Consul servers"),
            Self::NotReadyForConsistentReads => (500, "Not ready to serve consistent reads"),
            Self::RateLimited => (429, "RPC rate limit exceeded"),
            Self::Unavailable => (503, "the service is unavailable, retry later"),
            Self::PermissionDenied => (403, "Permission denied"),
            Self::AclNotFound => (403, "ACL not found"),
        }
    }
}

impl AmbiguousAnswer {
    /// Consul's text of the 500, if there is an answer at all.
    #[must_use]
    pub fn text(self) -> Option<&'static str> {
        match self {
            Self::Eof => Some("rpc error making call: EOF"),
            Self::LeadershipLost => Some("raft apply failed: leadership lost while committing log"),
            Self::SnapshotRestored => {
                Some("raft apply failed: snapshot restored while committing log")
            }
            Self::Cut | Self::Silence => None,
        }
    }
}
