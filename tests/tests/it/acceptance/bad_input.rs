//! What users and networks get wrong: a clear message and the right exit code, never a panic.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result, ensure};
use swarm_tests::cluster::status;
use swarm_tests::manager::{self, Manager};
use swarm_tests::modelled::{self, ModelledEngine};
use swarm_tests::process::{Process, Streams};
use swarm_tests::scratch::Scratch;
use swarm_tests::{http as client, ports, wait};

use super::world::{LIMIT, World};

const CONSUL: &str = "consul://127.0.0.1:8500/nodes";
const LIST: &str = "nodes://127.0.0.1:2375";

/// Command lines that cannot be followed, and what the message must name. `CONSUL` and `LIST` stand for the above.
const REFUSED: &[(&str, &str)] = &[
    ("manage", "discovery"),
    ("manage LIST another", "another"),
    ("manage --bogus LIST", "-bogus"),
    ("manage --strategy best LIST", "best"),
    ("manage --filter nope LIST", "nope"),
    ("manage --replication LIST", "replication"),
    ("manage --replication CONSUL", "--advertise"),
    (
        "manage --replication --advertise nowhere CONSUL",
        "--advertise",
    ),
    (
        "manage --replication --advertise a:70000 CONSUL",
        "--advertise",
    ),
    (
        "manage --replication --advertise a:1 --replication-ttl soon CONSUL",
        "soon",
    ),
    (
        "manage --replication --advertise a:1 --replication-ttl 1ms CONSUL",
        "--replication-ttl",
    ),
    (
        "manage --replication --advertise a:1 --replication-ttl=-2s CONSUL",
        "--replication-ttl",
    ),
    (
        "manage --replication --advertise a:1 --primary-wait x CONSUL",
        "--primary-wait",
    ),
    (
        "manage --replication --advertise a:1 --fence maybe CONSUL",
        "maybe",
    ),
    ("manage --heartbeat 0s LIST", "--heartbeat"),
    (
        "manage --engine-refresh-min-interval 2 LIST",
        "--engine-refresh-min-interval",
    ),
    (
        "manage --engine-refresh-min-interval 60s --engine-refresh-max-interval 1s LIST",
        "max refresh interval",
    ),
    ("manage --engine-failure-retry many LIST", "many"),
    ("manage --host ftp://127.0.0.1:1 LIST", "ftp"),
    ("manage --host 127.0.0.1:port LIST", "port"),
    ("manage --cluster-driver mesos LIST", "mesos"),
    ("manage --cluster-opt nonsense LIST", "nonsense"),
    ("manage --log-level loud LIST", "loud"),
    ("manage --log-format xml LIST", "xml"),
    ("manage --tls LIST", "--tlscert"),
    (
        "manage --tls --tlscert /nowhere/cert --tlskey /nowhere/key LIST",
        "--tlscert /nowhere/cert",
    ),
    ("manage --engine-tls maybe LIST", "--engine-tls"),
    (
        "join --advertise a:1 --discovery-opt kv.keyfile=k CONSUL",
        "kv.cacertfile",
    ),
    (
        "list --discovery-opt kv.cacertfile=/nowhere/ca CONSUL",
        "kv.cacertfile /nowhere/ca",
    ),
    ("status --tlsverify", "DOCKER_CERT_PATH"),
    ("certs", "swarm certs init"),
    ("certs init --manager a/b", "--manager"),
    ("manage gopher://127.0.0.1/x", "gopher"),
    ("manage token://0123456789", "token"),
    ("manage consul://", "consul"),
    ("manage consul://host:notaport/nodes", "notaport"),
    ("manage nodes://127.0.0.1:[9:1]", "127.0.0.1:[9:1]"),
    ("manage --discovery-opt novalue CONSUL", "--discovery-opt"),
    ("join CONSUL", "--advertise"),
    ("join --advertise 127.0.0.1 CONSUL", "--advertise"),
    (
        "join --advertise a:1 --ttl 1s --heartbeat 10s CONSUL",
        "--ttl",
    ),
    ("join --advertise a:1 --delay=-1s CONSUL", "--delay"),
    ("list", "discovery"),
    ("list --timeout x LIST", "--timeout"),
    ("status --host noport", "noport"),
    ("step-down --timeout 1", "--timeout"),
    ("dev --managers 0", "--managers"),
    ("dev --engines a", "--engines"),
    ("create", "token"),
    ("frobnicate", "frobnicate"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_command_line_ends_with_a_message_and_exit_code_1() -> Result<()> {
    let mut wrong = Vec::new();
    for (line, part) in REFUSED {
        let word = |word| match word {
            "CONSUL" => CONSUL,
            "LIST" => LIST,
            other => other,
        };
        let arguments: Vec<_> = line.split_whitespace().map(word).collect();
        if let Err(error) = refused(&arguments, part).await {
            wrong.push(format!("swarm {line}: {error:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_at_start_is_named() -> Result<()> {
    let held = TcpListener::bind("127.0.0.1:0")?;
    let address = held.local_addr()?.to_string();
    refused(&["manage", "--host", &address, LIST], &address).await?;
    let folder = Scratch::new("discovery")?;
    let missing = format!("file://{}/missing", folder.path().display());
    refused(&["list", "--timeout", "2s", &missing], "missing").await?;
    let unreadable = format!("file://{}", folder.path().display());
    refused(
        &["list", "--timeout", "2s", &unreadable],
        &unreadable["file://".len()..],
    )
    .await?;
    let nobody = ports::claim()?.to_string();
    refused(&["join", "--advertise", &nobody, CONSUL], &nobody).await?;
    let store = format!("consul://{nobody}/nodes");
    refused(&["list", "--timeout", "2s", &store], &nobody).await?;
    for command in ["status", "step-down"] {
        refused(&[command, "--host", &nobody, "--timeout", "2s"], &nobody).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_entry_in_the_store_harms_no_other() -> Result<()> {
    let mut world = World::with_modelled_engines(2).await?;
    let entries: [(&str, &[u8]); 5] = [
        ("words", b"not an address"),
        ("empty", b""),
        ("bytes", b"\xff\xfe\x00"),
        ("range", b"10.0.0.[9:1]:2375"),
        ("port", b"127.0.0.1:99999"),
    ];
    for (name, value) in entries {
        let path = format!("/v1/kv/nodes/docker/swarm/nodes/{name}");
        world.store.put(&path, value).await?;
    }
    let late = ModelledEngine::start("late").await?;
    modelled::register(&world.store, &late.address().to_string()).await?;
    world.modelled.push(late);
    world.settled().await?;
    for manager in &world.managers {
        let engines = status(manager.address()).await?.engines;
        ensure!(engines.len() == 3, "{engines:?}");
        manager.process.wait_line("not an address", LIMIT).await?;
    }
    world.check_logs()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_cannot_be_understood_is_shown_with_the_reason() -> Result<()> {
    let mut world = World::with_modelled_engines(1).await?;
    for name in ["garbles", "hangs"] {
        let engine = ModelledEngine::start(name).await?;
        engine.engine.set_faults(|faults| {
            faults.garbage = name == "garbles";
            faults.hung = name == "hangs";
        });
        modelled::register(&world.store, &engine.address().to_string()).await?;
        world.modelled.push(engine);
    }
    let nobody = ports::claim()?;
    modelled::register(&world.store, &nobody.to_string()).await?;
    let sick: Vec<SocketAddr> = world
        .modelled
        .iter()
        .skip(1)
        .map(ModelledEngine::address)
        .chain([nobody])
        .collect();
    for manager in &world.managers {
        for engine in &sick {
            shown_with_reason(manager, *engine).await?;
        }
        let info = client::get(manager.address(), "/info")
            .await?
            .success()?
            .text();
        ensure!(
            info.contains("Healthy")
                && sick.iter().all(|engine| info.contains(&engine.to_string())),
            "{info}"
        );
    }
    // Once it can be understood it is used.
    for engine in &world.modelled {
        engine
            .engine
            .set_faults(|faults| (faults.garbage, faults.hung) = (false, false));
    }
    world.settled().await?;
    world.check_logs()
}

async fn shown_with_reason(manager: &Manager, engine: SocketAddr) -> Result<()> {
    let mut last = String::new();
    let shown = wait::until("the engine is shown with a reason", LIMIT, async || {
        let status = status(manager.address()).await.ok()?;
        last = format!("{:?}", status.engines);
        let found = status
            .engines
            .into_iter()
            .find(|one| one.address == engine.to_string())?;
        (found.state != "Healthy" && found.error.is_some_and(|error| !error.is_empty()))
            .then_some(())
    })
    .await;
    shown.with_context(|| format!("{engine} in {last}"))
}

/// Runs `swarm ARGUMENTS…`, which must end with exit code 1 and a message that contains `part`.
async fn refused(arguments: &[&str], part: &str) -> Result<()> {
    let mut command = manager::command().await?;
    command.args(arguments);
    let process = Process::spawn("swarm", command, Streams::Pipes)?;
    let status = process.wait_exit(LIMIT).await?;
    let mark = process
        .wait_line(part, std::time::Duration::from_secs(1))
        .await;
    ensure!(
        status.code() == Some(1) && mark.is_ok(),
        "{status}, {part:?} expected: {}",
        process.text()
    );
    let text = process.text();
    ensure!(!text.contains("panicked"), "{text}");
    ensure!(text.lines().count() <= 3, "a message, not a page: {text}");
    Ok(())
}
