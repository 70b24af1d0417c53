//! Removes what a create left behind that arrived after its repetition; see [`swarm_core::cluster::Double`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use http::{Method, Request, StatusCode};
use swarm_core::cluster::{Double, SWARM_ID_LABEL};
use swarm_core::engine::Event;
use swarm_core::testbed::{Mark, reach};
use swarm_core::watch;

use super::Api;
use super::answer::ApiError;
use super::engine::{Target, uri, work};
use crate::election::ElectionView;
use crate::engine::{Subscription, SubscriptionError};
use crate::http::body;

/// Creates that are remembered.
const MADE_MAX: usize = 10_000;

/// The newest creates that this manager acknowledged, with their epochs: what they made may be gone when a former
/// attempt arrives.
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
    /// The epoch in which this manager acknowledged the create of this ID.
    fn made_in(&self, swarm_id: &str) -> Option<u64> {
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

    async fn remove_doubles(&self, doubles: Vec<Double>) {
        for double in doubles {
            if let Err(error) = self.remove_double(&double).await {
                // It is looked for again when its engine comes back, and by the next primary.
                let error = error.to_string();
                tracing::debug!(engine = %double.engine, container = %double.id, error, "cannot remove a double");
            }
        }
    }

    async fn remove_double(&self, double: &Double) -> Result<(), ApiError> {
        let what = format!("container {}", double.id);
        let target = {
            let cluster = self.fleet.cluster().read();
            let Some(engine) = cluster.engine(&double.engine) else {
                return Ok(());
            };
            Target::healthy(&cluster, engine, None, &what)?
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

    /// Removes a container, unless it runs after all; its volumes stay in any case. Whether it was there to be removed.
    pub(super) async fn remove_unstarted(
        &self,
        target: &Target,
        id: &str,
        epoch: Option<u64>,
    ) -> Result<bool, ApiError> {
        let mut request = Request::new(body::empty());
        *request.method_mut() = Method::DELETE;
        let path = format!("/v{}/containers/{id}", target.version);
        *request.uri_mut() = uri(&path, "")?;
        let response = self.dispatch(target, request, work(), Some(epoch)).await?;
        self.fleet.refresh_container(&target.address, id).await;
        Ok(response.status() == StatusCode::NO_CONTENT)
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
        let cluster = api.fleet.cluster();
        let doubles = match heard {
            Some(Err(SubscriptionError::Closed)) => return,
            Some(Err(SubscriptionError::Lagged { .. })) => {
                events = api.fleet.listen();
                cluster.read().doubles()
            }
            Some(Ok(heard)) if appears(&heard.event) => cluster.read().doubles(),
            Some(Ok(heard)) => match made(&heard.event) {
                Some(swarm_id) => cluster.read().doubles_of(swarm_id, api.made_in(swarm_id)),
                None => continue,
            },
            None if epoch == acted_in => continue,
            None => cluster.read().doubles(),
        };
        if epoch.is_some() {
            api.remove_doubles(doubles).await;
        }
    }
}

/// Whether an engine is there (again), with all it has.
fn appears(event: &Event) -> bool {
    event.kind == "swarm" && matches!(event.action.as_str(), "engine_connect" | "engine_reconnect")
}

/// The swarm ID of a container that was made.
fn made(event: &Event) -> Option<&str> {
    let swarm_id = event.attributes.get(SWARM_ID_LABEL)?;
    (event.kind == "container" && event.action == "create").then_some(swarm_id)
}
