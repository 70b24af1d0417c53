//! What goes wrong, over in-memory connections. What goes right is compared with a real etcd by the integration tests.
//! Time is tokio's paused clock.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::etcd::faults::{Ambiguous, AmbiguousAnswer, Outage, Refusal, Refuse, Watches, Which};
use crate::etcd::{Cluster, Options};
use crate::tokio_host::TokioHost;
use crate::{Host, Service};

/// A cluster of three and the clock it runs on.
struct Bench {
    host: Arc<TokioHost>,
    cluster: Arc<Cluster>,
}

/// One connection to a member.
struct Client(SendRequest<Full<Bytes>>);

/// The messages of a watch.
struct Stream(Incoming);

impl Bench {
    fn new() -> Self {
        let host = Arc::new(TokioHost::new());
        let options = Options {
            servers: 3,
            ..Options::default()
        };
        let cluster = Cluster::new(Arc::clone(&host) as Arc<dyn Host>, options);
        Self { host, cluster }
    }

    async fn client(&self, member: usize) -> Client {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let member = self.cluster.server(member);
        self.host.spawn(member.serve(Box::new(far)));
        let (sender, connection) = handshake(TokioIo::new(near)).await.unwrap();
        self.host.spawn(Box::pin(async move {
            connection.await.ok();
        }));
        Client(sender)
    }

    async fn pass(&self, millis: u64) {
        self.host.sleep(Duration::from_millis(millis)).await;
    }

    /// Seconds on the clock.
    fn seconds(&self) -> u64 {
        self.host.mono().0 / 1_000_000_000
    }

    /// A lease of `ttl` seconds with a key.
    async fn bind(&self, client: &mut Client, ttl: u64) -> Value {
        let granted = client.ask("/v3/lease/grant", json!({ "TTL": ttl })).await;
        let id = granted.1["ID"].clone();
        let put = json!({"key": encoded("k"), "value": "", "lease": id});
        assert_eq!(client.ask("/v3/kv/put", put).await.0, 200);
        id
    }

    /// Waits until the key is gone; how many seconds that took.
    async fn gone(&self) -> u64 {
        let since = self.seconds();
        while self.cluster.get("k").is_some() {
            self.pass(100).await;
        }
        self.seconds() - since
    }
}

impl Client {
    async fn open(&mut self, path: &str, body: Value) -> Option<(u16, Incoming)> {
        let request = Request::builder().method("POST").uri(path);
        let request = request
            .header("host", "etcd")
            .header("grpc-metadata-hasleader", "true")
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let answer = self.0.send_request(request).await.ok()?;
        Some((answer.status().as_u16(), answer.into_body()))
    }

    async fn try_ask(&mut self, path: &str, body: Value) -> Option<(u16, Value)> {
        let (status, body) = self.open(path, body).await?;
        let text = body.collect().await.ok()?.to_bytes();
        Some((status, serde_json::from_slice(&text).unwrap()))
    }

    async fn ask(&mut self, path: &str, body: Value) -> (u16, Value) {
        self.try_ask(path, body).await.unwrap()
    }

    async fn put(&mut self, value: &str) -> Option<(u16, Value)> {
        let put = json!({"key": encoded("k"), "value": encoded(value)});
        self.try_ask("/v3/kv/put", put).await
    }

    async fn range(&mut self) -> (u16, Value) {
        let range = json!({"key": encoded("k")});
        self.ask("/v3/kv/range", range).await
    }

    /// Watches the key from now on.
    async fn watch(&mut self) -> Stream {
        let watch = json!({"create_request": {"key": encoded("k")}});
        let (status, body) = self.open("/v3/watch", watch).await.unwrap();
        assert_eq!(status, 200);
        let mut stream = Stream(body);
        let created = stream.next().await.unwrap();
        assert_eq!(created["result"]["created"], true);
        stream
    }
}

impl Stream {
    /// `None` at its end, however it came.
    async fn next(&mut self) -> Option<Value> {
        let frame = self.0.frame().await?.ok()?;
        Some(serde_json::from_slice(frame.data_ref()?).unwrap())
    }
}

fn encoded(text: &str) -> String {
    STANDARD.encode(text)
}

fn problem(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"].as_str().unwrap_or(""))
}

/// `lease/lessor.go`: the leader looks twice a second; a new one gives the whole time again and an election's more.
#[tokio::test(start_paused = true)]
async fn a_lease_ends_with_its_keys_and_a_new_leader_extends_it() {
    let bench = Bench::new();
    let mut client = bench.client(1).await;
    bench.bind(&mut client, 10).await;
    assert_eq!(bench.gone().await, 10);

    let id = bench.bind(&mut client, 10).await;
    bench.pass(8_000).await;
    let alive = client.ask("/v3/lease/keepalive", json!({ "ID": id })).await;
    assert_eq!(alive.1["result"]["TTL"], "10");
    bench.pass(8_000).await;
    bench.cluster.set_leader(Some(1));
    assert_eq!(bench.gone().await, 11);
    let alive = client.ask("/v3/lease/keepalive", json!({ "ID": id })).await;
    assert_eq!(alive.1["result"]["TTL"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_no_lease_ends() {
    let bench = Bench::new();
    let mut client = bench.client(0).await;
    bench.bind(&mut client, 10).await;
    bench.cluster.set_leader(None);
    bench.pass(60_000).await;
    assert!(bench.cluster.get("k").is_some());
    bench.cluster.set_leader(Some(2));
    assert_eq!(bench.gone().await, 11);
}

/// `monitorLeader` in `etcdserver/api/v3rpc/interceptor.go`.
#[tokio::test(start_paused = true)]
async fn a_member_without_a_leader_refuses_and_ends_watches() {
    let bench = Bench::new();
    let (mut client, mut watcher) = (bench.client(1).await, bench.client(1).await);
    let mut stream = watcher.watch().await;
    bench
        .cluster
        .server(1)
        .faults(|faults| faults.cut_off = true);
    assert_eq!(
        problem(&client.range().await),
        (503, "etcdserver: no leader")
    );
    // What happens meanwhile elsewhere it does not know.
    bench.client(0).await.put("v").await.unwrap();
    let since = bench.seconds();
    let last = stream.next().await.unwrap();
    assert_eq!(last["error"]["message"], "etcdserver: no leader");
    assert_eq!(last["error"]["http_code"], 503);
    assert_eq!(bench.seconds() - since, 3);
    assert_eq!(stream.next().await, None);
}

/// A proposal sent to a leader that is gone is lost; a read that waits for its word is turned down by its successor.
#[tokio::test(start_paused = true)]
async fn what_was_asked_of_a_dead_leader_fails() {
    let bench = Bench::new();
    let (mut reader, mut writer) = (bench.client(1).await, bench.client(1).await);
    bench
        .cluster
        .server(0)
        .faults(|faults| faults.outage = Outage::Down);
    let since = bench.seconds();
    let elected = async {
        bench.pass(2_000).await;
        bench.cluster.set_leader(Some(2));
    };
    let (read, written, ()) = tokio::join!(reader.range(), writer.put("lost"), elected);
    assert_eq!(problem(&read), (503, "etcdserver: leader changed"));
    let written = written.unwrap();
    assert_eq!(problem(&written), (503, "etcdserver: request timed out"));
    assert_eq!(bench.seconds() - since, 7);
    assert!(bench.cluster.get("k").is_none());
    assert_eq!(writer.put("kept").await.unwrap().0, 200);
}

#[tokio::test(start_paused = true)]
async fn lost_replies_are_applied_or_not() {
    let bench = Bench::new();
    for (applied, answer, status) in [
        (true, AmbiguousAnswer::TimedOut, Some(503)),
        (false, AmbiguousAnswer::LeaderFailed, Some(503)),
        (true, AmbiguousAnswer::Cut, None),
        (false, AmbiguousAnswer::Cut, None),
    ] {
        let mut client = bench.client(2).await;
        bench.cluster.delete("k");
        bench.cluster.lose_replies(Ambiguous {
            skip: 0,
            count: 1,
            applied,
            answer,
        });
        let seen = client.put("v").await.map(|(status, _)| status);
        assert_eq!(seen, status, "{answer:?}");
        assert_eq!(bench.cluster.get("k").is_some(), applied, "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn watches_are_late_deaf_and_stuck() {
    let bench = Bench::new();
    let mut client = bench.client(0).await;
    let mut stream = client.watch().await;
    let set = |watches| bench.cluster.faults(|faults| faults.watches = watches);
    let value = |message: &Value| message["result"]["events"][0]["kv"]["value"].clone();
    let since = bench.seconds();
    set(Watches::Late(Duration::from_secs(4)));
    bench.cluster.put("k", "late");
    let late = stream.next().await.unwrap();
    assert_eq!(
        (value(&late), bench.seconds() - since),
        (encoded("late").into(), 4)
    );
    // What a deaf watch missed it never tells; a stuck one tells it when it goes on.
    set(Watches::Dropped);
    bench.cluster.put("k", "missed");
    bench.pass(10).await;
    set(Watches::Stuck);
    bench.cluster.put("k", "kept back");
    bench.pass(10).await;
    set(Watches::Working);
    let told = stream.next().await.unwrap();
    assert_eq!(value(&told), encoded("kept back"));
}

#[tokio::test(start_paused = true)]
async fn other_content_ends_connections_and_history_is_bounded() {
    let bench = Bench::new();
    let mut client = bench.client(0).await;
    let mut stream = client.watch().await;
    bench.cluster.put("k", "v");
    assert!(stream.next().await.is_some());
    let before = bench.cluster.snapshot();
    bench.cluster.wipe();
    assert_eq!(stream.next().await, None);
    assert_eq!(bench.cluster.revision(), 1);
    bench.cluster.rollback(&before);
    assert_eq!(bench.cluster.get("k").unwrap().mod_revision, 2);

    for _ in 0..Options::default().history {
        bench.cluster.put("k", "v");
    }
    let mut client = bench.client(0).await;
    let watch = json!({"create_request": {"key": encoded("k"), "start_revision": "2"}});
    let (_, body) = client.open("/v3/watch", watch).await.unwrap();
    let mut stream = Stream(body);
    stream.next().await.unwrap();
    let canceled = stream.next().await.unwrap();
    assert_eq!(canceled["result"]["compact_revision"], "3");
}

#[tokio::test(start_paused = true)]
async fn refusals_have_the_words_and_codes_of_etcd() {
    let bench = Bench::new();
    let mut client = bench.client(0).await;
    for (with, status, code, text) in [
        (Refusal::NoLeader, 503, 14, "etcdserver: no leader"),
        (
            Refusal::TooManyRequests,
            429,
            8,
            "etcdserver: too many requests",
        ),
        (
            Refusal::PermissionDenied,
            403,
            7,
            "etcdserver: permission denied",
        ),
    ] {
        let which = Which::Writes;
        bench
            .cluster
            .faults(|faults| faults.refuse = Some(Refuse { which, with }));
        let refused = client.put("v").await.unwrap();
        assert_eq!(problem(&refused), (status, text));
        assert_eq!(refused.1["code"], code);
        assert_eq!(client.range().await.0, 200);
    }
}
