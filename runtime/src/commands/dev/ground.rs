//! What the managers stand on: a store and engines.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use swarm_core::address::HostPort;
use swarm_core::config::Dev;
use swarm_core::discovery::{KV_PATH_DEFAULT, KeyLayout};
use swarm_models::consul::{Cluster, Options as StoreOptions};
use swarm_models::engine::{Engine, Options as EngineOptions};
use swarm_models::tokio_host::{StopHandle, TokioHost, serve_tcp};

use super::bridge;
use crate::platform::SharedPlatform;

/// The prefix in the store, as in the multi-manager guide.
const PREFIX: &str = "nodes";
/// Any free loopback port: neither the store nor the engines are for the user.
const ANY: &str = "127.0.0.1:0";

/// A store with engines in it; dropping it stops both.
pub(super) struct Ground {
    /// What to hand to `swarm manage`.
    pub(super) discovery: String,
    /// Which engines there are.
    pub(super) engines: Engines,
    _serving: Vec<StopHandle>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engines {
    /// The Docker Engine of this machine.
    Local,
    /// So many modelled ones.
    Modelled(u8),
}

impl Engines {
    pub(super) fn count(self) -> usize {
        match self {
            Self::Local => 1,
            Self::Modelled(count) => usize::from(count),
        }
    }
}

impl Ground {
    pub(super) async fn prepare(platform: &SharedPlatform, config: &Dev) -> anyhow::Result<Self> {
        let host = Arc::new(TokioHost::new());
        let store = Cluster::new(host.clone(), StoreOptions::default());
        let (address, handle) = serve_tcp(ANY, Arc::new(store.server(0)))
            .await
            .context("cannot start the store")?;
        let mut serving = vec![handle];
        let mut addresses = Vec::new();
        let engines = if !config.modelled && bridge::engine_answers(platform).await {
            addresses.push(bridge::open(platform, Path::new(bridge::SOCKET)).await?);
            Engines::Local
        } else {
            for number in 1..=config.engines {
                let mut options = EngineOptions::new(&format!("engine-{number}"));
                options.clock = platform.wall();
                let (address, handle) = serve_tcp(ANY, Engine::new(host.clone(), options))
                    .await
                    .context("cannot start a modelled engine")?;
                serving.push(handle);
                addresses.push(HostPort::new(&address.ip().to_string(), address.port())?);
            }
            Engines::Modelled(config.engines)
        };
        let keys = KeyLayout::new(PREFIX, KV_PATH_DEFAULT)?;
        for address in addresses {
            store.put(&keys.engine(&address), address.to_string());
        }
        Ok(Self {
            discovery: format!("consul://{address}/{PREFIX}"),
            engines,
            _serving: serving,
        })
    }
}
