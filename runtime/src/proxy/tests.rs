use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use swarm_core::address::ListenAddress;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::*;
use crate::api::{Call, NotDispatched};
use crate::http::body::{BodyError, collect_limited};
use crate::http::client::ClientConfig;
use crate::http::server::{Handler, Server as HttpServer, ServerConfig};
use crate::http::testing::{TestPlatform, read_head};
use crate::platform::{Platform, sleep};

mod streams;

/// By then a server has noticed that its client left.
const LEAVING: Duration = Duration::from_secs(2);

type Served = Result<Response<Body>, NotDispatched>;

/// A service made of a closure.
struct Does<F>(F);

impl<F> Service for Does<F>
where
    F: Fn(Call) -> BoxFuture<'static, Served> + Send + Sync + 'static,
{
    fn serve(self: Arc<Self>, call: Call) -> BoxFuture<'static, Served> {
        (self.0)(call)
    }

    fn answer_here(&self, request: &api::Request) -> Option<Response<Body>> {
        let ping = request.route == api::Route::Fixed(api::Fixed::Ping);
        ping.then(|| text("pong"))
    }

    fn identify(&self, response: &mut Response<Body>) {
        let version = http::HeaderValue::from_static("1.41");
        response.headers_mut().insert("api-version", version);
    }
}

fn text(text: impl Into<String>) -> Response<Body> {
    Response::new(body::full(text.into()))
}

/// Some managers on one in-memory network, and a client.
struct World {
    platform: Arc<TestPlatform>,
    client: Client,
    limits: Limits,
}

struct Manager {
    name: &'static str,
    proxy: Arc<Proxy>,
    server: HttpServer,
    peers: Arc<AtomicU64>,
}

struct Front(Arc<Proxy>);

impl Handler for Front {
    fn handle(
        self: Arc<Self>,
        request: Request<Body>,
        peer: Peer,
    ) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move { self.0.handle(request, peer).await })
    }
}

fn address(name: &str) -> HostPort {
    HostPort::new(name, 4000).unwrap()
}

impl World {
    fn new() -> Self {
        let platform = TestPlatform::new();
        let client = Client::new(platform.clone(), ClientConfig::default());
        Self {
            platform,
            client,
            limits: Limits::default(),
        }
    }

    async fn manager(
        &self,
        name: &'static str,
        service: impl Fn(Call) -> BoxFuture<'static, Served> + Send + Sync + 'static,
    ) -> Manager {
        let platform: SharedPlatform = self.platform.clone();
        let client = Client::new(platform.clone(), ClientConfig::default());
        let peers = Arc::new(AtomicU64::new(1));
        let believed = Arc::clone(&peers);
        let settings = Settings {
            instance: format!("instance-of-{name}"),
            own_address: address(name),
            primary_wait: Duration::from_secs(30),
            limits: self.limits,
            is_peer: Arc::new(move |_| believed.load(Ordering::Relaxed) == 1),
        };
        let proxy = Proxy::new(&platform, client, Arc::new(Does(service)), settings);
        let front = Arc::new(Front(Arc::clone(&proxy)));
        let server = HttpServer::new(platform, ServerConfig::default(), front);
        let (host, port) = (name.to_owned(), 4000);
        let listener = self
            .platform
            .listen(&ListenAddress::Tcp { host, port })
            .await;
        server.serve(listener.unwrap());
        Manager {
            name,
            proxy,
            server,
            peers,
        }
    }

    /// A manager that says who it is and what it was asked.
    async fn plain(&self, name: &'static str) -> Manager {
        self.manager(name, move |call| {
            Box::pin(async move {
                let method = call.http.method().clone();
                let target = call.http.uri().to_string();
                let epoch = call.epoch.unwrap_or(0);
                let length = collect_limited(call.http.into_body(), 8 << 20)
                    .await
                    .unwrap()
                    .len();
                Ok(text(format!("{name}/{epoch} {method} {target} {length}")))
            })
        })
        .await
    }

    /// A manager that holds nothing itself.
    async fn replica(&self, name: &'static str) -> Manager {
        self.manager(name, |_| panic!("a replica serves nothing"))
            .await
    }

    async fn send(&self, to: &Manager, request: Request<Body>) -> Response<Body> {
        self.client.send(&address(to.name), request).await.unwrap()
    }

    async fn ask(
        &self,
        to: &Manager,
        method: Method,
        target: &str,
    ) -> (StatusCode, HeaderMap, String) {
        read(self.send(to, ask(method, target)).await).await
    }

    async fn pause(&self, time: Duration) {
        sleep(&*self.platform, time).await;
    }
}

fn ask(method: Method, target: &str) -> Request<Body> {
    let mut request = Request::new(body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = target.parse().unwrap();
    request
}

async fn read(response: Response<Body>) -> (StatusCode, HeaderMap, String) {
    let (parts, body) = response.into_parts();
    let bytes = collect_limited(body, 8 << 20).await.unwrap();
    (
        parts.status,
        parts.headers,
        String::from_utf8(bytes.to_vec()).unwrap(),
    )
}

/// Tells managers who is the primary.
fn elect(managers: &[&Manager], primary: &str, epoch: u64) {
    for manager in managers {
        manager.proxy.set_view(View::Primary {
            address: address(primary),
            epoch,
            local: manager.name == primary,
        });
    }
}

fn has_own_headers(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| name.as_str().starts_with("x-swarm"))
}

#[tokio::test(start_paused = true)]
async fn a_replica_passes_requests_to_the_primary() {
    let world = World::new();
    let (m1, m2) = (world.replica("m1").await, world.plain("m2").await);
    elect(&[&m1, &m2], "m2", 7);
    let mut request = Request::new(body::full("hello"));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = "/v1.41/containers/%61b/start?t=1".parse().unwrap();
    let (status, headers, text) = read(world.send(&m1, request).await).await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::OK, "m2/7 POST /v1.41/containers/ab/start?t=1 5")
    );
    assert!(!has_own_headers(&headers), "{headers:?}");
    let (_, headers, text) = world.ask(&m2, Method::GET, "/version").await;
    assert_eq!(text, "m2/7 GET /version 0");
    assert!(!has_own_headers(&headers));
}

#[tokio::test(start_paused = true)]
async fn every_manager_answers_ping_and_refuses_what_has_no_route() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    assert_eq!(world.ask(&m1, Method::GET, "/v1.24/_ping").await.2, "pong");
    assert_eq!(
        world.ask(&m1, Method::GET, "/containers/a/../json").await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        world.ask(&m1, Method::GET, "/x/_ping").await.0,
        StatusCode::NOT_FOUND
    );
    let (status, headers, text) = world.ask(&m1, Method::POST, "/info").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(headers["allow"], "GET");
    assert_eq!(headers["api-version"], "1.41");
    assert_eq!(
        text,
        r#"{"message":"method not allowed here; allowed: GET"}"#
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_a_primary() {
    let world = World::new();
    let (m1, m2) = (world.replica("m1").await, world.plain("m2").await);
    let waiting = world.ask(&m1, Method::GET, "/version");
    let electing = async {
        world.pause(Duration::from_secs(20)).await;
        assert_eq!(m1.proxy.stats().held, 1);
        elect(&[&m1, &m2], "m2", 7);
    };
    let ((_, _, text), ()) = tokio::join!(waiting, electing);
    assert_eq!(text, "m2/7 GET /version 0");
    m1.proxy.set_view(View::Unknown);
    let start = world.platform.mono();
    let (status, headers, text) = world.ask(&m1, Method::GET, "/version").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.platform.mono().since(start).as_secs(), 30);
    assert_eq!(headers["retry-after"], "1");
    assert!(text.contains("it was not carried out"), "{text}");
    assert_eq!(m1.proxy.stats().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn how_many_requests_wait_for_a_primary_can_be_changed() {
    let mut world = World::new();
    world.limits.held_requests = 1;
    let m1 = world.plain("m1").await;
    let first = world.ask(&m1, Method::GET, "/version");
    let second = async {
        world.pause(Duration::from_secs(1)).await;
        let (status, _, text) = world.ask(&m1, Method::GET, "/version").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(m1.proxy.stats().held, 1, "{text}");
        elect(&[&m1], "m1", 7);
    };
    let ((status, _, _), ()) = tokio::join!(first, second);
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_frees_its_place() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    let waiting = world.ask(&m1, Method::GET, "/version");
    let left = crate::platform::timeout(&*world.platform, Duration::from_secs(1), waiting).await;
    assert!(left.is_err());
    world.pause(LEAVING).await;
    assert_eq!(m1.proxy.stats().requests, 0);
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_is_not_the_primary_sends_back_with_a_hint() {
    let world = World::new();
    let (m1, m2, m3) = (
        world.replica("m1").await,
        world.replica("m2").await,
        world.plain("m3").await,
    );
    elect(&[&m1], "m2", 7);
    elect(&[&m2, &m3], "m3", 8);
    let start = world.platform.mono();
    let (status, _, text) = world.ask(&m1, Method::POST, "/containers/a/kill").await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::OK, "m3/8 POST /containers/a/kill 0")
    );
    assert!(world.platform.mono().since(start) < Duration::from_millis(30));
}

#[tokio::test(start_paused = true)]
async fn the_gate_that_closed_here_sends_the_request_on() {
    let world = World::new();
    let m1 = world
        .manager("m1", |_| {
            Box::pin(async { Err(NotDispatched { body: None }) })
        })
        .await;
    let m2 = world.plain("m2").await;
    elect(&[&m1, &m2], "m1", 7);
    let electing = async {
        world.pause(Duration::from_millis(700)).await;
        elect(&[&m1, &m2], "m2", 8);
    };
    let ((_, _, text), ()) =
        tokio::join!(world.ask(&m1, Method::POST, "/containers/a/kill"), electing);
    assert_eq!(text, "m2/8 POST /containers/a/kill 0");
}

/// A primary that breaks every connection after the head of a request; tells how many there were.
fn breaking(world: &World, name: &'static str) -> Arc<AtomicU64> {
    let mut incoming = world.platform.bind(&address(name));
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let task = async move {
        while let Some((mut io, _)) = incoming.recv().await {
            read_head(&mut io).await;
            counted.fetch_add(1, Ordering::Relaxed);
        }
    };
    world.platform.spawn("breaking", Box::pin(task));
    count
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_done_once_is_not_repeated() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    let count = breaking(&world, "m2");
    elect(&[&m1], "m2", 7);
    let (status, _, text) = world.ask(&m1, Method::POST, "/containers/a/kill").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(
        text.contains("it is not known whether POST /containers/a/kill was carried out"),
        "{text}"
    );
    assert!(text.contains("docker inspect a"), "{text}");
    assert_eq!(count.load(Ordering::Relaxed), 1);
    let (status, _, _) = world.ask(&m1, Method::GET, "/containers/json").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(count.load(Ordering::Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_create_is_repeated_under_its_name() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    breaking(&world, "m2");
    let (seen, mut calls) = mpsc::unbounded_channel();
    let m3 = world
        .manager("m3", move |call| {
            seen.send((call.request_id.clone(), call.repeat)).unwrap();
            Box::pin(async { Ok(text("created")) })
        })
        .await;
    elect(&[&m1, &m3], "m2", 7);
    let electing = async {
        world.pause(Duration::from_millis(10)).await;
        elect(&[&m1, &m3], "m3", 8);
    };
    let ((status, ..), ()) =
        tokio::join!(world.ask(&m1, Method::POST, "/containers/create"), electing);
    assert_eq!(status, StatusCode::OK);
    let (id, repeat) = calls.recv().await.unwrap();
    assert_eq!(id.len(), 32);
    assert!(repeat);
    world.ask(&m1, Method::POST, "/containers/create").await;
    let (other, repeat) = calls.recv().await.unwrap();
    assert_ne!(id, other);
    assert!(!repeat);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_removal_that_finds_nothing_is_a_success() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    breaking(&world, "m2");
    let m3 = world
        .manager("m3", |_| {
            Box::pin(async { Ok(error(StatusCode::NOT_FOUND, "No such container")) })
        })
        .await;
    elect(&[&m1, &m3], "m2", 7);
    let electing = async {
        world.pause(Duration::from_millis(10)).await;
        elect(&[&m1, &m3], "m3", 8);
    };
    let ((status, _, text), ()) =
        tokio::join!(world.ask(&m1, Method::DELETE, "/containers/a"), electing);
    assert_eq!((status, text.as_str()), (StatusCode::NO_CONTENT, ""));
    let (status, ..) = world.ask(&m1, Method::DELETE, "/containers/a").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

/// `pieces` of 64 KiB, and how many of them were taken.
fn upload(world: &World, pieces: u64) -> (Body, Arc<AtomicU64>) {
    let (sender, body) = body::channel(1);
    let taken = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&taken);
    let task = async move {
        for _ in 0..pieces {
            if sender.send(vec![b'x'; 64 << 10]).await.is_err() {
                return;
            }
            count.fetch_add(1, Ordering::Relaxed);
        }
        sender.finish();
    };
    world.platform.spawn("upload", Box::pin(task));
    (body, taken)
}

fn load(body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = "/images/load".parse().unwrap();
    request
}

#[tokio::test(start_paused = true)]
async fn a_long_body_is_not_read_before_a_primary_takes_it() {
    let world = World::new();
    let (m1, m2, m3) = (
        world.replica("m1").await,
        world.replica("m2").await,
        world.plain("m3").await,
    );
    elect(&[&m1], "m2", 7);
    elect(&[&m2], "m4", 7);
    elect(&[&m3], "m3", 8);
    let (body, taken) = upload(&world, 64);
    let electing = async {
        world.pause(Duration::from_secs(5)).await;
        let taken = taken.load(Ordering::Relaxed);
        assert!(taken < 30, "{taken} pieces were read for nobody");
        elect(&[&m1], "m3", 8);
    };
    let (response, ()) = tokio::join!(world.send(&m1, load(body)), electing);
    let (status, _, text) = read(response).await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::OK, "m3/8 POST /images/load 4194304")
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_body_that_was_used_up_is_not_sent_again() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    let m2 = world
        .manager("m2", |call| {
            Box::pin(async move {
                let _ = collect_limited(call.http.into_body(), 8 << 20).await;
                Err(NotDispatched { body: None })
            })
        })
        .await;
    elect(&[&m1, &m2], "m2", 7);
    let (body, _) = upload(&world, 32);
    let (status, _, text) = read(world.send(&m1, load(body)).await).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("send it again"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_client_cannot_speak_as_a_manager() {
    let world = World::new();
    let m1 = world.plain("m1").await;
    elect(&[&m1], "m1", 7);
    let forged = |name: &'static str, value: &str| {
        let mut request = ask(Method::GET, "/version");
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    m1.peers.store(0, Ordering::Relaxed);
    let request = forged("x_swarm_expect_epoch", "99");
    assert_eq!(world.send(&m1, request).await.status(), StatusCode::OK);
    let request = forged("x-swarm-forwarded", "other;hop=1");
    assert_eq!(
        world.send(&m1, request).await.status(),
        StatusCode::MISDIRECTED_REQUEST
    );
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_is_not_known_yet_tries_again() {
    let world = World::new();
    let (m1, m2) = (world.replica("m1").await, world.plain("m2").await);
    elect(&[&m1, &m2], "m2", 7);
    m2.peers.store(0, Ordering::Relaxed);
    let greeting = async {
        world.pause(Duration::from_secs(1)).await;
        m2.peers.store(1, Ordering::Relaxed);
    };
    let ((_, _, text), ()) =
        tokio::join!(world.ask(&m1, Method::POST, "/containers/a/kill"), greeting);
    assert_eq!(text, "m2/7 POST /containers/a/kill 0");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_goes_in_a_circle_is_stopped() {
    let world = World::new();
    let m1 = world.plain("m1").await;
    elect(&[&m1], "m1", 7);
    for (forwarded, status) in [
        ("instance-of-m1;hop=1", StatusCode::LOOP_DETECTED),
        ("other;hop=2", StatusCode::LOOP_DETECTED),
        ("other;hop=1", StatusCode::OK),
        ("other", StatusCode::BAD_REQUEST),
    ] {
        let mut request = ask(Method::GET, "/version");
        request
            .headers_mut()
            .insert("x-swarm-forwarded", forwarded.parse().unwrap());
        request
            .headers_mut()
            .insert("x-swarm-request-id", "x".parse().unwrap());
        assert_eq!(
            world.send(&m1, request).await.status(),
            status,
            "{forwarded}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn something_else_at_the_primarys_address_is_not_believed() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    let mut incoming = world.platform.bind(&address("m2"));
    let task = async move {
        while let Some((mut io, _)) = incoming.recv().await {
            read_head(&mut io).await;
            io.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .await
                .unwrap();
        }
    };
    world.platform.spawn("imposter", Box::pin(task));
    elect(&[&m1], "m2", 7);
    let (status, ..) = world.ask(&m1, Method::POST, "/containers/a/kill").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_falls_silent_is_given_up() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    let mut incoming = world.platform.bind(&address("m2"));
    let task = async move {
        let mut open = Vec::new();
        while let Some(connection) = incoming.recv().await {
            open.push(connection);
        }
    };
    world.platform.spawn("silent", Box::pin(task));
    elect(&[&m1], "m2", 7);
    let start = world.platform.mono();
    let (status, _, text) = world.ask(&m1, Method::POST, "/containers/a/kill").await;
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{text}");
    let took = world.platform.mono().since(start).as_secs();
    assert!((6..20).contains(&took), "{took} s");
}

#[tokio::test(start_paused = true)]
async fn a_slow_primary_is_waited_for() {
    let world = World::new();
    let m1 = world.replica("m1").await;
    let platform = world.platform.clone();
    let m2 = world
        .manager("m2", move |_| {
            let platform = platform.clone();
            Box::pin(async move {
                sleep(&*platform, Duration::from_secs(50)).await;
                Ok(text("stopped"))
            })
        })
        .await;
    elect(&[&m1, &m2], "m2", 7);
    let (_, _, text) = world.ask(&m1, Method::POST, "/containers/a/wait").await;
    assert_eq!(text, "stopped");
}
