//! What several managers say of themselves at `/_swarm/status`, and waiting until they agree.

use std::time::Duration;

use anyhow::{Context, Result};
use swarm::manager::status::ManagerStatus;

use crate::http::Server;
use crate::manager::Manager;
use crate::{http as client, wait};

/// Asks the manager at `server` for its status.
///
/// # Errors
/// When it does not answer, or with something else.
pub async fn status(server: impl Into<Server>) -> Result<ManagerStatus> {
    let answer = client::get(server, "/_swarm/status").await?.success()?;
    serde_json::from_slice(&answer.body).with_context(|| answer.text())
}

/// Waits until all `managers` agree on one primary among them, know each other and see `engines` healthy engines;
/// returns the primary's place in `managers` and its epoch.
///
/// # Errors
/// When they do not within `limit`; the message holds what they last said and their logs.
pub async fn settled(
    managers: &[Manager],
    engines: usize,
    limit: Duration,
) -> Result<(usize, u64)> {
    let mut last = String::new();
    let agreed = wait::until("the managers agree", limit, async || {
        let mut all = Vec::new();
        for manager in managers {
            match status(manager.server()).await {
                Ok(status) => all.push(status),
                Err(error) => {
                    last = format!("{}: {error:#}", manager.address());
                    return None;
                }
            }
        }
        last = format!("{all:?}");
        agreement(managers, &all, engines)
    })
    .await;
    agreed.with_context(|| format!("last seen: {last}\n{}", logs(managers)))
}

/// The logs of all managers, each below its address.
pub fn logs(managers: &[Manager]) -> String {
    let log =
        |manager: &Manager| format!("--- {}\n{}\n", manager.address(), manager.process.text());
    managers.iter().map(log).collect()
}

fn agreement(managers: &[Manager], all: &[ManagerStatus], engines: usize) -> Option<(usize, u64)> {
    let mut primaries = all
        .iter()
        .enumerate()
        .filter(|(_, status)| status.role == "primary");
    let (index, primary) = primaries.next()?;
    let address = managers.get(index)?.address().to_string();
    let agree = |status: &ManagerStatus| {
        let healthy = status
            .engines
            .iter()
            .filter(|engine| engine.state == "Healthy")
            .count();
        status.epoch == primary.epoch
            && status.primary.as_deref() == Some(address.as_str())
            && status.members.len() == managers.len()
            && status.unreachable.is_empty()
            && healthy == engines
    };
    (primaries.next().is_none() && all.iter().all(agree)).then_some((index, primary.epoch))
}
