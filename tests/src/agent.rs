//! `swarm join`, as it runs beside each engine.

use std::net::SocketAddr;

use anyhow::Result;

use crate::manager;
use crate::process::{Process, Streams};

/// Starts an agent that keeps `engine` registered at `discovery`, with more `arguments` of `swarm join`.
///
/// # Errors
/// When the binary cannot be built or started.
pub async fn join(engine: SocketAddr, discovery: &str, arguments: &[&str]) -> Result<Process> {
    let mut command = manager::command().await?;
    command.args(["join", "--advertise", &engine.to_string()]);
    command.args(arguments).arg(discovery);
    Process::spawn(&format!("agent of {engine}"), command, Streams::Pipes)
}
