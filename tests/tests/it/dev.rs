//! `swarm dev` as a newcomer uses it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use swarm_tests::process::{Process, Streams};
use swarm_tests::scratch::Scratch;
use swarm_tests::{docker, manager, wait};
use tokio::sync::{Mutex, MutexGuard};

const LIMIT: Duration = Duration::from_secs(30);
/// Guards of killed managers may try to release a lease for as long as it is.
const GUARDS_LIMIT: Duration = Duration::from_secs(10);

/// Every `swarm dev` takes the first free ports from 4000 on: two that start at once would take the same.
static PORTS: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_newcomer_kills_the_primary_and_nothing_is_left_at_the_end() -> Result<()> {
    let dev = Dev::start(&["--engines", "2"]).await?;
    let managers = dev.managers()?;
    let [primary, replica, _] = managers.as_slice() else {
        anyhow::bail!("three managers should be shown: {}", dev.process.text());
    };
    ensure!(primary.role == "primary" && replica.role == "replica");
    let mut groups = pids(&managers);
    let host = replica.address.to_string();
    let docker = docker::newest()?;
    let info = docker.run(&host, &["info"]).await?.success()?;
    ensure!(info.contains("Role: replica"), "{info}");
    ensure!(
        info.contains(&format!("Primary: {}", primary.address)),
        "{info}"
    );
    hello(&docker, &host).await?;

    let mark = dev.process.mark();
    groups.insert(killed_and_back(&dev, primary, mark).await?);
    hello(&docker, &host).await?;

    let stepped = swarm(&["step-down", "--host", &host]).await?;
    ensure!(stepped.contains(" steps down (epoch 2)\n"), "{stepped}");
    ensure!(
        stepped.contains(" is the primary (epoch 3) after "),
        "{stepped}"
    );
    dev.process
        .wait_line_after(mark, "took over, epoch 3", LIMIT)
        .await?;
    // A manager that has just come back is known to the others once they have heard of it.
    wait::until("the status names everybody", LIMIT, async || {
        let status = swarm(&["status", "--host", &host]).await.ok()?;
        let whole = status.matches("  replica  ").count() == 2
            && status.matches("  Healthy  ").count() == 2;
        whole.then_some(())
    })
    .await?;

    dev.process.signal(Signal::INT)?;
    ensure!(
        dev.process.wait_exit(LIMIT).await?.success(),
        "{}",
        dev.process.text()
    );
    let left = running(&groups)?;
    ensure!(left.is_empty(), "left behind: {left:?}");
    let files = std::fs::read_dir(dev.temporary.path())?.count();
    ensure!(files == 0, "{files} files left behind");
    Ok(())
}

#[tokio::test]
async fn no_manager_outlives_a_killed_dev() -> Result<()> {
    let dev = Dev::start(&[]).await?;
    let groups = pids(&dev.managers()?);
    ensure!(
        running(&groups)?.len() == 6,
        "each manager should have a guard"
    );
    dev.process.signal(Signal::KILL)?;
    wait::until("all managers and guards end", GUARDS_LIMIT, async || {
        running(&groups).ok()?.is_empty().then_some(())
    })
    .await
}

/// Kills the primary, reads what is told about it, and waits for the process that takes its place.
async fn killed_and_back(dev: &Dev, primary: &Shown, mark: usize) -> Result<i32> {
    kill_process(pid(primary.pid)?, Signal::KILL)?;
    let died = format!(
        "{} (pid {}), primary, was killed (SIGKILL)",
        primary.address, primary.pid
    );
    dev.process.wait_line_after(mark, &died, LIMIT).await?;
    let takeover = dev
        .process
        .wait_line_after(mark, "took over, epoch 2", LIMIT)
        .await?;
    ensure!(
        takeover.text.contains("; readers waited "),
        "{}",
        takeover.text
    );
    let back = format!("{} (pid ", primary.address);
    wait::until("the killed manager is back", LIMIT, async || {
        let lines = dev.process.lines();
        lines
            .iter()
            .skip(mark)
            .find(|line| line.text.contains(&back) && line.text.ends_with("is back as replica"))
            .and_then(|line| {
                line.text
                    .split(['(', ')'])
                    .nth(1)?
                    .strip_prefix("pid ")?
                    .parse()
                    .ok()
            })
    })
    .await
}

struct Dev {
    process: Process,
    temporary: Scratch,
    _ports: MutexGuard<'static, ()>,
}

struct Shown {
    address: SocketAddr,
    role: String,
    pid: i32,
}

impl Dev {
    async fn start(arguments: &[&str]) -> Result<Self> {
        let ports = PORTS.lock().await;
        let temporary = Scratch::new("dev")?;
        let mut command = manager::command().await?;
        command.arg("dev").arg("--modelled").args(arguments);
        command.env("TMPDIR", temporary.path());
        let process = Process::spawn("swarm dev", command, Streams::Pipes)?;
        process.wait_line("Ctrl-C ends everything", LIMIT).await?;
        Ok(Self {
            process,
            temporary,
            _ports: ports,
        })
    }

    /// From lines such as `  manager  127.0.0.1:4000  primary  pid 17`.
    fn managers(&self) -> Result<Vec<Shown>> {
        let lines = self.process.lines();
        let shown = lines.iter().filter_map(|line| {
            let words: Vec<&str> = line.text.split_whitespace().collect();
            match words.as_slice() {
                ["manager", address, role, "pid", pid] => Some((*address, *role, *pid)),
                _ => None,
            }
        });
        shown
            .map(|(address, role, pid)| {
                Ok(Shown {
                    address: address.parse()?,
                    role: role.to_owned(),
                    pid: pid.parse()?,
                })
            })
            .collect()
    }
}

async fn hello(docker: &docker::Docker, host: &str) -> Result<()> {
    let run = docker
        .run(host, &["run", "--rm", "hello-world"])
        .await?
        .success()?;
    ensure!(run.contains("Hello from Docker!"), "{run}");
    Ok(())
}

/// What a successful `swarm` command prints.
async fn swarm(arguments: &[&str]) -> Result<String> {
    let mut command = manager::command().await?;
    command.args(arguments);
    let output = tokio::process::Command::from(command).output().await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "swarm {arguments:?}: {text}{errors}"
    );
    Ok(text)
}

/// Each manager leads a process group of its own, in which its guard is too.
fn pids(managers: &[Shown]) -> BTreeSet<i32> {
    managers.iter().map(|manager| manager.pid).collect()
}

fn pid(number: i32) -> Result<Pid> {
    Pid::from_raw(number).context("process id 0")
}

/// The processes in these groups, without the dead that nobody has reaped yet.
fn running(groups: &BTreeSet<i32>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc")?.flatten() {
        // Not a process, or gone since.
        let Ok(stat) = std::fs::read_to_string(process.path().join("stat")) else {
            continue;
        };
        let Some((_, rest)) = stat.rsplit_once(')') else {
            continue;
        };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let [state, _parent, group, ..] = fields.as_slice() else {
            continue;
        };
        if *state != "Z" && group.parse().is_ok_and(|group| groups.contains(&group)) {
            found.push(stat);
        }
    }
    Ok(found)
}
