//! Tier A: the machines of `core` in a plain event loop.
//!
//! Each manager is its election and its proxy, on a clock of its own; a model store, an engine that never fails, guards
//! and clients stand around them. There is no I/O and no task: everything is an event at an instant of true
//! time, and the checks look after each of them.
//!
//! Managers, clients and requests are numbers here: places in lists that only grow, so that indexing cannot fail.

use std::collections::VecDeque;

use swarm_core::api::Class;
use swarm_core::election::{self, ElectionConfig, Fence};
use swarm_core::machine::Effects;
use swarm_core::proxy;
use swarm_core::rng::Random;

use crate::history::{History, Nature};
use crate::judge::Judge;
use crate::plan::Plan;
use crate::property::{Property, Violation};
use crate::run::{Coverage, Run};
use crate::trace::{HostId, Keep, Kind, NOWHERE, Trace};

mod check;
mod client;
mod clock;
mod depart;
mod edges;
mod elect;
mod event;
mod faults;
mod guard;
mod life;
mod manager;
mod net;
mod phase;
mod promise;
mod queue;
mod record;
mod serve;
mod server;
mod store;
mod strike;
mod wire;

use clock::Clock;
use edges::Edges;
use event::{Event, Process};
use faults::Active;
use manager::Manager;
use net::Net;
use phase::{Phase, Schedule};
use queue::Queue;
use server::Store;

pub(crate) const MS: u64 = 1_000_000;

/// Runs `plan` in the lab.
#[must_use]
pub fn run(plan: &Plan, keep: Keep) -> Run {
    let mut lab = Lab::new(plan, keep);
    lab.go();
    lab.finish()
}

/// A request of a client.
struct Request {
    client: usize,
    class: Class,
    nature: Nature,
    /// Its body can be sent once only.
    unsolicited: bool,
    body_used: bool,
    applied: bool,
}

struct Client {
    host: HostId,
    manager: usize,
    writes: bool,
    uploads: bool,
    /// The request it waits for, and since when.
    waits_for: Option<(usize, u64)>,
}

/// What a machine is given after the event that led to it.
enum Todo {
    Election(usize, election::Input),
    Proxy(usize, proxy::Input),
}

struct Lab<'a> {
    plan: &'a Plan,
    now: u64,
    cause: u64,
    queue: Queue<Event>,
    todo: VecDeque<(u64, Todo)>,
    trace: Trace,
    judge: Judge,
    history: History,
    net: Net<Event>,
    store: Store,
    managers: Vec<Manager>,
    clients: Vec<Client>,
    requests: Vec<Request>,
    engine: HostId,
    active: Vec<Active>,
    root: Random,
    random: Random,
    /// The runtime gives up waiting for the store in time; without it answers may come as late as they like.
    punctual: bool,
    phase: Phase,
    schedule: Schedule,
    edges: Edges,
    coverage: Coverage,
    acting: Vec<(HostId, u64)>,
    looked: Vec<(HostId, u64)>,
    highest_acquired: u64,
    /// From then on no fault has been active.
    quiet_since: u64,
    window: u64,
    /// How long a client may have to wait.
    limit: u64,
    pending: Vec<String>,
    over: bool,
    /// Only the store is ever away, and the cluster is failsafe: somebody always acts.
    outlives_store: bool,
    /// Since when that has been so in the time of the faults.
    failsafe_since: Option<u64>,
    elections: Vec<Effects<election::Effect>>,
    proxies: Vec<Effects<proxy::Effect>>,
}

fn host_id(index: usize) -> HostId {
    HostId::try_from(index).unwrap_or(NOWHERE)
}

impl<'a> Lab<'a> {
    fn new(plan: &'a Plan, keep: Keep) -> Self {
        let root = Random::new(plan.seed).fork("lab");
        let topology = plan.topology;
        let (managers, stores) = (usize::from(topology.managers), usize::from(topology.stores));
        let work = plan.workload;
        let clients =
            usize::from(work.readers) + usize::from(work.writers) + usize::from(work.uploaders);
        let numbered =
            |letter: char, count: usize| (1..=count).map(move |n| format!("{letter}{n}"));
        let mut hosts: Vec<String> = numbered('m', managers).collect();
        hosts.extend(numbered('s', stores));
        hosts.push("e1".to_owned());
        hosts.extend(numbered('c', clients));
        let engine = host_id(managers + stores);
        let mut lab = Self {
            plan,
            now: 0,
            cause: 0,
            queue: Queue::new(),
            todo: VecDeque::new(),
            judge: Judge::new(plan),
            history: History::default(),
            net: Net::new(hosts.len(), &plan.knobs, root.fork("net")),
            trace: Trace::new(keep, hosts),
            store: Store::new(managers, stores, root.fork("store")),
            managers: Vec::new(),
            clients: Vec::new(),
            requests: Vec::new(),
            engine,
            active: Vec::new(),
            random: root.fork("run"),
            punctual: root.fork("punctual").chance(500),
            phase: Phase::WarmUp,
            schedule: Schedule::default(),
            edges: Edges::default(),
            coverage: Coverage::default(),
            acting: Vec::new(),
            looked: Vec::new(),
            highest_acquired: 0,
            quiet_since: 0,
            window: 0,
            limit: client::limit(plan),
            pending: Vec::new(),
            over: false,
            outlives_store: plan.outlives_store(),
            failsafe_since: None,
            elections: Vec::new(),
            proxies: Vec::new(),
            root,
        };
        lab.settle_in(clients);
        lab
    }

    /// Puts everybody in their places.
    fn settle_in(&mut self, clients: usize) {
        let managers = usize::from(self.plan.topology.managers);
        let error = u64::from(self.plan.knobs.clock_error_ppm);
        for index in 0..managers {
            let mut random = self.root.fork(&format!("clock/m{index}"));
            let drawn = random.between(0, 2 * error);
            let ppm = i32::try_from(drawn).unwrap_or(0) - i32::try_from(error).unwrap_or(0);
            let clock = Clock::new(random.below(1_000_000_000 * MS), ppm);
            let configs = self.configs(index, 0);
            let places = (host_id(index), managers, self.store.servers.len());
            self.managers
                .push(Manager::new(index, places, clock, configs));
            let at = self.random.below(300 * MS);
            self.queue.push(at, 0, Event::Start(index));
        }
        let first = usize::from(self.engine) + 1;
        let readers = usize::from(self.plan.workload.readers);
        let writers = usize::from(self.plan.workload.writers);
        for index in 0..clients {
            self.clients.push(Client {
                host: host_id(first + index),
                manager: index % managers,
                writes: index >= readers,
                uploads: index >= readers + writers,
                waits_for: None,
            });
            let at = 300 * MS + self.random.below(self.pace().max(1));
            self.queue.push(at, 0, Event::Ask(index));
        }
        self.queue.push(0, 0, Event::Tick);
    }

    fn configs(&self, index: usize, life: u32) -> (ElectionConfig, proxy::Config) {
        let knobs = &self.plan.knobs;
        let advertise = format!("m{}:4000", index + 1)
            .parse()
            .unwrap_or_else(|_| swarm_core::address::HostPort::localhost());
        let election = ElectionConfig {
            advertise,
            instance: format!("m{}life{life}", index + 1),
            lease: std::time::Duration::from_millis(knobs.lease_ms),
            fence: if knobs.verify {
                Fence::Verify
            } else {
                Fence::Lease
            },
            failsafe: knobs.failsafe,
        };
        let mut proxy = proxy::Config::new(election.advertise.clone());
        proxy.primary_wait = std::time::Duration::from_millis(knobs.primary_wait_ms);
        (election, proxy)
    }

    fn at(&mut self, time: u64, event: Event) {
        self.queue.push(time.max(self.now), self.cause, event);
    }

    fn after(&mut self, delay: u64, event: Event) {
        self.queue.push(self.now + delay, self.cause, event);
    }

    fn give_election(&mut self, manager: usize, input: election::Input) {
        self.todo
            .push_back((self.cause, Todo::Election(manager, input)));
    }

    fn give_proxy(&mut self, manager: usize, input: proxy::Input) {
        self.todo
            .push_back((self.cause, Todo::Proxy(manager, input)));
    }

    /// Notes what happened; what follows has it as its cause.
    fn note(&mut self, host: HostId, kind: Kind, numbers: (u64, u64)) {
        self.cause = self
            .trace
            .add((self.now, host, kind), numbers, self.cause, String::new);
    }

    fn fail(&mut self, property: Property, aspect: &str, what: String) {
        if self.judge.violation().is_none() {
            let mut violation = Violation::new(property, aspect, self.now, what);
            violation.event = self.trace.len();
            self.judge.fail(violation);
        }
    }

    fn violation(&self) -> Option<&Violation> {
        self.judge.violation().or_else(|| self.history.violation())
    }

    fn go(&mut self) {
        while let Some((time, cause, event)) = self.queue.pop() {
            self.now = time;
            self.cause = cause;
            self.happen(event);
            while let Some((cause, todo)) = self.todo.pop_front() {
                self.cause = cause;
                match todo {
                    Todo::Election(manager, input) => self.elect(manager, input),
                    Todo::Proxy(manager, input) => self.lead(manager, input),
                }
            }
            self.look();
            if self.over || self.violation().is_some() {
                break;
            }
        }
    }

    /// Whose tasks an event needs: nothing happens in a process that stands still.
    fn stands_still(&mut self, process: Process) -> Option<u64> {
        let manager = self.managers.get(process.manager)?;
        if manager.pauses > 0 {
            return Some(u64::MAX);
        }
        let turn = manager.turn(self.now);
        (turn > self.now).then_some(turn)
    }

    fn happen(&mut self, event: Event) {
        if let Some(process) = event.process() {
            let manager = &self.managers[process.manager];
            if !manager.up || manager.life != process.life {
                return;
            }
        }
        if let Some(manager) = event.runs_on()
            && let Some(until) = self.stands_still(Process { manager, life: 0 })
            && self.managers[manager].up
        {
            if until == u64::MAX {
                self.managers[manager].stash.push((self.cause, event));
            } else {
                self.queue.push(until, self.cause, event);
            }
            return;
        }
        self.carry(event);
    }

    fn finish(mut self) -> Run {
        let mut violation = self.violation().cloned();
        if let Some(found) = &mut violation {
            let what = found.what.clone();
            let numbers = (found.property as u64, 0);
            found.event = self.trace.add(
                (self.now, NOWHERE, Kind::Violation),
                numbers,
                self.cause,
                || what,
            );
        }
        self.edges.name(&mut self.coverage);
        Run {
            violation,
            hash: self.trace.hash(),
            simulated: self.now,
            terms: self.judge.terms().to_vec(),
            failovers: self.judge.failovers().to_vec(),
            answers: self.history.answers(),
            dispatched: self.judge.dispatched(),
            coverage: self.coverage,
            pending: self.pending,
            trace: self.trace,
        }
    }
}
