//! How handlers end: with a response, or with the statement that nothing was dispatched.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use swarm_core::cluster::{LookupError, ObjectError, QueryError};
use swarm_core::json::RawObject;
use swarm_core::scheduler::PlaceError;

use super::gate::NotPrimary;
use crate::http::body::CollectError;
use crate::http::client::SendError;
use crate::http::error::error;
use crate::http::{Body, body};

/// Why a request is not answered by an engine's own response.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Answered by this manager.
    #[error("{1}")]
    Refused(StatusCode, String),
    /// The gate is closed; certainly nothing was sent to an engine.
    #[error("{}", NotPrimary)]
    NotDispatched(Option<Body>),
}

/// What a handler returns.
pub(super) type Answer = Result<Response<Body>, ApiError>;

impl ApiError {
    /// An answer of this manager's own.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Refused(status, message.into())
    }

    /// The request as it came may be sent elsewhere, whatever was made of it here.
    pub(super) fn unsent(self, body: Body) -> Self {
        match self {
            Self::NotDispatched(_) => Self::NotDispatched(Some(body)),
            refused @ Self::Refused(..) => refused,
        }
    }

    /// 501: the route exists, this version does not serve it.
    ///
    /// "not supported": `docker inspect NAME` asks for every kind of object one after the other, and passes over the
    /// kinds that an endpoint does not have by these two words alone.
    pub(super) fn not_implemented(what: &str) -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            format!("{what} is not supported by this version of swarm"),
        )
    }

    /// What a failed request to an engine means for the client. `what` names the engine for people.
    pub(super) fn from_send(
        failure: SendError<NotPrimary>,
        what: &str,
        unsent: Option<Body>,
    ) -> Self {
        let sent = failure.maybe_sent();
        match failure {
            SendError::Vetoed(NotPrimary) => Self::NotDispatched(unsent),
            failure @ (SendError::Connect { .. }
            | SendError::NotSent { .. }
            | SendError::TooBusy { .. }
            | SendError::Broken { .. }
            | SendError::Timeout { .. }) => {
                let (status, outcome) = if sent {
                    (
                        StatusCode::BAD_GATEWAY,
                        "whether it was carried out is unknown: look before trying again",
                    )
                } else {
                    (
                        StatusCode::SERVICE_UNAVAILABLE,
                        "the request was not carried out",
                    )
                };
                Self::new(status, format!("{what}: {failure}; {outcome}"))
            }
        }
    }

    pub(super) fn into_response(self) -> Result<Response<Body>, Option<Body>> {
        match self {
            Self::Refused(status, message) => Ok(error(status, message)),
            Self::NotDispatched(unsent) => Err(unsent),
        }
    }
}

impl From<LookupError> for ApiError {
    fn from(failure: LookupError) -> Self {
        let status = match failure {
            LookupError::NotFound(_) => StatusCode::NOT_FOUND,
            LookupError::Ambiguous { .. } => StatusCode::BAD_REQUEST,
        };
        Self::new(status, failure.to_string())
    }
}

impl From<ObjectError> for ApiError {
    fn from(failure: ObjectError) -> Self {
        let status = match failure {
            ObjectError::NotFound { .. } => StatusCode::NOT_FOUND,
            ObjectError::Ambiguous { .. } => StatusCode::BAD_REQUEST,
        };
        Self::new(status, failure.to_string())
    }
}

impl From<QueryError> for ApiError {
    fn from(failure: QueryError) -> Self {
        let status = StatusCode::from_u16(failure.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self::new(status, failure.to_string())
    }
}

impl From<PlaceError> for ApiError {
    fn from(failure: PlaceError) -> Self {
        let status = match failure {
            PlaceError::Conflict(_) => StatusCode::CONFLICT,
            PlaceError::NoEngines | PlaceError::NoHealthy(_) => StatusCode::SERVICE_UNAVAILABLE,
            PlaceError::FilterOff { .. } => StatusCode::BAD_REQUEST,
            PlaceError::Unsatisfied { .. } | PlaceError::NoResources(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, failure.to_string())
    }
}

impl From<CollectError> for ApiError {
    fn from(failure: CollectError) -> Self {
        let status = match failure {
            CollectError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            CollectError::Body(_) => StatusCode::BAD_REQUEST,
        };
        Self::new(status, failure.to_string())
    }
}

/// What an engine's refusal says.
pub(super) fn message_in(text: &[u8]) -> String {
    let message = RawObject::parse(text)
        .ok()
        .and_then(|object| object.read::<String>("message").ok().flatten());
    message.unwrap_or_else(|| String::from_utf8_lossy(text).trim().to_owned())
}

/// 204, as engines answer a removal.
pub(super) fn no_content() -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// 503: nobody can be asked.
pub(super) fn no_engine() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "No healthy node available in the cluster",
    )
}

/// `status` with JSON that is written already.
pub(super) fn json_text(status: StatusCode, text: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
