use std::net::SocketAddr;
use std::sync::Arc;

use swarm_models::engine::{Engine, Options};
use swarm_models::tokio_host::{StopHandle, TokioHost, serve_tcp};
use swarm_models::{BoxFuture, BoxIo as ModelIo, Service};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;
use crate::platform::TokioPlatform;

/// Answers every connection with the same bytes.
struct Canned(String);

impl Service for Canned {
    fn serve(&self, mut io: ModelIo) -> BoxFuture<()> {
        let answer = self.0.clone();
        Box::pin(async move {
            let mut request = [0; 4096];
            if io.read(&mut request).await.is_ok() {
                let _ = io.write_all(answer.as_bytes()).await;
            }
        })
    }
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
}

fn status_json() -> String {
    let status = ManagerStatus {
        instance: "00".to_owned(),
        advertise: Some("10.0.0.1:4000".to_owned()),
        role: "primary".to_owned(),
        epoch: 3,
        lease_left_ms: Some(1_000),
        primary: Some("10.0.0.1:4000".to_owned()),
        members: Vec::new(),
        failsafe: None,
        unreachable: Vec::new(),
        engines: Vec::new(),
        version: "0.1.0".to_owned(),
        certificate: None,
    };
    serde_json::to_string(&status).unwrap()
}

async fn serve(service: Arc<dyn Service>) -> (Endpoint, StopHandle) {
    let (address, handle) = serve_tcp("127.0.0.1:0", service).await.unwrap();
    (tcp(address), handle)
}

fn tcp(address: SocketAddr) -> Endpoint {
    Endpoint::Tcp(address.to_string().parse().unwrap())
}

fn asker(limit: Duration) -> Asker {
    Asker::new(Arc::new(TokioPlatform::new().unwrap()), limit)
}

async fn refusal(endpoint: &Endpoint) -> String {
    let answer = asker(Duration::from_secs(10)).status(endpoint).await;
    format!("{:#}", answer.unwrap_err())
}

#[tokio::test]
async fn a_manager_is_asked_over_tcp_and_over_a_unix_socket() {
    let canned = Canned(answer("200 OK", &status_json()));
    let folder = std::env::temp_dir().join(format!("swarm-ask-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let socket = folder.join("manager.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let asker = asker(Duration::from_secs(10));
    let unix = Endpoint::Unix(socket);
    let accept = async {
        let (stream, _) = listener.accept().await.unwrap();
        canned.serve(Box::new(stream)).await;
    };
    let (status, ()) = tokio::join!(asker.status(&unix), accept);
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(status.unwrap().is_primary());

    let (endpoint, _running) = serve(Arc::new(canned)).await;
    assert_eq!(asker.status(&endpoint).await.unwrap().epoch, 3);
}

#[tokio::test]
async fn a_docker_engine_is_told_from_a_manager() {
    let engine = Engine::new(Arc::new(TokioHost::new()), Options::new("engine-1"));
    let (endpoint, _running) = serve(engine).await;
    assert_eq!(
        refusal(&endpoint).await,
        "what answers there is a Docker Engine, not a swarm manager"
    );
}

#[tokio::test]
async fn strange_answers_are_refused_with_a_reason() {
    for (bytes, part) in [
        (answer("200 OK", "{}"), "not a swarm manager (200 OK)"),
        (answer("404 Not Found", "nothing"), "(404 Not Found)"),
        ("SSH-2.0-OpenSSH\r\n".to_owned(), "invalid HTTP"),
        (String::new(), "closed before"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_owned(),
            "longer than the 16777216 bytes",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".to_owned(),
            "broke off",
        ),
    ] {
        let (endpoint, _running) = serve(Arc::new(Canned(bytes))).await;
        let refusal = refusal(&endpoint).await;
        assert!(refusal.contains(part), "{refusal}");
    }
}

#[tokio::test]
async fn silence_ends_at_the_limit() {
    let (endpoint, running) = serve(Arc::new(Silent)).await;
    let error = asker(Duration::from_millis(20)).status(&endpoint).await;
    assert_eq!(error.unwrap_err().to_string(), "no answer within 20ms");
    running.stop().await;
    assert!(refusal(&endpoint).await.contains("refused"));
}

struct Silent;

impl Service for Silent {
    fn serve(&self, io: ModelIo) -> BoxFuture<()> {
        Box::pin(async move {
            let _kept_open = io;
            std::future::pending::<()>().await;
        })
    }
}
