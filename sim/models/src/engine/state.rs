//! Everything an engine knows. No I/O: time is handed in, and what changed is read back out.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use swarm_core::rng::Random;
use swarm_core::time::{Mono, Wall};

use super::clock;
use super::container::{Container, Exec, Health, Id, Phase};
use super::events::{Event, EventLog, Kind};
use super::image::{Image, Reference};
use super::mutations::Mutations;
use super::network::{Network, Subnet};
use super::options::{Faults, Options};
use super::process::{Process, World};
use super::refusal::{Answer, Refusal};
use super::volume::Volume;

/// Creates remembered for tests.
const CREATES_KEPT: usize = 10_000;

/// The whole engine.
#[derive(Debug)]
pub(super) struct State {
    pub(super) options: Options,
    pub(super) faults: Faults,
    pub(super) events: EventLog,
    pub(super) containers: BTreeMap<Id, Container>,
    pub(super) names: BTreeMap<String, Id>,
    /// Containers by order of creation.
    pub(super) order: BTreeMap<u64, Id>,
    pub(super) execs: BTreeMap<Id, Exec>,
    pub(super) images: BTreeMap<Arc<str>, Image>,
    pub(super) networks: BTreeMap<Id, Network>,
    pub(super) volumes: BTreeMap<String, Volume>,
    /// Ports open on the host.
    pub(super) ports: BTreeSet<(u16, String)>,
    pub(super) next_port: u16,
    pub(super) next_subnet: u8,
    pub(super) creates: VecDeque<Created>,
    pub(super) create_requests: u64,
    pub(super) mutations: Mutations,
    /// Requests by method and route.
    pub(super) requests: BTreeMap<String, u64>,
    /// Raised to end all event streams.
    pub(super) event_cuts: u64,
    random: Random,
    numbers: BTreeMap<&'static str, u64>,
    deadlines: BTreeSet<(Mono, Timer)>,
    now: Mono,
    /// What the clock shows while it catches up with what happened before.
    noticed: Mono,
    started: Mono,
}

/// A create that the engine did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The new container.
    pub id: String,
    /// Its name without the leading slash.
    pub name: String,
    /// Its labels.
    pub labels: Arc<BTreeMap<String, String>>,
}

/// What is due at a deadline.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Container(Id),
    Exec(Id),
    Health(Id),
}

impl State {
    pub(super) fn new(options: Options, now: Mono) -> Self {
        let random = Random::new(0).fork(&format!("daemon/{}", options.id));
        let mut state = Self {
            faults: Faults::default(),
            events: EventLog::default(),
            containers: BTreeMap::new(),
            names: BTreeMap::new(),
            order: BTreeMap::new(),
            execs: BTreeMap::new(),
            images: BTreeMap::new(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
            ports: BTreeSet::new(),
            next_port: 49_152,
            next_subnet: 17,
            creates: VecDeque::new(),
            create_requests: 0,
            mutations: Mutations::default(),
            requests: BTreeMap::new(),
            event_cuts: 0,
            random,
            numbers: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            now,
            noticed: now,
            started: now,
            options,
        };
        for name in state.options.images.clone() {
            if let Some(reference) = Reference::parse(&name) {
                let image = Image::fabricate(&reference);
                state.images.insert(Arc::clone(&image.id), image);
            }
        }
        for (name, driver) in [("bridge", "bridge"), ("host", "host"), ("none", "null")] {
            let id = state.next_id("network");
            let mut network = Network::new(Arc::clone(&id), name, driver, state.wall());
            if name == "bridge" {
                network.subnet = Some(state.next_subnet());
                network.options = [
                    ("com.docker.network.bridge.default_bridge", "true"),
                    ("com.docker.network.bridge.enable_icc", "true"),
                    ("com.docker.network.bridge.enable_ip_masquerade", "true"),
                    ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
                    ("com.docker.network.bridge.name", "docker0"),
                    ("com.docker.network.driver.mtu", "1500"),
                ]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
            }
            state.networks.insert(id, network);
        }
        state
    }

    /// The engine's monotonic time.
    pub(super) fn now(&self) -> Mono {
        self.now
    }

    /// The engine's calendar time.
    pub(super) fn wall(&self) -> Wall {
        self.wall_at(self.now)
    }

    fn wall_at(&self, time: Mono) -> Wall {
        clock::later(self.options.clock, time.since(self.started))
    }

    /// A number of its own for each `kind`, counted from 1.
    pub(super) fn next_number(&mut self, kind: &'static str) -> u64 {
        let number = self.numbers.entry(kind).or_default();
        *number += 1;
        *number
    }

    /// A fresh 64-character ID: it depends on the engine's ID and on how many there were, on nothing else.
    pub(super) fn next_id(&mut self, kind: &'static str) -> Id {
        let number = self.next_number(kind);
        self.random.fork(&format!("{kind}/{number}")).hex(32).into()
    }

    pub(super) fn next_subnet(&mut self) -> Subnet {
        let subnet = Subnet::pool(self.next_subnet);
        self.next_subnet = self.next_subnet.checked_add(1).unwrap_or(17);
        subnet
    }

    /// Finds a container by ID, name or unique ID prefix, in this order as the engine does.
    pub(super) fn resolve(&self, reference: &str) -> Answer<Id> {
        let name = reference.strip_prefix('/').unwrap_or(reference);
        if let Some((id, _)) = self.containers.get_key_value(reference) {
            return Ok(Arc::clone(id));
        }
        if let Some(id) = self.names.get(name) {
            return Ok(Arc::clone(id));
        }
        let mut hits = self
            .containers
            .range::<str, _>((Bound::Included(reference), Bound::Unbounded))
            .take_while(|(id, _)| id.starts_with(reference) && !reference.is_empty());
        match (hits.next(), hits.next()) {
            (Some((id, _)), None) => Ok(Arc::clone(id)),
            (None, _) => Err(Refusal::no_container(reference)),
            (Some(_), Some(_)) => Err(Refusal::failed(format!(
                "Multiple IDs found with provided prefix: {reference}"
            ))),
        }
    }

    pub(super) fn container(&self, reference: &str) -> Answer<&Container> {
        let id = self.resolve(reference)?;
        self.containers
            .get(&id)
            .ok_or_else(|| Refusal::no_container(reference))
    }

    pub(super) fn container_mut(&mut self, reference: &str) -> Answer<&mut Container> {
        let id = self.resolve(reference)?;
        self.containers
            .get_mut(&id)
            .ok_or_else(|| Refusal::no_container(reference))
    }

    /// Containers, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Container> {
        let ids = self.order.values().rev();
        ids.filter_map(|id| self.containers.get(id))
    }

    pub(super) fn emit(
        &mut self,
        kind: Kind,
        action: impl Into<Cow<'static, str>>,
        id: Arc<str>,
        attributes: Vec<(Cow<'static, str>, String)>,
    ) {
        self.events.push(Event {
            // A daemon that stood still notices late that containers ended, and its event says when it noticed.
            at: self.wall_at(self.now.max(self.noticed)),
            kind,
            action: action.into(),
            id,
            attributes,
        });
    }

    /// Emits a container event with the attributes every one of them has.
    pub(super) fn emit_container(
        &mut self,
        id: &Id,
        action: impl Into<Cow<'static, str>>,
        extra: &[(&'static str, String)],
    ) {
        let Some(container) = self.containers.get(id) else {
            return;
        };
        let labels = container.spec.labels.iter();
        let mut attributes: Vec<(Cow<'static, str>, String)> = labels
            .map(|(key, value)| (Cow::Owned(key.clone()), value.clone()))
            .collect();
        attributes.push(("image".into(), container.spec.image.clone()));
        attributes.push(("name".into(), container.name.clone()));
        let extra = extra
            .iter()
            .map(|(key, value)| (Cow::Borrowed(*key), value.clone()));
        attributes.extend(extra);
        self.emit(Kind::Container, action, Arc::clone(id), attributes);
    }

    /// When [`State::advance`] has something to do.
    pub(super) fn due(&self) -> Option<Mono> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Lets time go on: processes run, end, and health checks report, each at its own instant.
    pub(super) fn advance(&mut self, now: Mono) {
        self.noticed = now;
        while let Some((at, timer)) = self.deadlines.first().cloned() {
            if at > now {
                break;
            }
            self.deadlines.pop_first();
            self.now = self.now.max(at);
            match timer {
                Timer::Container(id) => self.run(&id),
                Timer::Exec(id) => self.run_exec(&id),
                Timer::Health(id) => self.report_health(&id, Health::Healthy),
            }
        }
        self.now = self.now.max(now);
    }

    /// Runs a container's process until it waits.
    pub(super) fn run(&mut self, id: &Id) {
        let over = self.with_process(id, Process::run);
        if let Some(Some(code)) = over {
            self.ended(id, code);
        } else {
            self.arm(id);
        }
    }

    /// Gives access to a running container's process.
    pub(super) fn with_process<R>(
        &mut self,
        id: &Id,
        act: impl FnOnce(&mut Process, &mut World<'_>) -> R,
    ) -> Option<R> {
        let (now, wall) = (self.now, self.wall());
        let container = self.containers.get_mut(id)?;
        if container.phase != Phase::Running {
            return None;
        }
        let console = Arc::clone(&container.console);
        let mut world = World {
            now,
            wall,
            files: container.files.as_deref(),
            console: &mut console.lock(),
        };
        Some(act(container.process.as_deref_mut()?, &mut world))
    }

    /// Runs an exec's process until it waits.
    pub(super) fn run_exec(&mut self, id: &Id) {
        let over = self.with_exec(id, Process::run);
        if let Some(Some(code)) = over {
            self.exec_ended(id, code);
            return;
        }
        let due = self
            .execs
            .get(id)
            .and_then(|exec| exec.process.as_ref()?.due());
        if let Some(due) = due {
            self.deadlines.insert((due, Timer::Exec(Arc::clone(id))));
        }
    }

    /// Gives access to a running exec's process.
    pub(super) fn with_exec<R>(
        &mut self,
        id: &Id,
        act: impl FnOnce(&mut Process, &mut World<'_>) -> R,
    ) -> Option<R> {
        let (now, wall) = (self.now, self.wall());
        let exec = self.execs.get_mut(id)?;
        let container = self.containers.get(&exec.container)?;
        if container.phase != Phase::Running {
            return None;
        }
        let console = Arc::clone(&exec.console);
        let mut world = World {
            now,
            wall,
            files: container.files.as_deref(),
            console: &mut console.lock(),
        };
        Some(act(exec.process.as_deref_mut()?, &mut world))
    }

    /// Notes when a container's process wants to go on.
    pub(super) fn arm(&mut self, id: &Id) {
        let Some(container) = self.containers.get(id) else {
            return;
        };
        if let Some(due) = container.process.as_ref().and_then(|process| process.due()) {
            self.deadlines
                .insert((due, Timer::Container(Arc::clone(id))));
        }
    }

    /// Notes when a container's health check reports first.
    pub(super) fn arm_health(&mut self, id: &Id) {
        let at = self.now + std::time::Duration::from_secs(30);
        self.deadlines.insert((at, Timer::Health(Arc::clone(id))));
    }

    /// Drops what is planned for a container that stopped.
    pub(super) fn disarm(&mut self, id: &Id) {
        self.deadlines.retain(|(_, timer)| match timer {
            Timer::Container(other) | Timer::Health(other) => other != id,
            Timer::Exec(exec) => self
                .execs
                .get(exec)
                .is_some_and(|exec| exec.container != *id),
        });
    }

    pub(super) fn report_health(&mut self, id: &Id, health: Health) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        if container.is_up() && container.health != Some(health) {
            container.health = Some(health);
            let action = format!("health_status: {}", health.name());
            self.emit_container(id, action, &[]);
        }
    }

    /// Remembers a create for tests.
    pub(super) fn remember_create(&mut self, created: Created) {
        if self.creates.len() == CREATES_KEPT {
            self.creates.pop_front();
        }
        self.creates.push_back(created);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_long_distinct_per_engine_and_repeatable() {
        let mut first = State::new(Options::new("a"), Mono::ZERO);
        let mut again = State::new(Options::new("a"), Mono::ZERO);
        let mut other = State::new(Options::new("b"), Mono::ZERO);
        let id = first.next_id("container");
        assert_eq!(id.len(), 64);
        assert_eq!(id, again.next_id("container"));
        assert_ne!(id, other.next_id("container"));
        assert_ne!(id, first.next_id("container"));
    }
}
