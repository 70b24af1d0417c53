//! What a client reads when no primary answered it.

use std::time::Duration;

use http::header::ALLOW;
use http::{HeaderValue, Response, StatusCode};
use swarm_core::address::HostPort;
use swarm_core::api::{Fixed, Request, Route, RouteError};
use swarm_core::proxy::Refusal;

use super::wire::{Outcome, mark_answer};
use crate::http::Body;
use crate::http::error::{error, retry_after};

const RETRY: Duration = Duration::from_secs(1);

/// The answer to a request without a route.
pub(super) fn no_route(problem: &RouteError) -> Response<Body> {
    let status = StatusCode::from_u16(problem.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = error(status, problem.to_string());
    if let RouteError::MethodNotAllowed { allowed } = problem {
        let names: Vec<_> = allowed.iter().map(|method| method.as_str()).collect();
        if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
            response.headers_mut().insert(ALLOW, value);
        }
    }
    response
}

/// The answer that goes with a refusal. `primary` is known to the peer that forwarded the request, if one did.
pub(super) fn refused(
    request: &Request,
    refusal: &Refusal,
    primary_wait: Duration,
    to_peer: bool,
) -> Response<Body> {
    let what = format!("{} {}", request.method, request.route.path(None));
    let mut response = match refusal {
        Refusal::NoPrimary => {
            let message = format!(
                "no primary cluster manager took {what} within {} s; it was not carried out. Look at `swarm status` \
                 and at the discovery store, then try again",
                primary_wait.as_secs()
            );
            retry_after(StatusCode::SERVICE_UNAVAILABLE, RETRY, message)
        }
        Refusal::Overloaded => {
            let message = format!(
                "too many requests wait for a primary cluster manager; {what} was not carried out"
            );
            retry_after(StatusCode::SERVICE_UNAVAILABLE, RETRY, message)
        }
        Refusal::BodyUsed => {
            let message = format!(
                "the primary cluster manager changed while {what} was being sent; it was not carried out, send it again"
            );
            retry_after(StatusCode::SERVICE_UNAVAILABLE, RETRY, message)
        }
        Refusal::Unknown => unknown(
            request,
            "the connection to the primary cluster manager broke before it answered",
        ),
        Refusal::Unanswered => {
            let message = format!(
                "the connection to the primary cluster manager broke before it answered {what}"
            );
            error(StatusCode::BAD_GATEWAY, message)
        }
        Refusal::Misdirected { primary } => {
            let message = match primary {
                Some((address, _)) => {
                    format!("this manager is not the primary; it knows {address} as the primary")
                }
                None => "this manager is not the primary and knows none".to_owned(),
            };
            error(StatusCode::MISDIRECTED_REQUEST, message)
        }
    };
    if to_peer {
        let (primary, outcome) = told(refusal);
        mark_answer(response.headers_mut(), primary, outcome);
    }
    response
}

/// 502 for a request of which nobody knows whether it was carried out.
pub(super) fn unknown(request: &Request, why: &str) -> Response<Body> {
    let message = format!(
        "{why}; it is not known whether {} {} was carried out. Check with `{}` before you repeat it",
        request.method,
        request.route.path(None),
        check(&request.route)
    );
    error(StatusCode::BAD_GATEWAY, message)
}

fn told(refusal: &Refusal) -> (Option<&(HostPort, u64)>, Outcome) {
    match refusal {
        Refusal::NoPrimary | Refusal::Overloaded | Refusal::BodyUsed => {
            (None, Outcome::NotDispatched)
        }
        Refusal::Misdirected { primary } => (primary.as_ref(), Outcome::NotDispatched),
        Refusal::Unknown | Refusal::Unanswered => (None, Outcome::Unknown),
    }
}

/// The command that shows whether it was done.
fn check(route: &Route) -> String {
    match route {
        Route::Container(name, _) | Route::CheckpointRemove(name, _) => {
            format!("docker inspect {name}")
        }
        Route::Exec(..) => "docker ps".to_owned(),
        Route::Image(name, _) => format!("docker image inspect {name}"),
        Route::Network(name, _) => format!("docker network inspect {name}"),
        Route::Volume(name, _) => format!("docker volume inspect {name}"),
        Route::Plugin(..) => "docker plugin ls".to_owned(),
        Route::Fixed(
            Fixed::Build
            | Fixed::BuildCancel
            | Fixed::BuildPrune
            | Fixed::Commit
            | Fixed::ImageCreate
            | Fixed::ImageLoad
            | Fixed::ImagePrune,
        ) => "docker images".to_owned(),
        Route::Fixed(Fixed::ContainerCreate | Fixed::ContainerPrune) => "docker ps -a".to_owned(),
        Route::Fixed(Fixed::NetworkCreate | Fixed::NetworkPrune) => "docker network ls".to_owned(),
        Route::Fixed(Fixed::VolumeCreate | Fixed::VolumePrune) => "docker volume ls".to_owned(),
        Route::Fixed(_) | Route::Distribution(_) | Route::Object(..) => "docker info".to_owned(),
    }
}
