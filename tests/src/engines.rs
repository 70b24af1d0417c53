//! Real Docker Engines side by side, each as if on a host of its own.
//!
//! An engine runs in its own PID, mount and UTS namespaces. The first process in there ends when a pipe from the test
//! closes, and the kernel ends everything else with it: the daemon, its containerd, the containers. So no engine
//! outlives its test, and [`Engine::power_off`] is what a power failure is to a host.

mod image;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, fs, io};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use rustix::process::{Pid, Signal, kill_process};
use swarm::tls::ClientTls;
use tokio::task::JoinSet;

use crate::certs::Certificates;
use crate::http::Server;
use crate::process::freeze;
use crate::scratch::{Scratch, control_group};
use crate::{http as client, ports, wait};

/// Until a started engine answers; two cores may be busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The image every engine has: static busybox with `sh`, `sleep`, `cat`, `top` and the rest.
pub const IMAGE: &str = "busybox:latest";

/// First process of an engine's namespaces. Arguments: the engine's directory, its host name, the daemon's command line.
const HOST: &str = r#"
set -eu
directory=$1 name=$2
shift 2
echo "$name" >/proc/sys/kernel/hostname
# Some versions keep the engine's identity in /etc/docker/key.json, whatever their data root is.
mkdir -p /etc/docker
mount --bind "$directory/etc" /etc/docker
if ! [ -e /sys/fs/cgroup/cgroup.controllers ] && ! [ -d /sys/fs/cgroup/memory ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
exec 3<&0
"$@" </dev/null 3<&- &
daemon=$!
{ cat >/dev/null; kill -KILL "$daemon"; } <&3 &
exec 3<&-
wait "$daemon"
"#;

/// What an engine is started with.
#[derive(Clone, Debug, Default)]
pub struct EngineOptions {
    /// Its host name, which `docker info` shows as its name. Empty: `engine-` and its port.
    pub name: String,
    /// Labels such as `storage=ssd`.
    pub labels: Vec<String>,
    /// More arguments for `dockerd`.
    pub arguments: Vec<String>,
    /// Set to serve with TLS and to let in only who has a certificate.
    pub certs: Option<Arc<Certificates>>,
}

/// A Docker Engine. Dropping it powers it off and removes its data.
pub struct Engine {
    name: String,
    address: SocketAddr,
    arguments: Vec<String>,
    tls: Option<Arc<ClientTls>>,
    host: Option<Child>,
    // After `host`: its files go once nobody uses them.
    directory: Scratch,
}

/// Starts `count` engines at the same time, named `engine-1` and so on, each with [`IMAGE`].
///
/// # Errors
/// When one does not start.
pub async fn start(count: usize) -> Result<Vec<Engine>> {
    start_with((1..=count).map(|n| EngineOptions {
        name: format!("engine-{n}"),
        ..EngineOptions::default()
    }))
    .await
}

/// Starts engines with the given options at the same time, each with [`IMAGE`].
///
/// # Errors
/// When one does not start.
pub async fn start_with(options: impl IntoIterator<Item = EngineOptions>) -> Result<Vec<Engine>> {
    let mut starting = JoinSet::new();
    for (index, options) in options.into_iter().enumerate() {
        starting.spawn(async move { Engine::start(options).await.map(|engine| (index, engine)) });
    }
    let mut engines = Vec::new();
    while let Some(started) = starting.join_next().await {
        engines.push(started??);
    }
    engines.sort_by_key(|(index, _)| *index);
    Ok(engines.into_iter().map(|(_, engine)| engine).collect())
}

impl Engine {
    /// Starts an engine on a loopback port of its own, waits until it answers and gives it [`IMAGE`].
    ///
    /// # Errors
    /// When it does not answer in time; the message holds the end of its log.
    pub async fn start(options: EngineOptions) -> Result<Self> {
        let address = ports::claim()?;
        let name = if options.name.is_empty() {
            format!("engine-{}", address.port())
        } else {
            options.name
        };
        let directory = Scratch::new("engine")?;
        fs::create_dir_all(directory.path().join("etc"))?;
        let mut arguments = options.arguments;
        arguments.extend(
            options
                .labels
                .into_iter()
                .map(|label| format!("--label={label}")),
        );
        arguments.extend(daemon_tls(options.certs.as_deref()));
        let tls = options.certs.map(|certs| certs.client());
        let mut engine = Self {
            name,
            address,
            arguments,
            tls: tls.transpose()?,
            host: None,
            directory,
        };
        engine.start_again().await?;
        engine.import_image().await?;
        Ok(engine)
    }

    /// Its name, as `docker info` on it shows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let log = fs::read(self.directory.path().join("log")).unwrap_or_default();
        let tail = log.get(log.len().saturating_sub(4096)..).unwrap_or(&log);
        String::from_utf8_lossy(tail).into_owned()
    }

    /// Starts it on the same address with the data it had, and waits until it answers.
    ///
    /// # Errors
    /// When it runs already, or does not answer in time; the message holds the end of its log.
    pub async fn start_again(&mut self) -> Result<()> {
        if self.host.is_some() {
            bail!("{} runs already", self.name);
        }
        self.host = Some(self.spawn()?);
        let limit = Instant::now() + START_LIMIT;
        while !self.answers().await {
            let ended = self
                .host
                .as_mut()
                .and_then(|host| host.try_wait().transpose())
                .transpose()?;
            if ended.is_some() || Instant::now() >= limit {
                bail!(
                    "{} does not answer at {}; end of its log:\n{}",
                    self.name,
                    self.address,
                    self.log()
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Stops the daemon in good order (SIGTERM), its containers with it. Data stay.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn stop(&mut self) -> Result<()> {
        self.signal(Signal::TERM)?;
        let mut host = self
            .host
            .take()
            .with_context(|| format!("{} does not run", self.name))?;
        let ended = wait::until(&format!("{} stops", self.name), STOP_LIMIT, async || {
            host.try_wait().transpose()
        })
        .await;
        if ended.is_err() {
            self.host = Some(host);
        }
        ended?.map(|_| ()).map_err(Into::into)
    }

    /// Ends daemon and containers at once, as a power failure does. Data stay as they are on disk.
    pub fn power_off(&mut self) {
        if let Some(mut host) = self.host.take() {
            // Closing the pipe ends the first process, and that waits for all others to be gone.
            drop(host.stdin.take());
            let _ = host.wait();
        }
    }

    /// Freezes the daemon (SIGSTOP): the kernel still accepts connections, nothing is answered.
    ///
    /// # Errors
    /// When it does not run, or does not stand still soon.
    pub async fn freeze(&self) -> Result<()> {
        freeze(&self.name, self.daemon()?).await
    }

    /// Lets a frozen daemon go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// The identity the daemon reports.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn id(&self) -> Result<String> {
        let request = client::request(Method::GET, "/info")?;
        let info = self.send(request).await?.success()?.json()?;
        info.get("ID")
            .and_then(|id| id.as_str())
            .map(str::to_owned)
            .context("/info without an ID")
    }

    async fn answers(&self) -> bool {
        let Ok(ping) = client::request(Method::GET, "/_ping") else {
            return false;
        };
        let asked = tokio::time::timeout(Duration::from_secs(2), self.send(ping));
        matches!(asked.await, Ok(Ok(answer)) if answer.status == StatusCode::OK)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<client::Answer> {
        let server = Server {
            address: self.address,
            tls: self.tls.clone(),
        };
        client::send(server, request).await
    }

    async fn import_image(&self) -> Result<()> {
        let mut request = client::request(
            Method::POST,
            "/images/create?fromSrc=-&repo=busybox&tag=latest&changes=CMD%20sh",
        )?;
        *request.body_mut() = Full::new(image::archive()?);
        let answer = self.send(request).await?.success()?;
        if answer.text().contains("\"error\"") {
            bail!("{}: importing {IMAGE}: {}", self.name, answer.text());
        }
        Ok(())
    }

    fn spawn(&self) -> Result<Child> {
        let directory = self.directory.path();
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(directory.join("log"))?;
        // As /run after a boot: process ids in there would now be those of other processes.
        for stale in ["exec", "pid"] {
            remove(&directory.join(stale))?;
        }
        let mut command = Command::new("unshare");
        command.args([
            "--mount",
            "--uts",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
            HOST,
            "host",
        ]);
        command.arg(directory).arg(&self.name).arg("dockerd");
        for (flag, file) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.arg(flag).arg(directory.join(file));
        }
        command.arg(format!("--host=tcp://{}", self.address));
        command.arg(format!("--cgroup-parent=/{}", control_group()));
        command.args([
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--log-level=warn",
        ]);
        command.args(["--shutdown-timeout=2"]).args(&self.arguments);
        command
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .current_dir("/");
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command
            .spawn()
            .with_context(|| format!("starting {}", self.name))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.daemon()?, signal).with_context(|| format!("signalling {}", self.name))
    }

    /// The daemon: a child of the first process in its namespaces, which is the child of our child.
    fn daemon(&self) -> Result<Pid> {
        let host = self
            .host
            .as_ref()
            .with_context(|| format!("{} does not run", self.name))?;
        let daemon = children(host.id())?
            .into_iter()
            .flat_map(|first| children(first).unwrap_or_default())
            .find(|child| is_called(*child, "dockerd"))
            .with_context(|| format!("{} has no daemon", self.name))?;
        i32::try_from(daemon)
            .ok()
            .and_then(Pid::from_raw)
            .context("process id")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.power_off();
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Engine({} at {})", self.name, self.address)
    }
}

/// The daemon's flags.
fn daemon_tls(certs: Option<&Certificates>) -> Vec<String> {
    let Some(certs) = certs else {
        // Said aloud: newer versions wait 15 s before they serve without TLS unless it is meant.
        return vec!["--tls=false".to_owned()];
    };
    let file =
        |flag: &str, name: &str| format!("--{flag}={}", certs.file("engine", name).display());
    vec![
        "--tlsverify".to_owned(),
        file("tlscacert", "ca.pem"),
        file("tlscert", "cert.pem"),
        file("tlskey", "key.pem"),
    ]
}

/// Removes a file or a directory with all that is in it, if it is there.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The processes whose parent is `parent`.
fn children(parent: u32) -> Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // It may be gone by now.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        // The name, second field, may hold anything; after its parenthesis come the state and the parent.
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        if after_name
            .split_whitespace()
            .nth(1)
            .and_then(|field| field.parse().ok())
            == Some(parent)
        {
            children.push(pid);
        }
    }
    Ok(children)
}

fn is_called(pid: u32, name: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
}
