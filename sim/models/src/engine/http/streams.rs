//! Attach and exec: raw connections to a process.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, UPGRADE};
use http::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::super::Engine;
use super::super::console::{Console, Next, Stream, frame};
use super::super::container::{Id, Phase};
use super::super::options::ApiVersion;
use super::super::refusal::Refusal;
use super::super::spec::parse_json;
use super::super::state::State;
use super::{Call, Reply, created, empty, ok, streamed, with_body};
use crate::unfold::unfold;

/// The API version from which framed streams have a media type of their own.
const MULTIPLEXED: ApiVersion = ApiVersion(1, 42);

/// Ctrl-P Ctrl-Q.
const DETACH: [u8; 2] = [0x10, 0x11];

/// The process at the other end.
#[derive(Clone, Debug)]
enum Target {
    Container { id: Id, once: bool },
    Exec(Id),
}

/// Reads a process's output from some point on. Input waits for it, until it is dropped.
struct Reader {
    engine: Arc<Engine>,
    console: Arc<Console>,
    id: u64,
    position: u64,
    /// Ends when the process ended more often than this.
    exits: u64,
    raw: bool,
    stdout: bool,
    stderr: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ExecStart {
    detach: bool,
}

pub(super) fn attach(call: Call, name: &str) -> Reply {
    let query = &call.query;
    let (stdin, follow) = (query.flag("stdin"), query.flag("stream"));
    let keys = detach_keys(query.text("detachKeys"));
    let (target, console, raw) = {
        let state = call.engine.current();
        let container = state.container(name)?;
        if container.phase == Phase::Paused {
            return Err(Refusal::conflict(format!(
                "Container {} is paused, unpause the container before attach.",
                container.id
            )));
        }
        let once = container.spec.stdin_once;
        let (id, open) = (Arc::clone(&container.id), container.spec.open_stdin);
        let target = (stdin && open).then_some(Target::Container { id, once });
        (target, Arc::clone(&container.console), container.spec.tty)
    };
    let mut reader = Reader::new(&call.engine, console, raw, query.flag("logs"));
    reader.stdout = query.flag("stdout");
    reader.stderr = query.flag("stderr");
    call.engine.edit(|state| {
        if let Ok(id) = state.resolve(name) {
            state.emit_container(&id, "attach", &[]);
        }
    });
    if !follow {
        // Only what is there already.
        reader.exits = reader.exits.wrapping_sub(1);
    }
    tunnel(call, reader, target, raw.then_some(keys))
}

pub(super) async fn create_exec(mut call: Call, name: &str) -> Reply {
    let body = call.body().await?;
    let id = call.engine.edit(|state| state.create_exec(name, &body))?;
    created(&json!({"Id": id.as_ref()}))
}

pub(super) async fn start_exec(mut call: Call, id: &str) -> Reply {
    let body = call.body().await?;
    let request: ExecStart = if body.is_empty() {
        ExecStart::default()
    } else {
        parse_json(&body)?
    };
    if request.detach {
        call.engine.edit(|state| state.start_exec(id, false))?;
        return Ok(with_body(StatusCode::OK, empty()));
    }
    let upgrade = call.wants_upgrade();
    let (id, console, raw, stdin) = {
        let state = call.engine.current();
        let exec = state.check_exec(id)?;
        (
            Arc::clone(&exec.id),
            Arc::clone(&exec.console),
            exec.tty,
            exec.stdin,
        )
    };
    let reader = Reader::new(&call.engine, console, raw, true);
    call.engine.edit(|state| state.start_exec(&id, upgrade))?;
    let target = stdin.then_some(Target::Exec(id));
    let keys = raw.then(|| detach_keys(None));
    tunnel(call, reader, target, keys)
}

pub(super) fn inspect_exec(call: &Call, id: &str) -> Reply {
    ok(&call.engine.current().inspect_exec(id)?)
}

pub(super) fn resize_exec(call: &Call, id: &str) -> Reply {
    call.engine.current().exec(id)?;
    Ok(with_body(StatusCode::OK, empty()))
}

/// The media type of a process's output.
pub(super) fn content_type(version: ApiVersion, raw: bool) -> &'static str {
    if !raw && version >= MULTIPLEXED {
        "application/vnd.docker.multiplexed-stream"
    } else {
        "application/vnd.docker.raw-stream"
    }
}

/// Answers with 101 and connects the client with the process; without the client's asking for an upgrade, with the
/// output alone.
fn tunnel(call: Call, reader: Reader, target: Option<Target>, keys: Option<Vec<u8>>) -> Reply {
    let content_type = content_type(call.version, reader.raw);
    if !call.wants_upgrade() {
        let body = unfold(reader, |mut reader| {
            Box::pin(async move {
                let bytes = reader.next().await?;
                Some((bytes, reader))
            })
        });
        return streamed(content_type, body);
    }
    let upgrade = hyper::upgrade::on(call.request);
    let engine = Arc::clone(&call.engine);
    let work = Box::pin(async move {
        // The client may be gone before it reads the 101.
        if let Ok(upgraded) = upgrade.await {
            let (read, write) = tokio::io::split(TokioIo::new(upgraded));
            tokio::select! {
                biased;
                () = input(&engine, read, target, keys) => {}
                () = output(reader, write) => {}
            }
        }
    });
    *call.tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(work);
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("tcp"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

/// Sends output until there will be no more.
async fn output(mut reader: Reader, mut write: impl AsyncWrite + Unpin) {
    while let Some(bytes) = reader.next().await {
        if write.write_all(&bytes).await.is_err() || write.flush().await.is_err() {
            return;
        }
    }
    // The client sees the end either way.
    let _ = write.shutdown().await;
}

/// Passes input on. Ends on the detach keys or a broken connection; a client that only stops sending goes on reading.
async fn input(
    engine: &Engine,
    mut read: impl AsyncRead + Unpin,
    target: Option<Target>,
    keys: Option<Vec<u8>>,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut typed: Vec<u8> = Vec::new();
    loop {
        let Ok(length) = read.read(&mut buffer).await else {
            return;
        };
        let data = buffer.get(..length).unwrap_or_default();
        let Some(target) = &target else {
            if data.is_empty() {
                break;
            }
            continue;
        };
        if data.is_empty() {
            engine
                .until(|state| target.is_started(state).then_some(()))
                .await;
            engine.edit(|state| target.close_input(state));
            break;
        }
        if let Some(keys) = keys.as_ref().filter(|keys| !keys.is_empty()) {
            typed.extend_from_slice(data);
            if typed.windows(keys.len()).any(|window| window == keys) {
                engine.edit(|state| target.detached(state));
                return;
            }
            typed.drain(..typed.len().saturating_sub(keys.len() - 1));
        }
        engine
            .until(|state| target.has_room(state).then_some(()))
            .await;
        engine.edit(|state| target.feed(state, data));
    }
    std::future::pending::<()>().await;
}

impl Target {
    fn is_started(&self, state: &State) -> bool {
        match self {
            Self::Container { id, .. } => state
                .containers
                .get(id)
                .is_none_or(|container| container.process.is_some()),
            Self::Exec(_) => true,
        }
    }

    /// Whether input can be passed on now. What has ended takes everything.
    fn has_room(&self, state: &State) -> bool {
        match self {
            Self::Container { id, .. } => state.containers.get(id).is_none_or(|container| {
                let ready = container.process.as_ref().is_some_and(|p| p.has_room());
                ready && container.phase == Phase::Running && container.console.lock().has_room()
            }),
            Self::Exec(id) => state.execs.get(id).is_none_or(|exec| {
                let ready = exec.process.as_ref().is_none_or(|p| p.has_room());
                ready && exec.console.lock().has_room()
            }),
        }
    }

    fn feed(&self, state: &mut State, data: &[u8]) {
        match self {
            Self::Container { id, .. } => {
                let interrupted =
                    state.with_process(id, |process, world| process.feed(data, world));
                match interrupted {
                    Some(true) => state.interrupt(id),
                    Some(false) => state.run(id),
                    None => {}
                }
            }
            Self::Exec(id) => {
                let interrupted = state.with_exec(id, |process, world| process.feed(data, world));
                match interrupted {
                    Some(true) => state.exec_ended(id, 130),
                    Some(false) => state.run_exec(id),
                    None => {}
                }
            }
        }
    }

    fn close_input(&self, state: &mut State) {
        match self {
            // Without StdinOnce the container's input outlives its visitors.
            Self::Container { once: false, .. } => {}
            Self::Container { id, once: true } => {
                state.with_process(id, |process, _| process.close_input());
                state.run(id);
            }
            Self::Exec(id) => {
                state.with_exec(id, |process, _| process.close_input());
                state.run_exec(id);
            }
        }
    }

    fn detached(&self, state: &mut State) {
        match self {
            Self::Container { id, .. } => state.emit_container(id, "detach", &[]),
            Self::Exec(id) => {
                let Ok(container) = state.exec(id).map(|exec| Arc::clone(&exec.container)) else {
                    return;
                };
                state.emit_container(&container, "exec_detach", &[("execID", id.to_string())]);
            }
        }
    }
}

impl Reader {
    fn new(engine: &Arc<Engine>, console: Arc<Console>, raw: bool, from_start: bool) -> Self {
        let (id, position, exits) = {
            let mut inner = console.lock();
            let position = if from_start {
                inner.start()
            } else {
                inner.end()
            };
            (inner.join(position), position, inner.exits)
        };
        Self {
            engine: Arc::clone(engine),
            console,
            id,
            position,
            exits,
            raw,
            stdout: true,
            stderr: true,
        }
    }

    /// The next piece of output on the wire; `None` after the end of the process.
    async fn next(&mut self) -> Option<Bytes> {
        let (console, position) = (&self.console, &mut self.position);
        let (stdout, stderr, exits, id) = (self.stdout, self.stderr, self.exits, self.id);
        let found = self
            .engine
            .until(|_| {
                let mut inner = console.lock();
                loop {
                    let Next::Chunk(chunk) = inner.read(position) else {
                        let over = inner.exits != exits || inner.removed;
                        return over.then_some(None);
                    };
                    inner.advance(id, *position);
                    let wanted = match chunk.stream {
                        Stream::Stdout => stdout,
                        Stream::Stderr => stderr,
                    };
                    if wanted {
                        return Some(Some(chunk));
                    }
                }
            })
            .await?;
        // Input may have waited for this.
        self.engine.changed.notify_waiters();
        Some(if self.raw {
            found.data
        } else {
            frame(found.stream, &found.data)
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.console.lock().leave(self.id);
        self.engine.changed.notify_waiters();
    }
}

/// Reads `ctrl-x,y`; what cannot be read leaves the default in place.
fn detach_keys(text: Option<&str>) -> Vec<u8> {
    let key = |key: &str| match key.strip_prefix("ctrl-") {
        Some(letter) => letter.bytes().next().map(|byte| byte & 0x1f),
        None => key.bytes().next().filter(|_| key.len() == 1),
    };
    let keys: Option<Vec<u8>> = text
        .filter(|text| !text.is_empty())
        .and_then(|text| text.split(',').map(key).collect());
    keys.unwrap_or_else(|| DETACH.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detach_keys_are_read_or_default() {
        assert_eq!(detach_keys(None), DETACH);
        assert_eq!(detach_keys(Some("ctrl-a,x")), [1, b'x']);
        assert_eq!(detach_keys(Some("nonsense")), DETACH);
    }
}
