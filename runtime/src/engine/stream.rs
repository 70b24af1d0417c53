//! Listens to one event stream of an engine.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use swarm_core::address::HostPort;
use swarm_core::api::ApiVersion;
use swarm_core::engine::{CallError, Event, Failure, Input, OpId};
use swarm_core::time::Wall;

use super::{calls, failed};
use crate::driver::WeakHandle;
use crate::http::client::Client;
use crate::http::feed::{Feed, FeedError};
use crate::platform::{SharedPlatform, timeout};

/// Longest event; longer ones are skipped.
pub(super) const EVENT_BYTES: usize = 256 << 10;

/// What is needed to listen.
pub(super) struct Listener {
    pub(super) platform: SharedPlatform,
    pub(super) client: Client,
    pub(super) address: HostPort,
    pub(super) since: Option<Wall>,
    pub(super) version: Option<ApiVersion>,
    pub(super) limit: Duration,
}

impl Listener {
    /// Opens the stream and passes on what it brings, until it ends; how it ended is returned.
    pub(super) async fn listen(self, op: OpId, handle: &WeakHandle<Input>) -> CallError {
        // Boxed: what opening needs, several kilobytes, is not kept as long as the stream is open.
        let mut feed = match Box::pin(self.open()).await {
            Ok(feed) => feed,
            Err(error) => return error,
        };
        handle.send(Input::StreamOpened { op }).await;
        let mut lines = Lines::default();
        loop {
            match feed.read(|data| lines.push(data)).await {
                Ok(true) => {}
                Ok(false) => return self.error(Failure::Connect, "the engine closed the stream"),
                Err(error) => return self.error(Failure::Connect, &error.to_string()),
            }
            while let Some(line) = lines.next() {
                let event = line.and_then(|text| Event::parse(&text).ok());
                let input = match event {
                    Some(event) => Input::StreamEvent {
                        op,
                        event: Box::new(event),
                    },
                    // What it told is not known: it has to be found out.
                    None => Input::RefreshAll,
                };
                handle.send(input).await;
            }
        }
    }

    async fn open(&self) -> Result<Feed, CallError> {
        let prefix = self
            .version
            .map_or_else(String::new, |version| format!("/v{version}"));
        let query = self.since.map_or_else(String::new, |since| {
            format!("?since={}.{:09}", since.seconds(), since.subsec_nanos())
        });
        let target = format!("{prefix}/events{query}");
        let opening = Feed::open(&self.client, &self.address, &target);
        let (status, feed) = timeout(&*self.platform, self.limit, opening)
            .await
            .map_err(|late| self.error(Failure::Timeout, &late.to_string()))?
            .map_err(|error| self.unopened(&error))?;
        if !status.is_success() {
            let text = format!("answered {}", status.as_u16());
            return Err(self.error(Failure::Status(status.as_u16()), &text));
        }
        Ok(feed)
    }

    fn unopened(&self, error: &FeedError) -> CallError {
        let reason = match error {
            FeedError::Connect(error) => return calls::unsent(&self.address, error),
            FeedError::Broken(_) | FeedError::Garbage(_) => {
                format!("engine {}: the connection broke: {error}", self.address)
            }
        };
        failed(Failure::Connect, reason)
    }

    fn error(&self, kind: Failure, text: &str) -> CallError {
        failed(
            kind,
            format!("engine {}: GET /events: {text}", self.address),
        )
    }
}

/// Splits what arrives into lines of at most [`EVENT_BYTES`].
#[derive(Default)]
pub(super) struct Lines {
    buffer: BytesMut,
    /// Bytes of the buffer that hold no line end.
    searched: usize,
    /// In the rest of a line that was too long.
    skipping: bool,
}

impl Lines {
    pub(super) fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// The next line; `Some(None)` for one that is too long or no text. `None` when there is none yet.
    #[expect(
        clippy::option_option,
        reason = "no line yet and a line without sense are two things"
    )]
    pub(super) fn next(&mut self) -> Option<Option<String>> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(length) = unsearched.iter().position(|byte| *byte == b'\n') else {
                return self.unfinished();
            };
            let line = self.buffer.split_to(self.searched + length);
            self.buffer.advance(1);
            self.searched = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            if line.len() > EVENT_BYTES {
                return Some(None);
            }
            match std::str::from_utf8(&line) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => return Some(Some(text.to_owned())),
                Err(_) => return Some(None),
            }
        }
    }

    #[expect(
        clippy::option_option,
        reason = "no line yet and a line without sense are two things"
    )]
    fn unfinished(&mut self) -> Option<Option<String>> {
        self.searched = self.buffer.len();
        if self.searched <= EVENT_BYTES {
            return None;
        }
        self.buffer.clear();
        self.searched = 0;
        (!std::mem::replace(&mut self.skipping, true)).then_some(None)
    }
}
