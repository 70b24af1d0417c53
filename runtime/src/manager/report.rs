//! What a manager tells of itself: its role for `/info`, its status for operators and peers.

use std::sync::Arc;
use std::time::Duration;

use swarm_core::cluster::{Cluster, Replication, Role};

use super::peers::Peers;
use super::status::{CertificateStatus, EngineStatus, ManagerStatus};
use crate::api::{Fleet, RoleSource};
use crate::election::Elector;
use crate::engine::Engines;
use crate::platform::SharedPlatform;
use crate::tls::{Certificate, Keeper};

pub(super) struct Reporter {
    instance: String,
    version: String,
    elector: Option<Arc<Elector>>,
    peers: Option<Arc<Peers>>,
    engines: Engines,
    platform: SharedPlatform,
    certificates: Arc<Keeper>,
}

impl Reporter {
    pub(super) fn new(
        instance: &str,
        version: String,
        elector: Option<Arc<Elector>>,
        peers: Option<Arc<Peers>>,
        engines: Engines,
        platform: &SharedPlatform,
        certificates: &Arc<Keeper>,
    ) -> Arc<Self> {
        Arc::new(Self {
            instance: instance.to_owned(),
            version,
            elector,
            peers,
            engines,
            platform: platform.clone(),
            certificates: Arc::clone(certificates),
        })
    }

    pub(super) fn role_source(self: &Arc<Self>) -> RoleSource {
        let reporter = Arc::clone(self);
        Arc::new(move || (reporter.role(), reporter.replication()))
    }

    /// Whether requests are carried out, here or by a primary that is reached; in words why not.
    pub(super) fn readiness(&self) -> Result<(), String> {
        let Some(elector) = &self.elector else {
            return Ok(());
        };
        let Some(leader) = elector.view().borrow().leader.clone() else {
            return Err("no primary is known: requests wait for one".to_owned());
        };
        let unreachable = self.peers.as_ref().map(|peers| peers.unreachable());
        let address = leader.address.to_string();
        match unreachable
            .into_iter()
            .flatten()
            .find(|one| one.member == address)
        {
            Some(one) => Err(format!(
                "the primary at {address} cannot be reached: {}",
                one.reason
            )),
            None => Ok(()),
        }
    }

    pub(super) fn role(&self) -> Role {
        match &self.elector {
            Some(elector) if elector.acting().is_none() => Role::Replica,
            Some(_) | None => Role::Primary,
        }
    }

    fn replication(&self) -> Option<Replication> {
        let view = self.elector.as_ref()?.view().borrow().clone();
        Some(Replication {
            primary: view
                .leader
                .map(|leader| leader.address.to_string())
                .unwrap_or_default(),
            epoch: Some(view.epoch).filter(|epoch| *epoch > 0),
            failsafe: view.failsafe,
        })
    }

    pub(super) fn status(&self) -> ManagerStatus {
        let view = self
            .elector
            .as_ref()
            .map(|elector| elector.view().borrow().clone())
            .unwrap_or_default();
        let lease_left = self
            .elector
            .as_ref()
            .and_then(|elector| elector.lease_left());
        let millis = |left: Duration| u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        ManagerStatus {
            instance: self.instance.clone(),
            advertise: self
                .elector
                .as_ref()
                .map(|elector| elector.config().advertise.to_string()),
            role: match self.role() {
                Role::Primary => "primary",
                Role::Replica => "replica",
            }
            .to_owned(),
            epoch: view.epoch,
            lease_left_ms: lease_left.map(millis),
            primary: view.leader.map(|leader| leader.address.to_string()),
            failsafe: view.failsafe.name().map(str::to_owned),
            members: view.members.iter().map(ToString::to_string).collect(),
            unreachable: self
                .peers
                .as_ref()
                .map(|peers| peers.unreachable())
                .unwrap_or_default(),
            engines: self.engines(),
            version: self.version.clone(),
            certificate: self.certificate(),
        }
    }

    pub(super) fn certificates(&self) -> Vec<Certificate> {
        self.certificates.certificates()
    }

    pub(super) fn with_cluster<T>(&self, look: impl FnOnce(&Cluster) -> T) -> T {
        look(&self.engines.cluster().read())
    }

    fn certificate(&self) -> Option<CertificateStatus> {
        let certificate = self.certificates.first_to_end()?;
        Some(CertificateStatus {
            ends: certificate.ends.rfc3339(),
            days_left: certificate.days_left(self.platform.wall()),
        })
    }

    fn engines(&self) -> Vec<EngineStatus> {
        self.with_cluster(|cluster| {
            let one = |engine: &swarm_core::cluster::Engine| EngineStatus {
                name: engine.name().to_owned(),
                address: engine.address.to_string(),
                state: engine.state.to_string(),
                error: engine.error.clone(),
                drained: cluster.is_drained(engine),
            };
            cluster.engines().map(one).collect()
        })
    }
}
