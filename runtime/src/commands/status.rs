//! `swarm status`

use anyhow::bail;
use swarm_core::config::Client;

use crate::platform::SharedPlatform;

/// Prints the role of a manager and what it knows.
///
/// # Errors
/// Always: this build has no such command.
pub async fn status(_platform: SharedPlatform, _config: Client) -> anyhow::Result<()> {
    bail!("this build cannot run 'swarm status'");
}
