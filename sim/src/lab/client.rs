//! Clients: each asks its manager, waits, and asks again.

use swarm_core::api::Class;
use swarm_core::proxy::{Origin, SENT_ATTEMPTS_MAX};

use super::event::Event;
use super::{Lab, MS, Request};
use crate::history::{Nature, Told};
use crate::plan::{Family, Plan};
use crate::property::Property;
use crate::trace::Kind;

/// A manager that does not answer is given up after so long: two seconds of patience and three questions.
const PULSE: u64 = 12_000 * MS;

/// How long a request may take, at most: each attempt that breaks may have waited for a pulse, and starts the wait for
/// a primary anew; nothing goes on while hosts stand still or are cut off.
pub(super) fn limit(plan: &Plan) -> u64 {
    let round = plan.knobs.primary_wait_ms * MS * 2 + PULSE + plan.knobs.lease_ms * MS * 2;
    let stands: u64 = plan
        .faults
        .iter()
        .filter(|fault| {
            matches!(
                fault.op.family(),
                Family::Pause | Family::Link | Family::Path | Family::Clock
            )
        })
        .map(|fault| fault.lasts_ms * MS)
        .sum();
    round * u64::from(SENT_ATTEMPTS_MAX) + stands * 2 + 5_000 * MS
}

impl Lab<'_> {
    pub(super) fn pace(&self) -> u64 {
        self.plan.workload.pace_ms * MS
    }

    fn ask_later(&mut self, client: usize) {
        let pace = self.pace().max(MS);
        let delay = self.random.between(pace / 2, pace * 3 / 2);
        self.after(delay, Event::Ask(client));
    }

    pub(super) fn ask(&mut self, index: usize) {
        if !self.phase.asks() {
            return;
        }
        let Some(client) = self.clients.get(index) else {
            return;
        };
        let (host, manager) = (client.host, client.manager);
        let class = match (client.writes, client.uploads) {
            (false, _) => Class::Safe,
            (true, true) => Class::Idempotent,
            (true, false) => match self.random.below(4) {
                0 => Class::Idempotent,
                1 => Class::StateIdempotent,
                2 => Class::Keyed,
                _ => Class::Once,
            },
        };
        let nature = match class {
            Class::Safe | Class::Stream(_) => Nature::Read,
            Class::Idempotent | Class::StateIdempotent => Nature::Repeatable,
            Class::Keyed | Class::Once | Class::Upgrade => Nature::Once,
        };
        let unsolicited = client.uploads || (client.writes && self.random.chance(30));
        let impatient = self.random.chance(20);
        let request = self.requests.len();
        self.requests.push(Request {
            client: index,
            class,
            nature,
            unsolicited,
            body_used: false,
            applied: false,
        });
        self.clients[index].waits_for = Some((request, self.now));
        self.note(host, Kind::Asked, (request as u64, class_number(class)));
        self.history
            .asked(self.now, request as u64, nature, self.limit);
        if impatient {
            let patience = self.random.between(MS, 3_000 * MS);
            self.after(patience, Event::Leaves(request));
        }
        let to = self.managers[manager].host;
        let arrives = Event::Arrives { manager, request };
        if self.send(host, to, 0, arrives).is_err() {
            let told = None;
            self.after(MS, Event::Answered { request, told });
        }
    }

    pub(super) fn arrives(&mut self, m: usize, request: usize) {
        if !self.history.is_open(request as u64) {
            return;
        }
        if self.listens(m) {
            return self.take_up(m, request, (None, 1 << m), Origin::Client);
        }
        if !self.managers[m].dark {
            self.tell_client(m, request, None);
        }
    }

    pub(super) fn tell_client(&mut self, m: usize, request: usize, told: Option<Told>) {
        let client = self.requests[request].client;
        let (from, to) = (self.managers[m].host, self.clients[client].host);
        // What cannot arrive leaves the client to its patience.
        let _ = self.send(from, to, 0, Event::Answered { request, told });
    }

    pub(super) fn answered(&mut self, request: usize, told: Option<Told>) {
        if !self.history.is_open(request as u64) {
            return;
        }
        let asked = &self.requests[request];
        let (client, nature) = (asked.client, asked.nature);
        let status = match told {
            None => 0,
            Some(Told::Done | Told::Rejected) => 200,
            Some(Told::NotDone) => 503,
            Some(Told::Unknown) => 502,
        };
        let host = self.clients[client].host;
        self.note(host, Kind::Answered, (request as u64, status));
        match told {
            Some(told) => self.history.answered(self.now, request as u64, told),
            None => self.history.abandoned(request as u64),
        }
        let proven = told == Some(Told::Done);
        if !proven && self.phase.proves(request) {
            let what =
                format!("a request of {nature:?} kind ended with {told:?} though all is well");
            self.fail(Property::Liveness, "proof", what);
        }
        self.next(client, request);
    }

    fn next(&mut self, client: usize, request: usize) {
        let place = &mut self.clients[client].waits_for;
        if place.is_some_and(|(waits, _)| waits == request) {
            *place = None;
            self.ask_later(client);
        }
    }

    /// The client hangs up.
    pub(super) fn leaves(&mut self, request: usize) {
        if !self.history.is_open(request as u64) {
            return;
        }
        self.history.abandoned(request as u64);
        let client = self.requests[request].client;
        let (host, manager) = (self.clients[client].host, self.clients[client].manager);
        self.note(host, Kind::Answered, (request as u64, 0));
        let to = self.managers[manager].host;
        let _ = self.send(host, to, 0, Event::Left { manager, request });
        self.next(client, request);
    }

    pub(super) fn left(&mut self, m: usize, request: usize) {
        let found = self.managers[m]
            .jobs()
            .find(|job| job.request == request && job.caller.is_none())
            .map(|job| job.id);
        if let Some(id) = found {
            self.forget(m, id);
        }
    }

    /// Clients whose manager does not hear them give up in the end: no answer is owed by who is cut off or dead.
    pub(super) fn clients_lose_patience(&mut self) {
        for client in 0..self.clients.len() {
            let (host, manager) = (self.clients[client].host, self.clients[client].manager);
            let Some((request, since)) = self.clients[client].waits_for else {
                continue;
            };
            let unheard = !self.listens(manager)
                || !self.net.connected(host, self.managers[manager].host)
                || !self.holds(manager, request);
            if unheard && self.now - since > 15_000 * MS {
                self.leaves(request);
            }
        }
    }

    /// Whether `m` has the request in its hands.
    fn holds(&self, m: usize, request: usize) -> bool {
        let jobs = self.managers[m].jobs();
        jobs.into_iter()
            .any(|job| job.request == request && job.caller.is_none())
    }
}

fn class_number(class: Class) -> u64 {
    match class {
        Class::Safe => 0,
        Class::Idempotent => 1,
        Class::StateIdempotent => 2,
        Class::Keyed => 3,
        Class::Once => 4,
        Class::Stream(_) => 5,
        Class::Upgrade => 6,
    }
}
