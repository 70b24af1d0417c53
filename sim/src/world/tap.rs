//! Listens to what a manager writes to engines: each change that leaves is judged by the lease at that very instant.

use std::sync::{Arc, Mutex, PoisonError};

use swarm::election::Elector;
use swarm_core::api;

use super::io::Directory;
use super::keeps::Connection;
use super::witness::SharedWitness;
use crate::trace::{HostId, Kind};

/// A request line and headers are shorter.
const HEAD_BYTES_MAX: usize = 128 * 1024;

/// What the world sees of one manager process: nothing when it does not run.
pub(crate) type Seat = Arc<Mutex<Option<Arc<Elector>>>>;

/// One manager's taps.
pub(crate) struct Tap {
    host: HostId,
    port: u16,
    seat: Seat,
    witness: SharedWitness,
    directory: Arc<Directory>,
}

impl Tap {
    /// Taps the connections of manager `host` to `port`.
    pub(crate) fn new(
        host: HostId,
        port: u16,
        seat: Seat,
        witness: SharedWitness,
        directory: Arc<Directory>,
    ) -> Arc<Self> {
        Arc::new(Self {
            host,
            port,
            seat,
            witness,
            directory,
        })
    }

    /// Whether connections to `port` are tapped.
    pub(crate) fn taps(&self, port: u16) -> bool {
        port == self.port
    }

    /// A listener at a connection to host `to`.
    pub(crate) fn listen(self: &Arc<Self>, to: HostId, connection: Connection) -> Tapped {
        Tapped {
            tap: self.clone(),
            to,
            connection,
            state: Heads::default(),
        }
    }

    /// The epoch in which the manager acts now, by its own clock.
    ///
    /// What was let through in the very instant in which the manager resigns leaves in that instant, a moment later and
    /// still before the release: then the last step counts.
    fn acting(&self) -> Option<u64> {
        let seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        let now = seat.as_ref().and_then(|elector| elector.acting());
        now.map(|authority| authority.epoch).or_else(|| {
            let witness = self.witness.lock();
            let mut before = witness.judge.acting().iter();
            before
                .find(|(host, _)| *host == self.host)
                .map(|(_, epoch)| *epoch)
        })
    }

    fn meet_keeps(&self, to: HostId, line: &str, connection: Connection) {
        let keeps = &self.directory.keeps;
        if let Some(fault) = keeps.meet((self.host, to), line, connection) {
            let mut witness = self.witness.lock();
            witness.note(self.host, Kind::Kept, u64::from(fault), 0, || {
                line.to_owned()
            });
        }
    }

    fn left(&self, request: &Departure) {
        let mut witness = self.witness.lock();
        let (epoch, number) = (request.acting.unwrap_or(0), witness.judge.dispatched() + 1);
        witness.note(self.host, Kind::Dispatched, epoch, number, || {
            request.line.clone()
        });
        witness
            .judge
            .dispatched_by(request.at, self.host, epoch, request.acting);
    }
}

/// A request whose first byte left at `at`.
struct Departure {
    at: u64,
    acting: Option<u64>,
    line: String,
}

/// A tapped connection.
pub(crate) struct Tapped {
    tap: Arc<Tap>,
    to: HostId,
    connection: Connection,
    state: Heads,
}

impl Tapped {
    /// These bytes were taken by the network.
    pub(crate) fn written(&mut self, bytes: &[u8]) {
        let (tap, to, connection) = (self.tap.clone(), self.to, self.connection);
        let began = || {
            let now = tap.witness.lock().now();
            (now, tap.acting())
        };
        self.state.feed(bytes, began, |head, (at, acting)| {
            if let Some(line) = mutation(head) {
                tap.meet_keeps(to, &line, connection);
                tap.left(&Departure { at, acting, line });
            }
        });
    }
}

/// The request line, if the request changes something. What cannot be read is taken for a change.
fn mutation(head: &str) -> Option<String> {
    let line = head.lines().next().unwrap_or_default();
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let changes = match api::Request::parse(method, target) {
        Ok(request) => api::class::is_mutation(&request.route),
        Err(_) => !matches!(method, "GET" | "HEAD"),
    };
    changes.then(|| line.to_owned())
}

/// Finds the heads in a stream of requests.
enum Heads<T = (u64, Option<u64>)> {
    /// In a head, with what its first byte met.
    Head(Vec<u8>, Option<T>),
    /// In a body: so many bytes are left.
    Body(u64),
    /// In a chunked body: the line that says how long the next chunk is.
    ChunkLine(Vec<u8>),
    /// In a chunk, its line end included.
    Chunk(u64),
    /// After the last chunk: trailers, up to an empty line.
    Trailer(Vec<u8>),
    /// No requests any more.
    Tunnel,
}

impl<T> Default for Heads<T> {
    fn default() -> Self {
        Self::Head(Vec::new(), None)
    }
}

impl<T> Heads<T> {
    fn feed(&mut self, mut bytes: &[u8], began: impl Fn() -> T, mut found: impl FnMut(&str, T)) {
        while let Some((first, rest)) = bytes.split_first() {
            match self {
                Self::Head(head, start) => {
                    let met = start.take().unwrap_or_else(&began);
                    head.push(*first);
                    bytes = rest;
                    if head.len() > HEAD_BYTES_MAX {
                        *self = Self::Tunnel;
                    } else if head.ends_with(b"\r\n\r\n") {
                        let text = String::from_utf8_lossy(head).into_owned();
                        *self = Self::after(&text);
                        found(&text, met);
                    } else {
                        *start = Some(met);
                    }
                }
                Self::Body(left) => bytes = skip(left, bytes),
                Self::Chunk(left) => bytes = skip(left, bytes),
                Self::ChunkLine(line) | Self::Trailer(line) => {
                    line.push(*first);
                    bytes = rest;
                }
                Self::Tunnel => return,
            }
            self.move_on();
        }
    }

    /// What follows a head.
    fn after(head: &str) -> Self {
        let value = |name: &str| {
            head.lines().skip(1).find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name)
                    .then(|| value.trim().to_ascii_lowercase())
            })
        };
        if value("upgrade").is_some() {
            return Self::Tunnel;
        }
        if value("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            return Self::ChunkLine(Vec::new());
        }
        let length = value("content-length").and_then(|length| length.parse().ok());
        match length {
            None | Some(0) => Self::default(),
            Some(length) => Self::Body(length),
        }
    }

    fn move_on(&mut self) {
        let next = match self {
            Self::Body(0) => Self::default(),
            Self::Chunk(0) => Self::ChunkLine(Vec::new()),
            Self::ChunkLine(line) if line.ends_with(b"\r\n") => {
                let text = String::from_utf8_lossy(line);
                let digits = text.trim().split(';').next().unwrap_or_default();
                match u64::from_str_radix(digits, 16) {
                    Ok(0) => Self::Trailer(Vec::new()),
                    Ok(length) => Self::Chunk(length.saturating_add(2)),
                    Err(_) => Self::Tunnel,
                }
            }
            Self::Trailer(line) if line.ends_with(b"\r\n\r\n") || line == b"\r\n" => {
                Self::default()
            }
            Self::Head(..)
            | Self::Body(_)
            | Self::Chunk(_)
            | Self::ChunkLine(_)
            | Self::Trailer(_)
            | Self::Tunnel => return,
        };
        *self = next;
    }
}

fn skip<'a>(left: &mut u64, bytes: &'a [u8]) -> &'a [u8] {
    let here = usize::try_from(*left)
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    *left -= u64::try_from(here).unwrap_or(0);
    bytes.get(here..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request lines found when `text` is written in pieces of `size`, with the number of the byte each began at.
    fn found(text: &str, size: usize) -> Vec<(usize, String)> {
        let mut heads = Heads::<usize>::default();
        let mut lines = Vec::new();
        for (index, piece) in text.as_bytes().chunks(size).enumerate() {
            let at = || index * size;
            heads.feed(piece, at, |head, at| {
                lines.push((at, head.lines().next().unwrap_or_default().to_owned()));
            });
        }
        lines
    }

    #[test]
    fn heads_are_found_between_bodies_of_every_kind() {
        let stream = "POST /containers/create HTTP/1.1\r\nContent-Length: 9\r\n\r\nPOST /x y\
            PUT /a HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n6;x=1\r\nPOST /\r\n0\r\n\r\n\
            DELETE /b HTTP/1.1\r\n\r\n\
            POST /exec/1/start HTTP/1.1\r\nUpgrade: tcp\r\n\r\nPOST /typed HTTP/1.1\r\n\r\n";
        let expected = [
            "POST /containers/create",
            "PUT /a",
            "DELETE /b",
            "POST /exec/1/start",
        ];
        for size in [1, 2, 3, 7, 1_000] {
            let lines: Vec<String> = found(stream, size)
                .into_iter()
                .map(|(_, line)| line)
                .collect();
            let expected: Vec<String> = expected.map(|line| format!("{line} HTTP/1.1")).to_vec();
            assert_eq!(lines, expected, "{size}");
        }
    }

    #[test]
    fn the_first_byte_counts() {
        let stream = "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
        let begins: Vec<usize> = found(stream, 1).into_iter().map(|(at, _)| at).collect();
        assert_eq!(begins, [0, 19]);
    }

    #[test]
    fn reads_are_no_changes() {
        let line = |text: &str| mutation(&format!("{text} HTTP/1.1\r\n\r\n"));
        assert_eq!(line("GET /v1.41/containers/json"), None);
        assert_eq!(line("POST /v1.41/containers/x/wait"), None);
        assert!(line("POST /v1.41/containers/create?name=x").is_some());
        assert!(line("DELETE /containers/x").is_some());
        assert!(line("POST /no/such/route").is_some());
    }
}
