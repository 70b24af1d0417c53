//! Browsers. A page that somebody opens on the operator's machine must not reach the API behind it: not by requests to
//! another site, and not by a name of its own that it points at a manager (DNS rebinding). So what comes from a browser is
//! refused, unless `--api-enable-cors` asks for it.

use http::header::{
    ACCEPT_LANGUAGE, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, HOST, ORIGIN,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use swarm_core::api;

use crate::http::error::error;
use crate::http::{Body, body};

/// Where a request comes from, in browsers' own words; sent only to places they trust, such as this machine's.
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// What is done with requests of browsers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Browsers {
    /// They get 403.
    Refused,
    /// They are served, and told that any page may read the answers (spec/classic.md section 4.11).
    Allowed,
}

impl Browsers {
    pub(super) fn allowed(cors: bool) -> Self {
        if cors { Self::Allowed } else { Self::Refused }
    }

    /// The answer to a request that goes no further.
    pub(super) fn stop(self, request: &Request<Body>) -> Option<Response<Body>> {
        match self {
            Self::Refused => is_of_a_page(request).then(|| {
                error(
                    StatusCode::FORBIDDEN,
                    "this request comes from a web page: browsers are served only with --api-enable-cors",
                )
            }),
            Self::Allowed => is_preflight(request).then(|| Response::new(body::empty())),
        }
    }

    /// Tells browsers who may read an answer.
    pub(super) fn mark(self, headers: &mut HeaderMap) {
        if self == Self::Refused {
            return;
        }
        for (name, value) in [
            (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (
                ACCESS_CONTROL_ALLOW_HEADERS,
                "Origin, X-Requested-With, Content-Type, Accept",
            ),
            (
                ACCESS_CONTROL_ALLOW_METHODS,
                "GET, POST, DELETE, PUT, OPTIONS, HEAD",
            ),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// Whether a page sent it, rather than somebody who typed the address, a program or a script.
///
/// A page can neither forge nor leave out what is looked at here: its browser always names the languages its user reads,
/// which clients of Docker never do.
fn is_of_a_page(request: &Request<Body>) -> bool {
    let text = |name: &str| {
        let value = request.headers().get(name)?;
        value.to_str().ok()
    };
    match text(SEC_FETCH_SITE) {
        Some("none") => !matches!(*request.method(), Method::GET | Method::HEAD),
        Some(_) => true,
        None if request.headers().contains_key(ACCEPT_LANGUAGE) => true,
        // Clients of web sockets send one too, and name the manager in it.
        None => text(ORIGIN.as_str()).is_some_and(|origin| {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_none() || authority != text(HOST.as_str())
        }),
    }
}

fn is_preflight(request: &Request<Body>) -> bool {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let known = || {
        ["GET", "POST", "PUT", "DELETE"]
            .iter()
            .any(|method| api::Request::parse(method, target).is_ok())
    };
    request.method() == Method::OPTIONS && known()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body::empty()).unwrap()
    }

    #[test]
    fn pages_are_refused_and_nobody_else() {
        let host = ("host", "manager:4000");
        for (headers, refused) in [
            (&[host][..], false),
            (
                &[host, ("user-agent", "Docker-Client/28.2.2 (linux)")],
                false,
            ),
            (
                &[host, ("user-agent", "Mozilla/5.0 WindowsPowerShell/5.1")],
                false,
            ),
            (&[host, ("origin", "http://manager:4000")], false),
            (&[host, ("origin", "http://evil.example")], true),
            (&[host, ("origin", "null")], true),
            (
                &[("host", "evil.example:4000"), ("accept-language", "en")],
                true,
            ),
            (&[host, ("sec-fetch-site", "cross-site")], true),
            (
                &[host, ("sec-fetch-site", "none"), ("accept-language", "en")],
                false,
            ),
        ] {
            let request = request(Method::GET, "/info", headers);
            let stopped = Browsers::Refused.stop(&request);
            let status = stopped.map(|answer| answer.status());
            assert_eq!(
                status,
                refused.then_some(StatusCode::FORBIDDEN),
                "{headers:?}"
            );
        }
        let typed = [("sec-fetch-site", "none")];
        let posted = request(Method::POST, "/containers/create", &typed);
        assert!(Browsers::Refused.stop(&posted).is_some());
    }

    #[test]
    fn pages_are_served_when_that_is_asked_for() {
        let origin = [("origin", "http://ui.example"), ("accept-language", "en")];
        let read = request(Method::GET, "/info", &origin);
        assert!(Browsers::Allowed.stop(&read).is_none());
        let preflight = request(Method::OPTIONS, "/v1.41/containers/json", &origin);
        let mut answer = Browsers::Allowed.stop(&preflight).unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        Browsers::Allowed.mark(answer.headers_mut());
        assert_eq!(answer.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        let unknown = request(Method::OPTIONS, "/nowhere", &origin);
        assert!(Browsers::Allowed.stop(&unknown).is_none());
        let mut plain = HeaderMap::new();
        Browsers::Refused.mark(&mut plain);
        assert!(plain.is_empty());
    }
}
