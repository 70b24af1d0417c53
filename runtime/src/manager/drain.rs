//! Engines that get no new containers, because an operator says so.
//!
//! The store keeps them, one key each, and every manager follows it: a failover changes nothing, and any manager can take
//! the operator's word, also while there is no primary. Two operators who say different things of one engine at the same
//! time are two writes of one key, of which the store keeps the later.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::{Response, StatusCode};
use swarm_core::api::Query;
use swarm_core::cluster::{Cluster, Engine};
use swarm_core::watch;

use crate::api::Fleet;
use crate::engine::Engines;
use crate::http::error::error;
use crate::http::{Body, body};
use crate::platform::{SharedPlatform, sleep, timeout};
use crate::store::{Cursor, Store};

/// Between two looks at a store that fails, and at one that answers a watch at once.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_millis(20));
/// How long a change may take to come back from the store.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest ID of a daemon that becomes part of a key.
const ID_LEN_MAX: usize = 128;

/// What the store says of drained engines.
pub(super) struct Drains {
    platform: SharedPlatform,
    store: Arc<dyn Store>,
    engines: Engines,
    /// As read last.
    known: watch::Sender<BTreeSet<String>>,
}

impl Drains {
    /// Reads the store once, if it answers, and follows it for as long as somebody holds the result.
    pub(super) async fn start(
        platform: &SharedPlatform,
        store: Arc<dyn Store>,
        engines: Engines,
    ) -> Arc<Self> {
        let drains = Arc::new(Self {
            platform: platform.clone(),
            store: store.clone(),
            engines,
            known: watch::Sender::new(BTreeSet::new()),
        });
        let mut cursor = Cursor::default();
        // A manager that becomes primary at once must not place anything on a drained engine.
        let first = store.watch_drained(&mut cursor).await;
        let failing = first.is_err();
        if let Ok(drained) = first {
            drains.learn(drained);
        }
        let task = follow(
            platform.clone(),
            store,
            Arc::downgrade(&drains),
            cursor,
            failing,
        );
        platform.spawn("drained engines", Box::pin(task));
        drains
    }

    fn learn(&self, drained: BTreeSet<String>) {
        self.engines.cluster().write().set_drained(drained.clone());
        self.known.send_replace(drained);
    }

    /// Drains an engine or takes that back, and waits until this manager has it from the store.
    pub(super) async fn set(&self, query: Option<&str>, drained: bool) -> Response<Body> {
        let wanted = Query::new(query.unwrap_or_default()).value("engine");
        let found = find(&self.engines.cluster().read(), &wanted.unwrap_or_default());
        let (id, name) = match found {
            Ok(found) => found,
            Err(reason) => return error(StatusCode::NOT_FOUND, reason),
        };
        let mut known = self.known.subscribe();
        if let Err(problem) = self.store.set_drained(&id, &name, drained).await {
            return error(StatusCode::SERVICE_UNAVAILABLE, problem.to_string());
        }
        let seen = known.wait_for(|known| known.contains(&id) == drained);
        // It is in the store: this manager and the others will have it in a moment.
        let _ = timeout(self.platform.as_ref(), PATIENCE, seen).await;
        if drained {
            tracing::info!(
                "Engine {name} is drained as an operator asked: it gets no new containers"
            );
        } else {
            tracing::info!("Engine {name} takes containers again as an operator asked");
        }
        Response::new(body::full(format!("{{\"Engine\":\"{id}\"}}")))
    }
}

/// ID and name of the engine an operator calls `wanted`.
fn find(cluster: &Cluster, wanted: &str) -> Result<(String, String), String> {
    let called = |engine: &&Engine| engine.name() == wanted || engine.id() == wanted;
    let mut found = cluster.validated().filter(called);
    match (found.next(), found.next()) {
        (Some(engine), None) if is_key(engine.id()) => {
            Ok((engine.id().to_owned(), engine.name().to_owned()))
        }
        (Some(engine), None) => Err(format!(
            "engine {wanted} has an ID that cannot be kept in the store: {:?}",
            engine.id()
        )),
        (Some(one), Some(other)) => Err(format!(
            "several engines are called {wanted}: give the ID, {} ({}) or {} ({})",
            one.id(),
            one.address,
            other.id(),
            other.address
        )),
        (None, _) => {
            let mut names: Vec<_> = cluster.validated().map(Engine::name).collect();
            names.sort_unstable();
            let known = match names.is_empty() {
                true => "none".to_owned(),
                false => names.join(", "),
            };
            Err(format!(
                "no engine is called {wanted:?}; known are: {known}"
            ))
        }
    }
}

/// Whether a daemon's ID can be the last part of a key.
fn is_key(id: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_' | b'.');
    !id.is_empty() && id.len() <= ID_LEN_MAX && id.bytes().all(plain)
}

async fn follow(
    platform: SharedPlatform,
    store: Arc<dyn Store>,
    drains: Weak<Drains>,
    mut cursor: Cursor,
    mut failing: bool,
) {
    loop {
        let pause = if failing { PAUSES.0 } else { PAUSES.1 };
        sleep(platform.as_ref(), pause).await;
        let read = store.watch_drained(&mut cursor).await;
        let Some(drains) = drains.upgrade() else {
            return;
        };
        match read {
            Ok(drained) => {
                failing = false;
                drains.learn(drained);
            }
            Err(problem) => {
                if !std::mem::replace(&mut failing, true) {
                    let error = problem.to_string();
                    tracing::debug!(
                        error,
                        "Cannot read which engines are drained: those known so far stay"
                    );
                }
                cursor = Cursor::default();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use swarm_core::config::Limits;
    use swarm_core::discovery::{KV_PATH_DEFAULT, KeyLayout};
    use swarm_core::engine::EngineOptions;
    use swarm_models::engine::{Engine as Double, Options};
    use swarm_models::tokio_host::{StopHandle, TokioHost, serve_tcp};

    use super::*;
    use crate::http::client::{Client, ClientConfig};
    use crate::platform::TokioPlatform;
    use crate::store::Consul;
    use crate::store::consul::ConsulConfig;

    struct Manager {
        drains: Arc<Drains>,
        engines: Engines,
    }

    struct Bench {
        platform: SharedPlatform,
        managers: Vec<Manager>,
        stops: Vec<StopHandle>,
    }

    impl Bench {
        /// Two managers with a store and engines of these names.
        async fn new(names: &[&str]) -> Self {
            let platform: SharedPlatform = Arc::new(TokioPlatform::new().unwrap());
            let client = Client::new(platform.clone(), ClientConfig::default());
            let host = Arc::new(TokioHost::new());
            let store = swarm_models::consul::Cluster::new(
                host.clone(),
                swarm_models::consul::Options::default(),
            );
            let (at, stop) = serve_tcp("127.0.0.1:0", Arc::new(store.server(0)))
                .await
                .unwrap();
            let (mut stops, mut addresses) = (vec![stop], Vec::new());
            for (number, name) in names.iter().enumerate() {
                let mut options = Options::new(name);
                options.id = format!("ID:{number}");
                let double = Double::new(host.clone(), options);
                let (address, stop) = serve_tcp("127.0.0.1:0", double).await.unwrap();
                addresses.push(address.to_string().parse().unwrap());
                stops.push(stop);
            }
            let mut bench = Self {
                platform: platform.clone(),
                managers: Vec::new(),
                stops,
            };
            for _ in 0..2 {
                let config = ConsulConfig {
                    servers: vec![at.to_string().parse().unwrap()],
                    token: None,
                    layout: KeyLayout::new("nodes", KV_PATH_DEFAULT).unwrap(),
                    operation: Duration::from_millis(500),
                };
                let store = Consul::new(platform.clone(), client.clone(), config);
                let options = EngineOptions::default();
                let engines = Engines::new(
                    platform.clone(),
                    client.clone(),
                    options,
                    &Limits::default(),
                );
                for address in &addresses {
                    engines.add(address);
                }
                let drains = Drains::start(&platform, store, engines.clone()).await;
                bench.managers.push(Manager { drains, engines });
                let last = bench.managers.len() - 1;
                bench
                    .until(last, |cluster| cluster.engines().all(Engine::is_healthy))
                    .await;
            }
            bench
        }

        async fn until(&self, manager: usize, wanted: impl Fn(&Cluster) -> bool) {
            let looking = async {
                while !wanted(&self.managers[manager].engines.cluster().read()) {
                    sleep(&*self.platform, Duration::from_millis(5)).await;
                }
            };
            let found = timeout(&*self.platform, Duration::from_secs(20), looking).await;
            assert!(found.is_ok(), "never");
        }

        async fn set(&self, manager: usize, query: &str, drained: bool) -> (u16, String) {
            let drains = &self.managers[manager].drains;
            let (parts, body) = drains.set(Some(query), drained).await.into_parts();
            let text = body::collect_limited(body, 1 << 16).await.unwrap();
            let text = String::from_utf8(text.to_vec()).unwrap();
            (parts.status.as_u16(), text)
        }

        async fn close(self) {
            for stop in self.stops {
                stop.stop().await;
            }
        }
    }

    fn drained(cluster: &Cluster) -> Vec<&str> {
        let all = cluster
            .engines()
            .filter(|engine| cluster.is_drained(engine));
        all.map(Engine::name).collect()
    }

    #[tokio::test]
    async fn what_one_manager_is_told_every_manager_knows_also_one_that_starts_later() {
        let bench = Bench::new(&["node-0", "node-1"]).await;
        let (status, _) = bench.set(0, "engine=node-1", true).await;
        assert_eq!(status, 200);
        assert_eq!(
            drained(&bench.managers[0].engines.cluster().read()),
            ["node-1"]
        );
        bench
            .until(1, |cluster| drained(cluster) == ["node-1"])
            .await;
        let Manager { drains, engines } = &bench.managers[1];
        let late = Engines::new(
            bench.platform.clone(),
            engines.client().clone(),
            EngineOptions::default(),
            &Limits::default(),
        );
        let late = Drains::start(&bench.platform, drains.store.clone(), late).await;
        assert_eq!(late.known.borrow().len(), 1);
        assert_eq!(bench.set(1, "engine=ID%3A1", false).await.0, 200);
        bench.until(0, |cluster| drained(cluster).is_empty()).await;
        bench.close().await;
    }

    #[tokio::test]
    async fn a_name_that_means_no_engine_or_several_is_an_error_that_tells_them() {
        let bench = Bench::new(&["node-1", "node-0", "twin", "twin"]).await;
        for (query, told) in [
            (
                "engine=node-7",
                "no engine is called \\\"node-7\\\"; known are: node-0, node-1, twin, twin",
            ),
            ("", "no engine is called \\\"\\\""),
            (
                "engine=twin",
                "several engines are called twin: give the ID, ID:2 (",
            ),
        ] {
            let (status, text) = bench.set(0, query, true).await;
            assert_eq!(status, 404);
            assert!(text.contains(told), "{text}");
        }
        bench.close().await;
    }

    #[test]
    fn only_plain_ids_become_keys() {
        for id in ["ABCD:EF12:x", "7f0e-11_a.b"] {
            assert!(is_key(id), "{id}");
        }
        for id in ["", "a/b", "..%2f", "a b", &"a".repeat(129)] {
            assert!(!is_key(id), "{id}");
        }
    }
}
