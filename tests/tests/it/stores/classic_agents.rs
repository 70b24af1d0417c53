//! What only Consul has: agents of classic Swarm that write into the same directory.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::{Value, json};
use swarm_tests::manager::Manager;
use swarm_tests::modelled::ModelledEngine;
use swarm_tests::process::Streams;
use swarm_tests::store::Store;
use swarm_tests::{agent, cluster, http as client, wait};

const LIMIT: Duration = Duration::from_secs(60);

/// `swarm join` of classic Swarm, as far as Consul sees it (spec/classic.md section 2.5): a session that deletes the key,
/// and the address as the key's value.
struct ClassicAgent<'a> {
    store: &'a Store,
    engine: SocketAddr,
    session: String,
}

impl<'a> ClassicAgent<'a> {
    async fn join(store: &'a Store, engine: SocketAddr) -> Result<Self> {
        let wanted = json!({"TTL": "90s", "LockDelay": "1ms", "Behavior": "delete"});
        let made = store.put("/v1/session/create", wanted.to_string()).await?;
        let made: Value = serde_json::from_str(&made)?;
        let session = made.get("ID").and_then(Value::as_str).context("no ID")?;
        let agent = Self {
            store,
            engine,
            session: session.to_owned(),
        };
        let key = agent.key();
        let acquire = format!("{key}?acquire={session}&flags=3304740253564472344");
        let acquired = store.put(&acquire, engine.to_string()).await?;
        ensure!(acquired == "true", "{key}: {acquired}");
        agent.heartbeat().await?;
        Ok(agent)
    }

    /// It renews whatever session the key has, and writes the value anew.
    async fn heartbeat(&self) -> Result<()> {
        let renew = format!("/v1/session/renew/{}", self.session);
        self.store.put(&renew, "").await?;
        self.store.put(&self.key(), self.engine.to_string()).await?;
        Ok(())
    }

    /// Its session ends, as it does some time after the last heartbeat.
    async fn expire(self) -> Result<()> {
        let destroy = format!("/v1/session/destroy/{}", self.session);
        self.store.put(&destroy, "").await?;
        Ok(())
    }

    fn key(&self) -> String {
        format!("/v1/kv/nodes/docker/swarm/nodes/{}", self.engine)
    }
}

/// Waits until the manager has these engines, healthy, and no other.
async fn sees(manager: &Manager, engines: &[&ModelledEngine]) -> Result<()> {
    let mut expected: Vec<String> = engines
        .iter()
        .map(|engine| engine.address().to_string())
        .collect();
    expected.sort_unstable();
    let what = format!("the manager has {expected:?}");
    let seen = wait::until(&what, LIMIT, async || {
        let engines = cluster::status(manager.address()).await.ok()?.engines;
        let healthy = engines.iter().all(|engine| engine.state == "Healthy");
        let mut found: Vec<String> = engines.into_iter().map(|engine| engine.address).collect();
        found.sort_unstable();
        (healthy && found == expected).then_some(())
    });
    seen.await.with_context(|| manager.process.text())
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_classic_swarm_and_ours_share_a_directory() -> Result<()> {
    let store = Store::start().await?;
    let ours = ModelledEngine::start("ours").await?;
    let theirs = ModelledEngine::start("theirs").await?;
    let classic = ClassicAgent::join(&store, theirs.address()).await?;
    let agent = agent::join(ours.address(), &store.discovery(), &[]).await?;
    let manager = Manager::replicated(&store.discovery(), &[], Streams::Pipes).await?;
    sees(&manager, &[&ours, &theirs]).await?;
    classic.heartbeat().await?;

    // Ours in place of a classic one, whose session still holds the key.
    let arguments = ["--heartbeat", "1s", "--ttl", "20s"];
    let successor = agent::join(theirs.address(), &store.discovery(), &arguments).await?;
    successor.wait_line("Registered", LIMIT).await?;
    sees(&manager, &[&ours, &theirs]).await?;
    classic.expire().await?;
    let key = format!("/v1/kv/nodes/docker/swarm/nodes/{}", theirs.address());
    let held = wait::until("the key belongs to the successor", LIMIT, async || {
        let entries = client::get(store.address(), &key).await.ok()?.json().ok()?;
        entries.pointer("/0/Session").map(|_| ())
    });
    held.await.with_context(|| successor.text())?;
    sees(&manager, &[&ours, &theirs]).await?;

    // Who leaves takes its own engine away and nobody else's.
    agent.signal(Signal::TERM)?;
    sees(&manager, &[&theirs]).await
}
