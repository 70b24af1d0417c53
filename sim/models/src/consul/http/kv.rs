//! `/v1/kv/` (developer.hashicorp.com/consul/api-docs/kv, HA.md section 2.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::HeaderName;
use http::{HeaderValue, Method};
use serde::Serialize;

use super::params::{content_length, read_body};
use super::{Access, Call, MAX_VALUE, Reply, reply, text_reply, with_meta};
use crate::consul::Server;
use crate::consul::query::Answer;
use crate::consul::server::Failure;
use crate::consul::state::{Entry, StateError, Watched, Write};

/// An entry as the API shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EntryJson<'a> {
    lock_index: u64,
    key: &'a str,
    flags: u64,
    value: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    session: &'a str,
    create_index: u64,
    modify_index: u64,
}

impl<'a> EntryJson<'a> {
    pub(super) fn new(entry: &'a Entry, with_value: bool) -> Self {
        let value = with_value && !entry.value.is_empty();
        Self {
            lock_index: entry.lock_index,
            key: &entry.key,
            flags: entry.flags,
            value: value.then(|| STANDARD.encode(&entry.value)),
            session: &entry.session,
            create_index: entry.create_index,
            modify_index: entry.modify_index,
        }
    }
}

pub(super) async fn answer(server: &Server, call: Call) -> Result<Reply, Failure> {
    let method = call.request.method().clone();
    if method == Method::PUT {
        put(server, call).await
    } else if method == Method::DELETE {
        delete(server, call).await
    } else if call.params.has("keys") {
        keys(server, &call).await
    } else if call.params.has("recurse") {
        list(server, &call).await
    } else {
        get(server, &call).await
    }
}

async fn get(server: &Server, call: &Call) -> Result<Reply, Failure> {
    let key = key(call)?;
    let query = call.params.query(Watched::Key(key.clone()))?;
    call.access.require()?;
    let answer = server.query(&query).await?;
    let Some(entry) = answer.state.get(&key) else {
        return Ok(with_meta(absent(), &answer));
    };
    if call.params.has("raw") {
        let mut raw = reply(200, "text/plain", entry.value.clone());
        let mut set = |name, value| {
            let name = HeaderName::from_static(name);
            raw.headers_mut()
                .insert(name, HeaderValue::from_static(value));
        };
        set("x-content-type-options", "nosniff");
        set("content-security-policy", "sandbox");
        return Ok(with_meta(raw, &answer));
    }
    let body = call.json(200, &[EntryJson::new(entry, true)])?;
    Ok(with_meta(body, &answer))
}

async fn list(server: &Server, call: &Call) -> Result<Reply, Failure> {
    let (answer, visible) = look_below(server, call).await?;
    let entries: Vec<_> = answer
        .state
        .list(&call.path_rest)
        .filter(|_entry| visible)
        .map(|entry| EntryJson::new(entry, true))
        .collect();
    if entries.is_empty() {
        return Ok(with_meta(absent(), &answer));
    }
    Ok(with_meta(call.json(200, &entries)?, &answer))
}

async fn keys(server: &Server, call: &Call) -> Result<Reply, Failure> {
    let (answer, visible) = look_below(server, call).await?;
    let prefix = call.path_rest.as_str();
    let params = &call.params;
    let separator = params.get("separator").or_else(|| params.get("seperator"));
    let mut keys: Vec<&str> = Vec::new();
    for entry in answer.state.list(prefix).filter(|_entry| visible) {
        let key = match separator.filter(|separator| !separator.is_empty()) {
            None => entry.key.as_str(),
            Some(separator) => up_to_separator(&entry.key, prefix.len(), separator),
        };
        // The keys come in order, so equal ones follow each other.
        if keys.last() != Some(&key) {
            keys.push(key);
        }
    }
    if keys.is_empty() && !prefix.is_empty() {
        return Ok(with_meta(absent(), &answer));
    }
    Ok(with_meta(call.json(200, &keys)?, &answer))
}

fn up_to_separator<'a>(key: &'a str, from: usize, separator: &str) -> &'a str {
    let rest = key.get(from..).unwrap_or("");
    match rest.find(separator) {
        Some(at) => key.get(..from + at + separator.len()).unwrap_or(key),
        None => key,
    }
}

/// A list; without rights it looks as if there was nothing.
async fn look_below(server: &Server, call: &Call) -> Result<(Answer, bool), Failure> {
    let watched = Watched::Prefix(call.path_rest.clone());
    let answer = server.query(&call.params.query(watched)?).await?;
    Ok((answer, call.access == Access::All))
}

async fn put(server: &Server, call: Call) -> Result<Reply, Failure> {
    let key = key(&call)?;
    let Call {
        params,
        access,
        request,
        ..
    } = call;
    params.exclusive(&["cas", "acquire", "release"])?;
    let flags = params.number("flags")?.unwrap_or(0);
    let cas = params.number("cas")?;
    let stated = content_length(&request);
    if let Some(length) = stated.filter(|length| *length > MAX_VALUE) {
        return Err(too_large(length));
    }
    let body = read_body(request.into_body()).await?;
    let value = body.ok_or_else(|| too_large(super::MAX_CHUNKED))?;
    access.require()?;
    let write = Write { key, value, flags };
    let acquire = params.get("acquire").map(ToOwned::to_owned);
    let release = params.get("release").map(ToOwned::to_owned);
    let done = server.write(move |inner, now| {
        let store = &mut inner.store;
        if let Some(expected) = cas {
            let set = store.apply(now, |state, index| state.set_cas(index, &write, expected));
            return Ok(set.is_some());
        }
        if let Some(session) = acquire {
            if store.lock_delayed(now, &write.key) {
                return Ok(false);
            }
            let locked = store.apply(now, |state, index| state.lock(index, &write, &session));
            return Ok(locked.map_err(|error| raft_failed(&error))?.is_some());
        }
        if let Some(session) = release {
            let freed = store.apply(now, |state, index| state.unlock(index, &write, &session));
            return Ok(freed.map_err(|error| raft_failed(&error))?.is_some());
        }
        store.apply(now, |state, index| state.set(index, &write));
        Ok(true)
    });
    params.json(200, &done.await?)
}

async fn delete(server: &Server, call: Call) -> Result<Reply, Failure> {
    call.params.exclusive(&["recurse", "cas"])?;
    let recurse = call.params.has("recurse");
    let key = if recurse {
        call.path_rest.clone()
    } else {
        key(&call)?
    };
    let cas = call.params.number("cas")?;
    call.access.require()?;
    let done = server.write(move |inner, now| {
        Ok(inner.store.apply(now, |state, index| match cas {
            Some(expected) => state.delete_cas(now, index, &key, expected),
            None if recurse => {
                state.delete_tree(now, index, &key);
                true
            }
            None => {
                state.delete(now, index, &key);
                true
            }
        }))
    });
    call.json(200, &done.await?)
}

fn key(call: &Call) -> Result<String, Failure> {
    if call.path_rest.is_empty() {
        return Err(Failure::Answer(400, "Missing key name".to_owned()));
    }
    Ok(call.path_rest.clone())
}

fn raft_failed(error: &StateError) -> Failure {
    Failure::internal(format!("raft apply failed: {error}"))
}

fn too_large(length: usize) -> Failure {
    let text = format!(
        "Request body({length} bytes) too large, max size: {MAX_VALUE} bytes. See https://www.consul.io/docs/agent/options.html#kv_max_value_size."
    );
    Failure::Answer(413, text)
}

fn absent() -> Reply {
    text_reply(404, String::new())
}
