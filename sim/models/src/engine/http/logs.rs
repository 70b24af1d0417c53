//! `GET /containers/{id}/logs`.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use swarm_core::time::Wall;

use super::super::clock::parse_timestamp;
use super::super::console::{Chunk, Next, frame};
use super::super::refusal::{Answer, Refusal};
use super::{Call, Reply, streamed, streams};
use crate::unfold::unfold;

/// What a client wants to see of the output.
#[derive(Clone)]
struct View {
    stdout: bool,
    stderr: bool,
    timestamps: bool,
    raw: bool,
    since: Wall,
    until: Option<Wall>,
}

/// What is left to send.
struct Progress {
    ready: VecDeque<Bytes>,
    position: u64,
}

pub(super) fn logs(call: &Call, name: &str) -> Reply {
    let query = &call.query;
    let (console, raw, up) = {
        let state = call.engine.current();
        let container = state.container(name)?;
        (
            Arc::clone(&container.console),
            container.spec.tty,
            container.is_up(),
        )
    };
    let view = View {
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        timestamps: query.flag("timestamps"),
        raw,
        since: timestamp(call, "since")?.unwrap_or(Wall(0)),
        until: timestamp(call, "until")?,
    };
    if !view.stdout && !view.stderr {
        return Err(Refusal::bad(
            "Bad parameters: you must choose at least one stream",
        ));
    }
    let tail = match query.text("tail") {
        None | Some("" | "all") => usize::MAX,
        // Docker takes what it cannot read as "all".
        Some(text) => text.parse().unwrap_or(usize::MAX),
    };
    let follow = query.flag("follow") && up && view.until.is_none();
    let (mut ready, position) = {
        let console = console.lock();
        let lines: VecDeque<Bytes> = console.chunks().flat_map(|c| view.lines(c)).collect();
        (lines, console.end())
    };
    ready.drain(..ready.len().saturating_sub(tail));
    let engine = Arc::clone(&call.engine);
    let body = unfold(Progress { ready, position }, move |mut progress| {
        let (engine, console, view) = (Arc::clone(&engine), Arc::clone(&console), view.clone());
        Box::pin(async move {
            if progress.ready.is_empty() && follow {
                let found = engine.until(|_| {
                    let console = console.lock();
                    loop {
                        match console.read(&mut progress.position) {
                            Next::Chunk(chunk) => progress.ready.extend(view.lines(&chunk)),
                            Next::Nothing if !progress.ready.is_empty() => return Some(()),
                            Next::Nothing => return (!console.running).then_some(()),
                        }
                    }
                });
                found.await;
            }
            let batch = progress.batch()?;
            Some((batch, progress))
        })
    });
    streamed(streams::content_type(call.version, raw), body)
}

impl Progress {
    /// The next lines in one piece.
    fn batch(&mut self) -> Option<Bytes> {
        let mut batch = BytesMut::from(self.ready.pop_front()?);
        while batch.len() < 32 * 1024 {
            match self.ready.pop_front() {
                Some(line) => batch.extend_from_slice(&line),
                None => break,
            }
        }
        Some(batch.freeze())
    }
}

impl View {
    /// A chunk's lines as they go over the wire.
    fn lines(&self, chunk: &Chunk) -> Vec<Bytes> {
        use super::super::console::Stream;
        let wanted = match chunk.stream {
            Stream::Stdout => self.stdout,
            Stream::Stderr => self.stderr,
        };
        let late = self.until.is_some_and(|until| chunk.at > until);
        if !wanted || late || chunk.at < self.since {
            return Vec::new();
        }
        let lines = chunk.data.split_inclusive(|byte| *byte == b'\n');
        lines
            .map(|line| {
                let mut text = Vec::new();
                if self.timestamps {
                    text.extend_from_slice(chunk.at.rfc3339_nanos().as_bytes());
                    text.push(b' ');
                }
                text.extend_from_slice(line);
                if self.raw {
                    text.into()
                } else {
                    frame(chunk.stream, &text)
                }
            })
            .collect()
    }
}

/// A time of the query; 0 counts as absent, as Docker has it.
fn timestamp(call: &Call, key: &str) -> Answer<Option<Wall>> {
    match call
        .query
        .text(key)
        .filter(|text| !text.is_empty() && *text != "0")
    {
        None => Ok(None),
        Some(text) => match parse_timestamp(text) {
            Some(at) => Ok(Some(at)),
            None => Err(Refusal::bad(format!(
                "invalid value for \"{key}\": \"{text}\""
            ))),
        },
    }
}
