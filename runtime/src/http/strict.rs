//! Requests that two parsers could read differently are refused (SECURITY.md, "Request smuggling").
//!
//! hyper decides what a request is; this module only narrows what reaches it. Two things hyper does not show after
//! parsing: it takes a bare LF for a line end, and it drops `Content-Length` beside `Transfer-Encoding` and a second
//! equal `Content-Length`. So [`Scanner`] follows the raw bytes, line by line through heads and chunk headers and by
//! length through bodies, and names the first byte of a violation: always at or before the LF that would complete the
//! offending line, so hyper has not acted on the line yet. The connection then delivers [`Scanner::spoiler`] in its
//! place, followed by end of file. It is an error at every such place, so it is hyper that answers 400, after the answers
//! to the requests before, and closes. If scanner and parser ever disagreed, the scanner could refuse too much but never
//! make a request of its own.
//!
//! Everything that is still visible in the parsed request is checked there, by [`refusal`].
//!
//! After a request with `Upgrade` the bytes may be of another protocol, so the scanner stops looking. Such a request is
//! the last of its connection: a tunnel or, by the server, `Connection: close`.

use http::header::{CONTENT_LENGTH, HOST};
use http::{Method, Request, Version};

/// Follows the bytes of one connection.
pub(super) struct Scanner {
    state: State,
    /// The line being read, without its LF.
    line: Vec<u8>,
    head: Head,
    /// Bytes of the head (or trailers) so far.
    head_bytes: usize,
    max_head_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Body { left: u64 },
    ChunkSize,
    ChunkData { left: u64 },
    ChunkEnd,
    Trailers,
    Opaque,
}

/// What the lines of a head have said so far.
#[derive(Default)]
struct Head {
    request_line: bool,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

/// The bytes from here on are no acceptable HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Violation;

/// Longer chunk headers have no use, and no limit in the standard.
pub(super) const MAX_CHUNK_LINE: usize = 256;

/// Up to this capacity the buffer of a line is used again, so that idle connections stay small.
const KEPT_LINE: usize = 1024;

impl Scanner {
    /// Expects a request. A head beyond `max_head_bytes` is left to hyper, whose limit must not be larger.
    pub(super) fn new(max_head_bytes: usize) -> Self {
        Self {
            state: State::Head,
            line: Vec::new(),
            head: Head::default(),
            head_bytes: 0,
            max_head_bytes,
        }
    }

    /// Whether a request has begun and its head is not complete.
    pub(super) fn is_inside_head(&self) -> bool {
        self.state == State::Head && self.head_bytes > 0
    }

    /// What hyper gets in place of a violation. No head may hold a NUL, but hyper looks at a head only when its end has
    /// come; outside of a head an end could complete the body.
    pub(super) fn spoiler(&self) -> &'static [u8] {
        match self.state {
            State::Head => b"\0\r\n\r\n",
            State::Body { .. }
            | State::ChunkSize
            | State::ChunkData { .. }
            | State::ChunkEnd
            | State::Trailers
            | State::Opaque => b"\0",
        }
    }

    /// Follows `data`. `Err` is the offset of the byte that must not be delivered.
    pub(super) fn scan(&mut self, data: &[u8]) -> Result<(), usize> {
        let mut rest = data;
        while !rest.is_empty() {
            let offset = data.len() - rest.len();
            rest = match self.state {
                State::Opaque => return Ok(()),
                State::Body { left } => {
                    let (left, rest) = skip(left, rest);
                    self.state = if left == 0 {
                        self.next_message()
                    } else {
                        State::Body { left }
                    };
                    rest
                }
                State::ChunkData { left } => {
                    let (left, rest) = skip(left, rest);
                    self.state = if left == 0 {
                        State::ChunkEnd
                    } else {
                        State::ChunkData { left }
                    };
                    rest
                }
                State::Head | State::ChunkSize | State::ChunkEnd | State::Trailers => {
                    let (taken, line_end) = match rest.iter().position(|byte| *byte == b'\n') {
                        Some(at) => (at, true),
                        None => (rest.len(), false),
                    };
                    let (line, after) = rest.split_at(taken);
                    self.take(line).map_err(|Violation| offset)?;
                    if !line_end || self.state == State::Opaque {
                        return Ok(());
                    }
                    self.end_of_line().map_err(|Violation| offset + taken)?;
                    after.get(1..).unwrap_or_default()
                }
            };
        }
        Ok(())
    }

    /// Adds part of a line. Fails where the line is too long to be of any use.
    fn take(&mut self, part: &[u8]) -> Result<(), Violation> {
        let limit = match self.state {
            State::Head | State::Trailers => {
                self.head_bytes = self.head_bytes.saturating_add(part.len());
                if self.state == State::Head && self.head_bytes > self.max_head_bytes {
                    self.line = Vec::new();
                    self.state = State::Opaque;
                    return Ok(());
                }
                self.max_head_bytes
                    .saturating_sub(self.head_bytes - part.len())
            }
            State::ChunkSize => MAX_CHUNK_LINE - self.line.len().min(MAX_CHUNK_LINE),
            State::ChunkEnd => 1 - self.line.len().min(1),
            State::Body { .. } | State::ChunkData { .. } | State::Opaque => return Ok(()),
        };
        if part.len() > limit {
            return Err(Violation);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_of_line(&mut self) -> Result<(), Violation> {
        let mut line = std::mem::take(&mut self.line);
        if line.pop() != Some(b'\r') || line.contains(&b'\r') {
            return Err(Violation);
        }
        self.state = match self.state {
            State::Head => {
                self.head_bytes += 1;
                self.head_line(&line)?
            }
            State::ChunkSize => match chunk_size(&line)? {
                0 => State::Trailers,
                left => State::ChunkData { left },
            },
            State::ChunkEnd => State::ChunkSize,
            State::Trailers if line.is_empty() => self.next_message(),
            State::Trailers => {
                field(&line)?;
                State::Trailers
            }
            state @ (State::Body { .. } | State::ChunkData { .. } | State::Opaque) => state,
        };
        if line.capacity() <= KEPT_LINE {
            line.clear();
            self.line = line;
        }
        Ok(())
    }

    fn head_line(&mut self, line: &[u8]) -> Result<State, Violation> {
        if !self.head.request_line {
            // hyper cuts a fragment off and says nothing; a target has none (RFC 9112 section 3.2).
            if line.contains(&b'#') {
                return Err(Violation);
            }
            // An empty line before the request line is allowed (RFC 9112 section 2.2).
            self.head.request_line = !line.is_empty();
            return Ok(State::Head);
        }
        if line.is_empty() {
            return self.end_of_head();
        }
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = decimal(value).ok_or(Violation)?;
            if self.head.chunked || self.head.length.replace(length).is_some() {
                return Err(Violation);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let again = std::mem::replace(&mut self.head.chunked, true);
            if again || self.head.length.is_some() || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Violation);
            }
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            self.head.upgrade = true;
        }
        Ok(State::Head)
    }

    fn end_of_head(&mut self) -> Result<State, Violation> {
        self.head_bytes = 0;
        Ok(match (self.head.chunked, self.head.length) {
            (true, _) => State::ChunkSize,
            (false, Some(left)) if left > 0 => State::Body { left },
            (false, Some(_) | None) => self.next_message(),
        })
    }

    fn next_message(&mut self) -> State {
        self.head_bytes = 0;
        if std::mem::take(&mut self.head).upgrade {
            State::Opaque
        } else {
            State::Head
        }
    }
}

/// How many bytes are left after `data`, and what of it comes after those.
pub(super) fn skip(left: u64, data: &[u8]) -> (u64, &[u8]) {
    let taken = usize::try_from(left).map_or(data.len(), |left| left.min(data.len()));
    let rest = data.get(taken..).unwrap_or_default();
    (
        left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX)),
        rest,
    )
}

/// The name and the trimmed value of a field line; no folding, no space before the colon (RFC 9112 section 5).
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Violation> {
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or(Violation)?;
    let (name, value) = line.split_at(colon);
    if name.is_empty() || name.iter().any(u8::is_ascii_whitespace) {
        return Err(Violation);
    }
    Ok((name, value.get(1..).unwrap_or_default().trim_ascii()))
}

/// The number that a field value is.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The size in a chunk header; extensions are ignored (RFC 9112 section 7.1.1).
pub(super) fn chunk_size(line: &[u8]) -> Result<u64, Violation> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Violation);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Violation)?;
    u64::from_str_radix(digits, 16).map_err(|_| Violation)
}

/// Why a parsed request must not be acted on: answer 400 with this and close.
pub(super) fn refusal<B>(request: &Request<B>) -> Option<&'static str> {
    let uri = request.uri();
    if request.method() == Method::CONNECT {
        return Some("CONNECT is not supported");
    }
    if uri.scheme().is_some() || uri.authority().is_some() || !uri.path().starts_with('/') {
        return Some("the request target must be a path");
    }
    let hosts = request.headers().get_all(HOST).iter().count();
    let old = request.version() == Version::HTTP_10;
    if hosts > 1 || (hosts == 0 && !old) {
        return Some("exactly one Host header is needed");
    }
    let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    if old && has_body && !request.headers().contains_key(CONTENT_LENGTH) {
        return Some("an HTTP/1.0 request with a body needs Content-Length");
    }
    None
}

#[cfg(test)]
mod tests;
