//! `swarm step-down`

use anyhow::bail;
use swarm_core::config::Client;

use crate::platform::SharedPlatform;

/// Tells the primary to hand its role to a replica.
///
/// # Errors
/// Always: this build has no such command.
pub async fn step_down(_platform: SharedPlatform, _config: Client) -> anyhow::Result<()> {
    bail!("this build cannot run 'swarm step-down'");
}
