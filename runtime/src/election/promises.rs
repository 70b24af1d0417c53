//! Promises between managers: the primary asks each member over the connections of peers, a member answers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Method, Request, StatusCode};
use swarm_core::address::HostPort;
use swarm_core::election::{
    Asker, Input, OpId, PROMISE_BYTES_MAX, PromiseGrant, PromiseRequest, Refusal,
};
use tokio::sync::oneshot;

use super::Elector;
use crate::driver::WeakHandle;
use crate::http::Client;
use crate::http::body::{self, collect_limited};
use crate::platform::{SharedPlatform, timeout};

/// The path at which a primary asks a member for its promise (`POST`).
pub const PROMISE_PATH: &str = "/_swarm/promise";
/// Questions that wait for the election at once: more than all members together ask.
const WAITING_MAX: usize = 64;

/// Asks members for the election.
#[derive(Clone)]
pub(super) struct Canvasser {
    pub(super) platform: SharedPlatform,
    pub(super) client: Client,
    pub(super) answers: WeakHandle<Input>,
    pub(super) own: HostPort,
    pub(super) limit: Duration,
}

impl Canvasser {
    /// Asks every member at the same time.
    pub(super) fn ask_all(&self, round: OpId, requests: Vec<PromiseRequest>) {
        for request in requests {
            let canvasser = self.clone();
            let asking = async move {
                let answer = canvasser.ask(&request).await;
                if let Err(reason) = &answer {
                    tracing::debug!(member = %request.member, %reason, "A member does not promise");
                }
                let input = Input::Promised(round, request.member, answer.is_ok());
                canvasser.answers.send(input).await;
            };
            self.platform.spawn("ask for a promise", Box::pin(asking));
        }
    }

    async fn ask(&self, request: &PromiseRequest) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let member = &request.member;
        member
            .check_peer_of(&self.own)
            .map_err(|error| text(&error))?;
        let body = body::json(request).map_err(|error| text(&error))?;
        let question = Request::builder()
            .method(Method::POST)
            .uri(PROMISE_PATH)
            .body(body)
            .map_err(|error| text(&error))?;
        let exchange = async {
            let answer = self.client.send(member, question).await;
            let answer = answer.map_err(|error| text(&error))?;
            let status = answer.status();
            let bytes = collect_limited(answer.into_body(), PROMISE_BYTES_MAX).await;
            let bytes = bytes.map_err(|error| text(&error))?;
            if status != StatusCode::OK {
                return Err(format!("{status} {}", String::from_utf8_lossy(&bytes)));
            }
            PromiseGrant::parse(&bytes, request)
        };
        timeout(self.platform.as_ref(), self.limit, exchange)
            .await
            .map_err(|late| text(&late))?
    }
}

/// Questions of others that the election has not answered yet.
#[derive(Default)]
pub(super) struct Questions {
    next: AtomicU64,
    waiting: Mutex<Waiting>,
}

type Waiting = BTreeMap<Asker, oneshot::Sender<Result<(), Refusal>>>;

impl Questions {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answer(&self, asker: Asker, verdict: Result<(), Refusal>) {
        if let Some(sender) = self.waiting().remove(&asker) {
            // Who has left holds no promise, and this manager keeps one too many.
            let _ = sender.send(verdict);
        }
    }
}

impl Elector {
    /// Asks this manager's election for a promise; `None` if it is too busy to answer.
    pub async fn promise(&self, request: PromiseRequest) -> Option<Result<(), Refusal>> {
        let questions = &self.shared.questions;
        let asker = questions.next.fetch_add(1, Ordering::Relaxed);
        let (sender, verdict) = oneshot::channel();
        {
            let mut waiting = questions.waiting();
            waiting.retain(|_, sender| !sender.is_closed());
            if waiting.len() >= WAITING_MAX {
                return None;
            }
            waiting.insert(asker, sender);
        }
        let input = Input::PromiseAsked(asker, request);
        self.handle.try_send(input).ok()?;
        verdict.await.ok()
    }
}
