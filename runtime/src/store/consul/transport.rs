//! Executes endpoints over our own HTTP client: several servers, a deadline for each call, the token in a header.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use consulrs::api::features::Features;
use http_of_rustify as old;
use rustify::client::Client as RustifyClient;
use rustify::endpoint::{Endpoint, MiddleWare};
use rustify::errors::ClientError;
use swarm_core::address::HostPort;
use swarm_core::discovery::Secret;
use swarm_core::time::Mono;

use super::super::StoreError;
use crate::http::body::{self, collect_limited};
use crate::http::client::{SendFailure, SendOptions};
use crate::http::{Body, Client};
use crate::platform::{SharedPlatform, timeout};

/// An answer larger than this is not one to our questions: 65,536 engines fit.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

pub(super) struct Transport {
    platform: SharedPlatform,
    client: Client,
    servers: Vec<HostPort>,
    /// The server that answered last, by position.
    current: AtomicUsize,
    token: Option<Secret>,
}

/// What an endpoint's execution brought.
pub(super) struct Answer<T> {
    pub(super) content: T,
    /// `X-Consul-Index`; 0 where the server gave none.
    pub(super) index: u64,
}

impl Transport {
    pub(super) fn new(
        platform: SharedPlatform,
        client: Client,
        servers: Vec<HostPort>,
        token: Option<Secret>,
    ) -> Self {
        Self {
            platform,
            client,
            servers,
            current: AtomicUsize::new(0),
            token,
        }
    }

    /// One call that ends within `limit`. With `repeatable` another server is asked even if one may have taken the
    /// request.
    pub(super) fn call(&self, limit: Duration, repeatable: bool) -> Call<'_> {
        let deadline = self.platform.mono() + limit;
        Call {
            transport: self,
            deadline,
            repeatable,
            patient: false,
            maybe_sent: AtomicBool::new(false),
        }
    }

    /// One blocking query that ends within `limit`. Each server may take all of it, since a server that has nothing to
    /// tell looks like one that hangs; after one that did not answer, the next query goes to another.
    pub(super) fn watch(&self, limit: Duration) -> Call<'_> {
        Call {
            patient: true,
            ..self.call(limit, true)
        }
    }

    fn names(&self) -> String {
        self.servers
            .iter()
            .map(HostPort::to_string)
            .collect::<Vec<_>>()
            .join(",")
    }
}

pub(super) struct Call<'a> {
    transport: &'a Transport,
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

    /// Executes `endpoint` and reads its answer.
    pub(super) async fn execute<E: Endpoint>(
        &self,
        endpoint: E,
    ) -> Result<Answer<E::Response>, StoreError> {
        self.execute_with(endpoint, None).await
    }

    /// Executes `endpoint` for its effect: Consul answers some with a bare `true`, which is no session.
    pub(super) async fn send_only<E: Endpoint>(&self, endpoint: E) -> Result<(), StoreError> {
        let middleware = Versioned {
            token: self.transport.token.as_ref(),
            features: None,
        };
        let result = endpoint.with_middleware(&middleware).exec(self).await;
        result.map(|_| ()).map_err(|error| self.explain(error))
    }

    /// Executes `endpoint` with `features` in its query, and reads its answer.
    pub(super) async fn execute_with<E: Endpoint>(
        &self,
        endpoint: E,
        features: Option<Features>,
    ) -> Result<Answer<E::Response>, StoreError> {
        let middleware = Versioned {
            token: self.transport.token.as_ref(),
            features,
        };
        let result = endpoint
            .with_middleware(&middleware)
            .exec(self)
            .await
            .map_err(|error| self.explain(error))?;
        let index = result
            .response
            .headers()
            .get("x-consul-index")
            .and_then(|value| value.to_str().ok());
        let index = index.and_then(|text| text.parse().ok()).unwrap_or(0);
        let content = result.parse().map_err(|error| self.explain(error))?;
        Ok(Answer { content, index })
    }

    fn explain(&self, error: ClientError) -> StoreError {
        let servers = self.transport.names();
        match error {
            ClientError::ServerResponseError { code, content } => {
                let message = content
                    .unwrap_or_default()
                    .trim()
                    .chars()
                    .take(512)
                    .collect();
                StoreError::Refused {
                    servers,
                    status: code,
                    message,
                }
            }
            ClientError::RequestError { source, .. } => StoreError::Unreachable {
                servers,
                cause: source.to_string(),
            },
            ClientError::DataParseError { .. }
            | ClientError::EndpointBuildError { .. }
            | ClientError::GenericError { .. }
            | ClientError::RequestBuildError { .. }
            | ClientError::ReqwestBuildError { .. }
            | ClientError::ResponseError { .. }
            | ClientError::ResponseConversionError { .. }
            | ClientError::ResponseParseError { .. }
            | ClientError::UrlBuildError { .. }
            | ClientError::UrlQueryParseError { .. }
            | ClientError::UrlParseError { .. } => StoreError::Garbage {
                servers,
                cause: error.to_string(),
            },
        }
    }

    async fn ask(
        &self,
        server: &HostPort,
        share: Duration,
        request: &old::Request<Vec<u8>>,
    ) -> Result<old::Response<Vec<u8>>, NoAnswer> {
        let platform = self.transport.platform.as_ref();
        let exchange = self.exchange(server, request);
        match timeout(platform, share, exchange).await {
            Ok(answer) => answer,
            Err(late) => Err(NoAnswer {
                cause: format!("{server} {late}"),
                maybe_sent: true,
            }),
        }
    }

    async fn exchange(
        &self,
        server: &HostPort,
        request: &old::Request<Vec<u8>>,
    ) -> Result<old::Response<Vec<u8>>, NoAnswer> {
        let failed = |cause: String, maybe_sent| NoAnswer { cause, maybe_sent };
        let outgoing = modernise(request).map_err(|error| failed(error.to_string(), false))?;
        let sent = self
            .transport
            .client
            .send_with(server, outgoing, SendOptions::endless(), || Ok(()))
            .await;
        let response = sent.map_err(|failure: SendFailure| {
            let maybe_sent = failure.error.maybe_sent();
            failed(failure.error.to_string(), maybe_sent)
        })?;
        let (head, body) = response.into_parts();
        let bytes = collect_limited(body, ANSWER_BYTES_MAX).await;
        let bytes = bytes.map_err(|error| failed(format!("{server}: {error}"), true))?;
        age(&head, request, &bytes).map_err(|error| failed(error.to_string(), true))
    }
}

#[async_trait]
impl RustifyClient for Call<'_> {
    async fn send(
        &self,
        request: old::Request<Vec<u8>>,
    ) -> Result<old::Response<Vec<u8>>, ClientError> {
        let transport = self.transport;
        let count = transport.servers.len();
        let first = transport.current.load(Ordering::Relaxed);
        let mut cause = String::from("no server is configured");
        for turn in 0..count {
            let position = (first + turn) % count;
            let Some(server) = transport.servers.get(position) else {
                break;
            };
            let left = self.deadline.since(transport.platform.mono());
            let others = u32::try_from(count - turn).unwrap_or(1);
            let shared = self.repeatable && !self.patient;
            let share = if shared { left / others } else { left };
            match self.ask(server, share, &request).await {
                Ok(response) => {
                    // A server in trouble is not asked first the next time.
                    let next = if response.status().is_server_error() {
                        position + 1
                    } else {
                        position
                    };
                    transport.current.store(next % count, Ordering::Relaxed);
                    return Ok(response);
                }
                Err(failure) => {
                    cause = failure.cause;
                    transport
                        .current
                        .store((position + 1) % count, Ordering::Relaxed);
                    self.maybe_sent
                        .fetch_or(failure.maybe_sent, Ordering::Relaxed);
                    if failure.maybe_sent && !self.repeatable {
                        break;
                    }
                }
            }
        }
        let (url, method) = (request.uri().to_string(), request.method().to_string());
        Err(ClientError::RequestError {
            source: CauseError(cause).into(),
            url,
            method,
        })
    }

    fn base(&self) -> &str {
        // Only the path and query are used: the server is chosen when the request is sent.
        "http://consul"
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct CauseError(String);

/// Puts `/v1` in front of the path, the token into a header and the features into the query.
struct Versioned<'a> {
    token: Option<&'a Secret>,
    features: Option<Features>,
}

impl MiddleWare for Versioned<'_> {
    fn request<E: Endpoint>(
        &self,
        _: &E,
        request: &mut old::Request<Vec<u8>>,
    ) -> Result<(), ClientError> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", old::uri::PathAndQuery::as_str);
        *request.uri_mut() = format!("http://consul/v1{path}")
            .parse()
            .map_err(|source| ClientError::UrlBuildError { source })?;
        if let Some(value) = self
            .token
            .and_then(|token| old::HeaderValue::from_str(token.reveal()).ok())
        {
            request.headers_mut().insert("x-consul-token", value);
        }
        if let Some(features) = &self.features {
            features.process(request);
        }
        Ok(())
    }

    fn response<E: Endpoint>(
        &self,
        _: &E,
        _: &mut old::Response<Vec<u8>>,
    ) -> Result<(), ClientError> {
        Ok(())
    }
}

/// rustify speaks `http` 0.2, hyper `http` 1: the same words in two types.
fn modernise(request: &old::Request<Vec<u8>>) -> Result<http::Request<Body>, http::Error> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", old::uri::PathAndQuery::as_str);
    let mut modern = http::Request::builder()
        .method(request.method().as_str())
        .uri(path);
    for (name, value) in request.headers() {
        modern = modern.header(name.as_str(), value.as_bytes());
    }
    // A body of known length: Consul ignores the body of a chunked session request (HA.md section 2.1).
    modern.body(body::full(Bytes::from(request.body().clone())))
}

fn age(
    head: &http::response::Parts,
    request: &old::Request<Vec<u8>>,
    bytes: &Bytes,
) -> Result<old::Response<Vec<u8>>, old::Error> {
    // A missing key answers 404 with the index to watch from: for a reader that is an empty list.
    let missing_key = head.status == http::StatusCode::NOT_FOUND
        && request.method() == old::Method::GET
        && request.uri().path().starts_with("/v1/kv/");
    let (status, content) = if missing_key {
        (200, b"[]".to_vec())
    } else {
        (head.status.as_u16(), bytes.to_vec())
    };
    let mut response = old::Response::builder().status(status);
    if let Some(index) = head.headers.get("x-consul-index") {
        response = response.header("x-consul-index", index.as_bytes());
    }
    response.body(content)
}
