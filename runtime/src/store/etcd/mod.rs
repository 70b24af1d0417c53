//! etcd v3: the lease as a transaction on one key, watches resumed by revision, registrations bound to leases.
//!
//! Spoken over etcd's JSON gateway, which every server of 3.4 and later offers on its client port, by our own HTTP
//! client: with its deadlines, its servers to fail over between and its TLS, as Consul.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use swarm_core::address::HostPort;
use swarm_core::discovery::{KeyLayout, StoreUser};
use swarm_core::election::{Reading, Record, SwapOutcome, Version};

use super::registered::Registered;
use super::servers::{Call, Servers};
use super::{Cursor, Store, StoreError};
use crate::http::Client;
use crate::platform::SharedPlatform;

mod classic;
mod gateway;
mod outcome;
mod registration;
#[cfg(test)]
mod tests;
mod watch;
mod wire;

use gateway::Gateway;
use watch::{Waited, Watch};
use wire::{Base64, Done, EventType, Int, Pair, Put, Range, Span, Swap, Swapped};

/// A revision that no key has: revisions are counted up to it.
const NEVER: u64 = i64::MAX.unsigned_abs();

/// A cluster of etcd servers.
pub struct Etcd {
    gateway: Gateway,
    layout: KeyLayout,
    operation: Duration,
    lease: Watch,
    engines: Watch,
    drained: Watch,
    /// By their IDs.
    leases: Registered<Int>,
}

/// Where and how to reach etcd.
#[derive(Clone, Debug)]
pub struct EtcdConfig {
    /// The servers: members of one cluster.
    pub servers: Vec<HostPort>,
    /// Who to log in as, where etcd asks for that.
    pub user: Option<StoreUser>,
    /// The keys of this cluster.
    pub layout: KeyLayout,
    /// The longest a single operation may take.
    pub operation: Duration,
}

impl Etcd {
    /// A store that connects when it is first used.
    #[must_use]
    pub fn new(platform: SharedPlatform, client: Client, config: EtcdConfig) -> Arc<Self> {
        let servers = Servers::new(platform, client, config.servers);
        Arc::new(Self {
            gateway: Gateway::new(servers, config.user),
            lease: Watch::new(Span::key(config.layout.lease())),
            engines: Watch::new(Span::below(&config.layout.nodes_prefix())),
            drained: Watch::new(Span::below(&config.layout.drained_prefix())),
            layout: config.layout,
            operation: config.operation,
            leases: Registered::new(),
        })
    }

    fn read(&self) -> Call<'_> {
        self.gateway.servers.call(self.operation, true)
    }

    fn write(&self) -> Call<'_> {
        self.gateway.servers.call(self.operation, false)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        path: &'static str,
        question: &(impl Serialize + Sync),
    ) -> Result<T, StoreError> {
        self.gateway.ask(call, path, question).await
    }

    /// A linearizable read.
    async fn range(&self, span: &Span) -> Result<Range, StoreError> {
        self.ask(&self.read(), gateway::RANGE, span).await
    }

    /// Waits for a change in what `watch` is about. `None` if there was none, or none that is still kept: read then.
    async fn changes(
        &self,
        watch: &Watch,
        cursor: &mut Cursor,
    ) -> Result<Option<Vec<wire::Event>>, StoreError> {
        if *cursor == Cursor::default() {
            return Ok(None);
        }
        let waited = watch.after(&self.gateway, cursor.0, self.operation).await;
        match waited {
            Ok(Waited::Changed(events)) => {
                let last = events.last().map(|event| event.kv.mod_revision.0);
                cursor.0 = last.unwrap_or(cursor.0);
                Ok(Some(events))
            }
            Ok(Waited::Read) => Ok(None),
            Err(error) => {
                *cursor = Cursor::default();
                Err(error)
            }
        }
    }

    /// Reads what `watch` is about and goes on from there. A revision that went back means that the store lost its
    /// data: reads are linearizable.
    async fn read_on(&self, watch: &Watch, cursor: &mut Cursor) -> Result<Range, StoreError> {
        let found = self.range(watch.span()).await?;
        cursor.0 = found.header.revision.0;
        let newest = found.kvs.iter().map(|pair| pair.mod_revision.0).max();
        watch.read_up_to(cursor.0, newest.unwrap_or(0));
        Ok(found)
    }

    /// All pairs of a directory, when one of them changed.
    async fn watch_directory(
        &self,
        watch: &Watch,
        cursor: &mut Cursor,
    ) -> Result<Vec<Pair>, StoreError> {
        self.changes(watch, cursor).await?;
        Ok(self.read_on(watch, cursor).await?.kvs)
    }

    async fn put(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let put = Put {
            key: Base64(key.into()),
            value: Base64(value.into()),
            lease: Int(0),
        };
        let Done {} = self.ask(&self.write(), gateway::PUT, &put).await?;
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        let span = Span::key(key);
        let Done {} = self.ask(&self.write(), gateway::DELETE, &span).await?;
        Ok(())
    }
}

fn reading(found: &[Pair]) -> Reading {
    found.first().map_or(Reading::Absent, |pair| {
        Reading::of(Version(pair.mod_revision.0), &pair.value.0)
    })
}

#[async_trait]
impl Store for Etcd {
    async fn watch_lease(&self, cursor: &mut Cursor) -> Result<Reading, StoreError> {
        let changes = self.changes(&self.lease, cursor).await?;
        match changes.as_deref() {
            Some([.., last]) if last.r#type == EventType::Delete => Ok(Reading::Absent),
            Some([.., last]) => Ok(reading(std::slice::from_ref(&last.kv))),
            Some([]) | None => Ok(reading(&self.read_on(&self.lease, cursor).await?.kvs)),
        }
    }

    async fn swap_lease(&self, expected: Option<Version>, record: &Record) -> SwapOutcome {
        let expected = expected.map_or(0, |version| version.0);
        let swap = Swap::new(self.layout.lease(), expected, record.to_bytes());
        let call = self.write();
        let answer: Result<Swapped, StoreError> = self.ask(&call, gateway::TXN, &swap).await;
        match answer {
            // The revision of a transaction that wrote is that of what it wrote.
            Ok(swapped) if swapped.succeeded => match swapped.header.revision {
                Int(0) => SwapOutcome::Unknown,
                Int(revision) => SwapOutcome::Swapped(Version(revision)),
            },
            Ok(swapped) => SwapOutcome::Conflict(swapped.found().map(|found| reading(&found.kvs))),
            Err(error) => outcome::of_failed_write(&error, call.maybe_sent()),
        }
    }

    async fn verify_lease(&self) -> Result<Reading, StoreError> {
        let found = self.range(&Span::key(self.layout.lease())).await?;
        Ok(reading(&found.kvs))
    }

    async fn check_write(&self) -> Result<(), StoreError> {
        let swap = Swap::new(self.layout.lease(), NEVER, Vec::new());
        let swapped: Swapped = self.ask(&self.write(), gateway::TXN, &swap).await?;
        if swapped.succeeded {
            return Err(self
                .gateway
                .garbage("it swapped a revision that no key has"));
        }
        Ok(())
    }

    async fn announce_primary(&self, primary: &HostPort) -> Result<(), StoreError> {
        self.put(self.layout.leader(), &primary.to_string()).await
    }

    async fn classic_primary(&self) -> Result<Option<String>, StoreError> {
        classic::primary(&self.gateway, &self.read(), self.layout.leader()).await
    }

    async fn watch_engines(&self, cursor: &mut Cursor) -> Result<Vec<String>, StoreError> {
        let pairs = self.watch_directory(&self.engines, cursor).await?;
        let values = pairs.into_iter().map(|pair| pair.value.0);
        Ok(values
            .map(|value| String::from_utf8_lossy(&value).into_owned())
            .collect())
    }

    async fn watch_drained(&self, cursor: &mut Cursor) -> Result<BTreeSet<String>, StoreError> {
        let prefix = self.layout.drained_prefix();
        let pairs = self.watch_directory(&self.drained, cursor).await?;
        let keys = pairs
            .iter()
            .filter_map(|pair| std::str::from_utf8(&pair.key.0).ok());
        let ids = keys.filter_map(|key| key.strip_prefix(&prefix));
        Ok(ids.filter(|id| !id.is_empty()).map(str::to_owned).collect())
    }

    async fn set_drained(&self, id: &str, name: &str, drained: bool) -> Result<(), StoreError> {
        let key = format!("{}{id}", self.layout.drained_prefix());
        if drained {
            self.put(&key, name).await
        } else {
            self.delete(&key).await
        }
    }

    async fn register(&self, engine: &HostPort, ttl: Duration) -> Result<(), StoreError> {
        self.register_with_lease(engine, ttl).await
    }

    async fn deregister(&self, engine: &HostPort) -> Result<(), StoreError> {
        self.delete(&self.layout.engine(engine)).await?;
        self.end_lease(engine).await
    }
}
