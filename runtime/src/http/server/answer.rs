//! From a request that hyper has read to the answer it writes.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, DATE, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{Handler, Peer, Shared};
use crate::http::body::{self, Body, BodyError};
use crate::http::error::error;
use crate::http::{headers, strict};
use crate::platform::BoxFuture;

/// The handler's answer to `request`, or the refusal of it, ready to be written.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
    peer: Peer,
    answering: Answering,
) -> Response<Body> {
    let method = request.method().clone();
    let last = request.headers().contains_key(UPGRADE);
    let mut response = match strict::refusal(&request) {
        Some(reason) => {
            let mut response = error(StatusCode::BAD_REQUEST, reason);
            close_after(&mut response);
            response
        }
        None => {
            let request = request.map(body::incoming);
            NoPanic::new(&shared.handler, request, peer).await
        }
    };
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switched && !last {
        tracing::error!("a handler answered 101 to a request that asked for no upgrade");
        response = internal_error();
    }
    if last && !switched {
        close_after(&mut response);
    }
    headers::frame_response(&method, &mut response);
    if let Ok(date) = HeaderValue::try_from(shared.platform.wall().http_date()) {
        response.headers_mut().insert(DATE, date);
    }
    response.map(|body| {
        let answering = AnsweredBody {
            body,
            _answering: answering,
        };
        answering.boxed_unsync()
    })
}

fn close_after(response: &mut Response<Body>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}

fn internal_error() -> Response<Body> {
    error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal error: the request could not be answered",
    )
}

/// Marks the connection as busy until the response has been handed over to its last byte.
pub(super) struct Answering(Arc<AtomicBool>);

impl Answering {
    pub(super) fn begin(busy: &Arc<AtomicBool>) -> Self {
        busy.store(true, Ordering::Release);
        Self(Arc::clone(busy))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

struct AnsweredBody {
    body: Body,
    _answering: Answering,
}

impl HttpBody for AnsweredBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
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
            tracing::error!("a request handler panicked; its client gets 500");
            Poll::Ready(internal_error())
        })
    }
}
