//! What can happen in the lab.

use std::sync::Arc;

use swarm_core::address::HostPort;
use swarm_core::election::{self, OpId, Record, Version};
use swarm_core::proxy::RequestId;

use super::promise::Question;
use super::record::Seen;
use crate::history::Told;

/// One life of a manager's process: what was meant for an earlier one comes to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) manager: usize,
    pub(super) life: u32,
}

#[derive(Debug)]
pub(super) enum Event {
    Start(usize),
    WakeElection(Process),
    WakeProxy(Process),
    /// A manager looks after everything that has waited too long.
    Sweep(Process),
    /// A request arrives at a server of the store.
    Store(Call),
    /// A server carries a request out.
    StoreDoes(Call),
    /// The store answers a manager.
    StoreAnswers(Process, Reply),
    /// An operation of the store has had its time.
    OutOfTime(Process, OpId),
    /// A manager asks the store for changes again.
    WatchAgain(Process),
    /// A change becomes visible to late or stale watches.
    WatchNotices(Process, u64),
    /// A server of the store becomes the leader.
    StoreElects(u64),
    /// A guard looks whether there is something to release.
    Guard(Box<GuardJob>),
    GuardRead(Box<GuardJob>, Option<Seen>),
    GuardSwapped(Box<GuardJob>, bool),
    /// A primary's question arrives at a manager.
    Question(usize, Box<Question>),
    /// A member's answer to it arrives.
    Promised {
        process: Process,
        round: OpId,
        member: usize,
        granted: bool,
    },
    /// The machine of the election takes an input.
    Election(Process, election::Input),
    /// A client sends its next request.
    Ask(usize),
    /// A client's request arrives at its manager.
    Arrives {
        manager: usize,
        request: usize,
    },
    /// A client hears how its request ended; `None`: the connection broke.
    Answered {
        request: usize,
        told: Option<Told>,
    },
    /// A client does not want to wait any more.
    Leaves(usize),
    /// The manager notices that the client has left.
    Left {
        manager: usize,
        request: usize,
    },
    /// A request arrives at another manager.
    Forwarded {
        manager: usize,
        forward: Forward,
    },
    /// The manager that forwarded a request has gone away, or wants it no more.
    Dropped {
        manager: usize,
        caller: Caller,
    },
    /// How an attempt went at another manager.
    Returns(Caller, Outcome),
    /// The bytes of a change leave for the engine, unless the last check says no.
    Departs {
        process: Process,
        id: RequestId,
        epoch: u64,
        thaws: u32,
    },
    /// The engine carries a request out.
    Engine {
        process: Process,
        id: RequestId,
        attempt: u32,
        request: usize,
    },
    /// An attempt of a manager's own was answered.
    Served {
        process: Process,
        id: RequestId,
        attempt: u32,
    },
    /// A fault begins or ends: the place in the plan's steps.
    Step(usize),
    /// A link comes or goes.
    Flap(usize),
    /// The lab looks after its phases and after what has waited too long.
    Tick,
}

/// An attempt under way at another manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) process: Process,
    pub(super) id: RequestId,
    pub(super) attempt: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Forward {
    pub(super) caller: Caller,
    pub(super) request: usize,
    pub(super) epoch: u64,
    /// Managers it has come through, one bit each.
    pub(super) visited: u8,
}

#[derive(Debug)]
pub(super) enum Outcome {
    NotSent,
    NotDispatched(Option<(HostPort, u64)>),
    Broken,
    Answered(Told),
}

/// A request to the store.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) from: Process,
    pub(super) server: usize,
    pub(super) ask: Ask,
    pub(super) tries: u8,
}

#[derive(Debug)]
pub(super) enum Ask {
    Swap {
        op: OpId,
        expected: Option<Version>,
        record: Arc<Record>,
    },
    Verify(OpId),
    Watch {
        query: u64,
        known: Option<u64>,
    },
    GuardRead(Box<GuardJob>),
    GuardSwap {
        job: Box<GuardJob>,
        expected: Version,
        record: Arc<Record>,
    },
}

/// What the store says to a manager.
#[derive(Debug)]
pub(super) enum Reply {
    Swapped(OpId, Version),
    /// With what a read showed, and when that was.
    Conflict(OpId, Option<(Seen, u64)>),
    NotApplied(OpId),
    Unknown(OpId),
    Verified(OpId, Option<Seen>, u64),
    Watched(u64, Seen),
    WatchFailed(u64),
}

/// What the guard of a dead process does.
#[derive(Clone, Debug)]
pub(super) struct GuardJob {
    pub(super) manager: usize,
    pub(super) instance: String,
    pub(super) until: u64,
    /// The guard ends when its machine loses its power.
    pub(super) outages: u32,
}
