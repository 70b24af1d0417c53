//! What happens to headers when a message is passed on.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, SERVER, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;

use super::body::Body;

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
    let named: Vec<HeaderName> = connection_tokens(headers)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(|name| !is_protected(name))
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

/// Whether `Connection` names `token`.
#[must_use]
pub fn connection_names(headers: &HeaderMap, token: &str) -> bool {
    connection_tokens(headers).any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
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

/// Lets the body alone decide how long a request is, whatever its headers say.
///
/// hyper trusts `Content-Length` and `Transfer-Encoding` that are already there, and a body that was replaced under them
/// would desynchronise the connection.
pub(super) fn frame_request(request: &mut Request<Body>) {
    request.headers_mut().remove(TRANSFER_ENCODING);
    request.headers_mut().remove(CONTENT_LENGTH);
    let usually_has_body = [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
    if usually_has_body && request.body().is_end_stream() {
        // RFC 9110 section 8.6: such a request says so when it has none.
        let none = HeaderValue::from_static("0");
        request.headers_mut().insert(CONTENT_LENGTH, none);
    }
}

/// Lets the body alone decide how long the answer to a `method` request is, except where there is none by definition and
/// `Content-Length` tells what it would have been (RFC 9110 section 8.6).
pub(super) fn frame_response(method: &Method, response: &mut Response<Body>) {
    response.headers_mut().remove(TRANSFER_ENCODING);
    let is_description = *method == Method::HEAD || response.status() == StatusCode::NOT_MODIFIED;
    if !is_description || !response.body().is_end_stream() {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
}

fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::try_from(*name).unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            );
        }
        headers
    }

    fn left(lines: &[(&str, &str)]) -> Vec<String> {
        let mut headers = map(lines);
        remove_hop_by_hop(&mut headers);
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn hop_by_hop_headers_and_those_connection_names_go() {
        let lines = [
            ("Connection", "close, X-Foo"),
            ("Connection", " x-bar ,"),
            ("Keep-Alive", "5"),
            ("TE", "trailers"),
            ("Trailer", "x"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "tcp"),
            ("Proxy-Connection", "keep-alive"),
            ("Proxy-Authorization", "x"),
            ("Proxy-Authenticate", "x"),
            ("X-Foo", "1"),
            ("X-Bar", "1"),
            ("X-Foo-Bar", "1"),
            ("X-Registry-Auth", "1"),
        ];
        assert_eq!(left(&lines), ["x-foo-bar", "x-registry-auth"]);
    }

    #[test]
    fn connection_takes_neither_our_headers_nor_the_framing() {
        let lines = [
            (
                "Connection",
                "X-Swarm-Epoch, content-length, host, x_swarm_hop",
            ),
            ("X-Swarm-Epoch", "7"),
            ("X_Swarm_Hop", "1"),
            ("Content-Length", "3"),
            ("Host", "a"),
        ];
        assert_eq!(
            left(&lines),
            ["content-length", "host", "x-swarm-epoch", "x_swarm_hop"]
        );
    }

    #[test]
    fn connection_with_bytes_that_are_no_text_still_counts() {
        let mut headers = map(&[("X-Foo", "1")]);
        headers.insert(CONNECTION, HeaderValue::from_bytes(b"\xff, x-foo").unwrap());
        remove_hop_by_hop(&mut headers);
        assert!(headers.is_empty());
    }

    #[test]
    fn a_client_cannot_pose_as_a_manager_in_any_spelling() {
        let mut headers = map(&[
            ("X-Swarm-Epoch", "7"),
            ("X_Swarm-Hop", "1"),
            ("x-swarm_request", "1"),
            ("X-Swarmed", "1"),
        ]);
        remove_own(&mut headers);
        assert_eq!(
            headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["x-swarmed"]
        );
    }

    #[test]
    fn an_answer_names_the_api_and_the_server_once() {
        let mut headers = map(&[
            ("Server", "Docker/27"),
            ("Server", "x"),
            ("Api-Version", "1"),
        ]);
        set_identity(
            &mut headers,
            &HeaderValue::from_static("1.43"),
            &HeaderValue::from_static("swarm/2"),
        );
        assert_eq!(headers.get_all(SERVER).iter().count(), 1);
        assert_eq!(headers.get_all(API_VERSION).iter().count(), 1);
        assert_eq!(headers[API_VERSION], "1.43");
    }
}
