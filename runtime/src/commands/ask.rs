//! One question to a manager and its answer, over TCP or a unix socket.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::header::{HOST, SERVER};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use swarm_core::address::HostPort;
use swarm_core::config::{Client, Endpoint};
use tokio::net::UnixStream;

use crate::http::body::{self, collect_limited};
use crate::manager::status::{ManagerStatus, STATUS_PATH};
use crate::platform::{BoxIo, SharedPlatform, timeout};
use crate::tls::{ClientTls, TlsError};

/// So many are asked at the same time.
const AT_ONCE: usize = 64;
/// A status with thousands of engines fits.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Asks managers; every question has the same limit.
#[derive(Clone)]
pub(super) struct Asker {
    platform: SharedPlatform,
    limit: Duration,
    tls: Option<Arc<ClientTls>>,
}

/// An answer, whatever its status.
pub(super) struct Answer {
    /// The status.
    pub(super) status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// An [`Endpoint`] as people write it.
pub(super) struct Shown<'a>(pub(super) &'a Endpoint);

impl Asker {
    pub(super) fn new(platform: SharedPlatform, limit: Duration) -> Self {
        Self {
            platform,
            limit,
            tls: None,
        }
    }

    /// As a user's command line says.
    pub(super) fn of(platform: &SharedPlatform, config: &Client) -> Result<Self, TlsError> {
        Ok(Self {
            tls: ClientTls::optional(platform, config.tls.as_ref())?,
            ..Self::new(platform.clone(), config.timeout)
        })
    }

    /// The status of the manager at `endpoint`.
    pub(super) async fn status(&self, endpoint: &Endpoint) -> anyhow::Result<ManagerStatus> {
        let answer = self.ask(endpoint, Method::GET, STATUS_PATH).await?;
        if let Ok(status) = serde_json::from_slice(&answer.body) {
            return Ok(status);
        }
        if answer.is_docker_engine() {
            bail!("what answers there is a Docker Engine, not a swarm manager");
        }
        bail!(
            "what answers there is not a swarm manager ({})",
            answer.status
        )
    }

    /// The answer of whatever listens at `endpoint`.
    pub(super) async fn ask(
        &self,
        endpoint: &Endpoint,
        method: Method,
        path: &str,
    ) -> anyhow::Result<Answer> {
        let exchange = self.exchange(endpoint, method, path);
        match timeout(self.platform.as_ref(), self.limit, exchange).await {
            Ok(answer) => answer,
            Err(_) => bail!("no answer within {:?}", self.limit),
        }
    }

    async fn connect(&self, address: &HostPort) -> anyhow::Result<BoxIo> {
        let io = self.platform.connect(address).await?;
        match &self.tls {
            None => Ok(io),
            Some(tls) => tls.connect(address, io).await.context("TLS"),
        }
    }

    async fn exchange(
        &self,
        endpoint: &Endpoint,
        method: Method,
        path: &str,
    ) -> anyhow::Result<Answer> {
        let (io, host): (BoxIo, String) = match endpoint {
            Endpoint::Tcp(address) => (self.connect(address).await?, address.to_string()),
            Endpoint::Unix(path) => (
                Box::new(UnixStream::connect(path).await?),
                "localhost".to_owned(),
            ),
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .body(body::empty())?;
        let answer = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = collect_limited(body, ANSWER_BYTES_MAX).await?;
            anyhow::Ok(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        };
        let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
        let ended = tokio::select! {
            biased;
            answer = &mut answer => return answer,
            ended = &mut connection => ended,
        };
        // What the connection read last is still on its way to the answer.
        answer
            .await
            .map_err(|error| ended.err().map_or(error, Into::into))
    }
}

impl Answer {
    /// What the answer says in Docker's form, else its status.
    pub(super) fn message(&self) -> String {
        #[derive(Deserialize)]
        struct Message {
            message: String,
        }
        serde_json::from_slice::<Message>(&self.body)
            .map_or_else(|_| self.status.to_string(), |message| message.message)
    }

    /// Docker Engines name themselves in every answer.
    fn is_docker_engine(&self) -> bool {
        let server = self.headers.get(SERVER).map(HeaderValue::as_bytes);
        server.is_some_and(|server| server.starts_with(b"Docker/"))
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Endpoint::Tcp(address) => write!(f, "{address}"),
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// What comes of doing the same with each of `items`, several at a time, in their order: those that do not answer cost
/// one limit together.
pub(super) async fn each<I, F: Future>(
    items: impl IntoIterator<Item = I>,
    act: impl FnMut(I) -> F,
) -> Vec<F::Output> {
    let acts = stream::iter(items).map(act);
    acts.buffered(AT_ONCE).collect().await
}

/// `text` from another machine, without what could steer a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests;
