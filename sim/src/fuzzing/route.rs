//! Request lines of the Docker API.

use swarm_core::api::class::{after_repeat, is_mutation, may_upgrade};
use swarm_core::api::{ApiVersion, Class, Request};

/// What a request is read as does not change when it is written in canonical form, and no name can leave its place in
/// the path. The input is a method, a space and a request target.
///
/// # Panics
/// When that is not so.
pub fn route(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (method, target) = text.split_once(' ').unwrap_or(("GET", text));
    let request = match Request::parse(method, target) {
        Ok(request) => request,
        Err(error) => {
            assert!([400, 404, 405].contains(&error.status()), "{error}");
            return;
        }
    };
    assert_eq!(request.method.as_str(), method);
    let canonical = request.target();
    let again = Request::parse(method, &canonical);
    assert_eq!(again.as_ref(), Ok(&request), "{target:?} is {canonical:?}");
    assert!(
        !canonical.contains(|c: char| c.is_control() || c == ' '),
        "{canonical:?}"
    );
    let path = request.route.path(None);
    let template = request.route.template();
    assert!(path.starts_with('/') && template.starts_with('/'));
    assert_eq!(
        path.split('/').nth(1).map(|first| !first.is_empty()),
        Some(true)
    );
    for segment in path.split('/') {
        assert!(!matches!(segment, "." | ".."), "{path:?}");
    }
    let class = swarm_core::api::class::class(&request);
    assert!(
        !is_mutation(&request.route) || !matches!(class, Class::Safe | Class::Stream(_)),
        "a change is taken for safe: {canonical:?}"
    );
    assert_eq!(may_upgrade(&request.route), class == Class::Upgrade);
    let _ = after_repeat(&request, 404);
    for id in ["0123abc", "a/b", "..", "a b?c#d%2f", target] {
        engine_path(&request, id);
    }
    let value = request.query.with("since", target);
    assert_eq!(value.value("since").as_deref(), Some(target));
}

/// An engine reports IDs: one must not be able to make another request of it.
fn engine_path(request: &Request, id: &str) {
    let version = ApiVersion::new(1, 41);
    let Ok(path) = request.route.engine_path(id, version) else {
        return;
    };
    let read = Request::parse(request.route.method().as_str(), &path);
    let read = read.map(|read| (read.version, read.route.template(), read.query.is_empty()));
    let expected = (Some(version), request.route.template(), true);
    assert_eq!(read, Ok(expected), "{path:?} for {id:?}");
}
