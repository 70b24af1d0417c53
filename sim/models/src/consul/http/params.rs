//! Paths, query parameters and bodies, read as Go's net/http and Consul read them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Serialize;
use serde_json::ser::PrettyFormatter;
use swarm_core::duration::GoDuration;

use super::{MAX_CHUNKED, Reply, reply};
use crate::consul::query::{Consistency, Query};
use crate::consul::server::Failure;
use crate::consul::state::Watched;

/// What stays as it is in an encoded query parameter.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// The query parameters of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Params(BTreeMap<String, Vec<String>>);

impl Params {
    pub(super) fn parse(query: &str) -> Result<Self, Failure> {
        let mut params = BTreeMap::<String, Vec<String>>::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(&name.replace('+', " "))?;
            params
                .entry(name)
                .or_default()
                .push(decode(&value.replace('+', " "))?);
        }
        Ok(Self(params))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        Some(self.0.get(name)?.first()?.as_str())
    }

    /// A number that must be one if it is there at all.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_invalid| {
            let what = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
            Failure::internal(what)
        })
    }

    /// Refuses parameters that cannot be combined.
    pub(super) fn exclusive(&self, names: &[&str]) -> Result<(), Failure> {
        if names.iter().filter(|name| self.has(name)).count() < 2 {
            return Ok(());
        }
        let text = format!("Conflicting flags: {}\n", self.encoded());
        Err(Failure::Answer(400, text))
    }

    /// Reads `index`, `wait`, `stale` and `consistent`.
    pub(super) fn query(&self, watched: Watched) -> Result<Query, Failure> {
        let bad = |text: &str| Failure::Answer(400, text.to_owned());
        let wait = match self.get("wait").filter(|text| !text.is_empty()) {
            None => Duration::ZERO,
            Some(text) => {
                let wait: GoDuration = text.parse().map_err(|_text| bad("Invalid wait time"))?;
                // A negative wait means the default, as zero does.
                wait.to_duration().unwrap_or(Duration::ZERO)
            }
        };
        let index = match self.get("index").filter(|text| !text.is_empty()) {
            None => 0,
            Some(text) => text.parse().map_err(|_text| bad("Invalid index"))?,
        };
        Ok(Query {
            watched,
            consistency: self.consistency()?,
            index,
            wait,
        })
    }

    pub(super) fn consistency(&self) -> Result<Consistency, Failure> {
        match (self.has("stale"), self.has("consistent")) {
            (true, true) => Err(Failure::Answer(
                400,
                "Cannot specify ?stale with ?consistent, conflicting semantics.".to_owned(),
            )),
            (true, false) => Ok(Consistency::Stale),
            (false, true) => Ok(Consistency::Consistent),
            (false, false) => Ok(Consistency::Default),
        }
    }

    pub(super) fn json(&self, status: u16, value: &impl Serialize) -> Result<Reply, Failure> {
        let mut body = Vec::new();
        let written = if self.has("pretty") {
            let formatter = PrettyFormatter::with_indent(b"    ");
            let mut serializer = serde_json::Serializer::with_formatter(&mut body, formatter);
            let written = value.serialize(&mut serializer);
            body.push(b'\n');
            written
        } else {
            serde_json::to_writer(&mut body, value)
        };
        written.map_err(|error| Failure::internal(error.to_string()))?;
        Ok(reply(status, "application/json", Bytes::from(body)))
    }

    fn encoded(&self) -> String {
        let encode = |text: &str| {
            utf8_percent_encode(text, QUERY)
                .to_string()
                .replace("%20", "+")
        };
        let pairs = self.0.iter().flat_map(|(name, values)| {
            let name = encode(name);
            values
                .iter()
                .map(move |value| format!("{name}={}", encode(value)))
        });
        pairs.collect::<Vec<_>>().join("&")
    }
}

fn decode(text: &str) -> Result<String, Failure> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        let escape = after.as_bytes().get(..2);
        if !escape.is_some_and(|escape| escape.iter().all(u8::is_ascii_hexdigit)) {
            return Err(Failure::Answer(
                400,
                format!("invalid URL escape in {text:?}"),
            ));
        }
        rest = after;
    }
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| Failure::Answer(400, format!("{text:?} is not UTF-8")))?;
    Ok(decoded.into_owned())
}

/// The path as the router sees it.
pub(super) fn decode_path(path: &str) -> Result<String, Failure> {
    decode(path)
}

pub(super) fn encode_path(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// Where Go's router redirects a path with empty or dotted parts to; nowhere if it is clean.
pub(super) fn cleaned(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let mut clean = format!("/{}", parts.join("/"));
    if path.ends_with('/') && !parts.is_empty() {
        clean.push('/');
    }
    (clean != path).then_some(clean)
}

/// The length the request states for its body.
pub(super) fn content_length(request: &Request<Incoming>) -> Option<usize> {
    let length = request.headers().get(CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

/// Reads a body into memory; `None` when it is too large.
pub(super) async fn read_body(body: Incoming) -> Result<Option<Bytes>, Failure> {
    match Limited::new(body, MAX_CHUNKED).collect().await {
        Ok(collected) => Ok(Some(collected.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Ok(None),
        // The client broke off: there is nobody to answer.
        Err(_broken) => Err(Failure::Cut),
    }
}
