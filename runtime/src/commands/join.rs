//! `swarm join`

use anyhow::Context;
use swarm_core::config::Join;
use tokio::sync::oneshot;

use super::signal::StopSignals;
use super::store;
use crate::agent::Agent;
use crate::platform::SharedPlatform;

/// Registers an engine until told to stop, then takes the registration away. A second signal ends it at once.
///
/// # Errors
/// When the store refuses the registration for good.
pub async fn join(platform: SharedPlatform, config: Join) -> anyhow::Result<()> {
    let mut signals = StopSignals::new().context("cannot handle signals")?;
    let opened = store::open(&platform, &config.discovery)?;
    opened.certificates.start();
    let agent = Agent::new(platform, opened.store, config);
    let (stop, stopped) = oneshot::channel();
    let running = agent.run(async {
        // A closed channel means the same.
        let _ = stopped.await;
    });
    let signalled = async {
        let name = signals.next().await;
        tracing::info!(signal = name, "Stopping");
        let _ = stop.send(());
        signals.next().await;
    };
    tokio::select! {
        biased;
        () = signalled => Ok(()),
        ended = running => Ok(ended?),
    }
}
