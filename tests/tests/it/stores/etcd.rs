//! What only etcd has: users, compaction, the lock of classic Swarm in its v2 API.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use swarm::store::Cursor;
use swarm_core::election::{Reading, SwapOutcome};
use swarm_tests::ensemble::{Ensemble, Kind};
use swarm_tests::{http as client, wait};

use super::{Server, Subject, open, record, swapped};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_survives_compaction() -> Result<()> {
    let Some(subject) = Subject::ensemble(Kind::Etcd, 1).await? else {
        return Ok(());
    };
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
    for (path, body) in [
        (
            "/v3/auth/user/add",
            json!({"name": "root", "password": "secret"}),
        ),
        ("/v3/auth/role/add", json!({"name": "root"})),
        (
            "/v3/auth/user/grant",
            json!({"user": "root", "role": "root"}),
        ),
        ("/v3/auth/enable", json!({})),
    ] {
        ask(&server, path, &body).await?;
    }
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
