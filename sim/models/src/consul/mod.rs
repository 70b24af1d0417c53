//! A double of Consul 1.10: the KV store, transactions, sessions, blocking queries and what goes wrong with them.
//!
//! A [`Cluster`] holds one replicated [`state::State`]; each of its [`Server`]s answers the HTTP API over any byte
//! stream, forwards to the leader what the leader must answer, and misbehaves as its [`Faults`] say. What it answers
//! is meant to be indistinguishable from Consul 1.10.11 for a client of these endpoints (HA.md section 2); a test
//! runs the same requests against both where a real one is at hand. It keeps everything in memory, checks no TLS, and
//! knows neither services nor datacenters.

use std::collections::BTreeSet;
use std::time::Duration;

mod cluster;
pub mod faults;
mod http;
mod query;
mod server;
pub mod state;
mod store;

pub use cluster::{Cluster, Snapshot};
pub use faults::Faults;
pub use server::Server;

/// The version the double claims to be.
pub const VERSION: &str = "1.10.11";

/// How a [`Cluster`] is set up; the default is one server with Consul's own defaults and no ACLs.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many servers there are; the first is the leader at the start.
    pub servers: usize,
    /// The shortest TTL a session may have (`session_ttl_min`).
    pub session_ttl_min: Duration,
    /// How long a request waits for a leader to be elected (`rpc_hold_timeout`).
    pub rpc_hold: Duration,
    /// The tokens that may do everything; without ACLs (`None`) everybody may.
    pub tokens: Option<BTreeSet<String>>,
    /// The raft index before the first write.
    pub first_index: u64,
    /// What session ids and the jitter of waits are drawn from.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            servers: 1,
            session_ttl_min: Duration::from_secs(10),
            rpc_hold: Duration::from_secs(7),
            tokens: None,
            first_index: 10,
            seed: 1,
        }
    }
}
