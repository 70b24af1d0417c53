//! The machine against a model of an engine, and against noise.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::health::{MAX_PAUSE, QUICK};
use super::*;
use crate::address::HostPort;
use crate::cluster::EntryContext;
use crate::machine::{Effects, Machine};
use crate::rng::Random;
use crate::time::Mono;

mod laws;
mod noise;
mod reading;
mod waiting;

const SECOND: Duration = Duration::from_secs(1);

/// A machine and the engine it looks after, in one event loop.
struct World {
    now: Mono,
    machine: EngineMachine,
    engine: Model,
    calls: VecDeque<(OpId, Call)>,
    /// Calls the model leaves unanswered.
    hung: Vec<(OpId, Call)>,
    streams: BTreeSet<OpId>,
    view: View,
    notices: Vec<String>,
    logs: Vec<(Level, String)>,
    asked: Vec<String>,
    most_in_flight: usize,
}

/// The cluster view as the effects make it.
#[derive(Default)]
struct View {
    state: Option<EngineState>,
    error: Option<String>,
    containers: BTreeSet<Arc<str>>,
    images: usize,
    removed: bool,
    admitted: Option<String>,
}

struct Model {
    id: String,
    version: &'static str,
    api: (ApiVersion, Option<ApiVersion>),
    up: bool,
    /// Answers pings but nothing else.
    lists: Result<(), Failure>,
    silent: fn(&Call) -> bool,
    admission: Result<(), String>,
    /// Container and how often it changed.
    containers: BTreeMap<Arc<str>, u64>,
    events: Vec<Event>,
    clock: u64,
    since: Vec<Option<Wall>>,
}

fn never(_: &Call) -> bool {
    false
}

impl World {
    fn new() -> Self {
        Self {
            now: Mono(7),
            machine: EngineMachine::new(
                HostPort::new("engine-1", 2375).unwrap(),
                EngineOptions::default(),
                Random::new(1),
                Mono(7),
            ),
            engine: Model {
                id: "ABCD".to_owned(),
                version: "20.10.24",
                api: (ApiVersion::new(1, 41), Some(ApiVersion::new(1, 12))),
                up: true,
                lists: Ok(()),
                silent: never,
                admission: Ok(()),
                containers: BTreeMap::new(),
                events: Vec::new(),
                clock: 1_000,
                since: Vec::new(),
            },
            calls: VecDeque::new(),
            hung: Vec::new(),
            streams: BTreeSet::new(),
            view: View::default(),
            notices: Vec::new(),
            logs: Vec::new(),
            asked: Vec::new(),
            most_in_flight: 0,
        }
    }

    fn with(containers: usize) -> Self {
        let mut world = Self::new();
        for number in 0..containers {
            world.engine.add(&format!("c{number}"));
        }
        world.run(SECOND);
        assert_eq!(world.machine.state(), EngineState::Healthy);
        world.asked.clear();
        world
    }

    fn give(&mut self, input: Input) {
        let mut out = Effects::default();
        self.machine.handle(self.now, input, &mut out);
        self.carry_out(out);
    }

    /// Lets `time` pass.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            while let Some((op, call)) = self.calls.pop_front() {
                self.answer(op, call);
            }
            match self.machine.wake_at() {
                Some(wake) if wake.at <= end => {
                    self.now = self.now.max(wake.at);
                    let mut out = Effects::default();
                    self.machine.wake(self.now, &mut out);
                    assert!(self.machine.wake_at().is_none_or(|next| next.at > self.now));
                    self.carry_out(out);
                }
                Some(_) | None => break,
            }
        }
        self.now = end;
    }

    fn answer(&mut self, op: OpId, call: Call) {
        if (self.engine.silent)(&call) {
            self.hung.push((op, call));
            return;
        }
        self.asked.push(call.to_string());
        let result = self.engine.answer(&call);
        self.give(Input::Answered { op, result });
    }

    fn carry_out(&mut self, mut out: Effects<Effect>) {
        self.most_in_flight = self.most_in_flight.max(self.machine.in_flight());
        let effects: Vec<_> = out.drain().collect();
        for effect in effects {
            match effect {
                Effect::Call { op, call, .. } => self.calls.push_back((op, call)),
                Effect::Admit { op, specs } => {
                    assert_eq!(specs.id, self.engine.id);
                    let result = self
                        .engine
                        .admission
                        .clone()
                        .map(|()| self.view.admit(specs.id));
                    self.give(Input::Admitted { op, result });
                }
                Effect::OpenStream { op, since, .. } => self.open(op, since),
                Effect::CloseStream { op } => {
                    self.streams.remove(&op);
                }
                Effect::Refreshed { ticket } => self.notices.push(format!("refreshed {ticket}")),
                Effect::View(change) => self.view.apply(change),
                Effect::Publish(Notice::Swarm(action)) => self.notices.push(action.to_owned()),
                Effect::Publish(Notice::Engine(event)) => {
                    self.notices.push(format!("{} {}", event.action, event.id));
                }
                Effect::Log { level, message, .. } => self.logs.push((level, message)),
            }
        }
    }

    fn open(&mut self, op: OpId, since: Option<Wall>) {
        if !self.engine.up {
            let error = refused();
            return self.give(Input::StreamEnded { op, error });
        }
        self.engine.since.push(since);
        self.streams.insert(op);
        self.give(Input::StreamOpened { op });
        let replay: Vec<_> = self
            .engine
            .events
            .iter()
            .filter(|event| since.is_some_and(|since| event.time >= since))
            .cloned()
            .collect();
        for event in replay {
            self.give(Input::StreamEvent {
                op,
                event: Box::new(event),
            });
        }
    }

    /// Something happens on the engine, and is told on every stream.
    fn happen(&mut self, kind: &str, action: &str, id: &str) {
        let event = self.engine.happen(kind, action, id);
        for op in self.streams.clone() {
            let event = event.clone();
            self.give(Input::StreamEvent {
                op,
                event: Box::new(event),
            });
        }
    }

    fn stop_engine(&mut self) {
        self.engine.up = false;
        for op in std::mem::take(&mut self.streams) {
            let error = refused();
            self.give(Input::StreamEnded { op, error });
        }
    }

    fn asked_for(&self, text: &str) -> usize {
        self.asked.iter().filter(|call| call.contains(text)).count()
    }

    fn logged(&self, text: &str) -> usize {
        self.logs
            .iter()
            .filter(|(_, line)| line.contains(text))
            .count()
    }
}

impl Model {
    fn add(&mut self, id: &str) {
        self.containers.insert(id.into(), 1);
    }

    fn happen(&mut self, kind: &str, action: &str, id: &str) -> Event {
        self.clock += 1;
        let text = format!(
            r#"{{"Type":"{kind}","Action":"{action}","Actor":{{"ID":"{id}","Attributes":{{}}}},"timeNano":{}}}"#,
            self.clock
        );
        let event = Event::parse(&text).unwrap();
        self.events.push(event.clone());
        event
    }

    fn answer(&self, call: &Call) -> Result<Reply, CallError> {
        if !self.up {
            return Err(refused());
        }
        if let (Err(kind), false) = (self.lists, matches!(call, Call::Ping | Call::Specs)) {
            let reason = "the daemon is not well".to_owned();
            return Err(CallError { kind, reason });
        }
        Ok(match call {
            Call::Ping => Reply::Pong,
            Call::Specs => Reply::Specs(Box::new(SpecsReply {
                specs: self.specs(),
                warnings: Vec::new(),
                system_time: Some(Wall(self.clock)),
            })),
            Call::Containers => Reply::Containers(
                self.containers
                    .iter()
                    .map(|(id, mark)| Listed {
                        id: id.clone(),
                        mark: *mark,
                        entry: entry(id).into(),
                    })
                    .collect(),
            ),
            Call::Container { id, .. } => Reply::Container(
                self.containers
                    .get(id)
                    .map(|mark| (Box::new(container(id)), *mark)),
            ),
            Call::Images => Reply::Images(Vec::new()),
            Call::Networks => Reply::Networks(Vec::new()),
            Call::Network(_) => Reply::Network(None),
            Call::Volumes => Reply::Volumes(Vec::new()),
            Call::Volume(_) => Reply::Volume(None),
        })
    }

    fn specs(&self) -> Specs {
        let info = format!(
            r#"{{"ID":"{}","Name":"node-1","NCPU":2,"MemTotal":4096}}"#,
            self.id
        );
        let version = format!(
            r#"{{"Version":"{}","ApiVersion":"{}","MinAPIVersion":"{}"}}"#,
            self.version,
            self.api.0,
            self.api.1.map_or_else(String::new, |min| min.to_string())
        );
        let address = HostPort::new("engine-1", 2375).unwrap();
        Specs::parse(&address, info.as_bytes(), version.as_bytes(), Wall(0))
            .unwrap()
            .0
    }
}

impl View {
    fn admit(&mut self, id: String) -> Admission {
        match self.admitted.replace(id.clone()) {
            None => Admission::New,
            Some(old) if old == id => Admission::Same,
            Some(old) => {
                self.containers.clear();
                Admission::Replaced { old }
            }
        }
    }

    fn apply(&mut self, change: ViewChange) {
        match change {
            ViewChange::Health { state, error, .. } => {
                self.state = Some(state);
                self.error = error;
            }
            ViewChange::Container(container) => {
                self.containers.insert(container.id.clone());
            }
            ViewChange::DropContainers(ids) => {
                for id in ids {
                    self.containers.remove(&id);
                }
            }
            ViewChange::Images(_) => self.images += 1,
            ViewChange::Remove => self.removed = true,
            ViewChange::Networks(_)
            | ViewChange::Network(_)
            | ViewChange::DropNetwork(_)
            | ViewChange::Volumes(_)
            | ViewChange::Volume(_)
            | ViewChange::DropVolume(_) => {}
        }
    }
}

fn refused() -> CallError {
    CallError {
        kind: Failure::Connect,
        reason: "connection refused".to_owned(),
    }
}

fn entry(id: &str) -> Box<RawValue> {
    RawValue::from_string(format!(
        r#"{{"Id":"{id}","Names":["/{id}"],"State":"running"}}"#
    ))
    .unwrap()
}

fn container(id: &str) -> Container {
    let inspect = format!(r#"{{"Id":"{id}","Name":"/{id}","State":{{"Running":true}}}}"#);
    let context = EntryContext {
        engine: "node-1".to_owned(),
        ip: None,
        cpus: 2,
        clock_offset: 0,
    };
    Container::parse(entry(id).get().as_bytes(), inspect.as_bytes(), &context).unwrap()
}

#[test]
fn validates_listens_lists_and_registers_in_this_order() {
    let mut world = World::new();
    world.engine.add("a");
    world.run(Duration::ZERO);
    assert_eq!(
        world.asked[..3],
        ["ping", "read version and info", "list containers"]
    );
    assert_eq!(world.engine.since, [Some(Wall(1_000))]);
    assert_eq!(world.asked_for("inspect container a"), 1);
    assert_eq!(world.view.state, Some(EngineState::Healthy));
    assert_eq!(world.notices, ["engine_connect"]);
    assert_eq!(
        world.logs,
        [(
            Level::Info,
            "Registered Engine node-1 at engine-1:2375".to_owned()
        )]
    );
}

#[test]
fn what_happened_before_an_engine_was_reached_is_told() {
    let mut world = World::new();
    world.stop_engine();
    world.run(4 * SECOND);
    world.engine.add("early");
    world.engine.happen("container", "create", "early");
    world.engine.up = true;
    world.run(MAX_PAUSE);
    assert_eq!(world.notices, ["engine_connect", "create early"]);
}

#[test]
fn refreshes_inspect_only_what_is_new_or_changed() {
    let mut world = World::with(20);
    world.engine.add("new");
    *world.engine.containers.get_mut("c3").unwrap() += 1;
    world.engine.containers.remove("c4");
    world.run(60 * SECOND);
    assert_eq!(world.asked_for("inspect container"), 2);
    assert_eq!(world.view.containers.len(), 20);
    assert!(!world.view.containers.contains("c4"));
    let rounds = world.asked_for("list containers");
    assert!((1..=2).contains(&rounds), "{rounds}");
}

#[test]
fn everything_is_inspected_anew_now_and_then_and_the_stream_renewed() {
    let mut world = World::with(20);
    world.run(370 * SECOND);
    assert_eq!(world.asked_for("inspect container"), 0);
    assert_eq!(world.engine.since.len(), 2);
    assert_eq!(world.streams.len(), 1);
    // At most the hour and the time between two readings of the specs.
    world.run((3_600 + 300) * SECOND);
    assert_eq!(world.asked_for("inspect container"), 20);
}

#[test]
fn an_engine_that_stops_is_unhealthy_in_seconds_and_nothing_is_removed() {
    let mut world = World::with(3);
    world.stop_engine();
    world.run(5 * SECOND);
    assert_eq!(world.view.state, Some(EngineState::Unhealthy));
    assert_eq!(world.view.error.as_deref(), Some("connection refused"));
    assert_eq!(world.view.containers.len(), 3);
    assert_eq!(world.notices, ["engine_connect", "engine_disconnect"]);
    assert_eq!(
        world.logged("Flagging engine as unhealthy. Connect failed 3 times"),
        1
    );
}

#[test]
fn an_engine_that_returns_is_healthy_within_a_minute_and_its_gap_is_read() {
    let mut world = World::with(3);
    world.happen("container", "exec_die", "c0");
    let last = world.engine.clock;
    world.stop_engine();
    world.run(3_600 * SECOND);
    assert!(world.asked_for("ping") < 3_600 / 30 + 20);
    world.engine.up = true;
    world.engine.containers.remove("c1");
    world.engine.happen("container", "destroy", "c1");
    world.run(MAX_PAUSE + SECOND);
    assert_eq!(world.view.state, Some(EngineState::Healthy));
    assert_eq!(world.view.error, None);
    assert_eq!(world.view.containers.len(), 2);
    assert_eq!(world.engine.since.last(), Some(&Some(Wall(last))));
    assert_eq!(world.logged("Engine came back to life"), 1);
    // The event that was heard before is not told again.
    assert_eq!(
        world.notices,
        [
            "engine_connect",
            "exec_die c0",
            "engine_disconnect",
            "destroy c1",
            "engine_reconnect"
        ]
    );
}

#[test]
fn a_closed_stream_is_resumed_without_gap_or_repetition() {
    let mut world = World::with(3);
    world.run(2 * SECOND);
    world.happen("container", "exec_die", "c0");
    let closed = world.streams.pop_first().unwrap();
    world.give(Input::StreamEnded {
        op: closed,
        error: refused(),
    });
    world.engine.happen("container", "exec_die", "c1");
    world.run(2 * SECOND);
    assert_eq!(world.streams.len(), 1);
    assert_eq!(world.notices[1..], ["exec_die c0", "exec_die c1"]);
    assert_eq!(world.view.state, Some(EngineState::Healthy));
    assert_eq!(world.asked_for("inspect container"), 3);
}

#[test]
fn a_stream_that_closes_at_once_does_not_cause_a_hot_loop() {
    let mut world = World::with(3);
    for _ in 0..10_000 {
        while let Some(op) = world.streams.pop_first() {
            world.give(Input::StreamEnded {
                op,
                error: refused(),
            });
        }
        world.run(SECOND / 1_000);
    }
    assert!(world.asked_for("list containers") <= 11);
}

#[test]
fn a_hanging_engine_becomes_unhealthy() {
    let mut world = World::with(3);
    world.engine.silent = |_| true;
    world.run(60 * SECOND + 40 * SECOND);
    assert_eq!(world.view.state, Some(EngineState::Unhealthy));
    world.engine.silent = never;
    world.run(MAX_PAUSE + 10 * SECOND);
    assert_eq!(world.view.state, Some(EngineState::Healthy));
}

#[test]
fn an_engine_that_answers_pings_but_lists_nothing_becomes_unhealthy_and_does_not_flap() {
    let mut world = World::with(3);
    world.engine.lists = Err(Failure::Status(500));
    world.run(600 * SECOND);
    assert_eq!(world.view.state, Some(EngineState::Unhealthy));
    assert_eq!(world.view.error.as_deref(), Some("the daemon is not well"));
    assert_eq!(world.logged("Flagging"), 1);
}

#[test]
fn one_slow_inspection_holds_up_nothing_but_its_own_event_and_that_for_a_second() {
    let mut world = World::with(3);
    world.engine.silent = |call| matches!(call, Call::Container { id, .. } if id.as_ref() == "c0");
    world.happen("container", "die", "c0");
    world.happen("container", "start", "c1");
    world.run(SECOND / 2);
    assert_eq!(world.asked_for("inspect container c1"), 1);
    assert_eq!(world.notices.len(), 1);
    world.run(SECOND);
    assert_eq!(world.notices[1..], ["die c0", "start c1"]);
    assert_eq!(world.view.state, Some(EngineState::Healthy));
}

#[test]
fn a_burst_of_events_costs_two_inspections() {
    let mut world = World::with(1);
    for _ in 0..100 {
        world.happen("container", "rename", "c0");
    }
    world.run(SECOND);
    assert_eq!(world.asked_for("inspect container c0"), 2);
    assert_eq!(world.notices.len(), 101);
}

#[test]
fn health_checks_cost_no_calls() {
    let mut world = World::with(1);
    for action in [
        "exec_create: /bin/sh -c true",
        "exec_start: /bin/sh",
        "exec_die",
    ] {
        world.happen("container", action, "c0");
    }
    world.run(SECOND);
    assert!(world.asked.is_empty(), "{:?}", world.asked);
    assert_eq!(world.notices.len(), 4);
}

#[test]
fn image_events_list_images_at_most_once_a_second() {
    let mut world = World::with(0);
    world.run(2 * SECOND);
    world.asked.clear();
    for _ in 0..50 {
        world.happen("image", "tag", "alpine");
        world.run(SECOND / 50);
    }
    assert!((1..=2).contains(&world.asked_for("list images")));
}

#[test]
fn calls_under_way_are_bounded_and_one_place_is_kept_for_the_round() {
    let mut world = World::with(100);
    world.engine.silent = |call| matches!(call, Call::Container { .. });
    for number in 0..100 {
        world.happen("container", "die", &format!("c{number}"));
    }
    world.run(70 * SECOND);
    assert!(world.most_in_flight <= MAX_IN_FLIGHT);
    assert!(world.asked_for("ping") >= 1);
    assert_eq!(world.view.state, Some(EngineState::Healthy));
}

#[test]
fn a_container_made_while_a_list_is_under_way_is_not_dropped() {
    let mut world = World::with(1);
    world.engine.silent = |call| matches!(call, Call::Containers);
    world.give(Input::RefreshAll);
    world.run(2 * SECOND);
    let (op, _) = world.hung.pop().unwrap();
    let old = world.engine.answer(&Call::Containers);
    world.engine.add("young");
    world.happen("container", "create", "young");
    world.engine.containers.remove("c0");
    world.happen("container", "destroy", "c0");
    world.run(SECOND);
    world.give(Input::Answered { op, result: old });
    world.run(SECOND);
    let left: Vec<_> = world.view.containers.iter().map(|id| &**id).collect();
    assert_eq!(left, ["young"]);
}

#[test]
fn a_container_that_comes_and_goes_before_the_first_listing_does_not_keep_the_engine_pending() {
    let mut world = World::new();
    world.engine.silent = |call| matches!(call, Call::Containers | Call::Container { .. });
    world.run(SECOND / 10);
    // Every place for a call is taken.
    for number in 0..MAX_IN_FLIGHT {
        let id = format!("c{number}");
        world.engine.add(&id);
        world.happen("container", "create", &id);
    }
    world.happen("container", "create", "brief");
    world.happen("container", "destroy", "brief");
    world.run(SECOND / 10);
    world.engine.silent = never;
    for (op, call) in std::mem::take(&mut world.hung) {
        let result = world.engine.answer(&call);
        world.give(Input::Answered { op, result });
    }
    world.run(SECOND);
    assert_eq!(world.view.state, Some(EngineState::Healthy));
    assert_eq!(world.view.containers.len(), MAX_IN_FLIGHT);
}

#[test]
fn another_daemon_at_the_address_is_taken_for_a_new_engine() {
    let mut world = World::with(2);
    world.stop_engine();
    world.run(10 * SECOND);
    world.engine.up = true;
    world.engine.id = "WXYZ".to_owned();
    world.engine.containers.clear();
    world.run(MAX_PAUSE);
    assert_eq!(world.machine.state(), EngineState::Healthy);
    assert!(world.view.containers.is_empty());
    assert_eq!(world.logged("shows up with another ID:WXYZ"), 1);
    assert_eq!(world.logged("Registered Engine"), 2);
    assert_eq!(
        world.notices,
        [
            "engine_connect",
            "engine_disconnect",
            "engine_disconnect",
            "engine_connect"
        ]
    );
}

#[test]
fn a_daemon_that_took_over_within_a_moment_is_recognised() {
    let mut world = World::with(2);
    world.run(2 * SECOND);
    world.engine.id = "WXYZ".to_owned();
    world.engine.containers.clear();
    let closed = world.streams.pop_first().unwrap();
    world.give(Input::StreamEnded {
        op: closed,
        error: refused(),
    });
    world.run(5 * SECOND);
    assert_eq!(world.view.state, Some(EngineState::Healthy));
    assert!(world.view.containers.is_empty());
    assert_eq!(world.logged("shows up with another ID:WXYZ"), 1);
}

#[test]
fn a_swarm_manager_is_no_engine() {
    let mut world = World::new();
    world.engine.version = "swarm/1.2.9";
    world.run(60 * SECOND);
    assert_eq!(world.view.state, Some(EngineState::Pending));
    assert_eq!(
        world.view.error.as_deref(),
        Some(
            "cannot get resources for this engine, make sure engine-1:2375 is a Docker Engine, not a Swarm manager"
        )
    );
    assert_eq!(world.asked_for("list containers"), 0);
    let warned = world.logs.iter().filter(|(level, _)| *level == Level::Warn);
    assert_eq!(warned.count(), 1);
}

#[test]
fn a_daemon_known_under_another_address_stays_pending_with_the_reason() {
    let mut world = World::new();
    world.engine.admission = Err("ID duplicated. ABCD shared".to_owned());
    world.run(30 * SECOND);
    assert_eq!(world.view.state, Some(EngineState::Pending));
    assert_eq!(
        world.view.error.as_deref(),
        Some("ID duplicated. ABCD shared")
    );
    world.engine.admission = Ok(());
    world.run(MAX_PAUSE + SECOND);
    assert_eq!(world.view.state, Some(EngineState::Healthy));
}

#[test]
fn refused_requests_of_clients_count_once_a_second() {
    let mut world = World::with(1);
    for _ in 0..10 {
        world.give(Input::Proxied(Err(refused())));
    }
    assert_eq!(world.machine.failures(), 1);
    assert_eq!(world.view.state, Some(EngineState::Healthy));
    world.run(2 * QUICK);
    assert_eq!(world.machine.failures(), 0);
    assert!(world.asked_for("ping") >= 1);
}

#[test]
fn a_request_that_reaches_an_unhealthy_engine_brings_it_back_at_once() {
    let mut world = World::with(1);
    world.stop_engine();
    world.run(600 * SECOND);
    world.engine.up = true;
    world.give(Input::Proxied(Ok(())));
    world.run(SECOND / 10);
    assert_eq!(world.view.state, Some(EngineState::Healthy));
}

#[test]
fn nothing_happens_after_removal() {
    for up in [true, false] {
        let mut world = World::new();
        world.engine.up = up;
        world.run(SECOND);
        world.give(Input::Remove);
        assert!(world.view.removed);
        assert!(world.streams.is_empty());
        assert_eq!(world.machine.wake_at(), None);
        let name = if up { "node-1" } else { "engine-1:2375" };
        assert_eq!(world.logged(&format!("Removed Engine {name}")), 1);
        world.asked.clear();
        world.give(Input::RefreshAll);
        world.run(600 * SECOND);
        assert!(world.asked.is_empty());
        assert_eq!(world.machine.state(), EngineState::Disconnected);
    }
}

#[test]
fn the_newest_version_both_speak_is_spoken() {
    let version = |major, minor| ApiVersion::new(major, minor);
    for (max, min, chosen) in [
        (version(1, 41), Some(version(1, 12)), Some(version(1, 41))),
        (version(1, 24), None, Some(version(1, 24))),
        (version(1, 47), Some(version(1, 24)), Some(version(1, 41))),
        (version(1, 52), Some(version(1, 44)), Some(version(1, 44))),
        (version(1, 23), None, None),
        (version(1, 30), Some(version(1, 99)), Some(version(1, 30))),
    ] {
        assert_eq!(negotiate(max, min).ok(), chosen, "{max} {min:?}");
    }
}
