//! The byte stream under a server connection: what hyper reads passes through here.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::room::Seat;
use crate::http::strict::Scanner;
use crate::platform::{BoxFuture, BoxIo, SharedPlatform};

/// Read ahead for at most this much while a request is being answered, to notice that the client has left.
const READ_AHEAD: usize = 8 * 1024;

/// The stream hyper reads and writes. The seat lives as long as the socket, upgraded or not.
pub(super) struct Guard {
    shared: Arc<Mutex<Inner>>,
    _seat: Seat,
}

/// Sees the end of the client's stream while hyper is not reading.
pub(super) struct Watch(Arc<Mutex<Inner>>);

struct Inner {
    io: BoxIo,
    scanner: Scanner,
    /// Read by [`Watch`], not yet by hyper.
    ahead: BytesMut,
    /// Why nothing more will be read.
    end: Option<End>,
    /// hyper waits for bytes.
    reader_waits: bool,
    platform: SharedPlatform,
    head_timeout: Duration,
    head_timer: Option<BoxFuture<'static, ()>>,
}

#[derive(Clone, Copy)]
enum End {
    /// The client closed its direction.
    Closed,
    /// There was a violation. What takes its place, until it is queued.
    Refused(&'static [u8]),
    Failed(io::ErrorKind),
}

impl Guard {
    pub(super) fn new(
        io: BoxIo,
        seat: Seat,
        platform: SharedPlatform,
        scanner: Scanner,
        head_timeout: Duration,
    ) -> (Self, Watch) {
        let shared = Arc::new(Mutex::new(Inner {
            io,
            scanner,
            ahead: BytesMut::new(),
            end: None,
            reader_waits: false,
            platform,
            head_timeout,
            head_timer: None,
        }));
        let watch = Watch(Arc::clone(&shared));
        let guard = Self {
            shared,
            _seat: seat,
        };
        (guard, watch)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.shared)
    }
}

impl Watch {
    /// Ready when the client has closed its direction or the connection failed. Poll it after hyper, in the same task.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = lock(&self.0);
        loop {
            match inner.end {
                Some(End::Closed | End::Failed(_)) => return Poll::Ready(()),
                Some(End::Refused(_)) => return Poll::Pending,
                None if inner.ahead.len() >= READ_AHEAD => return Poll::Pending,
                None => std::task::ready!(inner.poll_read_ahead(cx)),
            }
        }
    }
}

impl Inner {
    /// Reads from the client and checks what came.
    fn poll_checked(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<()> {
        let before = buf.filled().len();
        match std::task::ready!(Pin::new(&mut self.io).poll_read(cx, buf)) {
            Err(error) => self.end = Some(End::Failed(error.kind())),
            Ok(()) if buf.filled().len() == before => self.end = Some(End::Closed),
            Ok(()) => {
                let new = buf.filled().get(before..).unwrap_or_default();
                if let Err(at) = self.scanner.scan(new) {
                    buf.set_filled(before + at);
                    self.end = Some(End::Refused(self.scanner.spoiler()));
                }
            }
        }
        Poll::Ready(())
    }

    fn poll_read_ahead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut space = [MaybeUninit::uninit(); READ_AHEAD];
        let room = READ_AHEAD - self.ahead.len().min(READ_AHEAD);
        let mut buf = ReadBuf::uninit(space.get_mut(..room).unwrap_or_default());
        std::task::ready!(self.poll_checked(cx, &mut buf));
        self.ahead.extend_from_slice(buf.filled());
        self.spoil();
        if self.reader_waits {
            self.reader_waits = false;
            cx.waker().wake_by_ref();
        }
        Poll::Ready(())
    }

    /// Queues what takes the place of a violation, once.
    fn spoil(&mut self) {
        if let Some(End::Refused(spoiler)) = &mut self.end {
            self.ahead.extend_from_slice(std::mem::take(spoiler));
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.reader_waits = false;
        let before = buf.filled().len();
        if self.ahead.is_empty() && self.end.is_none() && self.poll_checked(cx, buf).is_pending() {
            if self.poll_head_timer(cx).is_pending() {
                self.reader_waits = true;
                return Poll::Pending;
            }
            self.end = Some(End::Failed(io::ErrorKind::TimedOut));
        }
        self.spoil();
        if buf.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        let taken = self.ahead.len().min(buf.remaining());
        buf.put_slice(self.ahead.get(..taken).unwrap_or_default());
        self.ahead.advance(taken);
        match self.end {
            Some(End::Failed(kind)) if taken == 0 => Poll::Ready(Err(kind.into())),
            Some(End::Failed(_) | End::Closed | End::Refused(_)) | None => Poll::Ready(Ok(())),
        }
    }

    /// Ready when a request head has been incomplete for too long.
    fn poll_head_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.scanner.is_inside_head() {
            self.head_timer = None;
            return Poll::Pending;
        }
        let timer = self.head_timer.get_or_insert_with(|| {
            let end = self.platform.mono() + self.head_timeout;
            self.platform.sleep_until(end)
        });
        timer.as_mut().poll(cx)
    }
}

fn lock(shared: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Guard {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.inner().poll_read(cx, buf)
    }
}

impl AsyncWrite for Guard {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner().io).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner().io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner().io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner().io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use tokio::io::{AsyncWriteExt, duplex};

    use super::super::room::Room;
    use super::*;
    use crate::http::testing::TestPlatform;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_watch_reads_ahead_reaches_a_waiting_reader() {
        let (mut client, io) = duplex(100);
        let room = Room::new(1, 1);
        let seat = room.seat(room.free().unwrap(), None).unwrap();
        let scanner = Scanner::new(100);
        let limit = Duration::from_secs(10);
        let (mut guard, watch) =
            Guard::new(Box::new(io), seat, TestPlatform::new(), scanner, limit);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        let mut space = [0; 10];
        let mut buf = ReadBuf::new(&mut space);
        assert!(
            Pin::new(&mut guard)
                .poll_read(&mut cx, &mut buf)
                .is_pending()
        );
        client.write_all(b"GET /").await.unwrap();
        let before = wakes.0.load(Ordering::Relaxed);
        assert!(watch.poll_gone(&mut cx).is_pending());
        assert_eq!(wakes.0.load(Ordering::Relaxed), before + 1);
        assert!(Pin::new(&mut guard).poll_read(&mut cx, &mut buf).is_ready());
        assert_eq!(buf.filled(), b"GET /");
        drop(client);
        assert!(watch.poll_gone(&mut cx).is_ready());
    }
}
