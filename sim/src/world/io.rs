//! Sockets as the hosts' processes see them: chopped where a fault says so, reset where a cut refuses, tapped where
//! changes leave for engines.
//!
//! turmoil carries each write as one segment, never splits one, and never resets a connection that lost a segment; a
//! real network does both. So both happen here.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::TcpStream;

use super::keeps::Keeps;
use super::tap::{Tap, Tapped};
use crate::trace::{HostId, NOWHERE};

/// A stream's pieces grow with what it carried, so that large bodies arrive in the end.
const GROWTH: u64 = 64;
/// The largest piece that is chopped off.
const PIECE_MAX: usize = 1_024;

/// What the sockets of all hosts share.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// Filled once all hosts are known.
    hosts: OnceLock<BTreeMap<IpAddr, HostId>>,
    /// How often all connections between two hosts were reset, the smaller number first.
    resets: Mutex<BTreeMap<(HostId, HostId), Arc<AtomicU64>>>,
    pub(crate) keeps: Keeps,
}

impl Directory {
    /// Says who has which address.
    pub(crate) fn fill(&self, hosts: BTreeMap<IpAddr, HostId>) {
        // Filled twice it would be by mistake, with the same content.
        let _ = self.hosts.set(hosts);
    }

    fn host(&self, address: IpAddr) -> HostId {
        let hosts = self.hosts.get();
        hosts
            .and_then(|hosts| hosts.get(&address))
            .copied()
            .unwrap_or(NOWHERE)
    }

    fn resets(&self, one: HostId, other: HostId) -> Arc<AtomicU64> {
        let mut resets = self.resets.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = (one.min(other), one.max(other));
        resets.entry(pair).or_default().clone()
    }

    /// Breaks every connection between two hosts.
    pub(crate) fn reset(&self, one: HostId, other: HostId) {
        self.resets(one, other).fetch_add(1, Ordering::Relaxed);
    }
}

/// The sockets of one host.
pub(crate) struct Wires {
    pub(crate) host: HostId,
    pub(crate) directory: Arc<Directory>,
    /// At most so many bytes at a time; 0 for no limit.
    pub(crate) chop: AtomicU16,
    /// Looks at what is written to engines.
    pub(crate) tap: Option<Arc<Tap>>,
    /// Connections that are open.
    open: AtomicUsize,
}

impl Wires {
    pub(crate) fn new(
        host: HostId,
        directory: &Arc<Directory>,
        tap: Option<Arc<Tap>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            host,
            directory: directory.clone(),
            chop: AtomicU16::new(0),
            tap,
            open: AtomicUsize::new(0),
        })
    }
}

impl Wires {
    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

/// One end of a connection.
pub(crate) struct SimIo {
    stream: TcpStream,
    wires: Arc<Wires>,
    resets: Arc<AtomicU64>,
    resets_seen: u64,
    tapped: Option<Tapped>,
    read: Side,
    written: Side,
}

/// One direction of a chopped stream.
#[derive(Debug, Default)]
struct Side {
    bytes: u64,
    /// The next turn is somebody else's.
    yields: bool,
}

impl Side {
    /// How much goes at once; `None` if it is another task's turn.
    fn piece(&mut self, chop: u16, cx: &mut Context<'_>) -> Option<usize> {
        if chop == 0 {
            return Some(usize::MAX);
        }
        if std::mem::take(&mut self.yields) {
            cx.waker().wake_by_ref();
            return None;
        }
        let grown = usize::try_from(self.bytes / GROWTH).unwrap_or(PIECE_MAX);
        Some(usize::from(chop).max(grown).min(PIECE_MAX))
    }

    fn went(&mut self, bytes: usize) {
        self.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        self.yields = true;
    }
}

impl SimIo {
    /// The end of who opened the connection, to `port`.
    pub(crate) fn connected(stream: TcpStream, wires: &Arc<Wires>, port: u16) -> io::Result<Self> {
        let ends = (stream.local_addr()?, stream.peer_addr()?);
        let to = wires.directory.host(ends.1.ip());
        let tap = wires.tap.as_ref().filter(|tap| tap.taps(port));
        let tapped = tap.map(|tap| tap.listen(to, ends));
        Self::new(stream, wires, tapped)
    }

    /// The end of who accepted it.
    pub(crate) fn accepted(stream: TcpStream, wires: &Arc<Wires>) -> io::Result<Self> {
        Self::new(stream, wires, None)
    }

    fn new(stream: TcpStream, wires: &Arc<Wires>, tapped: Option<Tapped>) -> io::Result<Self> {
        let peer = wires.directory.host(stream.peer_addr()?.ip());
        let resets = wires.directory.resets(wires.host, peer);
        wires.open.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            resets_seen: resets.load(Ordering::Relaxed),
            resets,
            wires: wires.clone(),
            stream,
            tapped,
            read: Side::default(),
            written: Side::default(),
        })
    }

    fn check(&self) -> io::Result<()> {
        if self.resets.load(Ordering::Relaxed) == self.resets_seen {
            return Ok(());
        }
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for SimIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        let chop = self.wires.chop.load(Ordering::Relaxed);
        if chop == 0 {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let Some(piece) = self.read.piece(chop, cx) else {
            return Poll::Pending;
        };
        let mut space = [0; PIECE_MAX];
        let piece = piece.min(buf.remaining());
        let mut small = ReadBuf::new(space.get_mut(..piece).unwrap_or_default());
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut small))?;
        buf.put_slice(small.filled());
        self.read.went(small.filled().len());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let chop = self.wires.chop.load(Ordering::Relaxed);
        let Some(piece) = self.written.piece(chop, cx) else {
            return Poll::Pending;
        };
        let bytes = bytes.get(..piece).unwrap_or(bytes);
        let written = std::task::ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        if chop > 0 {
            self.written.went(written);
        }
        if let Some(tapped) = &mut self.tapped {
            tapped.written(bytes.get(..written).unwrap_or_default());
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for SimIo {
    fn drop(&mut self) {
        self.wires.open.fetch_sub(1, Ordering::Relaxed);
    }
}
