//! Bodies on their way through a [`super::Client`].

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use swarm_core::time::Mono;

use super::pool::Lease;
use crate::http::body::{Body, BodyError};
use crate::platform::SharedPlatform;

/// A response body that gives its connection back at its end.
pub(super) struct Download {
    body: Incoming,
    lease: Option<Lease>,
    upload: Arc<Progress>,
    dedicated: bool,
}

impl Download {
    /// Holds the connection while `body` is read. A dedicated one is closed afterwards.
    pub(super) fn wrap(
        body: Incoming,
        lease: Lease,
        upload: Arc<Progress>,
        dedicated: bool,
    ) -> Body {
        let mut download = Self {
            body,
            lease: Some(lease),
            upload,
            dedicated,
        };
        download.release_at_end();
        download.boxed_unsync()
    }

    fn release_at_end(&mut self) {
        if self.body.is_end_stream() {
            self.release();
        }
    }

    /// An upload that is not finished when the response is stops here, with the connection.
    fn release(&mut self) {
        if let Some(lease) = self.lease.take()
            && !self.dedicated
            && self.upload.done.load(Ordering::Acquire)
        {
            lease.put_back();
        }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            None => self.release(),
            Some(Ok(_)) => self.release_at_end(),
            Some(Err(_)) => self.lease = None,
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Transport)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A request body that tells how far it is.
pub(super) struct Upload {
    body: Body,
    progress: DoneOnDrop,
}

/// How far a request body is.
pub(super) struct Progress {
    platform: SharedPlatform,
    /// [`Mono`] of the newest piece handed to the connection.
    newest: AtomicU64,
    done: AtomicBool,
}

struct DoneOnDrop(Arc<Progress>);

impl Drop for DoneOnDrop {
    fn drop(&mut self) {
        self.0.note();
        self.0.done.store(true, Ordering::Release);
    }
}

impl Progress {
    fn note(&self) {
        self.newest.store(self.platform.mono().0, Ordering::Release);
    }

    /// Completes when no piece was sent for `limit`.
    pub(super) async fn stalled(&self, limit: Duration) {
        loop {
            let end = Mono(self.newest.load(Ordering::Acquire)) + limit;
            if self.platform.mono() >= end {
                return;
            }
            self.platform.sleep_until(end).await;
        }
    }
}

impl Upload {
    pub(super) fn wrap(
        request: Request<Body>,
        platform: &SharedPlatform,
    ) -> (Request<Self>, Arc<Progress>) {
        let progress = Arc::new(Progress {
            newest: AtomicU64::new(platform.mono().0),
            done: AtomicBool::new(false),
            platform: Arc::clone(platform),
        });
        let request = request.map(|body| Self {
            body,
            progress: DoneOnDrop(Arc::clone(&progress)),
        });
        (request, progress)
    }

    pub(super) fn unwrap(request: Request<Self>) -> Request<Body> {
        request.map(|upload| upload.body)
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.progress.0.note();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
