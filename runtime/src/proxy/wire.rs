//! The headers managers speak to each other with (HA.md section 9.2).
//!
//! They are taken from peers only and never reach a client or an engine.

use http::header::EXPECT;
use http::{HeaderMap, HeaderName, HeaderValue};
use swarm_core::address::HostPort;
use swarm_core::proxy::Kind;

use crate::http::headers::{remove_hop_by_hop, remove_own};

/// Names one request from the manager its client is connected to through to the label of a container it creates.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-swarm-request-id");
/// `<instance>;hop=1`: the manager that forwarded the request.
pub const FORWARDED: HeaderName = HeaderName::from_static("x-swarm-forwarded");
/// The epoch of the primary that manager believes in.
pub const EXPECT_EPOCH: HeaderName = HeaderName::from_static("x-swarm-expect-epoch");
/// Present on a request of which an earlier attempt may have been carried out.
pub const REPEATED: HeaderName = HeaderName::from_static("x-swarm-repeated");
/// `<address>;<epoch>`: on every answer to a peer, the primary this manager knows, or nothing.
pub const PRIMARY: HeaderName = HeaderName::from_static("x-swarm-primary");
/// `not-dispatched`, `done` or `unknown`: what became of the request.
pub const OUTCOME: HeaderName = HeaderName::from_static("x-swarm-outcome");

/// What became of a request, as one manager tells another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was certainly not carried out.
    NotDispatched,
    /// The response tells.
    Done,
    /// Nobody knows.
    Unknown,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::NotDispatched, Self::Done, Self::Unknown];

    fn as_str(self) -> &'static str {
        match self {
            Self::NotDispatched => "not-dispatched",
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }
}

/// What a peer says about a request it forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The instance of the manager that forwarded it.
    pub instance: String,
    /// How many managers it has passed; more than one is a loop.
    pub hop: u32,
    /// Its name.
    pub request_id: String,
    /// The epoch that manager believes in.
    pub expected_epoch: Option<u64>,
    /// Whether an earlier attempt may have been carried out.
    pub repeated: bool,
}

/// A request claims to come from a peer, but its headers make no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the X-Swarm headers of a forwarded request are malformed")]
pub struct Malformed;

impl Forwarded {
    /// Reads what a peer sent; none when the request was not forwarded.
    ///
    /// # Errors
    /// [`Malformed`] when a header is there twice or does not parse.
    pub fn read(headers: &HeaderMap) -> Result<Option<Self>, Malformed> {
        let Some(forwarded) = single(headers, &FORWARDED)? else {
            return Ok(None);
        };
        let (instance, hop) = forwarded.split_once(";hop=").ok_or(Malformed)?;
        let request_id = single(headers, &REQUEST_ID)?.ok_or(Malformed)?;
        if !is_token(instance) || !is_token(request_id) {
            return Err(Malformed);
        }
        let number = |text: &str| text.parse::<u64>().map_err(|_| Malformed);
        Ok(Some(Self {
            instance: instance.to_owned(),
            hop: hop.parse().map_err(|_| Malformed)?,
            request_id: request_id.to_owned(),
            expected_epoch: single(headers, &EXPECT_EPOCH)?.map(number).transpose()?,
            repeated: single(headers, &REPEATED)?.is_some(),
        }))
    }
}

/// Takes everything from a client's headers that does not go on: hop-by-hop headers, ours, and framing that is rebuilt.
pub fn clean_request(headers: &mut HeaderMap) {
    remove_hop_by_hop(headers);
    remove_own(headers);
    headers.remove(http::header::HOST);
    headers.remove(http::header::CONTENT_LENGTH);
    headers.remove(EXPECT);
}

/// Puts on a request what the next manager needs to know.
pub fn mark_forwarded(
    headers: &mut HeaderMap,
    instance: &str,
    request_id: &str,
    epoch: u64,
    kind: Kind,
) {
    set(headers, FORWARDED, &format!("{instance};hop=1"));
    set(headers, REQUEST_ID, request_id);
    set(headers, EXPECT_EPOCH, &epoch.to_string());
    match kind {
        Kind::Fresh | Kind::Resume => {}
        Kind::Repeat => set(headers, REPEATED, "1"),
    }
}

/// Puts on an answer to a peer which primary this manager knows and what became of the request.
pub fn mark_answer(headers: &mut HeaderMap, primary: Option<&(HostPort, u64)>, outcome: Outcome) {
    let primary = primary.map_or_else(String::new, |(address, epoch)| format!("{address};{epoch}"));
    set(headers, PRIMARY, &primary);
    set(headers, OUTCOME, outcome.as_str());
}

/// What a peer's answer says beside the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The primary it knows.
    pub primary: Option<(HostPort, u64)>,
    /// What became of the request.
    pub outcome: Outcome,
}

impl Told {
    /// Reads and removes what a peer put on its answer; none when no manager of this system answered.
    pub fn take(headers: &mut HeaderMap) -> Option<Self> {
        let primary = single(headers, &PRIMARY).ok().flatten().map(parse_primary);
        let outcome = single(headers, &OUTCOME).ok().flatten();
        let outcome = outcome.and_then(|text| {
            Outcome::ALL
                .into_iter()
                .find(|outcome| outcome.as_str() == text)
        });
        remove_own(headers);
        Some(Self {
            primary: primary?,
            outcome: outcome?,
        })
    }
}

fn parse_primary(text: &str) -> Option<(HostPort, u64)> {
    let (address, epoch) = text.rsplit_once(';')?;
    Some((address.parse().ok()?, epoch.parse().ok()?))
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Malformed> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| Malformed),
        (Some(_), Some(_)) => Err(Malformed),
    }
}

/// Fit for headers, labels and logs.
fn is_token(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_one_manager_writes_the_other_reads() {
        let mut headers = HeaderMap::new();
        mark_forwarded(&mut headers, "i1", "abc", 7, Kind::Repeat);
        let forwarded = Forwarded {
            instance: "i1".to_owned(),
            hop: 1,
            request_id: "abc".to_owned(),
            expected_epoch: Some(7),
            repeated: true,
        };
        assert_eq!(Forwarded::read(&headers), Ok(Some(forwarded)));
        let primary = Some(("[::1]:4000".parse().unwrap(), 8));
        for outcome in Outcome::ALL {
            mark_answer(&mut headers, primary.as_ref(), outcome);
            let told = Told::take(&mut headers);
            assert_eq!(
                told.map(|told| (told.primary, told.outcome)),
                Some((primary.clone(), outcome))
            );
            assert!(headers.is_empty());
        }
        mark_answer(&mut headers, None, Outcome::Unknown);
        assert_eq!(Told::take(&mut headers).unwrap().primary, None);
        assert_eq!(Told::take(&mut headers), None);
    }

    #[test]
    fn nonsense_from_a_peer_is_refused() {
        for (name, value) in [
            (FORWARDED, "i1"),
            (FORWARDED, "i1;hop=x"),
            (FORWARDED, ";hop=1"),
            (REQUEST_ID, "a b"),
            (REQUEST_ID, ""),
            (EXPECT_EPOCH, "-1"),
        ] {
            let mut headers = HeaderMap::new();
            mark_forwarded(&mut headers, "i1", "abc", 7, Kind::Fresh);
            headers.insert(&name, HeaderValue::from_static(value));
            assert_eq!(Forwarded::read(&headers), Err(Malformed), "{name}: {value}");
            let mut headers = HeaderMap::new();
            mark_forwarded(&mut headers, "i1", "abc", 7, Kind::Fresh);
            headers.append(name, HeaderValue::from_static("1"));
            assert_eq!(Forwarded::read(&headers), Err(Malformed));
        }
    }

    #[test]
    fn a_client_cannot_speak_as_a_manager_nor_frame_the_next_message() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-swarm-forwarded", "i;hop=1"),
            ("x_swarm_request_id", "1"),
            ("x-swarm_outcome", "done"),
            ("connection", "x-registry-auth, close"),
            ("x-registry-auth", "secret"),
            ("transfer-encoding", "chunked"),
            ("content-length", "3"),
            ("expect", "100-continue"),
            ("host", "example"),
            ("content-type", "application/json"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        clean_request(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-type"]);
    }

    proptest! {
        #[test]
        fn reading_never_panics(values in proptest::collection::vec(("[ -~]{0,20}", 0..6_usize), 0..8)) {
            let names = [FORWARDED, REQUEST_ID, EXPECT_EPOCH, REPEATED, PRIMARY, OUTCOME];
            let mut headers = HeaderMap::new();
            for (value, name) in values {
                headers.append(&names[name], HeaderValue::try_from(value).unwrap());
            }
            let _ = Forwarded::read(&headers);
            let _ = Told::take(&mut headers);
        }
    }
}
