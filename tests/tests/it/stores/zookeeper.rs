//! What only ZooKeeper has: sessions, digest authentication, data versions that start anew, what classic Swarm left.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use swarm::store::{Cursor, StoreError};
use swarm_core::address::HostPort;
use swarm_core::election::{Reading, SwapOutcome};
use swarm_tests::certs::Certificates;
use swarm_tests::ensemble::{Ensemble, Kind};
use swarm_tests::wait;

use super::{epoch, open, record, swapped};

const LIMIT: Duration = Duration::from_secs(60);

async fn zookeeper() -> Result<Option<Ensemble>> {
    if !Kind::ZooKeeper.is_here()? {
        return Ok(None);
    }
    Ensemble::start(Kind::ZooKeeper, 1).await.map(Some)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_resumed_or_replaced_without_waiting_for_a_heartbeat() -> Result<()> {
    let Some(mut servers) = zookeeper().await? else {
        return Ok(());
    };
    let engine: HostPort = "10.0.0.1:2375".parse()?;
    let agent = open(&servers.discovery(), &[])?;
    agent.register(&engine, Duration::from_secs(10)).await?;
    let owner = owner_of(&servers, &engine).await?;

    // Only the connection is lost: the session goes on.
    servers.kill_all();
    servers.start_all().await?;
    let kept = wait::until("the agent is back", LIMIT, async || {
        let found = owner_of(&servers, &engine).await.ok()?;
        (found == owner).then_some(())
    });
    kept.await?;

    // The servers know nothing of the session any more.
    servers.wipe().await?;
    let store = open(&servers.discovery(), &[])?;
    let mut cursor = Cursor::default();
    let again = wait::until("the agent registers again", LIMIT, async || {
        let seen = store.watch_engines(&mut cursor).await.ok()?;
        (seen == [engine.to_string()]).then_some(())
    });
    again.await?;
    ensure!(owner_of(&servers, &engine).await? != owner);
    drop(agent);
    let gone = wait::until("the registration ends", LIMIT, async || {
        let seen = store.watch_engines(&mut cursor).await.ok()?;
        seen.is_empty().then_some(())
    });
    gone.await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_somebody_else_left_becomes_the_agents() -> Result<()> {
    let Some(servers) = zookeeper().await? else {
        return Ok(());
    };
    let engine: HostPort = "10.0.0.1:2375".parse()?;
    let agent = open(&servers.discovery(), &[])?;
    let ttl = Duration::from_secs(10);
    agent.register(&engine, ttl).await?;
    agent.deregister(&engine).await?;
    let node = node_of(&engine);
    servers.zookeeper_cli(&["create", &node, "left"]).await?;
    ensure!(owner_of(&servers, &engine).await? == "0x0");
    agent.register(&engine, ttl).await?;
    ensure!(owner_of(&servers, &engine).await? != "0x0");
    let value = servers.zookeeper_cli(&["get", &node]).await?;
    ensure!(value.contains("10.0.0.1:2375"), "{value}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_was_deleted_and_made_again_is_another() -> Result<()> {
    let Some(servers) = zookeeper().await? else {
        return Ok(());
    };
    let (one, two) = (
        open(&servers.discovery(), &[])?,
        open(&servers.discovery(), &[])?,
    );
    let first = swapped(one.swap_lease(None, &record(1, "n1")).await)?;
    servers
        .zookeeper_cli(&["delete", "/nodes/docker/swarm/lease"])
        .await?;
    let other = swapped(two.swap_lease(None, &record(2, "n2")).await)?;
    ensure!(other > first, "{other} is not later than {first}");
    // Its data version is again what it was.
    let outcome = one.swap_lease(Some(first), &record(3, "n3")).await;
    let there = Reading::Present {
        version: other,
        record: record(2, "n2"),
    };
    ensure!(outcome == SwapOutcome::Conflict(Some(there)), "{outcome:?}");
    swapped(one.swap_lease(Some(other), &record(3, "n3")).await)?;
    // Somebody took away what keeps them apart.
    servers
        .zookeeper_cli(&["delete", "/nodes/docker/swarm/generation-of-lease"])
        .await?;
    let there = two.verify_lease().await?;
    ensure!(epoch(&there) == Some(3), "{there:?}");
    swapped(two.swap_lease(there.version(), &record(4, "n4")).await)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_owns_what_is_created() -> Result<()> {
    let Some(servers) = zookeeper().await? else {
        return Ok(());
    };
    let discovery = servers.discovery();
    let owner = open(&discovery, &["zk.auth=swarm:secret"])?;
    let first = swapped(owner.swap_lease(None, &record(1, "n1")).await)?;
    for options in [&[][..], &["zk.auth=swarm:wrong"]] {
        let stranger = open(&discovery, options)?;
        let refused = stranger.verify_lease().await.err().context("not refused")?;
        ensure!(
            refused.is_final() && refused.to_string().contains("zk.auth"),
            "{refused}"
        );
        let outcome = stranger.swap_lease(Some(first), &record(2, "n2")).await;
        ensure!(outcome == SwapOutcome::NotApplied, "{outcome:?}");
        let refused = stranger.check_write().await.err().context("not refused")?;
        ensure!(refused.is_final(), "{refused}");
        let engine = "10.0.0.1:2375".parse()?;
        let refused = stranger.register(&engine, LIMIT).await;
        ensure!(
            matches!(refused, Err(StoreError::Refused { status: -102, .. })),
            "{refused:?}"
        );
    }
    let again = open(&discovery, &["zk.auth=swarm:secret"])?;
    again.check_write().await?;
    swapped(again.swap_lease(Some(first), &record(2, "n2")).await)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tls_server_and_client_are_checked() -> Result<()> {
    if !Kind::ZooKeeper.is_here()? {
        return Ok(());
    }
    let certs = Certificates::new().await?;
    let mut servers = Ensemble::start_with(Kind::ZooKeeper, 1, Some(certs.clone())).await?;
    let options = certs.store_options();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let store = open(&servers.discovery(), &options)?;
    let first = swapped(store.swap_lease(None, &record(1, "n1")).await)?;
    let engine: HostPort = "10.0.0.1:2375".parse()?;
    store.register(&engine, Duration::from_secs(10)).await?;
    // Also when the connection is made again.
    servers.kill_all();
    servers.start_all().await?;
    let there = wait::until("the store answers again", LIMIT, async || {
        store.verify_lease().await.ok()
    });
    ensure!(there.await?.version() == Some(first));

    // The server asks for a certificate.
    let (ca, _) = options.split_first().context("a CA")?;
    let nobody = open(&servers.discovery(), &[ca])?;
    ensure!(
        nobody.verify_lease().await.is_err(),
        "without a certificate"
    );
    // Nobody speaks plain text where TLS is expected.
    let plain = open(&servers.discovery(), &[])?;
    ensure!(plain.verify_lease().await.is_err(), "without TLS");
    // A server of another CA.
    let others = Certificates::new().await?;
    let ca = format!("kv.cacertfile={}", others.path().join("ca.pem").display());
    let stranger = open(&servers.discovery(), &[&ca])?;
    let refused = stranger.verify_lease().await.err().context("not refused")?;
    ensure!(refused.to_string().contains("TLS"), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_classic_swarm_wrote_is_understood() -> Result<()> {
    let Some(servers) = zookeeper().await? else {
        return Ok(());
    };
    let store = open(&servers.discovery(), &[])?;
    ensure!(store.classic_primary().await?.is_none());
    // What we write for scripts is no lock.
    store.announce_primary(&"10.0.0.8:4000".parse()?).await?;
    ensure!(store.classic_primary().await?.is_none());
    let leader = "/nodes/docker/swarm/leader";
    servers
        .zookeeper_cli(&["set", leader, "10.0.0.9:4000"])
        .await?;
    let waiter = format!("{leader}/_c_7c5b1a0d2f3e4b5a6978a0b1c2d3e4f5-lock-");
    servers
        .zookeeper_cli(&["create", "-s", &waiter, ""])
        .await?;
    let found = store.classic_primary().await?;
    ensure!(found.as_deref() == Some("10.0.0.9:4000"), "{found:?}");

    // An agent makes the node first and writes the address into it then.
    let mut cursor = Cursor::default();
    ensure!(store.watch_engines(&mut cursor).await?.is_empty());
    let engine: HostPort = "10.0.0.9:2375".parse()?;
    servers
        .zookeeper_cli(&["create", "/nodes/docker/swarm/nodes"])
        .await?;
    servers
        .zookeeper_cli(&["create", &node_of(&engine)])
        .await?;
    let seen = wait::until("the engine is seen", LIMIT, async || {
        let seen = store.watch_engines(&mut cursor).await.ok()?;
        (seen == [engine.to_string()]).then_some(())
    });
    seen.await
}

fn node_of(engine: &HostPort) -> String {
    format!("/nodes/docker/swarm/nodes/{engine}")
}

/// The session that a registration goes with.
async fn owner_of(servers: &Ensemble, engine: &HostPort) -> Result<String> {
    let text = servers.zookeeper_cli(&["stat", &node_of(engine)]).await?;
    let owner = text
        .lines()
        .find_map(|line| line.strip_prefix("ephemeralOwner = "));
    Ok(owner.with_context(|| text.clone())?.to_owned())
}
