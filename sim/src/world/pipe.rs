//! The pipe between a manager and its guard: a line goes through, and its end says that the manager is gone.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, ReadBuf};

#[derive(Debug, Default)]
struct State {
    line: Vec<u8>,
    closed: bool,
    reader: Option<Waker>,
}

type Shared = Arc<Mutex<State>>;

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The manager's end. The kernel closes it when the process dies; here that is when it is dropped.
pub(crate) struct PipeEnd(Shared);

/// What the guard holds.
#[derive(Clone)]
pub(crate) struct Pipe(Shared);

/// One reading of the pipe, from the order on.
pub(crate) struct PipeReader {
    shared: Shared,
    read: usize,
}

/// A pipe through which `line` was written.
pub(crate) fn pipe(line: Vec<u8>) -> (PipeEnd, Pipe) {
    let shared = Arc::new(Mutex::new(State {
        line,
        ..State::default()
    }));
    (PipeEnd(shared.clone()), Pipe(shared))
}

impl Pipe {
    /// Whether the manager is gone.
    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.0).closed
    }

    /// What the next guard reads: each is given the order anew.
    pub(crate) fn reader(&self) -> PipeReader {
        PipeReader {
            shared: self.0.clone(),
            read: 0,
        }
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let reader = {
            let mut state = lock(&self.0);
            state.closed = true;
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl AsyncRead for PipeReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = self.read;
        let taken = {
            let mut state = lock(&self.shared);
            let rest = state.line.get(read..).unwrap_or_default();
            if rest.is_empty() && !state.closed {
                state.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let piece = rest.get(..buf.remaining()).unwrap_or(rest);
            buf.put_slice(piece);
            piece.len()
        };
        self.read += taken;
        Poll::Ready(Ok(()))
    }
}
