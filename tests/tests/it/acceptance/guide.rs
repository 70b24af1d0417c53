//! The guide "High availability in Docker Swarm", followed word by word, with other addresses.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use swarm_tests::docker::{self, Docker};
use swarm_tests::process::{Process, Streams};
use swarm_tests::{engines, manager, ports, real, wait};

use super::world::{LIMIT, World, check_log, plain};

#[tokio::test(flavor = "multi_thread")]
async fn the_multi_manager_guide_works_word_by_word() -> Result<()> {
    if !real::engines()? {
        return Ok(());
    }
    let mut guide = Guide::begin().await?;
    guide.create_the_primary_and_two_replicas().await?;
    guide.list_machines_in_the_cluster().await?;
    let primary = guide.test_the_failover_mechanism().await?;
    guide.switch_the_primary(primary).await?;
    guide
        .the_old_primary_comes_back_as_a_replica(primary)
        .await?;
    for manager in &guide.managers {
        check_log(&manager.text())?;
    }
    guide.world.check_logs()
}

/// The guide's three machines.
struct Guide {
    managers: Vec<Process>,
    addresses: [SocketAddr; 3],
    world: World,
}

impl Guide {
    async fn begin() -> Result<Self> {
        let mut world = World::empty().await?;
        world.engines = engines::start(3).await?;
        Ok(Self {
            managers: Vec::new(),
            addresses: [ports::claim()?, ports::claim()?, ports::claim()?],
            world,
        })
    }

    async fn create_the_primary_and_two_replicas(&mut self) -> Result<()> {
        let [first, ..] = self.addresses;
        for address in self.addresses {
            let manager = manage(address, &self.world.store.discovery()).await?;
            let role = if address == first { "acquired" } else { "lost" };
            let listening = format!("Listening for HTTP addr=:{} proto=tcp", address.port());
            shows(&manager, &[listening, leadership(role), elected(first)]).await?;
            self.managers.push(manager);
        }
        Ok(())
    }

    async fn list_machines_in_the_cluster(&mut self) -> Result<()> {
        let [first, ..] = self.addresses;
        self.world.join_engines(&[]).await?;
        for docker in docker::all()? {
            for address in self.addresses {
                let role = if address == first {
                    "primary"
                } else {
                    "replica"
                };
                info_shows(&docker, address, role, first, &self.world).await?;
            }
        }
        Ok(())
    }

    /// Ctrl-C at the primary's terminal; returns who takes over.
    async fn test_the_failover_mechanism(&mut self) -> Result<SocketAddr> {
        let [first, ..] = self.addresses;
        let old = self.managers.remove(0);
        old.signal_group(Signal::INT)?;
        ensure!(old.wait_exit(LIMIT).await?.success(), "{}", old.text());
        check_log(&old.text())?;
        let replicas = || self.managers.iter().zip(self.addresses.into_iter().skip(1));
        let winner = wait::until("a replica takes over", LIMIT, async || {
            let acquired =
                |process: &Process| transcript(process).contains(&leadership("acquired"));
            replicas()
                .find(|(manager, _)| acquired(manager))
                .map(|(_, address)| address)
        })
        .await?;
        for (manager, address) in replicas() {
            let listening = format!("Listening for HTTP addr=:{} proto=tcp", address.port());
            let mut expected = vec![
                listening,
                leadership("lost"),
                elected(first),
                elected(winner),
            ];
            if address == winner {
                expected.push(leadership("acquired"));
            }
            shows(manager, &expected).await?;
        }
        Ok(winner)
    }

    async fn switch_the_primary(&self, primary: SocketAddr) -> Result<()> {
        for docker in docker::all()? {
            info_shows(&docker, primary, "primary", primary, &self.world).await?;
            let run = ["run", "--rm", "busybox", "echo", "hello"];
            let echoed = docker.run(&primary.to_string(), &run).await?;
            ensure!(echoed.clone().success()? == "hello", "{echoed:?}");
        }
        Ok(())
    }

    async fn the_old_primary_comes_back_as_a_replica(&mut self, primary: SocketAddr) -> Result<()> {
        let [first, ..] = self.addresses;
        let manager = manage(first, &self.world.store.discovery()).await?;
        let listening = format!("Listening for HTTP addr=:{} proto=tcp", first.port());
        shows(&manager, &[listening, leadership("lost"), elected(primary)]).await?;
        self.managers.push(manager);
        info_shows(&docker::newest()?, first, "replica", primary, &self.world).await
    }
}

/// `swarm manage -H :PORT --replication --advertise ADDRESS consul://…/nodes` at a terminal.
async fn manage(address: SocketAddr, discovery: &str) -> Result<Process> {
    let mut command = manager::command().await?;
    command.args([
        "manage",
        "-H",
        &format!(":{}", address.port()),
        "--replication",
    ]);
    command.args(["--advertise", &address.to_string(), discovery]);
    Process::spawn(&format!("manager {address}"), command, Streams::Terminal)
}

fn leadership(change: &str) -> String {
    format!("Cluster leadership {change}")
}

fn elected(address: SocketAddr) -> String {
    format!("New leader elected: {address}")
}

/// Waits until the transcript has as many lines as `expected`, and compares them.
async fn shows(process: &Process, expected: &[String]) -> Result<()> {
    let shown = wait::until("the transcript", LIMIT, async || {
        let lines = transcript(process);
        (lines.len() >= expected.len()).then_some(lines)
    })
    .await
    .with_context(|| process.text())?;
    let same = shown == expected;
    ensure!(
        same,
        "shown: {shown:#?}\nexpected: {expected:#?}\nall:\n{}",
        process.text()
    );
    Ok(())
}

/// What a log at a terminal says of the listener and the election, without `INFO[0000] ` and with single blanks, as the
/// guide prints it; its `[...]` stands for the rest.
fn transcript(process: &Process) -> Vec<String> {
    let lines = process.lines().into_iter().map(|line| plain(&line.text));
    let infos = lines.filter_map(|line| {
        let rest = line.strip_prefix("INFO[")?;
        let (seconds, message) = rest.split_once("] ")?;
        let digits = seconds.len() == 4 && seconds.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| message.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    let told = [
        "Listening for HTTP",
        "Cluster leadership ",
        "New leader elected: ",
    ];
    infos
        .filter(|line| told.iter().any(|part| line.starts_with(part)))
        .collect()
}

/// `docker info` at `address` has all the lines of the guide, in its order.
async fn info_shows(
    docker: &Docker,
    address: SocketAddr,
    role: &str,
    primary: SocketAddr,
    world: &World,
) -> Result<()> {
    let mut expected = vec![
        "Containers: 0".to_owned(),
        "Images: 3".to_owned(),
        format!("Role: {role}"),
        format!("Primary: {primary}"),
        "Strategy: spread".to_owned(),
        "Filters: ".to_owned(),
        "Nodes: 3".to_owned(),
    ];
    for engine in &world.engines {
        expected.push(format!("{}: {}", engine.name(), engine.address()));
        for part in [
            "Status: Healthy",
            "Containers: 0",
            "Reserved CPUs: 0 / ",
            "Reserved Memory: 0 B / ",
            "Labels: ",
        ] {
            expected.push(part.to_owned());
        }
    }
    expected.extend(["CPUs: ", "Total Memory: "].map(str::to_owned));
    let mut last = String::new();
    let shown = wait::until(
        "docker info as in the guide",
        Duration::from_secs(30),
        async || {
            let finished = docker.run(&address.to_string(), &["info"]).await.ok()?;
            last = format!("{}{}", finished.stdout, finished.stderr);
            let mut lines = finished
                .stdout
                .lines()
                .map(|line| line.trim_start_matches([' ', '└']).trim());
            expected
                .iter()
                .all(|part| lines.any(|line| line.starts_with(part.as_str())))
                .then_some(())
        },
    )
    .await;
    shown.with_context(|| {
        format!(
            "docker {} info at {address}:\n{last}\nexpected: {expected:#?}",
            docker.version()
        )
    })
}
