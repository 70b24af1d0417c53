//! A second reading of HTTP/1.1 messages, to be compared with what the shipping listener and client make of them.
//!
//! Heads are read by `httparse`; where a message ends is worked out here, by RFC 9112 and nothing more lenient.

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Of a request: method and target. Of a response: the status.
    pub(super) start: String,
    /// Names in lower case with their values, sorted.
    pub(super) headers: Vec<(String, Vec<u8>)>,
    pub(super) body: Vec<u8>,
    /// Nothing about it is unusual: it must be accepted.
    pub(super) plain: bool,
}

/// The requests of a connection up to the first that is incomplete or may be refused, and whether nothing is behind.
pub(super) fn requests(bytes: &[u8]) -> (Vec<Message>, bool) {
    let mut found = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        while let Some(after) = rest.strip_prefix(b"\r\n") {
            rest = after;
        }
        let Some((message, after)) = request(rest) else {
            return (found, false);
        };
        let last = message.has("upgrade");
        found.push(message);
        rest = after;
        if last {
            break;
        }
    }
    (found, rest.is_empty())
}

fn request(bytes: &[u8]) -> Option<(Message, &[u8])> {
    let (head, rest) = split_head(bytes)?;
    let mut space = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut space);
    let complete = parsed.parse(head).ok()?.is_complete();
    let (method, target) = (parsed.method?, parsed.path?);
    let old = parsed.version? == 0;
    let mut message = Message {
        start: format!("{method} {target}"),
        headers: sorted(parsed.headers),
        ..Message::default()
    };
    let framing = message.framing()?;
    let expects_body = ["POST", "PUT", "PATCH"].contains(&method);
    let unclear =
        old && (framing == Framing::Chunked || (framing == Framing::None && expects_body));
    if !complete || unclear {
        return None;
    }
    let (body, rest, simple) = match framing {
        Framing::None => (Vec::new(), rest, true),
        Framing::Length(length) => {
            let (body, rest) = rest.split_at_checked(length)?;
            (body.to_vec(), rest, true)
        }
        Framing::Chunked => chunks(rest)?,
    };
    message.body = body;
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"].contains(&method);
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~?=&-".contains(&byte);
    message.plain = simple
        && known
        && !old
        && target.starts_with('/')
        && target.bytes().all(usual)
        && message.count("host") == 1
        && message.is_plain();
    Some((message, rest))
}

/// The final response to a request, if it is complete and nothing about it is unclear, and what is behind it.
pub(super) fn response(bytes: &[u8], without_body: bool) -> Option<(Message, &[u8])> {
    let mut bytes = bytes;
    loop {
        let (head, rest) = split_head(bytes)?;
        let mut space = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut space);
        let complete = parsed.parse(head).ok()?.is_complete();
        let status = parsed.code?;
        if !complete || status < 100 {
            return None;
        }
        if status < 200 && status != 101 {
            bytes = rest;
            continue;
        }
        let old = parsed.version? == 0;
        let mut message = Message {
            start: status.to_string(),
            headers: sorted(parsed.headers),
            ..Message::default()
        };
        let framing = message.framing()?;
        let (body, rest, simple) = match framing {
            _ if without_body || [101, 204, 304].contains(&status) => (Vec::new(), rest, true),
            Framing::Chunked if old => return None,
            Framing::Chunked => chunks(rest)?,
            Framing::Length(length) => {
                let (body, rest) = rest.split_at_checked(length)?;
                (body.to_vec(), rest, true)
            }
            Framing::None => (rest.to_vec(), &[][..], true),
        };
        message.body = body;
        message.plain = simple && status != 101 && message.is_plain();
        return Some((message, rest));
    }
}

/// The head of the final response as hyper reads it, which takes a bare LF for the end of a line, and what is behind.
pub(super) fn lenient_response_head(bytes: &[u8]) -> Option<(Message, &[u8])> {
    let mut bytes = bytes;
    loop {
        let mut space = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut space);
        let httparse::Status::Complete(length) = parsed.parse(bytes).ok()? else {
            return None;
        };
        let status = parsed.code?;
        let head = Message {
            start: status.to_string(),
            headers: sorted(parsed.headers),
            ..Message::default()
        };
        let rest = bytes.get(length..)?;
        if !(100..200).contains(&status) || status == 101 {
            return Some((head, rest));
        }
        bytes = rest;
    }
}

/// As many as hyper reads.
const HEADERS_MAX: usize = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunked,
}

impl Message {
    pub(super) fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(found, _)| found == name)
            .map(|(_, value)| value.as_slice())
    }

    pub(super) fn count(&self, name: &str) -> usize {
        self.values(name).count()
    }

    fn has(&self, name: &str) -> bool {
        self.count(name) > 0
    }

    /// `None` where two readers could come to different ends.
    fn framing(&self) -> Option<Framing> {
        let lengths = self.values("content-length").collect::<Vec<_>>();
        let codings = self.values("transfer-encoding").collect::<Vec<_>>();
        match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => Some(Framing::None),
            ([length], []) => {
                let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
                let length = std::str::from_utf8(length).ok()?;
                digits
                    .then(|| length.parse().ok().map(Framing::Length))
                    .flatten()
            }
            ([], [coding]) => coding
                .eq_ignore_ascii_case(b"chunked")
                .then_some(Framing::Chunked),
            _ => None,
        }
    }

    fn is_plain(&self) -> bool {
        let unusual = [
            "connection",
            "upgrade",
            "expect",
            "te",
            "trailer",
            "keep-alive",
        ];
        self.headers.len() <= 64
            && !unusual.iter().any(|name| self.has(name))
            && self.headers.iter().all(|(_, value)| {
                value.len() <= 256 && value.iter().all(|byte| (b' '..=b'~').contains(byte))
            })
    }
}

/// The head with its empty line, if its lines end in CRLF and in nothing else.
fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, rest) = bytes.split_at(end + 4);
    let crs = head.iter().filter(|byte| **byte == b'\r').count();
    let lfs = head.iter().filter(|byte| **byte == b'\n').count();
    let both = head.windows(2).filter(|pair| *pair == b"\r\n").count();
    (crs == both && lfs == both).then_some((head, rest))
}

fn sorted(headers: &[httparse::Header<'_>]) -> Vec<(String, Vec<u8>)> {
    let mut sorted: Vec<_> = headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), header.value.to_vec()))
        .collect();
    sorted.sort();
    sorted
}

/// A chunked body, what is behind it, and whether it has neither extensions nor trailers.
fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, &[u8], bool)> {
    let mut body = Vec::new();
    let mut rest = bytes;
    let mut simple = true;
    loop {
        let (line, after) = line(rest)?;
        let digits = line.split(|byte| *byte == b';').next()?;
        simple &= digits.len() == line.len();
        if digits.is_empty() || digits.len() > 16 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        if size == 0 {
            rest = after;
            break;
        }
        let (data, after) = after.split_at_checked(usize::try_from(size).ok()?)?;
        body.extend_from_slice(data);
        rest = after.strip_prefix(b"\r\n")?;
    }
    loop {
        let (trailer, after) = line(rest)?;
        rest = after;
        if trailer.is_empty() {
            return Some((body, rest, simple));
        }
        simple = false;
    }
}

/// A line without its CRLF; no CR or LF of its own.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at(end);
    let line = line.strip_suffix(b"\r")?;
    (!line.contains(&b'\r')).then_some((line, rest.get(1..)?))
}
