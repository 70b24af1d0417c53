//! `POST /images/create` without a source, and `POST /plugins/pull`: every engine fetches from a registry.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use swarm_core::api::{Fixed, Query, Route};

use super::answer::{Answer, ApiError};
use super::bodies::bad;
use super::create::REGISTRY_AUTH;
use super::engine::{Target, uri};
use super::lines::broken;
use super::progress::{Work, accepted, error_in};
use super::{Api, Call};
use crate::http::client::SendOptions;
use crate::http::lines::Lines;
use crate::http::{Body, body};
use crate::platform::BoxFuture;

/// Something to fetch.
pub(super) struct Fetch {
    pub(super) route: Route,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    /// What else the engine is told; nothing for images.
    pub(super) body: Bytes,
    pub(super) epoch: Option<u64>,
    title: String,
}

impl Fetch {
    /// An image. `auth` is what the client knows of the registry.
    pub(super) fn image(query: Query, auth: Option<&HeaderValue>, epoch: Option<u64>) -> Self {
        let mut headers = HeaderMap::new();
        if let Some(auth) = auth {
            headers.insert(REGISTRY_AUTH, auth.clone());
        }
        Self {
            route: Route::Fixed(Fixed::ImageCreate),
            title: format!("Pulling {}...", reference(&query)),
            query,
            headers,
            body: Bytes::new(),
            epoch,
        }
    }
}

impl Work for Fetch {
    fn title(&self) -> &str {
        &self.title
    }

    fn in_step(&self) -> bool {
        false
    }

    fn begin<'a>(
        &'a self,
        api: &'a Api,
        target: &'a Target,
    ) -> BoxFuture<'a, Result<Response<Body>, ApiError>> {
        Box::pin(api.fetch(target, self))
    }

    fn excuse(&self, _failure: &str) -> Option<String> {
        None
    }
}

impl Api {
    pub(super) async fn pull_image(self: Arc<Self>, call: Call) -> Answer {
        let query = call.request.query;
        if query.value("fromImage").unwrap_or_default().is_empty() {
            return Err(bad("which image to pull is not said: fromImage is needed"));
        }
        let auth = call.http.headers().get(REGISTRY_AUTH);
        let fetch = Fetch::image(query, auth, call.epoch);
        let (targets, silent) = self.all_targets(call.request.version);
        self.everywhere(targets, silent, Arc::new(fetch)).await
    }

    pub(super) async fn pull_plugin(self: Arc<Self>, mut call: Call) -> Answer {
        let body = self.take_body(&mut call).await?;
        let (targets, silent) = self.all_targets(call.request.version);
        let remote = call.request.query.value("remote").unwrap_or_default();
        let fetch = Fetch {
            headers: call.take_headers(),
            route: call.request.route,
            title: format!("Pulling plugin {remote}..."),
            query: call.request.query,
            body: body.clone(),
            epoch: call.epoch,
        };
        let pulled = self.everywhere(targets, silent, Arc::new(fetch)).await;
        pulled.map_err(|error| error.unsent(body::full(body)))
    }

    /// Fetches on one engine without telling anybody about progress.
    pub(super) async fn fetch_quietly(
        &self,
        target: &Target,
        fetch: &Fetch,
    ) -> Result<(), ApiError> {
        let response = accepted(self.fetch(target, fetch).await?).await?;
        let mut lines = Lines::new(response.into_body());
        while let Some(line) = lines.next().await.map_err(|e| broken(target, &e))? {
            if let Some(error) = error_in(&line) {
                return Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error));
            }
        }
        Ok(())
    }

    async fn fetch(&self, target: &Target, fetch: &Fetch) -> Result<Response<Body>, ApiError> {
        let mut request = Request::new(body::full(fetch.body.clone()));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = fetch.headers.clone();
        *request.uri_mut() = uri(
            &fetch.route.path(Some(target.version)),
            fetch.query.as_str(),
        )?;
        self.dispatch(target, request, SendOptions::endless(), Some(fetch.epoch))
            .await
    }
}

/// What is pulled, for people: `alpine:3.20`, `alpine@sha256:…`.
fn reference(query: &Query) -> String {
    let image = query.value("fromImage").unwrap_or_default();
    match query.value("tag").filter(|tag| !tag.is_empty()) {
        Some(digest) if digest.contains(':') => format!("{image}@{digest}"),
        Some(tag) => format!("{image}:{tag}"),
        None => image,
    }
}
