//! The servers of one store: alternatives, asked one after the other within one deadline.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use swarm_core::address::HostPort;
use swarm_core::time::Mono;

use super::StoreError;
use crate::http::body::{CollectError, collect_limited};
use crate::http::client::{SendFailure, SendOptions};
use crate::http::{Body, Client};
use crate::platform::{SharedPlatform, timeout};

/// An answer larger than this is not one to our questions: 65,536 engines fit.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

pub(super) struct Servers {
    platform: SharedPlatform,
    client: Client,
    list: Vec<HostPort>,
    /// The server that answered last, by position.
    current: AtomicUsize,
}

impl Servers {
    pub(super) fn new(platform: SharedPlatform, client: Client, list: Vec<HostPort>) -> Self {
        Self {
            platform,
            client,
            list,
            current: AtomicUsize::new(0),
        }
    }

    pub(super) fn platform(&self) -> &SharedPlatform {
        &self.platform
    }

    /// One call that ends within `limit`. With `repeatable` another server is asked even if one may have taken the
    /// request.
    pub(super) fn call(&self, limit: Duration, repeatable: bool) -> Call<'_> {
        Call {
            servers: self,
            deadline: self.platform.mono() + limit,
            repeatable,
            patient: false,
            maybe_sent: AtomicBool::new(false),
        }
    }

    /// One question whose answer may take all of `limit`. Each server may take all of it, since a server that has
    /// nothing to tell looks like one that hangs; after one that did not answer, the next question goes to another.
    pub(super) fn watch(&self, limit: Duration) -> Call<'_> {
        Call {
            patient: true,
            ..self.call(limit, true)
        }
    }

    /// What errors call the store.
    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.list.iter().map(HostPort::to_string).collect();
        names.join(",")
    }

    /// The next question goes to another server than the last.
    pub(super) fn pass_over_current(&self) {
        let current = self.current.load(Ordering::Relaxed);
        self.prefer(current + 1);
    }

    fn prefer(&self, position: usize) {
        let count = self.list.len().max(1);
        self.current.store(position % count, Ordering::Relaxed);
    }
}

/// One call, perhaps of several requests.
pub(super) struct Call<'a> {
    servers: &'a Servers,
    deadline: Mono,
    repeatable: bool,
    /// Silence of one server leaves nothing for the others.
    patient: bool,
    maybe_sent: AtomicBool,
}

/// Why one server gave no answer.
struct NoAnswer {
    cause: String,
    maybe_sent: bool,
}

impl Call<'_> {
    /// Whether a server may have received the request.
    pub(super) fn maybe_sent(&self) -> bool {
        self.maybe_sent.load(Ordering::Relaxed)
    }

    /// What errors call the store.
    pub(super) fn names(&self) -> String {
        self.servers.names()
    }

    /// Sends what `request` makes and reads the answer to its end.
    pub(super) async fn ask(
        &self,
        request: impl Fn() -> Request<Body> + Send,
    ) -> Result<Response<Bytes>, StoreError> {
        self.turn(request, whole).await
    }

    /// Sends what `request` makes; the answer's body is the caller's, and takes what time it takes.
    pub(super) async fn open(
        &self,
        request: impl Fn() -> Request<Body> + Send,
    ) -> Result<Response<Body>, StoreError> {
        self.turn(request, |response| std::future::ready(Ok(response)))
            .await
    }

    async fn turn<T, F>(
        &self,
        request: impl Fn() -> Request<Body> + Send,
        read: impl Fn(Response<Body>) -> F + Send,
    ) -> Result<Response<T>, StoreError>
    where
        F: Future<Output = Result<Response<T>, CollectError>> + Send,
    {
        let servers = self.servers;
        let count = servers.list.len();
        let first = servers.current.load(Ordering::Relaxed);
        let mut cause = String::from("no server is configured");
        for turn in 0..count {
            let position = (first + turn) % count;
            let Some(server) = servers.list.get(position) else {
                break;
            };
            let left = self.deadline.since(servers.platform.mono());
            let others = u32::try_from(count - turn).unwrap_or(1);
            let shared = self.repeatable && !self.patient;
            let share = if shared { left / others } else { left };
            let exchange = servers.exchange(server, request(), &read);
            let failure = match timeout(servers.platform.as_ref(), share, exchange).await {
                Ok(Ok(response)) => {
                    // A server in trouble is not asked first the next time.
                    let trouble = response.status().is_server_error();
                    servers.prefer(position + usize::from(trouble));
                    return Ok(response);
                }
                Ok(Err(failure)) => failure,
                Err(late) => NoAnswer {
                    cause: format!("{server} {late}"),
                    maybe_sent: true,
                },
            };
            cause = failure.cause;
            servers.prefer(position + 1);
            self.maybe_sent
                .fetch_or(failure.maybe_sent, Ordering::Relaxed);
            if failure.maybe_sent && !self.repeatable {
                break;
            }
        }
        Err(StoreError::Unreachable {
            servers: servers.names(),
            cause,
        })
    }
}

impl Servers {
    async fn exchange<T, F>(
        &self,
        server: &HostPort,
        request: Request<Body>,
        read: &(impl Fn(Response<Body>) -> F + Send),
    ) -> Result<Response<T>, NoAnswer>
    where
        F: Future<Output = Result<Response<T>, CollectError>> + Send,
    {
        let sent = self
            .client
            .send_with(server, request, SendOptions::endless(), || Ok(()))
            .await;
        let response = sent.map_err(|failure: SendFailure| NoAnswer {
            maybe_sent: failure.error.maybe_sent(),
            cause: failure.error.to_string(),
        })?;
        read(response).await.map_err(|error| NoAnswer {
            cause: format!("{server}: {error}"),
            maybe_sent: true,
        })
    }
}

async fn whole(response: Response<Body>) -> Result<Response<Bytes>, CollectError> {
    let (head, body) = response.into_parts();
    let bytes = collect_limited(body, ANSWER_BYTES_MAX).await?;
    Ok(Response::from_parts(head, bytes))
}
