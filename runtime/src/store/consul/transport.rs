//! Executes endpoints over our own HTTP client, with the token in a header.

use async_trait::async_trait;
use bytes::Bytes;
use consulrs::api::features::Features;
use http_of_rustify as old;
use rustify::client::Client as RustifyClient;
use rustify::endpoint::{Endpoint, MiddleWare};
use rustify::errors::ClientError;
use swarm_core::discovery::Secret;

use super::super::{StoreError, servers};
use super::txn;
use crate::http::Body;
use crate::http::body;

/// One call to Consul.
pub(super) struct Call<'a> {
    call: servers::Call<'a>,
    token: Option<&'a Secret>,
}

/// What an endpoint's execution brought.
pub(super) struct Answer<T> {
    pub(super) content: T,
    /// `X-Consul-Index`; 0 where the server gave none.
    pub(super) index: u64,
}

impl<'a> Call<'a> {
    pub(super) fn new(call: servers::Call<'a>, token: Option<&'a Secret>) -> Self {
        Self { call, token }
    }

    /// Whether a server may have received the request.
    pub(super) fn maybe_sent(&self) -> bool {
        self.call.maybe_sent()
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
            token: self.token,
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
            token: self.token,
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
        let servers = self.call.names();
        match error {
            ClientError::ServerResponseError { code, content } => {
                let text = txn::complaint(&content.unwrap_or_default());
                StoreError::Refused {
                    servers,
                    status: code.into(),
                    message: text.chars().take(512).collect(),
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
}

#[async_trait]
impl RustifyClient for Call<'_> {
    async fn send(
        &self,
        request: old::Request<Vec<u8>>,
    ) -> Result<old::Response<Vec<u8>>, ClientError> {
        let failed = |cause: String| ClientError::RequestError {
            source: CauseError(cause).into(),
            url: request.uri().to_string(),
            method: request.method().to_string(),
        };
        let template = modernise(&request).map_err(|error| failed(error.to_string()))?;
        let bytes = Bytes::from(request.body().clone());
        let answer = self.call.ask(|| with_body(&template, bytes.clone())).await;
        let answer = answer.map_err(|error| match error {
            StoreError::Unreachable { cause, .. } => failed(cause),
            StoreError::Refused { .. } | StoreError::Garbage { .. } => failed(error.to_string()),
        })?;
        age(&answer, &request).map_err(|error| failed(error.to_string()))
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
fn modernise(request: &old::Request<Vec<u8>>) -> Result<http::Request<()>, http::Error> {
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
    modern.body(())
}

/// With a body of known length: Consul ignores the body of a chunked session request (HA.md section 2.1).
fn with_body(template: &http::Request<()>, bytes: Bytes) -> http::Request<Body> {
    template.clone().map(|()| body::full(bytes))
}

fn age(
    answer: &http::Response<Bytes>,
    request: &old::Request<Vec<u8>>,
) -> Result<old::Response<Vec<u8>>, old::Error> {
    // A missing key answers 404 with the index to watch from: for a reader that is an empty list.
    let missing_key = answer.status() == http::StatusCode::NOT_FOUND
        && request.method() == old::Method::GET
        && request.uri().path().starts_with("/v1/kv/");
    let (status, content) = if missing_key {
        (200, b"[]".to_vec())
    } else {
        (answer.status().as_u16(), answer.body().to_vec())
    };
    let mut response = old::Response::builder().status(status);
    if let Some(index) = answer.headers().get("x-consul-index") {
        response = response.header("x-consul-index", index.as_bytes());
    }
    response.body(content)
}
