//! Every store keeps the same contract: one set of tests for the doubles of Consul, etcd and ZooKeeper, a real Consul where
//! there is one, and real servers of the others.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use swarm::store::Store;
use swarm_core::address::HostPort;
use swarm_core::election::{Reading, Record, SwapOutcome, Version};
use swarm_models::trouble::Outage;
use swarm_models::{etcd as etcd_model, zookeeper as zookeeper_model};
use swarm_tests::double::{Double, Modelled};
use swarm_tests::ensemble::{self, Ensemble, Kind};
use swarm_tests::store as consul;

mod classic_agents;
mod cluster;
mod contract;
mod ensembles;
mod etcd;
mod zookeeper;

/// Long enough for a busy machine, short enough that a test of silence ends.
const OPERATION: Duration = Duration::from_secs(2);

/// A store of one server, and who talks to it.
struct Subject {
    store: Arc<dyn Store>,
    server: Server,
}

enum Server {
    Consul(consul::Store),
    Etcd(Double<etcd_model::Cluster>),
    ZooKeeper(Double<zookeeper_model::Cluster>),
    Ensemble(Ensemble),
}

impl Subject {
    async fn double() -> Result<Option<Self>> {
        let server = consul::Store::start_double().await?;
        Self::of(Server::Consul(server)).map(Some)
    }

    async fn etcd_double() -> Result<Option<Self>> {
        let server = Double::start().await?;
        Self::of(Server::Etcd(server)).map(Some)
    }

    async fn zookeeper_double() -> Result<Option<Self>> {
        let server = Double::start().await?;
        Self::of(Server::ZooKeeper(server)).map(Some)
    }

    async fn real_consul() -> Result<Option<Self>> {
        let Some(binary) = consul::real_binary() else {
            println!("skipped: no consul on PATH and none named by SWARM_TEST_CONSUL");
            return Ok(None);
        };
        let server = consul::Store::start_real(binary).await?;
        Self::of(Server::Consul(server)).map(Some)
    }

    async fn ensemble(kind: Kind, size: usize) -> Result<Option<Self>> {
        if !kind.is_here()? {
            return Ok(None);
        }
        let server = Ensemble::start(kind, size).await?;
        Self::of(Server::Ensemble(server)).map(Some)
    }

    fn of(server: Server) -> Result<Self> {
        let store = open(&server.discovery(), &[])?;
        Ok(Self { store, server })
    }

    /// Somebody else at the same store.
    fn other(&self) -> Result<Arc<dyn Store>> {
        open(&self.server.discovery(), &[])
    }
}

impl Server {
    fn discovery(&self) -> String {
        match self {
            Self::Consul(server) => server.discovery(),
            Self::Etcd(server) => server.discovery(),
            Self::ZooKeeper(server) => server.discovery(),
            Self::Ensemble(server) => server.discovery(),
        }
    }

    async fn stop(&mut self) {
        match self {
            Self::Consul(server) => server.stop().await,
            Self::Etcd(server) => server.stop().await,
            Self::ZooKeeper(server) => server.stop().await,
            Self::Ensemble(server) => server.kill_all(),
        }
    }

    async fn start_again(&mut self) -> Result<()> {
        match self {
            Self::Consul(server) => server.start_again().await,
            Self::Etcd(server) => server.start_again().await,
            Self::ZooKeeper(server) => server.start_again().await,
            Self::Ensemble(server) => server.start_all().await,
        }
    }

    async fn wipe(&mut self) -> Result<()> {
        match self {
            Self::Consul(server) => server.wipe().await,
            Self::Etcd(server) => {
                server.cluster.wipe();
                Ok(())
            }
            Self::ZooKeeper(server) => {
                server.cluster.wipe();
                Ok(())
            }
            Self::Ensemble(server) => server.wipe().await,
        }
    }

    /// It takes connections and says nothing.
    async fn hang(&mut self) -> Result<()> {
        match self {
            Self::Consul(server) => match server.double() {
                Some(cluster) => {
                    cluster
                        .server(0)
                        .faults(|faults| faults.outage = Outage::Hung);
                    Ok(())
                }
                None => server.freeze().await,
            },
            Self::Etcd(server) => {
                server.cluster.set_outage(Outage::Hung);
                Ok(())
            }
            Self::ZooKeeper(server) => {
                server.cluster.set_outage(Outage::Hung);
                Ok(())
            }
            Self::Ensemble(server) => {
                for index in 0..server.size() {
                    server.freeze(index).await?;
                }
                Ok(())
            }
        }
    }

    fn go_on(&mut self) -> Result<()> {
        match self {
            Self::Consul(server) => match server.double() {
                Some(cluster) => {
                    cluster
                        .server(0)
                        .faults(|faults| faults.outage = Outage::None);
                    Ok(())
                }
                None => server.thaw(),
            },
            Self::Etcd(server) => {
                server.cluster.set_outage(Outage::None);
                Ok(())
            }
            Self::ZooKeeper(server) => {
                server.cluster.set_outage(Outage::None);
                Ok(())
            }
            Self::Ensemble(server) => (0..server.size()).try_for_each(|index| server.thaw(index)),
        }
    }
}

/// The store at `discovery`.
fn open(discovery: &str, options: &[&str]) -> Result<Arc<dyn Store>> {
    ensemble::open(discovery, options, OPERATION)
}

fn record(epoch: u64, nonce: &str) -> Record {
    let Ok(holder) = HostPort::new("127.0.0.1", 4_000) else {
        unreachable!("an address")
    };
    Record {
        cluster: "c".into(),
        epoch,
        holder,
        instance: "i".into(),
        nonce: nonce.into(),
        beat: 0,
        lease_ms: 2_000,
        released: false,
        failsafe: false,
        members: Vec::new(),
    }
}

fn swapped(outcome: SwapOutcome) -> Result<Version> {
    match outcome {
        SwapOutcome::Swapped(version) => Ok(version),
        other @ (SwapOutcome::Conflict(_) | SwapOutcome::NotApplied | SwapOutcome::Unknown) => {
            bail!("not swapped: {other:?}")
        }
    }
}

fn epoch(reading: &Reading) -> Option<u64> {
    reading.record().map(|record| record.epoch)
}
