//! What goes into the election and what comes out of it.

use std::time::Duration;

use super::gate::Ticket;
use super::notices::Notice;
use super::promise::{Asker, PromiseRequest, Refusal};
use super::record::{Reading, Record, SwapOutcome, Version};
use crate::address::HostPort;

/// Numbers the store operations a machine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// Whether mutations wait for a linearizable read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fence {
    /// Each mutation waits for a linearizable read that began after it arrived (about 1 ms).
    #[default]
    Verify,
    /// The lease alone decides.
    Lease,
}

/// What a manager brings into the election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElectionConfig {
    /// Where other managers and clients reach this manager.
    pub advertise: HostPort,
    /// 128 random bits in hex, new at each start.
    pub instance: String,
    /// The lease, `L`.
    pub lease: Duration,
    /// How mutations are fenced.
    pub fence: Fence,
    /// Without the store go on by the promises of all other members.
    pub failsafe: bool,
}

/// Why a manager gives the lease up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resignation {
    /// It ends: it will not compete again.
    Stop,
    /// An operator asked: it does not compete for one lease.
    StepDown,
}

/// What happens to the election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The watch or a plain read showed this; it may be stale.
    Observed(Reading),
    /// The watch or a plain read failed.
    ObserveFailed,
    /// A swap ended.
    Swapped(OpId, SwapOutcome),
    /// A verify ended; `None` if it failed.
    Verified(OpId, Option<Reading>),
    /// A mutation asks to be dispatched.
    Arrived(Ticket),
    /// A waiting mutation's client left.
    Left(Ticket),
    /// The managers heard of lately, this one included; written into the record by the primary.
    Members(Vec<HostPort>),
    /// A primary asks for a promise. Answered by [`Effect::Promise`].
    PromiseAsked(Asker, PromiseRequest),
    /// What a member answered in a round of [`Effect::AskPromises`]: whether it promised.
    Promised(OpId, HostPort, bool),
    /// Give the lease up.
    Resign(Resignation),
    /// After [`Effect::Quiesce`]: every dispatched mutation has left.
    Flushed,
}

/// What the election wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Put `record` if the key is still at `expected` (`None`: does not exist). Answer with [`Input::Swapped`].
    Swap {
        /// Names the answer.
        op: OpId,
        /// The version the key must have.
        expected: Option<Version>,
        /// What to put.
        record: Record,
    },
    /// Read the key linearizably. Answer with [`Input::Verified`].
    Verify {
        /// Names the answer.
        op: OpId,
    },
    /// These mutations may leave under this epoch, if [`Authority::may_dispatch`](super::Authority::may_dispatch) still says so when they do.
    Open {
        /// The mutations.
        tickets: Vec<Ticket>,
        /// The epoch that was confirmed.
        epoch: u64,
    },
    /// These mutations were not dispatched and must not be: this manager is not the acting primary.
    Refuse {
        /// The mutations.
        tickets: Vec<Ticket>,
    },
    /// Ask each of these members for its promise. Answer with [`Input::Promised`]; no answer is needed where none comes.
    AskPromises {
        /// Names the answers.
        round: OpId,
        /// What each is asked.
        requests: Vec<PromiseRequest>,
    },
    /// The answer to [`Input::PromiseAsked`].
    Promise {
        /// Who asked.
        asker: Asker,
        /// The promise, or why not.
        verdict: Result<(), Refusal>,
    },
    /// Let dispatched mutations flush and say [`Input::Flushed`]; no new ones are let through.
    Quiesce,
    /// Something changed that others want to know.
    Notify(Notice),
}
