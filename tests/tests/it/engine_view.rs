//! The manager's view of a real Docker Engine that is stopped, started, frozen and loses power.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use swarm::api::Fleet;
use swarm::engine::{Engines, Subscription};
use swarm::http::client::{Client, ClientConfig};
use swarm::platform::{SharedPlatform, TokioPlatform};
use swarm_core::address::HostPort;
use swarm_core::cluster::EngineState;
use swarm_core::config::Limits;
use swarm_core::engine::EngineOptions as Options;
use swarm_tests::engines::{Engine, EngineOptions, IMAGE};
use swarm_tests::{docker, real, wait};

const LIMIT: Duration = Duration::from_secs(90);

struct Watched {
    engines: Engines,
    engine: Engine,
    address: HostPort,
    docker: docker::Docker,
}

impl Watched {
    async fn start() -> Result<Self> {
        let engine = Engine::start(EngineOptions::default()).await?;
        let address: HostPort = engine.address().to_string().parse()?;
        let platform: SharedPlatform = Arc::new(TokioPlatform::new()?);
        let client = Client::new(Arc::clone(&platform), ClientConfig::default());
        let engines = Engines::new(platform, client, Options::default(), &Limits::default());
        engines.add(&address);
        let watched = Self {
            engines,
            engine,
            address,
            docker: docker::newest()?,
        };
        watched.becomes(EngineState::Healthy).await?;
        Ok(watched)
    }

    async fn docker(&self, arguments: &[&str]) -> Result<String> {
        let host = self.engine.address().to_string();
        self.docker.run(&host, arguments).await?.success()
    }

    async fn becomes(&self, state: EngineState) -> Result<()> {
        wait::until(&format!("the engine is {state}"), LIMIT, async || {
            let view = self.engines.cluster().read();
            (view.engine(&self.address)?.state == state).then_some(())
        })
        .await
    }

    /// Waits until the view shows exactly these containers, as `name phase`.
    async fn shows(&self, wanted: &[&str]) -> Result<()> {
        wait::until(&format!("the view shows {wanted:?}"), LIMIT, async || {
            (self.seen() == wanted).then_some(())
        })
        .await
        .with_context(|| format!("it shows {:?}", self.seen()))
    }

    fn seen(&self) -> Vec<String> {
        let view = self.engines.cluster().read();
        let mut seen: Vec<_> = view
            .engine(&self.address)
            .into_iter()
            .flat_map(swarm_core::cluster::Engine::containers)
            .map(|container| format!("{} {}", container.name(), container.state.phase))
            .collect();
        seen.sort();
        seen
    }
}

/// Waits for an event of this action.
async fn told(subscription: &mut Subscription, action: &str) -> Result<()> {
    let wait = async {
        loop {
            if subscription.next().await?.event.action == action {
                return anyhow::Ok(());
            }
        }
    };
    tokio::time::timeout(LIMIT, wait)
        .await
        .with_context(|| format!("no event {action}"))?
}

#[tokio::test]
async fn the_view_follows_containers_of_a_real_engine() -> Result<()> {
    if !real::engines()? {
        return Ok(());
    }
    let watched = Watched::start().await?;
    let networks = watched.docker(&["network", "ls", "--quiet"]).await?;
    {
        let view = watched.engines.cluster().read();
        let engine = view.engine(&watched.address).context("engine")?;
        ensure!(engine.name() == watched.engine.name());
        ensure!(
            engine.networks().len() == networks.lines().count(),
            "the engine has {networks}"
        );
        ensure!(engine.images().len() == 1);
    }
    let run = ["run", "--detach", "--name=one", IMAGE, "sleep", "1000"];
    watched.docker(&run).await?;
    watched
        .docker(&["create", "--name=two", IMAGE, "true"])
        .await?;
    watched.shows(&["one running", "two created"]).await?;
    watched.docker(&["kill", "one"]).await?;
    watched.docker(&["rename", "two", "three"]).await?;
    watched.shows(&["one exited", "three created"]).await?;
    watched.docker(&["rm", "one"]).await?;
    watched.docker(&["volume", "create", "data"]).await?;
    watched.shows(&["three created"]).await?;
    wait::until("the view has the volume", LIMIT, async || {
        let view = watched.engines.cluster().read();
        (view.engine(&watched.address)?.volumes().len() == 1).then_some(())
    })
    .await
}

#[tokio::test]
async fn a_real_engine_that_stops_freezes_or_loses_power_comes_back_with_the_truth() -> Result<()> {
    if !real::engines()? {
        return Ok(());
    }
    let mut watched = Watched::start().await?;
    let mut events = watched.engines.subscribe(None);
    let run = ["run", "--detach", "--name=one", IMAGE, "sleep", "1000"];
    watched.docker(&run).await?;
    watched.shows(&["one running"]).await?;

    watched.engine.stop().await?;
    watched.becomes(EngineState::Unhealthy).await?;
    told(&mut events, "engine_disconnect").await?;
    ensure!(watched.seen().len() == 1, "nothing is removed");
    watched.engine.start_again().await?;
    watched.becomes(EngineState::Healthy).await?;
    told(&mut events, "engine_reconnect").await?;
    watched.shows(&["one exited"]).await?;

    watched.docker(&["start", "one"]).await?;
    watched.shows(&["one running"]).await?;
    watched.engine.power_off();
    watched.becomes(EngineState::Unhealthy).await?;
    watched.engine.start_again().await?;
    watched.becomes(EngineState::Healthy).await?;
    watched.shows(&["one exited"]).await?;

    watched.engines.refresh_all(&watched.address);
    watched.engine.freeze().await?;
    watched.becomes(EngineState::Unhealthy).await?;
    watched.engine.thaw()?;
    watched.becomes(EngineState::Healthy).await?;
    watched.docker(&["start", "one"]).await?;
    watched.shows(&["one running"]).await
}
