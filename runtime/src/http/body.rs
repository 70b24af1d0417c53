//! Message bodies: one boxed type for everything that is sent or received.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use serde::Serialize;
use tokio::sync::mpsc;

/// A request or response body of any origin.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The connection it came from broke, or the peer violated the framing.
    #[error("the body broke off: {0}")]
    Transport(#[from] hyper::Error),
    /// The part of this program that produced it gave up.
    #[error("the body was not completed: {0}")]
    Aborted(String),
}

/// Why [`collect_limited`] has no bytes to give.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The body is longer than allowed; what was read is dropped.
    #[error("the body is longer than the {limit} bytes allowed here")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body ended before its end.
    #[error(transparent)]
    Body(#[from] BodyError),
}

/// The other end of the [`Body`] is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the receiver of the body is gone")]
pub struct ReceiverGone;

/// Feeds the [`Body`] made by [`channel`].
///
/// Dropping it without [`Sender::finish`] makes the body fail, so that a truncated stream never looks complete.
#[derive(Debug)]
pub struct Sender {
    frames: mpsc::Sender<Result<Frame<Bytes>, BodyError>>,
    finished: Arc<AtomicBool>,
}

/// No bytes.
#[must_use]
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// These bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// `value` as JSON.
///
/// # Errors
/// When `value` has no JSON form.
pub fn json(value: &impl Serialize) -> Result<Body, serde_json::Error> {
    serde_json::to_vec(value).map(full)
}

/// A body that is produced piece by piece. At most `capacity` pieces (at least 1) wait to be read.
#[must_use]
pub fn channel(capacity: usize) -> (Sender, Body) {
    let (frames, receiver) = mpsc::channel(capacity.max(1));
    let finished = Arc::new(AtomicBool::new(false));
    let body = ChannelBody {
        frames: receiver,
        finished: Arc::clone(&finished),
        ended: false,
    };
    (Sender { frames, finished }, body.boxed_unsync())
}

/// The pieces that `next` makes, each when the one before it has been sent.
pub fn pieces(next: impl FnMut() -> Option<Bytes> + Send + Unpin + 'static) -> Body {
    Pieces(next).boxed_unsync()
}

/// What hyper received.
#[must_use]
pub fn incoming(body: hyper::body::Incoming) -> Body {
    body.map_err(BodyError::Transport).boxed_unsync()
}

/// Reads the whole body, at most `limit` bytes of it. Trailers are dropped.
///
/// # Errors
/// [`CollectError::TooLarge`] as soon as it is known, [`CollectError::Body`] when the body breaks off.
pub async fn collect_limited<B>(body: B, limit: usize) -> Result<Bytes, CollectError>
where
    B: HttpBody<Data = Bytes>,
    BodyError: From<B::Error>,
{
    let mut body = std::pin::pin!(body);
    let too_large = CollectError::TooLarge { limit };
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(too_large);
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(BodyError::from)?.into_data() else {
            continue;
        };
        if data.len() > limit - first.len() - rest.len() {
            return Err(too_large);
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

impl Sender {
    /// Hands over a piece, waiting for room.
    ///
    /// # Errors
    /// When nobody will read it any more.
    pub async fn send(&self, data: impl Into<Bytes>) -> Result<(), ReceiverGone> {
        self.frame(Ok(Frame::data(data.into()))).await
    }

    /// Hands over the trailers, waiting for room.
    ///
    /// # Errors
    /// When nobody will read them any more.
    pub async fn trailers(&self, trailers: HeaderMap) -> Result<(), ReceiverGone> {
        self.frame(Ok(Frame::trailers(trailers))).await
    }

    /// Makes the body fail with `error` after what was already handed over.
    pub async fn fail(self, error: BodyError) {
        let _ = self.frame(Err(error)).await;
    }

    /// Ends the body after what was already handed over.
    pub fn finish(self) {
        self.finished.store(true, Ordering::Release);
    }

    /// Completes when nobody will read the body any more.
    pub async fn closed(&self) {
        self.frames.closed().await;
    }

    async fn frame(&self, frame: Result<Frame<Bytes>, BodyError>) -> Result<(), ReceiverGone> {
        self.frames.send(frame).await.map_err(|_| ReceiverGone)
    }
}

struct Pieces<F>(F);

impl<F: FnMut() -> Option<Bytes> + Unpin> HttpBody for Pieces<F> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready((self.0)().map(|piece| Ok(Frame::data(piece))))
    }
}

struct ChannelBody {
    frames: mpsc::Receiver<Result<Frame<Bytes>, BodyError>>,
    finished: Arc<AtomicBool>,
    ended: bool,
}

impl HttpBody for ChannelBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let frame = std::task::ready!(self.frames.poll_recv(cx));
        self.ended = !matches!(frame, Some(Ok(_)));
        if frame.is_none() && !self.finished.load(Ordering::Acquire) {
            let error = BodyError::Aborted("its producer stopped".to_owned());
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::http::testing::TestPlatform;
    use crate::platform::timeout;

    /// Pieces as they are, without a length known beforehand.
    async fn pieces(pieces: &[&'static str]) -> Body {
        let (sender, body) = channel(pieces.len());
        for piece in pieces {
            sender.send(*piece).await.unwrap();
        }
        sender.finish();
        body
    }

    #[tokio::test]
    async fn collecting_stops_at_the_limit() {
        assert_eq!(collect_limited(empty(), 0).await.unwrap(), "");
        assert_eq!(collect_limited(full("abc"), 3).await.unwrap(), "abc");
        assert_eq!(
            collect_limited(pieces(&["a", "b", "c"]).await, 3)
                .await
                .unwrap(),
            "abc"
        );
        for body in [
            full("abcd"),
            pieces(&["ab", "cd"]).await,
            pieces(&["abcd"]).await,
        ] {
            let failure = collect_limited(body, 3).await.unwrap_err();
            assert!(matches!(failure, CollectError::TooLarge { limit: 3 }));
        }
    }

    #[tokio::test]
    async fn a_producer_that_stops_early_does_not_look_complete() {
        let (sender, body) = channel(1);
        sender.send("half").await.unwrap();
        drop(sender);
        let failure = collect_limited(body, 10).await.unwrap_err();
        assert!(matches!(failure, CollectError::Body(BodyError::Aborted(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_holds_no_more_than_its_capacity() {
        let platform = TestPlatform::new();
        let (sender, body) = channel(2);
        let mut taken = 0;
        while timeout(&*platform, Duration::from_secs(1), sender.send("x"))
            .await
            .is_ok()
        {
            taken += 1;
        }
        assert_eq!(taken, 2);
        drop(body);
        assert_eq!(sender.send("x").await, Err(ReceiverGone));
        sender.closed().await;
    }

    #[tokio::test]
    async fn trailers_and_failures_come_after_the_data() {
        let (sender, mut body) = channel(3);
        sender.send("x").await.unwrap();
        sender.trailers(HeaderMap::new()).await.unwrap();
        sender
            .fail(BodyError::Aborted("disk full".to_owned()))
            .await;
        assert!(body.frame().await.unwrap().unwrap().is_data());
        assert!(body.frame().await.unwrap().unwrap().is_trailers());
        let failure = body.frame().await.unwrap().unwrap_err();
        assert_eq!(failure.to_string(), "the body was not completed: disk full");
        assert!(body.frame().await.is_none());
    }
}
