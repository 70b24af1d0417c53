use std::sync::Mutex;
use std::time::Duration;

use swarm_core::time::Mono;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::http::body::{self, collect_limited};
use crate::http::testing::{BLACK_HOLE, TestPlatform, fill, read_head};
use crate::platform::{BoxIo, Platform, TokioPlatform, sleep};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A client and a peer whose side of each connection the test plays.
struct Fixture {
    platform: Arc<TestPlatform>,
    client: Client,
    to: HostPort,
    incoming: UnboundedReceiver<(BoxIo, String)>,
}

impl Fixture {
    fn new() -> Self {
        Self::with(ClientConfig::default())
    }

    fn with(config: ClientConfig) -> Self {
        let platform = TestPlatform::new();
        let to = TestPlatform::address("engine");
        Self {
            incoming: platform.bind(&to),
            client: Client::new(platform.clone(), config),
            platform,
            to,
        }
    }

    async fn accept(&mut self) -> BoxIo {
        self.incoming.recv().await.unwrap().0
    }

    /// One exchange, read to its end. The peer's side of the connection it used.
    async fn exchange(&mut self, upstream: Option<BoxIo>) -> BoxIo {
        let client = self.client.clone();
        let to = self.to.clone();
        let (response, upstream) = tokio::join!(client.send(&to, get("/")), async {
            let mut upstream = match upstream {
                Some(upstream) => upstream,
                None => self.accept().await,
            };
            read_head(&mut upstream).await;
            upstream.write_all(OK).await.unwrap();
            upstream
        });
        let body = response.unwrap().into_body();
        assert_eq!(collect_limited(body, 10).await.unwrap(), "ok");
        upstream
    }

    fn stats(&self) -> PoolStats {
        self.client.stats(&self.to)
    }

    /// Lets everything run that can run now.
    async fn settle(&self) {
        sleep(&*self.platform, Duration::from_millis(1)).await;
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(body::empty()).unwrap()
}

fn post(body: Body) -> Request<Body> {
    Request::post("/x").body(body).unwrap()
}

fn counts(idle: usize, open: usize, opened: u64) -> PoolStats {
    PoolStats { idle, open, opened }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_used_again_after_the_response_was_read() {
    let mut fixture = Fixture::new();
    let upstream = fixture.exchange(None).await;
    assert_eq!(fixture.stats(), counts(1, 1, 1));
    fixture.exchange(Some(upstream)).await;
    assert_eq!(fixture.stats().opened, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_goes_out_in_origin_form_with_a_host() {
    let mut fixture = Fixture::new();
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let (_, head) = tokio::join!(
        client.send(&to, get("http://other:1/v1.43/info?a=b")),
        async {
            let mut upstream = fixture.accept().await;
            let head = read_head(&mut upstream).await;
            upstream.write_all(OK).await.unwrap();
            head
        }
    );
    assert_eq!(
        head,
        "GET /v1.43/info?a=b HTTP/1.1\r\nhost: engine:80\r\n\r\n"
    );
}

#[tokio::test(start_paused = true)]
async fn the_framing_of_a_request_follows_from_its_body_alone() {
    for (body, framing) in [
        (body::full("abc"), "content-length: 3"),
        (body::empty(), "content-length: 0"),
        (body::channel(1).1, "transfer-encoding: chunked"),
    ] {
        let mut fixture = Fixture::new();
        let mut request = post(body);
        request
            .headers_mut()
            .append("content-length", HeaderValue::from_static("5"));
        request
            .headers_mut()
            .append("content-length", HeaderValue::from_static("6"));
        request
            .headers_mut()
            .insert("transfer-encoding", HeaderValue::from_static("gzip"));
        let client = fixture.client.clone();
        let to = fixture.to.clone();
        let head = tokio::select! {
            biased;
            _ = client.send(&to, request) => unreachable!("nobody answers"),
            head = async { read_head(&mut fixture.accept().await).await } => head,
        };
        let mut lines: Vec<&str> = head.split_terminator("\r\n").collect();
        lines.sort_unstable();
        let mut expected = ["", "POST /x HTTP/1.1", "host: engine:80", framing];
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_the_response_body_early_closes_the_connection() {
    let mut fixture = Fixture::new();
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let (response, mut upstream) = tokio::join!(client.send(&to, get("/")), async {
        let mut upstream = fixture.accept().await;
        read_head(&mut upstream).await;
        upstream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
            .await
            .unwrap();
        upstream
    });
    drop(response.unwrap());
    assert_eq!(upstream.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(fixture.stats(), counts(0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_send_future_closes_the_connection() {
    let mut fixture = Fixture::new();
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let mut upstream = tokio::select! {
        biased;
        _ = client.send(&to, get("/wait")) => unreachable!("nobody answers"),
        upstream = async {
            let mut upstream = fixture.accept().await;
            read_head(&mut upstream).await;
            upstream
        } => upstream,
    };
    assert_eq!(upstream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_gives_the_request_back() {
    let fixture = Fixture::new();
    let nobody = TestPlatform::address("nobody");
    let failure = fixture
        .client
        .send_with(
            &nobody,
            post(body::full("abc")),
            SendOptions::default(),
            || Ok::<_, Infallible>(()),
        )
        .await
        .unwrap_err();
    assert!(matches!(failure.error, SendError::Connect { .. }));
    assert!(!failure.error.maybe_sent());
    let request = failure.unsent.unwrap();
    assert_eq!(
        collect_limited(request.into_body(), 10).await.unwrap(),
        "abc"
    );
    assert_eq!(fixture.client.stats(&nobody), PoolStats::default());
}

#[tokio::test(start_paused = true)]
async fn connecting_ends_in_time_without_asking_the_hook() {
    let fixture = Fixture::with(ClientConfig::from(&Limits {
        connect_timeout: Duration::from_secs(7),
        ..Limits::default()
    }));
    let to = TestPlatform::address(BLACK_HOLE);
    let start = fixture.platform.mono();
    let failure = fixture
        .client
        .send_with(&to, get("/"), SendOptions::endless(), || Err("asked"))
        .await
        .unwrap_err();
    let took = fixture.platform.mono().since(start);
    assert!(took >= Duration::from_secs(7) && took < Duration::from_millis(7_100));
    assert!(matches!(
        failure.error,
        SendError::Connect {
            source: ConnectError::TimedOut(_),
            ..
        }
    ));
    assert_eq!(fixture.client.stats(&to), PoolStats::default());
}

#[tokio::test(start_paused = true)]
async fn a_veto_sends_nothing_and_keeps_the_connection() {
    let mut fixture = Fixture::new();
    let failure = fixture
        .client
        .send_with(
            &fixture.to,
            post(body::full("abc")),
            SendOptions::default(),
            || Err("not primary"),
        )
        .await
        .unwrap_err();
    assert_eq!(failure.to_string(), "not sent: not primary");
    assert!(matches!(failure.error, SendError::Vetoed("not primary")));
    assert!(failure.unsent.is_some());
    fixture.settle().await;
    assert_eq!(fixture.stats(), counts(1, 1, 1));
    let upstream = fixture.accept().await;
    // The first bytes on the connection are those of the next request.
    fixture.exchange(Some(upstream)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pooled_connection_that_closes_is_forgotten_at_once() {
    let mut fixture = Fixture::new();
    drop(fixture.exchange(None).await);
    fixture.settle().await;
    assert_eq!(fixture.stats().idle, 0);
    fixture.exchange(None).await;
    assert_eq!(fixture.stats().idle, 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_moves_to_a_fresh_connection_when_the_pooled_one_was_dead() {
    let mut fixture = Fixture::new();
    let stale = Mutex::new(Some(fixture.exchange(None).await));
    let asked = Mutex::new(0);
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let sending = client.send_with(&to, post(body::full("abc")), SendOptions::default(), || {
        // The connection dies after it was chosen and before a byte is written.
        stale.lock().unwrap().take();
        *asked.lock().unwrap() += 1;
        Ok::<_, Infallible>(())
    });
    let (response, received) = tokio::join!(sending, async {
        let mut upstream = fixture.accept().await;
        let head = read_head(&mut upstream).await;
        let mut body = [0; 3];
        upstream.read_exact(&mut body).await.unwrap();
        upstream.write_all(OK).await.unwrap();
        (head, body)
    });
    assert_eq!(response.unwrap().status(), 200);
    assert!(received.0.starts_with("POST /x "));
    assert_eq!(&received.1, b"abc");
    assert_eq!(
        *asked.lock().unwrap(),
        2,
        "the hook is asked for each connection"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_have_been_sent_is_not_sent_again() {
    let mut fixture = Fixture::new();
    let first = fixture.exchange(None).await;
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let sending = client.send_with(&to, post(body::full("abc")), SendOptions::default(), || {
        Ok::<_, Infallible>(())
    });
    let (failure, ()) = tokio::join!(sending, async {
        let mut upstream = first;
        read_head(&mut upstream).await;
    });
    let failure = failure.unwrap_err();
    assert!(
        matches!(failure.error, SendError::Broken { .. }),
        "{failure}"
    );
    assert!(failure.error.maybe_sent());
    assert!(failure.unsent.is_none());
    assert!(fixture.incoming.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn half_a_response_head_is_broken() {
    let mut fixture = Fixture::new();
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let (response, ()) = tokio::join!(client.send(&to, get("/")), async {
        let mut upstream = fixture.accept().await;
        read_head(&mut upstream).await;
        upstream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Le")
            .await
            .unwrap();
    });
    assert!(matches!(response, Err(SendError::Broken { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_truncated_response_body_is_an_error() {
    let mut fixture = Fixture::new();
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let (response, ()) = tokio::join!(client.send(&to, get("/")), async {
        let mut upstream = fixture.accept().await;
        read_head(&mut upstream).await;
        upstream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
            .await
            .unwrap();
    });
    assert!(
        collect_limited(response.unwrap().into_body(), 10)
            .await
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn the_head_timeout_counts_from_the_last_piece_of_the_upload() {
    let mut fixture = Fixture::new();
    let (sender, body) = body::channel(1);
    let options = SendOptions {
        head_timeout: Some(Duration::from_secs(10)),
        dedicated: false,
    };
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let platform = fixture.platform.clone();
    let (failure, upstream) = tokio::join!(
        client.send_with(&to, post(body), options, || Ok::<_, Infallible>(())),
        async {
            let upstream = fixture.accept().await;
            for _ in 0..3 {
                sleep(&*platform, Duration::from_secs(8)).await;
                sender.send("x").await.unwrap();
            }
            sender.finish();
            upstream
        }
    );
    let failure = failure.unwrap_err();
    assert!(matches!(failure.error, SendError::Timeout { .. }));
    assert!(failure.error.maybe_sent());
    let took = fixture.platform.mono().since(Mono::ZERO);
    assert!(
        took >= Duration::from_secs(34) && took < Duration::from_secs(35),
        "{took:?}"
    );
    let mut upstream = upstream;
    upstream.read_to_end(&mut Vec::new()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_endless_request_waits_for_hours() {
    let mut fixture = Fixture::new();
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let platform = fixture.platform.clone();
    let (response, ()) = tokio::join!(
        client.send_with(&to, get("/wait"), SendOptions::endless(), || Ok::<
            _,
            Infallible,
        >(())),
        async {
            let mut upstream = fixture.accept().await;
            read_head(&mut upstream).await;
            sleep(&*platform, Duration::from_secs(36_000)).await;
            upstream.write_all(OK).await.unwrap();
        }
    );
    assert_eq!(response.unwrap().status(), 200);
}

#[tokio::test(start_paused = true)]
async fn connections_to_a_peer_are_limited() {
    let mut fixture = Fixture::with(ClientConfig::from(&Limits {
        outgoing_connections: 1,
        ..Limits::default()
    }));
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let mut upstream = {
        let mut first = std::pin::pin!(client.send(&to, get("/")));
        let mut upstream = tokio::select! {
            biased;
            _ = &mut first => unreachable!("nobody answers"),
            upstream = async {
                let mut upstream = fixture.accept().await;
                read_head(&mut upstream).await;
                upstream
            } => upstream,
        };
        let busy = client.send(&to, get("/")).await.unwrap_err();
        assert!(matches!(busy, SendError::TooBusy { limit: 1, .. }));
        assert!(!busy.maybe_sent());
        upstream.write_all(OK).await.unwrap();
        let body = first.await.unwrap().into_body();
        collect_limited(body, 10).await.unwrap();
        upstream
    };
    // A dedicated request takes the idle connection when there is no room for another, and does not give it back.
    let dedicated = client.send_with(&to, get("/"), SendOptions::upgrade(), || {
        Ok::<_, Infallible>(())
    });
    let (response, ()) = tokio::join!(dedicated, async {
        read_head(&mut upstream).await;
        upstream.write_all(OK).await.unwrap();
    });
    collect_limited(response.unwrap().into_body(), 10)
        .await
        .unwrap();
    fixture.settle().await;
    assert_eq!(fixture.stats().open, 0);
}

#[tokio::test(start_paused = true)]
async fn idle_connections_are_limited_and_closed_after_55_seconds() {
    let mut fixture = Fixture::with(ClientConfig {
        max_idle: 2,
        ..ClientConfig::default()
    });
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let responses = async {
        tokio::join!(
            client.send(&to, get("/")),
            client.send(&to, get("/")),
            client.send(&to, get("/")),
        )
    };
    let ((first, second, third), mut upstreams) = tokio::join!(responses, async {
        let mut upstreams = Vec::new();
        for _ in 0..3 {
            let mut upstream = fixture.accept().await;
            read_head(&mut upstream).await;
            upstream.write_all(OK).await.unwrap();
            upstreams.push(upstream);
        }
        upstreams
    });
    for response in [first, second, third] {
        collect_limited(response.unwrap().into_body(), 10)
            .await
            .unwrap();
    }
    fixture.settle().await;
    assert_eq!(fixture.stats(), counts(2, 2, 3));
    sleep(&*fixture.platform, Duration::from_secs(54)).await;
    assert_eq!(fixture.stats(), counts(2, 2, 3));
    sleep(&*fixture.platform, Duration::from_secs(2)).await;
    assert_eq!(fixture.stats(), PoolStats::default());
    for upstream in &mut upstreams {
        assert_eq!(upstream.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_the_peer_wants_closed_is_not_used_again() {
    let mut fixture = Fixture::new();
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let (response, _upstream) = tokio::join!(client.send(&to, get("/")), async {
        let mut upstream = fixture.accept().await;
        read_head(&mut upstream).await;
        let close = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
        upstream.write_all(close).await.unwrap();
        upstream
    });
    collect_limited(response.unwrap().into_body(), 10)
        .await
        .unwrap();
    fixture.settle().await;
    assert_eq!(fixture.stats().open, 0);
    fixture.exchange(None).await;
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_has_answered_stops_the_upload() {
    let mut fixture = Fixture::new();
    let (sender, body) = body::channel(1);
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let (response, mut upstream) = tokio::join!(client.send(&to, post(body)), async {
        let mut upstream = fixture.accept().await;
        sender.send("first").await.unwrap();
        read_head(&mut upstream).await;
        let answer = b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno";
        upstream.write_all(answer).await.unwrap();
        upstream
    });
    let response = response.unwrap();
    assert_eq!(response.status(), 409);
    // Both directions may overlap: the upload goes on until the answer is complete.
    sender.send("second").await.unwrap();
    assert_eq!(
        collect_limited(response.into_body(), 10).await.unwrap(),
        "no"
    );
    sender.closed().await;
    upstream.read_to_end(&mut Vec::new()).await.unwrap();
    assert_eq!(fixture.stats().idle, 0);
    // At once, not when the idle connection is reaped.
    assert_eq!(fixture.platform.mono().since(Mono::ZERO).as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_upload_nobody_reads_waits_in_bounded_memory() {
    let mut fixture = Fixture::new();
    let (sender, body) = body::channel(1);
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let piece = bytes::Bytes::from(vec![b'x'; 8 * 1024]);
    let mut taken = 0;
    tokio::select! {
        biased;
        _ = client.send(&to, post(body)) => unreachable!("nobody answers"),
        () = async {
            let _upstream = fixture.accept().await;
            let wait = Duration::from_secs(1);
            while let Ok(sent) =
                crate::platform::timeout(&*fixture.platform, wait, sender.send(piece.clone())).await
            {
                sent.unwrap();
                taken += piece.len();
            }
        } => (),
    }
    assert!((16 * 1024..=128 * 1024).contains(&taken), "{taken}");
}

#[tokio::test(start_paused = true)]
async fn a_response_nobody_reads_waits_in_bounded_memory() {
    let mut fixture = Fixture::new();
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let (response, mut upstream) = tokio::join!(client.send(&to, get("/logs")), async {
        let mut upstream = fixture.accept().await;
        read_head(&mut upstream).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n";
        upstream.write_all(head).await.unwrap();
        upstream
    });
    let _unread = response.unwrap();
    let taken = fill(&mut upstream).await;
    assert!((16 * 1024..=192 * 1024).contains(&taken), "{taken}");
}

#[tokio::test(start_paused = true)]
async fn an_upgraded_connection_counts_until_it_is_closed() {
    let mut fixture = Fixture::new();
    let client = fixture.client.clone();
    let to = fixture.to.clone();
    let mut request = get("/attach");
    let upgrade = HeaderValue::from_static("Upgrade");
    request.headers_mut().insert("connection", upgrade);
    request
        .headers_mut()
        .insert("upgrade", HeaderValue::from_static("tcp"));
    let sending = client.send_with(&to, request, SendOptions::upgrade(), || {
        Ok::<_, Infallible>(())
    });
    let (response, mut upstream) = tokio::join!(sending, async {
        let mut upstream = fixture.accept().await;
        read_head(&mut upstream).await;
        let switch =
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello";
        upstream.write_all(switch).await.unwrap();
        upstream
    });
    let mut response = response.unwrap();
    let mut stream = hyper_util::rt::TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
    stream.write_all(b"yes").await.unwrap();
    let mut yes = [0; 3];
    upstream.read_exact(&mut yes).await.unwrap();
    assert_eq!(fixture.stats(), counts(0, 1, 1));
    drop(stream);
    assert_eq!(fixture.stats().open, 0);
}

#[tokio::test]
async fn bodies_pass_both_ways_over_loopback() {
    use crate::http::server::{Handler, Peer, Server, ServerConfig};
    use crate::platform::BoxFuture;
    use swarm_core::address::ListenAddress;

    struct Echo;
    impl Handler for Echo {
        fn handle(
            self: Arc<Self>,
            request: Request<Body>,
            _: Peer,
        ) -> BoxFuture<'static, Response<Body>> {
            Box::pin(async move { Response::new(request.into_body()) })
        }
    }

    let platform = Arc::new(TokioPlatform::new().unwrap());
    let any = ListenAddress::Tcp {
        host: "127.0.0.1".to_owned(),
        port: 0,
    };
    let listener = platform.listen(&any).await.unwrap();
    let to: HostPort = listener.local_address().to_string().parse().unwrap();
    let server = Server::new(platform.clone(), ServerConfig::default(), Arc::new(Echo));
    server.serve(listener);
    let client = Client::new(platform.clone(), ClientConfig::default());
    let (sender, body) = body::channel(2);
    let piece = bytes::Bytes::from(vec![b'x'; 64 * 1024]);
    let (echo, ()) = tokio::join!(client.send(&to, post(body)), async {
        // Less than what the buffers on the way hold, as nobody reads before the head has come back.
        sender.send(piece.clone()).await.unwrap();
    });
    let (echo, ()) = tokio::join!(collect_limited(echo.unwrap().into_body(), 1 << 24), async {
        for _ in 0..127 {
            sender.send(piece.clone()).await.unwrap();
        }
        sender.finish();
    });
    assert_eq!(echo.unwrap().len(), 128 * 64 * 1024);
    client.send(&to, get("/")).await.unwrap();
    assert_eq!(client.stats(&to).opened, 1);
    server.shutdown(Duration::from_secs(5)).await;
    assert!(client.send(&to, get("/")).await.is_err());
}
