//! The managers: processes that are started again when they die.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use swarm_core::address::{HostPort, ListenAddress};
use swarm_core::time::Mono;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, oneshot};

use super::logs::{self, Logs};
use crate::cli::END_WITH_STDIN;
use crate::manager::status::ManagerStatus;
use crate::platform::{SharedPlatform, sleep, timeout};

/// The first port to try, as in the multi-manager guide.
const PORT_FIRST: u16 = 4000;
/// How many ports to try.
const PORTS: u16 = 1000;
/// Between the death of a manager and the next one in its place: time to see that it is missing.
const RESTART_PAUSE: Duration = Duration::from_secs(3);
/// How long a manager may let requests end before it is told again, and how long it may take then.
const END_LIMITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// How long the guard of a manager may outlive it: a lease.
const GUARD_LIMIT: Duration = Duration::from_secs(3);
/// Between two looks whether a process group is gone.
const LOOK_PERIOD: Duration = Duration::from_millis(5);
/// What the user's own managers are configured with must not reach these.
const FOREIGN: [&str; 7] = [
    "SWARM_HOST",
    "SWARM_DISCOVERY",
    "SWARM_ADVERTISE",
    "CONSUL_HTTP_TOKEN",
    "CONSUL_HTTP_AUTH",
    "ETCDCTL_USER",
    "SWARM_ZK_AUTH",
];

/// What happened to a manager.
#[derive(Debug)]
pub(super) enum News {
    /// It answered when it was asked for its status, or not.
    Seen {
        /// When.
        at: Mono,
        /// `None` when it did not answer.
        status: Option<Box<ManagerStatus>>,
    },
    /// It was started.
    Started {
        /// Its process id.
        pid: u32,
    },
    /// It ended by itself or was killed.
    Died {
        /// When this was noticed.
        at: Mono,
        /// How.
        how: String,
    },
}

/// Tells what happened to which manager, by its number.
pub(super) type Teller = mpsc::Sender<(usize, News)>;

/// All managers.
pub(super) struct Managers {
    platform: SharedPlatform,
    discovery: String,
    teller: Teller,
    kept: Vec<Kept>,
}

struct Kept {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<()>,
}

/// Keeps one manager running.
struct Keeper {
    platform: SharedPlatform,
    number: usize,
    address: HostPort,
    discovery: String,
    log: PathBuf,
    teller: Teller,
}

impl Managers {
    pub(super) fn new(platform: &SharedPlatform, discovery: &str, teller: Teller) -> Self {
        Self {
            platform: platform.clone(),
            discovery: discovery.to_owned(),
            teller,
            kept: Vec::new(),
        }
    }

    /// Starts the next manager and keeps it running.
    pub(super) fn start(&mut self, address: &HostPort, logs: &Logs) {
        let (stop, stopped) = oneshot::channel();
        let (running, ended) = oneshot::channel::<()>();
        let keeper = Keeper {
            platform: self.platform.clone(),
            number: self.kept.len(),
            address: address.clone(),
            discovery: self.discovery.clone(),
            log: logs.file(address.port()),
            teller: self.teller.clone(),
        };
        let task = async move {
            keeper.keep(stopped).await;
            drop(running);
        };
        self.platform.spawn("manager", Box::pin(task));
        self.kept.push(Kept { stop, ended });
    }

    /// Ends all managers and their guards, `last` after the others, so that no role moves on the way.
    pub(super) async fn stop(&mut self, last: Option<usize>) {
        let numbered = std::mem::take(&mut self.kept).into_iter().enumerate();
        let (last, first): (Vec<_>, Vec<_>) =
            numbered.partition(|(number, _)| Some(*number) == last);
        for group in [first, last] {
            let mut ends = Vec::new();
            for (_, kept) in group {
                // A task that has ended already needs no word.
                let _ = kept.stop.send(());
                ends.push(kept.ended);
            }
            for ended in ends {
                let _ = ended.await;
            }
        }
    }
}

impl Keeper {
    async fn keep(self, mut stopped: oneshot::Receiver<()>) {
        loop {
            let ended = match self.spawn() {
                Ok((child, _stdin)) => self.watch(child, &mut stopped).await,
                Err(error) => Some(format!("cannot be started: {error:#}")),
            };
            let Some(how) = ended else { return };
            let died = News::Died {
                at: self.platform.mono(),
                how,
            };
            if self.teller.send((self.number, died)).await.is_err() {
                return;
            }
            tokio::select! {
                biased;
                _ = &mut stopped => return,
                () = sleep(self.platform.as_ref(), RESTART_PAUSE) => {}
            }
        }
    }

    /// In a process group of its own: Ctrl-C at the terminal is for this process, which ends the managers in order.
    fn spawn(&self) -> anyhow::Result<(Child, ChildStdin)> {
        let log = logs::append(&self.log)
            .with_context(|| format!("cannot write {}", self.log.display()))?;
        let address = self.address.to_string();
        let mut command = Command::new("/proc/self/exe");
        command.arg0("swarm").args(["manage", "--host", &address]);
        command.args(["--replication", "--advertise", &address, &self.discovery]);
        for name in FOREIGN {
            command.env_remove(name);
        }
        let mut child = command
            .env(END_WITH_STDIN, "1")
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let Some(stdin) = child.stdin.take() else {
            bail!("it has no pipe")
        };
        Ok((child, stdin))
    }

    /// How the manager ended; `None` when it was asked to.
    async fn watch(&self, mut child: Child, stopped: &mut oneshot::Receiver<()>) -> Option<String> {
        let id = child.id()?;
        let pid = Pid::from_raw(i32::try_from(id).ok()?)?;
        let started = News::Started { pid: id };
        if self.teller.send((self.number, started)).await.is_err() {
            return None;
        }
        let ended = tokio::select! {
            biased;
            _ = stopped => None,
            ended = child.wait() => Some(ended),
        };
        match ended {
            Some(Ok(status)) => Some(self.describe(status)),
            Some(Err(error)) => Some(format!("was lost sight of: {error}")),
            None => {
                self.end(&mut child, pid).await;
                None
            }
        }
    }

    async fn end(&self, child: &mut Child, pid: Pid) {
        let platform = self.platform.as_ref();
        let mut ended = false;
        for limit in END_LIMITS {
            if !ended {
                // The child is not reaped yet, so the number is still its own.
                let _ = kill_process(pid, Signal::INT);
                ended = timeout(platform, limit, child.wait()).await.is_ok();
            }
        }
        if !ended {
            let _ = child.kill().await;
        }
        let gone = async {
            while group_runs(pid) {
                sleep(platform, LOOK_PERIOD).await;
            }
        };
        if timeout(platform, GUARD_LIMIT, gone).await.is_err() {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    fn describe(&self, status: ExitStatus) -> String {
        match (status.signal(), status.code()) {
            (Some(signal), _) => format!("was killed ({})", signal_name(signal)),
            (None, Some(0)) => "ended as it was asked to".to_owned(),
            (None, code) => {
                let code = code.map_or_else(|| "?".to_owned(), |code| code.to_string());
                let why = logs::last_line(&self.log).unwrap_or_default();
                format!("failed (exit code {code}): {why}")
            }
        }
    }
}

/// Whether a process of the group still runs. To signal it would not tell: that also reaches the dead that nobody has
/// reaped yet, and the first process of a container may take its time.
fn group_runs(group: Pid) -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return false;
    };
    processes
        .flatten()
        .filter_map(|process| std::fs::read_to_string(process.path().join("stat")).ok())
        .any(|stat| running_group(&stat) == Some(group.as_raw_nonzero().get()))
}

/// The group of a process that is not dead, from its `/proc/<pid>/stat` (proc_pid_stat(5)).
fn running_group(stat: &str) -> Option<i32> {
    // The name, in parentheses, may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(group)
}

fn signal_name(signal: i32) -> String {
    let named = [
        (Signal::KILL, "SIGKILL"),
        (Signal::TERM, "SIGTERM"),
        (Signal::INT, "SIGINT"),
        (Signal::HUP, "SIGHUP"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::SEGV, "SIGSEGV"),
    ];
    let found = named.iter().find(|(known, _)| known.as_raw() == signal);
    found.map_or_else(
        || format!("signal {signal}"),
        |(_, name)| (*name).to_owned(),
    )
}

/// Free loopback addresses: ports 4000 and up, as in the guide, without those that are taken.
pub(super) async fn addresses(
    platform: &SharedPlatform,
    count: u8,
) -> anyhow::Result<Vec<HostPort>> {
    let mut free = Vec::new();
    for port in PORT_FIRST..PORT_FIRST + PORTS {
        if free.len() == usize::from(count) {
            break;
        }
        let address = ListenAddress::Tcp {
            host: "127.0.0.1".to_owned(),
            port,
        };
        if platform.listen(&address).await.is_ok() {
            free.push(HostPort::new("127.0.0.1", port)?);
        }
    }
    if free.len() < usize::from(count) {
        bail!(
            "not enough free ports on 127.0.0.1 from {PORT_FIRST} to {}",
            PORT_FIRST + PORTS - 1
        );
    }
    Ok(free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_in_no_group() {
        assert_eq!(running_group("12 (swarm) S 1 10 10 0 -1"), Some(10));
        assert_eq!(running_group("12 (a ) Z (b) R 1 10 10 0 -1"), Some(10));
        assert_eq!(running_group("12 (swarm) Z 1 10 10 0 -1"), None);
        assert_eq!(running_group("12 (swarm) S 1"), None);
        assert_eq!(running_group(""), None);
    }

    #[test]
    fn a_group_runs_as_long_as_one_of_it_does() {
        let group = rustix::process::getpgrp();
        assert!(group_runs(group));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let gone = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(!group_runs(gone));
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(signal_name(9), "SIGKILL");
        assert_eq!(signal_name(64), "signal 64");
    }
}
