//! What benches do to a primary, or to the store it depends on.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result};
use rustix::process::Signal;

use crate::http as client;
use crate::manager::Manager;
use crate::servers::Servers;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// SIGTERM: a clean stop.
    Term,
    /// SIGKILL of the manager: its guard survives.
    Kill,
    /// `POST /_swarm/step-down`.
    StepDown,
    /// SIGKILL of the manager's process group, its guard included, as when a container is killed.
    KillGroup,
    /// SIGSTOP of the process group.
    StopGroup,
    /// SIGKILL of the store's leading server, or of its only one; it is started again after [`STORE_AWAY`].
    StoreKill,
    /// SIGSTOP of all servers of the store for [`STORE_AWAY`].
    StoreStop,
}

/// How long a store is away: less than a primary lives without it.
pub const STORE_AWAY: Duration = Duration::from_secs(1);

impl Fault {
    /// Those that hit a primary.
    pub const OF_PRIMARY: [Self; 5] = [
        Self::Term,
        Self::Kill,
        Self::StepDown,
        Self::KillGroup,
        Self::StopGroup,
    ];
    /// Every fault.
    pub const ALL: [Self; 7] = [
        Self::Term,
        Self::Kill,
        Self::StepDown,
        Self::KillGroup,
        Self::StopGroup,
        Self::StoreKill,
        Self::StoreStop,
    ];

    /// As command lines and tables call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Kill => "SIGKILL",
            Self::KillGroup => "SIGKILL-group",
            Self::StopGroup => "SIGSTOP-group",
            Self::StepDown => "step-down",
            Self::StoreKill => "store-SIGKILL",
            Self::StoreStop => "store-SIGSTOP",
        }
    }

    /// What the median gap of a reader may be, with a lease of that length.
    #[must_use]
    pub fn budget(self, lease: Duration) -> Duration {
        match self {
            Self::Term | Self::Kill | Self::StepDown => Duration::from_millis(100),
            Self::KillGroup | Self::StopGroup | Self::StoreKill | Self::StoreStop => {
                patience(lease) + Duration::from_millis(300)
            }
        }
    }

    /// Whether it hits the store, and nobody needs to take over.
    #[must_use]
    pub fn is_of_store(self) -> bool {
        !Self::OF_PRIMARY.contains(&self)
    }

    /// Does it to `victim` or to `store`; the moment is returned. The store is whole again afterwards.
    ///
    /// # Errors
    /// When the signal cannot be sent, the victim does not step down, or the store does not come back.
    pub async fn strike(self, victim: &Manager, store: &mut Servers) -> Result<Instant> {
        let mut at = Instant::now();
        match self {
            Self::Term => victim.process.signal(Signal::TERM)?,
            Self::Kill => victim.process.signal(Signal::KILL)?,
            Self::KillGroup => victim.process.signal_group(Signal::KILL)?,
            Self::StopGroup => victim.process.signal_group(Signal::STOP)?,
            Self::StepDown => {
                let answer = client::post(victim.server(), "/_swarm/step-down").await?;
                answer.success()?;
            }
            Self::StoreKill => {
                let leader = store.leader().await?;
                at = Instant::now();
                store.kill(leader).await?;
                tokio::time::sleep(STORE_AWAY).await;
                store.start_all().await?;
            }
            Self::StoreStop => {
                store.freeze().await?;
                tokio::time::sleep(STORE_AWAY).await;
                store.thaw()?;
            }
        }
        Ok(at)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Fault {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL
            .into_iter()
            .find(|fault| fault.name().eq_ignore_ascii_case(name));
        known.with_context(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("unknown fault {name}: one of {names}")
        })
    }
}

/// How long a replica waits for a silent primary: W of the design, with clocks that differ by 2 %.
fn patience(lease: Duration) -> Duration {
    lease.mul_f64(1.02 / 0.98) + Duration::from_millis(20)
}
