//! `swarm manage`: a manager as a process, with its guard and its signals.

use std::os::fd::AsFd;
use std::sync::Arc;

use anyhow::Context;
use swarm_core::cluster::HostInfo;
use swarm_core::config::Manage;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::{ReloadSignal, StopSignals, service};
use crate::guard::{self, Order};
use crate::manager::Manager;
use crate::platform::SharedPlatform;

/// Runs a manager until SIGTERM or SIGINT; a second one ends it at once.
///
/// # Errors
/// When the manager cannot start.
pub async fn manage(
    platform: SharedPlatform,
    config: Manage,
    host: HostInfo,
) -> anyhow::Result<()> {
    let mut signals = StopSignals::new().context("cannot listen for signals")?;
    let instance = platform.random("instance").hex(16);
    if let Some(order) = Order::of(&config, &instance) {
        guard::keep(&platform, order);
    }
    let manager = Arc::new(Manager::start(&platform, &config, &instance, host).await?);
    let certificates = manager.certificates();
    let mut reload =
        ReloadSignal::new(certificates.has_any()).context("cannot listen for SIGHUP")?;
    service::ready();
    let name = loop {
        tokio::select! {
            biased;
            name = signals.next() => break name,
            () = reload.next() => {
                tracing::info!("Received SIGHUP: reading the certificates again");
                service::reloading();
                certificates.reload_as_asked();
                service::ready();
            }
        }
    };
    tracing::info!("Received {name}: handing over and shutting down");
    service::stopping();
    tokio::select! {
        biased;
        again = signals.next() => tracing::warn!("Received {again} again: ending at once"),
        () = manager.stop() => {}
    }
    Ok(())
}

/// Runs `work` until it ends, or until the pipe that is this process's standard input does.
///
/// The end is abrupt: whoever held the pipe has died, and with it what the work was for.
///
/// # Errors
/// Those of `work`, or when standard input is no pipe.
pub async fn until_stdin_ends(
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let stdin = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .context("cannot open standard input")?;
    let mut pipe = pipe::Receiver::from_owned_fd(stdin).context("standard input is not a pipe")?;
    let ended = async {
        let mut rest = [0_u8; 64];
        while pipe.read(&mut rest).await? > 0 {}
        std::io::Result::Ok(())
    };
    tokio::select! {
        biased;
        done = work => done,
        ended = ended => ended.context("cannot read standard input"),
    }
}
