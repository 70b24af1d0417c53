//! Whom a manager speaks to, and what protects that.

use std::sync::Arc;

use swarm_core::config::Manage;

use crate::http::Client;
use crate::http::client::ClientConfig;
use crate::platform::SharedPlatform;
use crate::tls::{ClientTls, Keeper, ServerTls, TlsError};

/// The clients of a manager. Those without TLS are one.
pub(super) struct Legs {
    pub(super) peers: Client,
    pub(super) engines: Client,
    pub(super) store: Client,
    /// What its own listeners speak.
    pub(super) listener: Option<Arc<ServerTls>>,
    pub(super) keeper: Arc<Keeper>,
}

impl Legs {
    pub(super) fn new(platform: &SharedPlatform, config: &Manage) -> Result<Self, TlsError> {
        let plain = Client::new(platform.clone(), ClientConfig::default());
        let mut keeper = Keeper::new(platform);
        let mut client = |tls: Option<Arc<ClientTls>>| match tls {
            None => plain.clone(),
            Some(tls) => {
                keeper.add_client(&tls);
                Client::with_tls(platform.clone(), ClientConfig::default(), Some(tls))
            }
        };
        let tls = &config.tls;
        let managers = |config| ClientTls::to_managers(platform, config);
        let peers = client(tls.peers.as_ref().map(managers).transpose()?);
        let engines = client(ClientTls::optional(platform, tls.engines.as_ref())?);
        let store = config.discovery.options.tls.as_ref();
        let store = client(ClientTls::optional(platform, store)?);
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

    /// Says so when any certificate passes as a manager's.
    pub(super) fn warn_of_impostors(&self, config: &Manage) {
        let verified = config
            .tls
            .peers
            .as_ref()
            .is_some_and(|tls| tls.ca.is_some());
        let known = self
            .listener
            .as_ref()
            .is_some_and(|tls| tls.knows_managers());
        if config.replication.is_some() && verified && !known {
            tracing::warn!(
                "Nothing tells the certificates of managers from others of the same CA: an engine could pass as a \
                 manager. Give managers a CA of their own with --peer-tlscacert, or the name URI:{} in their \
                 certificates",
                crate::tls::MANAGER_URI
            );
        }
    }
}
