//! What the jobs of rescheduling work on: containers that are lost, begun, or replaced.

use swarm_core::address::HostPort;
use swarm_core::cluster::{Cluster, Container, Engine};
use swarm_core::reschedule::Job;

use super::engine::Target;

/// A container and its engine, as the view has them.
pub(super) struct Old {
    pub(super) target: Target,
    pub(super) container: Container,
}

impl Old {
    /// The container of a job that is still to be moved.
    pub(super) fn find(cluster: &Cluster, job: &Job) -> Option<Self> {
        let engine = cluster.engine(&job.engine)?;
        let old = Self::at(cluster, &job.engine, &job.id)?;
        let lost = cluster.has_failed(engine) && !cluster.is_replaced(&old.container);
        lost.then_some(old)
    }

    pub(super) fn at(cluster: &Cluster, engine: &HostPort, id: &str) -> Option<Self> {
        let engine = cluster.engine(engine)?;
        Some(Self {
            target: Target::of(cluster, engine, None),
            container: engine.container(id)?.clone(),
        })
    }

    /// The networks of more than one engine it is in, each with an engine that answers.
    pub(super) fn global_networks(&self, cluster: &Cluster) -> Vec<(String, Target)> {
        let own = cluster.engine(&self.target.address).map(Engine::networks);
        let own = own.into_iter().flatten().filter(|network| {
            let mut used = self.container.networks.iter();
            !network.is_local() && used.any(|used| *used.name == *network.name)
        });
        own.filter_map(|network| {
            let mut healthy = cluster.validated().filter(|engine| engine.is_healthy());
            let engine =
                healthy.find(|engine| engine.networks().any(|one| one.id == network.id))?;
            Some((network.id.clone(), Target::of(cluster, engine, None)))
        })
        .collect()
    }
}

/// A copy that another one has replaced.
pub(super) struct Former {
    pub(super) old: Old,
    pub(super) newer_id: String,
    pub(super) newer_address: HostPort,
    pub(super) newer_engine: String,
    pub(super) newer_runs: bool,
}

impl Former {
    pub(super) fn find(cluster: &Cluster, job: &Job) -> Option<Self> {
        let old = Old::at(cluster, &job.engine, &job.id)?;
        let (engine, newer) = cluster.successor(&old.container)?;
        Some(Self {
            newer_id: newer.id.to_string(),
            newer_address: engine.address.clone(),
            newer_engine: engine.name().to_owned(),
            newer_runs: newer.is_running() && engine.is_healthy(),
            old,
        })
    }
}
