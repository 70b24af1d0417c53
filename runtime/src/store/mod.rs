//! The store: where managers compete for the lease and engines are registered.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use swarm_core::address::HostPort;
use swarm_core::config::DiscoveryConfig;
use swarm_core::discovery::Discovery;
use swarm_core::election::{Reading, Record, SwapOutcome, Version};

use crate::http::Client;
use crate::platform::SharedPlatform;
use consul::ConsulConfig;
use etcd::EtcdConfig;
use zookeeper::ZooKeeperConfig;

pub mod consul;
pub mod etcd;
mod registered;
mod servers;
pub mod zookeeper;

pub use consul::Consul;
pub use etcd::Etcd;
pub use zookeeper::ZooKeeper;

/// How long a watch waits for a change. A longer wait would hide that none is heard of: a blocking query of Consul with an
/// index from before the loss of its data blocks in full (HA.md section 2.5), a watch of etcd from a revision that is yet
/// to come stays silent, and so does a server of ZooKeeper that is cut off.
const WATCH_WAIT: Duration = Duration::from_secs(5);

/// The store that `config` names, ready for use; `None` if it names none. Nothing is sent yet.
///
/// No operation takes longer than `operation`.
#[must_use]
pub fn open(
    platform: &SharedPlatform,
    client: &Client,
    config: &DiscoveryConfig,
    operation: Duration,
) -> Option<Arc<dyn Store>> {
    let layout = config.keys.clone()?;
    let (platform, client) = (platform.clone(), client.clone());
    match &config.discovery {
        Discovery::Consul { servers, .. } => {
            let consul = ConsulConfig {
                servers: servers.clone(),
                token: config.options.consul_token.clone(),
                layout,
                operation,
            };
            Some(Consul::new(platform, client, consul))
        }
        Discovery::Etcd { servers, .. } => {
            let etcd = EtcdConfig {
                servers: servers.clone(),
                user: config.options.etcd_user.clone(),
                layout,
                operation,
            };
            Some(Etcd::new(platform, client, etcd))
        }
        Discovery::ZooKeeper { servers, .. } => {
            let zookeeper = ZooKeeperConfig {
                servers: servers.clone(),
                user: config.options.zk_auth.clone(),
                layout,
                operation,
            };
            Some(ZooKeeper::new(platform, client, zookeeper))
        }
        Discovery::File(_) | Discovery::Nodes(_) | Discovery::Token => None,
    }
}

/// How far a watch has come; a new one reads at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(u64);

/// Why the store did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No server could be reached, or none answered in time.
    #[error("the store at {servers} cannot be reached: {cause}")]
    Unreachable {
        /// The servers that were tried.
        servers: String,
        /// What the network said of the last one.
        cause: String,
    },
    /// A server answered with an error.
    #[error("the store at {servers} answered {status}: {message}")]
    Refused {
        /// The configured servers.
        servers: String,
        /// The HTTP status, or the error code of ZooKeeper, which is below 0.
        status: i32,
        /// The server's text.
        message: String,
    },
    /// A server answered with something that is not the store's protocol.
    #[error("the store at {servers} gave an answer that cannot be understood: {cause}")]
    Garbage {
        /// The configured servers.
        servers: String,
        /// What was wrong with it.
        cause: String,
    },
}

impl StoreError {
    /// Whether it will be the same the next time, until an operator has changed something: rights, for one.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused { status, .. } => {
                (400..500).contains(status) || zookeeper::is_about_rights(*status)
            }
            Self::Unreachable { .. } | Self::Garbage { .. } => false,
        }
    }
}

/// The contract of every store (DESIGN section 3). Only `swap` and `verify` must be linearizable; the watches may lie,
/// drop or stall.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads the lease record, waiting for a change after `cursor` for a few seconds at most.
    async fn watch_lease(&self, cursor: &mut Cursor) -> Result<Reading, StoreError>;

    /// Puts `record` if the lease key is at `expected`; `None` means that it must not exist.
    async fn swap_lease(&self, expected: Option<Version>, record: &Record) -> SwapOutcome;

    /// Reads the lease record linearizably.
    async fn verify_lease(&self) -> Result<Reading, StoreError>;

    /// Asks for a change of the lease record that cannot come to pass: whether the store has a leader, and lets this
    /// client write. Nothing is changed.
    async fn check_write(&self) -> Result<(), StoreError>;

    /// Writes the primary's address where scripts of classic Swarm look for it.
    async fn announce_primary(&self, primary: &HostPort) -> Result<(), StoreError>;

    /// The address of a classic manager that holds its own lock on the same prefix, if there is one.
    async fn classic_primary(&self) -> Result<Option<String>, StoreError>;

    /// Reads the registered engines, waiting for a change after `cursor` for a few seconds at most.
    async fn watch_engines(&self, cursor: &mut Cursor) -> Result<Vec<String>, StoreError>;

    /// Reads the IDs of the drained engines, waiting for a change after `cursor` for a few seconds at most.
    async fn watch_drained(&self, cursor: &mut Cursor) -> Result<BTreeSet<String>, StoreError>;

    /// Puts an engine, by its ID, among the drained ones or takes it out; `name` is for people who look.
    async fn set_drained(&self, id: &str, name: &str, drained: bool) -> Result<(), StoreError>;

    /// Registers an engine for `ttl`; called again before that to keep it.
    async fn register(&self, engine: &HostPort, ttl: Duration) -> Result<(), StoreError>;

    /// Removes an engine's registration.
    async fn deregister(&self, engine: &HostPort) -> Result<(), StoreError>;
}
