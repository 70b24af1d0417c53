//! The connections of a [`super::Client`].

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use swarm_core::address::HostPort;
use swarm_core::time::Mono;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, oneshot};

use super::transfer::Upload;
use super::{ClientConfig, ConnectError, PoolStats, SendError};
use crate::platform::{BoxIo, SharedPlatform, timeout};
use crate::tls::ClientTls;

pub(super) struct Pool {
    platform: SharedPlatform,
    config: ClientConfig,
    tls: Option<Arc<ClientTls>>,
    peers: Mutex<BTreeMap<HostPort, Peer>>,
}

#[derive(Default)]
struct Peer {
    idle: Vec<Idle>,
    open: usize,
    opened: u64,
    /// Who closes what has been idle too long; there is never more than one.
    reaper: Option<Reaper>,
}

/// A task that sleeps until it is due, or is woken because it is due sooner.
struct Reaper {
    due: Mono,
    sooner: Arc<Notify>,
}

impl Peer {
    fn is_unused(&self) -> bool {
        self.open == 0 && self.idle.is_empty() && self.reaper.is_none()
    }

    /// Until when an idle connection is kept. The one used last waits for the next request; what a burst needed besides
    /// it is not needed for long.
    fn keep_until(&self, idle: &Idle, config: &ClientConfig) -> Mono {
        let newest = self.idle.last().map(|idle| idle.since);
        let limit = match Some(idle.since) == newest {
            true => config.idle_timeout,
            false => config.idle_timeout.min(config.surplus_timeout),
        };
        idle.since + limit
    }

    fn next_reap(&self, config: &ClientConfig) -> Option<Mono> {
        let until = self.idle.iter().map(|idle| self.keep_until(idle, config));
        until.min()
    }
}

struct Idle {
    lease: Lease,
    since: Mono,
}

impl Pool {
    pub(super) fn new(
        platform: SharedPlatform,
        config: ClientConfig,
        tls: Option<Arc<ClientTls>>,
    ) -> Self {
        Self {
            platform,
            config,
            tls,
            peers: Mutex::default(),
        }
    }

    pub(super) fn platform(&self) -> &SharedPlatform {
        &self.platform
    }

    pub(super) fn stats(&self, to: &HostPort) -> PoolStats {
        let peers = self.peers();
        peers.get(to).map_or_else(PoolStats::default, |peer| {
            let alive = |idle: &&Idle| !idle.lease.sender.is_closed();
            PoolStats {
                idle: peer.idle.iter().filter(alive).count(),
                open: peer.open,
                opened: peer.opened,
            }
        })
    }

    /// The connection used last of those that can take a request now.
    pub(super) fn take_idle(&self, to: &HostPort) -> Option<Lease> {
        let mut peers = self.peers();
        let idle = &mut peers.get_mut(to)?.idle;
        let newest_ready = idle.iter().rposition(|one| one.lease.sender.is_ready())?;
        Some(idle.remove(newest_ready).lease)
    }

    pub(super) async fn open<V>(self: &Arc<Self>, to: &HostPort) -> Result<Lease, SendError<V>> {
        let Some(slot) = Slot::reserve(self, to) else {
            // An idle one may be left when a dedicated one was asked for.
            return self.take_idle(to).ok_or_else(|| self.too_busy(to));
        };
        let opened = self.connect(to, slot).await;
        opened.map_err(|source| unconnected(to, source))
    }

    /// A connection that counts as one of the peer's and on which nothing has been said yet.
    pub(super) async fn open_bare(self: &Arc<Self>, to: &HostPort) -> Result<BoxIo, SendError> {
        let slot = Slot::reserve(self, to).ok_or_else(|| self.too_busy(to))?;
        let io = self.dial(to).await;
        let io = io.map_err(|source| unconnected(to, source))?;
        Ok(Box::new(Counted { io, _slot: slot }))
    }

    fn too_busy<V>(&self, to: &HostPort) -> SendError<V> {
        SendError::TooBusy {
            to: to.clone(),
            limit: self.config.max_connections,
        }
    }

    /// A connection outside of the pool.
    pub(super) async fn dial(&self, to: &HostPort) -> Result<BoxIo, ConnectError> {
        let limit = self.config.connect_timeout;
        let connect = self.platform.connect_within(to, &self.config.reach);
        let io = timeout(&*self.platform, limit, connect).await??;
        let Some(tls) = &self.tls else {
            return Ok(io);
        };
        let limit = self.config.handshake_timeout;
        let handshake = timeout(&*self.platform, limit, tls.connect(to, io));
        handshake.await?.map_err(ConnectError::Tls)
    }

    async fn connect(self: &Arc<Self>, to: &HostPort, slot: Slot) -> Result<Lease, ConnectError> {
        let io = self.dial(to).await?;
        let io = TokioIo::new(Counted { io, _slot: slot });
        let (sender, connection) = Builder::new()
            .max_header_size(self.config.max_head_bytes)
            .max_buf_size(self.config.max_head_bytes.max(MIN_BUFFER))
            .handshake(io)
            .await?;
        // On its own: it is passed on twice below, and there would be room for it in each place.
        let connection = Box::pin(connection.with_upgrades());
        let (control, controlled) = oneshot::channel();
        let pool = Arc::downgrade(self);
        let peer = to.clone();
        self.platform.spawn(
            "http-client-connection",
            Box::pin(async move {
                drive(connection, controlled, &peer).await;
                if let Some(pool) = pool.upgrade() {
                    pool.forget_closed(&peer);
                }
            }),
        );
        Ok(Lease {
            sender,
            control,
            pool: Arc::downgrade(self),
            peer: to.clone(),
            born: self.platform.mono(),
        })
    }

    fn put_back(self: &Arc<Self>, lease: Lease) {
        let now = self.platform.mono();
        let mut peers = self.peers();
        let Some(peer) = peers.get_mut(&lease.peer) else {
            return;
        };
        if lease.sender.is_closed()
            || now.since(lease.born) >= self.config.max_age
            || peer.idle.len() >= self.config.max_idle
        {
            return;
        }
        let to = lease.peer.clone();
        peer.idle.push(Idle { lease, since: now });
        let due = peer.next_reap(&self.config).unwrap_or(now);
        match &mut peer.reaper {
            Some(reaper) if reaper.due <= due => {}
            Some(reaper) => {
                reaper.due = due;
                reaper.sooner.notify_one();
            }
            None => {
                let sooner = Arc::new(Notify::new());
                peer.reaper = Some(Reaper {
                    due,
                    sooner: Arc::clone(&sooner),
                });
                drop(peers);
                let reaper = reap(Arc::downgrade(self), self.platform.clone(), to, due, sooner);
                self.platform.spawn("http-client-reaper", Box::pin(reaper));
            }
        }
    }

    pub(super) fn close_idle(&self, to: &HostPort) {
        if let Some(peer) = self.peers().get_mut(to) {
            peer.idle.clear();
        }
    }

    fn forget_closed(&self, to: &HostPort) {
        if let Some(peer) = self.peers().get_mut(to) {
            peer.idle.retain(|idle| !idle.lease.sender.is_closed());
        }
    }

    /// Closes what has been idle too long. When to look again, or None when nothing is idle.
    fn reap(&self, to: &HostPort) -> Option<Mono> {
        let now = self.platform.mono();
        let mut peers = self.peers();
        let peer = peers.get_mut(to)?;
        let keep = peer.idle.iter();
        let keep: Vec<bool> = keep
            .map(|idle| now < peer.keep_until(idle, &self.config))
            .collect();
        let mut keep = keep.into_iter();
        peer.idle.retain(|_| keep.next().unwrap_or(true));
        let next = peer.next_reap(&self.config);
        match (next, &mut peer.reaper) {
            (Some(next), Some(reaper)) => reaper.due = next,
            (Some(_), None) => {}
            (None, reaper) => *reaper = None,
        }
        if peer.is_unused() {
            peers.remove(to);
        }
        next
    }

    fn peers(&self) -> MutexGuard<'_, BTreeMap<HostPort, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unconnected<V>(to: &HostPort, source: ConnectError) -> SendError<V> {
    SendError::Connect {
        to: to.clone(),
        source,
    }
}

/// hyper's own lower bound of a connection's buffer.
const MIN_BUFFER: usize = 8 * 1024;

async fn reap(
    pool: Weak<Pool>,
    platform: SharedPlatform,
    to: HostPort,
    mut due: Mono,
    sooner: Arc<Notify>,
) {
    loop {
        tokio::select! {
            biased;
            () = sooner.notified() => {}
            () = platform.sleep_until(due) => {}
        }
        match pool.upgrade().and_then(|pool| pool.reap(&to)) {
            Some(next) => due = next,
            None => return,
        }
    }
}

/// Runs a connection until it ends or its [`Lease`] is dropped.
async fn drive(
    mut connection: impl Future<Output = hyper::Result<()>> + Unpin,
    controlled: oneshot::Receiver<()>,
    peer: &HostPort,
) {
    let ended = tokio::select! {
        biased;
        ended = &mut connection => ended,
        order = controlled => match order {
            Ok(()) => connection.await,
            Err(_) => return,
        },
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// The right to use one connection. Dropping it closes the connection.
pub(super) struct Lease {
    sender: SendRequest<Upload>,
    control: oneshot::Sender<()>,
    pool: Weak<Pool>,
    peer: HostPort,
    born: Mono,
}

impl Lease {
    pub(super) fn peer(&self) -> &HostPort {
        &self.peer
    }

    pub(super) fn try_send(
        &mut self,
        request: Request<Upload>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>> + use<>
    {
        self.sender.try_send_request(request)
    }

    /// Leaves the connection to whoever upgrades it.
    pub(super) fn give_up_control(self) {
        let _ = self.control.send(());
    }

    pub(super) fn put_back(self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.put_back(self);
        }
    }
}

/// One of a peer's connections; dropping it makes room for another.
struct Slot {
    pool: Weak<Pool>,
    peer: HostPort,
}

impl Slot {
    fn reserve(pool: &Arc<Pool>, to: &HostPort) -> Option<Self> {
        let mut peers = pool.peers();
        let peer = peers.entry(to.clone()).or_default();
        if peer.open >= pool.config.max_connections {
            return None;
        }
        peer.open += 1;
        peer.opened += 1;
        Some(Self {
            pool: Arc::downgrade(pool),
            peer: to.clone(),
        })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let mut peers = pool.peers();
        if let Some(peer) = peers.get_mut(&self.peer) {
            peer.open = peer.open.saturating_sub(1);
            if peer.is_unused() {
                peers.remove(&self.peer);
            }
        }
    }
}

/// A socket that counts as open until it is closed, upgraded or not.
struct Counted {
    io: BoxIo,
    _slot: Slot,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
