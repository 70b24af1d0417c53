//! `POST /images/create`: pull an image on every healthy engine, their progress merged (spec/classic.md section 7.4).
//!
//! Every engine's fate is told on its own line. The whole fails only when no engine has the image afterwards: one
//! that has no room for it must not keep the others from running it.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderValue, Method, Request, Response, StatusCode};
use swarm_core::api::Query;
use swarm_core::json::{self, JsonError, RawObject};
use tokio::sync::{Semaphore, oneshot};

use super::answer::{Answer, ApiError, json_text};
use super::create::REGISTRY_AUTH;
use super::engine::{Target, healthy_targets, uri};
use super::join::join_all;
use super::lines::{Lines, broken};
use super::{Api, Call};
use crate::http::body::{Sender, channel};
use crate::http::client::SendOptions;
use crate::http::{Body, body};
use crate::platform::BoxFuture;

/// Engines that pull at the same time: registries limit how fast one address may ask.
const AT_ONCE: usize = 16;

/// What an engine's refusal may take.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// Progress lines that wait for a slow client.
const QUEUE: usize = 64;

/// A pull over several engines.
struct Pull {
    query: String,
    reference: String,
    auth: Option<HeaderValue>,
    epoch: Option<u64>,
    room: Semaphore,
    /// Told when the first engine has begun: from then on the answer is 200.
    begun: Mutex<Option<oneshot::Sender<Result<(), ApiError>>>>,
}

impl Api {
    pub(super) async fn create_image(self: Arc<Self>, call: Call) -> Answer {
        let query = &call.request.query;
        let image = query.value("fromImage").unwrap_or_default();
        if query
            .value("fromSrc")
            .is_some_and(|source| !source.is_empty())
        {
            return Err(ApiError::not_implemented("import of an image"));
        }
        if image.is_empty() {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "which image to pull is not said: fromImage is needed",
            ));
        }
        let targets = healthy_targets(&self.fleet.cluster().read(), call.request.version);
        if targets.is_empty() {
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "No healthy node available in the cluster",
            ));
        }
        let (begin, begun) = oneshot::channel();
        let pull = Pull {
            reference: reference(query, &image),
            query: query.as_str().to_owned(),
            auth: call.http.headers().get(REGISTRY_AUTH).cloned(),
            epoch: call.epoch,
            room: Semaphore::new(AT_ONCE),
            begun: Mutex::new(Some(begin)),
        };
        let (sender, progress) = channel(QUEUE);
        let api = Arc::clone(&self);
        let task = async move {
            tokio::select! {
                biased;
                () = sender.closed() => return,
                () = api.pull_everywhere(&pull, targets, &sender) => {}
            }
            sender.finish();
        };
        self.platform.spawn("pull", Box::pin(task));
        match begun.await {
            Ok(Ok(())) => {
                let mut response = json_text(StatusCode::OK, "");
                *response.body_mut() = progress;
                Ok(response)
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the pull stopped with an internal error",
            )),
        }
    }

    async fn pull_everywhere(&self, pull: &Pull, targets: Vec<Target>, sender: &Sender) {
        let pulls: Vec<BoxFuture<'_, Result<(), ApiError>>> = targets
            .iter()
            .map(|target| {
                Box::pin(self.pull_reporting(pull, target, sender))
                    as BoxFuture<'_, Result<(), ApiError>>
            })
            .collect();
        let outcomes = join_all(pulls).await;
        let succeeded = outcomes.iter().any(Result::is_ok);
        let Some(failure) = outcomes.into_iter().find_map(Result::err) else {
            return;
        };
        if succeeded {
            return;
        }
        let message = failure.to_string();
        if !pull.begin(Err(failure)) {
            let line = serde_json::json!({
                "error": &message, "errorDetail": {"code": 1, "message": &message},
            });
            // A client that left does not need to know.
            let _ = sender.send(format!("{line}\r\n")).await;
        }
    }

    /// Pulls on one engine and passes its progress on; the last line says how it ended.
    async fn pull_reporting(
        &self,
        pull: &Pull,
        target: &Target,
        sender: &Sender,
    ) -> Result<(), ApiError> {
        let _permit = pull.room.acquire().await;
        let what = format!("Pulling {}...", pull.reference);
        let outcome = async {
            let response = self
                .send_pull(target, &pull.query, pull.auth.as_ref(), pull.epoch)
                .await?;
            pull.begin(Ok(()));
            let _ = sender.send(status_line(&target.name, &what)).await;
            let mut lines = Lines::new(response.into_body());
            while let Some(line) = lines.next().await.map_err(|e| broken(target, &e))? {
                if let Some(error) = error_in(&line) {
                    return Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error));
                }
                if let Ok(line) = dress(&line, &target.name, &what) {
                    let _ = sender.send(line).await;
                }
            }
            self.fleet.refresh_images(&target.address).await;
            Ok(())
        }
        .await;
        let ended = match &outcome {
            Ok(()) => what,
            Err(error) => format!("{what} : {error}"),
        };
        if pull.has_begun() {
            let _ = sender.send(status_line(&target.name, &ended)).await;
        }
        outcome
    }

    /// Pulls on one engine without telling anybody about progress.
    pub(super) async fn pull_quietly(
        &self,
        target: &Target,
        query: &str,
        auth: Option<&HeaderValue>,
        epoch: Option<u64>,
    ) -> Result<(), ApiError> {
        let response = self.send_pull(target, query, auth, epoch).await?;
        let mut lines = Lines::new(response.into_body());
        while let Some(line) = lines.next().await.map_err(|e| broken(target, &e))? {
            if let Some(error) = error_in(&line) {
                return Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error));
            }
        }
        Ok(())
    }

    async fn send_pull(
        &self,
        target: &Target,
        query: &str,
        auth: Option<&HeaderValue>,
        epoch: Option<u64>,
    ) -> Result<Response<Body>, ApiError> {
        let mut request = Request::new(body::empty());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri(&format!("/v{}/images/create", target.version), query)?;
        if let Some(auth) = auth {
            request.headers_mut().insert(REGISTRY_AUTH, auth.clone());
        }
        let response = self
            .dispatch(target, request, SendOptions::endless(), Some(epoch))
            .await?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let status = response.status();
        let text = body::collect_limited(response.into_body(), REFUSAL_BYTES_MAX)
            .await
            .unwrap_or_default();
        let message = RawObject::parse(&text)
            .ok()
            .and_then(|object| object.read::<String>("message").ok().flatten())
            .unwrap_or_else(|| String::from_utf8_lossy(&text).into_owned());
        Err(ApiError::new(status, message))
    }
}

impl Pull {
    /// Tells how the answer begins; `false` when that was told before.
    fn begin(&self, how: Result<(), ApiError>) -> bool {
        let waiting = self
            .begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A client that left does not need to know.
        waiting.map(|waiting| waiting.send(how)).is_some()
    }

    fn has_begun(&self) -> bool {
        self.begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_none()
    }
}

/// What is pulled, for people: `alpine:3.20`, `alpine@sha256:…`.
fn reference(query: &Query, image: &str) -> String {
    match query.value("tag").filter(|tag| !tag.is_empty()) {
        Some(digest) if digest.contains(':') => format!("{image}@{digest}"),
        Some(tag) => format!("{image}:{tag}"),
        None => image.to_owned(),
    }
}

fn status_line(engine: &str, status: &str) -> String {
    let line = serde_json::json!({"status": status, "id": engine});
    format!("{line}\r\n")
}

/// The error a progress line reports, if it is one.
fn error_in(line: &[u8]) -> Option<String> {
    let object = RawObject::parse(line).ok()?;
    object.read::<String>("error").ok().flatten()
}

/// A progress line under its engine's name.
fn dress(line: &[u8], engine: &str, what: &str) -> Result<String, JsonError> {
    let mut object = RawObject::parse(line)?;
    let status = object.read::<String>("status")?.unwrap_or_default();
    object.set("status", json::raw(&format!("{what} : {status}"))?);
    object.set("id", json::raw(&engine)?);
    Ok(format!("{}\r\n", object.to_json()))
}
