//! Whom a manager speaks to, and what protects that.

use std::sync::Arc;

use swarm_core::address::Reach;
use swarm_core::config::Manage;

use crate::http::Client;
use crate::http::client::ClientConfig;
use crate::platform::SharedPlatform;
use crate::tls::{ClientTls, Keeper, ServerTls, TlsError};

/// The clients of a manager.
pub(crate) struct Legs {
    pub(crate) peers: Client,
    pub(crate) engines: Client,
    pub(super) store: Client,
    /// What its own listeners speak.
    pub(super) listener: Option<Arc<ServerTls>>,
    pub(crate) keeper: Arc<Keeper>,
}

impl Legs {
    pub(crate) fn new(platform: &SharedPlatform, config: &Manage) -> Result<Self, TlsError> {
        let mut keeper = Keeper::new(platform);
        let limits = |reach| ClientConfig {
            reach,
            ..ClientConfig::from(&config.limits)
        };
        let mut client = |limits: ClientConfig, tls: Option<Arc<ClientTls>>| {
            if let Some(tls) = &tls {
                keeper.add_client(tls);
            }
            Client::with_tls(platform.clone(), limits, tls)
        };
        let to_peers = match &config.replication {
            Some(replication) => Reach::PeersOf {
                own: replication.advertise.clone(),
                allowed: replication.peers_allowed.clone(),
            },
            None => Reach::Anywhere,
        };
        // What is in a file or an argument is the operator's own word.
        let to_engines = match config.discovery.discovery.is_store() {
            true => Reach::Engines,
            false => Reach::Anywhere,
        };
        let tls = &config.tls;
        let managers = |config| ClientTls::to_managers(platform, config);
        let peers = tls.peers.as_ref().map(managers).transpose()?;
        let peers = client(limits(to_peers), peers);
        let engines = match ClientTls::optional(platform, tls.engines.as_ref())? {
            None => client(limits(to_engines).many_peers(), None),
            tls => client(limits(to_engines), tls),
        };
        let store = config.discovery.options.tls.as_ref();
        let store = client(
            limits(Reach::Anywhere),
            ClientTls::optional(platform, store)?,
        );
        let listener = tls.listener.as_ref();
        let listener = listener
            .map(|listener| ServerTls::new(platform, listener))
            .transpose()?;
        if let Some(listener) = &listener {
            keeper.add_server(listener);
        }
        Ok(Self {
            peers,
            engines,
            store,
            listener,
            keeper: Arc::new(keeper),
        })
    }

    pub(super) fn warn_of_impostors(&self, config: &Manage) {
        if let Some(warning) = self.impostors(config) {
            tracing::warn!("{warning}");
        }
    }

    /// What to say when any certificate passes as a manager's.
    pub(crate) fn impostors(&self, config: &Manage) -> Option<String> {
        let verified = config
            .tls
            .peers
            .as_ref()
            .is_some_and(|tls| tls.ca.is_some());
        let known = self
            .listener
            .as_ref()
            .is_some_and(|tls| tls.knows_managers());
        let concerned = config.replication.is_some() && verified && !known;
        concerned.then(|| {
            format!(
                "Nothing tells the certificates of managers from others of the same CA: an engine could pass as a \
                 manager. Give managers a CA of their own with --peer-tlscacert, or the name URI:{} in their \
                 certificates",
                crate::tls::MANAGER_URI
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use swarm_core::address::{HostPort, ListenAddress};
    use swarm_core::config::{ListenerTls, RawDiscovery, RawManage, RawTls, RawTlsFiles};

    use super::*;
    use crate::http::server::ServerConfig;
    use crate::http::testing::TestPlatform;
    use crate::http::{Body, Handler, Peer, Server, body};
    use crate::platform::{BoxFuture, Platform};
    use crate::tls::authority::Role;
    use crate::tls::testing::{Ca, Folder};

    /// A manager of this folder, by the flags a user gives.
    fn config(folder: &Folder) -> Manage {
        let text = |name: &str| folder.path().join(name).to_str().map(str::to_owned);
        let raw = RawManage {
            tls: RawTls {
                verify: true,
                own: RawTlsFiles {
                    ca: text("ca.ca.pem"),
                    cert: text("manager.pem"),
                    key: text("manager.key.pem"),
                },
                ..RawTls::default()
            },
            discovery: RawDiscovery {
                arguments: vec!["consul://c:8500/nodes".to_owned()],
                options: text("ca.ca.pem")
                    .map(|ca| format!("kv.cacertfile={ca}"))
                    .into_iter()
                    .collect(),
                ..RawDiscovery::default()
            },
            ..RawManage::default()
        };
        Manage::try_from(raw).unwrap()
    }

    struct Pong;

    impl Handler for Pong {
        fn handle(
            self: Arc<Self>,
            _: Request<Body>,
            _: Peer,
        ) -> BoxFuture<'static, Response<Body>> {
            Box::pin(async { Response::new(body::full("pong")) })
        }
    }

    async fn serve(platform: &Arc<TestPlatform>, host: &str, tls: &ListenerTls) -> HostPort {
        let shared: SharedPlatform = platform.clone();
        let tls = ServerTls::new(&shared, tls).unwrap();
        let at = TestPlatform::address(host);
        let (host, port) = (host.to_owned(), at.port());
        let listener = platform.listen(&ListenAddress::Tcp { host, port }).await;
        let server = Server::new(shared, ServerConfig::default(), Arc::new(Pong));
        server.serve_tls(listener.unwrap(), tls);
        at
    }

    #[tokio::test(start_paused = true)]
    async fn each_role_has_the_client_that_its_other_side_needs() {
        let (platform, folder) = (TestPlatform::new(), Folder::new());
        let ca = Ca::new(&folder, "ca", platform.wall());
        ca.issue(Role::Manager, "manager", "m2");
        ca.issue(Role::Engine, "engine", "e1");
        let manager = serve(&platform, "m2", &folder.listens("ca", "manager")).await;
        let engine = serve(&platform, "e1", &folder.listens("ca", "engine")).await;
        // A store that asks for no certificate.
        let store = ListenerTls {
            clients: None,
            ..folder.listens("ca", "engine")
        };
        ca.issue(Role::Engine, "engine", "c");
        let store = serve(&platform, "c", &store).await;

        let shared: SharedPlatform = platform.clone();
        let legs = Legs::new(&shared, &config(&folder)).unwrap();
        let ask = async |client: &Client, to: &HostPort| {
            let answer = client.send(to, Request::new(body::empty())).await;
            answer
                .map(|answer| answer.status().as_u16())
                .map_err(|error| error.to_string())
        };
        assert_eq!(ask(&legs.peers, &manager).await, Ok(200));
        assert_eq!(ask(&legs.engines, &engine).await, Ok(200));
        assert_eq!(ask(&legs.store, &store).await, Ok(200));
        // Were the key of the primary to name an engine, nothing would be forwarded to it.
        let error = ask(&legs.peers, &engine).await.unwrap_err();
        assert!(error.contains("not that of a manager"), "{error}");
        // The store gets no certificate of this manager.
        assert!(ask(&legs.store, &engine).await.is_err());
        assert!(legs.listener.unwrap().knows_managers());
        assert_eq!(legs.keeper.certificates().len(), 1);
    }

    /// What becomes of connections to `host`, with a certain address, to managers and to engines.
    async fn led(discovery: &str, host: &str, ip: &str) -> [String; 2] {
        let platform = TestPlatform::new();
        platform.name(host, ip);
        let raw = RawManage {
            replication: discovery.starts_with("consul"),
            advertise: Some("m1:4000".to_owned()),
            peers_allowed: vec!["innocent,fe80::/16,10.0.0.0/24".to_owned()],
            discovery: RawDiscovery {
                arguments: vec![discovery.to_owned()],
                ..RawDiscovery::default()
            },
            ..RawManage::default()
        };
        let shared: SharedPlatform = platform.clone();
        let legs = Legs::new(&shared, &Manage::try_from(raw).unwrap()).unwrap();
        let mut ends = Vec::new();
        for client in [&legs.peers, &legs.engines] {
            // Nobody listens there.
            let to = HostPort::new(host, 4000).unwrap();
            let end = client.send(&to, Request::new(body::empty())).await;
            ends.push(end.unwrap_err().to_string());
        }
        ends.try_into().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_store_names_leads_nowhere_else() {
        let store = "consul://c:8500/nodes";
        let refused = "a link-local address is neither a manager's nor an engine's";
        for (host, ip) in [("innocent", "169.254.169.254"), ("fe80::1", "fe80::1")] {
            for end in led(store, host, ip).await {
                assert!(end.contains(refused), "{end}");
            }
        }
        let [peer, engine] = led(store, "innocent", "127.0.0.1").await;
        assert!(
            peer.contains("innocent is at 127.0.0.1: a loopback"),
            "{peer}"
        );
        assert!(engine.contains("connection refused"), "{engine}");
        for end in led(store, "m1", "127.0.1.1").await {
            assert!(end.contains("connection refused"), "{end}");
        }
        let [peer, engine] = led(store, "stranger", "10.0.1.9").await;
        assert!(
            peer.ends_with("stranger is at 10.0.1.9: --peer-allow does not hold it"),
            "{peer}"
        );
        assert!(engine.contains("connection refused"), "{engine}");
        for end in led("nodes://e:1", "innocent", "169.254.169.254").await {
            assert!(end.contains("connection refused"), "{end}");
        }
    }

    #[test]
    fn without_tls_there_is_nothing_to_look_after() {
        let platform: SharedPlatform = TestPlatform::new();
        let raw = RawManage {
            discovery: RawDiscovery {
                arguments: vec!["consul://c:8500/nodes".to_owned()],
                ..RawDiscovery::default()
            },
            ..RawManage::default()
        };
        let legs = Legs::new(&platform, &Manage::try_from(raw).unwrap()).unwrap();
        assert!(legs.listener.is_none());
        assert!(!legs.keeper.has_any());
    }
}
