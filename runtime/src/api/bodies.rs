//! Request bodies that are JSON and looked at.

use std::fmt::Display;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

use super::Call;
use super::answer::ApiError;
use super::engine::clean_request;
use crate::http::body;

/// What such a body may take (DESIGN section 9).
const BODY_BYTES_MAX: usize = 4 << 20;

impl Call {
    /// Takes the whole body out.
    ///
    /// # Errors
    /// 413 when it is longer than 4 MiB, 400 when it breaks off.
    pub(super) async fn take_body(&mut self) -> Result<Bytes, ApiError> {
        let body = std::mem::replace(self.http.body_mut(), body::empty());
        Ok(body::collect_limited(body, BODY_BYTES_MAX).await?)
    }

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
