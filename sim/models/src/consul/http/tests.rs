//! The API over in-memory connections; each test names where the rule comes from. Time is tokio's paused clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use swarm_core::time::Mono;

use crate::consul::faults::{
    Ambiguous, AmbiguousAnswer, DefaultReads, Outage, Refusal, Refuse, Watches, Which,
};
use crate::consul::{Cluster, Options, Server};
use crate::tokio_host::TokioHost;
use crate::{Host, Service};

mod api;
mod blocking;
mod faults;
mod hostile;
mod session;

type Body = BoxBody<Bytes, std::convert::Infallible>;

/// A cluster and the clock it runs on.
struct Bench {
    host: Arc<TokioHost>,
    cluster: Arc<Cluster>,
}

/// An answer that was read to its end.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

/// One connection to a server.
struct Client {
    sender: SendRequest<Body>,
}

impl Bench {
    fn new(options: Options) -> Self {
        let host = Arc::new(TokioHost::new());
        let cluster = Cluster::new(Arc::clone(&host) as Arc<dyn Host>, options);
        Self { host, cluster }
    }

    fn three() -> Self {
        Self::new(Options {
            servers: 3,
            ..Options::default()
        })
    }

    async fn client(&self, server: usize) -> Client {
        let server = self.cluster.server(server);
        let (near, far) = tokio::io::duplex(64 * 1024);
        self.host.spawn(server.serve(Box::new(far)));
        let (sender, connection) = handshake(TokioIo::new(near)).await.unwrap();
        self.host.spawn(Box::pin(async move {
            connection.await.ok();
        }));
        Client { sender }
    }

    /// Runs `work` in the background.
    fn start<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::sync::oneshot::Receiver<T> {
        let (done, result) = tokio::sync::oneshot::channel();
        self.host.spawn(Box::pin(async move {
            done.send(work.await).ok();
        }));
        result
    }

    fn now(&self) -> Mono {
        self.host.mono()
    }

    async fn pass(&self, millis: u64) {
        self.host.sleep(Duration::from_millis(millis)).await;
    }
}

impl Client {
    async fn try_send(&mut self, request: Request<Body>) -> Option<Got> {
        let answer = self.sender.send_request(request).await.ok()?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Got {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
        })
    }

    async fn send(&mut self, method: &str, uri: &str, body: impl Into<Bytes>) -> Got {
        self.try_send(request(method, uri, body)).await.unwrap()
    }

    async fn get(&mut self, uri: &str) -> Got {
        self.send("GET", uri, "").await
    }

    async fn put(&mut self, uri: &str, body: impl Into<Bytes>) -> Got {
        self.send("PUT", uri, body).await
    }

    async fn session(&mut self, spec: Value) -> String {
        let created = self.put("/v1/session/create", spec.to_string()).await;
        created.json()["ID"].as_str().unwrap().to_owned()
    }
}

impl Got {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    fn index(&self) -> u64 {
        self.header("x-consul-index").parse().unwrap()
    }

    fn answer(&self) -> (u16, &str) {
        (self.status, self.text())
    }
}

fn request(method: &str, uri: &str, body: impl Into<Bytes>) -> Request<Body> {
    let body = Full::new(body.into()).boxed();
    let request = Request::builder().method(method).uri(uri);
    request.header("host", "consul").body(body).unwrap()
}

fn cas(key: &str, value: &str, index: u64) -> String {
    use base64::Engine;
    let value = base64::engine::general_purpose::STANDARD.encode(value);
    json!([{ "KV": { "Verb": "cas", "Key": key, "Value": value, "Index": index } }]).to_string()
}
