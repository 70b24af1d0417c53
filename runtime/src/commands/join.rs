//! `swarm join`

use anyhow::bail;
use swarm_core::config::Join;

use crate::platform::SharedPlatform;

/// Registers an engine until told to stop.
///
/// # Errors
/// Always: this build has no such command.
pub async fn join(_platform: SharedPlatform, _config: Join) -> anyhow::Result<()> {
    bail!("this build cannot run 'swarm join'");
}
