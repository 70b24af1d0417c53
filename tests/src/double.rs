//! The double of etcd on a loopback port, which can go away and come back.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use swarm_models::etcd::{Cluster, Options};
use swarm_models::tokio_host::{StopHandle, TokioHost, serve_tcp};

use crate::ports;

/// A cluster of one member. Dropping it stops it.
pub struct EtcdDouble {
    /// The model: its content, its faults.
    pub cluster: Arc<Cluster>,
    address: SocketAddr,
    serving: Option<StopHandle>,
}

impl EtcdDouble {
    /// Starts it, empty.
    ///
    /// # Errors
    /// When its port is taken.
    pub async fn start() -> Result<Self> {
        // As the real ones of these tests.
        let options = Options {
            election_timeout: Duration::from_millis(500),
            ..Options::default()
        };
        let mut double = Self {
            cluster: Cluster::new(Arc::new(TokioHost::new()), options),
            address: ports::claim()?,
            serving: None,
        };
        double.start_again().await?;
        Ok(double)
    }

    /// Where its gateway listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to hand to `swarm manage`.
    pub fn discovery(&self) -> String {
        format!("etcd://{}/nodes", self.address)
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
        let server = Arc::new(self.cluster.server(0));
        let (_, serving) = serve_tcp(&self.address.to_string(), server)
            .await
            .with_context(|| format!("serving the double of etcd at {}", self.address))?;
        self.serving = Some(serving);
        Ok(())
    }
}

impl fmt::Debug for EtcdDouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdDouble")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
