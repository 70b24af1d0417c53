//! The headers managers speak to each other with.

use http::{HeaderMap, HeaderName, HeaderValue};
use swarm::http::headers::{OWN_PREFIX, remove_hop_by_hop};
use swarm::proxy::wire::{
    EXPECT_EPOCH, FORWARDED, Forwarded, Malformed, OUTCOME, PRIMARY, REPEATED, REQUEST_ID, Told,
    clean_request, mark_answer, mark_forwarded,
};
use swarm_core::proxy::Kind;

/// What one manager reads it would write again, and nothing of a client's headers passes as a manager's. The input is
/// lines of `name: value`.
///
/// # Panics
/// When that is not so.
pub fn peer_headers(bytes: &[u8]) {
    let headers = read(bytes);
    match Forwarded::read(&headers) {
        Ok(Some(forwarded)) => written_again(&forwarded),
        Ok(None) => assert!(!headers.contains_key(FORWARDED)),
        Err(Malformed) => assert!(headers.contains_key(FORWARDED)),
    }
    let mut answer = headers.clone();
    let told = Told::take(&mut answer);
    assert_eq!(own(&answer), None, "left of {headers:?}");
    if let Some(told) = told {
        let mut again = HeaderMap::new();
        mark_answer(&mut again, told.primary.as_ref(), told.outcome);
        assert_eq!(Told::take(&mut again), Some(told));
    }
    let mut cleaned = headers.clone();
    clean_request(&mut cleaned);
    assert_eq!(own(&cleaned), None, "left of {headers:?}");
    assert_eq!(Forwarded::read(&cleaned), Ok(None));
    let mut twice = cleaned.clone();
    clean_request(&mut twice);
    assert_eq!(twice, cleaned);
    let mut passed = headers.clone();
    remove_hop_by_hop(&mut passed);
    for name in [
        FORWARDED,
        REQUEST_ID,
        EXPECT_EPOCH,
        REPEATED,
        PRIMARY,
        OUTCOME,
        http::header::HOST,
        http::header::CONTENT_LENGTH,
    ] {
        let count = |map: &HeaderMap| map.get_all(&name).iter().count();
        assert_eq!(count(&passed), count(&headers), "{name} of {headers:?}");
    }
}

fn written_again(forwarded: &Forwarded) {
    let kind = if forwarded.repeated {
        Kind::Repeat
    } else {
        Kind::Fresh
    };
    let mut again = HeaderMap::new();
    let epoch = forwarded.expected_epoch.unwrap_or(7);
    mark_forwarded(
        &mut again,
        &forwarded.instance,
        &forwarded.request_id,
        epoch,
        kind,
    );
    let expected = Forwarded {
        hop: 1,
        expected_epoch: Some(epoch),
        ..forwarded.clone()
    };
    assert_eq!(Forwarded::read(&again), Ok(Some(expected)));
}

fn read(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(64) {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let name = halves.next().unwrap_or_default().trim_ascii();
        let value = halves.next().unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    headers
}

/// A header that only managers use, however it is spelled.
fn own(headers: &HeaderMap) -> Option<&HeaderName> {
    headers
        .keys()
        .find(|name| name.as_str().replace('_', "-").starts_with(OWN_PREFIX))
}
