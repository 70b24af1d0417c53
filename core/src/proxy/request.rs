//! What is remembered of a request.

use std::time::Duration;

use super::{Body, Kind, Origin, Refusal};
use crate::api::Class;
use crate::testbed::{Mutant, planted};
use crate::time::Mono;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) class: Class,
    pub(super) origin: Origin,
    pub(super) body: Body,
    /// When it is given up while held.
    pub(super) deadline: Mono,
    /// The latest attempt's number.
    pub(super) attempt: u32,
    /// Attempts that may have been carried out.
    pub(super) sent: u8,
    /// Part of the response was passed on.
    pub(super) resuming: bool,
    /// The next pause.
    pub(super) pace: Duration,
    pub(super) state: State,
    /// Its entry in the timers.
    pub(super) due: Option<Mono>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    New,
    Held,
    InFlight {
        epoch: u64,
        generation: u64,
        remote: bool,
    },
    Streaming {
        epoch: u64,
        since: Mono,
    },
}

impl Request {
    /// Whether it can be taken from a primary that may be working on it.
    pub(super) fn may_move(&self) -> bool {
        let kept = matches!(self.body, Body::Kept(_));
        kept && self.is_direct() && self.class.repeatable()
    }

    /// Whether it came from a client: only such a request is tried more than once.
    pub(super) fn is_direct(&self) -> bool {
        self.origin == Origin::Client
    }

    pub(super) fn kept_bytes(&self) -> u64 {
        match self.body {
            Body::Kept(bytes) => bytes,
            Body::Unsolicited => 0,
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match (self.resuming, self.sent) {
            (true, _) => Kind::Resume,
            (false, 0) => Kind::Fresh,
            (false, _) => Kind::Repeat,
        }
    }

    /// `plain` if the request certainly was not carried out.
    pub(super) fn refusal(&self, plain: Refusal) -> Refusal {
        match self.class {
            _ if self.sent == 0 || planted(Mutant::LiesAboutOutcome) => plain,
            Class::Safe | Class::Stream(_) => Refusal::Unanswered,
            Class::Idempotent
            | Class::StateIdempotent
            | Class::Keyed
            | Class::Once
            | Class::Upgrade => Refusal::Unknown,
        }
    }
}
