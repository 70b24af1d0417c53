//! The store of a command that takes no part in an election.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use swarm_core::config::DiscoveryConfig;

use crate::http::Client;
use crate::http::client::ClientConfig;
use crate::platform::SharedPlatform;
use crate::store::{self, Store};
use crate::tls::{ClientTls, Keeper};

/// How long one operation may take where no lease depends on it.
const OPERATION_LIMIT: Duration = Duration::from_secs(5);

/// A store, and what looks after the certificates it is reached with.
pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    pub(super) certificates: Arc<Keeper>,
}

/// Opens the store; nothing is sent yet.
pub(super) fn open(platform: &SharedPlatform, config: &DiscoveryConfig) -> anyhow::Result<Opened> {
    let tls = ClientTls::optional(platform, config.options.tls.as_ref())?;
    let mut certificates = Keeper::new(platform);
    if let Some(tls) = &tls {
        certificates.add_client(tls);
    }
    let client = Client::with_tls(platform.clone(), ClientConfig::default(), tls);
    match store::open(platform, &client, config, OPERATION_LIMIT) {
        Some(store) => Ok(Opened {
            store,
            certificates: Arc::new(certificates),
        }),
        None => bail!("{} is not a store this build can use", config.text),
    }
}
