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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::collect_limited;

    #[tokio::test]
    async fn errors_have_the_form_of_the_docker_api() {
        let response = error(StatusCode::NOT_FOUND, "No such container: \"a\\b\"");
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        let body = collect_limited(response.into_body(), 100).await.unwrap();
        assert_eq!(body, r#"{"message":"No such container: \"a\\b\""}"#);
    }

    #[test]
    fn retry_after_is_in_whole_seconds_rounded_up() {
        for (millis, seconds) in [
            (0, "1"),
            (999, "1"),
            (1_000, "1"),
            (1_001, "2"),
            (30_000, "30"),
        ] {
            let wait = Duration::from_millis(millis);
            let response = retry_after(StatusCode::SERVICE_UNAVAILABLE, wait, "no primary");
            assert_eq!(response.headers()[RETRY_AFTER], seconds);
        }
    }

    #[test]
    fn what_has_no_json_form_is_a_500() {
        let no_text_key = std::collections::BTreeMap::from([(vec![1], 1)]);
        let response = json(StatusCode::OK, &no_text_key);
        assert_eq!(response.status(), 500);
    }
}
