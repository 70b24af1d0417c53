//! The steps of rescheduling: makes containers again elsewhere, ends moves that were begun, and clears former copies away
//! when their engine returns. What is to be done is decided in [`swarm_core::reschedule`].
//!
//! Each step is a request of its own that passes the gate: a manager that is no longer the primary stops at the next one.
//! Whatever a job leaves undone shows in the view, and is a job for whoever is the primary then.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use swarm_core::address::HostPort;
use swarm_core::api::Query;
use swarm_core::cluster::{Engine, Move, retired_name};
use swarm_core::reschedule::{Job, Outcome, Work};
use swarm_core::testbed::{Mark, Mutant, planted, reach};

use super::Api;
use super::answer::{ApiError, message_in};

use super::containers::id_in;
use super::copies::{Former, Old};
use super::create::Finished;
use super::engine::{Target, uri, within};
use super::plan::Plan;
use crate::http::{Body, body};

/// How long a failed engine may take to show that it lives after all.
const LAST_LOOK: Duration = Duration::from_secs(5);
/// What an engine's answer may take.
const ANSWER_BYTES_MAX: usize = 1 << 20;

impl Api {
    /// Does one job of rescheduling.
    pub(super) async fn do_job(&self, job: &Job) -> Outcome {
        let done = match job.work {
            Work::Move => self.move_container(job).await,
            Work::Finish => self.finish(job, &job.engine, &job.id).await,
            Work::Remove => self.remove_former(job).await,
            Work::Retire => self.retire(job).await,
        };
        match done {
            Ok(()) => Outcome::Done,
            Err(ApiError::Refused(_, reason)) => Outcome::Failed(reason),
            Err(ApiError::NotDispatched(_)) => Outcome::Stopped,
        }
    }

    /// Makes the container again on another engine and starts it if it ran.
    async fn move_container(&self, job: &Job) -> Result<(), ApiError> {
        let Some(old) = Old::find(&self.fleet.cluster().read(), job) else {
            return Ok(());
        };
        if self.answers(&old.target).await {
            return Err(ApiError::NotDispatched(None));
        }
        let plan = self.plan_move(job, &old)?;
        self.free_endpoints(job, &old).await?;
        let id = match self.create(&plan).await? {
            Finished::Engine(_, StatusCode::CREATED, text) => id_in(&text).unwrap_or_default(),
            Finished::Engine(_, status, text) => {
                return Err(ApiError::new(status, message_in(&text)));
            }
            Finished::Refused(status, reason) => return Err(ApiError::new(status, reason)),
            Finished::NotDispatched => return Err(ApiError::NotDispatched(None)),
        };
        let (address, name) = {
            let cluster = self.fleet.cluster().read();
            let (engine, _) = cluster.container(&id)?;
            (engine.address.clone(), engine.name().to_owned())
        };
        reach(Mark::Rescheduled);
        let (old_id, from) = (&job.id, &old.target.name);
        tracing::info!("Rescheduled container {old_id} from {from} to {name} as {id}");
        self.warn_of_volumes(&old, &name, &id);
        self.finish(job, &address, &id).await
    }

    /// Whether something answers at an engine that is taken for failed: then nothing on it is known to be gone.
    async fn answers(&self, engine: &Target) -> bool {
        let mut request = Request::new(body::empty());
        let Ok(path) = uri("/_ping", "") else {
            return false;
        };
        *request.uri_mut() = path;
        let asked = self
            .dispatch(engine, request, within(LAST_LOOK), None)
            .await;
        asked.is_ok_and(|answer| answer.status().is_success())
    }

    fn plan_move(&self, job: &Job, old: &Old) -> Result<Plan, ApiError> {
        let unusable = |reason: String| {
            let text = format!("its configuration cannot be used: {reason}");
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, text)
        };
        let container = &old.container;
        if container.name().is_empty() {
            return Err(unusable("it has no name".to_owned()));
        }
        let Some(recipe) = container.recipe() else {
            return Err(unusable("it is not known".to_owned()));
        };
        let cluster = self.fleet.cluster().read();
        let successor = |called: &str| {
            let on_old = cluster.container_on(&job.engine, called).ok()?;
            let (_, newer) = cluster.successor(on_old)?;
            Some(newer.id.to_string())
        };
        let remake = recipe
            .remake(container, old.target.cpus, successor)
            .map_err(|error| unusable(error.to_string()))?;
        let now = self.platform.wall().0 / 1_000_000;
        let before = self
            .moves
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(now.max(last.saturating_add(1)))
            });
        let serial = now.max(before.unwrap_or_default().saturating_add(1));
        let moved = Move::of(container, serial, remake.networks.clone());
        let mut plan = Plan::of_move(&remake, moved, container.name(), job.epoch)?;
        // Data that only a dead engine has ties a container to nothing: the new one begins with an empty volume.
        plan.request.dependencies.volumes.retain(|name| {
            let mut healthy = cluster.validated().filter(|engine| engine.is_healthy());
            healthy.any(|engine| engine.volumes().any(|volume| volume.name == *name))
        });
        Ok(plan)
    }

    fn warn_of_volumes(&self, old: &Old, engine: &str, id: &str) {
        let volumes: Vec<_> = {
            let cluster = self.fleet.cluster().read();
            let Some(from) = cluster.engine(&old.target.address) else {
                return;
            };
            let local = |name: &&str| {
                let mut volumes = from.volumes();
                volumes.any(|volume| volume.name == **name && volume.is_local())
            };
            let mounts = old.container.mounts.iter().map(|mount| mount.name.as_str());
            mounts.filter(local).map(str::to_owned).collect()
        };
        if !volumes.is_empty() {
            tracing::warn!(
                container = id,
                engine,
                volumes = volumes.join(", "),
                "The data of local volumes stayed on engine {}: the rescheduled container has none of it",
                old.target.name
            );
        }
    }

    /// Networks of the whole cluster still know the endpoint of the old container, and take no second one of its name.
    async fn free_endpoints(&self, job: &Job, old: &Old) -> Result<(), ApiError> {
        let networks = old.global_networks(&self.fleet.cluster().read());
        for (network, target) in networks {
            let path = format!("/networks/{network}/disconnect");
            let body = json!({"Container": old.container.name(), "Force": true});
            match self.post(job, &target, &path, "", Some(&body)).await {
                Ok((status, _)) if status.is_success() || status == StatusCode::NOT_FOUND => {}
                Ok((_, text)) => {
                    let reason = message_in(&text);
                    tracing::debug!(engine = %target.name, network, reason, "cannot free an endpoint");
                }
                Err(closed @ ApiError::NotDispatched(_)) => return Err(closed),
                Err(ApiError::Refused(_, reason)) => {
                    tracing::debug!(engine = %target.name, network, reason, "cannot free an endpoint");
                }
            }
        }
        Ok(())
    }

    /// Joins the networks that a copy is to be in, and starts it if it is to run.
    async fn finish(&self, job: &Job, engine: &HostPort, id: &str) -> Result<(), ApiError> {
        let Some(copy) = Old::at(&self.fleet.cluster().read(), engine, id) else {
            return Ok(());
        };
        let Some(moved) = copy.container.moved().cloned() else {
            return Ok(());
        };
        let joined = |name: &str| {
            copy.container
                .networks
                .iter()
                .any(|used| *used.name == *name)
        };
        for (name, endpoint) in moved.networks.iter().filter(|(name, _)| !joined(name)) {
            self.join_network(job, &copy, name, endpoint).await?;
        }
        if moved.start && copy.container.is_untouched() {
            let old = moved.replaces().last().map_or("", String::as_str);
            tracing::info!("Container {old} was running, starting container {id}");
            let path = format!("/containers/{id}/start");
            let (status, text) = self.post(job, &copy.target, &path, "", None).await?;
            self.fleet.refresh_container(engine, id).await;
            if !status.is_success() && status != StatusCode::NOT_MODIFIED {
                let reason = message_in(&text);
                let text = format!(
                    "container {id} on {} does not start: {reason}",
                    copy.target.name
                );
                return Err(ApiError::new(status, text));
            }
            reach(Mark::RescheduledRuns);
        }
        Ok(())
    }

    async fn join_network(
        &self,
        job: &Job,
        copy: &Old,
        name: &str,
        endpoint: &Value,
    ) -> Result<(), ApiError> {
        let (engine, id) = (&copy.target, &copy.container.id);
        let network = {
            let cluster = self.fleet.cluster().read();
            let networks = cluster.engine(&engine.address).map(Engine::networks);
            let found = networks.and_then(|mut all| all.find(|network| network.name == name));
            found.map(|network| network.id.clone())
        };
        let Some(network) = network else {
            let text = format!(
                "network {name} is missing on engine {}: create it there, container {id} has to join it",
                engine.name
            );
            return Err(ApiError::new(StatusCode::NOT_FOUND, text));
        };
        let path = format!("/networks/{network}/connect");
        let body = json!({"Container": **id, "EndpointConfig": endpoint});
        let (status, text) = self.post(job, engine, &path, "", Some(&body)).await?;
        self.fleet.refresh_container(&engine.address, id).await;
        let reason = message_in(&text);
        if status.is_success() || reason.contains("already exists in network") {
            return Ok(());
        }
        let text = format!(
            "container {id} cannot join network {name} on {}: {reason}",
            engine.name
        );
        Err(ApiError::new(status, text))
    }

    async fn remove_former(&self, job: &Job) -> Result<(), ApiError> {
        let Some(former) = Former::find(&self.fleet.cluster().read(), job) else {
            return Ok(());
        };
        let (old, newer) = (&former.old, &former.newer_id);
        if self
            .remove_unstarted(&old.target, &job.id, job.epoch)
            .await?
        {
            tracing::warn!(
                engine = %old.target.name,
                container = %job.id,
                kept = %newer,
                kept_on = %former.newer_engine,
                "Removed a container that was never started: another one was made in its place while its engine did not \
                 answer"
            );
        }
        Ok(())
    }

    /// Two copies live: the older one is stopped and kept under another name, so that nothing it has is lost.
    async fn retire(&self, job: &Job) -> Result<(), ApiError> {
        let Some(former) = self.look_at_both(job).await else {
            return Ok(());
        };
        let (target, container) = (&former.old.target, &former.old.container);
        let ran = container.is_running();
        if ran {
            if !former.newer_runs {
                return Ok(());
            }
            // Or its engine would start it again.
            let never = json!({"RestartPolicy": {"Name": "no"}});
            self.change_former(job, target, "update", "", Some(&never))
                .await?;
            self.change_former(job, target, "stop", "", None).await?;
        }
        let name = retired_name(container);
        let query = Query::default().with("name", &name);
        self.change_former(job, target, "rename", query.as_str(), None)
            .await?;
        reach(Mark::FormerRetired);
        tracing::warn!(
            engine = %target.name,
            container = %job.id,
            kept_as = %name,
            newer = %former.newer_id,
            newer_engine = %former.newer_engine,
            stopped = ran,
            "A container was moved while its engine did not answer, and is still there: the newer one stays, this one is \
             kept and can be removed when nothing in it is needed"
        );
        Ok(())
    }

    /// The former copy and the newer one, which is read anew: nothing is stopped on hearsay.
    async fn look_at_both(&self, job: &Job) -> Option<Former> {
        let found = Former::find(&self.fleet.cluster().read(), job)?;
        self.fleet
            .refresh_container(&found.newer_address, &found.newer_id)
            .await;
        Former::find(&self.fleet.cluster().read(), job)
    }

    async fn change_former(
        &self,
        job: &Job,
        target: &Target,
        action: &str,
        query: &str,
        content: Option<&Value>,
    ) -> Result<(), ApiError> {
        let path = format!("/containers/{}/{action}", job.id);
        let (status, text) = self.post(job, target, &path, query, content).await?;
        self.fleet.refresh_container(&job.engine, &job.id).await;
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(());
        }
        let text = format!(
            "cannot {action} it on {}: {}",
            target.name,
            message_in(&text)
        );
        Err(ApiError::new(status, text))
    }

    /// Sends a change of swarm's own and reads the answer.
    async fn post(
        &self,
        job: &Job,
        target: &Target,
        path: &str,
        query: &str,
        content: Option<&Value>,
    ) -> Result<(StatusCode, bytes::Bytes), ApiError> {
        let mut request =
            Request::new(content.map_or_else(body::empty, |one| body::full(one.to_string())));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri(&format!("/v{}{path}", target.version), query)?;
        if content.is_some() {
            let json = http::HeaderValue::from_static("application/json");
            request
                .headers_mut()
                .insert(http::header::CONTENT_TYPE, json);
        }
        let outside = planted(Mutant::ReschedulesOutsideLease);
        let gated = Some(job.epoch).filter(|_| !outside);
        let response: Response<Body> = self.dispatch(target, request, self.work(), gated).await?;
        let status = response.status();
        let text = body::collect_limited(response.into_body(), ANSWER_BYTES_MAX).await?;
        Ok((status, text))
    }
}
