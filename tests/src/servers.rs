//! The store of a bench: the one its command line names.

use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::certs::Certificates;
use crate::ensemble::{Ensemble, Kind};
use crate::store::Store;

/// What elects the primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// The double of Consul, or a real one where `SWARM_TEST_CONSUL` names it.
    Consul,
    /// Real servers from Debian.
    Ensemble(Kind),
}

impl FromStr for StoreKind {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "consul" => Ok(Self::Consul),
            "etcd" => Ok(Self::Ensemble(Kind::Etcd)),
            "zk" => Ok(Self::Ensemble(Kind::ZooKeeper)),
            _ => bail!("unknown store {name}: one of consul, etcd, zk"),
        }
    }
}

/// The store's servers. Dropping them stops them.
#[derive(Debug)]
pub enum Servers {
    /// One server.
    Consul(Store),
    /// As many as were asked for.
    Ensemble(Ensemble),
}

impl Servers {
    /// Starts `members` servers, empty; with certificates, they are spoken to with TLS.
    ///
    /// # Errors
    /// When they are not installed, do not start, or cannot be as many.
    pub async fn start(
        kind: StoreKind,
        members: usize,
        certs: Option<Arc<Certificates>>,
    ) -> Result<Self> {
        match kind {
            StoreKind::Consul if members > 1 => bail!("--members: only of etcd and zk"),
            StoreKind::Consul => Ok(Self::Consul(Store::start_with(certs).await?)),
            StoreKind::Ensemble(kind) if kind.is_here()? => Ok(Self::Ensemble(
                Ensemble::start_with(kind, members, certs).await?,
            )),
            StoreKind::Ensemble(kind) => bail!("{kind:?} is not here"),
        }
    }

    /// Its URL, as managers and agents take it.
    #[must_use]
    pub fn discovery(&self) -> String {
        match self {
            Self::Consul(store) => store.discovery(),
            Self::Ensemble(servers) => servers.discovery(),
        }
    }

    /// Which server leads.
    ///
    /// # Errors
    /// When none does for long.
    pub async fn leader(&self) -> Result<usize> {
        match self {
            Self::Consul(_) => Ok(0),
            Self::Ensemble(servers) => servers.leader().await,
        }
    }

    /// Kills a server at once. What it holds stays.
    ///
    /// # Errors
    /// When there is no such server.
    pub async fn kill(&mut self, index: usize) -> Result<()> {
        match self {
            Self::Consul(store) => store.stop().await,
            Self::Ensemble(servers) => servers.kill(index)?,
        }
        Ok(())
    }

    /// Starts what was killed, and waits until the store serves.
    ///
    /// # Errors
    /// When it does not in time.
    pub async fn start_all(&mut self) -> Result<()> {
        match self {
            Self::Consul(store) => store.start_again().await,
            Self::Ensemble(servers) => servers.start_all().await,
        }
    }

    /// Stops all servers as SIGSTOP does.
    ///
    /// # Errors
    /// When one does not run, or is no process: the double of Consul.
    pub async fn freeze(&mut self) -> Result<()> {
        match self {
            Self::Consul(store) => store.freeze().await,
            Self::Ensemble(servers) => {
                for index in 0..servers.size() {
                    servers.freeze(index).await?;
                }
                Ok(())
            }
        }
    }

    /// Lets all servers go on.
    ///
    /// # Errors
    /// When one does not run.
    pub fn thaw(&mut self) -> Result<()> {
        match self {
            Self::Consul(store) => store.thaw(),
            Self::Ensemble(servers) => {
                (0..servers.size()).try_for_each(|index| servers.thaw(index))
            }
        }
    }
}
