//! What can be done with a container, from create to remove.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use swarm_core::time::{Mono, Wall};

use super::console::Console;
use super::container::{Container, Health, Id, Phase, Published};
use super::events::Kind;
use super::network::Endpoint;
use super::process::Process;
use super::program::Surroundings;
use super::refusal::{Answer, Refusal};
use super::spec::{Port, Spec};
use super::state::{Created, State};

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
    /// Creates a container from a request body.
    pub(super) fn create(&mut self, name: Option<&str>, body: &[u8]) -> Answer<Id> {
        self.create_requests += 1;
        if let Some((status, message)) = self.faults.fail_creates.get(&self.create_requests) {
            return Err(Refusal::new(*status, message.clone()));
        }
        let name = name.filter(|name| !name.is_empty());
        if let Some(name) = name {
            self.check_name(name)?;
        }
        let spec = Spec::parse(body, |image| {
            let image = self.image(image)?;
            Ok((image.entrypoint.clone(), image.command.clone()))
        })?;
        let image_id = Arc::clone(&self.image(&spec.image)?.id);
        let id = self.next_id("container");
        let number = self.next_number("order");
        let name = match name {
            Some(name) => name.trim_start_matches('/').to_owned(),
            None => self.random_name(number),
        };
        let mut container = Container {
            id: Arc::clone(&id),
            number,
            name: name.clone(),
            image_id,
            phase: Phase::Created,
            created: self.wall(),
            started: Wall(0),
            finished: Wall(0),
            pid: 0,
            exit_code: 0,
            error: String::new(),
            restarts: 0,
            health: None,
            console: Arc::new(Console::default()),
            process: None,
            paused_at: Mono::ZERO,
            endpoints: BTreeMap::new(),
            published: Vec::new(),
            execs: Vec::new(),
            files: None,
            spec,
        };
        self.make_volumes(&mut container.spec.mounts);
        container.endpoints = self.wanted_endpoints(&container.spec);
        self.remember_create(Created {
            id: id.to_string(),
            name: name.clone(),
            labels: Arc::clone(&container.spec.labels),
        });
        self.names.insert(name, Arc::clone(&id));
        self.order.insert(number, Arc::clone(&id));
        self.containers.insert(Arc::clone(&id), container);
        self.emit_container(&id, "create", &[]);
        Ok(id)
    }

    fn check_name(&self, name: &str) -> Answer<()> {
        let bare = name.strip_prefix('/').unwrap_or(name);
        let starts = bare.starts_with(|c: char| c.is_ascii_alphanumeric());
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !starts || bare.len() < 2 || !bare.chars().all(fits) {
            return Err(Refusal::bad(format!(
                "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            )));
        }
        match self.names.get(bare) {
            Some(id) => Err(Refusal::conflict(format!(
                "Conflict. The container name \"/{bare}\" is already in use by container \"{id}\". \
                 You have to remove (or rename) that container to be able to reuse that name."
            ))),
            None => Ok(()),
        }
    }

    fn random_name(&self, number: u64) -> String {
        const FIRST: [&str; 12] = [
            "brave", "calm", "eager", "gentle", "happy", "keen", "lucid", "nifty", "quiet",
            "sharp", "vivid", "witty",
        ];
        const SECOND: [&str; 11] = [
            "curie", "darwin", "euler", "gauss", "hopper", "lamport", "liskov", "noether",
            "ritchie", "turing", "wirth",
        ];
        let pick = |words: &[&'static str]| {
            let length = u64::try_from(words.len()).unwrap_or(1);
            let at = usize::try_from(number % length).unwrap_or(0);
            words.get(at).copied().unwrap_or_default()
        };
        let name = format!("{}_{}", pick(&FIRST), pick(&SECOND));
        if self.names.contains_key(&name) {
            format!("{name}{number}")
        } else {
            name
        }
    }

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

    /// Opens the host ports a container wants.
    fn publish(&mut self, id: &Id) -> Answer<()> {
        let container = self.container(id)?;
        if container.spec.network_mode == "host" || container.spec.network_mode == "none" {
            return Ok(());
        }
        let spec = &container.spec;
        let name = container.name.clone();
        let mut wishes: Vec<Published> = spec
            .bindings
            .iter()
            .map(|binding| Published {
                port: binding.port.clone(),
                address: binding.address.clone(),
                host_port: binding.host_port,
            })
            .collect();
        if spec.publish_all {
            let bound = |port: &Port| spec.bindings.iter().any(|binding| binding.port == *port);
            wishes.extend(
                spec.exposed
                    .iter()
                    .filter(|port| !bound(port))
                    .map(|port| Published {
                        port: port.clone(),
                        address: String::new(),
                        host_port: 0,
                    }),
            );
        }
        for mut wish in wishes {
            if wish.address.is_empty() {
                "0.0.0.0".clone_into(&mut wish.address);
            }
            if wish.host_port == 0 {
                wish.host_port = self.free_port(&wish.port.protocol);
            } else if self
                .ports
                .contains(&(wish.host_port, wish.port.protocol.clone()))
            {
                return Err(Refusal::failed(format!(
                    "driver failed programming external connectivity on endpoint {name} ({id}): \
                     Bind for {}:{} failed: port is already allocated",
                    wish.address, wish.host_port
                )));
            }
            self.ports
                .insert((wish.host_port, wish.port.protocol.clone()));
            self.container_mut(id)?.published.push(wish);
        }
        Ok(())
    }

    fn free_port(&mut self, protocol: &str) -> u16 {
        loop {
            self.next_port = self.next_port.checked_add(1).unwrap_or(49_153);
            if !self.ports.contains(&(self.next_port, protocol.to_owned())) {
                return self.next_port;
            }
        }
    }

    /// Takes a container off its networks and closes its ports.
    fn disconnect_all(&mut self, id: &Id) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        for published in std::mem::take(&mut container.published) {
            self.ports
                .remove(&(published.host_port, published.port.protocol));
        }
        let mut left = Vec::new();
        for endpoint in container.endpoints.values_mut() {
            let address = endpoint.address.take();
            if !std::mem::take(&mut endpoint.id).is_empty() {
                left.push(Arc::clone(&endpoint.network));
            }
            if let (Some(address), Some(network)) =
                (address, self.networks.get_mut(&endpoint.network))
            {
                network.give_back(address);
            }
        }
        for network in left {
            self.emit_network(&network, "disconnect", Some(id));
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

    pub(super) fn rename(&mut self, reference: &str, name: &str) -> Answer<()> {
        let old = self.container(reference)?.name.clone();
        if name.is_empty() {
            return Err(Refusal::bad("Neither old nor new names may be empty"));
        }
        let name = name.trim_start_matches('/');
        if name == old {
            return Err(Refusal::bad(
                "Renaming a container with the same name as its current name",
            ));
        }
        self.check_name(name)?;
        let container = self.container_mut(reference)?;
        let id = Arc::clone(&container.id);
        name.clone_into(&mut container.name);
        self.names.remove(&old);
        self.names.insert(name.to_owned(), Arc::clone(&id));
        self.emit_container(&id, "rename", &[("oldName", format!("/{old}"))]);
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
        if container.is_up() {
            self.signal(&id, SIGKILL);
        }
        // It may have been one that removes itself.
        if self.containers.contains_key(&id) {
            self.discard(&id, volumes);
        }
        Ok(())
    }

    fn discard(&mut self, id: &Id, volumes: bool) {
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

    /// The endpoints a new container asks for, by network name.
    fn wanted_endpoints<'a>(&self, spec: &'a Spec) -> BTreeMap<String, Endpoint> {
        let mut endpoints = BTreeMap::new();
        // The CLI calls the default network by that name in both places.
        let plain = |name: &'a str| if name == "default" { "bridge" } else { name };
        let mode = plain(&spec.network_mode);
        if mode.starts_with("container:") {
            return endpoints;
        }
        let mut wanted: BTreeMap<&str, Option<&Value>> = BTreeMap::from([(mode, None)]);
        let asked = spec.networks.iter();
        wanted.extend(asked.map(|(name, asked)| (plain(name), Some(asked))));
        for (reference, asked) in wanted {
            let (name, id) = match self.network(reference) {
                Ok(network) => (network.name.clone(), Arc::clone(&network.id)),
                // The engine notices at start.
                Err(_) => (reference.to_owned(), Arc::from("")),
            };
            endpoints.insert(name, Endpoint::new(id, asked.cloned()));
        }
        endpoints
    }

    /// The time a stop waits for a process before it kills it.
    pub(super) fn grace(seconds: Option<i64>) -> Option<Duration> {
        match seconds {
            None => Some(Duration::from_secs(10)),
            Some(seconds) => u64::try_from(seconds).ok().map(Duration::from_secs),
        }
    }

    pub(super) fn emit_network(
        &mut self,
        network: &Id,
        action: &'static str,
        container: Option<&Id>,
    ) {
        let Some(found) = self.networks.get(network) else {
            return;
        };
        let mut attributes = vec![
            ("name".into(), found.name.clone()),
            ("type".into(), found.driver.clone()),
        ];
        if let Some(container) = container {
            attributes.insert(0, ("container".into(), container.to_string()));
        }
        self.emit(Kind::Network, action, Arc::clone(network), attributes);
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
