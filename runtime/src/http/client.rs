//! Requests to engines and managers over a bounded pool of HTTP/1.1 connections.
//!
//! What a caller that must not do something twice needs to know is in the error: whether a byte of the request may have
//! left ([`SendError::maybe_sent`]). A pooled connection that turns out to be dead before anything was written costs the
//! caller nothing: the request goes out once more, on a fresh connection.
//!
//! A connection goes back to the pool when the response has been read to its end and the request was sent to its end.
//! Otherwise it is closed: a dropped [`send`](Client::send) future or response body frees the peer at once, and an
//! upstream that has answered stops the rest of the upload.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, UPGRADE};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use swarm_core::address::{HostPort, Reach};
use swarm_core::config::Limits;

use super::body::Body;
use super::error::error;
use super::headers;
use crate::platform::{BoxIo, SharedPlatform, TimedOut};
use crate::tls::ClientTls;

mod pool;
#[cfg(test)]
mod tests;
mod transfer;

use pool::{Lease, Pool};
use transfer::{Download, Upload};

/// Bounds of a [`Client`].
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Connections kept open without a request, for each peer.
    pub max_idle: usize,
    /// Open connections for each peer, upgraded ones included.
    pub max_connections: usize,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// The same for all of a peer's connections but the one that was used last.
    pub surplus_timeout: Duration,
    /// After this age a connection takes no further request.
    pub max_age: Duration,
    /// How long opening a connection may take.
    pub connect_timeout: Duration,
    /// How long its TLS handshake may take.
    pub handshake_timeout: Duration,
    /// Bytes of a response's status line and headers.
    pub max_head_bytes: usize,
    /// Where connections may lead.
    pub reach: Reach,
}

impl From<&Limits> for ClientConfig {
    fn from(limits: &Limits) -> Self {
        Self {
            max_idle: 64,
            max_connections: limits.outgoing_connections,
            idle_timeout: Duration::from_secs(55),
            surplus_timeout: Duration::from_secs(2),
            max_age: Duration::from_secs(600),
            connect_timeout: limits.connect_timeout,
            handshake_timeout: Duration::from_secs(3),
            max_head_bytes: 64 * 1024,
            reach: Reach::Anywhere,
        }
    }
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

impl ClientConfig {
    /// For engines without TLS. There are thousands, a connection takes more memory than what is known of ten
    /// containers, and another one costs a round trip.
    #[must_use]
    pub fn many_peers(self) -> Self {
        Self {
            idle_timeout: Duration::from_secs(5),
            surplus_timeout: Duration::from_millis(500),
            ..self
        }
    }
}

/// How one request is sent.
#[derive(Clone, Copy, Debug)]
pub struct SendOptions {
    /// How long the response head may take, counted from the last piece of the request body. None waits for ever, as
    /// `wait` and `attach` need.
    pub head_timeout: Option<Duration>,
    /// Opens a connection for this request alone where the limit leaves room, and never pools it. For upgrades.
    pub dedicated: bool,
}

impl Default for SendOptions {
    /// 60 s for the response head, a pooled connection.
    fn default() -> Self {
        Self {
            head_timeout: Some(Duration::from_secs(60)),
            dedicated: false,
        }
    }
}

impl SendOptions {
    /// No limit on the time to the response head, a pooled connection.
    #[must_use]
    pub fn endless() -> Self {
        Self {
            head_timeout: None,
            dedicated: false,
        }
    }

    /// No limit on the time to the response head, a connection of its own.
    #[must_use]
    pub fn upgrade() -> Self {
        Self {
            head_timeout: None,
            dedicated: true,
        }
    }
}

/// Why there is no response. `V` is the error of the caller's last check.
#[derive(Debug, thiserror::Error)]
pub enum SendError<V = Infallible> {
    /// No connection could be opened: nothing was sent.
    #[error("cannot connect to {to}: {source}")]
    Connect {
        /// The peer.
        to: HostPort,
        /// What the network said.
        source: ConnectError,
    },
    /// The caller's last check refused: nothing was sent.
    #[error("not sent: {0}")]
    Vetoed(V),
    /// The connection was gone before the first byte was written: nothing was sent.
    #[error("the connection to {to} closed before the request was sent: {source}")]
    NotSent {
        /// The peer.
        to: HostPort,
        /// What hyper said.
        source: hyper::Error,
    },
    /// All connections to the peer are in use: nothing was sent.
    #[error("all {limit} connections to {to} are in use")]
    TooBusy {
        /// The peer.
        to: HostPort,
        /// The limit on connections to it.
        limit: usize,
    },
    /// The connection broke after the request may have been sent, before a whole response head came back.
    #[error("the connection to {to} broke before the response: {source}")]
    Broken {
        /// The peer.
        to: HostPort,
        /// What hyper said.
        source: hyper::Error,
    },
    /// The response head did not come in time. The request may have been sent.
    #[error("no response from {to} within {after:?}")]
    Timeout {
        /// The peer.
        to: HostPort,
        /// The limit.
        after: Duration,
    },
}

/// Why a connection could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The network refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It took too long.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// The other side does not speak TLS, or is not who it should be.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// The connection ended before HTTP started.
    #[error(transparent)]
    Handshake(#[from] hyper::Error),
}

impl<V> SendError<V> {
    /// Whether a byte of the request may have reached the peer. False means certainly not.
    #[must_use]
    pub fn maybe_sent(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Vetoed(_)
            | Self::NotSent { .. }
            | Self::TooBusy { .. } => false,
            Self::Broken { .. } | Self::Timeout { .. } => true,
        }
    }
}

/// A request that got no response.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SendFailure<V: std::fmt::Debug + std::fmt::Display + 'static = Infallible> {
    /// Why.
    pub error: SendError<V>,
    /// The request, when nothing of it was sent and nothing of its body was read.
    pub unsent: Option<Box<Request<Body>>>,
}

/// Counts of one peer's connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Open connections that wait for a request.
    pub idle: usize,
    /// Open connections, those being opened and upgraded ones included.
    pub open: usize,
    /// Connections opened since the peer became known; it is forgotten when it had none for a while.
    pub opened: u64,
}

/// Sends requests. Cheap to clone; clones share the pool.
#[derive(Clone)]
pub struct Client {
    pool: Arc<Pool>,
}

impl Client {
    /// A client without connections.
    #[must_use]
    pub fn new(platform: SharedPlatform, config: ClientConfig) -> Self {
        Self::with_tls(platform, config, None)
    }

    /// A client whose connections are protected, if there is something to protect them with.
    #[must_use]
    pub fn with_tls(
        platform: SharedPlatform,
        config: ClientConfig,
        tls: Option<Arc<ClientTls>>,
    ) -> Self {
        Self {
            pool: Arc::new(Pool::new(platform, config, tls)),
        }
    }

    /// Sends `request` to `to` with the default [`SendOptions`].
    ///
    /// The path and query of the URI are sent; `Host` is `to` unless the request has one; the framing follows from the
    /// body alone. Dropping the future or the response body closes the connection.
    ///
    /// # Errors
    /// When no response head came back.
    pub async fn send(
        &self,
        to: &HostPort,
        request: Request<Body>,
    ) -> Result<Response<Body>, SendError> {
        self.send_with(to, request, SendOptions::default(), || Ok(()))
            .await
            .map_err(|failure| failure.error)
    }

    /// Sends `request` to `to`, if `before_send` agrees.
    ///
    /// `before_send` runs when a connection is there, right before the request is handed to it, and again if the
    /// request moves to a fresh connection because the pooled one was dead.
    ///
    /// # Errors
    /// When no response head came back. Hands back the request if nothing of it was used.
    pub async fn send_with<V>(
        &self,
        to: &HostPort,
        mut request: Request<Body>,
        options: SendOptions,
        mut before_send: impl FnMut() -> Result<(), V> + Send,
    ) -> Result<Response<Body>, SendFailure<V>>
    where
        V: std::fmt::Debug + std::fmt::Display + 'static,
    {
        make_origin_form(&mut request, to);
        headers::frame_request(&mut request);
        let mut pooled = if options.dedicated {
            None
        } else {
            self.pool.take_idle(to)
        };
        loop {
            let reused = pooled.is_some();
            let lease = match pooled.take() {
                Some(lease) => lease,
                None => match self.pool.open(to).await {
                    Ok(lease) => lease,
                    Err(error) => return Err(unsent(error, request)),
                },
            };
            if let Err(veto) = before_send() {
                lease.put_back();
                return Err(unsent(SendError::Vetoed(veto), request));
            }
            match self.exchange(lease, request, options).await {
                Ok(response) => return Ok(response),
                Err(SendFailure {
                    error: SendError::NotSent { .. },
                    unsent: Some(again),
                }) if reused => request = *again,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Opens a connection for another protocol: outside of the pool, with the same protection.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn dial(&self, to: &HostPort) -> Result<BoxIo, ConnectError> {
        self.pool.dial(to).await
    }

    /// Opens a connection for one request that is written and whose answer is read elsewhere.
    pub(super) async fn open_bare(&self, to: &HostPort) -> Result<BoxIo, SendError> {
        self.pool.open_bare(to).await
    }

    /// Closes those of the connections to `to` that wait for a request: for who has no use for them soon.
    pub fn close_idle(&self, to: &HostPort) {
        self.pool.close_idle(to);
    }

    /// The connections to `to`.
    #[must_use]
    pub fn stats(&self, to: &HostPort) -> PoolStats {
        self.pool.stats(to)
    }

    async fn exchange<V>(
        &self,
        mut lease: Lease,
        request: Request<Body>,
        options: SendOptions,
    ) -> Result<Response<Body>, SendFailure<V>>
    where
        V: std::fmt::Debug + std::fmt::Display + 'static,
    {
        let to = lease.peer().clone();
        let may_switch = request.headers().contains_key(UPGRADE);
        let (upload, progress) = Upload::wrap(request, self.pool.platform());
        let answer = lease.try_send(upload);
        let answer = match options.head_timeout {
            None => answer.await,
            Some(limit) => tokio::select! {
                biased;
                answer = answer => answer,
                () = progress.stalled(limit) => {
                    let error = SendError::Timeout { to, after: limit };
                    return Err(SendFailure { error, unsent: None });
                }
            },
        };
        match answer {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS && !may_switch => {
                Ok(unasked_switch())
            }
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                lease.give_up_control();
                Ok(response.map(super::body::incoming))
            }
            Ok(response) => {
                Ok(response.map(|body| Download::wrap(body, lease, progress, options.dedicated)))
            }
            Err(mut failed) => match failed.take_message() {
                Some(request) => {
                    let source = failed.into_error();
                    Err(unsent(
                        SendError::NotSent { to, source },
                        Upload::unwrap(request),
                    ))
                }
                None => {
                    let source = failed.into_error();
                    let error = SendError::Broken { to, source };
                    Err(SendFailure {
                        error,
                        unsent: None,
                    })
                }
            },
        }
    }
}

fn unsent<V>(error: SendError<V>, request: Request<Body>) -> SendFailure<V>
where
    V: std::fmt::Debug + std::fmt::Display + 'static,
{
    SendFailure {
        error,
        unsent: Some(Box::new(request)),
    }
}

/// Stands for a 101 nobody asked for: passed on, it would promise a tunnel that does not exist. The connection closes.
fn unasked_switch() -> Response<Body> {
    error(
        StatusCode::BAD_GATEWAY,
        "the upstream switched to another protocol without being asked to",
    )
}

/// hyper writes the URI as it is, and wants a `Host`.
fn make_origin_form(request: &mut Request<Body>, to: &HostPort) {
    *request.version_mut() = Version::HTTP_11;
    if request.uri().scheme().is_some() || request.uri().authority().is_some() {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.map_or_else(Uri::default, |path: PathAndQuery| path.into());
    }
    if !request.headers().contains_key(HOST)
        && let Ok(host) = HeaderValue::try_from(to.to_string())
    {
        request.headers_mut().insert(HOST, host);
    }
}
