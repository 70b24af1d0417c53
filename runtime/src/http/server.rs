//! The HTTP/1.1 server: bounded, strict, and quiet about its clients' mistakes.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::DATE;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::body::{self, Body};
use super::error::error;
use super::timer::PlatformTimer;
use crate::platform::{BoxFuture, BoxIo, Listener, SharedPlatform, sleep, timeout};

/// Bounds of a [`Server`]. The default holds the values of DESIGN.md section 9.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig {
    /// Open connections over all listeners, upgraded ones excluded.
    pub max_connections: usize,
    /// Bytes of a request line and headers.
    pub max_head_bytes: usize,
    /// How long a request head may take from its first byte.
    pub head_timeout: Duration,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_head_bytes: 64 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(120),
        }
    }
}

/// Who opened a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// An address with port, or `unix`.
    pub address: Arc<str>,
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The answer to `request`. The future is dropped when the client goes away.
    ///
    /// `hyper::upgrade::on` works on the request. A panic is answered with 500.
    fn handle(
        self: Arc<Self>,
        request: Request<Body>,
        peer: Peer,
    ) -> BoxFuture<'static, Response<Body>>;
}

/// Accepts connections and answers their requests with one [`Handler`]. Cheap to clone; clones are the same server.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    platform: SharedPlatform,
    config: ServerConfig,
    handler: Arc<dyn Handler>,
    room: Arc<Semaphore>,
    phase: watch::Sender<Phase>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
    Closed,
}

impl Server {
    /// A server that listens nowhere yet.
    #[must_use]
    pub fn new(platform: SharedPlatform, config: ServerConfig, handler: Arc<dyn Handler>) -> Self {
        let room = config.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                platform,
                config,
                handler,
                room: Arc::new(Semaphore::new(room)),
                phase: watch::Sender::new(Phase::Serving),
            }),
        }
    }

    /// Accepts from `listener` until [`Server::shutdown`].
    pub fn serve(&self, listener: Box<dyn Listener>) {
        let task = accept_all(
            Arc::clone(&self.shared),
            listener,
            self.shared.phase.subscribe(),
        );
        self.shared.platform.spawn("http-accept", Box::pin(task));
    }

    /// Stops accepting, lets requests in flight finish for at most `grace`, then drops what is left.
    ///
    /// Upgraded connections are not waited for: they belong to whoever upgraded them.
    pub async fn shutdown(&self, grace: Duration) {
        let shared = &self.shared;
        shared.phase.send_replace(Phase::Draining);
        if timeout(&*shared.platform, grace, shared.phase.closed())
            .await
            .is_err()
        {
            shared.phase.send_replace(Phase::Closed);
            shared.phase.closed().await;
        }
    }
}

/// How long to wait after a failed accept: a full file table does not empty faster when asked more often.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

async fn accept_all(
    shared: Arc<Shared>,
    mut listener: Box<dyn Listener>,
    mut phase: watch::Receiver<Phase>,
) {
    let address = listener.local_address();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            accepted = accept_one(&shared, &mut *listener) => accepted,
        };
        match accepted {
            Ok((io, peer, permit)) => {
                let peer = Peer {
                    address: peer.into(),
                };
                let task = serve_connection(
                    Arc::clone(&shared),
                    io,
                    peer,
                    permit,
                    shared.phase.subscribe(),
                );
                shared.platform.spawn("http-connection", Box::pin(task));
            }
            Err(error) => {
                tracing::warn!(%address, %error, "cannot accept a connection");
                sleep(&*shared.platform, ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept_one(
    shared: &Shared,
    listener: &mut dyn Listener,
) -> std::io::Result<(BoxIo, String, OwnedSemaphorePermit)> {
    let permit = Arc::clone(&shared.room)
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (io, peer) = listener.accept().await?;
    Ok((io, peer, permit))
}

async fn serve_connection(
    shared: Arc<Shared>,
    io: BoxIo,
    peer: Peer,
    _permit: OwnedSemaphorePermit,
    mut phase: watch::Receiver<Phase>,
) {
    let address = Arc::clone(&peer.address);
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(Arc::clone(&shared), request, peer.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = Builder::new()
        .timer(PlatformTimer::new(Arc::clone(&shared.platform)))
        .header_read_timeout(shared.config.idle_timeout)
        .max_header_size(shared.config.max_head_bytes)
        .auto_date_header(false)
        .half_close(true)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => break ended,
            changed = phase.changed() => {
                if changed.is_err() || *phase.borrow_and_update() == Phase::Closed {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %address, %error, "connection ended");
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>, peer: Peer) -> Response<Body> {
    let request = request.map(body::incoming);
    let mut response = NoPanic::new(&shared.handler, request, peer).await;
    if let Ok(date) = HeaderValue::try_from(shared.platform.wall().http_date()) {
        response.headers_mut().insert(DATE, date);
    }
    response
}

/// A handler's future whose panic becomes an answer.
struct NoPanic(Option<BoxFuture<'static, Response<Body>>>);

impl NoPanic {
    fn new(handler: &Arc<dyn Handler>, request: Request<Body>, peer: Peer) -> Self {
        let start = AssertUnwindSafe(|| Arc::clone(handler).handle(request, peer));
        Self(std::panic::catch_unwind(start).ok())
    }
}

impl Future for NoPanic {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response<Body>> {
        let polled = self.0.as_mut().and_then(|answer| {
            std::panic::catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(cx))).ok()
        });
        polled.unwrap_or_else(|| {
            tracing::error!("a request handler panicked; the client gets 500");
            Poll::Ready(error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal error: the request could not be answered",
            ))
        })
    }
}
