//! `swarm step-down`

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use http::{Method, StatusCode};
use serde::Serialize;
use swarm_core::address::HostPort;
use swarm_core::config::{Client, Endpoint};
use tokio::sync::mpsc;

use super::ask::{Asker, Shown, printable};
use super::status::named_by;
use crate::cli::write_or_ignore;
use crate::manager::status::{ManagerStatus, STEP_DOWN_PATH};
use crate::platform::{SharedPlatform, sleep, timeout};

/// Between two looks for the next primary.
const LOOK_PERIOD: Duration = Duration::from_millis(20);

/// Tells the primary to hand its role to a replica, and waits until another manager has it.
///
/// Any manager of the cluster may be given: it says who the primary is.
///
/// # Errors
/// When there is no primary to ask, it refuses, or no other manager takes over in time.
pub async fn step_down(platform: SharedPlatform, config: Client) -> anyhow::Result<()> {
    let asker = Asker::of(&platform, &config)?;
    let mut out = std::io::stdout();
    let work = hand_over(&platform, &asker, &config, &mut out);
    match timeout(platform.as_ref(), config.timeout, work).await {
        Ok(done) => done,
        Err(_) => bail!(
            "no other manager was seen to take over within {:?}: 'swarm status' tells more",
            config.timeout
        ),
    }
}

/// What is printed with `--json`.
#[derive(Serialize)]
struct Document<'a> {
    from: &'a str,
    to: Option<&'a str>,
    epoch: u64,
    took_ms: u64,
}

/// The primary that is to go.
struct Incumbent {
    endpoint: Endpoint,
    status: ManagerStatus,
}

async fn hand_over(
    platform: &SharedPlatform,
    asker: &Asker,
    config: &Client,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let old = find(asker, &config.endpoint).await?;
    let from = printable(&old.status.advertise.clone().unwrap_or_default());
    let start = platform.mono();
    let answer = asker
        .ask(&old.endpoint, Method::POST, STEP_DOWN_PATH)
        .await
        .with_context(|| format!("cannot tell {from} to step down"))?;
    if answer.status != StatusCode::ACCEPTED {
        bail!("{from} refuses: {}", printable(&answer.message()));
    }
    if !config.json {
        write_or_ignore(
            out,
            &format!("{from} steps down (epoch {})\n", old.status.epoch),
        );
    }
    let new = next_primary(platform, asker, &old).await?;
    let took = platform.mono().since(start).as_millis();
    let to = new.advertise.as_deref().map(printable);
    let again = new.instance == old.status.instance;
    if config.json {
        let document = Document {
            from: &from,
            to: to.as_deref(),
            epoch: new.epoch,
            took_ms: u64::try_from(took).unwrap_or(u64::MAX),
        };
        write_or_ignore(out, &(serde_json::to_string(&document)? + "\n"));
    } else if !again {
        let to = to.unwrap_or_default();
        write_or_ignore(
            out,
            &format!(
                "{to} is the primary (epoch {}) after {took} ms\n",
                new.epoch
            ),
        );
    }
    if again {
        bail!(
            "no other manager took over: {from} is the primary again (epoch {})",
            new.epoch
        );
    }
    Ok(())
}

/// The primary, asked itself: the one at `given`, or the one that it names.
async fn find(asker: &Asker, given: &Endpoint) -> anyhow::Result<Incumbent> {
    let shown = Shown(given);
    let status = asker
        .status(given)
        .await
        .with_context(|| format!("cannot ask the manager at {shown}"))?;
    if status.advertise.is_none() {
        bail!("the manager at {shown} runs without --replication: nobody could take over");
    }
    if status.is_primary() {
        let endpoint = given.clone();
        return Ok(Incumbent { endpoint, status });
    }
    let Some(primary) = &status.primary else {
        bail!("the manager at {shown} knows no primary");
    };
    let endpoint =
        Endpoint::Tcp(primary.parse().with_context(|| {
            format!("the manager at {shown} names a primary that cannot be asked")
        })?);
    let status = asker
        .status(&endpoint)
        .await
        .with_context(|| format!("cannot ask the primary at {}", Shown(&endpoint)))?;
    if !status.is_primary() {
        bail!(
            "no manager acts as primary right now: {} holds no lease",
            Shown(&endpoint)
        );
    }
    Ok(Incumbent { endpoint, status })
}

/// The first manager seen to act in a later epoch. All members are watched at once: one of them may hang.
async fn next_primary(
    platform: &SharedPlatform,
    asker: &Asker,
    old: &Incumbent,
) -> anyhow::Result<ManagerStatus> {
    let (found, mut finds) = mpsc::channel(1);
    for member in named_by(&old.status, &BTreeSet::new()) {
        let watch = watch(
            platform.clone(),
            asker.clone(),
            member,
            old.status.epoch,
            found.clone(),
        );
        platform.spawn("step-down", Box::pin(watch));
    }
    drop(found);
    finds.recv().await.context("no manager can be watched")
}

async fn watch(
    platform: SharedPlatform,
    asker: Asker,
    member: HostPort,
    epoch: u64,
    found: mpsc::Sender<ManagerStatus>,
) {
    let endpoint = Endpoint::Tcp(member);
    while !found.is_closed() {
        if let Ok(status) = asker.status(&endpoint).await
            && status.is_primary()
            && status.epoch > epoch
        {
            // Another one was first if this fails.
            let _ = found.try_send(status);
            return;
        }
        sleep(platform.as_ref(), LOOK_PERIOD).await;
    }
}

#[cfg(test)]
mod tests;
