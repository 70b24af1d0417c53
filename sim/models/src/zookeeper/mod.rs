//! A double of ZooKeeper 3.8: nodes, transactions, sessions and what they own, watches, servers that lag behind, and what
//! goes wrong with them.
//!
//! A [`Cluster`] holds what a quorum has committed; each of its [`Server`]s speaks the protocol of clients over any byte
//! stream, answers reads from what it has applied, lets the leader commit writes, and misbehaves as its [`Faults`] say.
//! What it answers is meant to be indistinguishable from ZooKeeper for a client that asks what the runtime asks
//! (zookeeper.apache.org/doc/r3.8.4/zookeeperInternals.html and zookeeperProgrammers.html); a test holds the same
//! conversation with both where a real one is at hand. What it does not know it refuses. It keeps everything in memory,
//! checks no TLS, and gives everybody all rights.

use std::time::Duration;

mod cluster;
mod connection;
pub mod faults;
mod inner;
mod jute;
mod server;
pub mod state;
#[cfg(test)]
mod tests;

pub use cluster::{Cluster, Snapshot};
pub use faults::Faults;
pub use server::Server;

/// How a [`Cluster`] is set up; the default is one server with ZooKeeper's own defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many servers there are; the first is the leader at the start.
    pub servers: usize,
    /// `tickTime`. A session takes 2 to 20 ticks, and ends with a tick.
    pub tick: Duration,
    /// `syncLimit`: ticks after which a server that hears no majority stops serving.
    pub sync_limit: u32,
    /// What session IDs and passwords are drawn from.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: 1,
            tick: Duration::from_secs(2),
            sync_limit: 5,
            seed: 1,
        }
    }
}
