//! The process of the engines: serving them, and starting it.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use swarm_tests::process::{Process, Streams};
use swarm_tests::scratch::Scratch;
use tokio::net::{TcpListener, TcpSocket};

use crate::fleet::{self, Fleet};
use crate::options::Size;
use crate::served;

/// Ports the engines are spread over: each accepts with a queue of its own.
const PORTS: u16 = 16;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4096;
const READY: &str = "engines at ports ";
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long the listener is left alone after it failed, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The engines, served by another process as long as this lives.
pub(crate) struct Engines {
    pub(crate) process: Process,
    size: Size,
    ports: Vec<u16>,
    scratch: Scratch,
}

impl Engines {
    pub(crate) async fn start(size: Size) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("path of this program")?);
        command
            .arg("engines")
            .args(["--engines", &size.engines.to_string()])
            .args(["--containers", &size.containers.to_string()]);
        let process = Process::spawn("the engines", command, Streams::Pipes)?;
        let ready = process.wait_line(READY, START_LIMIT).await?;
        let ports = ready.text.trim_start_matches(READY).split(' ');
        Ok(Self {
            ports: ports.map(str::parse).collect::<Result<_, _>>()?,
            process,
            size,
            scratch: Scratch::new("bench")?,
        })
    }

    /// Where engine number `index` listens.
    pub(crate) fn address(&self, index: u32) -> SocketAddrV4 {
        let at = usize::try_from(index).unwrap_or(0) % self.ports.len();
        fleet::address(index, self.ports.get(at).copied().unwrap_or(0))
    }

    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddrV4> {
        (0..self.size.engines).map(|index| self.address(index))
    }

    /// All engines in a file, as `swarm manage` takes it.
    pub(crate) fn discovery(&self) -> Result<String> {
        let path = self.scratch.path().join("engines");
        let lines: String = self
            .addresses()
            .map(|address| format!("{address}\n"))
            .collect();
        std::fs::write(&path, lines).with_context(|| format!("writing {}", path.display()))?;
        Ok(format!("file://{}", path.display()))
    }
}

/// Serves the engines until the process is killed.
pub(crate) async fn serve(size: Size) -> Result<()> {
    let fleet = Arc::new(Fleet::new(size));
    let mut ports = Vec::new();
    for _ in 0..PORTS {
        let listener = listener()?;
        ports.push(listener.local_addr()?.port().to_string());
        tokio::spawn(accept(listener, Arc::clone(&fleet)));
    }
    println!("{READY}{}", ports.join(" "));
    std::io::stdout().flush()?;
    std::future::pending().await
}

/// On all loopback addresses at once, and on no other network: the address a client chose says which engine it wants.
fn listener() -> Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind_device(Some(b"lo")).context("binding to lo")?;
    socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))?;
    Ok(socket.listen(BACKLOG)?)
}

async fn accept(listener: TcpListener, fleet: Arc<Fleet>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Only latency depends on it.
        stream.set_nodelay(true).ok();
        if let Ok(IpAddr::V4(ip)) = stream.local_addr().map(|address| address.ip()) {
            tokio::spawn(served::connection(
                Arc::clone(&fleet),
                fleet::index_of(ip),
                stream,
            ));
        }
    }
}
