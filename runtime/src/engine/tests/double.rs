//! Against the modelled engine: what the Engine API says, not what this crate expects it to say.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use swarm_models::Service;
use swarm_models::engine::{Engine, Options};
use swarm_models::tokio_host::TokioHost;

use super::*;
use crate::http::body;

struct Double {
    engine: Arc<Engine>,
    address: HostPort,
}

impl Double {
    /// A modelled engine called `name`, reachable on the platform's network.
    fn start(platform: &Arc<TestPlatform>, name: &str) -> Self {
        let address = HostPort::new(name, 2375).unwrap();
        let engine = Engine::new(Arc::new(TokioHost::new()), Options::new(name));
        let mut incoming = platform.bind(&address);
        let (service, tasks) = (Arc::clone(&engine), Arc::clone(platform));
        platform.spawn(
            "double",
            Box::pin(async move {
                while let Some((io, _)) = incoming.recv().await {
                    tasks.spawn("double-connection", service.serve(Box::new(io)));
                }
            }),
        );
        Self { engine, address }
    }

    /// One request of a client, which must succeed.
    async fn ask(
        &self,
        engines: &Engines,
        method: Method,
        path: &str,
        text: &'static str,
    ) -> Bytes {
        let mut request = Request::new(body::full(text));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        let json = http::HeaderValue::from_static("application/json");
        request
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, json);
        let open: BeforeSend = Box::new(|| Ok(()));
        let sent = engines.send(&self.address, request, SendOptions::default(), open);
        let response = sent.await.unwrap();
        let status = response.status();
        let text = body::collect_limited(response.into_body(), 1 << 20)
            .await
            .unwrap();
        assert!(status.is_success(), "{path}: {status} {text:?}");
        text
    }

    async fn run(&self, engines: &Engines, name: &str, body: &'static str) {
        let path = format!("/containers/create?name={name}");
        self.ask(engines, Method::POST, &path, body).await;
        let path = format!("/containers/{name}/start");
        self.ask(engines, Method::POST, &path, "").await;
    }

    /// Containers in the view as `name phase`, by name.
    fn seen(&self, engines: &Engines) -> Vec<String> {
        let view = engines.cluster().read();
        let engine = view.engine(&self.address).unwrap();
        let mut seen: Vec<_> = engine
            .containers()
            .map(|container| format!("{} {}", container.name(), container.state.phase))
            .collect();
        seen.sort();
        seen
    }

    fn state(&self, engines: &Engines) -> EngineState {
        engines
            .cluster()
            .read()
            .engine(&self.address)
            .unwrap()
            .state
    }
}

const SLEEPS: &str = r#"{"Image":"alpine","Cmd":["sleep","100000"]}"#;
const ENDS: &str = r#"{"Image":"alpine","Cmd":["sleep","5"]}"#;

async fn healthy() -> (World, Double) {
    let world = World::new();
    let double = Double::start(&world.platform, "node-1");
    world.engines.add(&double.address);
    world.pass(1).await;
    assert_eq!(double.state(&world.engines), EngineState::Healthy);
    (world, double)
}

#[tokio::test(start_paused = true)]
async fn containers_networks_and_volumes_of_the_double_are_followed() {
    let (world, double) = healthy().await;
    let engines = &world.engines;
    double.run(engines, "long", SLEEPS).await;
    double.run(engines, "short", ENDS).await;
    world.pass(1).await;
    assert_eq!(double.seen(engines), ["long running", "short running"]);
    world.pass(6).await;
    assert_eq!(double.seen(engines), ["long running", "short exited"]);
    double
        .ask(engines, Method::POST, "/containers/long/pause", "")
        .await;
    double
        .ask(
            engines,
            Method::POST,
            "/containers/short/rename?name=past",
            "",
        )
        .await;
    double
        .ask(
            engines,
            Method::POST,
            "/networks/create",
            r#"{"Name":"back"}"#,
        )
        .await;
    double
        .ask(
            engines,
            Method::POST,
            "/volumes/create",
            r#"{"Name":"data"}"#,
        )
        .await;
    world.pass(1).await;
    assert_eq!(double.seen(engines), ["long paused", "past exited"]);
    {
        let view = engines.cluster().read();
        let engine = view.engine(&double.address).unwrap();
        assert!(engine.networks().any(|network| network.name == "back"));
        assert!(engine.volumes().any(|volume| volume.name == "data"));
        assert_eq!(engine.images().len(), 3);
    }
    double
        .ask(engines, Method::DELETE, "/containers/past", "")
        .await;
    double
        .ask(engines, Method::DELETE, "/networks/back", "")
        .await;
    double
        .ask(engines, Method::DELETE, "/volumes/data", "")
        .await;
    world.pass(1).await;
    assert_eq!(double.seen(engines), ["long paused"]);
    let view = engines.cluster().read();
    let engine = view.engine(&double.address).unwrap();
    assert!(!engine.networks().any(|network| network.name == "back"));
    assert_eq!(engine.volumes().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_frozen_or_babbling_double_is_unhealthy_until_it_returns() {
    type Fault = fn(&mut swarm_models::engine::Faults, bool);
    let faults: [Fault; 3] = [
        |faults, on| faults.stopped = on,
        |faults, on| faults.hung = on,
        |faults, on| faults.garbage = on,
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        let (world, double) = healthy().await;
        let engines = &world.engines;
        double.run(engines, "long", SLEEPS).await;
        double.run(engines, "short", ENDS).await;
        world.pass(1).await;
        let mut subscription = engines.subscribe(None);
        double.engine.set_faults(|faults| fault(faults, true));
        world.pass(90).await;
        assert_eq!(
            double.state(engines),
            EngineState::Unhealthy,
            "fault {number}"
        );
        assert_eq!(double.seen(engines).len(), 2, "fault {number}");
        double.engine.set_faults(|faults| fault(faults, false));
        world.pass(61).await;
        assert_eq!(
            double.state(engines),
            EngineState::Healthy,
            "fault {number}"
        );
        let told = drain(&world, &mut subscription).await;
        let swarm: Vec<_> = told
            .iter()
            .filter(|text| text.starts_with("engine"))
            .collect();
        assert_eq!(
            swarm,
            ["engine_disconnect", "engine_reconnect"],
            "fault {number}"
        );
        let deaths = told.iter().filter(|text| text.starts_with("die"));
        assert!(deaths.count() >= 1, "fault {number}: {told:?}");
        assert!(
            double.seen(engines).contains(&"short exited".to_owned()),
            "fault {number}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_event_stream_costs_no_event() {
    let (world, double) = healthy().await;
    let engines = &world.engines;
    let mut subscription = engines.subscribe(None);
    for number in 0..20 {
        if number % 3 == 0 {
            double.engine.cut_event_streams();
        }
        double.run(engines, &format!("c{number}"), SLEEPS).await;
    }
    world.pass(5).await;
    let told = drain(&world, &mut subscription).await;
    for verb in ["create", "start"] {
        let count = told.iter().filter(|text| text.starts_with(verb)).count();
        assert_eq!(count, 20, "{verb}: {told:?}");
    }
    assert_eq!(double.seen(engines).len(), 20);
    assert_eq!(double.state(engines), EngineState::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_double_with_another_id_is_a_new_engine() {
    let (world, double) = healthy().await;
    double
        .engine
        .set_faults(|faults| faults.daemon_id = Some("NEW".to_owned()));
    world.pass(400).await;
    assert_eq!(double.state(&world.engines), EngineState::Healthy);
    let view = world.engines.cluster().read();
    assert_eq!(view.engine(&double.address).unwrap().id(), "NEW");
}
