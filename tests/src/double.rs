//! Modelled stores on a loopback port, which can go away and come back.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use swarm_models::tokio_host::{StopHandle, TokioHost, serve_tcp};
use swarm_models::trouble::Outage;
use swarm_models::{Service, etcd, zookeeper};

use crate::ports;

/// A store of one server. Dropping it stops it.
pub struct Double<C> {
    /// The model: its content, its faults.
    pub cluster: Arc<C>,
    address: SocketAddr,
    serving: Option<StopHandle>,
}

/// A store that there is a model of.
pub trait Modelled: Sized {
    /// What discovery calls it.
    const SCHEME: &'static str;

    /// An empty one.
    fn start() -> Arc<Self>;
    /// Its only server.
    fn server(cluster: &Arc<Self>) -> Arc<dyn Service>;
    /// It loses its content.
    fn wipe(&self);
    /// It is away like this.
    fn set_outage(&self, outage: Outage);
}

impl Modelled for etcd::Cluster {
    const SCHEME: &'static str = "etcd";

    fn start() -> Arc<Self> {
        // As the real ones of these tests.
        let options = etcd::Options {
            election_timeout: Duration::from_millis(500),
            ..etcd::Options::default()
        };
        Self::new(Arc::new(TokioHost::new()), options)
    }

    fn server(cluster: &Arc<Self>) -> Arc<dyn Service> {
        Arc::new(cluster.server(0))
    }

    fn wipe(&self) {
        Self::wipe(self);
    }

    fn set_outage(&self, outage: Outage) {
        self.faults(|faults| faults.outage = outage);
    }
}

impl Modelled for zookeeper::Cluster {
    const SCHEME: &'static str = "zk";

    fn start() -> Arc<Self> {
        // As the real ones of these tests.
        let options = zookeeper::Options {
            tick: Duration::from_millis(500),
            ..zookeeper::Options::default()
        };
        Self::new(Arc::new(TokioHost::new()), options)
    }

    fn server(cluster: &Arc<Self>) -> Arc<dyn Service> {
        Arc::new(cluster.server(0))
    }

    fn wipe(&self) {
        Self::wipe(self);
    }

    fn set_outage(&self, outage: Outage) {
        self.faults(|faults| faults.outage = outage);
    }
}

impl<C: Modelled> Double<C> {
    /// Starts it, empty.
    ///
    /// # Errors
    /// When its port is taken.
    pub async fn start() -> Result<Self> {
        let mut double = Self {
            cluster: C::start(),
            address: ports::claim()?,
            serving: None,
        };
        double.start_again().await?;
        Ok(double)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to hand to `swarm manage`.
    pub fn discovery(&self) -> String {
        format!("{}://{}/nodes", C::SCHEME, self.address)
    }

    /// Stops it at once. What it holds stays; its connections break.
    pub async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.stop().await;
        }
    }

    /// Starts it on the same port with what it holds.
    ///
    /// # Errors
    /// When it runs already or its port is taken.
    pub async fn start_again(&mut self) -> Result<()> {
        ensure!(self.serving.is_none(), "the double runs already");
        let server = C::server(&self.cluster);
        let (_, serving) = serve_tcp(&self.address.to_string(), server)
            .await
            .with_context(|| format!("serving the double of {} at {}", C::SCHEME, self.address))?;
        self.serving = Some(serving);
        Ok(())
    }
}

impl<C> fmt::Debug for Double<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Double")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
