//! The `swarm` binary, as users run it.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use swarm::tls::ClientTls;
use tokio::sync::OnceCell;

use crate::http::Server;
use crate::process::{Process, Streams};
use crate::{http as client, ports, wait};

/// Names a `swarm` binary to test instead of the one built from this checkout.
const BINARY: &str = "SWARM_TEST_BINARY";

/// Built at most once per process.
static BUILT: OnceCell<PathBuf> = OnceCell::const_new();

/// A `swarm manage` process in a process group of its own. Dropping it ends the group.
pub struct Manager {
    /// The process: signals, log lines, exit status.
    pub process: Process,
    address: SocketAddr,
    arguments: Vec<String>,
    streams: Streams,
    /// How its API is spoken to.
    tls: Option<Arc<ClientTls>>,
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manager({})", self.server())
    }
}

impl Manager {
    /// Starts `swarm manage --host ADDRESS --replication --advertise ADDRESS ARGUMENTS… DISCOVERY` on a loopback port
    /// of its own; it may not listen yet on return.
    ///
    /// # Errors
    /// When the binary cannot be built or started.
    pub async fn replicated(discovery: &str, arguments: &[&str], streams: Streams) -> Result<Self> {
        let address = ports::claim()?;
        let mut all = vec![
            "manage".to_owned(),
            "--host".to_owned(),
            address.to_string(),
        ];
        all.extend([
            "--replication".to_owned(),
            "--advertise".to_owned(),
            address.to_string(),
        ]);
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        all.push(discovery.to_owned());
        Self::start(address, all, streams).await
    }

    /// Starts `swarm manage --host ADDRESS ARGUMENTS… DISCOVERY`: a single manager without replication.
    ///
    /// # Errors
    /// When the binary cannot be built or started.
    pub async fn single(discovery: &str, arguments: &[&str], streams: Streams) -> Result<Self> {
        let address = ports::claim()?;
        let mut all = vec![
            "manage".to_owned(),
            "--host".to_owned(),
            address.to_string(),
        ];
        all.extend(arguments.iter().map(|&argument| argument.to_owned()));
        all.push(discovery.to_owned());
        Self::start(address, all, streams).await
    }

    /// Ends what is left of it and starts it anew with the same arguments, on the same address.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn restart(self) -> Result<Self> {
        let Self {
            process,
            address,
            arguments,
            streams,
            tls,
        } = self;
        drop(process);
        let started = Self::start(address, arguments, streams).await?;
        Ok(Self { tls, ..started })
    }

    /// From now on it is spoken to with TLS, which `arguments` made it expect.
    #[must_use]
    pub fn spoken_to_with(self, tls: Arc<ClientTls>) -> Self {
        Self {
            tls: Some(tls),
            ..self
        }
    }

    /// Where its API listens, and how it is spoken to.
    pub fn server(&self) -> Server {
        Server {
            address: self.address,
            tls: self.tls.clone(),
        }
    }

    /// Where its API listens; what to put into `DOCKER_HOST`, and what it advertises.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until its API answers a ping.
    ///
    /// # Errors
    /// When it does not within `limit`; the message holds its log.
    pub async fn wait_listening(&self, limit: Duration) -> Result<()> {
        let what = format!("manager {} answers", self.address);
        let answers = wait::until(&what, limit, async || {
            client::get(self.server(), "/_ping")
                .await
                .ok()
                .filter(|answer| answer.status.is_success())
        });
        answers
            .await
            .map(|_| ())
            .with_context(|| format!("its log:\n{}", self.process.text()))
    }

    async fn start(address: SocketAddr, arguments: Vec<String>, streams: Streams) -> Result<Self> {
        let mut command = command().await?;
        command.args(&arguments);
        let process = Process::spawn(&format!("manager {address}"), command, streams)?;
        Ok(Self {
            process,
            address,
            arguments,
            streams,
            tls: None,
        })
    }
}

/// The `swarm` command without arguments, with no `SWARM_*` of ours in its environment.
///
/// # Errors
/// When it cannot be built.
pub async fn command() -> Result<Command> {
    let mut command = Command::new(binary().await?);
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("SWARM_") || name.starts_with("DOCKER_"))
        {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// The path of the `swarm` binary of this checkout, built in the profile of the tests if need be.
///
/// Cargo hands a test only the binaries of the test's own package, so the test asks cargo for this one.
///
/// # Errors
/// When it cannot be built.
pub async fn binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(BINARY) {
        return Ok(PathBuf::from(given));
    }
    BUILT.get_or_try_init(|| build(false)).await.cloned()
}

/// Like [`binary`], but an optimised build, whatever the profile of the caller; all managers started after this are of
/// it.
///
/// # Errors
/// When it cannot be built.
pub async fn optimised_binary() -> Result<PathBuf> {
    if let Some(given) = std::env::var_os(BINARY) {
        return Ok(PathBuf::from(given));
    }
    BUILT.get_or_try_init(|| build(true)).await.cloned()
}

async fn build(optimised: bool) -> Result<PathBuf> {
    // <target>/<profile>/deps/<a test> or <target>/<profile>/<a program>
    let test = std::env::current_exe().context("path of this test")?;
    let profile = test
        .ancestors()
        .skip(1)
        .find(|folder| folder.file_name().is_none_or(|name| name != "deps"))
        .context("this test does not lie in a target directory")?;
    let target = profile
        .parent()
        .context("this test does not lie in a target directory")?;
    let optimised = optimised || profile.file_name().is_some_and(|name| name == "release");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = tokio::process::Command::new(cargo);
    command
        .args([
            "build",
            "--quiet",
            "--locked",
            "--package=swarm",
            "--bin=swarm",
            "--target-dir",
        ])
        .arg(target);
    // What cargo tells this test about its package would make build scripts run anew, back and forth.
    for (name, _) in std::env::vars_os() {
        let known = name.to_str().unwrap_or_default();
        if known.starts_with("CARGO_PKG_") || known.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    if optimised {
        command.arg("--release");
    }
    let output = command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .await
        .context("running cargo build")?;
    if !output.status.success() {
        bail!(
            "cargo build of the swarm binary: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let folder = if optimised {
        target.join("release")
    } else {
        profile.to_owned()
    };
    Ok(folder.join("swarm"))
}
