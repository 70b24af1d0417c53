//! `swarm list`

use anyhow::bail;
use swarm_core::config::List;

use crate::platform::SharedPlatform;

/// Prints the engines of a cluster.
///
/// # Errors
/// Always: this build has no such command.
pub async fn list(_platform: SharedPlatform, _config: List) -> anyhow::Result<()> {
    bail!("this build cannot run 'swarm list'");
}
