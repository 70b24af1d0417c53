//! ZooKeeper: the lease as a transaction on two nodes, watches set anew with each read, registrations that belong to the
//! agent's session.
//!
//! Spoken by a small client of our own over the platform's sockets and clocks. The client that others keep holds back
//! requests while it has no connection, so that a write may leave after its caller gave up, and does not say whether one
//! left; it passes over a silent server only by the session's timeout.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use swarm_core::address::HostPort;
use swarm_core::discovery::{KeyLayout, StoreUser};
use swarm_core::election::{Reading, Record, SwapOutcome, Version};
use swarm_core::time::Mono;

use super::{Cursor, Store, StoreError};
use crate::http::Client;
use crate::platform::SharedPlatform;

mod jute;
mod lease;
mod link;
mod nodes;
mod outcome;
mod registration;
mod session;
#[cfg(test)]
mod tests;
mod watch;

use jute::Op;
use lease::{Lease, present};
use session::Session;
use watch::Watch;

/// An ensemble of ZooKeeper servers.
pub struct ZooKeeper {
    session: Session,
    layout: KeyLayout,
    operation: Duration,
    lease: Lease,
    watches: Watches,
    registrations: registration::Registrations,
    me: Weak<Self>,
}

#[derive(Default)]
struct Watches {
    lease: Watch,
    engines: Watch,
    drained: Watch,
}

/// Where and how to reach ZooKeeper.
#[derive(Clone, Debug)]
pub struct ZooKeeperConfig {
    /// The servers: members of one ensemble.
    pub servers: Vec<HostPort>,
    /// Who to log in as, by the scheme `digest`. Nodes that are created belong to it alone.
    pub user: Option<StoreUser>,
    /// The keys of this cluster; as paths they start with a slash.
    pub layout: KeyLayout,
    /// The longest a single operation may take.
    pub operation: Duration,
}

impl ZooKeeper {
    /// A store that connects when it is first used, through `client`, which says what protects that.
    #[must_use]
    pub fn new(platform: SharedPlatform, client: Client, config: ZooKeeperConfig) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            session: Session::new(platform, client, config.servers, config.user),
            lease: Lease::new(path(config.layout.lease())),
            layout: config.layout,
            operation: config.operation,
            watches: Watches::default(),
            registrations: registration::Registrations::default(),
            me: me.clone(),
        })
    }

    fn deadline(&self) -> Mono {
        self.session.deadline(self.operation)
    }

    /// The names in a directory, when one came or went.
    async fn watch_names(
        &self,
        watch: &Watch,
        cursor: &mut Cursor,
        directory: &str,
    ) -> Result<Vec<String>, StoreError> {
        let path = path(directory);
        let ops = [
            // Also tells when the directory comes.
            Op::Exists {
                path: path.clone(),
                watch: true,
            },
            Op::Children {
                path: path.clone(),
                watch: true,
            },
        ];
        let session = &self.session;
        let asked = watch.ask(session, self.operation, cursor, &path, &ops);
        let answered = asked.await?;
        let names = answered.replies.last();
        let names = names.map(|reply| present(session, reply)).transpose()?;
        names.flatten().map_or(Ok(Vec::new()), |body| {
            jute::read_names(body).map_err(|error| session.garbage(error))
        })
    }
}

/// Whether an error code says that a node may not be read or written.
pub(super) fn is_about_rights(code: i32) -> bool {
    [jute::Code::NO_AUTH.0, jute::Code::AUTH_FAILED.0].contains(&code)
}

fn path(key: &str) -> String {
    format!("/{key}")
}

#[async_trait]
impl Store for ZooKeeper {
    async fn watch_lease(&self, cursor: &mut Cursor) -> Result<Reading, StoreError> {
        let (path, questions) = (self.lease.path(), self.lease.questions(true));
        let watch = &self.watches.lease;
        let asked = watch.ask(&self.session, self.operation, cursor, path, &questions);
        match self.lease.read(&self.session, &asked.await?)? {
            Some(found) => Ok(found),
            None => self.verify_lease().await,
        }
    }

    async fn swap_lease(&self, expected: Option<Version>, record: &Record) -> SwapOutcome {
        let swap = self
            .lease
            .swap(&self.session, self.deadline(), expected, record);
        swap.await
    }

    async fn verify_lease(&self) -> Result<Reading, StoreError> {
        self.lease.verify(&self.session, self.deadline()).await
    }

    async fn check_write(&self) -> Result<(), StoreError> {
        self.lease.check_write(&self.session, self.deadline()).await
    }

    async fn announce_primary(&self, primary: &HostPort) -> Result<(), StoreError> {
        let (path, address) = (path(self.layout.leader()), primary.to_string());
        self.session.put(self.deadline(), &path, &address).await
    }

    async fn classic_primary(&self) -> Result<Option<String>, StoreError> {
        let path = path(self.layout.leader());
        let ops = [
            Op::Children {
                path: path.clone(),
                watch: false,
            },
            Op::Get { path },
        ];
        let session = &self.session;
        let answered = session.ask(self.deadline(), &ops, true).await?;
        let [children, data] = answered.replies.as_slice() else {
            return Err(session.garbage(jute::Garbled));
        };
        let (Some(children), Some(data)) = (present(session, children)?, present(session, data)?)
        else {
            return Ok(None);
        };
        let garbage = |error| session.garbage(error);
        let names = jute::read_names(children).map_err(garbage)?;
        let (address, _) = jute::read_data(data).map_err(garbage)?;
        // Who stands in the queue for the lock, and the first of them holds it (spec/classic.md section 3.2).
        let held = names.iter().any(|name| name.contains("lock-"));
        Ok(held.then(|| String::from_utf8_lossy(&address).into_owned()))
    }

    async fn watch_engines(&self, cursor: &mut Cursor) -> Result<Vec<String>, StoreError> {
        // Each is named after its address. Classic Swarm writes it into the node, too, a moment after it made the node.
        self.watch_names(&self.watches.engines, cursor, self.layout.nodes())
            .await
    }

    async fn watch_drained(&self, cursor: &mut Cursor) -> Result<BTreeSet<String>, StoreError> {
        let prefix = self.layout.drained_prefix();
        let directory = prefix.trim_end_matches('/');
        let names = self.watch_names(&self.watches.drained, cursor, directory);
        Ok(names.await?.into_iter().collect())
    }

    async fn set_drained(&self, id: &str, name: &str, drained: bool) -> Result<(), StoreError> {
        let path = path(&format!("{}{id}", self.layout.drained_prefix()));
        if drained {
            self.session.put(self.deadline(), &path, name).await
        } else {
            self.session.delete(self.deadline(), &path).await
        }
    }

    async fn register(&self, engine: &HostPort, ttl: Duration) -> Result<(), StoreError> {
        self.register_in_session(engine, ttl).await
    }

    async fn deregister(&self, engine: &HostPort) -> Result<(), StoreError> {
        self.end_registration(engine).await
    }
}
