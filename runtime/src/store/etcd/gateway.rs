//! Calls to etcd's JSON gateway: paths, errors, and the token of a user.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use swarm_core::discovery::StoreUser;

use super::super::StoreError;
use super::super::servers::{Call, Servers};
use super::wire::{Login, Token};
use crate::http::{Body, body};

pub(super) const RANGE: &str = "/v3/kv/range";
pub(super) const PUT: &str = "/v3/kv/put";
pub(super) const DELETE: &str = "/v3/kv/deleterange";
pub(super) const TXN: &str = "/v3/kv/txn";
pub(super) const WATCH: &str = "/v3/watch";
pub(super) const GRANT: &str = "/v3/lease/grant";
pub(super) const KEEP_ALIVE: &str = "/v3/lease/keepalive";
pub(super) const REVOKE: &str = "/v3/lease/revoke";
const AUTHENTICATE: &str = "/v3/auth/authenticate";

/// A watch on a member that has lost its leader ends instead of staying silent: gRPC metadata of etcd's clients, which
/// the gateway takes from headers of this form.
const REQUIRE_LEADER: &str = "grpc-metadata-hasleader";

/// What a server says when the token it was shown is not, or no longer, good; nothing was done then.
const TOKEN_TROUBLE: [&str; 2] = ["invalid auth token", "revision of auth store is old"];

/// How Go's HTTP server answers at an unknown path.
const NO_SUCH_PAGE: &[u8] = b"404 page not found";

pub(super) struct Gateway {
    pub(super) servers: Servers,
    user: Option<StoreUser>,
    /// Of the last login.
    token: Mutex<Option<HeaderValue>>,
}

impl Gateway {
    pub(super) fn new(servers: Servers, user: Option<StoreUser>) -> Self {
        Self {
            servers,
            user,
            token: Mutex::new(None),
        }
    }

    /// Asks at `path` and reads the answer.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        path: &'static str,
        question: &(impl Serialize + Sync),
    ) -> Result<T, StoreError> {
        let question = self.encode(question)?;
        let mut token = self.token(call).await?;
        let mut answer = call
            .ask(|| request(path, &question, token.as_ref()))
            .await?;
        if self.user.is_some() && is_about_the_token(&answer) {
            self.forget(token.as_ref());
            token = self.token(call).await?;
            answer = call
                .ask(|| request(path, &question, token.as_ref()))
                .await?;
        }
        self.read(&answer)
    }

    /// Opens a stream at `path`.
    pub(super) async fn open(
        &self,
        call: &Call<'_>,
        path: &'static str,
        question: &(impl Serialize + Sync),
    ) -> Result<Body, StoreError> {
        let question = self.encode(question)?;
        let token = self.token(call).await?;
        let answer = call
            .open(|| request(path, &question, token.as_ref()))
            .await?;
        if answer.status() != StatusCode::OK {
            self.forget(token.as_ref());
            let status = answer.status().as_u16();
            return Err(self.refused(status, "a watch cannot be opened"));
        }
        Ok(answer.into_body())
    }

    pub(super) fn refused(&self, status: u16, message: &str) -> StoreError {
        StoreError::Refused {
            servers: self.servers.names(),
            status: status.into(),
            message: message.trim().chars().take(512).collect(),
        }
    }

    pub(super) fn garbage(&self, cause: impl ToString) -> StoreError {
        StoreError::Garbage {
            servers: self.servers.names(),
            cause: cause.to_string(),
        }
    }

    fn encode(&self, question: &impl Serialize) -> Result<Bytes, StoreError> {
        let bytes = serde_json::to_vec(question);
        bytes.map(Bytes::from).map_err(|error| self.garbage(error))
    }

    fn read<T: DeserializeOwned>(&self, answer: &Response<Bytes>) -> Result<T, StoreError> {
        if answer.status() != StatusCode::OK {
            let status = answer.status().as_u16();
            return Err(self.refused(status, &message_of(answer.body())));
        }
        serde_json::from_slice(answer.body()).map_err(|error| self.garbage(error))
    }

    /// The token to show, after a login if there is none yet; `None` without a user.
    async fn token(&self, call: &Call<'_>) -> Result<Option<HeaderValue>, StoreError> {
        let Some(user) = &self.user else {
            return Ok(None);
        };
        let known = self.known().clone();
        if known.is_some() {
            return Ok(known);
        }
        let login = self.encode(&Login {
            name: &user.name,
            password: user.password.reveal(),
        })?;
        let answer = call.ask(|| request(AUTHENTICATE, &login, None)).await?;
        let Token { token } = self.read(&answer)?;
        let mut value = HeaderValue::from_str(&token).map_err(|error| self.garbage(error))?;
        value.set_sensitive(true);
        *self.known() = Some(value.clone());
        Ok(Some(value))
    }

    /// The next call logs in anew, unless another one already did.
    fn forget(&self, token: Option<&HeaderValue>) {
        let mut known = self.known();
        if known.as_ref() == token {
            *known = None;
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<HeaderValue>> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn request(path: &'static str, question: &Bytes, token: Option<&HeaderValue>) -> Request<Body> {
    let mut request = Request::new(body::full(question.clone()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REQUIRE_LEADER, HeaderValue::from_static("true"));
    if let Some(token) = token {
        headers.insert(AUTHORIZATION, token.clone());
    }
    request
}

/// The server's words: `{"error": …, "code": …}`, or what else it said.
fn message_of(body: &[u8]) -> String {
    if body.starts_with(NO_SUCH_PAGE) {
        return "there is no JSON gateway: etcd 3.4 or later is needed, and not with --enable-grpc-gateway=false".to_owned();
    }
    #[derive(serde::Deserialize)]
    struct Problem {
        error: String,
    }
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.error,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

fn is_about_the_token(answer: &Response<Bytes>) -> bool {
    let refused = answer.status().is_client_error();
    refused && {
        let message = message_of(answer.body());
        TOKEN_TROUBLE.iter().any(|text| message.contains(text))
    }
}
