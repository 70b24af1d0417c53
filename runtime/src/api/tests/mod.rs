//! The API against modelled engines over loopback.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderMap;
use serde_json::{Value, json};
use swarm_core::address::{HostPort, ListenAddress};
use swarm_core::cluster::{EPOCH_LABEL, SWARM_ID_LABEL};
use swarm_core::config::Limits;
use swarm_core::config::{Filter, Strategy};
use swarm_core::engine::EngineOptions;
use swarm_core::rng::Random;
use swarm_models::engine::{Engine as Double, Options};
use swarm_models::tokio_host::{StopHandle, TokioHost, serve_tcp};

use super::*;
use crate::engine::Engines;
use crate::http::client::{Client, ClientConfig, SendOptions};
use crate::http::server::{Handler, Peer, Server, ServerConfig};
use crate::platform::{TokioPlatform, sleep, timeout};

mod build;
mod create;
mod events;
mod images;
mod lists;
mod networks;
mod pass;
mod placement;
mod pull;
mod reschedule;
mod tallies;
mod unknown;
mod volumes;

/// A manager's API in front of modelled engines.
pub(super) struct Rig {
    platform: SharedPlatform,
    api: Arc<Api>,
    engines: Engines,
    pub(super) doubles: Vec<Arc<Double>>,
    addresses: Vec<HostPort>,
    stops: Vec<StopHandle>,
    client: Client,
    manager: HostPort,
    server: Server,
    pub(super) gate: Arc<Switch>,
}

/// A gate that tests open and close.
pub(super) struct Switch {
    pub(super) open: Arc<AtomicBool>,
}

struct SwitchPass(Arc<AtomicBool>);

impl Pass for SwitchPass {
    fn check(&self) -> Result<(), NotPrimary> {
        self.0
            .load(Ordering::SeqCst)
            .then_some(())
            .ok_or(NotPrimary)
    }
}

impl Gate for Switch {
    fn pass(&self, _epoch: Option<u64>) -> BoxFuture<'_, Result<SharedPass, NotPrimary>> {
        Box::pin(async {
            let pass = SwitchPass(Arc::clone(&self.open));
            pass.check().map(|()| Arc::new(pass) as SharedPass)
        })
    }
}

/// Serves the API as a primary would; the tests' own headers stand for what the proxy knows.
struct Front(Arc<Api>);

impl Handler for Front {
    fn handle(
        self: Arc<Self>,
        http: Request<Body>,
        _peer: Peer,
    ) -> BoxFuture<'static, Response<Body>> {
        Box::pin(async move {
            let target = http.uri().to_string();
            let request = match routes::Request::parse(http.method().as_str(), &target) {
                Ok(request) => request,
                Err(error) => {
                    let status = StatusCode::from_u16(error.status()).unwrap();
                    return crate::http::error::error(status, error.to_string());
                }
            };
            let id = http.headers().get("test-id");
            let id = id.map(|value| value.to_str().unwrap().to_owned());
            let call = Call {
                request,
                request_id: id.unwrap_or_else(|| "0".repeat(64)),
                epoch: Some(7),
                repeat: http.headers().contains_key("test-repeat"),
                http,
                cancelled: Box::pin(std::future::pending()),
            };
            match Arc::clone(&self.0).serve(call).await {
                Ok(response) => response,
                Err(NotDispatched { .. }) => {
                    crate::http::error::error(StatusCode::MISDIRECTED_REQUEST, "not dispatched")
                }
            }
        })
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Reply {
    async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let text = body::collect_limited(body, 1 << 24).await.unwrap();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }

    /// The lines of a progress stream.
    pub(super) fn lines(&self) -> Vec<Value> {
        let lines = self.text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(super) fn message(&self) -> String {
        self.json()["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

impl Rig {
    /// A manager with `count` healthy engines `node-0`, `node-1`, …
    pub(super) async fn new(count: usize) -> Self {
        let options = (0..count).map(|number| Options::new(&format!("node-{number}")));
        Self::with(options.collect()).await
    }

    pub(super) async fn with(options: Vec<Options>) -> Self {
        Self::retrying(options, 0).await
    }

    /// As `swarm.createretry=<create_retry>` asks for.
    pub(super) async fn retrying(options: Vec<Options>, create_retry: u32) -> Self {
        let limits = Limits::default();
        Self::told(
            options,
            Settings {
                create_retry,
                limits,
            },
        )
        .await
    }

    /// A manager that allows its clients and engines what `limits` says.
    pub(super) async fn limited(options: Vec<Options>, limits: Limits) -> Self {
        let create_retry = 0;
        Self::told(
            options,
            Settings {
                create_retry,
                limits,
            },
        )
        .await
    }

    async fn told(options: Vec<Options>, settings: Settings) -> Self {
        let limits = &settings.limits;
        let platform: SharedPlatform = Arc::new(TokioPlatform::new().unwrap());
        let client = Client::new(platform.clone(), ClientConfig::default());
        let engines = Engines::new(
            platform.clone(),
            client.clone(),
            EngineOptions::default(),
            limits,
        );
        let gate = Arc::new(Switch {
            open: Arc::new(AtomicBool::new(true)),
        });
        let api = Api::new(
            platform.clone(),
            Arc::new(engines.clone()),
            gate.clone(),
            Arc::new(|| (Role::Primary, None)),
            HostInfo {
                version: "0.1.0".to_owned(),
                os: "linux".to_owned(),
                ..HostInfo::default()
            },
            Scheduler::new(Strategy::Spread, Filter::ALL.to_vec(), 5, Random::new(1)),
            settings,
        );
        let server = Server::new(
            platform.clone(),
            ServerConfig::default(),
            Arc::new(Front(api.clone())),
        );
        let listener = platform
            .listen(&ListenAddress::Tcp {
                host: "127.0.0.1".to_owned(),
                port: 0,
            })
            .await
            .unwrap();
        let manager = listener.local_address().to_string().parse().unwrap();
        server.serve(listener);
        let mut rig = Self {
            platform,
            api,
            engines,
            doubles: Vec::new(),
            addresses: Vec::new(),
            stops: Vec::new(),
            client,
            manager,
            server,
            gate,
        };
        for options in options {
            let double = Double::new(Arc::new(TokioHost::new()), options);
            let (address, stop) = serve_tcp("127.0.0.1:0", double.clone()).await.unwrap();
            let address: HostPort = address.to_string().parse().unwrap();
            rig.engines.add(&address);
            rig.doubles.push(double);
            rig.addresses.push(address);
            rig.stops.push(stop);
        }
        rig.engines.listed();
        rig.until("all engines are healthy", |cluster| {
            cluster
                .engines()
                .all(swarm_core::cluster::Engine::is_healthy)
        })
        .await;
        rig
    }

    /// Waits until the view is as wanted.
    pub(super) async fn until(
        &self,
        what: &str,
        wanted: impl Fn(&swarm_core::cluster::Cluster) -> bool,
    ) {
        let looking = async {
            while !wanted(&self.api.fleet.cluster().read()) {
                sleep(&*self.platform, Duration::from_millis(5)).await;
            }
        };
        let found = timeout(&*self.platform, Duration::from_secs(20), looking).await;
        assert!(found.is_ok(), "never: {what}");
    }

    /// Cuts an engine off and waits until the manager has noticed.
    pub(super) async fn fail(&self, number: usize) {
        self.doubles[number].set_faults(|faults| faults.stopped = true);
        let address = &self.addresses[number];
        self.until("the engine is unhealthy", |cluster| {
            cluster
                .engine(address)
                .is_some_and(|engine| !engine.is_healthy())
        })
        .await;
    }

    pub(super) async fn open(&self, request: Request<Body>, upgrade: bool) -> Response<Body> {
        let options = if upgrade {
            SendOptions::upgrade()
        } else {
            SendOptions::default()
        };
        self.client
            .send_with(&self.manager, request, options, || {
                Ok::<_, std::io::Error>(())
            })
            .await
            .unwrap()
    }

    pub(super) async fn ask(&self, method: &str, target: &str) -> Reply {
        self.send(method, target, &[], "").await
    }

    pub(super) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Reply {
        let request = request(method, target, headers, body);
        Reply::of(self.open(request, false).await).await
    }

    /// Sends JSON.
    pub(super) async fn post(&self, target: &str, body: &Value) -> Reply {
        self.send("POST", target, &[], &body.to_string()).await
    }

    /// Asks one engine itself.
    pub(super) async fn ask_engine(&self, number: usize, method: &str, target: &str) -> Reply {
        let request = request(method, target, &[], "");
        let response = self.client.send(&self.addresses[number], request).await;
        Reply::of(response.unwrap()).await
    }

    /// Creates a container and answers its ID.
    pub(super) async fn create(&self, name: &str, command: &[&str]) -> String {
        let id = format!("{name:0>64}");
        let body = json!({"Image": "alpine", "Cmd": command}).to_string();
        let target = format!("/v1.41/containers/create?name={name}");
        let reply = self.send("POST", &target, &[("test-id", &id)], &body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["Id"].as_str().unwrap().to_owned()
    }

    /// Creates and starts a container that goes on until it is stopped.
    pub(super) async fn run(&self, name: &str) -> String {
        let id = self.create(name, &["top"]).await;
        let reply = self
            .ask("POST", &format!("/v1.41/containers/{id}/start"))
            .await;
        assert_eq!(reply.status, 204, "{reply:?}");
        id
    }

    /// Names in `GET /containers/json` with this query.
    pub(super) async fn names(&self, query: &str) -> Vec<String> {
        let reply = self
            .ask("GET", &format!("/v1.41/containers/json?{query}"))
            .await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let list = reply.json();
        let list = list.as_array().unwrap().iter();
        list.map(|one| one["Names"][0].as_str().unwrap().to_owned())
            .collect()
    }

    /// Ends everything the rig started.
    pub(super) async fn close(self) {
        self.server.shutdown(Duration::ZERO).await;
        for stop in self.stops {
            stop.stop().await;
        }
    }
}

pub(super) fn request(
    method: &str,
    target: &str,
    headers: &[(&'static str, &str)],
    body: &str,
) -> Request<Body> {
    let mut builder = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let body = match body {
        "" => body::empty(),
        text => body::full(text.to_owned()),
    };
    builder.body(body).unwrap()
}

#[tokio::test]
async fn ping_version_and_info_are_answered_here() {
    let rig = Rig::new(2).await;
    let ping = rig.ask("GET", "/_ping").await;
    assert_eq!((ping.status, ping.text.as_str()), (200, "OK"));
    assert_eq!(ping.headers["api-version"], "1.41");
    assert_eq!(ping.headers["ostype"], "linux");
    let ping = rig.ask("HEAD", "/_ping").await;
    assert_eq!((ping.status, ping.text.as_str()), (200, ""));
    let version = rig.ask("GET", "/v1.41/version").await.json();
    assert_eq!(version["ApiVersion"], "1.41");
    let info = rig.ask("GET", "/v1.41/info").await.json();
    assert_eq!(info["NCPU"], 8);
    assert_eq!(info["SystemStatus"][0], json!(["Role", "primary"]));
    rig.close().await;
}

#[tokio::test]
async fn versions_no_engine_speaks_are_refused_in_dockers_words() {
    let rig = Rig::new(1).await;
    for (version, text) in [
        (
            "1.42",
            "client version 1.42 is too new. Maximum supported API version is 1.41",
        ),
        (
            "1.12",
            "client version 1.12 is too old. Minimum supported API version is 1.24",
        ),
    ] {
        let reply = rig
            .ask("GET", &format!("/v{version}/containers/json"))
            .await;
        assert_eq!(reply.status, 400);
        assert!(reply.message().starts_with(text), "{reply:?}");
    }
    rig.close().await;
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let rig = Rig::new(1).await;
    for (method, target) in [
        ("GET", "/images/viz"),
        ("POST", "/v1.41/plugins/create?name=own"),
        ("POST", "/v1.41/swarm/init"),
    ] {
        let reply = rig.ask(method, target).await;
        assert_eq!(reply.status, 501, "{reply:?}");
        assert!(
            reply
                .message()
                .ends_with("is not supported by this version of swarm")
        );
    }
    rig.close().await;
}

#[tokio::test]
async fn routes_of_swarm_mode_answer_as_an_engine_without_it() {
    let rig = Rig::new(1).await;
    for target in ["/v1.41/swarm", "/nodes", "/v1.41/services/web", "/secrets"] {
        let reply = rig.ask("GET", target).await;
        let engine = rig.ask_engine(0, "GET", target).await;
        assert_eq!(
            (reply.status, reply.message()),
            (engine.status, engine.message()),
            "{target}"
        );
    }
    rig.close().await;
}
