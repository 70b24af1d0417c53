//! A real engine is stopped and started again.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use swarm_tests::docker::{self, Docker};
use swarm_tests::{http as client, real, wait};

use super::world::{LIMIT, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_away_keeps_its_containers_and_comes_back() -> Result<()> {
    if !real::engines()? {
        return Ok(());
    }
    let mut world = World::with_real_engines(3).await?;
    let replica = world.replica().await?;
    let docker = docker::newest()?;
    for name in ["one", "two", "three"] {
        let run = [
            "run", "--detach", "--name", name, "busybox", "sleep", "3600",
        ];
        docker.run(&replica.to_string(), &run).await?.success()?;
    }
    let host = ["inspect", "--format", "{{.Node.Name}}", "two"];
    let host = docker.run(&replica.to_string(), &host).await?.success()?;
    let at = world
        .engines
        .iter()
        .position(|engine| engine.name() == host);
    let at = at.with_context(|| format!("no engine is named {host}"))?;

    let engine = world.engines.get_mut(at).context("engine")?;
    engine.stop().await?;
    let address = engine.address().to_string();
    let info = state(&docker, replica, &host, |status| status != "Healthy").await?;
    ensure!(
        info.contains("Nodes: 3") && info.contains(&address),
        "{info}"
    );
    ensure!(names(&docker, replica).await? == ["one", "three", "two"]);
    for path in ["/containers/two/json", "/containers/two/logs?stdout=1"] {
        let answer = client::get(replica, path).await?;
        ensure!(
            answer.status == StatusCode::SERVICE_UNAVAILABLE,
            "{path}: {}: {}",
            answer.status,
            answer.text()
        );
        ensure!(answer.text().contains(&host), "{path}: {}", answer.text());
    }
    let started = docker.run(&replica.to_string(), &["start", "two"]).await?;
    ensure!(
        !started.status.success() && started.stderr.contains(&host),
        "{started:?}"
    );
    // The others work as before.
    docker
        .run(&replica.to_string(), &["exec", "one", "true"])
        .await?
        .success()?;

    world
        .engines
        .get_mut(at)
        .context("engine")?
        .start_again()
        .await?;
    state(&docker, replica, &host, |status| status == "Healthy").await?;
    // That was the replica's own view; the primary, which acts, has one too.
    world.settled().await?;
    ensure!(names(&docker, replica).await? == ["one", "three", "two"]);
    docker
        .run(&replica.to_string(), &["start", "two"])
        .await?
        .success()?;
    let exec = ["exec", "two", "echo", "back"];
    ensure!(docker.run(&replica.to_string(), &exec).await?.success()? == "back");
    world.settled().await?;
    world.check_logs()
}

/// Waits until `docker info` shows a status of the engine that is `right`; returns all it shows.
async fn state(
    docker: &Docker,
    manager: SocketAddr,
    engine: &str,
    right: impl Fn(&str) -> bool,
) -> Result<String> {
    let mut last = String::new();
    let found = wait::until("the engine's state in docker info", LIMIT, async || {
        let shown = docker.run(&manager.to_string(), &["info"]).await.ok()?;
        last.clone_from(&shown.stdout);
        let mut lines = shown
            .stdout
            .lines()
            .map(|line| line.trim_start_matches([' ', '└']));
        lines.find(|line| line.starts_with(&format!("{engine}: ")))?;
        let status = lines.find_map(|line| line.strip_prefix("Status: "))?;
        right(status.trim()).then_some(())
    })
    .await;
    found.with_context(|| last.clone())?;
    Ok(last)
}

/// The names of all containers, without their engines.
async fn names(docker: &Docker, manager: SocketAddr) -> Result<Vec<String>> {
    let list = ["ps", "--all", "--format", "{{.Names}}"];
    let listed = docker.run(&manager.to_string(), &list).await?.success()?;
    let name = |line: &str| line.rsplit('/').next().unwrap_or(line).to_owned();
    let mut names: Vec<_> = listed.lines().map(name).collect();
    names.sort();
    Ok(names)
}
