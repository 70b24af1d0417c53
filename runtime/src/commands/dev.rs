//! `swarm dev`: a whole cluster on this machine, to try out what a failover costs.
//!
//! The store and the modelled engines live in this process, the managers are processes that can be killed. Nothing is
//! left of it at the end: the managers end with the pipe that is their standard input, also when this process is
//! killed, and their guards end after them.

#[cfg(feature = "dev")]
mod bridge;
#[cfg(feature = "dev")]
mod ground;
#[cfg(feature = "dev")]
mod logs;
#[cfg(feature = "dev")]
mod managers;
#[cfg(feature = "dev")]
mod play;
#[cfg(feature = "dev")]
mod readers;
#[cfg(feature = "dev")]
mod screen;

use swarm_core::config::Dev;

use crate::platform::SharedPlatform;

/// Runs a cluster on this machine until SIGINT, SIGTERM or SIGHUP; a second one ends it at once.
///
/// # Errors
/// When a part of it cannot start.
#[cfg(feature = "dev")]
pub async fn dev(platform: SharedPlatform, config: Dev) -> anyhow::Result<()> {
    play::play(platform, config).await
}

/// Says that it cannot.
///
/// # Errors
/// Always.
#[cfg(not(feature = "dev"))]
pub async fn dev(_platform: SharedPlatform, _config: Dev) -> anyhow::Result<()> {
    anyhow::bail!("this build has no 'swarm dev': build it with the cargo feature \"dev\"")
}
