//! `swarm manage`

use anyhow::bail;
use swarm_core::config::Manage;

use crate::platform::SharedPlatform;

/// Runs a manager until told to stop.
///
/// # Errors
/// Always: this build has no such command.
pub async fn manage(_platform: SharedPlatform, _config: Manage) -> anyhow::Result<()> {
    bail!("this build cannot run 'swarm manage'");
}
