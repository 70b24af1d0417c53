//! `swarm manage`: a manager as a process, with its guard and its signals.

use std::sync::Arc;

use anyhow::Context;
use swarm_core::cluster::HostInfo;
use swarm_core::config::Manage;
use swarm_core::discovery::Discovery;

use super::StopSignals;
use crate::guard::{self, Order};
use crate::manager::Manager;
use crate::platform::SharedPlatform;

/// Runs a manager until SIGTERM or SIGINT; a second one ends it at once.
///
/// # Errors
/// When the manager cannot start.
pub async fn manage(
    platform: SharedPlatform,
    config: Manage,
    host: HostInfo,
) -> anyhow::Result<()> {
    let mut signals = StopSignals::new().context("cannot listen for signals")?;
    let instance = platform.random("instance").hex(16);
    if let Some(order) = guard_order(&config, &instance) {
        guard::keep(&platform, order);
    }
    let manager = Arc::new(Manager::start(&platform, &config, &instance, host).await?);
    let name = signals.next().await;
    tracing::info!("Received {name}: handing over and shutting down");
    tokio::select! {
        biased;
        again = signals.next() => tracing::warn!("Received {again} again: ending at once"),
        () = manager.stop() => {}
    }
    Ok(())
}

/// What the guard of this manager has to know; none without an election.
fn guard_order(config: &Manage, instance: &str) -> Option<Order> {
    let replication = config.replication.as_ref()?;
    let Discovery::Consul { servers, prefix } = &config.discovery.discovery else {
        return None;
    };
    Some(Order {
        servers: servers.clone(),
        token: config
            .discovery
            .options
            .consul_token
            .as_ref()
            .map(|token| token.reveal().to_owned()),
        prefix: prefix.clone(),
        kv_path: config.discovery.options.kv_path.clone(),
        instance: instance.to_owned(),
        lease_ms: u64::try_from(replication.lease.as_millis()).unwrap_or(u64::MAX),
    })
}
