//! Commands executed in running containers.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::console::Console;
use super::container::{Exec, Id, Phase};
use super::mutations::Change;
use super::process::Process;
use super::program::Surroundings;
use super::refusal::{Answer, Refusal};
use super::spec::parse_json;
use super::state::State;

/// Execs a container remembers.
const EXECS_KEPT: usize = 64;

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Request {
    attach_stdin: bool,
    tty: bool,
    privileged: bool,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    user: Option<String>,
    detach_keys: Option<String>,
}

impl State {
    pub(super) fn create_exec(&mut self, reference: &str, body: &[u8]) -> Answer<Id> {
        let request: Request = parse_json(body)?;
        let container = self.container(reference)?;
        let container_id = Arc::clone(&container.id);
        match container.phase {
            Phase::Running => {}
            Phase::Paused => {
                return Err(Refusal::conflict(format!(
                    "Container {reference} is paused, unpause the container before exec"
                )));
            }
            Phase::Created | Phase::Exited | Phase::Dead => {
                return Err(Refusal::conflict(format!(
                    "Container {container_id} is not running"
                )));
            }
        }
        let command = request.cmd.unwrap_or_default();
        if command.is_empty() {
            return Err(Refusal::bad("No exec command specified"));
        }
        let id = self.next_id("exec");
        let text = command.join(" ");
        let exec = Exec {
            id: Arc::clone(&id),
            container: Arc::clone(&container_id),
            command,
            env: request.env.unwrap_or_default(),
            tty: request.tty,
            stdin: request.attach_stdin,
            privileged: request.privileged,
            user: request.user.unwrap_or_default(),
            detach_keys: request.detach_keys.unwrap_or_default(),
            started: false,
            exit_code: None,
            pid: 0,
            console: Arc::new(Console::default()),
            process: None,
        };
        self.execs.insert(Arc::clone(&id), exec);
        self.container_mut(&container_id)?
            .execs
            .push(Arc::clone(&id));
        self.forget_old_execs(&container_id);
        self.note(Change::Exec, &container_id, text.as_str());
        self.emit_container(
            &container_id,
            format!("exec_create: {text}"),
            &[("execID", id.to_string())],
        );
        Ok(id)
    }

    fn forget_old_execs(&mut self, container: &Id) {
        let Some(container) = self.containers.get_mut(container) else {
            return;
        };
        if container.execs.len() <= EXECS_KEPT {
            return;
        }
        let over = |id: &Id| {
            self.execs
                .get(id)
                .is_none_or(|exec| exec.exit_code.is_some())
        };
        if let Some(at) = container.execs.iter().position(over) {
            let id = container.execs.remove(at);
            self.execs.remove(&id);
        }
    }

    pub(super) fn exec(&self, id: &str) -> Answer<&Exec> {
        self.execs
            .get(id)
            .ok_or_else(|| Refusal::missing(format!("No such exec instance: {id}")))
    }

    /// Checks that an exec may be started, without starting it.
    pub(super) fn check_exec(&self, id: &str) -> Answer<&Exec> {
        let exec = self.exec(id)?;
        if exec.exit_code.is_some() {
            return Err(Refusal::conflict(format!(
                "Error: Exec command {id} has already run"
            )));
        }
        if exec.started {
            return Err(Refusal::conflict(format!(
                "Error: Exec command {id} is already running"
            )));
        }
        let container = self.container(&exec.container)?;
        match container.phase {
            Phase::Running => Ok(exec),
            Phase::Paused | Phase::Created | Phase::Exited | Phase::Dead => Err(Refusal::conflict(
                format!("Container {} is not running", container.id),
            )),
        }
    }

    /// Starts an exec; without `input` its standard input is empty.
    pub(super) fn start_exec(&mut self, id: &str, input: bool) -> Answer<Id> {
        self.check_exec(id)?;
        let pid = 1_000 + self.next_number("pid");
        let exec = self
            .execs
            .get_mut(id)
            .ok_or_else(|| Refusal::missing(format!("No such exec instance: {id}")))?;
        let container = self
            .containers
            .get(&exec.container)
            .ok_or_else(|| Refusal::no_container(&exec.container))?;
        let mut env = container.env();
        env.extend(exec.env.iter().cloned());
        let around = Surroundings {
            env,
            hostname: container.hostname().to_owned(),
        };
        let input = input && exec.stdin;
        exec.process = Some(Box::new(Process::new(
            &exec.command,
            around,
            exec.tty,
            input,
        )));
        exec.started = true;
        exec.pid = pid;
        exec.console.lock().running = true;
        let (id, container, text) = (
            Arc::clone(&exec.id),
            Arc::clone(&exec.container),
            exec.command.join(" "),
        );
        self.emit_container(
            &container,
            format!("exec_start: {text}"),
            &[("execID", id.to_string())],
        );
        self.run_exec(&id);
        Ok(id)
    }

    pub(super) fn exec_ended(&mut self, id: &Id, code: i64) {
        let Some(exec) = self.execs.get_mut(id) else {
            return;
        };
        if !exec.started || exec.exit_code.is_some() {
            return;
        }
        exec.exit_code = Some(code);
        exec.process = None;
        {
            let mut console = exec.console.lock();
            console.exits += 1;
            console.code = code;
            console.running = false;
        }
        let container = Arc::clone(&exec.container);
        let extra = [("execID", id.to_string()), ("exitCode", code.to_string())];
        self.emit_container(&container, "exec_die", &extra);
    }

    /// `GET /exec/{id}/json`.
    pub(super) fn inspect_exec(&self, id: &str) -> Answer<Value> {
        let exec = self.exec(id)?;
        let (entrypoint, arguments) = exec
            .command
            .split_first()
            .map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        Ok(json!({
            "ID": exec.id.as_ref(),
            "Running": exec.started && exec.exit_code.is_none(),
            "ExitCode": exec.exit_code,
            "ProcessConfig": {
                "tty": exec.tty,
                "entrypoint": entrypoint,
                "arguments": arguments,
                "privileged": exec.privileged,
                "user": exec.user,
            },
            "OpenStdin": exec.stdin,
            "OpenStderr": true,
            "OpenStdout": true,
            "CanRemove": exec.exit_code.is_some(),
            "ContainerID": exec.container.as_ref(),
            "DetachKeys": exec.detach_keys,
            "Pid": exec.pid,
        }))
    }
}
