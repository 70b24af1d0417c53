//! Nothing in clear text: clients, managers, engines and the store speak TLS, and everybody checks everybody.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http::Method;
use rustix::process::Signal;
use serde_json::Value;
use swarm_tests::certs::Certificates;
use swarm_tests::docker::{self, Docker, Finished};
use swarm_tests::engines::{Engine, EngineOptions, IMAGE};
use swarm_tests::ensemble::Kind;
use swarm_tests::http::{self as client, Lines, Server};
use swarm_tests::manager::{self, Manager};
use swarm_tests::process::{Process, Streams};
use swarm_tests::servers::{Servers, StoreKind};
use swarm_tests::{agent, wait};

use super::world::{LIMIT, check_log};

const MANAGERS: usize = 3;

/// What `swarm certs init` made, and who uses it.
struct House {
    managers: Vec<Manager>,
    agent: Process,
    _engine: Engine,
    store: Servers,
    certs: Arc<Certificates>,
}

impl House {
    async fn build(store: StoreKind) -> Result<Self> {
        let certs = Certificates::new().await?;
        let store = Servers::start(store, 1, Some(certs.clone())).await?;
        let engine = Engine::start(EngineOptions {
            certs: Some(certs.clone()),
            ..EngineOptions::default()
        });
        let engine = engine.await?;
        let of_store = certs.store_options();
        let of_store: Vec<&str> = of_store
            .iter()
            .flat_map(|option| ["--discovery-opt", option])
            .collect();
        let agent = agent::join(engine.address(), &store.discovery(), &of_store).await?;
        agent.wait_line("Registered", LIMIT).await?;
        let mut house = Self {
            managers: Vec::new(),
            agent,
            _engine: engine,
            store,
            certs: certs.clone(),
        };
        let own = certs.manager_flags();
        let mut flags: Vec<&str> = own.iter().map(String::as_str).collect();
        flags.extend(of_store);
        for _ in 0..MANAGERS {
            let discovery = house.store.discovery();
            let manager = Manager::replicated(&discovery, &flags, Streams::Pipes).await?;
            manager
                .process
                .wait_line("Listening for HTTP", LIMIT)
                .await?;
            house.managers.push(manager);
        }
        Ok(house)
    }

    /// What `swarm status` prints, with the variables that the docker command reads too.
    async fn status(&self, index: usize, arguments: &[&str]) -> Result<String> {
        let manager = self.managers.get(index).context("no such manager")?;
        let mut command = manager::command().await?;
        command
            .args(["status", "--host", &manager.address().to_string()])
            .args(arguments)
            .env("DOCKER_TLS_VERIFY", "1")
            .env("DOCKER_CERT_PATH", self.certs.path().join("client"));
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(text)
    }

    /// Waits until all managers agree and know the engine; the primary's place.
    async fn settled(&self) -> Result<usize> {
        let found = wait::until("the managers agree", LIMIT, async || {
            let text = self.status(0, &["--json"]).await.ok()?;
            self.agreement(&serde_json::from_str(&text).ok()?)
        });
        let logs = || swarm_tests::cluster::logs(&self.managers);
        found.await.with_context(logs)
    }

    fn agreement(&self, report: &Value) -> Option<usize> {
        let managers = report.get("managers")?.as_array()?;
        let healthy = |found: &Value| {
            let engine = found.pointer("/status/engines/0/state");
            engine.and_then(Value::as_str) == Some("Healthy")
        };
        let known = managers.len() == self.managers.len() && managers.iter().all(healthy);
        let primary = report.get("primary")?.as_str()?;
        let place = self
            .managers
            .iter()
            .position(|manager| manager.address().to_string() == primary)?;
        (known && report.get("agreed") == Some(&Value::Bool(true))).then_some(place)
    }

    async fn docker(
        &self,
        docker: &Docker,
        manager: usize,
        arguments: &[&str],
        input: &str,
    ) -> Result<Finished> {
        let manager = self.managers.get(manager).context("no such manager")?;
        let [ca, cert, key] =
            ["ca.pem", "cert.pem", "key.pem"].map(|name| self.certs.file("client", name));
        let files = [
            format!("--tlscacert={}", ca.display()),
            format!("--tlscert={}", cert.display()),
            format!("--tlskey={}", key.display()),
        ];
        let mut all = vec!["--tlsverify"];
        all.extend(files.iter().map(String::as_str));
        all.extend(arguments);
        let host = manager.address().to_string();
        docker.run_with(&host, &all, input, docker::LIMIT).await
    }

    fn check_logs(&self) -> Result<()> {
        let managers = self.managers.iter().map(|manager| manager.process.text());
        for log in managers.chain([self.agent.text()]) {
            check_log(&log)?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_works_through_a_replica_and_across_a_failover_with_tls_everywhere() -> Result<()> {
    if !Kind::Etcd.is_here()? {
        return Ok(());
    }
    docker_works_across_a_failover(StoreKind::Ensemble(Kind::Etcd)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn also_when_the_store_is_consul() -> Result<()> {
    docker_works_across_a_failover(StoreKind::Consul).await
}

#[tokio::test(flavor = "multi_thread")]
async fn also_when_the_store_is_zookeeper() -> Result<()> {
    if !Kind::ZooKeeper.is_here()? {
        return Ok(());
    }
    docker_works_across_a_failover(StoreKind::Ensemble(Kind::ZooKeeper)).await
}

async fn docker_works_across_a_failover(store: StoreKind) -> Result<()> {
    let mut house = House::build(store).await?;
    let primary = house.settled().await?;
    let replica = (primary + 1) % MANAGERS;
    for docker in docker::all()? {
        let run = ["run", "--rm", "-i", IMAGE, "cat"];
        let echoed = house
            .docker(&docker, replica, &run, "through TLS\n")
            .await?;
        let version = docker.version();
        ensure!(echoed.success()? == "through TLS", "docker {version}");
    }
    strangers_are_refused(&house, replica).await?;
    let text = house.status(replica, &[]).await?;
    ensure!(text.contains("The certificate of 127.0.0.1:"), "{text}");

    let docker = docker::newest()?;
    let create = ["create", "--name", "kept", IMAGE, "true"];
    house
        .docker(&docker, replica, &create, "")
        .await?
        .success()?;
    let gone = house.managers.remove(primary);
    gone.process.signal(Signal::KILL)?;
    let listed = house
        .docker(&docker, 0, &["ps", "-aq"], "")
        .await?
        .success()?;
    ensure!(listed.lines().count() == 1, "{listed}");
    house.settled().await?;
    let run = ["run", "--rm", IMAGE, "echo", "still here"];
    for manager in 0..house.managers.len() {
        let printed = house.docker(&docker, manager, &run, "").await?.success()?;
        ensure!(printed == "still here", "{printed}");
    }
    check_log(&gone.process.text())?;
    house.check_logs()
}

/// Who has no certificate, speaks no TLS, or expects somebody else, gets nowhere.
async fn strangers_are_refused(house: &House, manager: usize) -> Result<()> {
    let docker = docker::newest()?;
    let address = house
        .managers
        .get(manager)
        .context("no such manager")?
        .address();
    let host = address.to_string();
    let refused = docker.run(&host, &["--tls", "ps"]).await?;
    ensure!(!refused.status.success(), "{refused:?}");
    let refused = docker.run(&host, &["ps"]).await?;
    ensure!(
        refused.stderr.contains("HTTP request to an HTTPS server"),
        "{refused:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_is_added_without_dropping_a_connection() -> Result<()> {
    let house = House::build(StoreKind::Consul).await?;
    let primary = house.settled().await?;
    let replica = (primary + 1) % MANAGERS;
    let address = house.managers.get(replica).context("no replica")?.address();
    let seen_by = |certs: &Certificates| {
        let tls = Some(certs.client()?);
        anyhow::Ok(Server { address, tls })
    };
    let events = client::request(Method::GET, "/events")?;
    let mut events = Lines::new(client::open(seen_by(&house.certs)?, events).await?);

    let spare = Certificates::new().await?;
    // It trusts these managers; they do not know it yet.
    std::fs::copy(
        house.certs.file("client", "ca.pem"),
        spare.file("client", "ca.pem"),
    )?;
    let refused = client::get(seen_by(&spare)?, "/_ping").await;
    ensure!(refused.is_err(), "{refused:?}");
    let file = house.certs.file("manager", "ca.pem");
    let other = std::fs::read_to_string(spare.path().join("ca.pem"))?;
    std::fs::write(&file, std::fs::read_to_string(&file)? + &other)?;
    for manager in &house.managers {
        manager.process.signal(Signal::HUP)?;
        let told = "New certificates are in use";
        manager.process.wait_line(told, LIMIT).await?;
    }
    let answer = client::get(seen_by(&spare)?, "/_ping").await?;
    ensure!(answer.status.is_success(), "{answer:?}");

    let docker = docker::newest()?;
    let create = ["create", "--name", "told", IMAGE, "true"];
    house
        .docker(&docker, replica, &create, "")
        .await?
        .success()?;
    let line = events.next(LIMIT).await?.context("the stream ended")?;
    ensure!(line.contains("\"create\""), "{line}");
    house.check_logs()
}
