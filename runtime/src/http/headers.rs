//! What happens to headers when a message is passed on.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, SERVER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers that mean one connection and are never passed on (RFC 9110 section 7.6.1), and the framing, which hyper
/// rebuilds from the body.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-authenticate"),
    HeaderName::from_static("proxy-authorization"),
    HeaderName::from_static("proxy-connection"),
];

/// Prefix of the headers managers speak to each other with. No client may set one, and no `Connection` may remove one.
pub const OWN_PREFIX: &str = "x-swarm-";

/// The version of the Docker Engine API an answer speaks.
pub const API_VERSION: HeaderName = HeaderName::from_static("api-version");

/// Removes hop-by-hop headers and those that `Connection` names.
///
/// `Content-Length`, `Host` and headers of [`OWN_PREFIX`] stay even when `Connection` names them: a peer must not be
/// able to take away what the next hop relies on.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .filter(|name| !is_protected(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Removes every header a client could use to pose as a manager, in both spellings: some peers read `_` as `-`.
pub fn remove_own(headers: &mut HeaderMap) {
    let own: Vec<HeaderName> = headers
        .keys()
        .filter(|name| is_own(name))
        .cloned()
        .collect();
    for name in own {
        headers.remove(name);
    }
}

/// Puts exactly one `Api-Version` and one `Server` on an answer.
pub fn set_identity(headers: &mut HeaderMap, api_version: &HeaderValue, server: &HeaderValue) {
    headers.insert(API_VERSION, api_version.clone());
    headers.insert(SERVER, server.clone());
}

fn is_protected(name: &HeaderName) -> bool {
    *name == CONTENT_LENGTH || *name == HOST || is_own(name)
}

fn is_own(name: &HeaderName) -> bool {
    let bytes = name.as_str().as_bytes();
    bytes.len() >= OWN_PREFIX.len()
        && bytes
            .iter()
            .zip(OWN_PREFIX.bytes())
            .all(|(found, own)| *found == own || (own == b'-' && *found == b'_'))
}
