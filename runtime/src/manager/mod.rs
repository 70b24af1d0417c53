//! One manager, put together: discovery feeds engines, the election says who acts, the proxy leads requests there.
//!
//! [`Manager::start`] is what `swarm manage` runs and what the simulation runs.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use swarm_core::address::HostPort;
use swarm_core::cluster::HostInfo;
use swarm_core::config::Manage;
use swarm_core::discovery::Change;
use swarm_core::election::lease::operation_timeout;
use swarm_core::election::{ElectionConfig, Resignation};
use swarm_core::engine::EngineOptions;
use swarm_core::proxy::View;
use swarm_core::scheduler::Scheduler;

use crate::api::{self, Api, Gate, OpenGate};
use crate::discovery::{Source, follow};
use crate::election::{ElectionView, Elector};
use crate::engine::Engines;
use crate::http::Server;
use crate::http::client::Client;
use crate::http::server::ServerConfig;
use crate::platform::SharedPlatform;
use crate::proxy::{Proxy, Settings};
use crate::store;
use crate::tls::Keeper;

mod browser;
mod drain;
mod front;
mod health;
mod leaving;
mod legs;
mod metrics;
mod peers;
mod placement;
mod report;
mod startup;
pub mod status;

pub(crate) use legs::Legs;
pub use peers::{Peers, ask_status};
pub(crate) use startup::{classic_holder, status_of};

use browser::Browsers;
use drain::Drains;
use front::Front;
use leaving::Leaving;
use metrics::Metrics;
use report::Reporter;

/// A store operation of a manager that takes no part in an election.
const OPERATION_DEFAULT: Duration = Duration::from_secs(5);

/// A running manager.
pub struct Manager {
    elector: Option<Arc<Elector>>,
    server: Server,
    engines: Engines,
    proxy: Arc<Proxy>,
    certificates: Arc<Keeper>,
    stop_timeout: Duration,
}

impl Manager {
    /// Starts a manager. `instance` names this process; `host` is what `/info` and `/version` tell of the machine.
    ///
    /// # Errors
    /// When it must not start (a classic manager or another one with the same `--advertise` is there) or cannot listen.
    pub async fn start(
        platform: &SharedPlatform,
        config: &Manage,
        instance: &str,
        host: HostInfo,
    ) -> anyhow::Result<Self> {
        let scheduler = placement::scheduler(config, platform.random("placement"));
        let legs = Legs::new(platform, config)?;
        let election = config
            .replication
            .as_ref()
            .map(|replication| ElectionConfig {
                advertise: replication.advertise.clone(),
                instance: instance.to_owned(),
                lease: replication.lease,
                fence: replication.fence,
                failsafe: replication.failsafe,
            });
        let operation = election.as_ref().map_or(OPERATION_DEFAULT, |election| {
            operation_timeout(election.lease)
        });
        let store = store::open(platform, &legs.store, &config.discovery, operation);
        if let (Some(election), Some(store)) = (&election, &store) {
            startup::refuse_conflicts(platform, &legs.peers, store.as_ref(), election).await?;
        }
        let Some(source) = Source::new(&config.discovery.discovery, store.clone()) else {
            bail!(
                "discovery {:?} is not supported by this version",
                config.discovery.text
            );
        };
        let listeners = startup::listen(platform, &config.listen).await?;
        legs.warn_of_impostors(config);
        legs.keeper.start();
        let engines = Engines::new(
            platform.clone(),
            legs.engines.clone(),
            engine_options(config),
            &config.limits,
        );
        let drains = match &store {
            Some(store) => Some(Drains::start(platform, store.clone(), engines.clone()).await),
            None => None,
        };
        let elector = election
            .zip(store)
            .map(|(election, store)| Elector::start(platform, store, &legs.peers, election));
        let parts = Parts {
            platform,
            config,
            instance,
            legs: &legs,
            engines: &engines,
            drains,
        };
        let front = parts.assemble(elector.clone(), host, scheduler);
        let proxy = front.proxy.clone();
        let server = Server::new(platform.clone(), ServerConfig::from(&config.limits), front);
        for listener in listeners {
            startup::serve(&server, listener, legs.listener.as_ref());
        }
        follow_engines(platform, source, config.heartbeat, engines.clone());
        if let Some(elector) = &elector {
            startup::check_advertise(platform, &legs.peers, elector);
        }
        Ok(Self {
            elector,
            server,
            engines,
            proxy,
            certificates: legs.keeper,
            stop_timeout: config.limits.stop_timeout,
        })
    }

    /// This manager's part in the election; `None` without `--replication`.
    #[must_use]
    pub fn elector(&self) -> Option<&Arc<Elector>> {
        self.elector.as_ref()
    }

    /// The engines it looks after.
    #[must_use]
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// What becomes of the requests of its clients.
    #[must_use]
    pub fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }

    /// What looks after its certificates.
    #[must_use]
    pub fn certificates(&self) -> &Arc<Keeper> {
        &self.certificates
    }

    /// Hands the lease over, then lets requests that are under way end, for `--stop-timeout` at most.
    pub async fn stop(&self) {
        if let Some(elector) = &self.elector {
            elector.resign(Resignation::Stop).await;
        }
        self.server.shutdown(self.stop_timeout).await;
    }
}

/// What the parts of a manager are made from.
struct Parts<'a> {
    platform: &'a SharedPlatform,
    config: &'a Manage,
    instance: &'a str,
    legs: &'a Legs,
    engines: &'a Engines,
    drains: Option<Arc<Drains>>,
}

impl Parts<'_> {
    fn assemble(
        &self,
        elector: Option<Arc<Elector>>,
        host: HostInfo,
        scheduler: Scheduler,
    ) -> Arc<Front> {
        let peers = elector
            .as_ref()
            .map(|elector| Peers::start(self.platform, self.to_peers(), elector.clone()));
        let patience = self
            .config
            .replication
            .as_ref()
            .map_or(Duration::ZERO, |one| one.primary_wait);
        let gate: Arc<dyn Gate> = match &elector {
            Some(elector) => Arc::new(elector.gate(patience)),
            None => Arc::new(OpenGate),
        };
        let version = host.version.clone();
        let reporter = Reporter::new(
            self.instance,
            version,
            elector.clone(),
            peers.clone(),
            self.engines.clone(),
            self.platform,
            &self.legs.keeper,
        );
        let api = Api::new(
            self.platform.clone(),
            Arc::new(self.engines.clone()),
            gate,
            reporter.role_source(),
            host,
            scheduler,
            api::Settings {
                create_retry: self.config.create_retry,
                limits: self.config.limits,
            },
        );
        let proxy = Proxy::new(
            self.platform,
            self.to_peers(),
            api.clone(),
            self.proxy_settings(peers.clone()),
        );
        match &elector {
            Some(elector) => {
                follow_election(self.platform, elector, &proxy);
                api.watch_for_doubles(elector.view());
                api.reschedule(Some(elector.view()), self.config.reschedule_grace);
            }
            None => {
                proxy.set_view(View::Primary {
                    address: unadvertised(),
                    epoch: 0,
                    local: true,
                });
                api.reschedule(None, self.config.reschedule_grace);
            }
        }
        Arc::new(Front {
            platform: self.platform.clone(),
            proxy,
            metrics: Metrics::new(reporter.clone(), self.config.is_exposed()),
            reporter,
            peers,
            elector,
            drains: self.drains.clone(),
            browsers: Browsers::allowed(self.config.cors),
        })
    }

    /// Towards other managers.
    fn to_peers(&self) -> Client {
        self.legs.peers.clone()
    }

    fn proxy_settings(&self, peers: Option<Arc<Peers>>) -> Settings {
        let replication = self.config.replication.as_ref();
        Settings {
            instance: self.instance.to_owned(),
            own_address: replication.map_or_else(unadvertised, |one| one.advertise.clone()),
            primary_wait: replication.map_or(Duration::ZERO, |one| one.primary_wait),
            limits: self.config.limits,
            is_peer: Arc::new(move |peer| peers.as_ref().is_some_and(|peers| peers.is_peer(peer))),
        }
    }
}

fn engine_options(config: &Manage) -> EngineOptions {
    EngineOptions {
        refresh_min: config.engines.refresh_min,
        refresh_max: config.engines.refresh_max,
        failure_retry: config.engines.failure_retry,
    }
}

/// A manager without `--replication` is reached by its clients only.
fn unadvertised() -> HostPort {
    HostPort::localhost()
}

fn follow_engines(
    platform: &SharedPlatform,
    source: Source,
    heartbeat: Duration,
    engines: Engines,
) {
    let mut changes = follow(platform, source, heartbeat);
    engines.limit_first_look();
    let mut leaving = Leaving::new(platform, engines.clone());
    let task = async move {
        loop {
            let change = tokio::select! {
                biased;
                change = changes.recv() => change,
                () = leaving.look() => continue,
            };
            let Some(Change { added, removed, .. }) = change else {
                return;
            };
            for engine in &removed {
                leaving.remove(engine);
            }
            for engine in &added {
                leaving.stays(engine);
                engines.add(engine);
            }
            engines.listed();
        }
    };
    platform.spawn("follow engines", Box::pin(task));
}

/// Tells the proxy who the primary is, for as long as there is an election.
fn follow_election(platform: &SharedPlatform, elector: &Arc<Elector>, proxy: &Arc<Proxy>) {
    let own = elector.config().advertise.clone();
    let mut views = elector.view();
    let proxy = Arc::downgrade(proxy);
    let task = async move {
        loop {
            let view = proxy_view(&views.borrow_and_update(), &own);
            let Some(proxy) = proxy.upgrade() else { return };
            proxy.set_view(view);
            drop(proxy);
            if views.changed().await.is_err() {
                return;
            }
        }
    };
    platform.spawn("follow election", Box::pin(task));
}

/// A lapsed primary still serves: its mutations wait at the gate, its reads go on.
fn proxy_view(view: &ElectionView, own: &HostPort) -> View {
    match (&view.authority, &view.leader) {
        (Some(authority), _) => View::Primary {
            address: own.clone(),
            epoch: authority.epoch,
            local: true,
        },
        (None, Some(leader)) if leader.address != *own => View::Primary {
            address: leader.address.clone(),
            epoch: leader.epoch,
            local: false,
        },
        // The record names this manager, or an earlier process of it: nobody acts until the next swap.
        (None, _) => View::Unknown,
    }
}

#[cfg(test)]
mod tests;
