//! A client that costs little: one connection, blocking, no more of HTTP than a manager's answers need.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// For each read: longer means that something hangs.
const LIMIT: Duration = Duration::from_secs(120);
const CHUNK: usize = 256 << 10;

pub(crate) struct Client {
    stream: TcpStream,
    server: SocketAddr,
    /// What was read of the connection; reused by all answers.
    buffer: Vec<u8>,
    filled: usize,
}

impl Client {
    pub(crate) fn open(server: SocketAddr) -> Result<Self> {
        let stream =
            TcpStream::connect(server).with_context(|| format!("connecting to {server}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self {
            stream,
            server,
            buffer: vec![0; CHUNK],
            filled: 0,
        })
    }

    /// Sends a request and reads the whole answer: its status and body.
    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, &[u8])> {
        let what = || format!("{method} {path}");
        self.write(method, path, body).with_context(what)?;
        self.filled = 0;
        let (status, from, length) = self.head().with_context(what)?;
        let end = match length {
            Some(length) => from + length,
            None => return Ok((status, self.chunks(from).with_context(what)?)),
        };
        while self.filled < end {
            self.fill().with_context(what)?;
        }
        Ok((
            status,
            self.buffer.get(from..end).context("a short buffer")?,
        ))
    }

    /// Reads a body in chunks that begins at `from`, and puts its parts together in place.
    fn chunks(&mut self, from: usize) -> Result<&[u8]> {
        let (mut to, mut at) = (from, from);
        loop {
            let unread = self.buffer.get(at..self.filled).unwrap_or_default();
            let Some(line) = unread.windows(2).take(20).position(|two| two == b"\r\n") else {
                self.fill()?;
                continue;
            };
            let size = std::str::from_utf8(unread.get(..line).unwrap_or_default())?;
            let size = usize::from_str_radix(size, 16).context("size of a chunk")?;
            let start = at + line + 2;
            while self.filled < start + size + 2 {
                self.fill()?;
            }
            self.buffer.copy_within(start..start + size, to);
            (to, at) = (to + size, start + size + 2);
            if size == 0 {
                return self.buffer.get(from..to).context("a short buffer");
            }
        }
    }

    /// As [`Self::send`], for an answer that has to be a success.
    pub(crate) fn expect(&mut self, method: &str, path: &str, body: &str) -> Result<&[u8]> {
        let (status, text) = self.send(method, path, body)?;
        let shown = text.get(..text.len().min(400)).unwrap_or_default();
        ensure!(
            (200..300).contains(&status),
            "{method} {path}: {status}: {}",
            String::from_utf8_lossy(shown)
        );
        Ok(text)
    }

    /// As [`Self::expect`], keeping nothing of the body: how long it was. What a client does with an answer is not what
    /// is measured.
    pub(crate) fn skim(&mut self, method: &str, path: &str) -> Result<usize> {
        self.write(method, path, "")?;
        self.filled = 0;
        let (status, from, length) = self.head()?;
        ensure!((200..300).contains(&status), "{method} {path}: {status}");
        self.drop_front(from);
        if let Some(length) = length {
            self.skip(length)?;
            return Ok(length);
        }
        let mut whole = 0;
        loop {
            let text = self.buffer.get(..self.filled).unwrap_or_default();
            let Some(line) = text.windows(2).take(20).position(|two| two == b"\r\n") else {
                self.fill()?;
                continue;
            };
            let size = std::str::from_utf8(text.get(..line).unwrap_or_default())?;
            let size = usize::from_str_radix(size, 16).context("size of a chunk")?;
            self.drop_front(line + 2);
            self.skip(size + 2)?;
            whole += size;
            if size == 0 {
                return Ok(whole);
            }
        }
    }

    /// Reads so many bytes and forgets them.
    fn skip(&mut self, count: usize) -> Result<()> {
        let mut left = count;
        while left > self.filled {
            left -= self.filled;
            self.filled = 0;
            self.fill()?;
        }
        self.drop_front(left);
        Ok(())
    }

    fn drop_front(&mut self, count: usize) {
        self.buffer.copy_within(count..self.filled, 0);
        self.filled -= count;
    }

    /// Opens `GET /events`; lines are counted with [`Self::lines`].
    pub(crate) fn listen(server: SocketAddr) -> Result<Self> {
        let mut client = Self::open(server)?;
        client.write("GET", "/events", "")?;
        let (status, from, _) = client.head()?;
        ensure!(status == 200, "GET /events: {status}");
        client.drop_front(from);
        Ok(client)
    }

    /// Reads a stream of lines until `count` of those with `part` have come.
    pub(crate) fn lines(&mut self, part: &str, count: usize) -> Result<()> {
        let mut seen = 0;
        loop {
            let text = self.buffer.get(..self.filled).unwrap_or_default();
            let whole = text.iter().rposition(|byte| *byte == b'\n');
            let whole = whole.map_or(0, |at| at + 1);
            seen += occurrences(text.get(..whole).unwrap_or_default(), part);
            self.drop_front(whole);
            if seen >= count {
                return Ok(());
            }
            self.fill()
                .with_context(|| format!("{seen} of {count} events came"))?;
        }
    }

    fn write(&mut self, method: &str, path: &str, body: &str) -> Result<()> {
        let server = self.server;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {server}\r\nContent-Type: application/json\r\nContent-Length: \
             {}\r\n\r\n{body}",
            body.len()
        );
        Ok(self.stream.write_all(request.as_bytes())?)
    }

    /// Reads the head of an answer: its status, where the body begins, and the length it says.
    fn head(&mut self) -> Result<(u16, usize, Option<usize>)> {
        let end = loop {
            let text = self.buffer.get(..self.filled).unwrap_or_default();
            if let Some(at) = text.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let head = String::from_utf8_lossy(self.buffer.get(..end).unwrap_or_default());
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map(|(_, value)| value.trim().parse())
            .transpose()?;
        let length = if status == 204 { Some(0) } else { length };
        Ok((status, end, length))
    }

    fn fill(&mut self) -> Result<()> {
        if self.buffer.len() < self.filled + CHUNK {
            self.buffer.resize(self.filled + CHUNK, 0);
        }
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let read = self.stream.read(room)?;
        ensure!(read > 0, "the manager closed the connection");
        self.filled += read;
        Ok(())
    }
}

/// How often `part` stands in `text`.
pub(crate) fn occurrences(text: &[u8], part: &str) -> usize {
    let part = part.as_bytes();
    let Some(first) = part.first() else { return 0 };
    let mut rest = text;
    let mut found = 0;
    while let Some(at) = rest.iter().position(|byte| byte == first) {
        let here = rest.get(at..).unwrap_or_default();
        found += usize::from(here.starts_with(part));
        rest = here.get(1..).unwrap_or_default();
    }
    found
}
