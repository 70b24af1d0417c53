//! Consul: the lease through `/v1/txn`, watches as blocking queries, registrations bound to sessions.
//!
//! The request types are those of `consulrs`; they are executed by a transport of our own over the platform.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use consulrs::api::features::{Blocking, ConsistencyMode, Features};
use consulrs::api::kv::common::KVPair;
use consulrs::api::kv::requests::{DeleteKeyRequest, ReadKeyRequest, SetKeyRequest};
use swarm_core::address::HostPort;
use swarm_core::discovery::{KeyLayout, Secret};
use swarm_core::election::{Reading, Record, SwapOutcome, Version};

use super::registered::Registered;
use super::servers::{self, Servers};
use super::{Cursor, Store, StoreError, WATCH_WAIT};
use crate::http::Client;
use crate::platform::SharedPlatform;

mod outcome;
mod session;
#[cfg(test)]
mod tests;
mod transport;
mod txn;

use transport::Call;

/// Consul adds up to a sixteenth to the wait; a server that is paused never answers at all.
const WATCH_LIMIT: Duration = Duration::from_millis(6_500);
/// A version that no key has: raft counts up to it.
const NEVER: Version = Version(u64::MAX);
/// The flags classic Swarm writes with each of its keys (spec/classic.md section 2.4).
const CLASSIC_FLAGS: u64 = 0x2ddc_cbc0_58a5_0c18;

/// A cluster of Consul servers, asked one after the other.
pub struct Consul {
    servers: Servers,
    token: Option<Secret>,
    layout: KeyLayout,
    operation: Duration,
    /// By their IDs.
    sessions: Registered<String>,
}

/// Where and how to reach Consul.
#[derive(Clone, Debug)]
pub struct ConsulConfig {
    /// The servers: alternatives of one cluster.
    pub servers: Vec<HostPort>,
    /// Sent as `X-Consul-Token`.
    pub token: Option<Secret>,
    /// The keys of this cluster.
    pub layout: KeyLayout,
    /// The longest a single operation may take.
    pub operation: Duration,
}

impl Consul {
    /// A store that connects when it is first used.
    #[must_use]
    pub fn new(platform: SharedPlatform, client: Client, config: ConsulConfig) -> Arc<Self> {
        Arc::new(Self {
            servers: Servers::new(platform, client, config.servers),
            token: config.token,
            layout: config.layout,
            operation: config.operation,
            sessions: Registered::new(),
        })
    }

    fn read(&self) -> Call<'_> {
        self.call(self.servers.call(self.operation, true))
    }

    fn write(&self) -> Call<'_> {
        self.call(self.servers.call(self.operation, false))
    }

    fn call<'a>(&'a self, call: servers::Call<'a>) -> Call<'a> {
        Call::new(call, self.token.as_ref())
    }

    async fn read_key(
        &self,
        call: Call<'_>,
        key: &str,
        features: Features,
    ) -> Result<Found, StoreError> {
        let request = ReadKeyRequest {
            key: key.to_owned(),
            ..ReadKeyRequest::default()
        };
        let answer = call.execute_with(request, Some(features)).await?;
        Ok(Found {
            pair: answer.content.into_iter().next(),
        })
    }

    async fn watch(
        &self,
        cursor: &mut Cursor,
        request: ReadKeyRequest,
    ) -> Result<Vec<KVPair>, StoreError> {
        let call = if cursor.0 == 0 {
            self.read()
        } else {
            self.call(self.servers.watch(WATCH_LIMIT))
        };
        let features = Some(blocking(*cursor));
        let answer = call.execute_with(request, features).await?;
        // An index that went back, or none, means: start anew (developer.hashicorp.com/consul/api-docs/features/blocking).
        cursor.0 = if answer.index < cursor.0 {
            0
        } else {
            answer.index
        };
        Ok(answer.content)
    }
}

struct Found {
    pair: Option<KVPair>,
}

/// What a read of the lease key showed.
fn reading(pair: Option<KVPair>) -> Reading {
    let Some(pair) = pair else {
        return Reading::Absent;
    };
    let version = Version(pair.modify_index);
    Reading::of(version, &value_of(pair))
}

/// The bytes of a pair; nothing where the value is missing or not base64, which no record is either.
fn value_of(pair: KVPair) -> Vec<u8> {
    pair.value
        .and_then(|value| value.try_into().ok())
        .unwrap_or_default()
}

fn blocking(cursor: Cursor) -> Features {
    let wait = (cursor.0 > 0).then(|| format!("{}s", WATCH_WAIT.as_secs()));
    let blocking = (cursor.0 > 0).then_some(Blocking {
        index: cursor.0,
        wait,
    });
    Features {
        blocking,
        ..Features::default()
    }
}

fn consistent() -> Features {
    Features {
        mode: Some(ConsistencyMode::CONSISTENT),
        ..Features::default()
    }
}

#[async_trait]
impl Store for Consul {
    async fn watch_lease(&self, cursor: &mut Cursor) -> Result<Reading, StoreError> {
        let key = self.layout.lease().to_owned();
        let pairs = self
            .watch(
                cursor,
                ReadKeyRequest {
                    key,
                    ..ReadKeyRequest::default()
                },
            )
            .await?;
        Ok(reading(pairs.into_iter().next()))
    }

    async fn swap_lease(&self, expected: Option<Version>, record: &Record) -> SwapOutcome {
        let call = self.write();
        let request = txn::cas(self.layout.lease(), expected, &record.to_bytes());
        match call.execute(request).await {
            Ok(answer) => match answer.content.version_of(self.layout.lease()) {
                Some(version) => SwapOutcome::Swapped(version),
                None => SwapOutcome::Unknown,
            },
            Err(error) => match outcome::of_failed_write(&error, call.maybe_sent()) {
                outcome::Failed::Conflict => SwapOutcome::Conflict(self.verify_lease().await.ok()),
                outcome::Failed::NotApplied => SwapOutcome::NotApplied,
                outcome::Failed::Unknown => SwapOutcome::Unknown,
            },
        }
    }

    async fn verify_lease(&self) -> Result<Reading, StoreError> {
        let found = self
            .read_key(self.read(), self.layout.lease(), consistent())
            .await?;
        Ok(reading(found.pair))
    }

    async fn check_write(&self) -> Result<(), StoreError> {
        let request = txn::cas(self.layout.lease(), Some(NEVER), b"");
        match self.write().execute(request).await {
            Ok(_) => Err(StoreError::Garbage {
                servers: self.servers.names(),
                cause: "it swapped a version that no key has".to_owned(),
            }),
            Err(error) => match outcome::of_failed_write(&error, true) {
                outcome::Failed::Conflict => Ok(()),
                outcome::Failed::NotApplied | outcome::Failed::Unknown => Err(error),
            },
        }
    }

    async fn announce_primary(&self, primary: &HostPort) -> Result<(), StoreError> {
        let request = SetKeyRequest {
            key: self.layout.leader().to_owned(),
            value: primary.to_string().into_bytes(),
            flags: Some(CLASSIC_FLAGS),
            ..SetKeyRequest::default()
        };
        self.write().execute(request).await.map(|_| ())
    }

    async fn classic_primary(&self) -> Result<Option<String>, StoreError> {
        let found = self
            .read_key(self.read(), self.layout.leader(), consistent())
            .await?;
        let held = found.pair.filter(|pair| {
            pair.session
                .as_ref()
                .is_some_and(|session| !session.is_empty())
        });
        Ok(held.map(|pair| String::from_utf8_lossy(&value_of(pair)).into_owned()))
    }

    async fn watch_engines(&self, cursor: &mut Cursor) -> Result<Vec<String>, StoreError> {
        // The slash keeps siblings such as `nodes-staging` out: Consul matches prefixes as text.
        let prefix = self.layout.nodes_prefix();
        let request = ReadKeyRequest {
            key: prefix.clone(),
            recurse: Some(true),
            ..ReadKeyRequest::default()
        };
        let pairs = self.watch(cursor, request).await?;
        let entries = pairs.into_iter().filter(|pair| pair.key != prefix);
        Ok(entries
            .map(|pair| String::from_utf8_lossy(&value_of(pair)).into_owned())
            .collect())
    }

    async fn watch_drained(&self, cursor: &mut Cursor) -> Result<BTreeSet<String>, StoreError> {
        let prefix = self.layout.drained_prefix();
        let request = ReadKeyRequest {
            key: prefix.clone(),
            recurse: Some(true),
            ..ReadKeyRequest::default()
        };
        let pairs = self.watch(cursor, request).await?;
        let ids = pairs
            .iter()
            .filter_map(|pair| pair.key.strip_prefix(&prefix));
        Ok(ids.filter(|id| !id.is_empty()).map(str::to_owned).collect())
    }

    async fn set_drained(&self, id: &str, name: &str, drained: bool) -> Result<(), StoreError> {
        let key = format!("{}{id}", self.layout.drained_prefix());
        if drained {
            let request = SetKeyRequest {
                key,
                value: name.as_bytes().to_vec(),
                ..SetKeyRequest::default()
            };
            return self.write().execute(request).await.map(|_| ());
        }
        let request = DeleteKeyRequest {
            key,
            ..DeleteKeyRequest::default()
        };
        self.write().execute(request).await.map(|_| ())
    }

    async fn register(&self, engine: &HostPort, ttl: Duration) -> Result<(), StoreError> {
        self.register_with_session(engine, ttl).await
    }

    async fn deregister(&self, engine: &HostPort) -> Result<(), StoreError> {
        let request = DeleteKeyRequest {
            key: self.layout.engine(engine),
            ..DeleteKeyRequest::default()
        };
        self.write().execute(request).await?;
        self.destroy_session(engine).await
    }
}
