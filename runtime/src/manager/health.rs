//! What load balancers ask of a manager: whether to send clients there.

use http::header::CACHE_CONTROL;
use http::{HeaderValue, Response, StatusCode};
use swarm_core::cluster::Role;

use super::report::Reporter;
use crate::http::Body;
use crate::http::error::text;

/// One question. None of the paths is one of the Docker API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// Whether the process answers at all.
    Live,
    /// Whether it carries out requests now, or has somebody to send them to.
    Ready,
    /// Whether it is the primary.
    Primary,
    /// Whether it is ready, and not the primary.
    Replica,
}

impl Probe {
    /// What is asked at `path`.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/livez" => Some(Self::Live),
            "/readyz" => Some(Self::Ready),
            "/primary" => Some(Self::Primary),
            "/replica" => Some(Self::Replica),
            _ => None,
        }
    }

    /// 200, or 503 with the reason.
    pub(super) fn answer(self, reporter: &Reporter) -> Response<Body> {
        let ready = || reporter.readiness().map(|()| "ready");
        let said = match (self, reporter.role()) {
            (Self::Live, Role::Primary | Role::Replica) => Ok("alive"),
            (Self::Ready, Role::Primary | Role::Replica) => ready(),
            (Self::Primary, Role::Primary) => Ok("primary"),
            (Self::Primary, Role::Replica) => Err("this manager is not the primary".to_owned()),
            (Self::Replica, Role::Primary) => Err("this manager is the primary".to_owned()),
            (Self::Replica, Role::Replica) => ready().map(|_| "replica"),
        };
        let mut response = match said {
            Ok(said) => text(StatusCode::OK, format!("{said}\n")),
            Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, reason + "\n"),
        };
        let no_store = HeaderValue::from_static("no-store");
        response.headers_mut().insert(CACHE_CONTROL, no_store);
        response
    }
}
