//! Tunnels: what `attach`, `exec start`, `session` and `grpc` become after `101 Switching Protocols`.
//!
//! A tunnel exists only after the upstream's own 101; until then every byte goes through the HTTP parsers. The close of
//! one direction is passed on and leaves the other open, which is how `docker run -i` ends the input of a container.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::body::{self, Body};
use super::error::error;
use super::headers;
use crate::platform::{Platform, SharedPlatform, sleep};

/// A protocol a client may switch to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Docker's raw or multiplexed stream.
    Tcp,
    /// HTTP/2 without TLS, as BuildKit uses it.
    H2c,
    /// `attach/ws`.
    WebSocket,
}

impl Protocol {
    const ALL: [Self; 3] = [Self::Tcp, Self::H2c, Self::WebSocket];

    /// The name in the `Upgrade` header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::H2c => "h2c",
            Self::WebSocket => "websocket",
        }
    }

    /// The protocol that `Connection: Upgrade` and `Upgrade` ask for or agree to.
    fn of(headers: &HeaderMap) -> Asked {
        let mut values = headers.get_all(UPGRADE).iter();
        let value = match (values.next(), values.next()) {
            (None, _) => return Asked::Nothing,
            (Some(value), None) => value.as_bytes(),
            (Some(_), Some(_)) => return Asked::Unknown,
        };
        if !headers::connection_names(headers, "upgrade") {
            return Asked::Nothing;
        }
        Self::ALL
            .into_iter()
            .find(|protocol| value.eq_ignore_ascii_case(protocol.name().as_bytes()))
            .map_or(Asked::Unknown, Asked::Protocol)
    }
}

enum Asked {
    Nothing,
    Protocol(Protocol),
    Unknown,
}

/// Why a request cannot be upgraded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("only one of the protocols tcp, h2c and websocket can be switched to")]
pub struct UnknownProtocol;

/// The client's half of a tunnel to be.
#[derive(Debug)]
pub struct UpgradePair {
    client: OnUpgrade,
    protocol: Protocol,
}

impl UpgradePair {
    /// Takes the client's half from `request`; None when it asks for no upgrade.
    ///
    /// # Errors
    /// When it asks for a protocol that is not allowed: answer 400.
    pub fn take<B>(request: &mut Request<B>) -> Result<Option<Self>, UnknownProtocol> {
        match Protocol::of(request.headers()) {
            Asked::Nothing => Ok(None),
            Asked::Unknown => Err(UnknownProtocol),
            Asked::Protocol(protocol) => Ok(Some(Self {
                client: hyper::upgrade::on(request),
                protocol,
            })),
        }
    }

    /// What the client wants to switch to.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Asks the upstream for the same upgrade. Call it after the hop-by-hop headers were removed.
    pub fn ask(&self, upstream: &mut HeaderMap) {
        upstream.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        upstream.insert(UPGRADE, HeaderValue::from_static(self.protocol.name()));
    }

    /// The answer to the client. After the upstream's 101 it is a 101, and a task carries bytes both ways until both
    /// directions have ended or `cancelled` completes. Any other answer is passed on, and the connection closes after it.
    pub fn answer(
        self,
        platform: &SharedPlatform,
        mut upstream: Response<Body>,
        cancelled: impl Future<Output = ()> + Send + 'static,
    ) -> Response<Body> {
        if upstream.status() != StatusCode::SWITCHING_PROTOCOLS {
            headers::remove_hop_by_hop(upstream.headers_mut());
            close_after(&mut upstream);
            return upstream;
        }
        let agreed = match Protocol::of(upstream.headers()) {
            Asked::Protocol(protocol) => protocol == self.protocol,
            Asked::Nothing | Asked::Unknown => false,
        };
        if !agreed {
            let mut refused = error(
                StatusCode::BAD_GATEWAY,
                "the upstream switched to a protocol that was not asked for",
            );
            close_after(&mut refused);
            return refused;
        }
        let server = hyper::upgrade::on(&mut upstream);
        let (mut parts, _) = upstream.into_parts();
        headers::remove_hop_by_hop(&mut parts.headers);
        self.ask(&mut parts.headers);
        let mut response = Response::new(body::empty());
        *response.status_mut() = parts.status;
        *response.headers_mut() = parts.headers;
        platform.spawn(
            "http-tunnel",
            Box::pin(carry(platform.clone(), self.client, server, cancelled)),
        );
        response
    }
}

/// How long the client may stay silent after the upstream has closed its direction.
const LINGER: Duration = Duration::from_secs(60);

/// Bytes under way in each direction.
const BUFFER: usize = 16 * 1024;

/// Carries bytes both ways until both directions have ended or `cancelled` completes; then both connections are closed.
///
/// An end of file is passed on as the end of that direction alone. After the upstream's end a client that sends nothing
/// for a minute is cut off: it has read the end and is not going to leave.
pub async fn tunnel(
    platform: &dyn Platform,
    client: Upgraded,
    upstream: Upgraded,
    cancelled: impl Future<Output = ()>,
) {
    let (client_read, client_write) = tokio::io::split(TokioIo::new(client));
    let (upstream_read, upstream_write) = tokio::io::split(TokioIo::new(upstream));
    let sent = AtomicU64::new(0);
    let received = AtomicU64::new(0);
    let ended = tokio::select! {
        biased;
        () = cancelled => Ok(()),
        ended = both(
            pump(client_read, upstream_write, &sent),
            pump(upstream_read, client_write, &received),
            silent(platform, &sent),
        ) => ended,
    };
    tracing::debug!(
        sent = sent.load(Ordering::Relaxed),
        received = received.load(Ordering::Relaxed),
        error = ended.err().map(tracing::field::display),
        "tunnel ended"
    );
}

async fn carry(
    platform: SharedPlatform,
    client: OnUpgrade,
    upstream: OnUpgrade,
    cancelled: impl Future<Output = ()>,
) {
    let mut cancelled = std::pin::pin!(cancelled);
    let halves = tokio::select! {
        biased;
        () = cancelled.as_mut() => return,
        halves = async { tokio::try_join!(client, upstream) } => halves,
    };
    match halves {
        Ok((client, upstream)) => tunnel(&*platform, client, upstream, cancelled).await,
        Err(error) => tracing::debug!(%error, "no tunnel: a side left during the upgrade"),
    }
}

async fn both(
    up: impl Future<Output = std::io::Result<()>>,
    down: impl Future<Output = std::io::Result<()>>,
    silent: impl Future<Output = ()>,
) -> std::io::Result<()> {
    let mut up = std::pin::pin!(up);
    let mut down = std::pin::pin!(down);
    tokio::select! {
        biased;
        ended = up.as_mut() => {
            ended?;
            down.await
        }
        ended = down.as_mut() => {
            ended?;
            tokio::select! {
                biased;
                ended = up => ended,
                () = silent => Ok(()),
            }
        }
    }
}

/// Completes when `count` stood still for [`LINGER`].
async fn silent(platform: &dyn Platform, count: &AtomicU64) {
    let mut before = count.load(Ordering::Relaxed);
    loop {
        sleep(platform, LINGER).await;
        let now = count.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: &AtomicU64,
) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        buffer.clear();
        let read = from.read_buf(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer).await?;
        to.flush().await?;
        count.fetch_add(u64::try_from(read).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn close_after(response: &mut Response<Body>) {
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}

#[cfg(test)]
mod tests;
