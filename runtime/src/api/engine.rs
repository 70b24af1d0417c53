//! Sending a request to one engine: the URL from parts, the headers cleaned, the gate passed last.

use std::time::Duration;

use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use swarm_core::address::HostPort;
use swarm_core::api::{ApiVersion, class};
use swarm_core::cluster::{Cluster, Engine};
use swarm_core::scheduler;

use super::answer::{Answer, ApiError, no_engine};
use super::gate::SharedPass;
use super::{Api, Call};
use crate::http::client::SendOptions;
use crate::http::upgrade::UpgradePair;
use crate::http::{Body, body, headers};

/// What of an engine outlives the lock on the view.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: HostPort,
    pub(super) name: String,
    pub(super) cpus: u64,
    /// The API version to talk to it.
    pub(super) version: ApiVersion,
}

impl Target {
    /// The engine, if it answers; `what` is what is wanted from it, for the error.
    pub(super) fn healthy(
        cluster: &Cluster,
        engine: &Engine,
        client: Option<ApiVersion>,
        what: &str,
    ) -> Result<Self, ApiError> {
        if engine.is_healthy() {
            return Ok(Self::of(cluster, engine, client));
        }
        let reason = match &engine.error {
            Some(error) => format!(": {error}"),
            None => String::new(),
        };
        Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "{what} is on engine {} ({}), which is {}{reason}",
                engine.name(),
                engine.address,
                engine.state,
            ),
        ))
    }

    pub(super) fn of(cluster: &Cluster, engine: &Engine, client: Option<ApiVersion>) -> Self {
        let wanted = client.unwrap_or_else(|| cluster.api_version());
        let specs = engine.specs.as_ref();
        Self {
            address: engine.address.clone(),
            name: engine.name().to_owned(),
            cpus: specs.map_or(0, |specs| specs.cpus),
            version: specs.map_or(wanted, |specs| specs.api_version.min(wanted)),
        }
    }

    fn describe(&self) -> String {
        format!("engine {} ({})", self.name, self.address)
    }
}

/// Says so if an engine does not answer: it may have what is looked for.
pub(super) fn silent(cluster: &Cluster) -> Option<String> {
    let mut silent = cluster.engines().filter(|engine| !engine.is_healthy());
    let engine = silent.next()?;
    Some(format!("engine {} does not answer", engine.address))
}

/// All healthy engines.
pub(super) fn healthy_targets(cluster: &Cluster, client: Option<ApiVersion>) -> Vec<Target> {
    cluster
        .validated()
        .filter(|engine| engine.is_healthy())
        .map(|engine| Target::of(cluster, engine, client))
        .collect()
}

/// A limit on how long the response head may take.
pub(super) fn within(limit: Duration) -> SendOptions {
    SendOptions {
        head_timeout: Some(limit),
        dedicated: false,
    }
}

impl Api {
    /// Passes a request on to an engine under `path` (without query) and brings the response back: a tunnel where both
    /// sides want one.
    pub(super) async fn pass(
        &self,
        target: &Target,
        call: Call,
        path: &str,
        options: SendOptions,
    ) -> Answer {
        let Call {
            request,
            mut http,
            epoch,
            cancelled,
            ..
        } = call;
        let upgrade = if class::may_upgrade(&request.route) {
            UpgradePair::take(&mut http)
                .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, error.to_string()))?
        } else {
            None
        };
        let (mut parts, body) = http.into_parts();
        clean_request(&mut parts.headers);
        let mut options = options;
        if let Some(upgrade) = &upgrade {
            upgrade.ask(&mut parts.headers);
            options = SendOptions::upgrade();
        }
        let mut outgoing = Request::new(body);
        *outgoing.method_mut() = parts.method;
        *outgoing.headers_mut() = parts.headers;
        *outgoing.uri_mut() = uri(path, request.query.as_str())?;
        let mutation = class::is_mutation(&request.route);
        let response = self
            .dispatch(target, outgoing, options, mutation.then_some(epoch))
            .await?;
        Ok(match upgrade {
            Some(upgrade) => upgrade.answer(&self.platform, response, cancelled),
            None => clean_response(response),
        })
    }

    /// Sends a request to an engine. One that changes something names the epoch it was accepted under and passes the
    /// gate; the gate is asked once more when the request is about to be written.
    pub(super) async fn dispatch(
        &self,
        target: &Target,
        request: Request<Body>,
        options: SendOptions,
        mutation: Option<Option<u64>>,
    ) -> Result<Response<Body>, ApiError> {
        let pass: Option<SharedPass> = match mutation {
            None => None,
            Some(epoch) => match self.gate.pass(epoch).await {
                Ok(pass) => Some(pass),
                Err(_) => return Err(ApiError::NotDispatched(Some(request.into_body()))),
            },
        };
        let before_send = Box::new(move || pass.as_ref().map_or(Ok(()), |pass| pass.check()));
        self.fleet
            .send(&target.address, request, options, before_send)
            .await
            .map_err(|failure| {
                let unsent = failure.unsent.map(|request| request.into_body());
                ApiError::from_send(failure.error, &target.describe(), unsent)
            })
    }

    /// Passes a request that any engine can answer to the one the strategy likes best.
    pub(super) async fn pass_any(&self, call: Call) -> Answer {
        let target = self.favourite(call.request.version)?;
        let path = call.request.route.path(Some(target.version));
        self.pass(&target, call, &path, self.question()).await
    }

    /// The engine the strategy likes best for a container that needs nothing.
    pub(super) fn favourite(&self, version: Option<ApiVersion>) -> Result<Target, ApiError> {
        let mut scheduler = self.scheduler();
        let cluster = self.fleet.cluster().read();
        let ranking = scheduler.rank(&cluster, &scheduler::Request::default())?;
        let best = ranking.ranked.first();
        let engine = best.and_then(|best| cluster.engine(best.address));
        let engine = engine.ok_or_else(no_engine)?;
        Target::healthy(&cluster, engine, version, "the request")
    }

    /// Asks an engine a question of swarm's own and reads the whole answer, at most `limit` bytes.
    pub(super) async fn ask(
        &self,
        target: &Target,
        path: &str,
        query: &str,
        limit: usize,
    ) -> Result<(StatusCode, bytes::Bytes), ApiError> {
        let mut request = Request::new(body::empty());
        *request.uri_mut() = uri(&format!("/v{}{path}", target.version), query)?;
        let response = self
            .dispatch(target, request, self.question(), None)
            .await?;
        let status = response.status();
        let text = body::collect_limited(response.into_body(), limit)
            .await
            .map_err(|error| {
                ApiError::new(
                    StatusCode::BAD_GATEWAY,
                    format!("{}: {error}", target.describe()),
                )
            })?;
        Ok((status, text))
    }

    /// For requests that only look.
    pub(super) fn question(&self) -> SendOptions {
        within(self.settings.limits.answer_timeout)
    }

    /// For requests that change something and do not wait for a container.
    pub(super) fn work(&self) -> SendOptions {
        within(self.settings.limits.work_timeout)
    }
}

pub(super) fn uri(path: &str, query: &str) -> Result<Uri, ApiError> {
    let text = if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    };
    Uri::try_from(text)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, format!("invalid query: {error}")))
}

/// Takes out what means this connection or this manager; the framing is made anew from the body.
pub(super) fn clean_request(map: &mut HeaderMap) {
    headers::remove_hop_by_hop(map);
    headers::remove_own(map);
    for name in [HOST, CONTENT_LENGTH, EXPECT] {
        map.remove(name);
    }
}

pub(super) fn clean_response(mut response: Response<Body>) -> Response<Body> {
    headers::remove_hop_by_hop(response.headers_mut());
    headers::remove_own(response.headers_mut());
    response
}
