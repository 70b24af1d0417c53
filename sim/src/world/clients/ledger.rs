//! What clients asked and were told, held against what engines did.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use swarm_core::time::nanos;
use swarm_models::engine::Engine;

use crate::history::{History, Nature, Told};
use crate::property::Violation;
use crate::run::Answers;
use crate::trace::{HostId, Kind};
use crate::world::witness::SharedWitness;

/// The requests of all clients of a run.
pub(crate) struct Ledger {
    witness: SharedWitness,
    history: History,
    next: u64,
    /// Who asked what is open.
    clients: BTreeMap<u64, HostId>,
    served: BTreeMap<HostId, u64>,
    /// When requests that wait were last looked at.
    looked: u64,
    violation: Option<Violation>,
}

/// Between two looks at waiting requests.
const LOOK_PERIOD: u64 = 100_000_000;

impl Ledger {
    pub(crate) fn new(witness: SharedWitness) -> Self {
        Self {
            witness,
            history: History::default(),
            next: 1,
            clients: BTreeMap::new(),
            served: BTreeMap::new(),
            looked: 0,
            violation: None,
        }
    }

    /// `client` asks now, and must be answered within `limit`. Returns the request's number.
    pub(crate) fn asked(&mut self, client: HostId, nature: Nature, limit: Duration) -> u64 {
        let id = self.next;
        self.next += 1;
        let now = self.witness.lock().now();
        self.history.asked(now, id, nature, nanos(limit));
        self.clients.insert(id, client);
        self.witness.note(client, Kind::Asked, id, nature as u64);
        id
    }

    /// The client is answered now, with `status` (0: the connection broke).
    pub(crate) fn answered(&mut self, id: u64, told: Told, status: u16) {
        let Some(client) = self.clients.remove(&id) else {
            return;
        };
        let now = self.witness.lock().now();
        self.history.answered(now, id, told);
        self.witness
            .note(client, Kind::Answered, id, u64::from(status));
        if matches!(told, Told::Done | Told::Rejected) {
            *self.served.entry(client).or_default() += 1;
        }
    }

    /// `client`'s process is gone: no answer is owed any more.
    pub(crate) fn client_gone(&mut self, client: HostId) {
        let open: Vec<u64> = self
            .clients
            .iter()
            .filter(|(_, asker)| **asker == client)
            .map(|(id, _)| *id)
            .collect();
        for id in open {
            self.history.abandoned(id);
            self.clients.remove(&id);
        }
    }

    /// After each step: what the engines carried out, and who waits too long.
    pub(crate) fn look(&mut self, now: u64, _engines: &[Arc<Engine>]) {
        if now.saturating_sub(self.looked) >= LOOK_PERIOD {
            self.looked = now;
            self.history.check_waiting(now);
        }
        if let Some(violation) = self.history.violation() {
            self.violation.get_or_insert_with(|| violation.clone());
        }
    }

    /// How often `client` was served: answered with success, or given something of a stream.
    pub(crate) fn served(&self, client: HostId) -> u64 {
        self.served.get(&client).copied().unwrap_or(0)
    }

    /// The last look, in calm weather.
    pub(crate) fn finish(&mut self, now: u64, engines: &[Arc<Engine>]) {
        self.look(now, engines);
    }

    /// The first broken promise, once.
    pub(crate) fn take_violation(&mut self) -> Option<Violation> {
        self.violation.take()
    }

    /// The numbers.
    pub(crate) fn answers(&self) -> Answers {
        self.history.answers()
    }
}
