//! What the user reads, 80 columns wide.

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use swarm_core::address::HostPort;
use swarm_core::time::Mono;

use super::bridge;
use super::ground::Engines;
use crate::cli::write_or_ignore;
use crate::commands::ask::printable;

/// A manager as it is shown.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) address: HostPort,
    pub(super) pid: u32,
    pub(super) primary: bool,
}

/// What is said at the start.
pub(super) struct Welcome<'a> {
    pub(super) managers: &'a [Shown],
    pub(super) engines: Engines,
    pub(super) engines_healthy: usize,
    pub(super) discovery: &'a str,
    pub(super) logs: &'a Path,
    /// This program, as the user called it.
    pub(super) program: &'a str,
}

/// Standard output with a clock that starts at 0.
pub(super) struct Screen {
    start: Mono,
    out: Box<dyn Write + Send>,
}

impl Screen {
    pub(super) fn new(start: Mono) -> Self {
        Self {
            start,
            out: Box::new(std::io::stdout()),
        }
    }

    pub(super) fn print(&mut self, text: &str) {
        write_or_ignore(&mut self.out, text);
    }

    /// One line about what happened at `at`.
    pub(super) fn event(&mut self, at: Mono, text: &str) {
        let line = event_line(at.since(self.start), text);
        self.print(&line);
    }
}

fn event_line(since_start: Duration, text: &str) -> String {
    format!("{:>7.1}s  {}\n", since_start.as_secs_f64(), printable(text))
}

pub(super) fn welcome(it: &Welcome<'_>) -> String {
    let Welcome {
        discovery, program, ..
    } = it;
    let mut text = format!("{}\n\n", headline(it));
    for manager in it.managers {
        let role = if manager.primary {
            "primary"
        } else {
            "replica"
        };
        let (address, pid) = (&manager.address, manager.pid);
        let _ = writeln!(text, "  manager  {address}  {role}  pid {pid}");
    }
    let _ = writeln!(text, "  store    {discovery}");
    let _ = writeln!(text, "  logs     {}", it.logs.display());
    if it.engines == Engines::Local {
        let _ = writeln!(
            text,
            "\nWhile this runs, every user of this machine can use its Docker Engine through\n\
             these ports; with --modelled nobody can."
        );
    }
    let primary = it.managers.iter().find(|manager| manager.primary);
    let Some(primary) = primary.or_else(|| it.managers.first()) else {
        return text;
    };
    let replica = it.managers.iter().find(|manager| !manager.primary);
    let (host, through) = match replica {
        Some(replica) => (&replica.address, "through a replica"),
        None => (&primary.address, "through the only manager"),
    };
    let _ = write!(
        text,
        "
In another terminal, {through}:

  export DOCKER_HOST=tcp://{host}
  docker info
  docker run hello-world
  docker ps --all
  docker events

Then take the primary away, and watch this terminal and that one:

  kill -9 {pid}
  {program} step-down
  {program} status

A manager that dies comes back as a replica. Ctrl-C ends everything.

",
        pid = primary.pid
    );
    text
}

fn headline(it: &Welcome<'_>) -> String {
    let managers = counted(it.managers.len(), "manager");
    let engines = match it.engines {
        Engines::Local => format!("the Docker Engine at {}", bridge::SOCKET),
        Engines::Modelled(count) => counted(usize::from(count), "modelled engine"),
    };
    let missing = it.engines.count().saturating_sub(it.engines_healthy);
    let missing = match missing {
        0 => String::new(),
        missing => {
            format!("\n({missing} of the engines not healthy yet, 'swarm status' tells why)")
        }
    };
    format!("{managers} in front of {engines}:{missing}")
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Somebody else is primary now.
pub(super) fn takeover(manager: &Shown, epoch: u64, waited: Option<Duration>) -> String {
    let Shown { address, pid, .. } = manager;
    let waited = waited.map_or_else(String::new, |waited| {
        format!("; readers waited {} ms", waited.as_millis())
    });
    format!("{address} (pid {pid}) took over, epoch {epoch}{waited}")
}

/// A manager is gone.
pub(super) fn died(manager: &Shown, how: &str) -> String {
    let Shown {
        address,
        pid,
        primary,
    } = manager;
    let role = if *primary { "primary" } else { "replica" };
    format!("{address} (pid {pid}), {role}, {how}")
}

/// A manager is there again.
pub(super) fn back(manager: &Shown) -> String {
    let role = if manager.primary {
        "primary"
    } else {
        "replica"
    };
    format!(
        "{} (pid {}) is back as {role}",
        manager.address, manager.pid
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(port: u16, primary: bool) -> Shown {
        Shown {
            address: HostPort::new("127.0.0.1", port).unwrap(),
            pid: u32::from(port) + 4_000_000,
            primary,
        }
    }

    fn show(managers: &[Shown], engines: Engines, engines_healthy: usize) -> String {
        let text = welcome(&Welcome {
            managers,
            engines,
            engines_healthy,
            discovery: "consul://127.0.0.1:38111/nodes",
            logs: Path::new("/tmp/swarm-dev-4003990-0"),
            program: "swarm",
        });
        assert!(text.is_ascii());
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        text
    }

    #[test]
    fn the_welcome_leads_through_a_replica() {
        let managers = [shown(4000, true), shown(4001, false), shown(4002, false)];
        insta::assert_snapshot!(show(&managers, Engines::Modelled(3), 3));
    }

    #[test]
    fn one_manager_and_the_local_engine_are_shown_as_such() {
        let text = show(&[shown(4000, true)], Engines::Local, 0);
        let head = "1 manager in front of the Docker Engine at /var/run/docker.sock:\n(1 of the engines not";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("through the only manager"), "{text}");
        assert!(text.contains("every user of this machine"), "{text}");
    }

    #[test]
    fn events_fit_a_line() {
        let manager = shown(4000, true);
        let at = Duration::from_millis(3_012_061);
        let waited = Some(Duration::from_millis(2_058));
        for (text, expected) in [
            (
                takeover(&manager, 12, waited),
                " 3012.1s  127.0.0.1:4000 (pid 4004000) took over, epoch 12; readers waited 2058 ms",
            ),
            (
                takeover(&manager, 1, None),
                " 3012.1s  127.0.0.1:4000 (pid 4004000) took over, epoch 1",
            ),
            (
                died(&manager, "was killed (SIGKILL)"),
                " 3012.1s  127.0.0.1:4000 (pid 4004000), primary, was killed (SIGKILL)",
            ),
            (
                back(&shown(4001, false)),
                " 3012.1s  127.0.0.1:4001 (pid 4004001) is back as replica",
            ),
        ] {
            assert_eq!(event_line(at, &text), format!("{expected}\n"));
        }
    }

    #[test]
    fn a_log_line_cannot_steer_the_terminal() {
        let line = event_line(Duration::ZERO, "failed: \x1b[2J");
        assert_eq!(line, "    0.0s  failed: ?[2J\n");
    }
}
