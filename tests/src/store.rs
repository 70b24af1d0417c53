//! A Consul on one loopback port that can go away and come back: the double, or a real one where there is one.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use rustix::process::Signal;
use serde_json::json;
use swarm_models::Service;
use swarm_models::consul::{Cluster, Options};
use swarm_models::tokio_host::{StopHandle, TokioHost, serve_tcp};

use crate::certs::Certificates;
use crate::process::{Process, Streams};
use crate::scratch::Scratch;
use crate::{http as client, ports, real, wait};

/// Names a real `consul` binary to use instead of the double; one on `PATH` is used as well. Empty: always the double.
const BINARY: &str = "SWARM_TEST_CONSUL";

/// Until a started Consul has elected itself.
const START_LIMIT: Duration = Duration::from_secs(30);

/// A store with one server. Dropping it stops it.
pub struct Store {
    address: SocketAddr,
    secure: Option<Secure>,
    kind: Kind,
}

/// How it is reached with TLS.
struct Secure {
    address: SocketAddr,
    certs: Arc<Certificates>,
}

enum Kind {
    Double {
        cluster: Arc<Cluster>,
        serving: Vec<StopHandle>,
    },
    Real(Box<RealConsul>),
}

struct RealConsul {
    binary: PathBuf,
    /// For what servers say to each other; there is only one, but it insists.
    server: SocketAddr,
    gossip: SocketAddr,
    // Before `data`: a process still writes to its directory.
    process: Option<Process>,
    data: Scratch,
}

impl Store {
    /// Starts the store tests use: the real Consul if there is one here, else the double.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// As [`Store::start`]; with certificates, clients are led to where they are served with TLS and asked for theirs.
    ///
    /// # Errors
    /// When it does not answer in time.
    pub async fn start_with(certs: Option<Arc<Certificates>>) -> Result<Self> {
        let kind = match real_binary() {
            Some(binary) => Kind::real(binary)?,
            None => Kind::double(),
        };
        Self::start_kind(kind, certs).await
    }

    /// Starts the double.
    ///
    /// # Errors
    /// When its port is taken.
    pub async fn start_double() -> Result<Self> {
        Self::start_kind(Kind::double(), None).await
    }

    /// Starts the Consul at `binary`.
    ///
    /// # Errors
    /// When it does not elect itself in time; the message holds its output.
    pub async fn start_real(binary: PathBuf) -> Result<Self> {
        Self::start_kind(Kind::real(binary)?, None).await
    }

    async fn start_kind(kind: Kind, certs: Option<Arc<Certificates>>) -> Result<Self> {
        let address = ports::claim()?;
        let secure = match certs {
            None => None,
            Some(certs) => Some(Secure {
                address: ports::claim()?,
                certs,
            }),
        };
        let mut store = Self {
            address,
            secure,
            kind,
        };
        store.start_again().await?;
        Ok(store)
    }

    /// Where its HTTP API listens without TLS.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to hand to `swarm manage`: `consul://ADDRESS/nodes`, as the multi-manager guide has it.
    pub fn discovery(&self) -> String {
        let secure = self.secure.as_ref().map(|secure| secure.address);
        format!("consul://{}/nodes", secure.unwrap_or(self.address))
    }

    /// Sends a PUT of its HTTP API, past all of swarm; returns the answer without the space around it.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn put(&self, path: &str, body: impl Into<Bytes>) -> Result<String> {
        let mut request = client::request(Method::PUT, path)?;
        *request.body_mut() = Full::new(body.into());
        let answer = client::send(self.address, request).await?.success()?;
        Ok(answer.text().trim().to_owned())
    }

    /// The cluster behind the double, for its faults; `None` when the store is a real Consul.
    pub fn double(&self) -> Option<&Arc<Cluster>> {
        match &self.kind {
            Kind::Double { cluster, .. } => Some(cluster),
            Kind::Real(_) => None,
        }
    }

    /// Stops it at once. What it holds stays; its connections break.
    pub async fn stop(&mut self) {
        match &mut self.kind {
            Kind::Double { serving, .. } => {
                for serving in serving.drain(..) {
                    serving.stop().await;
                }
            }
            Kind::Real(consul) => consul.process = None,
        }
    }

    /// Stops the process of a real Consul as SIGSTOP does.
    ///
    /// # Errors
    /// When there is none that runs.
    pub async fn freeze(&self) -> Result<()> {
        self.process()?.freeze().await
    }

    /// Lets a frozen process go on.
    ///
    /// # Errors
    /// When there is none that runs.
    pub fn thaw(&self) -> Result<()> {
        self.process()?.signal(Signal::CONT)
    }

    fn process(&self) -> Result<&Process> {
        match &self.kind {
            Kind::Double { .. } => bail!("the double is no process"),
            Kind::Real(consul) => consul.process.as_ref().context("it does not run"),
        }
    }

    /// Starts it on the same port with what it holds, and waits until it answers.
    ///
    /// # Errors
    /// When it runs already or does not answer in time.
    pub async fn start_again(&mut self) -> Result<()> {
        let address = self.address;
        let secure = self.secure.as_ref();
        match &mut self.kind {
            Kind::Double { serving, .. } if !serving.is_empty() => bail!("the store runs already"),
            Kind::Double { cluster, serving } => {
                serving.push(serve(address, Arc::new(cluster.server(0))).await?);
                if let Some(Secure { address, certs }) = secure {
                    let server = certs.guard(Arc::new(cluster.server(0)))?;
                    serving.push(serve(*address, server).await?);
                }
            }
            Kind::Real(consul) => consul.start(address, secure)?,
        }
        self.wait_leading().await
    }

    /// Forgets everything, whether it runs or not.
    ///
    /// # Errors
    /// When a real Consul's data cannot be removed, or it does not come back.
    pub async fn wipe(&mut self) -> Result<()> {
        let was_running = match &mut self.kind {
            Kind::Double { cluster, .. } => {
                cluster.wipe();
                return Ok(());
            }
            Kind::Real(consul) => {
                let was_running = consul.process.take().is_some();
                consul.data.clear()?;
                was_running
            }
        };
        if was_running {
            self.start_again().await
        } else {
            Ok(())
        }
    }

    async fn wait_leading(&self) -> Result<()> {
        let leads = wait::until("the store has a leader", START_LIMIT, async || {
            let answer = client::get(self.address, "/v1/status/leader").await.ok()?;
            let leader = answer.json().ok()?;
            leader
                .as_str()
                .is_some_and(|leader| !leader.is_empty())
                .then_some(())
        });
        let leads = leads.await;
        // It says who leads a moment before it can commit; a consistent read answers only once it can.
        let reads = wait::until("the store reads consistently", START_LIMIT, async || {
            let path = "/v1/kv/swarm-test?consistent";
            client::get(self.address, path)
                .await
                .ok()
                .filter(|answer| !answer.status.is_server_error())
        });
        match leads {
            Ok(()) => reads.await.map(|_| ()).with_context(|| self.output()),
            Err(error) => Err(error).with_context(|| self.output()),
        }
    }

    fn output(&self) -> String {
        match &self.kind {
            Kind::Double { .. } => "the double".to_owned(),
            Kind::Real(consul) => consul
                .process
                .as_ref()
                .map_or_else(String::new, Process::text),
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.double().is_some() {
            "double"
        } else {
            "real"
        };
        f.debug_struct("Store")
            .field("address", &self.address)
            .field("kind", &kind)
            .finish()
    }
}

impl Kind {
    fn double() -> Self {
        Self::Double {
            cluster: Cluster::new(Arc::new(TokioHost::new()), Options::default()),
            serving: Vec::new(),
        }
    }

    fn real(binary: PathBuf) -> Result<Self> {
        Ok(Self::Real(Box::new(RealConsul {
            binary,
            server: ports::claim()?,
            gossip: ports::claim()?,
            process: None,
            data: Scratch::new("consul")?,
        })))
    }
}

async fn serve(address: SocketAddr, server: Arc<dyn Service>) -> Result<StopHandle> {
    let (_, handle) = serve_tcp(&address.to_string(), server)
        .await
        .with_context(|| format!("serving the store double at {address}"))?;
    Ok(handle)
}

impl RealConsul {
    fn start(&mut self, address: SocketAddr, secure: Option<&Secure>) -> Result<()> {
        if self.process.is_some() {
            bail!("the store runs already");
        }
        let https = secure.map_or(-1, |secure| i32::from(secure.address.port()));
        let ports = json!({
            "http": address.port(), "server": self.server.port(), "serf_lan": self.gossip.port(),
            "serf_wan": -1, "dns": -1, "grpc": -1, "https": https,
        });
        let mut settings = json!({
            "ports": ports,
            "performance": {"raft_multiplier": 1},
            "disable_update_check": true,
            "log_level": "warn",
        });
        if let Some(Secure { certs, .. }) = secure {
            settings["verify_incoming_https"] = true.into();
            for (key, name) in [
                ("ca_file", "ca.pem"),
                ("cert_file", "cert.pem"),
                ("key_file", "key.pem"),
            ] {
                settings[key] = certs.file("engine", name).display().to_string().into();
            }
        }
        let file = self.data.path().join("settings.json");
        std::fs::write(&file, settings.to_string())
            .with_context(|| format!("writing {}", file.display()))?;
        let mut command = Command::new(&self.binary);
        command.args([
            "agent",
            "-server",
            "-bootstrap-expect=1",
            "-bind=127.0.0.1",
            "-client=127.0.0.1",
        ]);
        command.arg("-node=consul-1").arg("-config-file").arg(&file);
        command.arg("-data-dir").arg(self.data.path().join("data"));
        self.process = Some(Process::spawn("consul", command, Streams::Pipes)?);
        Ok(())
    }
}

/// The real Consul to test with, if there is one here.
pub fn real_binary() -> Option<PathBuf> {
    match std::env::var_os(BINARY) {
        Some(path) if path.is_empty() => None,
        Some(path) => Some(PathBuf::from(path)),
        None => real::find_program("consul"),
    }
}
