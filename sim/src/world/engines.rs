//! Engines, and the agents that register them.

use std::sync::Arc;
use std::time::Duration;

use swarm::agent::Agent;
use swarm::http::Client;
use swarm::http::client::ClientConfig;
use swarm::platform::{BoxFuture, Platform, SharedPlatform, sleep};
use swarm::store;
use swarm_core::address::ListenAddress;
use swarm_core::config::{Join, RawDiscovery, RawJoin};
use swarm_models::engine::{Engine, Options};
use swarm_models::{BoxIo, Service};
use turmoil::Sim;

use super::hosts::{Over, Slot, settle};
use super::platform::SimPlatform;
use super::witness::SharedWitness;

/// Where engines listen.
pub(crate) const ENGINE_PORT: u16 = 2_375;
/// How long a pull takes.
const PULL: Duration = Duration::from_millis(300);
/// Before an agent that gave up is started again, as a supervisor does.
const AGENT_RESTART: Duration = Duration::from_secs(1);
/// How long one operation of an agent may take.
const OPERATION: Duration = Duration::from_secs(5);

/// Puts an engine on `slot`. It outlives the process: containers stay when a daemon restarts.
pub(crate) fn add(sim: &mut Sim<'static>, slot: &Slot, witness: &SharedWitness) -> Arc<Engine> {
    let host = Arc::new(slot.platform.clone());
    let clock = slot.platform.wall();
    let options = Options {
        clock,
        // Longer than a clean failover, so that a primary can change between the steps of a create.
        pull_takes: PULL,
        ..Options::new(&slot.name)
    };
    let engine = Engine::new(host, options);
    let (served, over) = (engine.clone(), slot.over.clone());
    settle(sim, slot, witness, move |life, platform| {
        let engine = served.clone();
        if life > 1 {
            engine.restarted();
        }
        serve(platform, ENGINE_PORT, over.clone(), move || engine.clone())
    });
    engine
}

/// Serves a double on a port, each connection in a task of its own.
pub(crate) fn serve(
    platform: SimPlatform,
    port: u16,
    over: Over,
    double: impl Fn() -> Arc<dyn Service> + Send + 'static,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let service = double();
        let any = ListenAddress::Tcp {
            host: String::new(),
            port,
        };
        let mut listener = match platform.listen(&any).await {
            Ok(listener) => listener,
            Err(error) => return over.tell(Err(error.to_string())),
        };
        loop {
            match listener.accept().await {
                Ok((io, _peer)) => {
                    let io = Box::new(io) as BoxIo;
                    Platform::spawn(&platform, "connection", service.serve(io));
                }
                Err(error) => return over.tell(Err(error.to_string())),
            }
        }
    })
}

/// Puts the agent of an engine on `slot`.
pub(crate) fn add_agent(
    sim: &mut Sim<'static>,
    slot: &Slot,
    config: Join,
    witness: &SharedWitness,
) {
    settle(sim, slot, witness, move |_life, platform| {
        Box::pin(register(Arc::new(platform), config.clone()))
    });
}

/// What `swarm join` does under a supervisor.
async fn register(platform: SharedPlatform, config: Join) {
    loop {
        let client = Client::new(platform.clone(), ClientConfig::default());
        if let Some(store) = store::open(&platform, &client, &config.discovery, OPERATION) {
            let agent = Agent::new(platform.clone(), store, config.clone());
            // Nobody stops it; that it gave up is in its log.
            let _ = agent.run(std::future::pending()).await;
        }
        sleep(platform.as_ref(), AGENT_RESTART).await;
    }
}

/// The configuration of the agent of engine `n`; goes through the same parsing as the command line.
///
/// # Errors
/// What the command line would say.
pub(crate) fn agent_config(n: u8, discovery: &RawDiscovery) -> Result<Join, String> {
    let raw = RawJoin {
        advertise: Some(format!("e{n}:{ENGINE_PORT}")),
        heartbeat: "5s".to_owned(),
        ttl: "20s".to_owned(),
        discovery: discovery.clone(),
        ..RawJoin::default()
    };
    Join::try_from(raw).map_err(|error| error.to_string())
}
