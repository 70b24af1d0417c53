//! What the view does not have while this manager is new as the primary.
//!
//! A primary sees what it changes before it acknowledges it. A replica that takes over may not have heard an engine for a
//! moment: what the last primary acknowledged then is on the engine and not in the view. So for a while the engines are
//! asked before anybody is told that there is no such container.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use swarm_core::api::{ApiVersion, ContainerAction, ContainerRef, Route};
use swarm_core::cluster::Cluster;
use swarm_core::engine::Part;
use swarm_core::time::Mono;

use super::Api;
use super::answer::ApiError;
use super::containers::{INSPECT_BYTES_MAX, id_in};
use super::engine::{Target, healthy_targets};
use super::join::first_found;
use crate::platform::BoxFuture;

/// How long a primary is new: as long as the slowest round by default, in which each engine is read again.
const NEW_FOR: Duration = Duration::from_secs(60);

/// The epoch in which requests are served, and since when.
#[derive(Default)]
pub(super) struct Takeover(Mutex<Option<(u64, Mono)>>);

impl Takeover {
    /// Whether the first request of this epoch came a short while ago.
    fn is_recent(&self, epoch: u64, now: Mono) -> bool {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_none_or(|(seen, _)| seen < epoch) {
            *seen = Some((epoch, now));
        }
        seen.is_some_and(|(_, since)| now.since(since) < NEW_FOR)
    }
}

impl Api {
    /// Whether what the view does not have may be on an engine all the same.
    pub(super) fn may_be_missed(&self, epoch: Option<u64>) -> bool {
        epoch.is_some_and(|epoch| self.takeover.is_recent(epoch, self.platform.mono()))
    }

    /// What `look` finds in the view. If that is nothing and this manager is new as the primary, `part` of every engine is
    /// read anew first.
    pub(super) async fn found<T>(
        &self,
        part: Part,
        epoch: Option<u64>,
        look: impl Fn(&Cluster) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let missed = {
            let found = look(&self.fleet.cluster().read());
            match found {
                Err(ApiError::Refused(StatusCode::NOT_FOUND, _)) => self.may_be_missed(epoch),
                found => return found,
            }
        };
        if missed {
            let targets = healthy_targets(&self.fleet.cluster().read(), None);
            self.refresh_each(targets.iter(), part).await;
        }
        look(&self.fleet.cluster().read())
    }

    /// Asks every engine for the container called `name`, and takes it into the view where it is found.
    ///
    /// # Errors
    /// When it was not found and an engine did not answer, which may have it, or was never seen at all.
    pub(super) async fn look_for(
        &self,
        name: &str,
        version: Option<ApiVersion>,
    ) -> Result<(), ApiError> {
        // Engines know nothing of `<engine>/<name>`.
        let own_name = name.rsplit_once('/').map_or(name, |(_, own)| own);
        let Ok(reference) = ContainerRef::new(own_name) else {
            return Ok(());
        };
        let path = Route::Container(reference, ContainerAction::Inspect).path(None);
        let (targets, unseen) = {
            let cluster = self.fleet.cluster().read();
            let unseen = cluster.engines().find(|engine| engine.specs.is_none());
            let unseen = unseen.map(|engine| engine.address.clone());
            (healthy_targets(&cluster, version), unseen)
        };
        let asked: Vec<BoxFuture<'_, Result<Option<()>, ApiError>>> = targets
            .into_iter()
            .map(|target| {
                let path = &path;
                Box::pin(async move { self.look_on(&target, path).await })
                    as BoxFuture<'_, Result<Option<()>, ApiError>>
            })
            .collect();
        match (first_found(asked).await, unseen) {
            (Ok(None), Some(engine)) => Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "container {name} is not known here and may be on engine {engine}, which has not answered since this \
                     manager started"
                ),
            )),
            (Ok(_), _) => Ok(()),
            (Err(error), _) => Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!(
                    "container {name} is not known here and may be on an engine that does not answer: {error}"
                ),
            )),
        }
    }

    /// Something if the engine has it; then the view has it too.
    async fn look_on(&self, target: &Target, path: &str) -> Result<Option<()>, ApiError> {
        let (status, text) = self.ask(target, path, "", INSPECT_BYTES_MAX).await?;
        let found = (status == StatusCode::OK).then(|| id_in(&text)).flatten();
        if let Some(id) = &found {
            self.fleet.refresh_container(&target.address, id).await;
        }
        Ok(found.map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_epoch_is_new_for_a_while() {
        let takeover = Takeover::default();
        let at = |seconds: u64| Mono(seconds * 1_000_000_000);
        assert!(takeover.is_recent(1, at(100)));
        assert!(takeover.is_recent(1, at(159)));
        assert!(!takeover.is_recent(1, at(160)));
        assert!(takeover.is_recent(3, at(170)));
        assert!(takeover.is_recent(3, at(229)));
        assert!(!takeover.is_recent(3, at(231)));
    }
}
