//! What servers of one ensemble do for each other: a client goes on while most of them live.

use std::time::Duration;

use anyhow::{Result, ensure};
use swarm::store::Cursor;
use swarm_core::election::SwapOutcome;
use swarm_tests::ensemble::{Ensemble, Kind};
use swarm_tests::wait;

use super::{epoch, open, record, swapped};

const LIMIT: Duration = Duration::from_secs(60);

/// Each of these for three servers of each store.
macro_rules! kept_by_every_ensemble {
    ($($promise:ident),* $(,)?) => {
        kept_by_every_ensemble!(@store etcd, Kind::Etcd, $($promise),*);
        kept_by_every_ensemble!(@store zookeeper, Kind::ZooKeeper, $($promise),*);
    };
    (@store $name:ident, $kind:expr, $($promise:ident),*) => {
        mod $name {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $promise() -> Result<()> {
                    if !$kind.is_here()? {
                        return Ok(());
                    }
                    super::$promise(Ensemble::start($kind, 3).await?).await
                }
            )*
        }
    };
}

kept_by_every_ensemble![
    a_killed_leader_costs_an_election_and_nothing_else,
    a_frozen_member_is_passed_over,
    a_frozen_leader_is_passed_over,
];

async fn a_killed_leader_costs_an_election_and_nothing_else(mut servers: Ensemble) -> Result<()> {
    let store = open(&servers.discovery(), &[])?;
    let mut version = swapped(store.swap_lease(None, &record(1, "n")).await)?;
    let mut cursor = Cursor::default();
    store.watch_lease(&mut cursor).await?;
    for round in 2..=4 {
        let leader = servers.leader().await?;
        servers.kill(leader)?;
        let next = wait::until("the others elected a leader", LIMIT, async || {
            match store.swap_lease(Some(version), &record(round, "n")).await {
                SwapOutcome::Swapped(version) => Some(version),
                // An earlier attempt whose answer was lost.
                SwapOutcome::Conflict(Some(there)) if epoch(&there) == Some(round) => {
                    there.version()
                }
                SwapOutcome::Conflict(_) | SwapOutcome::NotApplied | SwapOutcome::Unknown => None,
            }
        });
        let next = next.await?;
        ensure!(next > version, "{next} is not later than {version}");
        version = next;
        let seen = wait::until("the watch goes on", LIMIT, async || {
            let seen = store.watch_lease(&mut cursor).await.ok()?;
            (seen.version() == Some(version)).then_some(())
        });
        seen.await?;
        servers.start_all().await?;
    }
    Ok(())
}

async fn a_frozen_member_is_passed_over(mut servers: Ensemble) -> Result<()> {
    let store = open(&servers.discovery(), &[])?;
    let mut version = swapped(store.swap_lease(None, &record(1, "n")).await)?;
    let mut cursor = Cursor::default();
    store.watch_lease(&mut cursor).await?;
    servers.freeze(0).await?;
    for round in 2..=5 {
        let next = wait::until("the others answer", LIMIT, async || {
            swapped(store.swap_lease(Some(version), &record(round, "n")).await).ok()
        });
        version = next.await?;
    }
    let seen = wait::until("the watch goes on elsewhere", LIMIT, async || {
        let seen = store.watch_lease(&mut cursor).await.ok()?;
        (seen.version() == Some(version)).then_some(())
    });
    seen.await?;
    servers.thaw(0)
}

async fn a_frozen_leader_is_passed_over(mut servers: Ensemble) -> Result<()> {
    let store = open(&servers.discovery(), &[])?;
    let mut version = swapped(store.swap_lease(None, &record(1, "n")).await)?;
    let leader = servers.leader().await?;
    servers.freeze(leader).await?;
    for round in 2..=3 {
        let next = wait::until("the others elected a leader", LIMIT, async || {
            match store.swap_lease(Some(version), &record(round, "n")).await {
                SwapOutcome::Swapped(version) => Some(version),
                SwapOutcome::Conflict(Some(there)) if epoch(&there) == Some(round) => {
                    there.version()
                }
                SwapOutcome::Conflict(_) | SwapOutcome::NotApplied | SwapOutcome::Unknown => None,
            }
        });
        version = next.await?;
    }
    servers.thaw(leader)?;
    // What it still believes is not what is.
    for _ in 0..10 {
        let there = wait::until("the store answers", LIMIT, async || {
            store.verify_lease().await.ok()
        });
        ensure!(there.await?.version() == Some(version));
    }
    Ok(())
}
