//! Request bodies that are JSON and looked at.

use std::fmt::Display;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::answer::ApiError;
use super::engine::clean_request;
use super::{Api, Call};
use crate::http::body;
use crate::platform::timeout;

impl Api {
    /// Takes the whole body out.
    ///
    /// # Errors
    /// 413 when it is longer than `--max-body-size`, 408 when it takes longer than `--body-timeout`, 400 when it breaks off.
    pub(super) async fn take_body(&self, call: &mut Call) -> Result<Bytes, ApiError> {
        let body = std::mem::replace(call.http.body_mut(), body::empty());
        let limits = &self.settings.limits;
        let body = body::collect_limited(body, limits.body_size);
        match timeout(self.platform.as_ref(), limits.body_timeout, body).await {
            Ok(body) => Ok(body?),
            Err(_) => Err(ApiError::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body did not come within {:?}", limits.body_timeout),
            )),
        }
    }
}

impl Call {
    /// The headers for an engine, with a JSON body to come.
    pub(super) fn take_headers(&mut self) -> HeaderMap {
        let mut headers = std::mem::take(self.http.headers_mut());
        clean_request(&mut headers);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers
    }
}

/// 400: what the client sent cannot be read.
pub(super) fn bad(error: impl Display) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, error.to_string())
}
