//! The path of a request through a manager: served here, or by the primary, wherever that is by then.
//!
//! [`Proxy`] carries out what [`swarm_core::proxy`] decides. Every request is parsed; nothing is spliced before a 101.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use swarm_core::address::HostPort;
use swarm_core::api;
use swarm_core::api::Class;
use swarm_core::api::class::{
    Stream, Verdict, after_repeat, class, may_upgrade, served_by_replica,
};
use swarm_core::config::Limits;
use swarm_core::proxy::events::Resume;
use swarm_core::proxy::{Config, Input, Kind, Refusal, Server, Stats, View};
use swarm_core::rng::Random;

mod answer;
mod attempt;
mod cut;
mod desk;
mod payload;
mod pulse;
mod stream;
#[cfg(test)]
mod tests;
pub mod wire;

use attempt::{Ended, Job};
use desk::{Attempt, Desk, Order, Ticket};
use payload::{Budget, Payload};
use pulse::Pulses;

use crate::api::{Api, Call, NotDispatched};
use crate::http::body::BodyError;
use crate::http::error::error;
use crate::http::headers::{API_VERSION, remove_hop_by_hop};
use crate::http::upgrade::UpgradePair;
use crate::http::{Body, Client, Peer, body};
use crate::platform::{BoxFuture, SharedPlatform};

/// What a [`Proxy`] needs to know.
#[derive(Clone)]
pub struct Settings {
    /// This run of this manager, as in its lease record.
    pub instance: String,
    /// Where other managers reach this one.
    pub own_address: HostPort,
    /// How long a request waits for a primary.
    pub primary_wait: Duration,
    /// What is allowed to clients.
    pub limits: Limits,
    /// Whether a connection comes from another manager: only such a one may forward a request here.
    pub is_peer: Arc<dyn Fn(&Peer) -> bool + Send + Sync>,
}

/// What this manager does by itself.
pub trait Service: Send + Sync + 'static {
    /// Serves a request as the primary, tunnels included. The future is dropped when the client leaves.
    fn serve(
        self: Arc<Self>,
        call: Call,
    ) -> BoxFuture<'static, Result<Response<Body>, NotDispatched>>;

    /// Answers what every manager answers, primary or not.
    fn answer_here(&self, request: &api::Request) -> Option<Response<Body>>;

    /// Puts on an answer of this manager's own what every answer carries.
    fn identify(&self, response: &mut Response<Body>);
}

impl Service for Api {
    fn serve(
        self: Arc<Self>,
        call: Call,
    ) -> BoxFuture<'static, Result<Response<Body>, NotDispatched>> {
        Box::pin(Self::serve(self, call))
    }

    fn answer_here(&self, request: &api::Request) -> Option<Response<Body>> {
        self.local(request)
    }

    fn identify(&self, response: &mut Response<Body>) {
        Self::identify(self, response);
    }
}

/// Carries requests to whoever is the primary.
pub struct Proxy {
    platform: SharedPlatform,
    settings: Settings,
    client: Client,
    service: Arc<dyn Service>,
    desk: Arc<Desk>,
    pulses: Arc<Pulses>,
    budget: Budget,
    ids: Mutex<Random>,
}

/// How a request ended.
enum Settled {
    Answered(Attempt, Response<Body>),
    Refused(Refusal),
}

impl Proxy {
    /// A proxy that knows no primary until it is told.
    #[must_use]
    pub fn new(
        platform: &SharedPlatform,
        client: Client,
        service: Arc<dyn Service>,
        settings: Settings,
    ) -> Arc<Self> {
        let mut config = Config::new(settings.own_address.clone());
        config.primary_wait = settings.primary_wait;
        let limits = &settings.limits;
        config.max_held = limits.held_requests;
        config.max_held_bytes = u64::try_from(limits.kept_size).unwrap_or(u64::MAX);
        // More than the connections that are accepted.
        let connections = limits.connections + limits.connections / 2;
        config.max_requests = config.max_requests.max(connections);
        Arc::new(Self {
            platform: Arc::clone(platform),
            desk: Desk::new(platform, config),
            pulses: Pulses::new(platform, &client),
            budget: Budget::new(settings.limits.kept_size),
            ids: Mutex::new(platform.random("proxy/request-id")),
            settings,
            client,
            service,
        })
    }

    /// Takes the election's view, whenever it changes.
    pub fn set_view(&self, view: View) {
        self.desk.view(view);
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.desk.stats()
    }

    /// The answer to a request. Dropping the future tells everybody that the client left.
    pub async fn handle(self: &Arc<Self>, request: Request<Body>, peer: Peer) -> Response<Body> {
        let mut response = self.answer(request, peer).await;
        if !response.headers().contains_key(API_VERSION) {
            self.service.identify(&mut response);
        }
        response
    }

    async fn answer(self: &Arc<Self>, request: Request<Body>, peer: Peer) -> Response<Body> {
        let target = request
            .uri()
            .path_and_query()
            .map_or("", |target| target.as_str());
        let api = match api::Request::parse(request.method().as_str(), target) {
            Ok(api) => api,
            Err(problem) => return answer::no_route(&problem),
        };
        if served_by_replica(&api.route)
            && let Some(answer) = self.service.answer_here(&api)
        {
            return answer;
        }
        let forwarded = request.headers().contains_key(wire::FORWARDED);
        if forwarded && !(self.settings.is_peer)(&peer) {
            return stranger();
        }
        match self.take_up(api, request, forwarded).await {
            Ok((job, upgrade)) => self.run(job, upgrade).await,
            Err(mut response) => {
                if forwarded && !response.headers().contains_key(wire::OUTCOME) {
                    wire::mark_answer(response.headers_mut(), None, wire::Outcome::Done);
                }
                *response
            }
        }
    }

    async fn payload(&self, body: Body) -> Result<Payload, BodyError> {
        let patience = self.settings.limits.body_timeout;
        Payload::read(body, &self.budget, self.platform.as_ref(), patience).await
    }

    /// Reads what is to be known of a request before anything is done with it.
    async fn take_up(
        &self,
        api: api::Request,
        mut request: Request<Body>,
        forwarded: bool,
    ) -> Result<(Job, Option<UpgradePair>), Box<Response<Body>>> {
        let bad = |message: String| Box::new(error(StatusCode::BAD_REQUEST, message));
        let forwarded = if forwarded {
            wire::Forwarded::read(request.headers()).map_err(|e| bad(e.to_string()))?
        } else {
            None
        };
        if let Some(from) = &forwarded
            && (from.hop > 1 || from.instance == self.settings.instance)
        {
            return Err(Box::new(looped()));
        }
        // A service of this manager takes the client's half of a tunnel by itself, from a copy.
        let extensions = request.extensions().clone();
        let upgrade = if may_upgrade(&api.route) {
            UpgradePair::take(&mut request).map_err(|e| bad(e.to_string()))?
        } else {
            None
        };
        let arrived = self.platform.mono();
        let target = api
            .target()
            .parse()
            .map_err(|_| bad("the request target is malformed".to_owned()))?;
        let (mut parts, body) = request.into_parts();
        wire::clean_request(&mut parts.headers);
        if let Some(upgrade) = &upgrade {
            upgrade.ask(&mut parts.headers);
        }
        let payload = match &forwarded {
            Some(_) => Payload::unread(body),
            None => self
                .payload(body)
                .await
                .map_err(|e| bad(format!("the request's body broke off: {e}")))?,
        };
        let request_id = match &forwarded {
            Some(forwarded) => forwarded.request_id.clone(),
            None => self
                .ids
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .hex(16),
        };
        let mut class = class(&api);
        if class == Class::Stream(Stream::Logs) {
            // Lines of a log have no time unless the client wants it: where to go on is not known.
            class = Class::Safe;
        }
        let job = Job {
            class,
            method: parts.method,
            target,
            headers: parts.headers,
            extensions,
            upgrade: upgrade.is_some(),
            payload,
            request_id,
            forwarded,
            arrived,
            resume: Resume::Again,
            api,
        };
        Ok((job, upgrade))
    }

    async fn run(self: &Arc<Self>, job: Job, upgrade: Option<UpgradePair>) -> Response<Body> {
        let mut ticket = self
            .desk
            .arrive(job.class, job.origin(), job.payload.kind());
        match self.settle(&mut ticket, &job).await {
            Settled::Answered(attempt, response) => {
                self.relay(ticket, job, attempt, response, upgrade)
            }
            Settled::Refused(refusal) => {
                ticket.over();
                let to_peer = job.forwarded.is_some();
                answer::refused(&job.api, &refusal, self.settings.primary_wait, to_peer)
            }
        }
    }

    /// Does what the machine orders until there is a response to pass on, or none will come.
    async fn settle(&self, ticket: &mut Ticket, job: &Job) -> Settled {
        let mut answered = None;
        loop {
            match ticket.order().await {
                Order::Hold => answered = None,
                Order::Attempt(attempt) => {
                    answered = None;
                    let ended = tokio::select! {
                        biased;
                        () = ticket.superseded() => continue,
                        ended = self.attempt(job, &attempt) => ended,
                    };
                    let number = attempt.number;
                    match ended {
                        Ended::Answered(response) => {
                            answered = Some((attempt, response));
                            ticket.report(|id| Input::Answered {
                                id,
                                attempt: number,
                            });
                        }
                        Ended::Failed(failure) => {
                            let replayable = job.payload.replayable();
                            ticket.report(|id| Input::Failed {
                                id,
                                attempt: number,
                                failure,
                                replayable,
                            });
                        }
                    }
                }
                Order::Relay => {
                    if let Some((attempt, response)) = answered {
                        return Settled::Answered(attempt, response);
                    }
                }
                Order::Answer(refusal) => return Settled::Refused(refusal),
                Order::Abandon => return Settled::Refused(Refusal::NoPrimary),
            }
        }
    }

    fn relay(
        self: &Arc<Self>,
        ticket: Ticket,
        job: Job,
        attempt: Attempt,
        mut response: Response<Body>,
        upgrade: Option<UpgradePair>,
    ) -> Response<Body> {
        if attempt.kind == Kind::Repeat {
            response = judged(&job.api, response);
        }
        if job.forwarded.is_some() {
            let primary = self.desk.primary();
            wire::mark_answer(
                response.headers_mut(),
                primary.as_ref(),
                wire::Outcome::Done,
            );
        }
        if attempt.by == Server::Local && job.upgrade {
            ticket.over();
            return response;
        }
        if let Some(upgrade) = upgrade {
            ticket.over();
            let end = self.connection_end(&attempt);
            return upgrade.answer(&self.platform, response, end);
        }
        let stream = matches!(job.class, Class::Stream(_));
        if stream && job.forwarded.is_none() {
            return stream::events(self, ticket, job, attempt, response);
        }
        ticket.over();
        remove_hop_by_hop(response.headers_mut());
        if stream {
            let end = self.connection_end(&attempt);
            return response.map(|body| cut::body_until(body, end));
        }
        response
    }

    /// Completes when what is connected through this attempt has to end: there is another primary, or this one is dead.
    fn connection_end(&self, attempt: &Attempt) -> impl Future<Output = ()> + Send + use<> {
        let replaced = self.desk.tunnel_end(attempt.epoch);
        let dead = match &attempt.by {
            Server::Local => None,
            Server::Remote(primary) => Some(Arc::clone(&self.pulses).dead(primary.clone())),
        };
        async move {
            match dead {
                None => replaced.await,
                Some(dead) => tokio::select! {
                    biased;
                    () = replaced => {}
                    () = dead => {}
                },
            }
        }
    }
}

/// To pass the request on like a client's could close a loop, and the other side would not understand the answer. A
/// manager that has just started is known a moment later, and tries again.
fn stranger() -> Response<Body> {
    let mut response = error(
        StatusCode::MISDIRECTED_REQUEST,
        "the request claims to come from a manager, but this manager knows none at the address it comes from",
    );
    wire::mark_answer(response.headers_mut(), None, wire::Outcome::NotDispatched);
    response
}

fn looped() -> Response<Body> {
    let mut response = error(
        StatusCode::LOOP_DETECTED,
        "the request was forwarded in a circle: two managers take each other for the primary",
    );
    wire::mark_answer(response.headers_mut(), None, wire::Outcome::NotDispatched);
    response
}

/// The answer to a repeated request, read as what became of the request as a whole.
fn judged(request: &api::Request, response: Response<Body>) -> Response<Body> {
    match after_repeat(request, response.status().as_u16()) {
        Verdict::AsIs => response,
        Verdict::Success(status) => {
            let mut done = Response::new(body::empty());
            *done.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::NO_CONTENT);
            done
        }
        Verdict::Unknown => {
            let why = format!(
                "the connection to the primary cluster manager broke, and a second attempt was answered with {}",
                response.status()
            );
            answer::unknown(request, &why)
        }
    }
}
