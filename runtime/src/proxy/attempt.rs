//! One attempt at a request: by this manager's own service or by the primary.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;

use http::header::EXPECT;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use swarm_core::address::HostPort;
use swarm_core::api::{self, Class, ContainerAction, Fixed, Route};
use swarm_core::election::lease::CLOCK_RATE_ERROR_PER_MILLE;
use swarm_core::proxy::events::Resume;
use swarm_core::proxy::{Failure, Kind, Origin, Server};
use swarm_core::time::{Mono, Wall};

use super::Proxy;
use super::desk::Attempt;
use super::payload::Payload;
use super::wire::{Forwarded, Outcome, Told, mark_forwarded};
use crate::api::{Call, NotDispatched};
use crate::http::Body;
use crate::http::client::SendOptions;
use crate::http::headers::remove_own;

/// Everything an attempt needs; stays the same from attempt to attempt.
pub(super) struct Job {
    pub(super) api: api::Request,
    pub(super) class: Class,
    pub(super) method: Method,
    pub(super) target: Uri,
    /// What goes on of the client's headers, with the upgrade it asked for.
    pub(super) headers: HeaderMap,
    /// The client's half of a tunnel.
    pub(super) extensions: Extensions,
    pub(super) upgrade: bool,
    pub(super) payload: Payload,
    pub(super) request_id: String,
    pub(super) forwarded: Option<Forwarded>,
    pub(super) arrived: Mono,
    /// What to ask for when a stream goes on at another primary.
    pub(super) resume: Resume,
}

/// How an attempt ended.
pub(super) enum Ended {
    Answered(Response<Body>),
    Failed(Failure),
}

impl Job {
    pub(super) fn origin(&self) -> Origin {
        match &self.forwarded {
            None => Origin::Client,
            Some(forwarded) => Origin::Peer {
                expected_epoch: forwarded.expected_epoch,
            },
        }
    }

    /// What is asked for in an attempt at `now`: managers' clocks differ, so an instant is told by how long ago it was.
    fn api_at(&self, now: Mono) -> Cow<'_, api::Request> {
        match self.resume {
            Resume::Again => Cow::Borrowed(&self.api),
            Resume::From(from, event) => {
                let ago = now.since(from);
                // The two clocks may run at different rates.
                let ago = ago + ago * 2 * CLOCK_RATE_ERROR_PER_MILLE / 1_000;
                let event = Wall(event);
                let since = format!(
                    "{}.{:09}/{}.{:09}s",
                    event.seconds(),
                    event.subsec_nanos(),
                    ago.as_secs(),
                    ago.subsec_nanos()
                );
                let mut api = self.api.clone();
                api.query = api.query.with("since", &since);
                Cow::Owned(api)
            }
        }
    }

    fn request(&self, api: &api::Request, body: Body) -> Request<Body> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = match self.resume {
            Resume::Again => self.target.clone(),
            // Made of the parts of a target that was parsed before.
            Resume::From(..) => api.target().parse().unwrap_or_else(|_| self.target.clone()),
        };
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Whether the request does nothing without its body: unread means not carried out.
    fn lives_by_its_body(&self) -> bool {
        matches!(
            self.api.route,
            Route::Fixed(
                Fixed::Build
                    | Fixed::ImageCreate
                    | Fixed::ImageLoad
                    | Fixed::ContainerCreate
                    | Fixed::PluginCreate
            ) | Route::Container(_, ContainerAction::ArchivePut)
        )
    }
}

impl Proxy {
    pub(super) async fn attempt(&self, job: &Job, attempt: &Attempt) -> Ended {
        match &attempt.by {
            Server::Local => self.attempt_here(job, attempt).await,
            Server::Remote(primary) => {
                let dead = Arc::clone(&self.pulses).dead(primary.clone());
                tokio::select! {
                    biased;
                    ended = self.attempt_there(job, attempt, primary) => ended,
                    () = dead => {
                        tracing::debug!(%primary, request = job.request_id, "the primary does not answer any more");
                        Ended::Failed(without_response(job))
                    }
                }
            }
        }
    }

    async fn attempt_here(&self, job: &Job, attempt: &Attempt) -> Ended {
        let (body, _) = job.payload.attempt(false);
        let told_repeated = job.forwarded.as_ref().is_some_and(|f| f.repeated);
        let api = job.api_at(self.platform.mono());
        let mut request = job.request(&api, body);
        *request.extensions_mut() = job.extensions.clone();
        let call = Call {
            request: api.into_owned(),
            http: request,
            request_id: job.request_id.clone(),
            epoch: Some(attempt.epoch),
            repeat: told_repeated || attempt.kind == Kind::Repeat,
            cancelled: Box::pin(self.connection_end(attempt)),
        };
        match Arc::clone(&self.service).serve(call).await {
            Ok(mut response) => {
                // An engine must not be able to speak as a manager.
                remove_own(response.headers_mut());
                Ended::Answered(response)
            }
            Err(NotDispatched { .. }) => Ended::Failed(Failure::NotDispatched { hint: None }),
        }
    }

    async fn attempt_there(&self, job: &Job, attempt: &Attempt, primary: &HostPort) -> Ended {
        let (body, solicitor) = job.payload.attempt(true);
        let api = job.api_at(self.platform.mono());
        let mut request = job.request(&api, body);
        let headers = request.headers_mut();
        let instance = &self.settings.instance;
        mark_forwarded(
            headers,
            instance,
            &job.request_id,
            attempt.epoch,
            attempt.kind,
        );
        if let Some(solicitor) = solicitor {
            headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
            hyper::ext::on_informational(&mut request, move |response| {
                if response.status() == StatusCode::CONTINUE {
                    solicitor.go();
                }
            });
        }
        let options = if job.upgrade {
            SendOptions::upgrade()
        } else {
            SendOptions::endless()
        };
        let sent = self
            .client
            .send_with(primary, request, options, || Ok::<(), Infallible>(()));
        match sent.await {
            Ok(response) => heard(response, primary),
            Err(failure) => {
                let error = &failure.error;
                tracing::debug!(%primary, %error, request = job.request_id, "no answer from the primary");
                Ended::Failed(if failure.error.maybe_sent() {
                    without_response(job)
                } else {
                    Failure::NotSent
                })
            }
        }
    }
}

/// Something may have been sent and no response came.
fn without_response(job: &Job) -> Failure {
    let unread = matches!(job.payload, Payload::Waiting(_)) && job.payload.replayable();
    if unread && job.lives_by_its_body() {
        Failure::NotSent
    } else {
        Failure::Broken
    }
}

fn heard(mut response: Response<Body>, primary: &HostPort) -> Ended {
    match Told::take(response.headers_mut()) {
        Some(Told {
            outcome: Outcome::NotDispatched,
            primary: hint,
        }) => Ended::Failed(Failure::NotDispatched { hint }),
        Some(Told {
            outcome: Outcome::Done | Outcome::Unknown,
            ..
        }) => Ended::Answered(response),
        None => {
            tracing::warn!(
                %primary,
                "the address of the primary is answered by something that is not a manager of this system"
            );
            Ended::Failed(Failure::Broken)
        }
    }
}
