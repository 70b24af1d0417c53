//! The double of etcd answers as a real one does: the same conversation with both, compared step by step.
//!
//! Statuses, bodies and the messages of watches must agree. Left out is what differs from one cluster to the next: IDs of
//! clusters, members and leases, terms of raft, and the details of a syntax error.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use swarm_models::etcd::Cluster;
use swarm_tests::double::Double;
use swarm_tests::ensemble::{Ensemble, Kind};
use swarm_tests::http::{self as client, Lines};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn the_double_answers_as_a_real_etcd_does() -> Result<()> {
    if !Kind::Etcd.is_here()? {
        return Ok(());
    }
    let real = Ensemble::start(Kind::Etcd, 1).await?;
    let discovery = real.discovery();
    let address = discovery.split('/').nth(2).context("no address")?;
    let real = Conversation::hold(address.parse()?).await?;
    let double = Double::<Cluster>::start().await?;
    let double = Conversation::hold(double.address()).await?;
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

/// What was asked and answered so far, without what may differ.
struct Conversation {
    address: SocketAddr,
    steps: Vec<String>,
    /// IDs of leases in the order they were first seen: the n-th is written as `lease-n`.
    leases: Vec<String>,
}

fn bytes(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

fn key(key: &str) -> Value {
    json!({"key": bytes(key)})
}

fn below(key: &str, end: &str) -> Value {
    json!({"key": bytes(key), "range_end": bytes(end)})
}

fn put(key: &str, value: &str) -> Value {
    json!({"key": bytes(key), "value": bytes(value)})
}

fn swap(name: &str, expected: &str, value: &str) -> Value {
    json!({
        "compare": [{"key": bytes(name), "target": "MOD", "result": "EQUAL", "mod_revision": expected}],
        "success": [{"request_put": put(name, value)}],
        "failure": [{"request_range": key(name)}],
    })
}

impl Conversation {
    async fn hold(address: SocketAddr) -> Result<Vec<String>> {
        let mut talk = Self {
            address,
            steps: Vec::new(),
            leases: Vec::new(),
        };
        talk.keys().await?;
        talk.transactions().await?;
        talk.leases().await?;
        talk.watches().await?;
        talk.mistakes().await?;
        Ok(talk.steps)
    }

    async fn keys(&mut self) -> Result<()> {
        self.ask("/v3/kv/range", &key("a")).await?;
        self.ask("/v3/kv/put", &put("a", "one")).await?;
        self.ask("/v3/kv/range", &key("a")).await?;
        self.ask("/v3/kv/put", &put("a", "two")).await?;
        self.ask("/v3/kv/put", &put("d/x", "")).await?;
        self.ask("/v3/kv/put", &put("d/y", "a b\u{fc}")).await?;
        self.ask("/v3/kv/put", &put("e", "three")).await?;
        for range in [
            below("d/", "d0"),
            below("none/", "none0"),
            below("a", "b"),
            below("d/y", "\0"),
            below("\0", "\0"),
        ] {
            self.ask("/v3/kv/range", &range).await?;
        }
        self.ask("/v3/kv/deleterange", &key("none")).await?;
        self.ask("/v3/kv/deleterange", &below("d/", "d0")).await?;
        self.ask("/v3/kv/deleterange", &below("d/", "d0")).await?;
        self.ask("/v3/kv/put", &put("d/x", "again")).await?;
        self.ask("/v3/kv/range", &below("d/", "d0")).await?;
        Ok(())
    }

    async fn transactions(&mut self) -> Result<()> {
        self.ask("/v3/kv/txn", &swap("lease", "7", "early")).await?;
        let created = self.ask("/v3/kv/txn", &swap("lease", "0", "one")).await?;
        let revision = created.pointer("/header/revision").and_then(Value::as_str);
        let revision = revision.context("no revision")?.to_owned();
        self.ask("/v3/kv/txn", &swap("lease", "0", "one")).await?;
        self.ask("/v3/kv/txn", &swap("lease", &revision, "two"))
            .await?;
        self.ask("/v3/kv/txn", &swap("lease", &revision, "three"))
            .await?;
        let never = i64::MAX.to_string();
        self.ask("/v3/kv/txn", &swap("lease", &never, "never"))
            .await?;
        self.ask("/v3/kv/txn", &json!({})).await?;
        let many = json!({"success": [
            {"request_range": key("lease")},
            {"request_put": put("m/1", "x")},
            {"request_put": put("m/2", "y")},
            {"request_delete_range": key("lease")},
            {"request_delete_range": key("none")},
            {"request_range": below("m/", "m0")},
        ]});
        self.ask("/v3/kv/txn", &many).await?;
        let nothing = json!({"success": [{"request_delete_range": key("none")}]});
        self.ask("/v3/kv/txn", &nothing).await?;
        let twice =
            json!({"success": [{"request_put": put("t", "1")}, {"request_put": put("t", "2")}]});
        self.ask("/v3/kv/txn", &twice).await?;
        let bound = json!({"success": [
            {"request_put": put("t", "1")},
            {"request_put": {"key": bytes("u"), "lease": "12345"}},
        ]});
        self.ask("/v3/kv/txn", &bound).await?;
        self.ask("/v3/kv/range", &key("t")).await?;
        Ok(())
    }

    async fn leases(&mut self) -> Result<()> {
        let granted = self.ask("/v3/lease/grant", &json!({"TTL": "60"})).await?;
        let id = granted.get("ID").and_then(Value::as_str);
        let id = id.context("no lease")?.to_owned();
        self.ask("/v3/lease/grant", &json!({"TTL": "60", "ID": id}))
            .await?;
        self.ask("/v3/lease/grant", &json!({"TTL": "1", "ID": "77"}))
            .await?;
        self.ask("/v3/lease/revoke", &json!({"ID": "77"})).await?;
        let bound = |lease: &str| json!({"key": bytes("n/1"), "value": "", "lease": lease});
        self.ask("/v3/kv/put", &bound(&id)).await?;
        self.ask("/v3/kv/put", &bound("78")).await?;
        self.ask("/v3/kv/range", &key("n/1")).await?;
        self.ask("/v3/lease/keepalive", &json!({"ID": id})).await?;
        self.ask("/v3/lease/keepalive", &json!({"ID": "78"}))
            .await?;
        // Bound to another lease, and then to none: the first one ends without effect.
        self.ask("/v3/lease/grant", &json!({"TTL": "60", "ID": "79"}))
            .await?;
        self.ask("/v3/kv/put", &bound("79")).await?;
        self.ask("/v3/lease/revoke", &json!({"ID": id})).await?;
        self.ask("/v3/kv/range", &key("n/1")).await?;
        self.ask("/v3/kv/put", &put("n/2", "free")).await?;
        self.ask("/v3/lease/revoke", &json!({"ID": "79"})).await?;
        self.ask("/v3/lease/revoke", &json!({"ID": "79"})).await?;
        self.ask("/v3/kv/range", &below("n/", "n0")).await?;
        Ok(())
    }

    async fn watches(&mut self) -> Result<()> {
        self.ask("/v3/kv/put", &put("w/1", "one")).await?;
        let watch = |range: Value, start: &str| {
            let mut range = range;
            range["start_revision"] = start.into();
            json!({"create_request": range})
        };
        let mut all = self.watch(&watch(below("w/", "w0"), "2"), 2).await?;
        let mut later = self.watch(&watch(key("w/1"), "0"), 1).await?;
        self.ask("/v3/kv/put", &put("w/2", "two")).await?;
        self.hear(&mut all, 1).await?;
        self.ask("/v3/kv/deleterange", &below("w/", "w0")).await?;
        self.hear(&mut all, 1).await?;
        self.hear(&mut later, 1).await?;
        let both = json!({"success": [
            {"request_put": put("w/1", "x")},
            {"request_put": put("v", "y")},
            {"request_put": put("w/2", "z")},
        ]});
        let both = self.ask("/v3/kv/txn", &both).await?;
        self.hear(&mut all, 1).await?;
        self.hear(&mut later, 1).await?;

        let revision = both.pointer("/header/revision").and_then(Value::as_str);
        let revision = revision.context("no revision")?;
        let compaction = json!({ "revision": revision });
        self.ask("/v3/kv/compaction", &compaction).await?;
        self.ask("/v3/kv/compaction", &compaction).await?;
        self.ask("/v3/kv/compaction", &json!({"revision": "100000"}))
            .await?;
        self.watch(&watch(key("w/1"), "2"), 2).await?;
        self.watch(&watch(key("w/1"), revision), 2).await?;
        Ok(())
    }

    async fn mistakes(&mut self) -> Result<()> {
        self.ask("/v3/kv/range", &json!({})).await?;
        self.ask("/v3/kv/put", &json!({"value": "eA=="})).await?;
        self.ask("/v3/kv/range", &json!({"key": "?"})).await?;
        self.ask("/v3/kv/range", &json!({"key": 7})).await?;
        self.ask("/v3/kv/put", &json!({"key": "aw==", "lease": "x"}))
            .await?;
        self.ask("/v3/kv/put", &json!({"key": "aw==", "lease": 3}))
            .await?;
        self.ask("/v3/lease/revoke", &json!({})).await?;
        self.ask("/v3/lease/keepalive", &json!({})).await?;
        self.ask("/v3/nonsense", &json!({})).await?;
        let login = json!({"name": "u", "password": "p"});
        self.ask("/v3/auth/authenticate", &login).await?;
        let answer = client::get(self.address, "/v3/kv/range").await?;
        self.steps
            .push(format!("GET -> {} {}", answer.status, answer.text().trim()));
        Ok(())
    }

    async fn ask(&mut self, path: &str, body: &Value) -> Result<Value> {
        let request = question(path, body)?;
        let answer = client::send(self.address, request).await?;
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        if path == "/v3/lease/grant"
            && let Some(id) = json.get("ID").and_then(Value::as_str)
            && !self.leases.iter().any(|known| known == id)
        {
            self.leases.push(id.to_owned());
        }
        let shown = match (answer.status, &json) {
            // What a decoder says of what it does not like is its own.
            (StatusCode::BAD_REQUEST, problem) if !text_of(problem).starts_with("etcd") => {
                format!("code {}", problem["code"])
            }
            (_, Value::Null) => answer.text().trim().to_owned(),
            (_, json) => without_names(json.clone()).to_string(),
        };
        self.note(format!("{path} {body} -> {} {shown}", answer.status));
        Ok(json)
    }

    /// Opens a watch and reads its first messages.
    async fn watch(&mut self, body: &Value, count: usize) -> Result<Lines> {
        let answer = client::open(self.address, question("/v3/watch", body)?).await?;
        self.note(format!("/v3/watch {body} -> {}", answer.status()));
        let mut lines = Lines::new(answer);
        self.hear(&mut lines, count).await?;
        Ok(lines)
    }

    async fn hear(&mut self, lines: &mut Lines, count: usize) -> Result<()> {
        for _ in 0..count {
            let line = lines.next(LIMIT).await?.context("the watch ended")?;
            let message = without_names(serde_json::from_str(&line)?);
            self.note(format!("watched {message}"));
        }
        Ok(())
    }

    fn note(&mut self, mut step: String) {
        for (rank, id) in self.leases.iter().enumerate() {
            step = step.replace(&format!("\"{id}\""), &format!("\"lease-{rank}\""));
        }
        self.steps.push(step);
    }
}

fn question(path: &str, body: &Value) -> Result<http::Request<Full<Bytes>>> {
    let mut request = client::request(Method::POST, path)?;
    *request.body_mut() = Full::new(Bytes::from(body.to_string()));
    let yes = HeaderValue::from_static("true");
    request.headers_mut().insert("grpc-metadata-hasleader", yes);
    Ok(request)
}

fn text_of(problem: &Value) -> &str {
    problem["error"].as_str().unwrap_or("")
}

/// Takes out what names a cluster and its members, wherever it stands.
fn without_names(mut answer: Value) -> Value {
    for header in ["/header", "/result/header"] {
        if let Some(header) = answer.pointer_mut(header).and_then(Value::as_object_mut) {
            for name in ["cluster_id", "member_id", "raft_term"] {
                header.remove(name);
            }
        }
    }
    answer
}
