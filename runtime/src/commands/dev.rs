//! `swarm dev`

use anyhow::bail;
use swarm_core::config::Dev;

use crate::platform::SharedPlatform;

/// Runs a whole cluster on this machine.
///
/// # Errors
/// Always: this build has no such command.
pub async fn dev(_platform: SharedPlatform, _config: Dev) -> anyhow::Result<()> {
    bail!("this build cannot run 'swarm dev'");
}
