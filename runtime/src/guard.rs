//! The guard: a tiny child process that releases the lease when its manager dies of anything.
//!
//! It holds the read end of a pipe. While the pipe is open the manager may be alive and the guard does nothing; at its
//! end no thread of the manager runs any more, so that the crash of a process costs what a clean stop costs
//! (DESIGN section 3). It ignores SIGTERM and SIGINT, which a terminal sends to the whole group, and ends by itself.

use std::io;
use std::os::fd::AsFd;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use swarm_core::config::{DiscoveryConfig, Manage};
use swarm_core::discovery::DiscoveryOptions;
use swarm_core::election::lease::operation_timeout;
use swarm_core::election::{SwapOutcome, release_for};
use swarm_core::testbed::{Mutant, planted};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::http::Client;
use crate::http::client::ClientConfig;
use crate::platform::{SharedPlatform, sleep, timeout};
use crate::store::{self, Store, StoreError};
use crate::tls::ClientTls;

/// The hidden command that runs a guard.
pub const COMMAND: &str = "guard";
/// Between two tries at a store that does not answer.
const RETRY: Duration = Duration::from_millis(20);
/// Between two guards, when one ends before its manager.
pub const RESTART: Duration = Duration::from_secs(1);
/// The order is a few hundred bytes.
const ORDER_BYTES_MAX: usize = 64 * 1024;

/// What a guard has to know; it comes through the pipe, so that no token shows in a process list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The store, as the discovery URL names it.
    pub discovery: String,
    /// Its options, secrets included.
    pub options: Vec<String>,
    /// The manager's process.
    pub instance: String,
    /// Its lease in milliseconds: later there is nothing left to release.
    pub lease_ms: u64,
}

impl Order {
    /// What the guard of a manager with `config` has to know; none without an election. `instance` is the manager's
    /// process.
    #[must_use]
    pub fn of(config: &Manage, instance: &str) -> Option<Self> {
        let replication = config.replication.as_ref()?;
        Some(Self {
            discovery: config.discovery.text.clone(),
            options: config.discovery.options.to_texts(),
            instance: instance.to_owned(),
            lease_ms: u64::try_from(replication.lease.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// The line that goes through the pipe.
    ///
    /// # Errors
    /// Never in practice: an order is plain strings and numbers.
    pub fn to_line(&self) -> serde_json::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        Ok(line)
    }
}

/// Runs as a guard until the manager is gone and its lease released, or not worth releasing any more.
///
/// # Errors
/// When the order cannot be read.
pub async fn run(platform: SharedPlatform) -> anyhow::Result<()> {
    let _ignored = ignore_signals()?;
    let stdin = io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("cannot open the pipe to the manager")?;
    let pipe = pipe::Receiver::from_owned_fd(stdin).context("standard input is not a pipe")?;
    attend(&platform, pipe).await
}

/// Reads the order from the manager's pipe, waits for the pipe's end, and releases what the manager held.
///
/// # Errors
/// When the order cannot be read, or the store did not answer as long as there was something to gain.
pub async fn attend(
    platform: &SharedPlatform,
    pipe: impl AsyncRead + Unpin + Send,
) -> anyhow::Result<()> {
    let mut pipe = BufReader::new(pipe);
    let mut line = String::new();
    let limit = u64::try_from(ORDER_BYTES_MAX).unwrap_or(u64::MAX);
    (&mut pipe).take(limit).read_line(&mut line).await?;
    let order: Order =
        serde_json::from_str(&line).context("the manager's order cannot be understood")?;
    let mut rest = [0_u8; 64];
    while !planted(Mutant::GuardReleasesTheLiving) && pipe.read(&mut rest).await? > 0 {}
    release(platform, order).await
}

fn ignore_signals() -> io::Result<Vec<Signal>> {
    [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
        SignalKind::quit(),
    ]
    .into_iter()
    .map(signal)
    .collect()
}

async fn release(platform: &SharedPlatform, order: Order) -> anyhow::Result<()> {
    let lease = Duration::from_millis(order.lease_ms);
    let options = DiscoveryOptions::parse(order.options.iter().map(String::as_str))
        .context("bad options in the manager's order")?;
    let discovery = DiscoveryConfig::of(&order.discovery, options)
        .context("bad discovery in the manager's order")?;
    let tls = ClientTls::optional(platform, discovery.options.tls.as_ref())?;
    let client = Client::with_tls(platform.clone(), ClientConfig::default(), tls);
    let Some(store) = store::open(platform, &client, &discovery, operation_timeout(lease)) else {
        bail!("the manager's order names no store");
    };
    let nonce = platform.random("guard").hex(8);
    let work = release_until_done(platform, store, &order.instance, &nonce);
    // Once the lease has ended by itself there is nothing to gain.
    match timeout(platform.as_ref(), lease, work).await {
        Ok(()) => Ok(()),
        Err(_) => bail!("the store did not answer within the lease"),
    }
}

async fn release_until_done(
    platform: &SharedPlatform,
    store: Arc<dyn Store>,
    instance: &str,
    nonce: &str,
) {
    loop {
        match try_release(store.as_ref(), instance, nonce).await {
            Ok(true) => return,
            Ok(false) | Err(_) => sleep(platform.as_ref(), RETRY).await,
        }
    }
}

/// True when there is nothing (more) to release.
async fn try_release(store: &dyn Store, instance: &str, nonce: &str) -> Result<bool, StoreError> {
    let found = store.verify_lease().await?;
    let Some((version, record)) = release_for(&found, instance, nonce.to_owned()) else {
        return Ok(true);
    };
    match store.swap_lease(Some(version), &record).await {
        SwapOutcome::Swapped(_) => Ok(true),
        SwapOutcome::Conflict(_) | SwapOutcome::NotApplied | SwapOutcome::Unknown => Ok(false),
    }
}

/// Keeps a guard running beside this process for as long as it lives.
pub fn keep(platform: &SharedPlatform, order: Order) {
    let kept = platform.clone();
    let work = async move {
        loop {
            match start(&order).await {
                Ok((mut child, _pipe)) => match child.wait().await {
                    Ok(status) => {
                        tracing::warn!("The guard process ended ({status}); starting another");
                    }
                    Err(error) => {
                        tracing::warn!(%error, "Lost sight of the guard process; starting another");
                    }
                },
                Err(error) => tracing::warn!(
                    %error,
                    "Cannot start the guard process: if this manager dies, failover takes a full lease"
                ),
            }
            sleep(kept.as_ref(), RESTART).await;
        }
    };
    platform.spawn("guard", Box::pin(work));
}

async fn start(order: &Order) -> anyhow::Result<(Child, ChildStdin)> {
    // The running file itself, also when it has been replaced on disk by an upgrade.
    let mut child = Command::new("/proc/self/exe")
        .arg0("swarm")
        .arg(COMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let Some(mut pipe) = child.stdin.take() else {
        bail!("the guard has no pipe")
    };
    pipe.write_all(&order.to_line()?).await?;
    Ok((child, pipe))
}
