//! What the election's changes look like in the log. The first three lines are those of the user's document.

use swarm_core::election::{LossReason, Notice};

pub(super) fn log(notice: &Notice) {
    match notice {
        Notice::Acquired { epoch } => {
            tracing::info!("Cluster leadership acquired");
            tracing::debug!(epoch, "Acting as primary");
        }
        Notice::Standby => tracing::info!("Cluster leadership lost"),
        Notice::Leader { address, epoch } => {
            tracing::info!("New leader elected: {address}");
            tracing::debug!(epoch, "Following the lease record");
        }
        Notice::Lost(LossReason::Resigned) => tracing::info!("Cluster leadership lost"),
        Notice::Lost(LossReason::TakenOver { by, epoch }) => {
            tracing::info!("Cluster leadership lost");
            tracing::warn!(%by, epoch, "Another manager took over while this one could not renew its lease in time");
        }
        Notice::Lost(LossReason::ReleasedByOther) => {
            tracing::info!("Cluster leadership lost");
            tracing::warn!(
                "The lease was released by somebody else: is the guard process of another manager misled?"
            );
        }
        Notice::Lost(LossReason::RecordLost) => tracing::info!("Cluster leadership lost"),
        Notice::Lapsed { epoch } => tracing::warn!(
            epoch,
            "The lease lapsed because the store did not confirm it in time: mutations wait until it does"
        ),
        Notice::Recovered { epoch } => tracing::info!(epoch, "The lease is confirmed again"),
        Notice::StoreTrouble(what) => tracing::warn!(
            "Trouble in the store: {what}. All managers wait for one lease before one takes over"
        ),
        Notice::FailsafeBegan { epoch } => tracing::info!(
            epoch,
            "The store is silent: acting on by the promises of all other managers (failsafe)"
        ),
        Notice::FailsafeEnded { epoch } => {
            tracing::info!(epoch, "The store answers again: failsafe is over");
        }
        Notice::NotListed { holder } => tracing::warn!(
            "The lease of {holder} has ended in the store, but its record (failsafe) does not list this manager, so it \
             must not take over: check that the managers reach each other; if all listed managers are gone for good, \
             delete the lease key"
        ),
        Notice::Resigned => tracing::debug!("The resignation is complete"),
    }
}
