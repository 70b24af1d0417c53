//! The store of a command that takes no part in an election.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use swarm_core::config::DiscoveryConfig;

use crate::http::Client;
use crate::http::client::ClientConfig;
use crate::platform::SharedPlatform;
use crate::store::{self, Store};

/// How long one operation may take where no lease depends on it.
const OPERATION_LIMIT: Duration = Duration::from_secs(5);

/// Opens the store; nothing is sent yet.
pub(super) fn open(
    platform: &SharedPlatform,
    config: &DiscoveryConfig,
) -> anyhow::Result<Arc<dyn Store>> {
    let client = Client::new(platform.clone(), ClientConfig::default());
    match store::open(platform, &client, config, OPERATION_LIMIT) {
        Some(store) => Ok(store),
        None => bail!("{} is not a store this build can use", config.text),
    }
}
