//! Work on every engine that tells its progress line by line: the lines of all, merged (spec/classic.md section 7.4).
//!
//! Every engine's fate is told on its own line, also that of engines which are left out because they do not answer. The
//! whole fails only when no engine succeeds: one that has no room for an image must not keep the others from running it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Response, StatusCode};
use swarm_core::api::ApiVersion;
use swarm_core::engine::Part;
use swarm_core::json::{self, JsonError, RawObject};
use tokio::sync::{Semaphore, oneshot};

use super::Api;
use super::answer::{Answer, ApiError, json_text, message_in, no_engine};
use super::engine::{Target, healthy_targets};
use super::join::join_all;
use super::lines::broken;
use crate::http::body::{Sender, channel};
use crate::http::lines::Lines;
use crate::http::{Body, body};
use crate::platform::BoxFuture;

/// Engines that pull at the same time: registries limit how fast one address may ask.
const AT_ONCE: usize = 16;

/// What an engine's refusal may take.
const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// Progress lines that wait for a slow client.
const QUEUE: usize = 64;

/// Work that each engine does for itself.
pub(super) trait Work: Send + Sync + 'static {
    /// What people read of it, for instance `Pulling alpine:3.20...`.
    fn title(&self) -> &str;

    /// Whether every engine has to begin before any can go on.
    fn in_step(&self) -> bool;

    /// Has one engine begin.
    fn begin<'a>(
        &'a self,
        api: &'a Api,
        target: &'a Target,
    ) -> BoxFuture<'a, Result<Response<Body>, ApiError>>;

    /// What the end is called if this is how it failed and that is no failure.
    fn excuse(&self, failure: &str) -> Option<String>;
}

/// Work under way on several engines.
struct UnderWay {
    work: Arc<dyn Work>,
    room: Semaphore,
    /// Told when the first engine has begun: from then on the answer is 200.
    begun: Mutex<Option<oneshot::Sender<Result<(), ApiError>>>>,
}

impl Api {
    /// Does `work` on all engines that answer.
    pub(super) async fn everywhere(
        self: Arc<Self>,
        targets: Vec<Target>,
        silent: Vec<String>,
        work: Arc<dyn Work>,
    ) -> Answer {
        if targets.is_empty() {
            return Err(no_engine());
        }
        let (begin, begun) = oneshot::channel();
        let room = if work.in_step() {
            targets.len()
        } else {
            AT_ONCE
        };
        let under_way = UnderWay {
            work,
            room: Semaphore::new(room),
            begun: Mutex::new(Some(begin)),
        };
        let (sender, progress) = channel(QUEUE);
        let api = Arc::clone(&self);
        let task = async move {
            tokio::select! {
                biased;
                () = sender.closed() => return,
                () = api.report_all(&under_way, targets, &silent, &sender) => {}
            }
            sender.finish();
        };
        self.platform.spawn("progress", Box::pin(task));
        match begun.await {
            Ok(Ok(())) => {
                let mut response = json_text(StatusCode::OK, "");
                *response.body_mut() = progress;
                Ok(response)
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the work on the engines stopped with an internal error",
            )),
        }
    }

    /// The engines that answer, and the names of those that do not.
    pub(super) fn all_targets(&self, version: Option<ApiVersion>) -> (Vec<Target>, Vec<String>) {
        let cluster = self.fleet.cluster().read();
        let silent = cluster
            .validated()
            .filter(|engine| !engine.is_healthy())
            .map(|engine| engine.name().to_owned());
        (healthy_targets(&cluster, version), silent.collect())
    }

    async fn report_all(
        &self,
        under_way: &UnderWay,
        targets: Vec<Target>,
        silent: &[String],
        sender: &Sender,
    ) {
        let reports: Vec<BoxFuture<'_, Result<(), ApiError>>> = targets
            .iter()
            .map(|target| {
                Box::pin(self.report(under_way, target, sender))
                    as BoxFuture<'_, Result<(), ApiError>>
            })
            .collect();
        let outcomes = join_all(reports).await;
        if under_way.has_begun() {
            for name in silent {
                let text = "Left out: the engine does not answer";
                let _ = sender.send(status_line(name, text)).await;
            }
        }
        let succeeded = outcomes.iter().any(Result::is_ok);
        let Some(failure) = outcomes.into_iter().find_map(Result::err) else {
            return;
        };
        if succeeded {
            return;
        }
        let message = failure.to_string();
        if !under_way.begin(Err(failure)) {
            let line = serde_json::json!({
                "error": &message, "errorDetail": {"code": 1, "message": &message},
            });
            // A client that left does not need to know.
            let _ = sender.send(format!("{line}\r\n")).await;
        }
    }

    /// Works on one engine and passes its progress on; the last line says how it ended.
    async fn report(
        &self,
        under_way: &UnderWay,
        target: &Target,
        sender: &Sender,
    ) -> Result<(), ApiError> {
        let _permit = under_way.room.acquire().await;
        let title = under_way.work.title();
        let outcome = async {
            let response = under_way.work.begin(self, target).await?;
            let response = accepted(response).await?;
            under_way.begin(Ok(()));
            let _ = sender.send(status_line(&target.name, title)).await;
            let mut lines = Lines::new(response.into_body());
            while let Some(line) = lines.next().await.map_err(|e| broken(target, &e))? {
                if let Some(error) = error_in(&line) {
                    return Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error));
                }
                if let Ok(line) = dress(&line, &target.name, title) {
                    let _ = sender.send(line).await;
                }
            }
            self.fleet.refresh(&target.address, Part::Images).await;
            Ok(())
        }
        .await;
        let (outcome, ended) = match outcome {
            Ok(()) => (Ok(()), title.to_owned()),
            Err(error) => match under_way.work.excuse(&error.to_string()) {
                Some(excuse) => (Ok(()), excuse),
                None => {
                    let ended = format!("{title} : {error}");
                    (Err(error), ended)
                }
            },
        };
        if under_way.has_begun() {
            let _ = sender.send(status_line(&target.name, &ended)).await;
        }
        outcome
    }
}

impl UnderWay {
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

/// The response, unless the engine refused.
pub(super) async fn accepted(response: Response<Body>) -> Result<Response<Body>, ApiError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let text = body::collect_limited(response.into_body(), REFUSAL_BYTES_MAX)
        .await
        .unwrap_or_default();
    Err(ApiError::new(status, message_in(&text)))
}

/// The error a progress line reports, if it is one.
pub(super) fn error_in(line: &Bytes) -> Option<String> {
    let object = RawObject::parse(line).ok()?;
    object.read::<String>("error").ok().flatten()
}

fn status_line(engine: &str, status: &str) -> String {
    let line = serde_json::json!({"status": status, "id": engine});
    format!("{line}\r\n")
}

/// A progress line under its engine's name.
fn dress(line: &[u8], engine: &str, title: &str) -> Result<String, JsonError> {
    let mut object = RawObject::parse(line)?;
    if object.get("stream").is_none() {
        let status = object.read::<String>("status")?.unwrap_or_default();
        object.set("status", json::raw(&format!("{title} : {status}"))?);
    }
    object.set("id", json::raw(&engine)?);
    Ok(format!("{}\r\n", object.to_json()))
}
