//! Response bodies that are produced while they are sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;

use crate::BoxFuture;

/// Calls `step` with its own state for one piece after another, until it gives none.
struct Unfold<S, F> {
    step: F,
    next: Option<BoxFuture<Option<(Bytes, S)>>>,
}

/// A body made by `step`, which goes on only while the client reads and is dropped when it leaves.
pub(crate) fn unfold<S, F>(start: S, mut step: F) -> UnsyncBoxBody<Bytes, Infallible>
where
    S: Send + Unpin + 'static,
    F: FnMut(S) -> BoxFuture<Option<(Bytes, S)>> + Send + Unpin + 'static,
{
    let next = Some(step(start));
    Unfold { step, next }.boxed_unsync()
}

impl<S, F> http_body::Body for Unfold<S, F>
where
    F: FnMut(S) -> BoxFuture<Option<(Bytes, S)>> + Unpin,
    S: Unpin,
{
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(next) = &mut self.next else {
            return Poll::Ready(None);
        };
        match next.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.next = None;
                Poll::Ready(None)
            }
            Poll::Ready(Some((bytes, state))) => {
                let next = (self.step)(state);
                self.next = Some(next);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }
}
