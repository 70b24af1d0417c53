//! How a server can be made to misbehave while it runs.

use std::time::Duration;

use super::jute::Code;
use super::server::Failure;
use crate::trouble;
pub use crate::trouble::{Outage, Watches, Which};

/// What one server does wrong. The default is nothing; see [`super::Server::faults`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The whole server is away.
    pub outage: Outage,
    /// It runs but does not hear a majority.
    pub cut_off: bool,
    /// Requests are turned down before anything else is looked at.
    pub refuse: Option<Refuse>,
    /// How long a write waits before it is committed, as on a slow disk.
    pub before_apply: Duration,
    /// How long the answer to a write waits after the server has applied it.
    pub before_reply: Duration,
    /// How long a read waits before it looks.
    pub before_read: Duration,
    /// How far the server is behind the leader; it means nothing on the leader. Reads show it: only a write of the same
    /// session makes sure that what is read after it is not older (zookeeperProgrammers, "Consistency Guarantees").
    pub lag: Duration,
    /// What becomes of watches.
    pub watches: Watches,
}

/// Answers given instead of doing anything.
pub type Refuse = trouble::Refuse<Refusal>;

/// Writes after which the client cannot know whether they happened.
pub type Ambiguous = trouble::Ambiguous<AmbiguousAnswer>;

/// An answer to a request that was not carried out (`KeeperException.Code`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// -127, the request was throttled.
    Throttled,
    /// -125, the quota is used up.
    QuotaExceeded,
    /// -102, the rights were taken away.
    NoAuth,
    /// -5, the server could not read the request.
    Marshalling,
    /// The connection is closed, as by a server that leaves the ensemble.
    Cut,
}

/// What a client sees of a write with an unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmbiguousAnswer {
    /// The connection is closed without an answer, as when the leader changes.
    Cut,
    /// Nothing, for as long as the client waits.
    Silence,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Code(match refusal {
            Refusal::Throttled => Code::THROTTLED,
            Refusal::QuotaExceeded => Code::QUOTA_EXCEEDED,
            Refusal::NoAuth => Code::NO_AUTH,
            Refusal::Marshalling => Code::MARSHALLING,
            Refusal::Cut => return Self::Cut,
        })
    }
}

impl From<AmbiguousAnswer> for Failure {
    fn from(answer: AmbiguousAnswer) -> Self {
        match answer {
            AmbiguousAnswer::Cut => Self::Cut,
            AmbiguousAnswer::Silence => Self::Silence,
        }
    }
}
