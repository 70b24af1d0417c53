//! What can be done with a container, from create to remove.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::container::{Container, Health, Id, Phase};
use super::mutations::Change;
use super::process::Process;
use super::program::Surroundings;
use super::refusal::{Answer, Refusal};
use super::state::State;

/// Exit code of a process that a signal ended.
const SIGNALLED: i64 = 128;

const SIGINT: i64 = 2;
const SIGKILL: i64 = 9;
const SIGTERM: i64 = 15;

/// How a stop goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stopping {
    /// It has ended.
    Done,
    /// It ignores SIGTERM and has to be killed after the grace period.
    Stubborn,
}

impl State {
    /// Starts a container; 304 if it runs already.
    pub(super) fn start(&mut self, reference: &str) -> Answer<()> {
        let container = self.container(reference)?;
        let id = Arc::clone(&container.id);
        match container.phase {
            Phase::Running => return Err(Refusal::unmodified()),
            Phase::Paused => {
                return Err(Refusal::conflict(
                    "cannot start a paused container, try unpause instead",
                ));
            }
            Phase::Dead => {
                return Err(Refusal::conflict(
                    "container is marked for removal and cannot be started",
                ));
            }
            Phase::Created | Phase::Exited => {}
        }
        if let Err(refusal) = self.connect_all(&id).and_then(|()| self.publish(&id)) {
            self.disconnect_all(&id);
            if let Ok(container) = self.container_mut(&id) {
                container.error.clone_from(&refusal.message);
                container.exit_code = 128;
                container.console.lock().code = 128;
                if container.spec.auto_remove {
                    self.discard(&id, true);
                }
            }
            return Err(refusal);
        }
        self.launch(&id);
        self.note(Change::Start, &id, "");
        self.emit_container(&id, "start", &[]);
        self.run(&id);
        Ok(())
    }

    fn launch(&mut self, id: &Id) {
        let wall = self.wall();
        let pid = 1_000 + self.next_number("pid");
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        let around = Surroundings {
            env: container.env(),
            hostname: container.hostname().to_owned(),
        };
        let spec = &container.spec;
        let process = Process::new(&spec.command, around, spec.tty, spec.open_stdin);
        container.process = Some(Box::new(process));
        container.phase = Phase::Running;
        container.started = wall;
        container.pid = pid;
        container.exit_code = 0;
        container.error.clear();
        container.health = container.spec.health_check.then_some(Health::Starting);
        container.console.lock().running = true;
        if container.health.is_some() {
            self.arm_health(id);
        }
    }

    /// A container's process has ended.
    pub(super) fn ended(&mut self, id: &Id, code: i64) {
        let wall = self.wall();
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        container.phase = Phase::Exited;
        container.finished = wall;
        container.exit_code = code;
        container.pid = 0;
        container.process = None;
        if container.health == Some(Health::Starting) {
            container.health = Some(Health::Unhealthy);
        }
        let auto_remove = container.spec.auto_remove;
        let console = Arc::clone(&container.console);
        for exec in container.execs.clone() {
            self.exec_ended(&exec, SIGNALLED + SIGKILL);
        }
        self.disarm(id);
        self.emit_container(id, "die", &[("exitCode", code.to_string())]);
        self.disconnect_all(id);
        {
            let mut console = console.lock();
            console.exits += 1;
            console.code = code;
            console.running = false;
        }
        if auto_remove {
            self.discard(id, true);
        }
    }

    /// Sends a signal, given by number or name.
    pub(super) fn kill(&mut self, reference: &str, signal: &str) -> Answer<()> {
        let number = signal_number(signal)
            .ok_or_else(|| Refusal::bad(format!("Invalid signal: {signal}")))?;
        let container = self.container(reference)?;
        let id = Arc::clone(&container.id);
        if !container.is_up() {
            return Err(Refusal::conflict(format!(
                "Cannot kill container: {reference}: Container {id} is not running"
            )));
        }
        self.note(Change::Kill, &id, number.to_string());
        self.signal(&id, number);
        Ok(())
    }

    /// Delivers a signal to a container that runs.
    fn signal(&mut self, id: &Id, number: i64) {
        self.emit_container(id, "kill", &[("signal", number.to_string())]);
        let Some(container) = self.containers.get(id) else {
            return;
        };
        let ignores = container.process.as_ref().is_some_and(|p| p.ignores_term());
        let paused = container.phase == Phase::Paused;
        // A stopped process gets nothing but SIGKILL; SIGHUP, SIGINT, SIGQUIT and SIGTERM end most commands.
        let ends = number == SIGKILL
            || (!paused && matches!(number, 1..=3))
            || (!paused && number == SIGTERM && !ignores);
        if ends {
            self.ended(id, SIGNALLED + number);
        }
    }

    /// Begins to stop a container; 304 if it does not run.
    pub(super) fn stop(&mut self, reference: &str) -> Answer<(Id, Stopping)> {
        let container = self.container(reference)?;
        let id = Arc::clone(&container.id);
        if !container.is_up() {
            return Err(Refusal::unmodified());
        }
        if container.phase == Phase::Paused {
            self.unpause(&id)?;
        }
        self.note(Change::Stop, &id, "");
        self.signal(&id, SIGTERM);
        let stubborn = self.containers.get(&id).is_some_and(Container::is_up);
        if stubborn {
            return Ok((id, Stopping::Stubborn));
        }
        self.emit_container(&id, "stop", &[]);
        Ok((id, Stopping::Done))
    }

    /// The grace period is over.
    pub(super) fn stop_now(&mut self, id: &Id) {
        if self.containers.get(id).is_some_and(Container::is_up) {
            self.signal(id, SIGKILL);
            self.emit_container(id, "stop", &[]);
        }
    }

    /// Ctrl-C at the terminal.
    pub(super) fn interrupt(&mut self, id: &Id) {
        self.ended(id, SIGNALLED + SIGINT);
    }

    pub(super) fn pause(&mut self, reference: &str) -> Answer<()> {
        let now = self.now();
        let container = self.container_mut(reference)?;
        let id = Arc::clone(&container.id);
        match container.phase {
            Phase::Running => {
                container.phase = Phase::Paused;
                container.paused_at = now;
            }
            Phase::Paused => {
                return Err(Refusal::conflict(format!(
                    "Container {id} is already paused"
                )));
            }
            Phase::Created | Phase::Exited | Phase::Dead => {
                return Err(Refusal::conflict(format!("Container {id} is not running")));
            }
        }
        self.disarm(&id);
        self.emit_container(&id, "pause", &[]);
        Ok(())
    }

    pub(super) fn unpause(&mut self, reference: &str) -> Answer<()> {
        let now = self.now();
        let container = self.container_mut(reference)?;
        let id = Arc::clone(&container.id);
        if container.phase != Phase::Paused {
            return Err(Refusal::failed(format!("Container {id} is not paused")));
        }
        let paused = now.since(container.paused_at);
        container.phase = Phase::Running;
        if let Some(process) = &mut container.process {
            process.delay(paused);
        }
        let execs = container.execs.clone();
        for exec in &execs {
            self.with_exec(exec, |process, _| process.delay(paused));
        }
        if self.containers.get(&id).and_then(|c| c.health) == Some(Health::Starting) {
            self.arm_health(&id);
        }
        self.emit_container(&id, "unpause", &[]);
        self.run(&id);
        for exec in execs {
            self.run_exec(&exec);
        }
        Ok(())
    }

    /// Removes a container, with its anonymous volumes if asked.
    pub(super) fn remove(&mut self, reference: &str, force: bool, volumes: bool) -> Answer<()> {
        let container = self.container(reference)?;
        let id = Arc::clone(&container.id);
        if container.is_up() && !force {
            let (what, how) = if container.phase == Phase::Paused {
                ("paused", "Unpause and then stop")
            } else {
                ("running", "Stop")
            };
            return Err(Refusal::conflict(format!(
                "You cannot remove a {what} container {id}. {how} the container before attempting \
                 removal or force remove"
            )));
        }
        let up = container.is_up();
        self.note(Change::Remove, &id, "");
        if up {
            self.signal(&id, SIGKILL);
        }
        // It may have been one that removes itself.
        if self.containers.contains_key(&id) {
            self.discard(&id, volumes);
        }
        Ok(())
    }

    pub(super) fn discard(&mut self, id: &Id, volumes: bool) {
        self.emit_container(id, "destroy", &[]);
        let Some(container) = self.containers.remove(id) else {
            return;
        };
        self.names.remove(&container.name);
        self.order.remove(&container.number);
        for exec in &container.execs {
            self.execs.remove(exec);
        }
        container.console.lock().removed = true;
        if volumes {
            for mount in &container.spec.mounts {
                self.drop_anonymous_volume(mount.volume().unwrap_or_default());
            }
        }
    }

    pub(super) fn update(&mut self, reference: &str, changes: Map<String, Value>) -> Answer<()> {
        let container = self.container_mut(reference)?;
        let id = Arc::clone(&container.id);
        container.spec.update(changes);
        self.emit_container(&id, "update", &[]);
        Ok(())
    }

    /// Counts a restart that was asked for.
    pub(super) fn restarted(&mut self, id: &Id) {
        self.emit_container(id, "restart", &[]);
    }

    /// The time a stop waits for a process before it kills it.
    pub(super) fn grace(seconds: Option<i64>) -> Option<Duration> {
        match seconds {
            None => Some(Duration::from_secs(10)),
            Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
        }
    }
}

fn signal_number(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse::<i64>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let signals = [
        ("HUP", 1),
        ("INT", SIGINT),
        ("QUIT", 3),
        ("KILL", SIGKILL),
        ("USR1", 10),
        ("USR2", 12),
        ("TERM", SIGTERM),
        ("CONT", 18),
        ("STOP", 19),
        ("WINCH", 28),
    ];
    signals
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| *number)
}
