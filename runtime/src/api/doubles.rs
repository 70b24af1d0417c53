//! Removes what a create left behind that arrived after its repetition; see [`swarm_core::cluster::Double`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use http::{Method, Request, StatusCode};
use swarm_core::cluster::{Double, SWARM_ID_LABEL};
use swarm_core::engine::{Event, Part};
use swarm_core::testbed::{Mark, reach};
use swarm_core::watch;

use super::Api;
use super::answer::ApiError;
use super::engine::{Target, uri};
use crate::election::ElectionView;
use crate::engine::{Subscription, SubscriptionError};
use crate::http::body;

/// Creates that are remembered.
const MADE_MAX: usize = 10_000;

/// The newest containers that this manager made, by the IDs of their creates, with the epochs: they may be gone when a
/// former attempt arrives.
#[derive(Default)]
pub(super) struct Made {
    epochs: BTreeMap<String, u64>,
    order: VecDeque<String>,
}

impl Made {
    pub(super) fn remember(&mut self, swarm_id: &str, epoch: u64) {
        if self.epochs.insert(swarm_id.to_owned(), epoch).is_none() {
            self.order.push_back(swarm_id.to_owned());
        }
        if self.order.len() > MADE_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.epochs.remove(&oldest);
        }
    }
}

impl Api {
    /// The epoch in which this manager made the container of this ID.
    pub(super) fn made_in(&self, swarm_id: &str) -> Option<u64> {
        self.made().epochs.get(swarm_id).copied()
    }

    pub(super) fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks for doubles whenever this manager becomes the primary, an engine appears, or a container does.
    pub(crate) fn watch_for_doubles(self: &Arc<Self>, election: watch::Receiver<ElectionView>) {
        let events = self.fleet.listen();
        let task = watch(Arc::downgrade(self), events, election);
        self.platform.spawn("doubles", Box::pin(task));
    }

    async fn remove_doubles(&self, doubles: Doubles) {
        for double in &doubles.containers {
            note(double, self.remove_double(double).await);
        }
        for double in &doubles.networks {
            note(double, self.remove_network_double(double).await);
        }
    }

    async fn remove_double(&self, double: &Double) -> Result<(), ApiError> {
        let Some(target) = self.holder(double)? else {
            return Ok(());
        };
        if self.remove_unstarted(&target, &double.id, None).await? {
            reach(Mark::DoubleRemoved);
            tracing::warn!(
                engine = %target.name,
                container = %double.id,
                kept = double.kept.as_deref(),
                "Removed a container that was never started: its create had been repeated in a later epoch"
            );
        }
        Ok(())
    }

    /// An engine refuses to remove a network that is in use.
    async fn remove_network_double(&self, double: &Double) -> Result<(), ApiError> {
        let Some(target) = self.holder(double)? else {
            return Ok(());
        };
        let path = format!("/networks/{}", double.id);
        let removed = self.delete(&target, &path, None).await?;
        self.fleet.refresh(&target.address, Part::Networks).await;
        if removed {
            reach(Mark::DoubleRemoved);
            tracing::warn!(
                engine = %target.name,
                network = %double.id,
                kept = double.kept.as_deref(),
                "Removed a network that nothing was on: its create had been repeated in a later epoch"
            );
        }
        Ok(())
    }

    /// The engine of a double, unless it has left.
    fn holder(&self, double: &Double) -> Result<Option<Target>, ApiError> {
        let cluster = self.fleet.cluster().read();
        let engine = cluster.engine(&double.engine);
        engine
            .map(|engine| Target::healthy(&cluster, engine, None, &double.id))
            .transpose()
    }

    /// Removes a container, unless it runs after all; its volumes stay in any case. Whether it was there to be removed.
    pub(super) async fn remove_unstarted(
        &self,
        target: &Target,
        id: &str,
        epoch: Option<u64>,
    ) -> Result<bool, ApiError> {
        let path = format!("/containers/{id}");
        let removed = self.delete(target, &path, epoch).await?;
        self.fleet.refresh_container(&target.address, id).await;
        Ok(removed)
    }

    async fn delete(
        &self,
        target: &Target,
        path: &str,
        epoch: Option<u64>,
    ) -> Result<bool, ApiError> {
        let mut request = Request::new(body::empty());
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = uri(&format!("/v{}{path}", target.version), "")?;
        let response = self
            .dispatch(target, request, self.work(), Some(epoch))
            .await?;
        Ok(response.status() == StatusCode::NO_CONTENT)
    }

    pub(super) fn all_doubles(&self) -> Doubles {
        // One lock after the other: a reader that waits behind a writer which waits for that reader waits for ever.
        let containers = self.fleet.cluster().read().doubles();
        let networks = self.network_doubles();
        Doubles {
            containers,
            networks,
        }
    }

    fn network_doubles(&self) -> Vec<Double> {
        let cluster = self.fleet.cluster().read();
        cluster.network_doubles(|swarm_id| self.made_in(swarm_id))
    }

    /// What an event leads to; `None` if it makes nothing.
    fn doubles_after(&self, event: &Event) -> Option<Doubles> {
        if appears(event) {
            return Some(self.all_doubles());
        }
        match (event.kind.as_str(), event.action.as_str()) {
            ("container", "create") => {
                let swarm_id = event.attributes.get(SWARM_ID_LABEL)?;
                let cluster = self.fleet.cluster().read();
                Some(Doubles {
                    containers: cluster.doubles_of(swarm_id, self.made_in(swarm_id)),
                    networks: Vec::new(),
                })
            }
            ("network", "create") => Some(Doubles {
                containers: Vec::new(),
                networks: self.network_doubles(),
            }),
            _ => None,
        }
    }
}

pub(super) struct Doubles {
    containers: Vec<Double>,
    networks: Vec<Double>,
}

fn note(double: &Double, removed: Result<(), ApiError>) {
    if let Err(error) = removed {
        // It is looked for again when its engine comes back, and by the next primary.
        let error = error.to_string();
        tracing::debug!(engine = %double.engine, id = %double.id, error, "cannot remove a double");
    }
}

async fn watch(
    api: Weak<Api>,
    mut events: Subscription,
    mut election: watch::Receiver<ElectionView>,
) {
    let mut epoch = None;
    loop {
        let heard = tokio::select! {
            biased;
            changed = election.changed() => match changed {
                Ok(()) => None,
                Err(_) => return,
            },
            heard = events.next() => Some(heard),
        };
        let Some(api) = api.upgrade() else { return };
        let authority = election.borrow_and_update().authority;
        let acted_in = std::mem::replace(&mut epoch, authority.map(|authority| authority.epoch));
        match heard {
            Some(Err(SubscriptionError::Closed)) => return,
            Some(Err(SubscriptionError::Lagged { .. })) => events = api.fleet.listen(),
            Some(Ok(_)) | None => {}
        }
        // Only the primary removes any.
        if epoch.is_none() {
            continue;
        }
        let doubles = match &heard {
            Some(Ok(heard)) => api.doubles_after(&heard.event),
            None if epoch == acted_in => None,
            Some(Err(_)) | None => Some(api.all_doubles()),
        };
        if let Some(doubles) = doubles {
            api.remove_doubles(doubles).await;
        }
    }
}

/// Whether an engine is there (again), with all it has.
fn appears(event: &Event) -> bool {
    event.kind == "swarm" && matches!(event.action.as_str(), "engine_connect" | "engine_reconnect")
}
