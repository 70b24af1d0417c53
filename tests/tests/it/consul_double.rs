//! The double of Consul answers as a real one does: the same conversation with both, compared step by step.
//!
//! Statuses, bodies and the presence of `X-Consul-Index` must agree. What versions of Consul word differently among
//! themselves is left out: content types, a prefix of some errors, the details of a syntax error, unknown paths.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};
use swarm_tests::http as client;
use swarm_tests::store::{self, Store};

#[tokio::test]
async fn the_double_answers_as_a_real_consul_does() -> Result<()> {
    let Some(binary) = store::real_binary() else {
        println!("skipped: no consul on PATH and none named by SWARM_TEST_CONSUL");
        return Ok(());
    };
    let real = Conversation::hold(&Store::start_real(binary).await?).await?;
    let double = Conversation::hold(&Store::start_double().await?).await?;
    ensure!(real.len() == double.len(), "one conversation was longer");
    let differences: Vec<_> = real
        .iter()
        .zip(&double)
        .filter(|(real, double)| real != double)
        .map(|(real, double)| format!("real:   {real}\ndouble: {double}"))
        .collect();
    ensure!(
        differences.is_empty(),
        "they differ:\n{}",
        differences.join("\n")
    );
    Ok(())
}

/// What was asked and answered so far, with the values that may differ replaced by their meaning.
struct Conversation<'a> {
    store: &'a Store,
    steps: Vec<String>,
    /// Raft indexes in the order they were first seen: the n-th is written as `#n`.
    indexes: Vec<u64>,
    /// Session ids, likewise.
    sessions: Vec<String>,
}

impl<'a> Conversation<'a> {
    async fn hold(store: &'a Store) -> Result<Vec<String>> {
        let mut talk = Self {
            store,
            steps: Vec::new(),
            indexes: Vec::new(),
            sessions: Vec::new(),
        };
        talk.keys_and_values().await?;
        talk.transactions().await?;
        talk.sessions_and_locks().await?;
        talk.blocking_queries().await?;
        talk.mistakes().await?;
        Ok(talk.steps)
    }

    async fn keys_and_values(&mut self) -> Result<()> {
        self.get("/v1/kv/a").await?;
        self.put("/v1/kv/a?cas=0", "one").await?;
        self.put("/v1/kv/a?cas=0", "two").await?;
        let entry = self.get("/v1/kv/a").await?;
        let index = modify_index(&entry).context("no ModifyIndex")?;
        self.put(&format!("/v1/kv/a?cas={index}&flags=7"), "three")
            .await?;
        self.put(&format!("/v1/kv/a?cas={index}"), "four").await?;
        for path in [
            "/v1/kv/a?consistent",
            "/v1/kv/a?stale",
            "/v1/kv/a?raw",
            "/v1/kv/b?raw",
            "/v1/kv/a?recurse",
        ] {
            self.get(path).await?;
        }
        self.put("/v1/kv/d/x", "").await?;
        self.put("/v1/kv/d/y/z", "a b\u{fc}").await?;
        for path in [
            "/v1/kv/d?recurse",
            "/v1/kv/d/?keys",
            "/v1/kv/d/?keys&separator=/",
            "/v1/kv/none?recurse",
        ] {
            self.get(path).await?;
        }
        self.delete("/v1/kv/d/x?cas=1").await?;
        self.delete("/v1/kv/d?recurse").await?;
        self.get("/v1/kv/d?recurse").await?;
        self.delete("/v1/kv/none").await
    }

    async fn transactions(&mut self) -> Result<()> {
        let create = json!([{"KV": {"Verb": "cas", "Index": 0, "Key": "lease", "Value": "b25l"}}]);
        let created = self.txn(&create).await?;
        let index = created
            .pointer("/Results/0/KV/ModifyIndex")
            .and_then(Value::as_u64)
            .context("no ModifyIndex")?;
        self.txn(&create).await?;
        let advance =
            json!([{"KV": {"Verb": "cas", "Index": index, "Key": "lease", "Value": "dHdv"}}]);
        self.txn(&advance).await?;
        self.txn(&advance).await?;
        self.txn(&json!([{"KV": {"Verb": "get", "Key": "lease"}}]))
            .await?;
        self.txn(&json!([{"KV": {"Verb": "get", "Key": "none"}}]))
            .await?;
        self.txn(
            &json!([{"KV": {"Verb": "set", "Key": "other", "Value": "eA=="}},
            {"KV": {"Verb": "check-index", "Key": "lease", "Index": 1}}]),
        )
        .await?;
        self.txn(&json!([{"KV": {"Verb": "check-not-exists", "Key": "other"}}]))
            .await?;
        self.txn(&json!([{"KV": {"Verb": "cas", "Index": 5, "Key": "other", "Value": "eA=="}}]))
            .await?;
        self.txn(&json!([])).await?;
        self.get("/v1/kv/other").await.map(|_| ())
    }

    async fn sessions_and_locks(&mut self) -> Result<()> {
        let request = json!({"TTL": "15s", "LockDelay": "0s", "Behavior": "release"}).to_string();
        let created = self.put("/v1/session/create", &request).await?;
        let id = created
            .get("ID")
            .and_then(Value::as_str)
            .context("no session")?
            .to_owned();
        self.put(&format!("/v1/kv/lock?acquire={id}"), "me").await?;
        self.put(&format!("/v1/kv/lock?acquire={id}"), "me again")
            .await?;
        self.get("/v1/kv/lock").await?;
        self.put(&format!("/v1/session/renew/{id}"), "").await?;
        self.put(&format!("/v1/kv/lock?release={id}"), "gone")
            .await?;
        self.get("/v1/kv/lock").await?;
        self.put(&format!("/v1/kv/lock?acquire={id}"), "me").await?;
        self.put(&format!("/v1/session/destroy/{id}"), "").await?;
        self.get("/v1/kv/lock").await?;
        self.put(&format!("/v1/session/renew/{id}"), "").await?;
        self.put(&format!("/v1/kv/lock?acquire={id}"), "me").await?;
        self.put("/v1/session/create", r#"{"TTL": "1s"}"#)
            .await
            .map(|_| ())
    }

    async fn blocking_queries(&mut self) -> Result<()> {
        let entry = self.get("/v1/kv/a").await?;
        let index = modify_index(&entry).context("no ModifyIndex")?;
        self.get("/v1/kv/a?index=1&wait=10s").await?;
        self.get(&format!("/v1/kv/a?index={index}&wait=50ms"))
            .await
            .map(|_| ())
    }

    async fn mistakes(&mut self) -> Result<()> {
        self.put("/v1/kv/a?cas=x", "").await?;
        self.put("/v1/kv/", "").await?;
        self.put("/v1/txn", "not json").await?;
        self.put("/v1/txn", r#"[{"KV": {"Verb": "fly", "Key": "a"}}]"#)
            .await?;
        self.get("/v1/kv/a?index=x").await?;
        self.get("/v1/kv/a?index=1&wait=x").await?;
        self.put("/v1/kv/lock?acquire=nonsense", "")
            .await
            .map(|_| ())
    }

    async fn get(&mut self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, "").await
    }

    async fn put(&mut self, path: &str, body: &str) -> Result<Value> {
        self.ask(Method::PUT, path, body).await
    }

    async fn delete(&mut self, path: &str) -> Result<()> {
        self.ask(Method::DELETE, path, "").await.map(|_| ())
    }

    async fn txn(&mut self, operations: &Value) -> Result<Value> {
        self.ask(Method::PUT, "/v1/txn", &operations.to_string())
            .await
    }

    async fn ask(&mut self, method: Method, path: &str, body: &str) -> Result<Value> {
        let mut request = client::request(method.clone(), path)?;
        *request.body_mut() = Full::new(Bytes::copy_from_slice(body.as_bytes()));
        let answer = client::send(self.store.address(), request).await?;
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        self.learn(&json);
        let mut shown = json.clone();
        self.rename(&mut shown);
        leave_out_of_versions(&mut shown);
        let shown = if json.is_null() {
            answer.text()
        } else {
            shown.to_string()
        };
        let has_index = answer.headers.contains_key("x-consul-index");
        let shown = same_in_all_versions(shown.trim());
        let text = format!(
            "{method} {path} {body} -> {} index={has_index} {shown}",
            answer.status
        );
        self.steps.push(self.without_numbers(text));
        Ok(json)
    }

    fn learn(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            Value::Object(fields) => {
                for (name, field) in fields {
                    if let Some(index) = field.as_u64().filter(|_| is_index(name)) {
                        remember(&mut self.indexes, index);
                    }
                    if let Some(id) = field.as_str().filter(|_| name == "ID") {
                        remember(&mut self.sessions, id.to_owned());
                    }
                    self.learn(field);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn rename(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.rename(item)),
            Value::Object(fields) => {
                for (name, field) in fields.iter_mut() {
                    let rank = field
                        .as_u64()
                        .and_then(|index| self.indexes.iter().position(|seen| *seen == index));
                    if let Some(rank) = rank.filter(|_| is_index(name)) {
                        *field = Value::from(format!("#{rank}"));
                    }
                    self.rename(field);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// In texts and requests too: session ids and the indexes that stand in error messages.
    fn without_numbers(&self, mut text: String) -> String {
        for (rank, id) in self.sessions.iter().enumerate() {
            text = text.replace(id, &format!("session-{rank}"));
        }
        for (rank, index) in self.indexes.iter().enumerate() {
            for form in ["cas=", "index=", "current=", "\"Index\":", "index "] {
                text = text.replace(&format!("{form}{index}"), &format!("{form}#{rank}"));
            }
        }
        text
    }
}

/// What a reading transaction says of the query besides its results: 1.9 adds `NotModified`, later releases of 1.10 add
/// `Backend`, and an index of 1 where there was 0.
fn leave_out_of_versions(answer: &mut Value) {
    let fields = answer.as_object_mut();
    if let Some(fields) = fields.filter(|fields| fields.contains_key("KnownLeader")) {
        for name in ["NotModified", "Backend", "Index"] {
            fields.remove(name);
        }
    }
}

/// Takes out what one version says and another does not.
fn same_in_all_versions(text: &str) -> String {
    let text = text.trim_start_matches("raft apply failed: ").to_owned();
    match text.split_once("Failed to parse body:") {
        Some((before, _)) => format!("{before}Failed to parse body"),
        None => text,
    }
}

fn is_index(name: &str) -> bool {
    matches!(name, "ModifyIndex" | "CreateIndex")
}

fn remember<T: PartialEq>(seen: &mut Vec<T>, value: T) {
    if !seen.contains(&value) {
        seen.push(value);
    }
}

fn modify_index(entries: &Value) -> Option<u64> {
    entries.pointer("/0/ModifyIndex").and_then(Value::as_u64)
}
