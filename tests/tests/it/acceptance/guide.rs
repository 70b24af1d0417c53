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
    let mut world = World::empty().await?;
    world.engines = engines::start(3).await?;
    let addresses = [ports::claim()?, ports::claim()?, ports::claim()?];
    let [first, second, third] = addresses;
    let url = world.store.discovery();

    // Create the primary manager, then two replicas.
    let manager_1 = manage(first, &url).await?;
    shows(
        &manager_1,
        &[
            "Listening for HTTP",
            "Cluster leadership acquired",
            &elected(first),
        ],
    )
    .await?;
    let manager_2 = manage(second, &url).await?;
    let manager_3 = manage(third, &url).await?;
    for replica in [&manager_2, &manager_3] {
        shows(
            replica,
            &[
                "Listening for HTTP",
                "Cluster leadership lost",
                &elected(first),
            ],
        )
        .await?;
    }
    for (manager, address) in [
        (&manager_1, first),
        (&manager_2, second),
        (&manager_3, third),
    ] {
        let listening = transcript(manager).into_iter().next().context("no line")?;
        let expected = format!("Listening for HTTP addr=:{} proto=tcp", address.port());
        ensure!(
            listening == expected,
            "{listening:?} instead of {expected:?}"
        );
    }

    // List machines in the cluster.
    world.join_engines().await?;
    for docker in docker::all()? {
        for address in addresses {
            let role = if address == first {
                "primary"
            } else {
                "replica"
            };
            info_shows(&docker, address, role, first, &world).await?;
        }
    }

    // Test the failover mechanism.
    manager_1.signal_group(Signal::INT)?;
    ensure!(
        manager_1.wait_exit(LIMIT).await?.success(),
        "{}",
        manager_1.text()
    );
    let winner = wait::until("a replica takes over", LIMIT, async || {
        let acquired = |process: &Process| {
            transcript(process).contains(&"Cluster leadership acquired".to_owned())
        };
        match (acquired(&manager_2), acquired(&manager_3)) {
            (true, _) => Some(second),
            (_, true) => Some(third),
            (false, false) => None,
        }
    })
    .await?;
    let before = [
        "Listening for HTTP",
        "Cluster leadership lost",
        &elected(first),
    ];
    let (new_primary, other) = if winner == second {
        (&manager_2, &manager_3)
    } else {
        (&manager_3, &manager_2)
    };
    let mut after = before.to_vec();
    let news = elected(winner);
    after.push(&news);
    shows(other, &after).await?;
    after.push("Cluster leadership acquired");
    shows(new_primary, &after).await?;

    // Switch the primary.
    for docker in docker::all()? {
        info_shows(&docker, winner, "primary", winner, &world).await?;
        let echoed = docker
            .run(
                &winner.to_string(),
                &["run", "--rm", "busybox", "echo", "hello"],
            )
            .await?;
        ensure!(echoed.clone().success()? == "hello", "{echoed:?}");
    }

    // The old one comes back as a replica.
    drop(manager_1);
    let manager_1 = manage(first, &url).await?;
    shows(
        &manager_1,
        &[
            "Listening for HTTP",
            "Cluster leadership lost",
            &elected(winner),
        ],
    )
    .await?;
    info_shows(&docker::newest()?, first, "replica", winner, &world).await?;
    for log in [&manager_1, &manager_2, &manager_3] {
        check_log(&log.text())?;
    }
    world.check_logs()
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

fn elected(address: SocketAddr) -> String {
    format!("New leader elected: {address}")
}

/// Waits until the messages of a log at a terminal begin as `expected` do, in this order, with no other between them.
async fn shows(process: &Process, expected: &[&str]) -> Result<()> {
    let shown = wait::until("the transcript", LIMIT, async || {
        let lines = transcript(process);
        (lines.len() >= expected.len()).then_some(lines)
    })
    .await
    .with_context(|| process.text())?;
    let same = shown.len() == expected.len()
        && shown
            .iter()
            .zip(expected)
            .all(|(line, part)| line.starts_with(part));
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
