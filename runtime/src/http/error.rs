//! Answers in the form Docker clients understand: `{"message": …}`.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::body::{self, Body};

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
}

/// `status` with `{"message": message}`, the error body of the Docker Engine API.
#[must_use]
pub fn error(status: StatusCode, message: impl AsRef<str>) -> Response<Body> {
    json(
        status,
        &ErrorBody {
            message: message.as_ref(),
        },
    )
}

/// [`error()`] with `Retry-After`, in whole seconds and at least 1.
#[must_use]
pub fn retry_after(status: StatusCode, wait: Duration, message: impl AsRef<str>) -> Response<Body> {
    let mut response = error(status, message);
    let seconds = wait.as_millis().div_ceil(1_000).max(1);
    if let Ok(value) = HeaderValue::try_from(seconds.to_string()) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

/// `status` with `value` as JSON; 500 if `value` has no JSON form.
#[must_use]
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match body::json(value) {
        Ok(body) => with_type(status, body, "application/json"),
        Err(failure) => {
            tracing::error!(error = %failure, "an answer has no JSON form");
            with_type(
                StatusCode::INTERNAL_SERVER_ERROR,
                body::full(&br#"{"message":"the answer has no JSON form"}"#[..]),
                "application/json",
            )
        }
    }
}

/// `status` with plain text.
#[must_use]
pub fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    with_type(status, body::full(text.into()), "text/plain; charset=utf-8")
}

fn with_type(status: StatusCode, body: Body, media_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
