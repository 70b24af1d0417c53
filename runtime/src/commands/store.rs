//! The store of a configuration.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use swarm_core::config::DiscoveryConfig;
use swarm_core::discovery::Discovery;

use crate::http::Client;
use crate::http::client::ClientConfig;
use crate::platform::SharedPlatform;
use crate::store::consul::ConsulConfig;
use crate::store::{Consul, Store};

/// How long one operation may take where no lease depends on it.
const OPERATION_LIMIT: Duration = Duration::from_secs(5);

/// Opens the store; nothing is sent yet.
pub(super) fn open(
    platform: &SharedPlatform,
    config: &DiscoveryConfig,
) -> anyhow::Result<Arc<dyn Store>> {
    match (&config.discovery, &config.keys) {
        (Discovery::Consul { servers, .. }, Some(keys)) => {
            let client = Client::new(platform.clone(), ClientConfig::default());
            let consul = ConsulConfig {
                servers: servers.clone(),
                token: config.options.consul_token.clone(),
                layout: keys.clone(),
                operation: OPERATION_LIMIT,
            };
            Ok(Consul::new(platform.clone(), client, consul))
        }
        (
            Discovery::Consul { .. }
            | Discovery::Etcd { .. }
            | Discovery::ZooKeeper { .. }
            | Discovery::File(_)
            | Discovery::Nodes(_)
            | Discovery::Token,
            _,
        ) => bail!("{} is not a store this build can use", config.text),
    }
}
