//! The HTTP/1.1 server: bounded, strict, and quiet about its clients' mistakes.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use swarm_core::config::Limits;
use swarm_core::watch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::Body;
use super::strict::Scanner;
use super::timer::PlatformTimer;
use crate::platform::{BoxFuture, BoxIo, Listener, SharedPlatform, sleep, timeout};
use crate::tls::{Identity, ServerTls};

mod answer;
mod guard;
mod room;
#[cfg(test)]
mod tests;

use answer::{Answering, answer};
use guard::{Guard, Watch};
use room::{Room, Seat};

/// Bounds of a [`Server`].
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig {
    /// Open connections over all listeners, upgraded ones included.
    pub max_connections: usize,
    /// How many of them one client may have, told by its address.
    pub max_client_connections: usize,
    /// Bytes of a request line and headers.
    pub max_head_bytes: usize,
    /// How long a request head may take from its first byte.
    pub head_timeout: Duration,
    /// How long a TLS handshake may take, from the connection on.
    pub handshake_timeout: Duration,
    /// How many handshakes may be under way; others wait for their turn, within their time.
    pub max_handshakes: usize,
    /// How long a connection may stay open without a request.
    pub idle_timeout: Duration,
    /// How long an answer may still take after the client has closed its direction. Such a client has most often left,
    /// and the Docker Engine cancels its request at once; a script that pipes a request into `nc` still gets its answer.
    pub half_close_grace: Duration,
}

impl From<&Limits> for ServerConfig {
    fn from(limits: &Limits) -> Self {
        Self {
            max_connections: limits.connections,
            max_client_connections: limits.client_connections,
            max_head_bytes: limits.head_size,
            head_timeout: limits.head_timeout,
            handshake_timeout: limits.handshake_timeout,
            max_handshakes: limits.handshakes,
            idle_timeout: limits.idle_timeout,
            half_close_grace: Duration::from_secs(1),
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

/// Who opened a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// An address with port, or `unix`.
    pub address: Arc<str>,
    /// Who its certificate says it is.
    pub identity: Identity,
}

impl Peer {
    fn new(address: &str, identity: Identity) -> Self {
        Self {
            address: address.into(),
            identity,
        }
    }

    /// Its address without the port, in one spelling; `None` for a unix socket.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        let address: SocketAddr = self.address.parse().ok()?;
        Some(address.ip().to_canonical())
    }
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
    timer: PlatformTimer,
    config: ServerConfig,
    handler: Arc<dyn Handler>,
    room: Room,
    handshakes: Semaphore,
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
        Self {
            shared: Arc::new(Shared {
                timer: PlatformTimer::new(Arc::clone(&platform)),
                platform,
                config,
                handler,
                room: Room::new(config.max_connections, config.max_client_connections),
                handshakes: Semaphore::new(config.max_handshakes.min(Semaphore::MAX_PERMITS)),
                phase: watch::Sender::new(Phase::Serving),
            }),
        }
    }

    /// Accepts from `listener` until [`Server::shutdown`].
    pub fn serve(&self, listener: Box<dyn Listener>) {
        self.accept_from(listener, None);
    }

    /// As [`Server::serve`], with TLS.
    pub fn serve_tls(&self, listener: Box<dyn Listener>, tls: Arc<ServerTls>) {
        self.accept_from(listener, Some(tls));
    }

    fn accept_from(&self, listener: Box<dyn Listener>, tls: Option<Arc<ServerTls>>) {
        let phase = self.shared.phase.subscribe();
        let task = accept_all(Arc::clone(&self.shared), listener, tls, phase);
        self.shared.platform.spawn("http-accept", Box::pin(task));
    }

    /// Serves one connection that was accepted elsewhere. Closes it at once when there is no room.
    pub fn serve_stream(&self, io: BoxIo, address: &str) {
        let (room, peer) = (&self.shared.room, Peer::new(address, Identity::Unproven));
        let seat = room.free().and_then(|place| room.seat(place, peer.ip()));
        if let Some(seat) = seat {
            let phase = self.shared.phase.subscribe();
            spawn_connection(&self.shared, io, peer, seat, phase);
        }
    }

    /// Stops accepting, lets requests in flight finish for at most `grace`, then drops what is left.
    ///
    /// Upgraded connections are not waited for: they belong to whoever upgraded them.
    pub async fn shutdown(&self, grace: Duration) {
        let shared = &self.shared;
        shared.phase.send_replace(Phase::Draining);
        let drained = timeout(&*shared.platform, grace, shared.phase.closed()).await;
        if drained.is_err() {
            shared.phase.send_replace(Phase::Closed);
            shared.phase.closed().await;
        }
    }

    /// Open sockets, upgraded ones included.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.room.taken()
    }
}

/// The pause after a failed accept, doubled with each further failure: a full file table does not empty faster when it
/// is asked more often.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

async fn accept_all(
    shared: Arc<Shared>,
    mut listener: Box<dyn Listener>,
    tls: Option<Arc<ServerTls>>,
    mut phase: watch::Receiver<Phase>,
) {
    let address = listener.local_address();
    let (shortest, longest) = ACCEPT_PAUSE;
    let mut pause = Duration::ZERO;
    loop {
        // The connection's receiver must not have seen a phase this loop has not seen.
        let connection_phase = phase.clone();
        let accepted = tokio::select! {
            biased;
            _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
            accepted = accept_one(&shared, &mut *listener, pause) => accepted,
        };
        match accepted {
            Ok((io, peer, place)) => {
                pause = Duration::ZERO;
                let peer = Peer::new(&peer, Identity::Unproven);
                let Some(seat) = shared.room.seat(place, peer.ip()) else {
                    continue;
                };
                match &tls {
                    None => spawn_connection(&shared, io, peer, seat, connection_phase),
                    Some(tls) => {
                        let (tls, greeted) = (Arc::clone(tls), Arc::clone(&shared));
                        let task = greet(greeted, tls, io, peer, seat, connection_phase);
                        shared.platform.spawn("tls-handshake", Box::pin(task));
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if pause.is_zero() {
                    tracing::warn!(%address, %error, "cannot accept connections, trying on");
                }
                pause = (pause * 2).clamp(shortest, longest);
            }
        }
    }
}

async fn accept_one(
    shared: &Shared,
    listener: &mut dyn Listener,
    pause: Duration,
) -> std::io::Result<(BoxIo, String, OwnedSemaphorePermit)> {
    if !pause.is_zero() {
        sleep(&*shared.platform, pause).await;
    }
    let place = shared.room.wait().await.map_err(std::io::Error::other)?;
    let (io, peer) = listener.accept().await?;
    Ok((io, peer, place))
}

/// What fails here is a client's mistake or a scanner's, so that it is told to nobody but who looks for it.
async fn greet(
    shared: Arc<Shared>,
    tls: Arc<ServerTls>,
    io: BoxIo,
    peer: Peer,
    seat: Seat,
    mut phase: watch::Receiver<Phase>,
) {
    let handshake = tls.accept(io, &shared.handshakes);
    let limit = shared.config.handshake_timeout;
    let done = tokio::select! {
        biased;
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
        done = timeout(&*shared.platform, limit, handshake) => done,
    };
    match done {
        Ok(Ok((io, identity))) => {
            let peer = Peer { identity, ..peer };
            spawn_connection(&shared, io, peer, seat, phase);
        }
        Ok(Err(error)) => tracing::debug!(peer = %peer.address, %error, "no TLS connection"),
        Err(error) => tracing::debug!(peer = %peer.address, %error, "no TLS connection"),
    }
}

fn spawn_connection(
    shared: &Arc<Shared>,
    io: BoxIo,
    peer: Peer,
    seat: Seat,
    phase: watch::Receiver<Phase>,
) {
    let (guard, watch) = Guard::new(
        io,
        seat,
        Arc::clone(&shared.platform),
        Scanner::new(shared.config.max_head_bytes),
        shared.config.head_timeout,
    );
    let task = serve_connection(Arc::clone(shared), guard, watch, peer, phase);
    shared.platform.spawn("http-connection", Box::pin(task));
}

async fn serve_connection(
    shared: Arc<Shared>,
    guard: Guard,
    watch: Watch,
    peer: Peer,
    mut phase: watch::Receiver<Phase>,
) {
    let busy = Arc::new(AtomicBool::new(false));
    let service = service_fn(|request: Request<Incoming>| {
        let answering = Answering::begin(&busy);
        let answer = answer(Arc::clone(&shared), request, peer.clone(), answering);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = Builder::new()
        .timer(shared.timer.clone())
        // hyper counts this from the end of the response before; `Guard` bounds the time from a head's first byte.
        .header_read_timeout(shared.config.idle_timeout)
        .max_header_size(shared.config.max_head_bytes)
        .max_buf_size(shared.config.max_head_bytes.max(MIN_BUFFER))
        .auto_date_header(false)
        .half_close(true)
        .serve_connection(TokioIo::new(guard), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let mut gone = std::pin::pin!(client_gone(&shared, &watch, &busy));
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
            () = gone.as_mut() => {
                tracing::debug!(peer = %peer.address, "the client left before its answer was complete");
                return;
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %peer.address, %error, "connection ended");
    }
}

/// hyper's own lower bound of a connection's buffer.
const MIN_BUFFER: usize = 8 * 1024;

/// Completes when the client has closed its direction and its request is still being answered after the grace.
async fn client_gone(shared: &Shared, watch: &Watch, busy: &AtomicBool) {
    let mut grace = None;
    std::future::poll_fn(|cx| {
        if !busy.load(Ordering::Acquire) {
            grace = None;
            return Poll::Pending;
        }
        std::task::ready!(watch.poll_gone(cx));
        let end = grace.get_or_insert_with(|| {
            let end = shared.platform.mono() + shared.config.half_close_grace;
            shared.platform.sleep_until(end)
        });
        end.as_mut().poll(cx)
    })
    .await;
}
