//! What clients asked and were told, held against what engines did.
//!
//! Clients put facts in as they happen; the world lets the ledger look at the engines after every step. Containers
//! carry the number of the request that made them as a label, so that whatever an engine did can be told from what it
//! was asked to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use swarm_core::time::nanos;
use swarm_models::engine::{Change, Engine};

use crate::history::{History, Nature, Told};
use crate::plan::{Fault, How, Op, Plan};
use crate::property::{Property, Violation};
use crate::run::Answers;
use crate::trace::{HostId, Kind};
use crate::world::witness::SharedWitness;

mod deeds;
mod moves;
mod streams;
#[cfg(test)]
mod tests;
mod trouble;
mod tunnels;

use deeds::Deed;
use moves::Moves;
use streams::Streams;
use trouble::Trouble;
use tunnels::Tunnels;

/// The label that carries the number of the request that made a container.
pub(crate) const KEY_LABEL: &str = "sim.request";
/// Between two looks at waiting requests.
const LOOK_PERIOD: u64 = 100_000_000;

/// A request, as its client sees it.
#[derive(Clone, Debug)]
pub(super) struct Question<'a> {
    /// Who asks.
    pub(super) client: HostId,
    /// Which manager.
    pub(super) manager: &'a str,
    /// In words, for people.
    pub(super) what: &'a str,
    /// How often it may be carried out.
    pub(super) nature: Nature,
    /// How long the answer may take.
    pub(super) limit: Duration,
}

#[derive(Clone, Debug)]
struct Open {
    client: HostId,
    manager: String,
    what: String,
    since: u64,
}

/// The requests of all clients of a run, their event streams and their tunnels.
pub(crate) struct Ledger {
    witness: SharedWitness,
    history: History,
    next: u64,
    open: BTreeMap<u64, Open>,
    deeds: BTreeMap<Deed, u64>,
    /// Answers since the last look, with their times: what engines did is looked at first.
    answers: Vec<(u64, u64, Told)>,
    /// How far each engine's changes were read.
    engines: Vec<u64>,
    /// What was removed, by the requests that made it.
    removed: BTreeSet<u64>,
    /// In which epoch each request's container or network was made.
    made_in: BTreeMap<u64, u64>,
    /// Containers and networks, by their full IDs, whose request had made another one in a later epoch before they
    /// arrived.
    late: BTreeSet<String>,
    served: BTreeMap<HostId, u64>,
    trouble: Trouble,
    moves: Moves,
    streams: Streams,
    tunnels: Tunnels,
    /// How often the start of a container that ends may be carried out for one request.
    start: Nature,
    /// When requests that wait were last looked at.
    looked: u64,
    violation: Option<Violation>,
}

impl Ledger {
    pub(crate) fn new(witness: SharedWitness, plan: &Plan) -> Self {
        Self {
            witness,
            history: History::default(),
            next: 1,
            open: BTreeMap::new(),
            deeds: BTreeMap::new(),
            answers: Vec::new(),
            engines: Vec::new(),
            removed: BTreeSet::new(),
            made_in: BTreeMap::new(),
            late: BTreeSet::new(),
            served: BTreeMap::new(),
            trouble: Trouble::default(),
            moves: Moves::new(plan),
            streams: Streams::default(),
            tunnels: Tunnels::default(),
            start: start_of(plan),
            looked: 0,
            violation: None,
        }
    }

    /// True time, in nanoseconds.
    pub(super) fn now(&self) -> u64 {
        self.witness.lock().now()
    }

    /// A client asks now. Returns the request's number.
    pub(super) fn asked(&mut self, question: &Question<'_>) -> u64 {
        let id = self.next;
        self.next += 1;
        let now = self.now();
        self.history
            .asked(now, id, question.nature, nanos(question.limit));
        let open = Open {
            client: question.client,
            manager: question.manager.to_owned(),
            what: question.what.to_owned(),
            since: now,
        };
        self.open.insert(id, open);
        let (client, nature) = (question.client, question.nature as u64);
        let text = || question.what.to_owned();
        let mut witness = self.witness.lock();
        witness.note(client, Kind::Asked, id, nature, text);
        id
    }

    /// Request `id` is one for this change to what request `object` made.
    pub(super) fn changes(&mut self, id: u64, object: u64, change: Change, detail: &str) {
        let detail = detail.to_owned();
        let deed = Deed {
            object,
            change,
            detail,
        };
        self.deeds.insert(deed, id);
    }

    /// The client is answered now, with `status` (0: the connection broke) and `body`.
    pub(super) fn answered(&mut self, id: u64, told: Told, status: u16, body: &[u8]) {
        let Some(open) = self.open.remove(&id) else {
            return;
        };
        if matches!(told, Told::Done | Told::Rejected) {
            self.serve(open.client);
        }
        self.answers.push((self.now(), id, told));
        // What was wrong is said in the body.
        let text = || match status {
            400.. => String::from_utf8_lossy(body).trim().to_owned(),
            _ => String::new(),
        };
        let mut witness = self.witness.lock();
        witness.note(open.client, Kind::Answered, id, status.into(), text);
    }

    /// The client waits no longer.
    pub(super) fn gave_up(&mut self, id: u64) {
        if let Some(open) = self.open.remove(&id) {
            let now = self.now();
            self.excuse_waits(now);
            self.history.check_waiting(now);
            self.history.abandoned(id);
            self.witness.note(open.client, Kind::Answered, id, 0);
        }
    }

    /// `client`'s process is gone: no answer is owed any more.
    pub(crate) fn client_gone(&mut self, client: HostId) {
        let own = self.open.iter().filter(|(_, open)| open.client == client);
        let own: Vec<u64> = own.map(|(id, _)| *id).collect();
        for id in own {
            self.history.abandoned(id);
            self.open.remove(&id);
        }
        let now = self.now();
        self.streams.client_gone(now, client);
        self.tunnels.client_gone(client);
    }

    /// A client got what it wanted.
    fn serve(&mut self, client: HostId) {
        *self.served.entry(client).or_default() += 1;
    }

    /// A client's subscription to events was confirmed. Its number.
    pub(super) fn stream_opened(&mut self, client: HostId) -> usize {
        let now = self.now();
        self.streams.opened(now, client)
    }

    /// A stream showed the event that `engine` names by `nanos`.
    pub(super) fn stream_showed(&mut self, stream: usize, engine: &str, nanos: u64) {
        let now = self.now();
        self.streams.showed(now, stream, engine, nanos);
    }

    /// A stream ended, though nobody had asked for an end.
    pub(super) fn stream_broke(&mut self, stream: usize, manager: &str) {
        let witness = self.witness.lock();
        let now = witness.now();
        let quiet = Streams::quiet(now, manager, witness.judge.terms(), &self.trouble);
        drop(witness);
        self.streams.broke(now, stream, quiet);
    }

    /// A client was answered with 101. The tunnel's number.
    pub(super) fn tunnel_opened(&mut self, client: HostId) -> u64 {
        let now = self.now();
        self.tunnels.opened(now, client)
    }

    /// What was written into a tunnel at `written` came back.
    pub(super) fn tunnel_echoed(&mut self, client: HostId, tunnel: u64, written: u64) {
        let witness = self.witness.lock();
        let (now, terms) = (witness.now(), witness.judge.terms());
        self.tunnels
            .echoed(now, tunnel, written, terms, &self.trouble);
        drop(witness);
        self.serve(client);
    }

    /// Something else came out of a tunnel than went in.
    pub(super) fn tunnel_garbled(&mut self, tunnel: u64, what: &str) {
        let now = self.now();
        self.tunnels.garbled(now, tunnel, what);
    }

    /// A tunnel ended; `whole` says whether the client wanted that, and got everything before.
    pub(super) fn tunnel_ended(&mut self, tunnel: u64, whole: bool) {
        let now = self.now();
        self.tunnels.ended(now, tunnel, whole);
    }

    /// A promise was broken in front of a client.
    pub(super) fn fail(&mut self, property: Property, aspect: &str, what: String) {
        let now = self.now();
        let violation = Violation::new(property, aspect, now, what);
        self.violation.get_or_insert(violation);
    }

    /// A fault is there and concerns `hosts`, by name. Called in every step it lasts, and once for one that lasts an
    /// instant.
    pub(crate) fn fault(&mut self, now: u64, op: &Op, hosts: &[&str]) {
        self.trouble.fault(now, op, hosts);
        self.moves.fault(now, op, hosts);
    }

    /// How often the start of a container that ends by itself may be carried out.
    pub(super) fn start(&self) -> Nature {
        self.start
    }

    /// Containers that managers move on their own account.
    pub(super) fn moves(&mut self) -> &mut Moves {
        &mut self.moves
    }

    /// After each step: what the engines carried out, whether the answers are true, and who waits too long.
    pub(crate) fn look(&mut self, now: u64, engines: &[Arc<Engine>]) {
        self.streams.look(now, engines);
        for (index, engine) in engines.iter().enumerate() {
            if self.engines.len() == index {
                self.engines.push(0);
            }
            let Some(read) = self.engines.get_mut(index) else {
                continue;
            };
            for mutation in engine.mutations(read) {
                self.carried_out(now, &engine.name(), &mutation);
            }
        }
        for (at, id, told) in std::mem::take(&mut self.answers) {
            self.history.answered(at, id, told);
        }
        if now.saturating_sub(self.looked) >= LOOK_PERIOD {
            self.looked = now;
            self.excuse_waits(now);
            self.history.check_waiting(now);
            let witness = self.witness.lock();
            self.tunnels.look(now, witness.judge.terms(), &self.trouble);
            drop(witness);
            for client in self.streams.open() {
                *self.served.entry(client).or_default() += 1;
            }
        }
        self.collect_violations();
    }

    /// What is not the doing of managers is not held against them.
    fn excuse_waits(&mut self, now: u64) {
        let witness = self.witness.lock();
        for (id, open) in &self.open {
            let client = witness.trace.host(open.client);
            if self.trouble.excuses(now, client, &open.manager) {
                self.history.excuse(now, *id);
            }
        }
    }

    /// How often `client` was served: answered, or given something of a stream.
    pub(crate) fn served(&self, client: HostId) -> u64 {
        self.served.get(&client).copied().unwrap_or(0)
    }

    /// The last look, in calm weather: what was acknowledged is there, and streams showed everything.
    pub(crate) fn finish(&mut self, now: u64, engines: &[Arc<Engine>]) {
        self.look(now, engines);
        let containers = engines.iter().flat_map(|engine| engine.containers());
        let keys = containers.filter_map(|one| one.labels.get(KEY_LABEL)?.parse().ok());
        let there: BTreeSet<u64> = keys.collect();
        let mut creates = self.deeds.iter().filter(|(deed, id)| {
            deed.change == Change::Create && self.history.told(**id) == Some(Told::Done)
        });
        let lost = creates.find(|(_, id)| !there.contains(id) && !self.removed.contains(id));
        if let Some((_, id)) = lost {
            let what = format!("the container of request {id} was acknowledged and is gone");
            self.fail(Property::ExactlyOnce, "lost", what);
        }
        if let Err((aspect, what)) = self.moves.finish(engines) {
            self.fail(Property::ExactlyOnce, aspect, what);
        }
        if let Some(late) = self.late.first() {
            let what = format!("{late} is there beside the one its request has made later");
            self.fail(Property::ExactlyOnce, "double", what);
        }
        self.streams.finish(now);
        self.collect_violations();
    }

    fn collect_violations(&mut self) {
        let others = [
            self.history.violation(),
            self.streams.violation(),
            self.tunnels.violation(),
        ];
        let first = others.into_iter().flatten().min_by_key(|one| one.at);
        if self.violation.is_none() {
            self.violation = first.cloned();
        }
    }

    /// The first broken promise.
    pub(crate) fn take_violation(&mut self) -> Option<Violation> {
        self.violation.take()
    }

    /// The numbers.
    pub(crate) fn answers(&self) -> Answers {
        self.history.answers()
    }

    /// What clients wait for, in words.
    pub(crate) fn pending(&self) -> Vec<String> {
        let witness = self.witness.lock();
        let open = self.open.iter().map(|(id, open)| {
            let client = witness.trace.host(open.client);
            let since = Duration::from_nanos(open.since).as_secs_f64();
            let (manager, what) = (&open.manager, &open.what);
            format!("{client} waits for {manager} since {since:.3} s: request {id}, {what}")
        });
        open.collect()
    }
}

/// A network that keeps what was sent may deliver a start after its repetition has run and ended, and no engine refuses
/// it for that: starts have no key.
fn start_of(plan: &Plan) -> Nature {
    let keeps = |fault: &Fault| {
        let cut = matches!(&fault.op, Op::Cut { how, .. } if *how == How::Hold);
        cut || matches!(fault.op, Op::HoldRequests { .. })
    };
    match plan.faults.iter().any(keeps) {
        true => Nature::Repeatable,
        false => Nature::Once,
    }
}
