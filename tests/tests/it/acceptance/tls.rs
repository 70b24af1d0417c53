//! Nothing in clear text: clients, managers, engines and the store speak TLS, and everybody checks everybody.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use http::Method;
use rustix::process::Signal;
use serde_json::Value;
use swarm_tests::docker::{self, Docker, Finished};
use swarm_tests::engines::{Certs, Engine, EngineOptions, IMAGE};
use swarm_tests::http::{self as client, Lines};
use swarm_tests::manager::{self, Manager};
use swarm_tests::process::{Process, Streams};
use swarm_tests::scratch::Scratch;
use swarm_tests::{agent, ports, real, wait};

use super::world::{LIMIT, check_log};

const MANAGERS: usize = 3;

/// What `swarm certs init` made, and who uses it.
struct House {
    managers: Vec<Manager>,
    agent: Process,
    _engine: Engine,
    etcd: Etcd,
    certs: Scratch,
}

/// A server that speaks TLS to its clients.
struct Etcd {
    client: SocketAddr,
    _process: Process,
    _data: Scratch,
}

impl Etcd {
    async fn start(certs: &Scratch) -> Result<Self> {
        let (client, peer) = (ports::claim()?, ports::claim()?);
        let data = Scratch::new("etcd-tls")?;
        let url = format!("https://{client}");
        let own = certs.path().join("engine");
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(data.path().join("data"));
        command.arg("--cert-file").arg(own.join("cert.pem"));
        command.arg("--key-file").arg(own.join("key.pem"));
        command.args([
            "--listen-client-urls",
            &url,
            "--advertise-client-urls",
            &url,
        ]);
        command.args(["--listen-peer-urls", &format!("http://{peer}")]);
        command.args(["--initial-advertise-peer-urls", &format!("http://{peer}")]);
        command.args(["--initial-cluster", &format!("default=http://{peer}")]);
        command.args(["--enable-v2=true", "--log-level", "info"]);
        let process = Process::spawn("etcd with TLS", command, Streams::Pipes)?;
        process
            .wait_line("ready to serve client requests", LIMIT)
            .await?;
        Ok(Self {
            client,
            _process: process,
            _data: data,
        })
    }

    fn discovery(&self) -> String {
        format!("etcd://{}/swarm", self.client)
    }
}

impl House {
    async fn build() -> Result<Self> {
        let certs = manager::certificates().await?;
        let etcd = Etcd::start(&certs).await?;
        let engine = Engine::start(EngineOptions {
            certs: Some(Certs {
                engine: certs.path().join("engine"),
                client: certs.path().join("client"),
            }),
            ..EngineOptions::default()
        });
        let engine = engine.await?;
        let ca = format!("kv.cacertfile={}", certs.path().join("ca.pem").display());
        let options = ["--discovery-opt", &ca];
        let agent = agent::join(engine.address(), &etcd.discovery(), &options).await?;
        agent.wait_line("Registered", LIMIT).await?;
        let mut house = Self {
            managers: Vec::new(),
            agent,
            _engine: engine,
            etcd,
            certs,
        };
        let [cacert, cert, key] =
            ["ca.pem", "cert.pem", "key.pem"].map(|name| house.file("manager", name));
        let (cacert, cert, key) = (cacert.display(), cert.display(), key.display());
        let flags = [
            "--tlsverify".to_owned(),
            format!("--tlscacert={cacert}"),
            format!("--tlscert={cert}"),
            format!("--tlskey={key}"),
            format!("--discovery-opt={ca}"),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        for _ in 0..MANAGERS {
            let discovery = house.etcd.discovery();
            let manager = Manager::replicated(&discovery, &flags, Streams::Pipes).await?;
            manager
                .process
                .wait_line("Listening for HTTP", LIMIT)
                .await?;
            house.managers.push(manager);
        }
        Ok(house)
    }

    fn file(&self, role: &str, name: &str) -> PathBuf {
        self.certs.path().join(role).join(name)
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
            ["ca.pem", "cert.pem", "key.pem"].map(|name| self.file("client", name));
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
    if !real::program("etcd")? {
        return Ok(());
    }
    let mut house = House::build().await?;
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
    if !real::program("etcd")? {
        return Ok(());
    }
    let house = House::build().await?;
    let primary = house.settled().await?;
    let replica = (primary + 1) % MANAGERS;
    let address = house.managers.get(replica).context("no replica")?.address();
    let tls = client::tls(&house.certs.path().join("client"))?;
    let events = client::request(Method::GET, "/events")?;
    let mut events = Lines::new(client::open_with(address, events, Some(&tls)).await?);

    let spare = manager::certificates().await?;
    // It trusts these managers; they do not know it yet.
    std::fs::copy(
        house.file("client", "ca.pem"),
        spare.path().join("client/ca.pem"),
    )?;
    let stranger = client::tls(&spare.path().join("client"))?;
    let ping = || client::request(Method::GET, "/_ping");
    let refused = client::send_tls(address, ping()?, &stranger).await;
    ensure!(refused.is_err(), "{refused:?}");
    let file = house.file("manager", "ca.pem");
    let other = std::fs::read_to_string(spare.path().join("ca.pem"))?;
    std::fs::write(&file, std::fs::read_to_string(&file)? + &other)?;
    for manager in &house.managers {
        manager.process.signal(Signal::HUP)?;
        let told = "New certificates are in use";
        manager.process.wait_line(told, LIMIT).await?;
    }
    let answer = client::send_tls(address, ping()?, &stranger).await?;
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
