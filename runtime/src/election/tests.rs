//! Electors against the Consul double over loopback: who acts, who may dispatch, what a sick store changes.

use std::sync::Arc;
use std::time::Duration;

use swarm_core::discovery::{KV_PATH_DEFAULT, KeyLayout};
use swarm_core::election::Fence;
use swarm_models::consul::faults::Outage;
use swarm_models::consul::{Cluster, Options};
use swarm_models::tokio_host::{StopHandle, TokioHost, serve_tcp};

use super::*;
use crate::api::{Gate, NotPrimary};
use crate::http::Client;
use crate::http::client::ClientConfig;
use crate::platform::TokioPlatform;
use crate::store::consul::{Consul, ConsulConfig};

const LEASE: Duration = Duration::from_millis(500);

struct Bench {
    platform: SharedPlatform,
    cluster: Arc<Cluster>,
    address: HostPort,
    _stop: StopHandle,
}

impl Bench {
    async fn new() -> Self {
        let cluster = Cluster::new(Arc::new(TokioHost::new()), Options::default());
        let (address, stop) = serve_tcp("127.0.0.1:0", Arc::new(cluster.server(0)))
            .await
            .unwrap();
        let platform: SharedPlatform = Arc::new(TokioPlatform::new().unwrap());
        Self {
            platform,
            cluster,
            address: address.to_string().parse().unwrap(),
            _stop: stop,
        }
    }

    fn elector(&self, name: &str) -> Arc<Elector> {
        let config = ConsulConfig {
            servers: vec![self.address.clone()],
            token: None,
            layout: KeyLayout::new("nodes", KV_PATH_DEFAULT).unwrap(),
            operation: LEASE / 4,
        };
        let client = Client::new(self.platform.clone(), ClientConfig::default());
        let store = Consul::new(self.platform.clone(), client.clone(), config);
        let config = ElectionConfig {
            advertise: format!("{name}:4000").parse().unwrap(),
            instance: format!("{name}0"),
            lease: LEASE,
            fence: Fence::Verify,
            failsafe: false,
        };
        Elector::start(&self.platform, store, &client, config)
    }
}

async fn acts(elector: &Elector, epoch: u64) {
    let mut view = elector.view();
    let acting = view.wait_for(|view| {
        view.authority
            .is_some_and(|authority| authority.epoch == epoch)
    });
    acting.await.unwrap();
}

async fn follows(elector: &Elector, leader: &str) {
    let mut view = elector.view();
    let address: HostPort = format!("{leader}:4000").parse().unwrap();
    view.wait_for(|view| {
        view.leader
            .as_ref()
            .is_some_and(|leader| leader.address == address)
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_resigned_primary_hands_over_and_writes_of_the_old_epoch_stop() {
    let bench = Bench::new().await;
    let first = bench.elector("a");
    acts(&first, 1).await;
    let second = bench.elector("b");
    follows(&second, "a").await;
    let pass = first.gate(LEASE).pass(Some(1)).await.unwrap();
    assert_eq!(pass.check(), Ok(()));
    let late = first.gate(LEASE).pass(Some(1)).await.unwrap();
    assert!(
        second.gate(LEASE).pass(None).await.is_err(),
        "a replica dispatches nothing"
    );
    first.resign(Resignation::Stop).await;
    assert_eq!(late.check(), Err(NotPrimary));
    acts(&second, 2).await;
    assert!(second.gate(LEASE).pass(Some(2)).await.is_ok());
    assert!(
        second.gate(LEASE).pass(Some(1)).await.is_err(),
        "an epoch that is over"
    );
}

#[tokio::test]
async fn a_gate_without_patience_still_waits_for_the_store_to_confirm() {
    let bench = Bench::new().await;
    let elector = bench.elector("a");
    acts(&elector, 1).await;
    let pass = elector.gate(Duration::ZERO).pass(Some(1)).await;
    assert_eq!(pass.unwrap().check(), Ok(()));
}

#[tokio::test]
async fn the_primarys_address_is_written_where_scripts_look() {
    let bench = Bench::new().await;
    let elector = bench.elector("a");
    acts(&elector, 1).await;
    let key = "nodes/docker/swarm/leader";
    while bench.cluster.get(key).is_none() {
        sleep(bench.platform.as_ref(), Duration::from_millis(5)).await;
    }
    assert_eq!(&bench.cluster.get(key).unwrap().value[..], b"a:4000");
}

#[tokio::test]
async fn mutations_wait_for_a_store_that_is_away_and_the_epoch_stays() {
    let bench = Bench::new().await;
    let elector = bench.elector("a");
    acts(&elector, 1).await;
    bench.cluster.faults(|faults| faults.outage = Outage::Down);
    while elector.acting().is_some() {
        sleep(bench.platform.as_ref(), Duration::from_millis(20)).await;
    }
    let short = elector.gate(Duration::from_millis(50));
    assert!(short.pass(None).await.is_err(), "patience ends");
    let gate = elector.gate(Duration::from_secs(20));
    let waiting = gate.pass(None);
    let returning = async {
        sleep(bench.platform.as_ref(), Duration::from_millis(200)).await;
        bench.cluster.faults(|faults| faults.outage = Outage::None);
    };
    let (pass, ()) = tokio::join!(waiting, returning);
    assert_eq!(pass.unwrap().check(), Ok(()));
    assert_eq!(elector.view().borrow().epoch, 1);
}

#[tokio::test]
async fn an_emptied_store_leads_to_a_higher_epoch() {
    let bench = Bench::new().await;
    let elector = bench.elector("a");
    acts(&elector, 1).await;
    bench.cluster.wipe();
    acts(&elector, 2).await;
}
