//! Modelled engines on loopback ports, for tests that need many engines, streams of events, or misbehaviour.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use swarm_core::time::{Wall, nanos};
use swarm_models::Service;
use swarm_models::engine::{Engine, Options};
use swarm_models::tokio_host::{StopHandle, TokioHost, serve_tcp};

use crate::certs::Certificates;
use crate::ports;
use crate::store::Store;

/// A modelled engine that is served as long as this lives.
#[derive(Debug)]
pub struct ModelledEngine {
    /// The model: its containers, its faults.
    pub engine: Arc<Engine>,
    address: SocketAddr,
    _serving: StopHandle,
}

impl ModelledEngine {
    /// Serves an engine named `name` on a loopback port of its own.
    ///
    /// # Errors
    /// When its port is taken.
    pub async fn start(name: &str) -> Result<Self> {
        Self::start_with(name, None).await
    }

    /// As [`ModelledEngine::start`]; with certificates, it speaks TLS and asks for those of its clients.
    ///
    /// # Errors
    /// When its port is taken, or the certificates cannot be used.
    pub async fn start_with(name: &str, certs: Option<&Certificates>) -> Result<Self> {
        let mut options = Options::new(name);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        options.clock = Wall(nanos(since));
        let engine = Engine::new(Arc::new(TokioHost::new()), options);
        let address = ports::claim()?;
        let mut service: Arc<dyn Service> = engine.clone();
        if let Some(certs) = certs {
            service = certs.guard(service)?;
        }
        let (_, serving) = serve_tcp(&address.to_string(), service)
            .await
            .with_context(|| format!("serving the modelled engine {name} at {address}"))?;
        Ok(Self {
            engine,
            address,
            _serving: serving,
        })
    }

    /// Where its API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Starts `count` modelled engines named `node-1` and so on, and registers them in `store` for good.
///
/// # Errors
/// When a port is taken or the store refuses.
pub async fn start(store: &Store, count: usize) -> Result<Vec<ModelledEngine>> {
    let mut engines = Vec::new();
    for n in 1..=count {
        let engine = ModelledEngine::start(&format!("node-{n}")).await?;
        register(store, &engine.address().to_string()).await?;
        engines.push(engine);
    }
    Ok(engines)
}

/// Registers an engine as `swarm join` does, but without a time to live.
///
/// # Errors
/// When the store refuses.
pub async fn register(store: &Store, address: &str) -> Result<()> {
    let path = format!("/v1/kv/nodes/docker/swarm/nodes/{address}");
    store.put(&path, address.to_owned()).await.map(|_| ())
}
