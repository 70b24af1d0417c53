//! Waiting for changes: one stream for each span of keys, kept open from one call to the next.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::super::{StoreError, WATCH_WAIT};
use super::gateway::{self, Gateway};
use super::wire::{Event, Message, Span, WatchRequest, Watched};
use crate::http::lines::Lines;
use crate::platform::timeout;

pub(super) struct Watch {
    span: Span,
    stream: Mutex<Option<Stream>>,
}

struct Stream {
    lines: Lines,
    /// Everything up to this revision has come.
    seen: u64,
    /// The last wait ended without a word.
    silent: bool,
}

/// How a wait ended.
pub(super) enum Waited {
    /// Something changed.
    Changed(Vec<Event>),
    /// Nothing is known to have changed, or what changed is no longer kept: time to read.
    Read,
}

impl Watch {
    pub(super) fn new(span: Span) -> Self {
        Self {
            span,
            stream: Mutex::new(None),
        }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    /// Waits for what changed after revision `seen`; opening a stream may take `operation`.
    pub(super) async fn after(
        &self,
        gateway: &Gateway,
        seen: u64,
        operation: Duration,
    ) -> Result<Waited, StoreError> {
        let kept = self.kept().take().filter(|stream| stream.seen == seen);
        let mut stream = match kept {
            Some(stream) => stream,
            None => Stream {
                lines: self.open(gateway, seen, operation).await?,
                seen,
                silent: false,
            },
        };
        let platform = gateway.servers.platform().as_ref();
        let deadline = platform.mono() + WATCH_WAIT;
        loop {
            let left = deadline.since(platform.mono());
            let Ok(line) = timeout(platform, left, stream.lines.next()).await else {
                stream.silent = true;
                self.keep(stream);
                return Ok(Waited::Read);
            };
            let Some(mut events) = changes(gateway, line)? else {
                return Ok(Waited::Read);
            };
            // A read in between may have shown them already.
            events.retain(|event| event.kv.mod_revision.0 > seen);
            if let Some(last) = events.last() {
                stream.seen = last.kv.mod_revision.0;
                stream.silent = false;
                self.keep(stream);
                return Ok(Waited::Changed(events));
            }
        }
    }

    /// A read showed everything up to revision `seen`, the last change of what is there at `newest`. A stream that waits
    /// for later ones would stay silent, and one that did not tell of that change has nobody at its other end: a machine
    /// that lost its power ends no connection.
    pub(super) fn read_up_to(&self, seen: u64, newest: u64) {
        let mut kept = self.kept();
        let good = |stream: &Stream| {
            let missed = stream.silent && newest > stream.seen;
            stream.seen <= seen && !missed
        };
        *kept = kept.take().filter(good);
        if let Some(stream) = kept.as_mut() {
            stream.seen = seen;
        }
    }

    async fn open(
        &self,
        gateway: &Gateway,
        seen: u64,
        operation: Duration,
    ) -> Result<Lines, StoreError> {
        let call = gateway.servers.call(operation, true);
        let request = WatchRequest::from(self.span.clone(), seen + 1);
        let body = gateway.open(&call, gateway::WATCH, &request).await?;
        Ok(Lines::new(body))
    }

    fn keep(&self, stream: Stream) {
        *self.kept() = Some(stream);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Stream>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The changes of one message; `None` if the stream has to start anew.
fn changes(
    gateway: &Gateway,
    line: Result<Option<bytes::Bytes>, String>,
) -> Result<Option<Vec<Event>>, StoreError> {
    let broken = |cause: String| {
        gateway.servers.pass_over_current();
        StoreError::Unreachable {
            servers: gateway.servers.names(),
            cause: format!("a watch broke off: {cause}"),
        }
    };
    let line = line.map_err(broken)?;
    let line = line.ok_or_else(|| broken("the server ended it".to_owned()))?;
    let message: Message<Watched> =
        serde_json::from_slice(&line).map_err(|error| gateway.garbage(error))?;
    if let Some(error) = message.error {
        return Err(gateway.refused(error.http_code, &error.message));
    }
    let watched = message
        .result
        .ok_or_else(|| gateway.garbage("a message without a result"))?;
    if watched.compact_revision.0 > 0 {
        return Ok(None);
    }
    if watched.canceled {
        return Err(broken(watched.cancel_reason));
    }
    Ok(Some(watched.events))
}
