//! ZooKeeper's configuration and command line, and what a server says of itself.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Member;
use crate::certs::Certificates;

/// Debian's; it names the others it needs.
const JAR: &str = "/usr/share/java/zookeeper.jar";
/// For output on standard error.
const LOG_JAR: &str = "/usr/share/java/slf4j-simple.jar";
/// What TLS needs besides, and Debian's jar does not name.
const TLS_JARS: [&str; 2] = [
    "/usr/share/java/netty-codec.jar",
    "/usr/share/java/netty-resolver.jar",
];
const MAIN: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";

const ANSWER_LIMIT: Duration = Duration::from_millis(500);

const CLI_MAIN: &str = "org.apache.zookeeper.ZooKeeperMain";

/// Light and quick to start.
const JVM: [&str; 7] = [
    "-Xmx64m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    // The transaction log grows by this, in KiB.
    "-Dzookeeper.preAllocSize=1024",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Djava.net.preferIPv4Stack=true",
];

/// What is missing for it to run here.
pub(super) fn missing() -> Option<&'static str> {
    [JAR, LOG_JAR]
        .into_iter()
        .find(|jar| !Path::new(jar).is_file())
}

pub(super) fn command(
    members: &[Member],
    member: &Member,
    certs: Option<&Certificates>,
) -> Result<Command> {
    let data = member.data.path().join("data");
    fs::create_dir_all(&data)?;
    let mut config = format!(
        "tickTime=500\ninitLimit=20\nsyncLimit=8\nmaxClientCnxns=0\nadmin.enableServer=false\n\
         4lw.commands.whitelist=srvr\ndataDir={}\nclientPortAddress={}\nclientPort={}\n",
        data.display(),
        member.client.ip(),
        member.client.port()
    );
    if let Some(certs) = certs {
        config.push_str(&with_tls(member, certs)?);
    }
    // One alone runs without a quorum.
    if members.len() > 1 {
        fs::write(data.join("myid"), member.number.to_string())?;
        for other in members {
            let Member {
                number,
                peer,
                election,
                ..
            } = other;
            let (ip, peer, election) = (peer.ip(), peer.port(), election.port());
            config.push_str(&format!("server.{number}={ip}:{peer}:{election}\n"));
        }
    }
    let file = member.data.path().join("zoo.cfg");
    fs::write(&file, config)?;
    let mut command = Command::new("java");
    command.args(JVM);
    let tls: &[&str] = if certs.is_some() { &TLS_JARS } else { &[] };
    let path = [&[JAR, LOG_JAR], tls].concat().join(":");
    command.args(["-cp", &path, MAIN]);
    command.arg(file);
    Ok(command)
}

/// A second port. Clients show certificates, as is ZooKeeper's default.
fn with_tls(member: &Member, certs: &Certificates) -> Result<String> {
    let store = member.data.path().join("zookeeper.pem");
    let [key, cert] =
        ["key.pem", "cert.pem"].map(|name| fs::read_to_string(certs.file("engine", name)));
    fs::write(&store, format!("{}{}", key?, cert?))?;
    Ok(format!(
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
         secureClientPortAddress={}\nsecureClientPort={}\n\
         ssl.keyStore.location={}\nssl.keyStore.type=PEM\n\
         ssl.trustStore.location={}\nssl.trustStore.type=PEM\n",
        member.secure.ip(),
        member.secure.port(),
        store.display(),
        certs.file("engine", "ca.pem").display(),
    ))
}

/// Runs one command of the command line that comes with ZooKeeper.
pub(super) async fn cli(address: SocketAddr, arguments: &[&str]) -> Result<String> {
    let output = tokio::process::Command::new("java")
        .args(JVM)
        .args(["-cp", &format!("{JAR}:{LOG_JAR}"), CLI_MAIN])
        .args(["-server", &address.to_string()])
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    ensure!(output.status.success(), "{arguments:?}: {out}{err}");
    Ok(out)
}

async fn ask(address: SocketAddr) -> Result<String> {
    let mut io = TcpStream::connect(address).await?;
    io.write_all(b"srvr").await?;
    let mut answer = String::new();
    io.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Whether the server leads; an error while it does not answer or belongs to no quorum.
pub(super) async fn leads(address: SocketAddr) -> Result<bool> {
    // A server that has just been started, or that is stopped, may never answer.
    let answer = timeout(ANSWER_LIMIT, ask(address)).await??;
    let mode = answer.lines().find_map(|line| line.strip_prefix("Mode: "));
    match mode.context("no mode: it does not serve")? {
        "leader" | "standalone" => Ok(true),
        "follower" => Ok(false),
        other => bail!("mode {other}"),
    }
}
