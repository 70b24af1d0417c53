//! Client, proxy and upstream: the first and the last are raw bytes, the middle is the shipping code.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use swarm_core::address::HostPort;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::http::client::{Client, ClientConfig, SendOptions};
use crate::http::server::{Handler, Peer, Server, ServerConfig};
use crate::http::testing::{PIPE, TestPlatform, fill, read_head};
use crate::platform::{BoxFuture, BoxIo};

struct Proxy {
    platform: SharedPlatform,
    client: Client,
    to: HostPort,
    cancelled: Mutex<Option<oneshot::Receiver<()>>>,
}

impl Handler for Proxy {
    fn handle(
        self: Arc<Self>,
        mut request: Request<Body>,
        _: Peer,
    ) -> BoxFuture<'static, Response<Body>> {
        let cancelled = self.cancelled.lock().unwrap().take();
        let cancelled = async move {
            match cancelled {
                Some(cancelled) => drop(cancelled.await),
                None => std::future::pending().await,
            }
        };
        Box::pin(async move {
            let pair = match UpgradePair::take(&mut request) {
                Ok(pair) => pair,
                Err(unknown) => return error(StatusCode::BAD_REQUEST, unknown.to_string()),
            };
            headers::remove_hop_by_hop(request.headers_mut());
            let options = SendOptions {
                dedicated: pair.is_some(),
                ..SendOptions::endless()
            };
            if let Some(pair) = &pair {
                pair.ask(request.headers_mut());
            }
            let send =
                self.client
                    .send_with(&self.to, request, options, || Ok::<_, Infallible>(()));
            let response = send.await.unwrap();
            match pair {
                Some(pair) => pair.answer(&self.platform, response, cancelled),
                None => response,
            }
        })
    }
}

struct Fixture {
    platform: Arc<TestPlatform>,
    server: Server,
    client: Client,
    to: HostPort,
    incoming: mpsc::UnboundedReceiver<(BoxIo, String)>,
    cancel: oneshot::Sender<()>,
}

const ATTACH: &str =
    "POST /attach HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\
                      Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

impl Fixture {
    fn new() -> Self {
        let platform = TestPlatform::new();
        let to = TestPlatform::address("engine");
        let client = Client::new(platform.clone(), ClientConfig::default());
        let (cancel, cancelled) = oneshot::channel();
        let proxy = Proxy {
            platform: platform.clone(),
            client: client.clone(),
            to: to.clone(),
            cancelled: Mutex::new(Some(cancelled)),
        };
        Self {
            incoming: platform.bind(&to),
            server: Server::new(platform.clone(), ServerConfig::default(), Arc::new(proxy)),
            client,
            platform,
            to,
            cancel,
        }
    }

    /// Sends `request` to the proxy and `answer` to what the upstream gets. Both ends, and the heads they received.
    async fn exchange(&mut self, request: &str, answer: &str) -> (Side<DuplexStream>, Side<BoxIo>) {
        let (mut client, theirs) = duplex(PIPE);
        self.server.serve_stream(Box::new(theirs), "client");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut upstream = self.incoming.recv().await.unwrap().0;
        let asked = read_head(&mut upstream).await;
        upstream.write_all(answer.as_bytes()).await.unwrap();
        let answered = read_head(&mut client).await;
        (
            Side {
                io: client,
                head: answered,
            },
            Side {
                io: upstream,
                head: asked,
            },
        )
    }

    fn open_upstream(&self) -> usize {
        self.client.stats(&self.to).open
    }
}

struct Side<T> {
    io: T,
    head: String,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Side<T> {
    async fn send(&mut self, bytes: &str) {
        self.io.write_all(bytes.as_bytes()).await.unwrap();
    }

    async fn expect(&mut self, bytes: &str) {
        let mut found = vec![0; bytes.len()];
        self.io.read_exact(&mut found).await.unwrap();
        assert_eq!(String::from_utf8(found).unwrap(), bytes);
    }

    async fn expect_end(&mut self) {
        assert_eq!(self.io.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_pass_both_ways_after_101_and_none_are_lost_around_it() {
    let mut fixture = Fixture::new();
    let (mut client, mut upstream) = fixture
        .exchange(&format!("{ATTACH}early in"), &format!("{SWITCH}early out"))
        .await;
    assert!(upstream.head.starts_with("POST /attach HTTP/1.1\r\n"));
    assert!(
        upstream
            .head
            .contains("connection: Upgrade\r\nupgrade: tcp\r\n")
    );
    assert!(client.head.starts_with("HTTP/1.1 101 "));
    assert!(
        client
            .head
            .contains("content-type: application/vnd.docker.raw-stream\r\n")
    );
    assert!(
        client
            .head
            .contains("connection: Upgrade\r\nupgrade: tcp\r\n")
    );
    client.expect("early out").await;
    upstream.expect("early in").await;
    client.send("GET /smuggled HTTP/1.1\n\n\0").await;
    upstream.expect("GET /smuggled HTTP/1.1\n\n\0").await;
    upstream.send("out").await;
    client.expect("out").await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_input_is_passed_on_and_the_output_goes_on() {
    let mut fixture = Fixture::new();
    let (mut client, mut upstream) = fixture.exchange(ATTACH, SWITCH).await;
    client.send("last line").await;
    client.io.shutdown().await.unwrap();
    upstream.expect("last line").await;
    upstream.expect_end().await;
    // A job that computes for hours before it prints.
    sleep(&*fixture.platform, Duration::from_secs(36_000)).await;
    upstream.send("result").await;
    client.expect("result").await;
    upstream.io.shutdown().await.unwrap();
    client.expect_end().await;
    sleep(&*fixture.platform, Duration::from_millis(1)).await;
    assert_eq!(
        (fixture.open_upstream(), fixture.server.open_connections()),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_output_is_passed_on_and_the_input_goes_on() {
    let mut fixture = Fixture::new();
    let (mut client, mut upstream) = fixture.exchange(ATTACH, SWITCH).await;
    upstream.send("bye").await;
    upstream.io.shutdown().await.unwrap();
    client.expect("bye").await;
    client.expect_end().await;
    for _ in 0..5 {
        sleep(&*fixture.platform, Duration::from_secs(50)).await;
        client.send("more").await;
        upstream.expect("more").await;
    }
    // Silence ends it.
    upstream.expect_end().await;
    assert_eq!(
        (fixture.open_upstream(), fixture.server.open_connections()),
        (0, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn cancelling_closes_both_ends() {
    let mut fixture = Fixture::new();
    let (mut client, mut upstream) = fixture.exchange(ATTACH, SWITCH).await;
    client.send("x").await;
    upstream.expect("x").await;
    fixture.cancel.send(()).unwrap();
    client.expect_end().await;
    upstream.expect_end().await;
}

#[tokio::test(start_paused = true)]
async fn a_tunnel_nobody_reads_waits_in_bounded_memory() {
    let mut fixture = Fixture::new();
    let (client, upstream) = fixture.exchange(ATTACH, SWITCH).await;
    for taken in [fill(client.io).await, fill(upstream.io).await] {
        assert!((16 * 1024..=128 * 1024).contains(&taken), "{taken}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_is_not_granted_is_an_answer_and_closes() {
    let mut fixture = Fixture::new();
    let refusal = "HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nno";
    let (mut client, _) = fixture
        .exchange(
            &format!("{ATTACH}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
            refusal,
        )
        .await;
    assert!(client.head.starts_with("HTTP/1.1 409 "));
    assert!(client.head.contains("connection: close\r\n"));
    client.expect("no").await;
    client.expect_end().await;
    assert!(fixture.incoming.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_switches_to_something_else_is_a_bad_gateway() {
    for switch in [
        "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nUpgrade: tcp\r\n\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: tcp\r\n\r\n",
    ] {
        let mut fixture = Fixture::new();
        let (client, mut upstream) = fixture.exchange(ATTACH, switch).await;
        assert!(
            client.head.starts_with("HTTP/1.1 502 "),
            "{switch:?}: {}",
            client.head
        );
        upstream.expect_end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn unknown_protocols_are_refused_before_the_upstream_is_asked() {
    for upgrade in [
        "Upgrade: h2",
        "Upgrade: tcp, h2c",
        "Upgrade: tcp\r\nUpgrade: tcp",
        "Upgrade: ",
    ] {
        let mut fixture = Fixture::new();
        let (mut client, theirs) = duplex(PIPE);
        fixture.server.serve_stream(Box::new(theirs), "client");
        let request =
            format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n{upgrade}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        assert!(
            read_head(&mut client).await.starts_with("HTTP/1.1 400 "),
            "{upgrade}"
        );
        assert!(fixture.incoming.try_recv().is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_header_without_connection_is_no_upgrade() {
    let mut fixture = Fixture::new();
    let request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: tcp\r\n\r\n";
    let (client, upstream) = fixture
        .exchange(request, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert!(!upstream.head.contains("upgrade"), "{}", upstream.head);
    assert!(client.head.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_switches_unasked_is_a_bad_gateway() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: tcp\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nUpgrade: tcp\r\n\r\n",
    ] {
        let mut fixture = Fixture::new();
        let (client, mut upstream) = fixture.exchange(request, SWITCH).await;
        assert!(client.head.starts_with("HTTP/1.1 502 "), "{}", client.head);
        upstream.expect_end().await;
        assert_eq!(fixture.open_upstream(), 0);
    }
}
