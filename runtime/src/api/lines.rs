//! Streams of engines that come line by line.

use http::{Request, StatusCode};

use super::Api;
use super::answer::ApiError;
use super::engine::{Target, uri};
use crate::http::body;
use crate::http::lines::Lines;

impl Api {
    /// Asks an engine a question that is answered by lines.
    pub(super) async fn lines(
        &self,
        target: &Target,
        path: &str,
        query: &str,
    ) -> Result<Lines, ApiError> {
        let mut request = Request::new(body::empty());
        *request.uri_mut() = uri(&format!("/v{}{path}", target.version), query)?;
        let response = self
            .dispatch(target, request, self.question(), None)
            .await?;
        if response.status() != StatusCode::OK {
            return Err(broken(target, &format!("status {}", response.status())));
        }
        Ok(Lines::new(response.into_body()))
    }
}

pub(super) fn broken(target: &Target, error: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_GATEWAY,
        format!("the answer of engine {} broke off: {error}", target.name),
    )
}
