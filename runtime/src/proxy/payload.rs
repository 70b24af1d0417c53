//! Request bodies that survive a failed attempt: short ones are kept, long ones stay with the client until they are
//! wanted.
//!
//! A long body goes out behind `Expect: 100-continue` (RFC 9110 section 10.1.1). The primary's server writes the 100
//! when its handler first reads the body, which is after every check that could still send the request elsewhere. Until
//! then nothing was read from the client, and the request can go to another manager.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use swarm_core::proxy;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::body::{self, Body, BodyError};
use crate::platform::{Platform, timeout};

/// Longest body that is kept for another attempt.
pub(super) const KEPT_MAX: usize = 1 << 20;

/// Unit of the budget for kept bodies.
const GRAIN: usize = 16 << 10;

/// The room for kept bodies.
#[derive(Clone)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    /// Room for so many bytes, over all requests.
    pub(super) fn new(bytes: usize) -> Self {
        let grains = (bytes / GRAIN).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(grains)))
    }

    fn grow(&self, held: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> bool {
        let have = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let missing = bytes.div_ceil(GRAIN).saturating_sub(have);
        let Ok(missing) = u32::try_from(missing) else {
            return false;
        };
        match Arc::clone(&self.0).try_acquire_many_owned(missing) {
            Ok(more) => {
                match held {
                    Some(permit) => permit.merge(more),
                    None => *held = Some(more),
                }
                true
            }
            Err(_) => false,
        }
    }
}

/// A request's body.
pub(super) enum Payload {
    /// All of it.
    Kept {
        bytes: Bytes,
        _room: Option<OwnedSemaphorePermit>,
    },
    /// It waits at the client.
    Waiting(Arc<Mutex<Waiting>>),
}

/// A body that can be taken once.
pub(super) struct Waiting {
    /// What was read from the client before it turned out to be too long, and the rest.
    body: Option<(Bytes, Body)>,
    exact: Option<u64>,
    solicited: bool,
    waker: Option<Waker>,
}

impl Payload {
    /// Reads a short body; leaves one that is long or takes longer than `patience`, or for which there is no room, at the
    /// client.
    ///
    /// # Errors
    /// When the client broke off.
    pub(super) async fn read(
        mut body: Body,
        budget: &Budget,
        platform: &dyn Platform,
        patience: Duration,
    ) -> Result<Self, BodyError> {
        let limit = u64::try_from(KEPT_MAX).unwrap_or(u64::MAX);
        let exact = body.size_hint().exact();
        if body.is_end_stream() || body.size_hint().lower() > limit {
            return Ok(Self::unread(body));
        }
        let (mut bytes, mut room) = (BytesMut::new(), None);
        let filling = fill(&mut bytes, &mut room, &mut body, budget);
        match timeout(platform, patience, filling).await {
            Ok(Ok(true)) => Ok(Self::Kept {
                bytes: bytes.freeze(),
                _room: room,
            }),
            Ok(Ok(false)) | Err(_) => Ok(Self::waiting(bytes.freeze(), body, exact)),
            Ok(Err(broken)) => Err(broken),
        }
    }

    /// A body that is not looked at: it is passed on once, when it is wanted.
    pub(super) fn unread(body: Body) -> Self {
        let exact = body.size_hint().exact();
        if body.is_end_stream() {
            let (bytes, _room) = (Bytes::new(), None);
            return Self::Kept { bytes, _room };
        }
        Self::waiting(Bytes::new(), body, exact)
    }

    fn waiting(prefix: Bytes, rest: Body, exact: Option<u64>) -> Self {
        Self::Waiting(Arc::new(Mutex::new(Waiting {
            body: Some((prefix, rest)),
            exact,
            solicited: false,
            waker: None,
        })))
    }

    /// What the proxy needs to know of it.
    pub(super) fn kind(&self) -> proxy::Body {
        match self {
            Self::Kept { bytes, .. } => {
                proxy::Body::Kept(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Self::Waiting(_) => proxy::Body::Unsolicited,
        }
    }

    /// Whether another attempt can have the body.
    pub(super) fn replayable(&self) -> bool {
        match self {
            Self::Kept { .. } => true,
            Self::Waiting(waiting) => lock(waiting).body.is_some(),
        }
    }

    /// The body for one attempt. With `solicit`, a waiting one is taken from the client when [`Solicitor::go`] says so,
    /// otherwise when it is first read.
    pub(super) fn attempt(&self, solicit: bool) -> (Body, Option<Solicitor>) {
        match self {
            Self::Kept { bytes, .. } if bytes.is_empty() => (body::empty(), None),
            Self::Kept { bytes, .. } => (body::full(bytes.clone()), None),
            Self::Waiting(waiting) => {
                let mut state = lock(waiting);
                state.solicited = !solicit;
                let exact = state.exact;
                drop(state);
                let gated = Gated {
                    waiting: Arc::clone(waiting),
                    exact,
                    prefix: None,
                    rest: None,
                };
                let solicitor = solicit.then(|| Solicitor(Arc::clone(waiting)));
                (gated.boxed_unsync(), solicitor)
            }
        }
    }
}

/// Lets a waiting body go.
pub(super) struct Solicitor(Arc<Mutex<Waiting>>);

impl Solicitor {
    /// The other side wants the body.
    pub(super) fn go(&self) {
        let mut state = lock(&self.0);
        state.solicited = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

fn lock(waiting: &Mutex<Waiting>) -> std::sync::MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A body that nothing is read of before it is solicited.
struct Gated {
    waiting: Arc<Mutex<Waiting>>,
    exact: Option<u64>,
    prefix: Option<Bytes>,
    rest: Option<Body>,
}

impl HttpBody for Gated {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.rest.is_none() {
            let mut state = lock(&self.waiting);
            if !state.solicited {
                state.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            let Some((prefix, rest)) = state.body.take() else {
                let error = BodyError::Aborted("the body was already sent".to_owned());
                return Poll::Ready(Some(Err(error)));
            };
            drop(state);
            self.prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
            self.rest = Some(rest);
        }
        if let Some(prefix) = self.prefix.take() {
            return Poll::Ready(Some(Ok(Frame::data(prefix))));
        }
        match &mut self.rest {
            Some(rest) => Pin::new(rest).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.rest, self.exact) {
            (None, Some(exact)) => SizeHint::with_exact(exact),
            (None, None) => SizeHint::default(),
            (Some(rest), _) => {
                let before = self.prefix.as_ref().map_or(0, Bytes::len);
                let before = u64::try_from(before).unwrap_or(u64::MAX);
                let mut hint = rest.size_hint();
                if let Some(upper) = hint.upper() {
                    hint.set_upper(upper.saturating_add(before));
                }
                hint.set_lower(hint.lower().saturating_add(before));
                hint
            }
        }
    }
}

/// Reads on; whether it came to the end of the body, with room for all of it. Nothing is lost when it is dropped.
async fn fill(
    bytes: &mut BytesMut,
    room: &mut Option<OwnedSemaphorePermit>,
    body: &mut Body,
    budget: &Budget,
) -> Result<bool, BodyError> {
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        let length = bytes.len() + data.len();
        let fits = length <= KEPT_MAX && budget.grow(room, length);
        bytes.extend_from_slice(&data);
        if !fits {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::collect_limited;
    use crate::http::testing::TestPlatform;

    const KEPT_TOTAL: usize = 4 * KEPT_MAX;

    fn pieces(count: usize, size: usize) -> Body {
        let (sender, body) = body::channel(count);
        for _ in 0..count {
            let sent = futures_ready(sender.send(vec![b'x'; size]));
            assert_eq!(sent, Ok(()));
        }
        sender.finish();
        body
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    async fn read(body: Body, budget: &Budget) -> Result<Payload, BodyError> {
        Payload::read(body, budget, &*TestPlatform::new(), PATIENCE).await
    }

    fn futures_ready<T>(future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("not ready"),
        }
    }

    #[tokio::test]
    async fn a_short_body_is_kept_and_sent_as_often_as_needed() {
        let payload = read(pieces(4, 1_000), &Budget::new(KEPT_TOTAL))
            .await
            .unwrap();
        assert_eq!(payload.kind(), proxy::Body::Kept(4_000));
        for _ in 0..2 {
            let (body, solicitor) = payload.attempt(true);
            assert!(solicitor.is_none());
            assert_eq!(collect_limited(body, 5_000).await.unwrap().len(), 4_000);
        }
        assert!(payload.replayable());
    }

    #[tokio::test]
    async fn a_long_body_waits_until_it_is_wanted() {
        let payload = read(pieces(3, KEPT_MAX / 2), &Budget::new(KEPT_TOTAL))
            .await
            .unwrap();
        assert_eq!(payload.kind(), proxy::Body::Unsolicited);
        let (mut refused, _) = payload.attempt(true);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut refused).poll_frame(&mut cx).is_pending());
        drop(refused);
        assert!(payload.replayable());
        let (body, solicitor) = payload.attempt(true);
        solicitor.unwrap().go();
        let all = collect_limited(body, 2 * KEPT_MAX).await.unwrap();
        assert_eq!(all.len(), KEPT_MAX / 2 * 3);
        assert!(!payload.replayable());
        let (again, _) = payload.attempt(false);
        assert!(collect_limited(again, 2 * KEPT_MAX).await.is_err());
    }

    #[tokio::test]
    async fn a_body_of_known_length_is_not_touched_when_it_is_too_long() {
        let long = body::full(vec![b'x'; KEPT_MAX + 1]);
        let payload = read(long, &Budget::new(KEPT_TOTAL)).await.unwrap();
        assert_eq!(payload.kind(), proxy::Body::Unsolicited);
        let (body, _) = payload.attempt(false);
        assert_eq!(body.size_hint().exact(), Some(KEPT_MAX as u64 + 1));
    }

    #[tokio::test]
    async fn kept_bodies_have_a_budget_and_give_it_back() {
        let budget = Budget::new(KEPT_TOTAL);
        let mut kept = Vec::new();
        for _ in 0..KEPT_TOTAL / KEPT_MAX {
            let body = body::full(vec![b'x'; KEPT_MAX]);
            kept.push(read(body, &budget).await.unwrap());
        }
        assert!(kept.iter().all(|one| matches!(one, Payload::Kept { .. })));
        let late = read(body::full("x"), &budget).await.unwrap();
        assert_eq!(late.kind(), proxy::Body::Unsolicited);
        kept.pop();
        let later = read(body::full("x"), &budget).await.unwrap();
        assert_eq!(later.kind(), proxy::Body::Kept(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_passed_on_as_it_comes() {
        let (sender, body) = body::channel(1);
        sender.send("a").await.unwrap();
        let platform = TestPlatform::new();
        let budget = Budget::new(KEPT_TOTAL);
        let reading = Payload::read(body, &budget, &*platform, PATIENCE);
        let dripping = async {
            // Each piece comes in time, the whole does not.
            for _ in 0..3 {
                crate::platform::sleep(&*platform, PATIENCE / 2).await;
                let _ = sender.send("b").await;
            }
            sender.finish();
        };
        let (payload, ()) = tokio::join!(
            async {
                let payload = reading.await.unwrap();
                assert_eq!(payload.kind(), proxy::Body::Unsolicited);
                let (body, _) = payload.attempt(false);
                collect_limited(body, 10).await.unwrap()
            },
            dripping
        );
        assert_eq!(payload, "abbb");
    }

    #[tokio::test]
    async fn a_client_that_breaks_off_is_noticed() {
        let (sender, body) = body::channel(1);
        drop(sender);
        assert!(read(body, &Budget::new(KEPT_TOTAL)).await.is_err());
    }
}
