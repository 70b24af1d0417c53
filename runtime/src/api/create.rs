//! `POST /containers/create`: place the container, make it, and make it only once.
//!
//! The request's ID becomes the container's `com.docker.swarm.id`. A create that comes again, because a connection or
//! a primary failed in between, finds what the first one made. The work itself runs in a task of its own: a client that
//! leaves does not cut it off halfway, and one that comes back waits for the same outcome.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use swarm_core::api::Query;
use swarm_core::cluster::{Reference, SWARM_ID_LABEL};
use swarm_core::engine::Part;
use swarm_core::json::RawObject;
use swarm_core::testbed::{Mutant, planted};
use swarm_core::watch;

use super::answer::{Answer, ApiError, json_text};
use super::attempts::lacks_image;
use super::containers::id_in;
use super::engine::{Target, clean_response, healthy_targets, silent, uri};
use super::join::first_found;
use super::plan::Plan;
use super::pull::Fetch;
use super::{Api, Call};
use crate::http::body;
use crate::platform::BoxFuture;

/// What an engine's answer may take.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// The credentials a missing image is pulled with.
pub(super) const REGISTRY_AUTH: HeaderName = HeaderName::from_static("x-registry-auth");

/// Where the end of a create that is under way will show.
pub(super) type Outcome = watch::Receiver<Option<Finished>>;

/// How a create ended, for everybody who waits for it.
#[derive(Clone, Debug)]
pub(super) enum Finished {
    /// An engine's answer.
    Engine(HeaderMap, StatusCode, Bytes),
    /// An answer of this manager's own.
    Refused(StatusCode, String),
    /// Nothing was sent.
    NotDispatched,
}

impl Api {
    pub(super) async fn create_container(self: Arc<Self>, mut call: Call) -> Answer {
        let text = self.take_body(&mut call).await?;
        let plan = Plan::read(
            &text,
            call.take_headers(),
            call.request.query,
            call.request.version,
            (call.request_id, call.epoch, call.repeat),
        )?;
        let mut outcome = self.start_create(plan);
        let finished = outcome.wait_for(Option::is_some).await;
        match finished.ok().and_then(|finished| finished.clone()) {
            Some(Finished::Engine(headers, status, text)) => {
                let mut response = Response::new(body::full(text));
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                Ok(clean_response(response))
            }
            Some(Finished::Refused(status, message)) => Err(ApiError::new(status, message)),
            Some(Finished::NotDispatched) => Err(ApiError::NotDispatched(Some(body::full(text)))),
            None => Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the creation stopped with an internal error; look for the container before trying again",
            )),
        }
    }

    /// Starts the creation, or joins the one of the same ID that is under way.
    fn start_create(self: &Arc<Self>, plan: Plan) -> Outcome {
        let mut creates = self.creates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = creates.get(&plan.id) {
            return outcome.clone();
        }
        let (sender, outcome) = watch::channel(None);
        creates.insert(plan.id.clone(), outcome.clone());
        let under_way = UnderWay {
            api: Arc::clone(self),
            id: plan.id.clone(),
        };
        let task = async move {
            let finished = match under_way.api.create(&plan).await {
                Ok(finished) => finished,
                Err(ApiError::Refused(status, message)) => Finished::Refused(status, message),
                Err(ApiError::NotDispatched(_)) => Finished::NotDispatched,
            };
            drop(under_way);
            sender.send_replace(Some(finished));
        };
        self.platform.spawn("create", Box::pin(task));
        outcome
    }

    /// Creates on one engine; pulls the image there first if it is missing.
    pub(super) async fn create_on(
        &self,
        target: &Target,
        plan: &Plan,
    ) -> Result<Finished, ApiError> {
        let outside = plan.moved.is_some() && planted(Mutant::ReschedulesOutsideLease);
        let gated = Some(plan.epoch).filter(|_| !outside);
        let mut finished = self.send_create(target, plan, gated).await?;
        if lacks_image(&finished) && self.pull_for_create(target, plan).await {
            let gated = gated.filter(|_| !planted(Mutant::GateSkippedOnSecondStep));
            finished = self.send_create(target, plan, gated).await?;
        }
        if let Finished::Engine(_, StatusCode::CREATED, text) = &finished
            && let Some(id) = id_in(text)
        {
            self.see(target, plan, &id).await?;
            // What an earlier epoch has made and this one only found is no double of itself.
            if let Some(epoch) = plan.epoch {
                self.made().remember(&plan.id, epoch);
            }
        }
        Ok(finished)
    }

    /// Makes sure that what is acknowledged can be found: an engine that dies right after a creation keeps the container
    /// from being seen, and `No such container` would be a lie about it.
    pub(super) async fn see(&self, target: &Target, plan: &Plan, id: &str) -> Result<(), ApiError> {
        let seen = || {
            let cluster = self.fleet.cluster().read();
            let engine = cluster.engine(&target.address);
            engine.is_some_and(|engine| engine.container(id).is_some())
        };
        // The event of the creation is often faster than the answer.
        if seen() {
            return Ok(());
        }
        self.fleet.join_container(&target.address, id).await;
        if seen() {
            return Ok(());
        }
        // Whoever removes a container at once may do so.
        if let Ok(None) = self.made_on(target, plan).await {
            return Ok(());
        }
        self.fleet.refresh_container(&target.address, id).await;
        if seen() {
            return Ok(());
        }
        Err(ApiError::new(
            StatusCode::BAD_GATEWAY,
            format!(
                "engine {} created container {id} and does not answer any more; look for it before trying again",
                target.name
            ),
        ))
    }

    async fn send_create(
        &self,
        target: &Target,
        plan: &Plan,
        gated: Option<Option<u64>>,
    ) -> Result<Finished, ApiError> {
        let text = plan
            .body(&self.fleet.cluster().read(), target)
            .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, error.to_string()))?;
        let mut request = Request::new(body::full(text));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri(
            &format!("/v{}/containers/create", target.version),
            plan.query.as_str(),
        )?;
        *request.headers_mut() = plan.headers.clone();
        let response = self.dispatch(target, request, self.work(), gated).await?;
        let (parts, answer) = response.into_parts();
        let text = body::collect_limited(answer, ANSWER_BYTES_MAX)
            .await
            .map_err(|error| {
                ApiError::new(
                    StatusCode::BAD_GATEWAY,
                    format!("engine {}: {error}; look before trying again", target.name),
                )
            })?;
        Ok(Finished::Engine(parts.headers, parts.status, text))
    }

    /// Whether the image is there afterwards. A failure is not told: the answer of the first attempt is, and makes the
    /// command line pull, with progress and the registry's own words.
    async fn pull_for_create(&self, target: &Target, plan: &Plan) -> bool {
        let reference = Reference::parse(&plan.image);
        let mut query = Query::default()
            .with("fromImage", reference.name)
            .with("tag", reference.suffix.unwrap_or("latest"));
        if let Some(platform) = plan.query.value("platform") {
            query = query.with("platform", &platform);
        }
        let auth = plan.headers.get(REGISTRY_AUTH);
        let fetch = Fetch::image(query, auth, plan.epoch);
        match self.fetch_quietly(target, &fetch).await {
            Ok(()) => {
                self.fleet.refresh(&target.address, Part::Images).await;
                true
            }
            Err(error) => {
                tracing::debug!(engine = %target.name, image = %plan.image, %error, "cannot pull");
                false
            }
        }
    }

    /// What an earlier attempt at the same create has made.
    pub(super) async fn made_before(&self, plan: &Plan) -> Result<Option<String>, ApiError> {
        if planted(Mutant::ForgetsKeys) {
            return Ok(None);
        }
        match self.known(plan) {
            None if plan.repeat => self.search(plan).await,
            known => Ok(known),
        }
    }

    /// The container that is to be made, if the view has it.
    fn known(&self, plan: &Plan) -> Option<String> {
        let cluster = self.fleet.cluster().read();
        let found = match &plan.moved {
            None => cluster.by_swarm_id(&plan.id),
            Some(moved) => cluster.copy_of(moved.replaces().last()?),
        };
        found.map(|(_, container)| container.id.to_string())
    }

    /// Asks every engine for the container: an earlier attempt may have made it a moment ago. One that does not answer
    /// may have it; when a container is moved that does not stop the move, because of two copies the later is kept.
    async fn search(&self, plan: &Plan) -> Result<Option<String>, ApiError> {
        let (targets, silent) = {
            let cluster = self.fleet.cluster().read();
            let silent = silent(&cluster).filter(|_| plan.moved.is_none());
            (healthy_targets(&cluster, plan.version), silent)
        };
        let asked: Vec<BoxFuture<'_, Result<Option<String>, ApiError>>> = targets
            .into_iter()
            .map(|target| {
                Box::pin(async move {
                    let made = self.made_on(&target, plan).await?;
                    if let Some(made) = &made {
                        self.fleet.refresh_container(&target.address, made).await;
                    }
                    Ok(made)
                }) as BoxFuture<'_, Result<Option<String>, ApiError>>
            })
            .collect();
        let unclear = match first_found(asked).await {
            Ok(Some(made)) => return Ok(Some(made)),
            Ok(None) => silent,
            Err(error) => Some(error.to_string()),
        };
        match unclear {
            None => Ok(None),
            Some(reason) => Err(ApiError::new(
                StatusCode::BAD_GATEWAY,
                format!(
                    "whether an earlier attempt created the container is unknown: {reason}; look with `docker ps -a` \
                     before trying again"
                ),
            )),
        }
    }

    pub(super) async fn made_on(
        &self,
        target: &Target,
        plan: &Plan,
    ) -> Result<Option<String>, ApiError> {
        let filter = serde_json::json!({"label": [format!("{SWARM_ID_LABEL}={}", plan.id)]});
        let query = Query::default()
            .with("all", "1")
            .with("filters", &filter.to_string());
        let (status, text) = self
            .ask(target, "/containers/json", query.as_str(), ANSWER_BYTES_MAX)
            .await?;
        let unusable = |reason: String| {
            let name = &target.name;
            ApiError::new(StatusCode::BAD_GATEWAY, format!("engine {name}: {reason}"))
        };
        if status != StatusCode::OK {
            return Err(unusable(format!("it answered {status}")));
        }
        let found: Vec<RawObject> =
            serde_json::from_slice(&text).map_err(|error| unusable(error.to_string()))?;
        for entry in found {
            let labels = entry.read("Labels");
            let labels = labels.map_err(|error| unusable(error.to_string()))?;
            if plan.made(&labels.unwrap_or_default()) {
                return Ok(entry.read("Id").ok().flatten());
            }
        }
        Ok(None)
    }

    /// Reservations held.
    #[cfg(test)]
    pub(super) fn reserved(&self) -> usize {
        self.scheduler().reserved()
    }
}

/// Ends the entry of a create that is under way, however it ends.
struct UnderWay {
    api: Arc<Api>,
    id: String,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut creates = self
            .api
            .creates
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        creates.remove(&self.id);
    }
}

/// The answer for a container that an earlier attempt made.
pub(super) fn created(id: &str) -> Finished {
    let text = serde_json::json!({"Id": id, "Warnings": []}).to_string();
    let (parts, _) = json_text(StatusCode::CREATED, "").into_parts();
    Finished::Engine(parts.headers, StatusCode::CREATED, text.into())
}
