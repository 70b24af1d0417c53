//! One request for several engines: each is told, and each answers for itself.
//!
//! Engines that do not answer are left out by the callers: one dead engine must not make the others' work fail
//! (spec/classic.md section 10.3, defect A23).

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};

use swarm_core::api::{ApiVersion, Query, Route, class};
use swarm_core::cluster::{Cluster, Engine};
use swarm_core::engine::Part;
use swarm_core::scheduler::on_engine;

use super::answer::{ApiError, message_in};
use super::engine::{Target, clean_request, uri};
use super::join::join_all;
use super::{Api, Call};
use crate::http::body;
use crate::platform::BoxFuture;

/// A request for several engines.
pub(super) struct Errand {
    pub(super) route: Route,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) epoch: Option<u64>,
}

/// What one engine answered.
pub(super) struct Report {
    pub(super) target: Target,
    pub(super) answer: Result<Bytes, Refusal>,
}

/// Why an engine did not do it.
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    message: String,
}

impl Errand {
    /// What the client asked for, with nothing in its body.
    pub(super) fn of(call: Call) -> Self {
        let mut headers = call.http.into_parts().0.headers;
        clean_request(&mut headers);
        Self {
            route: call.request.route,
            query: call.request.query,
            headers,
            body: Bytes::new(),
            epoch: call.epoch,
        }
    }

    /// The same with `body`, which is JSON.
    pub(super) fn with(mut call: Call, body: impl Into<Bytes>) -> Self {
        let headers = call.take_headers();
        Self {
            headers,
            body: body.into(),
            ..Self::of(call)
        }
    }

    /// A question of swarm's own.
    pub(super) fn look(route: Route, query: Query) -> Self {
        Self {
            route,
            query,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            epoch: None,
        }
    }
}

impl Api {
    /// Sends `errand` to all `targets` at the same time.
    ///
    /// # Errors
    /// [`ApiError::NotDispatched`] when nothing was sent to any of them.
    pub(super) async fn tell_each(
        &self,
        targets: Vec<Target>,
        errand: &Errand,
    ) -> Result<Vec<Report>, ApiError> {
        let told = targets.iter().map(|target| {
            Box::pin(self.tell(target, errand)) as BoxFuture<'_, Result<Bytes, ApiError>>
        });
        let answers = join_all(told.collect()).await;
        let unsent =
            |answer: &Result<Bytes, ApiError>| matches!(answer, Err(ApiError::NotDispatched(_)));
        if !answers.is_empty() && answers.iter().all(unsent) {
            let body = body::full(errand.body.clone());
            return Err(ApiError::NotDispatched(Some(body)));
        }
        let reports = targets.into_iter().zip(answers);
        Ok(reports
            .map(|(target, answer)| Report {
                target,
                answer: answer.map_err(Refusal::from),
            })
            .collect())
    }

    /// Sends `errand` to one engine and reads its answer, which is its refusal unless it is a success.
    pub(super) async fn tell(&self, target: &Target, errand: &Errand) -> Result<Bytes, ApiError> {
        let method = Method::from_bytes(errand.route.method().as_str().as_bytes());
        let method = method
            .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
        let mut request = Request::new(body::full(errand.body.clone()));
        *request.method_mut() = method;
        *request.headers_mut() = errand.headers.clone();
        *request.uri_mut() = uri(
            &errand.route.path(Some(target.version)),
            errand.query.as_str(),
        )?;
        let mutation = class::is_mutation(&errand.route);
        let options = if mutation {
            self.work()
        } else {
            self.question()
        };
        let response = self
            .dispatch(target, request, options, mutation.then_some(errand.epoch))
            .await?;
        let status = response.status();
        let text = body::collect_limited(response.into_body(), self.settings.limits.answer_size)
            .await
            .map_err(|error| {
                let name = &target.name;
                ApiError::new(StatusCode::BAD_GATEWAY, format!("engine {name}: {error}"))
            })?;
        if status.is_success() {
            Ok(text)
        } else {
            Err(ApiError::new(status, message_in(&text)))
        }
    }

    /// Reads a part of the view of each engine anew.
    pub(super) async fn refresh_each<'a>(
        &self,
        targets: impl Iterator<Item = &'a Target>,
        part: Part,
    ) {
        let refreshed = targets.map(|target| self.fleet.refresh(&target.address, part.clone()));
        join_all(refreshed.collect()).await;
    }
}

/// The engine that `name` names in front, and the name without it.
pub(super) fn named_in_front<'a, 'n>(
    cluster: &'a Cluster,
    name: &'n str,
) -> Option<(&'a Engine, &'n str)> {
    let mut engines = cluster.validated();
    engines.find_map(|engine| Some((engine, on_engine(engine, name)?)))
}

/// Those of `engines` that answer.
///
/// # Errors
/// When there are some and none answers: the first one's state. `what` is what is wanted from it.
pub(super) fn answering<'a>(
    cluster: &Cluster,
    engines: impl Iterator<Item = &'a Engine>,
    client: Option<ApiVersion>,
    what: &str,
) -> Result<Vec<Target>, ApiError> {
    let mut silent = None;
    let mut targets = Vec::new();
    for engine in engines {
        match Target::healthy(cluster, engine, client, what) {
            Ok(target) => targets.push(target),
            Err(error) => silent = silent.or(Some(error)),
        }
    }
    match silent {
        Some(error) if targets.is_empty() => Err(error),
        Some(_) | None => Ok(targets),
    }
}

/// What went wrong, if anything did: with several engines, a line for each that failed, unless all say the same. The
/// status is theirs if they agree on it.
pub(super) fn failure(reports: &[Report]) -> Result<(), ApiError> {
    let failed: Vec<(&str, &Refusal)> = reports
        .iter()
        .filter_map(|report| Some((report.target.name.as_str(), report.answer.as_ref().err()?)))
        .collect();
    match failed.as_slice() {
        [] => Ok(()),
        [(_, first), rest @ ..] => {
            let nothing = failed.len() == reports.len();
            let agreed = rest.iter().all(|(_, other)| other.status == first.status);
            let same = rest.iter().all(|(_, other)| other.message == first.message);
            if agreed && same && nothing {
                return Err(ApiError::new(first.status, &first.message));
            }
            // 503 says that nothing was carried out, which is not true where another engine did it.
            let status = match first.status {
                StatusCode::SERVICE_UNAVAILABLE if !nothing => StatusCode::INTERNAL_SERVER_ERROR,
                status if agreed => status,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            let mut lines: Vec<_> = failed
                .iter()
                .map(|(name, refusal)| format!("{name}: {}", refusal.message))
                .collect();
            if !nothing {
                let (done, all) = (reports.len() - failed.len(), reports.len());
                lines.push(format!("(done on {done} of {all} engines)"));
            }
            Err(ApiError::new(status, lines.join("\n")))
        }
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        let message = error.to_string();
        let status = match error {
            ApiError::Refused(status, _) => status,
            ApiError::NotDispatched(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(statuses: &[u16]) -> (u16, String) {
        let reports: Vec<Report> = statuses
            .iter()
            .enumerate()
            .map(|(number, status)| {
                let refusal = || Refusal {
                    status: StatusCode::from_u16(*status).unwrap(),
                    message: format!("no {status}"),
                };
                Report {
                    target: Target {
                        address: "n:1".parse().unwrap(),
                        name: format!("n{number}"),
                        cpus: 1,
                        version: ApiVersion::new(1, 41),
                    },
                    answer: if *status < 300 {
                        Ok(Bytes::new())
                    } else {
                        Err(refusal())
                    },
                }
            })
            .collect();
        match failure(&reports) {
            Ok(()) => (200, String::new()),
            Err(ApiError::Refused(status, message)) => (status.as_u16(), message),
            Err(closed) => panic!("{closed}"),
        }
    }

    #[test]
    fn the_status_is_theirs_if_they_agree_and_nothing_undone_is_claimed_that_was_done() {
        assert_eq!(failed(&[200, 200]), (200, String::new()));
        assert_eq!(failed(&[409]), (409, "no 409".to_owned()));
        assert_eq!(failed(&[409, 409]), (409, "no 409".to_owned()));
        assert_eq!(
            failed(&[200, 409]),
            (409, "n1: no 409\n(done on 1 of 2 engines)".to_owned())
        );
        assert_eq!(failed(&[404, 409]).0, 500);
        assert_eq!(failed(&[503, 503]).0, 503);
        assert_eq!(
            failed(&[200, 503]),
            (500, "n1: no 503\n(done on 1 of 2 engines)".to_owned())
        );
        assert_eq!(failed(&[503, 404]).0, 500);
    }
}
