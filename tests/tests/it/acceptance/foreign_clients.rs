//! Programs that others wrote for a Docker Engine: Compose, docker-py, and bollard.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use bollard::Docker as Bollard;
use bollard::models::{
    ContainerCreateBody, HostConfig, NetworkConnectRequest, NetworkCreateRequest,
    VolumeCreateRequest,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, CreateImageOptionsBuilder, ListContainersOptionsBuilder,
    LogsOptionsBuilder, RemoveContainerOptionsBuilder, RemoveVolumeOptions,
};
use futures_util::TryStreamExt;
use swarm_tests::real;
use swarm_tests::scratch::Scratch;
use tokio::process::Command;
use tokio::time::timeout;

use super::world::{LIMIT, World};

/// With the python that Debian's packages are for.
const PYTHON: &str = "/usr/bin/python3";
const DOCKER_PY: &str = include_str!("docker_py.py");

const PROJECT: &str = r#"
version: "2.4"
services:
  web:
    image: busybox
    command: sh -c 'while :; do echo web; sleep 1; done'
    depends_on: [db]
    networks: [back]
    environment: ["A=1"]
  db:
    image: busybox
    command: sleep 600
    volumes: ["data:/data"]
    networks: {back: {aliases: [database]}}
networks: {back: {}}
volumes: {data: {}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn compose_docker_py_and_bollard_work_through_a_replica() -> Result<()> {
    if !real::engines()? {
        return Ok(());
    }
    let world = World::with_real_engines(2).await?;
    let replica = format!("tcp://{}", world.replica().await?);
    compose(&replica).await.context("docker-compose")?;
    docker_py(&replica).await.context("docker-py")?;
    bollard(&replica).await.context("bollard")?;
    world.settled().await?;
    world.check_logs()
}

async fn compose(endpoint: &str) -> Result<()> {
    let folder = Scratch::new("compose")?;
    let file = folder.path().join("docker-compose.yml");
    fs::write(&file, PROJECT)?;
    let run = async |arguments: &[&str]| {
        let mut command = Command::new("docker-compose");
        command
            .env("DOCKER_HOST", endpoint)
            .args(["--ansi", "never", "--project-name", "shop", "--file"])
            .arg(&file)
            .args(arguments);
        output(command).await.with_context(|| arguments.join(" "))
    };
    run(&["up", "--detach"]).await?;
    let again = run(&["up", "--detach"]).await?;
    ensure!(again.contains("shop_web_1 is up-to-date"), "{again}");
    run(&["up", "--detach", "--scale", "web=3"]).await?;
    let names = run(&["ps", "--quiet"]).await?;
    ensure!(names.lines().count() == 4, "{names}");
    let said = run(&["exec", "-T", "web", "sh", "-c", "echo $A"]).await?;
    ensure!(said.trim_end() == "1", "{said}");
    let logs = run(&["logs", "--tail=1", "db", "web"]).await?;
    ensure!(logs.contains("web_3") && logs.contains("| web"), "{logs}");
    run(&["up", "--detach", "--force-recreate", "--timeout", "1"]).await?;
    run(&["restart", "--timeout", "1", "db"]).await?;
    let once = run(&["run", "--rm", "web", "echo", "one-off"]).await?;
    ensure!(once.contains("one-off"), "{once}");
    run(&["down", "--volumes", "--timeout", "1"]).await?;
    let left = run(&["ps", "--quiet"]).await?;
    ensure!(left.is_empty(), "{left}");
    Ok(())
}

async fn docker_py(endpoint: &str) -> Result<()> {
    let mut command = Command::new(PYTHON);
    command.args(["-c", DOCKER_PY, endpoint]);
    let said = output(command).await?;
    ensure!(said.trim_end() == "done", "{said}");
    Ok(())
}

/// Both outputs of a command that has to succeed.
async fn output(mut command: Command) -> Result<String> {
    let ran = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(LIMIT * 2, ran).await??;
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    let text = text.concat();
    ensure!(output.status.success(), "{}: {text}", output.status);
    Ok(text)
}

async fn bollard(endpoint: &str) -> Result<()> {
    let docker = Bollard::connect_with_http(endpoint, 60, bollard::API_DEFAULT_VERSION)?
        .negotiate_version()
        .await?;
    let version = docker.version().await?.version.unwrap_or_default();
    ensure!(version.starts_with("swarm/"), "{version}");
    let pulled = CreateImageOptionsBuilder::default().from_image("absent.invalid/image");
    let pulled = docker.create_image(Some(pulled.build()), None, None);
    ensure!(pulled.try_collect::<Vec<_>>().await.is_err());

    let network = NetworkCreateRequest {
        name: "bollard-net".to_owned(),
        driver: Some("bridge".to_owned()),
        ..NetworkCreateRequest::default()
    };
    docker.create_network(network).await?;
    let volume = VolumeCreateRequest {
        name: Some("bollard-volume".to_owned()),
        ..VolumeCreateRequest::default()
    };
    docker.create_volume(volume).await?;
    let options = CreateContainerOptionsBuilder::default().name("bollard");
    let body = ContainerCreateBody {
        image: Some("busybox".to_owned()),
        cmd: Some(
            ["sh", "-c", "echo out; sleep 600"]
                .map(str::to_owned)
                .to_vec(),
        ),
        host_config: Some(HostConfig {
            binds: Some(vec!["bollard-volume:/data".to_owned()]),
            network_mode: Some("bollard-net".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    let made = docker.create_container(Some(options.build()), body).await?;
    docker.start_container("bollard", None).await?;
    let filters = [("name", vec!["bollard"])].into_iter().collect();
    let listed = ListContainersOptionsBuilder::default().filters(&filters);
    let listed = docker.list_containers(Some(listed.build())).await?;
    ensure!(listed.len() == 1, "{listed:?}");
    let logs = LogsOptionsBuilder::default().stdout(true).build();
    let logs: Vec<_> = docker.logs("bollard", Some(logs)).try_collect().await?;
    ensure!(
        logs.iter().any(|line| line.to_string() == "out\n"),
        "{logs:?}"
    );
    let inspected = docker.inspect_network("bollard-net", None).await?;
    let joined = inspected.containers.unwrap_or_default();
    ensure!(joined.contains_key(&made.id), "{joined:?}");
    let again = NetworkConnectRequest {
        container: "nothing".to_owned(),
        ..NetworkConnectRequest::default()
    };
    let refused = docker.connect_network("bollard-net", again).await;
    let refused = refused.err().context("connected nothing")?;
    ensure!(
        refused.to_string().contains("No such container: nothing"),
        "{refused}"
    );
    let remove = RemoveContainerOptionsBuilder::default().force(true);
    docker
        .remove_container("bollard", Some(remove.build()))
        .await?;
    docker.remove_network("bollard-net").await?;
    docker
        .remove_volume("bollard-volume", None::<RemoveVolumeOptions>)
        .await?;
    Ok(())
}
