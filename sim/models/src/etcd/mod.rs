//! A double of etcd 3.4 behind its JSON gateway: keys with revisions, transactions, leases, watches, and what goes wrong
//! with them.
//!
//! A [`Cluster`] holds one replicated [`state::State`]; each of its [`Server`]s (members) answers the gateway's API over
//! any byte stream, asks the leader where etcd does, and misbehaves as its [`Faults`] say. What it answers is meant to be
//! indistinguishable from etcd 3.4.23 for a client that sends what the runtime sends
//! (etcd.io/docs/v3.4/dev-guide/api_grpc_gateway); a test runs the same requests against both where a real one is at
//! hand. What it does not know it refuses. It keeps everything in memory, checks no TLS, and knows no users.

use std::time::Duration;

mod cluster;
pub mod faults;
mod http;
mod server;
pub mod state;
mod watch;

pub use cluster::{Cluster, Snapshot};
pub use faults::Faults;
pub use server::Server;

/// How a [`Cluster`] is set up; the default is one member with etcd's own defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many members there are; the first is the leader at the start.
    pub servers: usize,
    /// `--election-timeout`. From it follow the shortest TTL of a lease, what a new leader adds to each lease, and when
    /// a watch ends on a member that has lost its leader.
    pub election_timeout: Duration,
    /// How many changes are kept for watches that start in the past; older ones are compacted
    /// (`--auto-compaction-mode=revision`).
    pub history: usize,
    /// What lease IDs are drawn from.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: 1,
            election_timeout: Duration::from_secs(1),
            history: 1_000,
            seed: 1,
        }
    }
}
