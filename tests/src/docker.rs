//! The docker command, in every version that is installed here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::scratch::Scratch;

/// For one command, unless another limit is given.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A docker command of one version, talking to one endpoint.
#[derive(Debug)]
pub struct Docker {
    binary: PathBuf,
    version: String,
    // An empty one: what the user configured must not change what a test does.
    config: Scratch,
}

/// What a command left behind.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// The standard output without the last newline, when the command succeeded.
    ///
    /// # Errors
    /// When it failed; the message holds both outputs.
    pub fn success(self) -> Result<String> {
        if self.status.success() {
            return Ok(self.stdout.trim_end().to_owned());
        }
        bail!("{}: {}{}", self.status, self.stdout, self.stderr)
    }
}

/// All docker commands here, one per version, oldest first.
///
/// # Errors
/// When there is none.
pub fn all() -> Result<Vec<Docker>> {
    let mut found = BTreeMap::new();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")]);
    for binary in folders
        .map(|folder| folder.join("docker"))
        .filter(|binary| binary.is_file())
    {
        if let Ok(version) = version(&binary) {
            found.entry(order(&version)).or_insert((version, binary));
        }
    }
    if found.is_empty() {
        bail!("no docker command here (tests/run installs one)");
    }
    let found = found.into_values();
    found
        .map(|(version, binary)| {
            Ok(Docker {
                binary,
                version,
                config: Scratch::new("docker-config")?,
            })
        })
        .collect()
}

/// The newest docker command here.
///
/// # Errors
/// When there is none.
pub fn newest() -> Result<Docker> {
    all()?.pop().context("no docker command here")
}

impl Docker {
    /// Its version, such as `20.10.24+dfsg1`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The command with `DOCKER_HOST` set to `host` (such as `127.0.0.1:4000`), still without arguments.
    pub fn command(&self, host: &str) -> Command {
        let mut command = Command::new(&self.binary);
        let host = if host.contains("://") {
            host.to_owned()
        } else {
            format!("tcp://{host}")
        };
        command
            .env("DOCKER_HOST", host)
            .env("DOCKER_CONFIG", self.config.path());
        for name in [
            "DOCKER_CONTEXT",
            "DOCKER_TLS",
            "DOCKER_TLS_VERIFY",
            "DOCKER_CERT_PATH",
            "DOCKER_API_VERSION",
        ] {
            command.env_remove(name);
        }
        command
    }

    /// Runs `docker` with `arguments` against `host` and waits for its end.
    ///
    /// # Errors
    /// When it cannot be started or runs longer than [`LIMIT`]. Its own failure is in [`Finished`].
    pub async fn run(&self, host: &str, arguments: &[&str]) -> Result<Finished> {
        self.run_with(host, arguments, "", LIMIT).await
    }

    /// Like [`Self::run`], with `input` on its standard input and a limit of its own.
    ///
    /// # Errors
    /// When it cannot be started or runs longer than `limit`.
    pub async fn run_with(
        &self,
        host: &str,
        arguments: &[&str],
        input: &str,
        limit: Duration,
    ) -> Result<Finished> {
        let what = format!("docker {}", arguments.join(" "));
        let mut command = tokio::process::Command::from(self.command(host));
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {what}"))?;
        let mut stdin = child.stdin.take().context("standard input")?;
        let exchange = async {
            let feed = async {
                // The command need not read it.
                let _ = stdin.write_all(input.as_bytes()).await;
                drop(stdin);
            };
            tokio::join!(feed, child.wait_with_output()).1
        };
        let output = timeout(limit, exchange)
            .await
            .map_err(|_| anyhow!("{what}: still runs after {limit:?}"))??;
        Ok(Finished {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// From `Docker version 20.10.24+dfsg1, build 297e128`.
fn version(binary: &Path) -> Result<String> {
    let output = Command::new(binary).arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text
        .split_whitespace()
        .nth(2)
        .with_context(|| format!("{}: {text}", binary.display()))?;
    Ok(version.trim_end_matches(',').to_owned())
}

/// A key that sorts versions by their numbers.
fn order(version: &str) -> Vec<u64> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|part| part.parse().ok())
        .collect()
}
