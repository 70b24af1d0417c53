//! What can go wrong.

use serde::{Deserialize, Serialize};

use super::host::{Host, How, RefuseWhich, Way};

/// A kind of trouble. The lab does nothing for those that concern hosts it has not got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// A process dies (`kill -9`) and is started anew at the end. A manager's guard lives on unless `guard` is false.
    Kill {
        /// Whose.
        host: Host,
        /// Whether a manager's guard survives.
        #[serde(default = "yes")]
        guard: bool,
    },
    /// A machine loses its power: nothing is sent any more, not even the end of connections. It starts at the end.
    PowerLoss {
        /// Which.
        host: Host,
    },
    /// A manager is told to end (SIGTERM) and is started anew at the end.
    Terminate {
        /// Which.
        host: Host,
    },
    /// An operator tells a manager to step down.
    StepDown {
        /// Which.
        host: Host,
    },
    /// A process is stopped (SIGSTOP); clocks go on.
    Pause {
        /// Whose.
        host: Host,
    },
    /// A virtual machine is frozen together with its clock. Outside the model.
    Freeze {
        /// Which.
        host: Host,
    },
    /// A host's tasks get hardly any processor time.
    Slow {
        /// Which.
        host: Host,
        /// Milliseconds that pass between two turns of the tasks.
        every_ms: u64,
    },
    /// Nothing goes over a link.
    Cut {
        /// One end.
        from: Host,
        /// The other end.
        to: Host,
        /// In which direction.
        #[serde(default)]
        way: Way,
        /// What becomes of what is sent.
        #[serde(default)]
        how: How,
    },
    /// The network keeps single requests of a manager to an engine, with all that follows them on their connections,
    /// and delivers them at the end. Everything else goes through.
    HoldRequests {
        /// The manager.
        from: Host,
        /// The engine.
        to: Host,
        /// Method and path without version, for instance `POST /containers/{}/start`; `{}` stands for any part of the
        /// path. A change.
        request: String,
        /// The first so many of them.
        count: u8,
    },
    /// A host is cut off from all others, its clients included.
    Isolate {
        /// Which.
        host: Host,
        /// `forth`: what it sends is held; `back`: what is sent to it.
        #[serde(default)]
        way: Way,
    },
    /// Hosts on different sides do not hear each other; those on no side hear everybody.
    Split {
        /// The sides.
        sides: Vec<Vec<Host>>,
    },
    /// Messages on a link take longer.
    Delay {
        /// One end.
        from: Host,
        /// The other end.
        to: Host,
        /// How long each takes, in milliseconds.
        ms: u64,
    },
    /// A link comes and goes.
    Flap {
        /// One end.
        from: Host,
        /// The other end.
        to: Host,
        /// It is there for so long, then away for so long, in milliseconds.
        every_ms: u64,
    },
    /// A host's sockets take and give a few bytes at a time.
    Chop {
        /// Which.
        host: Host,
        /// At most so many.
        bytes: u16,
    },
    /// A host's clock runs faster (or slower, if negative), instead of at the rate it drew.
    Rate {
        /// Which.
        host: Host,
        /// In parts per million.
        ppm: i32,
    },
    /// A host's calendar is set forward (or back, if negative), for good.
    WallStep {
        /// Which.
        host: Host,
        /// By so many seconds.
        seconds: i64,
    },
    /// A host's monotonic clock jumps forward, for good. Outside the model.
    ClockJump {
        /// Which.
        host: Host,
        /// By so many milliseconds.
        ms: u64,
    },
    /// The store has no leader.
    NoStoreLeader,
    /// Another server of the store becomes the leader.
    NewStoreLeader,
    /// The store turns requests down.
    StoreRefuses {
        /// Which.
        #[serde(default)]
        which: RefuseWhich,
    },
    /// Writes take long to be applied.
    SlowWrites {
        /// So long, in milliseconds.
        ms: u64,
    },
    /// Writes are applied and answered late.
    SlowReplies {
        /// So late, in milliseconds.
        ms: u64,
    },
    /// Reads take long.
    SlowReads {
        /// So long, in milliseconds.
        ms: u64,
    },
    /// Plain reads show the past.
    StaleReads {
        /// So long ago, in milliseconds.
        ms: u64,
    },
    /// Plain reads show the present and the past by turns.
    RegressingReads {
        /// So long ago, in milliseconds.
        ms: u64,
    },
    /// Blocking queries do not notice changes.
    DeafWatches,
    /// Blocking queries notice changes late.
    LateWatches {
        /// So late, in milliseconds.
        ms: u64,
    },
    /// Blocking queries never return.
    StuckWatches,
    /// The next writes get no answer that says what became of them.
    LostReplies {
        /// So many writes.
        count: u64,
        /// Whether they are applied.
        applied: bool,
    },
    /// The store comes back empty. Outside the model.
    Wipe,
    /// The store comes back as it was. Outside the model.
    Rollback {
        /// So long ago, in milliseconds.
        ms: u64,
    },
    /// The store's content moves to a new one: every version is small again. Outside the model.
    Renumber,
    /// An operator deletes the lease record. Outside the model.
    DeleteRecord,
    /// Somebody else writes a record of a higher epoch over the lease record. Outside the model.
    Usurp,
    /// Somebody writes something that is no record over the lease record. Outside the model.
    Scribble,
    /// An operator drains an engine, for good: it gets no new containers.
    Drain {
        /// Which engine.
        host: Host,
    },
    /// All event streams of an engine break off.
    CutEvents {
        /// Which engine.
        host: Host,
    },
}

fn yes() -> bool {
    true
}
