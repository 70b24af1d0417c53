//! `/v1/session/` (developer.hashicorp.com/consul/api-docs/session, HA.md section 2.1).

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use swarm_core::duration::GoDuration;
use swarm_core::time::nanos;

use super::params::{content_length, read_body};
use super::txn::field;
use super::{Access, Call, Reply, with_meta};
use crate::consul::Server;
use crate::consul::query::{Answer, Consistency};
use crate::consul::server::Failure;
use crate::consul::state::{Behavior, NewSession, Session, Watched};

/// A session as the API shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SessionJson<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    name: &'a str,
    node: &'a str,
    lock_delay: i64,
    behavior: &'static str,
    #[serde(rename = "TTL")]
    ttl: &'a str,
    node_checks: &'a [String],
    service_checks: Option<()>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    checks: &'a [String],
    create_index: u64,
    modify_index: u64,
}

impl<'a> SessionJson<'a> {
    fn new(session: &'a Session) -> Self {
        let spec = &session.spec;
        Self {
            id: &session.id,
            name: &spec.name,
            node: &spec.node,
            lock_delay: spec.lock_delay_nanos,
            behavior: match spec.behavior {
                Behavior::Release => "release",
                Behavior::Delete => "delete",
            },
            ttl: &spec.ttl_text,
            node_checks: &spec.node_checks,
            service_checks: None,
            checks: &spec.checks,
            create_index: session.create_index,
            modify_index: session.modify_index,
        }
    }
}

#[derive(Debug, Serialize)]
struct CreatedJson<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
}

pub(super) async fn create(server: &Server, call: Call) -> Result<Reply, Failure> {
    let mut spec = NewSession::for_node(server.name());
    // Only a stated length makes Consul look at the body: a chunked one is ignored without a word.
    let stated = content_length(&call.request).unwrap_or(0);
    let body = read_body(call.request.into_body()).await?;
    if stated > 0 {
        decode(&mut spec, &body.unwrap_or_default())?;
    }
    fix_checks(&mut spec);
    call.access.require()?;
    check_ttl(server, &mut spec)?;
    let created = server.write(move |inner, now| {
        let id = inner.new_session_id();
        let created = inner.store.create_session(now, id, spec);
        created.map_err(|error| Failure::internal(format!("apply failed: {error}")))
    });
    call.params.json(
        200,
        &CreatedJson {
            id: &created.await?.id,
        },
    )
}

pub(super) async fn destroy(server: &Server, call: Call) -> Result<Reply, Failure> {
    let id = id(&call, "Missing session")?;
    call.access.require()?;
    let destroyed = server.write(move |inner, now| {
        inner.store.destroy_session(now, &id);
        Ok(())
    });
    destroyed.await?;
    call.json(200, &true)
}

pub(super) async fn renew(server: &Server, call: Call) -> Result<Reply, Failure> {
    let id = id(&call, "Missing session")?;
    let stale = call.params.consistency()? == Consistency::Stale;
    call.access.require()?;
    match server.renew(&id, stale).await? {
        Some(session) => call.json(200, &[SessionJson::new(&session)]),
        None => Err(Failure::Answer(404, format!("Session id '{id}' not found"))),
    }
}

pub(super) async fn info(server: &Server, call: Call) -> Result<Reply, Failure> {
    let id = id(&call, "Missing session")?;
    show(server, &call, |session| session.id == id).await
}

pub(super) async fn of_node(server: &Server, call: Call) -> Result<Reply, Failure> {
    if call.path_rest.is_empty() {
        return Err(Failure::Answer(400, "Missing node name".to_owned()));
    }
    let node = call.path_rest.clone();
    show(server, &call, |session| session.spec.node == node).await
}

pub(super) async fn list(server: &Server, call: Call) -> Result<Reply, Failure> {
    show(server, &call, |_session| true).await
}

/// Sessions that match; without rights none does.
async fn show(
    server: &Server,
    call: &Call,
    matches: impl Fn(&Session) -> bool,
) -> Result<Reply, Failure> {
    let query = call.params.query(Watched::Sessions)?;
    let answer: Answer = server.query(&query).await?;
    let visible = |session: &&Arc<Session>| call.access == Access::All && matches(session);
    let sessions = answer.state.sessions().filter(visible);
    let sessions: Vec<_> = sessions.map(|session| SessionJson::new(session)).collect();
    Ok(with_meta(call.json(200, &sessions)?, &answer))
}

fn id(call: &Call, missing: &str) -> Result<String, Failure> {
    let id = &call.path_rest;
    if id.is_empty() {
        return Err(Failure::Answer(400, missing.to_owned()));
    }
    if !crate::consul::state::is_id(id) {
        let text = crate::consul::state::StateError::NotAnId.to_string();
        return Err(Failure::internal(text));
    }
    Ok(id.clone())
}

/// Values below this are taken for seconds instead of nanoseconds.
const LOCK_DELAY_THRESHOLD: i64 = 1_000;

pub(super) fn decode(spec: &mut NewSession, body: &[u8]) -> Result<(), Failure> {
    let json: Value =
        serde_json::from_slice(body).map_err(|error| undecodable(&error.to_string()))?;
    if !json.is_object() {
        return Err(undecodable("the session is not an object"));
    }
    let text = |name: &str| match field(&json, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            Err(undecodable(&format!("{name} is not a string")))
        }
    };
    if let Some(name) = text("Name")? {
        spec.name = name;
    }
    if let Some(node) = text("Node")?.filter(|node| !node.is_empty()) {
        spec.node = node;
    }
    if let Some(ttl) = text("TTL")? {
        spec.ttl_text = ttl;
    }
    spec.behavior = match text("Behavior")?.as_deref() {
        None | Some("" | "release") => Behavior::Release,
        Some("delete") => Behavior::Delete,
        Some(other) => {
            let text = format!("Invalid Behavior setting '{other}'");
            return Err(Failure::internal(text));
        }
    };
    if let Some(delay) = field(&json, "LockDelay") {
        spec.lock_delay_nanos = lock_delay(delay).map_err(|what| undecodable(&what))?;
    }
    if let Some(checks) = field(&json, "Checks") {
        spec.checks = strings(checks).map_err(|what| undecodable(&what))?;
    }
    if let Some(checks) = field(&json, "NodeChecks") {
        spec.node_checks = strings(checks).map_err(|what| undecodable(&what))?;
    }
    if let Some(Value::Array(checks)) = field(&json, "ServiceChecks") {
        let ids = checks
            .iter()
            .filter_map(|check| field(check, "ID")?.as_str());
        spec.service_checks = ids.map(ToOwned::to_owned).collect();
    }
    Ok(())
}

fn undecodable(what: &str) -> Failure {
    Failure::Answer(400, format!("Request decode failed: {what}"))
}

fn lock_delay(json: &Value) -> Result<i64, String> {
    let nanos = match json {
        Value::Null => return Ok(15_000_000_000),
        Value::String(text) => {
            let delay: GoDuration = text.parse().map_err(|error| format!("{error}"))?;
            delay.nanos()
        }
        Value::Number(number) => number
            .as_i64()
            .ok_or_else(|| "LockDelay is not a whole number".to_owned())?,
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err("LockDelay is neither a string nor a number".to_owned());
        }
    };
    Ok(if nanos < LOCK_DELAY_THRESHOLD {
        nanos.saturating_mul(1_000_000_000)
    } else {
        nanos
    })
}

fn strings(json: &Value) -> Result<Vec<String>, String> {
    let not_strings = || "checks are not a list of strings".to_owned();
    match json {
        Value::Null => Ok(Vec::new()),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(ToOwned::to_owned).ok_or_else(not_strings))
            .collect(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err(not_strings())
        }
    }
}

/// The old and the new way to give checks: an empty list in either takes the default out of both.
fn fix_checks(spec: &mut NewSession) {
    if spec.checks.is_empty() {
        spec.node_checks.clear();
    } else if spec.checks == ["serfHealth"] || spec.node_checks.is_empty() {
        spec.checks.clear();
    }
}

const MAX_TTL: GoDuration = GoDuration::from_secs(24 * 3_600);

fn check_ttl(server: &Server, spec: &mut NewSession) -> Result<(), Failure> {
    if spec.ttl_text.is_empty() {
        return Ok(());
    }
    let ttl: GoDuration = spec.ttl_text.parse().map_err(|error| {
        Failure::internal(format!("Session TTL '{}' invalid: {error}", spec.ttl_text))
    })?;
    let min = GoDuration::from(server.cluster.options.session_ttl_min);
    let within = min.nanos()..=MAX_TTL.nanos();
    if ttl.nanos() != 0 && !within.contains(&ttl.nanos()) {
        return Err(Failure::internal(format!(
            "Invalid Session TTL '{}', must be between [{min}={MAX_TTL}]",
            ttl.nanos()
        )));
    }
    spec.ttl = ttl.to_duration().filter(|ttl| nanos(*ttl) > 0);
    Ok(())
}
