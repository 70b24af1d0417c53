//! What every store promises (DESIGN section 3).

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use swarm::store::{Cursor, StoreError};
use swarm_core::address::HostPort;
use swarm_core::election::{Reading, SwapOutcome, Version};
use swarm_tests::ensemble::Kind;
use swarm_tests::wait;

use super::{Subject, epoch, record, swapped};

const LIMIT: Duration = Duration::from_secs(60);

/// Each of these for each store.
macro_rules! kept_by_every_store {
    ($($promise:ident),* $(,)?) => {
        kept_by_every_store!(@store double, Subject::double(), $($promise),*);
        kept_by_every_store!(@store real_consul, Subject::real_consul(), $($promise),*);
        kept_by_every_store!(@store etcd_double, Subject::etcd_double(), $($promise),*);
        kept_by_every_store!(@store etcd, Subject::ensemble(Kind::Etcd, 1), $($promise),*);
        kept_by_every_store!(@store zookeeper_double, Subject::zookeeper_double(), $($promise),*);
        kept_by_every_store!(@store zookeeper, Subject::ensemble(Kind::ZooKeeper, 1), $($promise),*);
    };
    (@store $name:ident, $subject:expr, $($promise:ident),*) => {
        mod $name {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $promise() -> Result<()> {
                    match $subject.await? {
                        Some(subject) => super::$promise(subject).await,
                        None => Ok(()),
                    }
                }
            )*
        }
    };
}

kept_by_every_store![
    a_swap_needs_the_version_that_is_there,
    of_many_swaps_at_once_one_wins,
    asking_for_the_right_to_write_changes_nothing,
    a_watch_returns_at_a_change_and_without_one,
    a_server_that_is_away_applied_nothing_and_forgets_nothing,
    a_server_that_hangs_leaves_the_outcome_unknown,
    a_wiped_store_is_noticed,
    engines_are_registered_and_taken_away,
    a_registration_ends_with_its_agent,
    drained_engines_are_kept,
];

async fn a_swap_needs_the_version_that_is_there(subject: Subject) -> Result<()> {
    let store = &subject.store;
    ensure!(store.verify_lease().await? == Reading::Absent);
    let early = store
        .swap_lease(Some(Version(1)), &record(1, "early"))
        .await;
    ensure!(
        early == SwapOutcome::Conflict(Some(Reading::Absent)),
        "a version of what does not exist: {early:?}"
    );
    let first = swapped(store.swap_lease(None, &record(1, "n1")).await)?;
    let second = swapped(store.swap_lease(Some(first), &record(2, "n2")).await)?;
    ensure!(second > first, "{second} is not later than {first}");
    let there = Reading::Present {
        version: second,
        record: record(2, "n2"),
    };
    for stale in [None, Some(first), Some(Version(second.0 + 1))] {
        let outcome = store.swap_lease(stale, &record(3, "n3")).await;
        ensure!(
            outcome == SwapOutcome::Conflict(Some(there.clone())),
            "{stale:?}: {outcome:?}"
        );
    }
    ensure!(subject.other()?.verify_lease().await? == there);
    Ok(())
}

async fn asking_for_the_right_to_write_changes_nothing(subject: Subject) -> Result<()> {
    let store = &subject.store;
    store.check_write().await?;
    ensure!(subject.other()?.verify_lease().await? == Reading::Absent);
    let version = swapped(store.swap_lease(None, &record(1, "n")).await)?;
    store.check_write().await?;
    let there = Reading::Present {
        version,
        record: record(1, "n"),
    };
    ensure!(subject.other()?.verify_lease().await? == there);
    Ok(())
}

async fn of_many_swaps_at_once_one_wins(subject: Subject) -> Result<()> {
    let mut version = swapped(subject.store.swap_lease(None, &record(1, "n")).await)?;
    let others = [subject.other()?, subject.other()?, subject.other()?];
    for round in 2..=20 {
        let rivals = others.iter().enumerate().map(|(number, store)| {
            let store = store.clone();
            let record = record(round, &format!("n{number}"));
            tokio::spawn(async move { store.swap_lease(Some(version), &record).await })
        });
        let rivals: Vec<_> = rivals.collect();
        let mut winners = Vec::new();
        for rival in rivals {
            match rival.await? {
                SwapOutcome::Swapped(version) => winners.push(version),
                SwapOutcome::Conflict(_) => {}
                unclear @ (SwapOutcome::NotApplied | SwapOutcome::Unknown) => {
                    anyhow::bail!("round {round}: {unclear:?}")
                }
            }
        }
        ensure!(winners.len() == 1, "round {round}: winners {winners:?}");
        version = winners.first().copied().unwrap_or(version);
    }
    ensure!(epoch(&subject.store.verify_lease().await?) == Some(20));
    Ok(())
}

async fn a_watch_returns_at_a_change_and_without_one(subject: Subject) -> Result<()> {
    let store = subject.store.clone();
    let mut cursor = Cursor::default();
    ensure!(store.watch_lease(&mut cursor).await? == Reading::Absent);
    let mut version = None;
    for round in 1..=10 {
        let other = subject.other()?;
        let write = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(20)).await;
            other.swap_lease(version, &record(round, "n")).await
        });
        let seen = store.watch_lease(&mut cursor).await?;
        let written = swapped(write.await?)?;
        ensure!(
            seen.version() == Some(written) && epoch(&seen) == Some(round),
            "round {round}: {written} was written, seen {seen:?}"
        );
        version = Some(written);
    }
    let calm = Instant::now();
    let seen = store.watch_lease(&mut cursor).await?;
    ensure!(seen.version() == version, "nothing changed, seen {seen:?}");
    let waited = calm.elapsed();
    ensure!(
        waited > Duration::from_secs(1) && waited < Duration::from_secs(20),
        "waited {waited:?}"
    );
    Ok(())
}

async fn a_server_that_is_away_applied_nothing_and_forgets_nothing(
    mut subject: Subject,
) -> Result<()> {
    let store = subject.store.clone();
    let first = swapped(store.swap_lease(None, &record(1, "n1")).await)?;
    let mut cursor = Cursor::default();
    store.watch_lease(&mut cursor).await?;
    subject.server.stop().await;
    // A connection that broke with the server may still be pooled: then nobody can know.
    let outcome = store.swap_lease(Some(first), &record(2, "lost")).await;
    ensure!(
        matches!(outcome, SwapOutcome::NotApplied | SwapOutcome::Unknown),
        "{outcome:?}"
    );
    let outcome = store.swap_lease(Some(first), &record(2, "lost")).await;
    ensure!(outcome == SwapOutcome::NotApplied, "{outcome:?}");
    match store.verify_lease().await {
        Err(StoreError::Unreachable { cause, .. }) => {
            ensure!(cause.contains("127.0.0.1:"), "it names no server: {cause}");
        }
        other => anyhow::bail!("a store that is away answers: {other:?}"),
    }
    subject.server.start_again().await?;
    let there = wait::until("the store answers again", LIMIT, async || {
        store.verify_lease().await.ok()
    });
    ensure!(there.await?.version() == Some(first));
    let second = wait::until("the store takes writes again", LIMIT, async || {
        swapped(store.swap_lease(Some(first), &record(2, "n2")).await).ok()
    });
    let second = second.await?;
    let seen = wait::until("the watch goes on", LIMIT, async || {
        store.watch_lease(&mut cursor).await.ok()
    });
    ensure!(seen.await?.version() == Some(second));
    Ok(())
}

async fn a_server_that_hangs_leaves_the_outcome_unknown(mut subject: Subject) -> Result<()> {
    let store = subject.store.clone();
    let first = swapped(store.swap_lease(None, &record(1, "n1")).await)?;
    subject.server.hang().await?;
    let outcome = store.swap_lease(Some(first), &record(2, "n2")).await;
    ensure!(outcome == SwapOutcome::Unknown, "{outcome:?}");
    ensure!(store.verify_lease().await.is_err(), "a hung store answers");
    subject.server.go_on()?;
    // Either it was applied, and its nonce shows, or it can be done again.
    let settled = wait::until("the store goes on", LIMIT, async || {
        match store.swap_lease(Some(first), &record(2, "again")).await {
            SwapOutcome::Swapped(_) => Some("again".to_owned()),
            SwapOutcome::Conflict(Some(there)) => there.record().map(|record| record.nonce.clone()),
            SwapOutcome::Conflict(None) | SwapOutcome::NotApplied | SwapOutcome::Unknown => None,
        }
    });
    let nonce = settled.await?;
    ensure!(nonce == "n2" || nonce == "again", "{nonce}");
    ensure!(epoch(&store.verify_lease().await?) == Some(2));
    Ok(())
}

async fn a_wiped_store_is_noticed(mut subject: Subject) -> Result<()> {
    let store = subject.store.clone();
    let mut version = swapped(store.swap_lease(None, &record(1, "n")).await)?;
    for round in 2..=30 {
        version = swapped(store.swap_lease(Some(version), &record(round, "n")).await)?;
    }
    let mut cursor = Cursor::default();
    store.watch_lease(&mut cursor).await?;
    subject.server.wipe().await?;
    let noticed = wait::until("the watch notices", LIMIT, async || {
        let seen = store.watch_lease(&mut cursor).await.ok()?;
        (seen == Reading::Absent).then_some(())
    });
    noticed.await?;
    swapped(store.swap_lease(None, &record(31, "n")).await)?;
    let seen = wait::until("the watch goes on", LIMIT, async || {
        store.watch_lease(&mut cursor).await.ok()
    });
    ensure!(epoch(&seen.await?) == Some(31));
    Ok(())
}

async fn engines_are_registered_and_taken_away(subject: Subject) -> Result<()> {
    let store = subject.store.clone();
    let mut cursor = Cursor::default();
    ensure!(store.watch_engines(&mut cursor).await?.is_empty());
    let (one, two): (HostPort, HostPort) = ("10.0.0.1:2375".parse()?, "10.0.0.2:2375".parse()?);
    let agent = subject.other()?;
    let ttl = Duration::from_secs(30);
    agent.register(&one, ttl).await?;
    // Again, as at each heartbeat: nothing changes.
    agent.register(&one, ttl).await?;
    let registers = tokio::spawn({
        let (agent, two) = (agent.clone(), two.clone());
        async move { agent.register(&two, ttl).await }
    });
    let both = wait::until("both engines are seen", LIMIT, async || {
        let mut seen = store.watch_engines(&mut cursor).await.ok()?;
        seen.sort();
        (seen == [one.to_string(), two.to_string()]).then_some(())
    });
    both.await?;
    registers.await??;
    agent.deregister(&one).await?;
    let left = wait::until("one engine is left", LIMIT, async || {
        let seen = store.watch_engines(&mut cursor).await.ok()?;
        (seen == [two.to_string()]).then_some(())
    });
    left.await
}

async fn a_registration_ends_with_its_agent(subject: Subject) -> Result<()> {
    let store = subject.store.clone();
    let engine: HostPort = "10.0.0.1:2375".parse()?;
    // A second agent for the same engine, as after a restart that nobody noticed.
    for agent in [subject.other()?, subject.other()?] {
        agent.register(&engine, Duration::from_secs(4)).await?;
    }
    let mut cursor = Cursor::default();
    ensure!(store.watch_engines(&mut cursor).await? == [engine.to_string()]);
    let gone = wait::until("the registration ends", LIMIT, async || {
        let seen = store.watch_engines(&mut cursor).await.ok()?;
        seen.is_empty().then_some(())
    });
    gone.await
}

async fn drained_engines_are_kept(subject: Subject) -> Result<()> {
    let store = subject.store.clone();
    let mut cursor = Cursor::default();
    ensure!(store.watch_drained(&mut cursor).await?.is_empty());
    let other = subject.other()?;
    other.set_drained("ID:ONE", "node-1", true).await?;
    let drained = wait::until("the engine is drained", LIMIT, async || {
        let seen = store.watch_drained(&mut cursor).await.ok()?;
        seen.iter().eq(["ID:ONE"]).then_some(())
    });
    drained.await?;
    other.set_drained("ID:ONE", "node-1", false).await?;
    let active = wait::until("the engine is active", LIMIT, async || {
        store
            .watch_drained(&mut cursor)
            .await
            .ok()?
            .is_empty()
            .then_some(())
    });
    active.await
}
