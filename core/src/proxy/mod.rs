//! What happens to a request: served here, forwarded to the primary, held until there is one, or refused.
//!
//! Bytes never pass through here. [`Proxy`] is told that a request arrived and how its attempts went, and says what to
//! do next; DESIGN section 4 and HA.md section 9 are its rules. The ones that matter most:
//!
//! - a request has at most one attempt in flight, and ends in exactly one [`Effect::Relay`] or [`Effect::Answer`];
//! - what may have been carried out is repeated only if its [`Class`] allows it, and sent at most
//!   [`SENT_ATTEMPTS_MAX`] times; what certainly was not is tried until [`Config::primary_wait`] is over;
//! - a request that was forwarded once is never forwarded again, and none is forwarded to this manager itself.

use std::time::Duration;

use crate::address::HostPort;
use crate::api::Class;

pub mod events;
mod machine;
mod primary;
mod request;
#[cfg(test)]
mod tests;

pub use machine::Proxy;

/// How often a request may be sent when each time it may have been carried out (HA.md section 9.3).
pub const SENT_ATTEMPTS_MAX: u8 = 3;

/// First pause before a request is tried again at the same primary.
pub const PACE_MIN: Duration = Duration::from_millis(20);

/// Longest such pause.
pub const PACE_MAX: Duration = Duration::from_millis(500);

/// How long a former primary may go on with a mutation that can be repeated, before the next one gets it.
pub const FORMER_PRIMARY_GRACE: Duration = Duration::from_secs(1);

/// A stream that lived this long is resumed without the pause a failing one needs.
pub const STREAM_STEADY: Duration = Duration::from_secs(1);

/// Bounds of a [`Proxy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where other managers reach this one: never forwarded to.
    pub own_address: HostPort,
    /// How long a request is held when no primary takes it (`--primary-wait`).
    pub primary_wait: Duration,
    /// Most requests held at a time.
    pub max_held: usize,
    /// Most bytes of bodies of held requests.
    pub max_held_bytes: u64,
    /// Most requests known at a time: held, in flight, or a stream that can be resumed.
    pub max_requests: usize,
}

impl Config {
    /// The limits of DESIGN section 9.
    #[must_use]
    pub fn new(own_address: HostPort) -> Self {
        Self {
            own_address,
            primary_wait: Duration::from_secs(30),
            max_held: 1_024,
            max_held_bytes: 64 << 20,
            // More than the connections a manager accepts.
            max_requests: 16_384,
        }
    }
}

/// Names a request within this manager. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Which manager is the primary, as far as this one knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// None, or not known.
    #[default]
    Unknown,
    /// This one.
    Primary {
        /// Where it is reached.
        address: HostPort,
        /// Its term, the fencing number.
        epoch: u64,
        /// Whether it is this very manager and its lease is valid.
        local: bool,
    },
}

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client.
    Client,
    /// Another manager, which forwarded it.
    Peer {
        /// The epoch that manager believed in.
        expected_epoch: Option<u64>,
    },
}

/// What is known of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It is here, with so many bytes (0 for none), and can be sent as often as needed.
    Kept(u64),
    /// It waits at the client and can be sent once.
    Unsolicited,
}

/// What the proxy is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The election's view, given anew whenever it changes.
    View(View),
    /// A request that this manager does not answer by itself.
    Arrived {
        /// Its name from now on.
        id: RequestId,
        /// What may be done with it.
        class: Class,
        /// Where it came from.
        origin: Origin,
        /// Its body.
        body: Body,
    },
    /// An attempt ended without a response.
    Failed {
        /// The request.
        id: RequestId,
        /// The attempt, as in [`Effect::Attempt`].
        attempt: u32,
        /// How.
        failure: Failure,
        /// Whether the body can be sent once more.
        replayable: bool,
    },
    /// The head of a response is here. Nothing of it may reach the client before [`Effect::Relay`].
    Answered {
        /// The request.
        id: RequestId,
        /// The attempt.
        attempt: u32,
    },
    /// A stream that was passed on broke off.
    Interrupted {
        /// The request.
        id: RequestId,
        /// The attempt.
        attempt: u32,
    },
    /// The client went away, or a stream that was passed on ended by itself.
    Left {
        /// The request.
        id: RequestId,
    },
}

/// How an attempt ended without a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection, or nothing was written to it.
    NotSent,
    /// The other manager (421) or the dispatch gate here says that it was not dispatched.
    NotDispatched {
        /// The primary that manager knows, and its epoch.
        hint: Option<(HostPort, u64)>,
    },
    /// The connection broke, or time ran out, after something was written.
    Broken,
}

/// What the proxy wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Try the request. Ends with [`Input::Answered`] or [`Input::Failed`].
    Attempt {
        /// The request.
        id: RequestId,
        /// Counts the attempts of a request from 1.
        attempt: u32,
        /// By whom.
        by: Server,
        /// The epoch this manager believes in.
        epoch: u64,
        /// What went before.
        kind: Kind,
    },
    /// Drop an attempt that is in flight; whatever comes of it is ignored.
    Cancel {
        /// The request.
        id: RequestId,
        /// The attempt.
        attempt: u32,
    },
    /// Pass the response on to the client.
    Relay {
        /// The request.
        id: RequestId,
        /// The attempt that has it.
        attempt: u32,
    },
    /// Answer the client so.
    Answer {
        /// The request.
        id: RequestId,
        /// With what.
        refusal: Refusal,
    },
    /// Break off a stream that could not be resumed.
    Abandon {
        /// The request.
        id: RequestId,
    },
    /// Close tunnels and resumable streams of former primaries; each stream is then reported as [`Input::Interrupted`].
    CloseTunnels {
        /// The first epoch whose tunnels stay.
        before: u64,
    },
}

/// Who serves an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// This manager, being the primary.
    Local,
    /// Another manager.
    Remote(HostPort),
}

/// How an attempt relates to earlier ones of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No earlier attempt was carried out.
    Fresh,
    /// An earlier attempt may have been: see [`crate::api::class::after_repeat`].
    Repeat,
    /// It goes on with a stream of which part was passed on.
    Resume,
}

/// Why a request is answered by this manager and not by a primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 503: no primary took it in time; it was not carried out.
    NoPrimary,
    /// 503: too many requests wait; it was not carried out.
    Overloaded,
    /// 503: it was not carried out, but its body is used up.
    BodyUsed,
    /// 502: the connection broke before the response; it may have been carried out.
    Unknown,
    /// 502: the connection broke before the response; it changes nothing.
    Unanswered,
    /// 421: it was forwarded to this manager, which is not the acting primary; it was not carried out.
    Misdirected {
        /// The primary this manager knows.
        primary: Option<(HostPort, u64)>,
    },
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::NoPrimary | Self::Overloaded | Self::BodyUsed => 503,
            Self::Unknown | Self::Unanswered => 502,
            Self::Misdirected { .. } => 421,
        }
    }
}

/// Numbers for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that wait for a primary.
    pub held: usize,
    /// Bytes of their bodies.
    pub held_bytes: u64,
    /// Requests known, held ones included.
    pub requests: usize,
    /// Inputs that named a request or an attempt that is over.
    pub stale: u64,
}
