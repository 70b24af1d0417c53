//! How clients ask: every request is put into the ledger before it is sent, and its answer when it is here.

use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use swarm::http::Body;
use swarm::http::body::{self, collect_limited};
use swarm::http::client::{Client, ClientConfig, SendError, SendOptions};
use swarm::platform::{sleep, timeout};
use swarm_models::engine::Change;

use super::ClientHost;
use super::ledger::{KEY_LABEL, Ledger, Question};
use crate::history::{Nature, Told};
use crate::property::Property;

/// A manager may wait for a primary that often before it gives a request up (HA.md section 9.3).
const WAITS: u32 = 3;
/// What else an answer may take: a silent primary is given up after 20 s at the latest.
const OTHERWISE: Duration = Duration::from_secs(45);
/// What every manager answers by itself takes no longer.
pub(super) const AT_ONCE: Duration = Duration::from_secs(3);
/// Longer answers than these are none.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// One client with its connections.
pub(super) struct Asker {
    pub(super) host: ClientHost,
    client: Client,
}

/// What a client heard of a request.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// The request's number.
    pub(super) id: u64,
    /// What it means.
    pub(super) told: Told,
    /// The body of the answer; empty if none came.
    pub(super) body: Bytes,
}

impl Heard {
    pub(super) fn is_done(&self) -> bool {
        self.told == Told::Done
    }
}

/// What to send.
pub(super) struct Ask {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    /// JSON; empty for none.
    pub(super) body: Bytes,
    pub(super) nature: Nature,
    pub(super) limit: Duration,
}

impl Ask {
    /// A question that changes nothing.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Nature::Read)
    }

    /// A request without a body.
    pub(super) fn new(method: Method, path: impl Into<String>, nature: Nature) -> Self {
        Self {
            method,
            path: path.into(),
            body: Bytes::new(),
            nature,
            limit: Duration::ZERO,
        }
    }
}

impl Asker {
    pub(super) fn new(host: ClientHost) -> Self {
        let client = Client::new(host.platform.clone(), ClientConfig::default());
        Self { host, client }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        let ledger = self.host.ledger.lock();
        ledger.unwrap_or_else(PoisonError::into_inner)
    }

    /// What any answer may take.
    pub(super) fn patience(&self) -> Duration {
        self.host.primary_wait * WAITS + OTHERWISE
    }

    pub(super) async fn pause(&self) {
        sleep(self.host.platform.as_ref(), self.host.pace).await;
    }

    /// Puts a request into the ledger; returns its number.
    pub(super) fn begin(&self, ask: &Ask) -> u64 {
        let limit = if ask.limit.is_zero() {
            self.patience()
        } else {
            ask.limit
        };
        let what = format!("{} {}", ask.method, ask.path);
        self.ledger().asked(&Question {
            client: self.host.id,
            manager: self.host.manager.host(),
            what: &what,
            nature: ask.nature,
            limit,
        })
    }

    /// Asks for something that changes no container.
    pub(super) async fn ask(&self, ask: Ask) -> Heard {
        let id = self.begin(&ask);
        self.send(id, ask).await
    }

    /// Asks for a change to what request `object` made.
    pub(super) async fn change(
        &self,
        object: u64,
        change: Change,
        detail: &str,
        ask: Ask,
    ) -> Heard {
        let id = self.begin(&ask);
        self.ledger().changes(id, object, change, detail);
        self.send(id, ask).await
    }

    /// Looks at `what`, which was acknowledged: it is there. `excused` says, when it is not, that nobody is to blame.
    pub(super) async fn look(
        &self,
        what: &str,
        path: String,
        excused: impl Fn(&mut Ledger) -> bool + Send,
    ) {
        let heard = self.ask(Ask::get(path)).await;
        let mut ledger = self.ledger();
        if heard.told == Told::Rejected && !excused(&mut ledger) {
            let what = format!(
                "{what} was acknowledged and is not found by request {}: {}",
                heard.id,
                String::from_utf8_lossy(&heard.body)
            );
            ledger.fail(Property::ExactlyOnce, "not-found", what);
        }
    }

    /// Asks for a container, perhaps of the name that `name` makes of the request's number.
    pub(super) async fn create(
        &self,
        mut config: Value,
        name: impl FnOnce(u64) -> Option<String>,
    ) -> Heard {
        let mut ask = Ask::new(Method::POST, "/v1.41/containers/create", Nature::Once);
        let id = self.begin(&ask);
        self.ledger().changes(id, id, Change::Create, "");
        if let Some(name) = name(id) {
            ask.path = format!("{}?name={name}", ask.path);
        }
        if let Some(config) = config.as_object_mut() {
            config.insert("Labels".to_owned(), json!({KEY_LABEL: id.to_string()}));
        }
        ask.body = config.to_string().into();
        self.send(id, ask).await
    }

    /// Sends a request that is in the ledger already.
    pub(super) async fn send(&self, id: u64, ask: Ask) -> Heard {
        let mut request = Request::new(body::full(ask.body));
        *request.method_mut() = ask.method;
        let Ok(target) = ask.path.parse() else {
            return self.heard(id, Told::Unknown, 0, Bytes::new());
        };
        *request.uri_mut() = target;
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let exchange = async {
            let response = self.respond(request, SendOptions::endless()).await?;
            let status = response.status();
            let answer = collect_limited(response.into_body(), ANSWER_BYTES_MAX).await;
            Ok::<_, SendError>((status, answer.ok()))
        };
        match timeout(self.host.platform.as_ref(), self.patience() * 2, exchange).await {
            Ok(Ok((status, Some(text)))) => self.heard(id, told(status), status.as_u16(), text),
            Ok(Ok((status, None))) => self.heard(id, Told::Unknown, status.as_u16(), Bytes::new()),
            Ok(Err(failure)) => self.heard(id, not_answered(&failure), 0, Bytes::new()),
            Err(_) => {
                self.ledger().gave_up(id);
                Heard {
                    id,
                    told: Told::Unknown,
                    body: Bytes::new(),
                }
            }
        }
    }

    /// Sends a request that is in the ledger already, and waits for the head of the response.
    pub(super) async fn respond(
        &self,
        request: Request<Body>,
        options: SendOptions,
    ) -> Result<Response<Body>, SendError> {
        let manager = &self.host.manager;
        let sent = self
            .client
            .send_with(manager, request, options, || Ok(()))
            .await;
        sent.map_err(|failure| failure.error)
    }

    /// Puts the answer into the ledger.
    pub(super) fn heard(&self, id: u64, told: Told, status: u16, body: Bytes) -> Heard {
        if status == StatusCode::LOOP_DETECTED.as_u16() {
            let what = format!("request {id} came back to a manager it had passed");
            self.ledger().fail(Property::NoLoop, "", what);
        }
        self.ledger().answered(id, told, status, &body);
        Heard { id, told, body }
    }
}

/// What the end of a connection says about its request.
pub(super) fn not_answered(failure: &SendError) -> Told {
    if failure.maybe_sent() {
        Told::Unknown
    } else {
        Told::NotDone
    }
}

/// What a status says about its request (DESIGN section 4).
pub(super) fn told(status: StatusCode) -> Told {
    match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::MISDIRECTED_REQUEST => Told::NotDone,
        StatusCode::NOT_IMPLEMENTED => Told::Rejected,
        status if status.is_success() || status.is_informational() => Told::Done,
        status if status.is_server_error() => Told::Unknown,
        _ => Told::Rejected,
    }
}
