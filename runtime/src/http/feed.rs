//! An answer that goes on for as long as its connection does, read in little memory.
//!
//! hyper keeps 25 KiB of buffers and queues for each of its connections. A manager listens to thousands of engines that
//! say a line now and then, and those connections were a third of its memory. Here no more is done than to take off the
//! framing of one answer (RFC 9112 sections 6.3 and 7.1), and nothing is kept between two reads.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use swarm_core::address::HostPort;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::client::{Client, SendError};
use super::strict::{MAX_CHUNK_LINE, chunk_size, decimal, skip};
use crate::platform::BoxIo;

/// Longest head of an answer.
const HEAD_BYTES: usize = 16 * 1024;
/// Most fields in it.
const FIELDS: usize = 100;
/// Bytes read at once.
const READ_BYTES: usize = 4 * 1024;

/// The body of an answer, as it comes.
pub struct Feed {
    io: BoxIo,
    body: Deframer,
    /// What came together with the head.
    early: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Nothing was sent.
    #[error(transparent)]
    Connect(#[from] SendError),
    /// The connection broke before the whole head had come.
    #[error(transparent)]
    Broken(#[from] io::Error),
    /// What came is no head, or does not tell where the body ends.
    #[error("not an answer: {0}")]
    Garbage(&'static str),
}

impl Feed {
    /// Sends `GET target` to `to` over a connection of its own, and reads the head of the answer.
    ///
    /// # Errors
    /// When there is no answer to be understood. There is no limit on the time it takes.
    pub async fn open(
        client: &Client,
        to: &HostPort,
        target: &str,
    ) -> Result<(StatusCode, Self), FeedError> {
        let mut io = client.open_bare(to).await?;
        let request = format!("GET {target} HTTP/1.1\r\nhost: {to}\r\n\r\n");
        io.write_all(request.as_bytes()).await?;
        io.flush().await?;
        let mut early = Vec::new();
        loop {
            if early.len() > HEAD_BYTES {
                return Err(FeedError::Garbage("its head is too long"));
            }
            if io.read_buf(&mut early).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            while let Some(head) = Head::parse(&early)? {
                early.drain(..head.length);
                if let Some(body) = head.body {
                    early.shrink_to_fit();
                    return Ok((head.status, Self { io, body, early }));
                }
            }
        }
    }

    /// Waits for more of the body and hands it to `take`; `false` when there will be no more, complete or not.
    ///
    /// # Errors
    /// When the connection breaks, or the framing is none.
    pub async fn read(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        if self.body.state == State::Over {
            return Ok(false);
        }
        if !self.early.is_empty() {
            let early = std::mem::take(&mut self.early);
            return self.body.take(&early, &mut take);
        }
        poll_fn(|cx| self.poll_read(cx, &mut take)).await
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        take: &mut impl FnMut(&[u8]),
    ) -> Poll<io::Result<bool>> {
        let mut space = [0; READ_BYTES];
        let mut read = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut read))?;
        Poll::Ready(match read.filled() {
            [] => Ok(false),
            data => self.body.take(data, take),
        })
    }
}

struct Head {
    length: usize,
    status: StatusCode,
    /// `None` when another head follows.
    body: Option<Deframer>,
}

impl Head {
    /// The head that `bytes` begin with, if they have all of it.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, FeedError> {
        let mut space = [httparse::EMPTY_HEADER; FIELDS];
        let mut answer = httparse::Response::new(&mut space);
        let length = match answer.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(FeedError::Garbage("its head cannot be read")),
        };
        let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or(FeedError::Garbage("its status is none"))?;
        let body = match status.is_informational() {
            true if status != StatusCode::SWITCHING_PROTOCOLS => None,
            true => return Err(FeedError::Garbage("a switch nobody asked for")),
            false => Some(framing(answer.headers)?),
        };
        Ok(Some(Self {
            length,
            status,
            body: body.map(Deframer::new),
        }))
    }
}

/// Where the body ends (RFC 9112 section 6.3). Nobody reads a body that cannot be there.
fn framing(fields: &[httparse::Header<'_>]) -> Result<State, FeedError> {
    let named = |name: &'static str| {
        let is = move |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
        fields.iter().filter(is).map(|field| field.value)
    };
    let mut codings = named("transfer-encoding");
    if let Some(coding) = codings.next() {
        if codings.next().is_some() || !coding.trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err(FeedError::Garbage("its transfer encoding is not chunked"));
        }
        return Ok(State::ChunkSize);
    }
    let mut lengths = named("content-length");
    let Some(length) = lengths.next() else {
        return Ok(State::Open);
    };
    match (decimal(length.trim_ascii()), lengths.next()) {
        (Some(0), None) => Ok(State::Over),
        (Some(left), None) => Ok(State::Length { left }),
        (None, _) | (_, Some(_)) => Err(FeedError::Garbage("its length is none")),
    }
}

/// Takes the framing off a body.
struct Deframer {
    state: State,
    /// The line being read, without its LF.
    line: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It ends with the connection.
    Open,
    Length {
        left: u64,
    },
    ChunkSize,
    ChunkData {
        left: u64,
    },
    ChunkEnd,
    Trailers,
    Over,
}

impl Deframer {
    fn new(state: State) -> Self {
        Self {
            state,
            line: Vec::new(),
        }
    }

    /// Hands on what of `data` is body; `false` when that was its end.
    fn take(&mut self, data: &[u8], take: &mut impl FnMut(&[u8])) -> io::Result<bool> {
        let mut rest = data;
        while !rest.is_empty() {
            rest = match self.state {
                State::Over => return Ok(false),
                State::Open => {
                    take(rest);
                    &[]
                }
                State::Length { left } => {
                    let (left, after) = hand_on(left, rest, take);
                    self.state = match left {
                        0 => State::Over,
                        left => State::Length { left },
                    };
                    after
                }
                State::ChunkData { left } => {
                    let (left, after) = hand_on(left, rest, take);
                    self.state = match left {
                        0 => State::ChunkEnd,
                        left => State::ChunkData { left },
                    };
                    after
                }
                State::ChunkSize | State::ChunkEnd | State::Trailers => self.line(rest)?,
            };
        }
        Ok(self.state != State::Over)
    }

    /// Reads on in a line of the framing; returns what comes after it.
    fn line<'a>(&mut self, data: &'a [u8]) -> io::Result<&'a [u8]> {
        let end = data.iter().position(|byte| *byte == b'\n');
        let (part, rest) = data.split_at(end.unwrap_or(data.len()));
        if self.line.len() + part.len() > MAX_CHUNK_LINE {
            return Err(malformed("a line of the framing is too long"));
        }
        self.line.extend_from_slice(part);
        if end.is_none() {
            return Ok(rest);
        }
        let line = self.line.strip_suffix(b"\r");
        let line = line.ok_or_else(|| malformed("a line of the framing has no proper end"))?;
        self.state = match (self.state, line) {
            (State::ChunkSize, line) => match chunk_size(line) {
                Ok(0) => State::Trailers,
                Ok(left) => State::ChunkData { left },
                Err(_) => return Err(malformed("a chunk has no size")),
            },
            (State::ChunkEnd, []) => State::ChunkSize,
            (State::ChunkEnd, _) => return Err(malformed("a chunk is longer than its size")),
            (State::Trailers, []) => State::Over,
            (state, _) => state,
        };
        self.line.clear();
        Ok(rest.get(1..).unwrap_or_default())
    }
}

/// Hands on at most `left` bytes; what is left after them, and the bytes that follow.
fn hand_on<'a>(left: u64, data: &'a [u8], take: &mut impl FnMut(&[u8])) -> (u64, &'a [u8]) {
    let (left, rest) = skip(left, data);
    take(data.get(..data.len() - rest.len()).unwrap_or_default());
    (left, rest)
}

fn malformed(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests;
