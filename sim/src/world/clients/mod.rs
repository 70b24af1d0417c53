//! Clients of a simulated cluster, each on a host of its own, talking to one manager.
//!
//! # How a client fits in
//!
//! The world makes a [`ClientHost`] for each client of a plan's workload ([`kinds`] says which kind `c1`, `c2`, … are)
//! and runs [`work`] as the process on its host, anew each time that process is killed and restarted. A client touches
//! the world only through its `platform` (sockets, clock, tasks, random streams), and what it asked and was told goes
//! into the [`Ledger`], which stamps true time itself. The world
//!
//! - calls [`Ledger::look`] after every step with the engines as they are, outside of every host;
//! - reads [`Ledger::served`] before and after the last part of a run: each client must have been served meanwhile;
//! - calls [`Ledger::finish`] at the end, in calm weather;
//! - takes [`Ledger::take_violation`] and [`Ledger::answers`] into the run.
//!
//! Tasks run on one thread: a lock of the ledger is never held over an `await`, and nothing is logged while it is held.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use swarm::platform::{BoxFuture, SharedPlatform};
use swarm_core::address::HostPort;
use swarm_core::rng::Random;

use crate::plan::Workload;
use crate::trace::HostId;

mod asker;
mod attacher;
mod frames;
mod keeper;
mod ledger;
mod mover;
mod reader;
mod stream;
#[cfg(test)]
mod tests;
mod uploader;
mod writer;

pub(crate) use ledger::Ledger;

/// What all clients of a run share.
pub(crate) type SharedLedger = Arc<Mutex<Ledger>>;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Lists containers.
    Reader,
    /// Creates, starts, stops and removes containers.
    Writer,
    /// Follows events.
    Stream,
    /// Attaches to a container.
    Attacher,
    /// Uploads archives.
    Uploader,
    /// Keeps containers that move.
    Mover,
    /// Makes and removes networks and volumes.
    Keeper,
}

/// One client process: where it lives and whom it talks to.
pub(crate) struct ClientHost {
    /// `c1`, `c2`, …
    pub(crate) name: String,
    /// Its host in the trace.
    pub(crate) id: HostId,
    /// Counts the lives of this client, from 1: names that must be new each time hold it.
    pub(crate) life: u32,
    /// Its machine. Random streams are new in each life.
    pub(crate) platform: SharedPlatform,
    /// The manager it talks to.
    pub(crate) manager: HostPort,
    /// What it draws from, besides the platform.
    pub(crate) random: Random,
    /// Between two requests.
    pub(crate) pace: Duration,
    /// How long a manager may hold a request (`--primary-wait`).
    pub(crate) primary_wait: Duration,
    /// Where it notes what it asked and was told.
    pub(crate) ledger: SharedLedger,
}

/// The kinds of `c1`, `c2`, … for a workload: readers first, in the order of its fields.
pub(crate) fn kinds(workload: &Workload) -> Vec<Kind> {
    [
        (workload.readers, Kind::Reader),
        (workload.writers, Kind::Writer),
        (workload.streams, Kind::Stream),
        (workload.attachers, Kind::Attacher),
        (workload.uploaders, Kind::Uploader),
        (workload.movers, Kind::Mover),
        (workload.keepers, Kind::Keeper),
    ]
    .into_iter()
    .flat_map(|(count, kind)| std::iter::repeat_n(kind, usize::from(count)))
    .collect()
}

/// The process of a client: never ends by itself.
pub(crate) fn work(kind: Kind, host: ClientHost) -> BoxFuture<'static, ()> {
    match kind {
        Kind::Reader => Box::pin(reader::work(host)),
        Kind::Writer => Box::pin(writer::work(host)),
        Kind::Stream => Box::pin(stream::work(host)),
        Kind::Attacher => Box::pin(attacher::work(host)),
        Kind::Uploader => Box::pin(uploader::work(host)),
        Kind::Mover => Box::pin(mover::work(host)),
        Kind::Keeper => Box::pin(keeper::work(host)),
    }
}
