use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;

use swarm_core::address::ListenAddress;
use swarm_core::time::Mono;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{Notify, mpsc};

use bytes::Bytes;

use super::*;
use crate::http::body::{self, Sender, collect_limited};
use crate::http::error::text;
use crate::http::testing::{PIPE, TestPlatform, fill, read_head};
use crate::platform::Platform;

/// Answers by path.
#[derive(Default)]
struct Paths {
    /// Handlers and bodies that were dropped before their end.
    dropped: Arc<Mutex<Vec<String>>>,
    go_on: Notify,
    streams: Mutex<Vec<Sender>>,
}

struct OnDrop(Arc<Mutex<Vec<String>>>, String);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(std::mem::take(&mut self.1));
    }
}

impl Handler for Paths {
    fn handle(
        self: Arc<Self>,
        request: Request<Body>,
        peer: Peer,
    ) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            match path.as_str() {
                "/panic" => panic!("planted"),
                "/hang" => {
                    let _dropped = OnDrop(Arc::clone(&self.dropped), path);
                    std::future::pending().await
                }
                "/unread" => {
                    let _request = request;
                    std::future::pending().await
                }
                "/slow" => {
                    self.go_on.notified().await;
                    text(http::StatusCode::OK, "slow")
                }
                "/stream" => {
                    let (sender, body) = body::channel(1);
                    self.streams.lock().unwrap().push(sender);
                    Response::new(body)
                }
                "/stale" => {
                    let body = match request.uri().query() {
                        Some("full") => body::full("abc"),
                        Some("stream") => {
                            let (sender, body) = body::channel(1);
                            self.streams.lock().unwrap().push(sender);
                            body
                        }
                        _ => body::empty(),
                    };
                    let mut response = Response::new(body);
                    for (name, value) in [("content-length", "7"), ("transfer-encoding", "gzip")] {
                        response
                            .headers_mut()
                            .insert(name, http::HeaderValue::from_static(value));
                    }
                    response
                }
                "/switch" => {
                    let mut response = Response::new(body::empty());
                    *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
                    response
                }
                _ => {
                    let body = collect_limited(request.into_body(), 1 << 20).await.unwrap();
                    let answer = format!("{} {path} {}", peer.address, body.len());
                    text(http::StatusCode::OK, answer)
                }
            }
        })
    }
}

struct Fixture {
    platform: Arc<TestPlatform>,
    paths: Arc<Paths>,
    server: Server,
}

impl Fixture {
    fn new() -> Self {
        Self::with(ServerConfig::default())
    }

    fn limited(limits: Limits) -> Self {
        Self::with(ServerConfig::from(&limits))
    }

    fn with(config: ServerConfig) -> Self {
        let platform = TestPlatform::new();
        let paths = Arc::new(Paths::default());
        Self {
            server: Server::new(platform.clone(), config, paths.clone()),
            platform,
            paths,
        }
    }

    fn connect(&self) -> DuplexStream {
        let (ours, theirs) = duplex(PIPE);
        self.server.serve_stream(Box::new(theirs), "10.0.0.1:5000");
        ours
    }

    async fn seconds(&self, seconds: u64) {
        sleep(&*self.platform, Duration::from_secs(seconds)).await;
    }

    /// Seconds until the server closes `stream`, and what it wrote until then.
    async fn closed_after(&self, stream: &mut DuplexStream) -> (u64, String) {
        let start = self.platform.mono();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (self.platform.mono().since(start).as_secs(), answer)
    }
}

async fn ask(stream: &mut DuplexStream, path: &str) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
}

/// Reads a response with `Content-Length`.
async fn answer_on(stream: &mut DuplexStream) -> (String, String) {
    let head = read_head(stream).await;
    let length = head.split("content-length: ").nth(1).unwrap();
    let length = length.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

#[tokio::test(start_paused = true)]
async fn an_answer_carries_the_date_of_the_platform_and_the_peer_is_known() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    ask(&mut stream, "/x").await;
    let (head, body) = answer_on(&mut stream).await;
    assert_eq!(
        head.matches("date: Tue, 14 Nov 2023 22:13:20 GMT\r\n")
            .count(),
        1
    );
    assert_eq!(body, "10.0.0.1:5000 /x 0");
}

#[tokio::test(start_paused = true)]
async fn the_framing_of_an_answer_follows_from_its_body_alone() {
    let fixture = Fixture::new();
    for (request, framing) in [
        ("GET /stale?full", "content-length: 3\r\n"),
        ("GET /stale?empty", "content-length: 0\r\n"),
        ("GET /stale?stream", "transfer-encoding: chunked\r\n"),
        ("HEAD /stale?full", "content-length: 3\r\n"),
        ("HEAD /stale?empty", "content-length: 7\r\n"),
    ] {
        let mut stream = fixture.connect();
        let head = format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        assert!(head.contains(framing), "{request}: {head}");
        let lines =
            head.matches("content-length").count() + head.matches("transfer-encoding").count();
        assert_eq!(lines, 1, "{request}: {head}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_answered_with_500_and_the_connection_goes_on() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    ask(&mut stream, "/panic").await;
    let (head, body) = answer_on(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 500 "));
    assert!(body.starts_with("{\"message\":\"internal error"));
    ask(&mut stream, "/after").await;
    assert!(answer_on(&mut stream).await.1.contains("/after"));
}

#[tokio::test(start_paused = true)]
async fn a_101_nobody_asked_for_is_a_500() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    ask(&mut stream, "/switch").await;
    assert!(answer_on(&mut stream).await.0.starts_with("HTTP/1.1 500 "));
}

#[tokio::test(start_paused = true)]
async fn half_a_head_is_cut_off_after_ten_seconds() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    assert_eq!(fixture.closed_after(&mut stream).await, (10, String::new()));
    assert_eq!(fixture.server.open_connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_is_cut_off_after_ten_seconds() {
    let fixture = Fixture::new();
    let (mut read, mut write) = tokio::io::split(fixture.connect());
    let drip = async {
        loop {
            fixture.seconds(3).await;
            if write.write_all(b"X").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        biased;
        end = read.read_to_end(&mut answer) => { end.unwrap(); }
        () = drip => {}
    }
    // The first byte came after three seconds.
    assert_eq!(fixture.platform.mono().since(Mono::ZERO).as_secs(), 13);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_after_two_minutes() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    assert_eq!(fixture.closed_after(&mut stream).await.0, 120);
    let mut stream = fixture.connect();
    fixture.seconds(119).await;
    ask(&mut stream, "/x").await;
    answer_on(&mut stream).await;
    assert_eq!(fixture.closed_after(&mut stream).await.0, 120);
}

#[tokio::test(start_paused = true)]
async fn how_long_clients_may_take_can_be_changed() {
    let fixture = Fixture::limited(Limits {
        head_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(7),
        ..Limits::default()
    });
    let mut idle = fixture.connect();
    assert_eq!(fixture.closed_after(&mut idle).await.0, 7);
    let mut slow = fixture.connect();
    slow.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    assert_eq!(fixture.closed_after(&mut slow).await.0, 2);
}

#[tokio::test(start_paused = true)]
async fn how_large_a_head_may_be_can_be_changed() {
    let status = async |head_size, length| {
        let fixture = Fixture::limited(Limits {
            head_size,
            ..Limits::default()
        });
        let mut stream = fixture.connect();
        let long = "x".repeat(length);
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {long}\r\n\r\n");
        // What is refused is not read to its end.
        let _ = stream.write_all(head.as_bytes()).await;
        let head = read_head(&mut stream).await;
        head.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(status(8 << 10, 7 << 10).await, "200");
    assert_eq!(status(8 << 10, 9 << 10).await, "431");
    assert_eq!(status(128 << 10, 100 << 10).await, "200");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_waited_for() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    ask(&mut stream, "/slow").await;
    fixture.seconds(10_000).await;
    fixture.paths.go_on.notify_one();
    assert_eq!(answer_on(&mut stream).await.1, "slow");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_takes_its_handler_with_it() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    ask(&mut stream, "/hang").await;
    fixture.seconds(5).await;
    assert!(fixture.paths.dropped.lock().unwrap().is_empty());
    drop(stream);
    fixture.seconds(2).await;
    assert_eq!(*fixture.paths.dropped.lock().unwrap(), ["/hang"]);
    assert_eq!(fixture.server.open_connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_ends_a_quiet_stream() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    ask(&mut stream, "/stream").await;
    read_head(&mut stream).await;
    let sender = fixture.paths.streams.lock().unwrap().pop().unwrap();
    drop(stream);
    // Completes because the body is dropped although nothing was ever written to the dead connection.
    sender.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_half_closes_still_gets_its_answers() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    ask(&mut stream, "/1").await;
    ask(&mut stream, "/slow").await;
    ask(&mut stream, "/3").await;
    stream.shutdown().await.unwrap();
    fixture.paths.go_on.notify_one();
    let (_, answers) = fixture.closed_after(&mut stream).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3);
}

#[tokio::test(start_paused = true)]
async fn requests_sent_ahead_are_answered_in_order() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    ask(&mut stream, "/slow").await;
    fixture.seconds(1).await;
    for number in 0..3 {
        ask(&mut stream, &format!("/{number}")).await;
    }
    // More than a head may take: the time of what waits does not count.
    fixture.seconds(60).await;
    fixture.paths.go_on.notify_one();
    assert_eq!(answer_on(&mut stream).await.1, "slow");
    for number in 0..3 {
        let path = format!("/{number} ");
        assert!(answer_on(&mut stream).await.1.contains(&path));
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_closes_idle_connections_and_waits_for_answers() {
    let fixture = Fixture::new();
    let mut idle = fixture.connect();
    let mut busy = fixture.connect();
    ask(&mut busy, "/slow").await;
    fixture.seconds(1).await;
    let start = fixture.platform.mono();
    let (_, idle_closed, slow) = tokio::join!(
        fixture.server.shutdown(Duration::from_secs(30)),
        fixture.closed_after(&mut idle),
        async {
            fixture.seconds(5).await;
            fixture.paths.go_on.notify_one();
            answer_on(&mut busy).await
        }
    );
    assert_eq!(idle_closed.0, 0);
    assert_eq!(slow.1, "slow");
    assert_eq!(fixture.platform.mono().since(start).as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn shutdown_drops_what_does_not_end_in_time() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    ask(&mut stream, "/hang").await;
    fixture.seconds(1).await;
    let start = fixture.platform.mono();
    fixture.server.shutdown(Duration::from_secs(3)).await;
    assert_eq!(fixture.platform.mono().since(start).as_secs(), 3);
    assert_eq!(*fixture.paths.dropped.lock().unwrap(), ["/hang"]);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_listener_is_served_until_shutdown_and_its_connections_are_limited() {
    let fixture = Fixture::limited(Limits {
        connections: 1,
        ..Limits::default()
    });
    let at = TestPlatform::address("manager");
    let listen = ListenAddress::Tcp {
        host: "manager".to_owned(),
        port: 80,
    };
    fixture
        .server
        .serve(fixture.platform.listen(&listen).await.unwrap());
    let mut first = fixture.platform.connect(&at).await.unwrap();
    let mut second = fixture.platform.connect(&at).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    second.write_all(request).await.unwrap();
    fixture.seconds(60).await;
    assert_eq!(fixture.server.open_connections(), 1);
    first.write_all(request).await.unwrap();
    for stream in [&mut first, &mut second] {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    fixture.server.shutdown(Duration::ZERO).await;
    assert!(fixture.platform.connect(&at).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn one_client_leaves_room_for_the_others() {
    let fixture = Fixture::limited(Limits {
        connections: 10,
        client_connections: 2,
        ..Limits::default()
    });
    let open = |from: &str| {
        let (client, io) = duplex(PIPE);
        fixture.server.serve_stream(Box::new(io), from);
        client
    };
    let mut greedy: Vec<_> = (0..3).map(|n| open(&format!("10.0.0.1:{n}"))).collect();
    let mut other = open("10.0.0.2:1");
    assert_eq!(fixture.server.open_connections(), 3);
    let mut refused = greedy.pop().unwrap();
    assert_eq!(refused.read(&mut [0; 1]).await.unwrap(), 0);
    let request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for client in greedy.iter_mut().chain([&mut other]) {
        client.write_all(request).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    fixture.seconds(1).await;
    assert_eq!(fixture.server.open_connections(), 0);
}

/// Fails as told, then accepts.
struct Flaky(VecDeque<io::ErrorKind>, mpsc::Receiver<BoxIo>);

impl Listener for Flaky {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, String)>> {
        let failure = self.0.pop_front();
        Box::pin(async move {
            if let Some(kind) = failure {
                return Err(kind.into());
            }
            match self.1.recv().await {
                Some(io) => Ok((io, "x".to_owned())),
                None => std::future::pending().await,
            }
        })
    }

    fn local_address(&self) -> ListenAddress {
        ListenAddress::Unix("/x".into())
    }
}

#[tokio::test(start_paused = true)]
async fn accepting_goes_on_after_errors_with_pauses() {
    let fixture = Fixture::new();
    let (sender, receiver) = mpsc::channel(1);
    let mut failures = VecDeque::from([io::ErrorKind::Other; 4]);
    failures.push_back(io::ErrorKind::ConnectionAborted);
    fixture.server.serve(Box::new(Flaky(failures, receiver)));
    let (mut ours, theirs) = duplex(PIPE);
    sender.send(Box::new(theirs) as BoxIo).await.unwrap();
    ask(&mut ours, "/x").await;
    assert!(answer_on(&mut ours).await.1.contains("/x"));
    // 5 + 10 + 20 + 40 ms after the four failures, and again 40 ms for the accept after the aborted connection.
    let took = fixture.platform.mono().since(Mono::ZERO).as_millis();
    assert!((75..=130).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn an_upload_nobody_reads_waits_in_bounded_memory() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    let head = b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let taken = fill(&mut stream).await;
    assert!((16 * 1024..=192 * 1024).contains(&taken), "{taken}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_nobody_reads_waits_in_bounded_memory() {
    let fixture = Fixture::new();
    let mut stream = fixture.connect();
    ask(&mut stream, "/stream").await;
    read_head(&mut stream).await;
    let sender = fixture.paths.streams.lock().unwrap().pop().unwrap();
    let piece = Bytes::from(vec![b'x'; 8 * 1024]);
    let mut taken = 0;
    let wait = Duration::from_secs(1);
    while let Ok(sent) = timeout(&*fixture.platform, wait, sender.send(piece.clone())).await {
        sent.unwrap();
        taken += piece.len();
    }
    assert!((16 * 1024..=192 * 1024).contains(&taken), "{taken}");
}

#[tokio::test(start_paused = true)]
async fn a_body_is_asked_for_only_when_the_handler_reads_it() {
    let fixture = Fixture::new();
    let expect = |path| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    let mut stream = fixture.connect();
    stream.write_all(expect("/x").as_bytes()).await.unwrap();
    assert_eq!(
        read_head(&mut stream).await,
        "HTTP/1.1 100 Continue\r\n\r\n"
    );
    stream.write_all(b"abc").await.unwrap();
    assert!(answer_on(&mut stream).await.1.ends_with("/x 3"));
    let mut stream = fixture.connect();
    stream
        .write_all(expect("/stream").as_bytes())
        .await
        .unwrap();
    assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
}
