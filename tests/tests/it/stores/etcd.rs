//! What only etcd has: users, compaction, the lock of classic Swarm in its v2 API.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use swarm::store::Cursor;
use swarm_core::election::{Reading, SwapOutcome};
use swarm_tests::ensemble::{Ensemble, Kind};
use swarm_tests::{http as client, wait};

use super::{Server, Subject, open, record, swapped};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_survives_compaction() -> Result<()> {
    match Subject::ensemble(Kind::Etcd, 1).await? {
        Some(subject) => survives_compaction(subject).await,
        None => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_the_double_survives_compaction() -> Result<()> {
    match Subject::etcd_double().await? {
        Some(subject) => survives_compaction(subject).await,
        None => Ok(()),
    }
}

async fn survives_compaction(subject: Subject) -> Result<()> {
    let store = subject.store.clone();
    let mut version = swapped(store.swap_lease(None, &record(1, "n")).await)?;
    let mut cursor = Cursor::default();
    store.watch_lease(&mut cursor).await?;
    for round in 2..=10 {
        version = swapped(store.swap_lease(Some(version), &record(round, "n")).await)?;
    }
    ask(
        &subject.server,
        "/v3/kv/compaction",
        &json!({"revision": version.0.to_string()}),
    )
    .await?;
    let seen = wait::until("what is newest is seen", LIMIT, async || {
        let seen = store.watch_lease(&mut cursor).await.ok()?;
        (seen.version() == Some(version)).then_some(())
    });
    seen.await
}

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in_and_do_so_again_when_their_token_is_gone() -> Result<()> {
    if !Kind::Etcd.is_here()? {
        return Ok(());
    }
    let server = Server::Ensemble(Ensemble::start(Kind::Etcd, 1).await?);
    add_user(&server, "root", json!(null)).await?;
    ask(&server, "/v3/auth/enable", &json!({})).await?;
    let stranger = open(&server.discovery(), &[])?;
    let refused = stranger.verify_lease().await.err().context("not refused")?;
    ensure!(refused.to_string().contains("user"), "{refused}");
    let outcome = stranger.swap_lease(None, &record(1, "n")).await;
    ensure!(outcome == SwapOutcome::NotApplied, "{outcome:?}");
    let wrong = open(&server.discovery(), &["etcd.user=root:wrong"])?;
    let refused = wrong.verify_lease().await.err().context("not refused")?;
    ensure!(
        refused.to_string().contains("authentication failed"),
        "{refused}"
    );

    let store = open(&server.discovery(), &["etcd.user=root:secret"])?;
    ensure!(store.verify_lease().await? == Reading::Absent);
    let first = swapped(store.swap_lease(None, &record(1, "n")).await)?;
    // A restarted server knows no token any more.
    let Server::Ensemble(mut servers) = server else {
        return Ok(());
    };
    servers.kill_all();
    servers.start_all().await?;
    let second = swapped(store.swap_lease(Some(first), &record(2, "n")).await)?;
    let mut cursor = Cursor::default();
    ensure!(store.watch_lease(&mut cursor).await?.version() == Some(second));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_below_the_prefix_are_enough() -> Result<()> {
    if !Kind::Etcd.is_here()? {
        return Ok(());
    }
    let server = Server::Ensemble(Ensemble::start(Kind::Etcd, 1).await?);
    let below = |kind: &str| {
        let bytes = |text: &str| BASE64_STANDARD.encode(text);
        let (from, to) = (bytes("nodes/docker/swarm/"), bytes("nodes/docker/swarm0"));
        json!({"permType": kind, "key": from, "range_end": to})
    };
    add_user(&server, "root", json!(null)).await?;
    add_user(&server, "manager", below("READWRITE")).await?;
    add_user(&server, "reader", below("READ")).await?;
    ask(&server, "/v3/auth/enable", &json!({})).await?;

    let store = open(&server.discovery(), &["etcd.user=manager:secret"])?;
    store.check_write().await?;
    swapped(store.swap_lease(None, &record(1, "n")).await)?;
    let engine = "10.0.0.1:2375".parse()?;
    store.announce_primary(&engine).await?;
    store.set_drained("id", "name", true).await?;
    store.register(&engine, LIMIT).await?;
    let mut cursor = Cursor::default();
    ensure!(store.watch_engines(&mut cursor).await? == ["10.0.0.1:2375"]);

    let reader = open(&server.discovery(), &["etcd.user=reader:secret"])?;
    ensure!(reader.verify_lease().await?.version().is_some());
    let refused = reader.check_write().await.err().context("not refused")?;
    ensure!(
        refused.is_final() && refused.to_string().contains("permission denied"),
        "{refused}"
    );
    Ok(())
}

/// A user with a role of the same name and, unless it is null, this permission. The password is `secret`.
async fn add_user(server: &Server, name: &str, permission: Value) -> Result<()> {
    let user = json!({"name": name, "password": "secret"});
    ask(server, "/v3/auth/user/add", &user).await?;
    ask(server, "/v3/auth/role/add", &json!({"name": name})).await?;
    if !permission.is_null() {
        let grant = json!({"name": name, "perm": permission});
        ask(server, "/v3/auth/role/grant", &grant).await?;
    }
    let grant = json!({"user": name, "role": name});
    ask(server, "/v3/auth/user/grant", &grant).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_of_classic_swarm_is_found() -> Result<()> {
    let Some(subject) = Subject::ensemble(Kind::Etcd, 1).await? else {
        return Ok(());
    };
    ensure!(subject.store.classic_primary().await?.is_none());
    let path = "/v2/keys/nodes/docker/swarm/leader?value=10.0.0.9:4000&ttl=20&prevExist=false";
    let mut request = client::request(http::Method::PUT, path)?;
    request.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    client::send(address(&subject.server)?, request)
        .await?
        .success()?;
    let found = subject.store.classic_primary().await?;
    ensure!(found.as_deref() == Some("10.0.0.9:4000"), "{found:?}");
    Ok(())
}

fn address(server: &Server) -> Result<std::net::SocketAddr> {
    let discovery = server.discovery();
    let first = discovery
        .split(['/', ','])
        .find(|part| part.starts_with("127."));
    Ok(first.context("no server")?.parse()?)
}

async fn ask(server: &Server, path: &str, body: &Value) -> Result<Value> {
    client::post_json(address(server)?, path, body)
        .await?
        .success()?
        .json()
}
