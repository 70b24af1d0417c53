//! Whether event streams show everything once: held against the event logs of the engines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use swarm_models::engine::Engine;

use super::trouble::Trouble;
use crate::judge::Term;
use crate::property::{Property, Violation};
use crate::trace::HostId;

/// A subscription stands at the primary before its client hears of it; looks are a step apart.
const OPEN_MARGIN: u64 = 20_000_000;
/// What happened in the last moments of a run may still be under way.
const END_MARGIN: u64 = 2_000_000_000;
/// A stream that breaks has no excuse if nothing was wrong for so long.
const QUIET: u64 = 60_000_000_000;

/// What one engine said, in its order.
#[derive(Debug, Default)]
struct Truth {
    position: u64,
    /// When it was noticed, in true time, and the engine's own time, which names it.
    events: Vec<(u64, u64)>,
}

#[derive(Debug)]
struct Connection {
    client: HostId,
    opened: u64,
    closed: Option<u64>,
    /// By engine, in the engines' times.
    shown: BTreeMap<String, BTreeSet<u64>>,
}

/// Every event stream of a run.
#[derive(Debug, Default)]
pub(super) struct Streams {
    truth: BTreeMap<String, Truth>,
    connections: Vec<Connection>,
    violation: Option<Violation>,
}

impl Streams {
    /// A client's subscription was confirmed. Its number.
    pub(super) fn opened(&mut self, now: u64, client: HostId) -> usize {
        self.connections.push(Connection {
            client,
            opened: now,
            closed: None,
            shown: BTreeMap::new(),
        });
        self.connections.len() - 1
    }

    /// The stream showed the event that `engine` names by `nanos`.
    pub(super) fn showed(&mut self, now: u64, connection: usize, engine: &str, nanos: u64) {
        let Some(connection) = self.connections.get_mut(connection) else {
            return;
        };
        let shown = connection.shown.entry(engine.to_owned()).or_default();
        if !shown.insert(nanos) {
            let what = format!(
                "the event stream of host {} showed the event {nanos} of {engine} twice",
                connection.client
            );
            self.fail("twice", now, what);
        }
    }

    /// The stream ended, though nobody had asked for an end; `quiet` if there is no excuse for that.
    pub(super) fn broke(&mut self, now: u64, connection: usize, quiet: bool) {
        let Some(connection) = self.connections.get_mut(connection) else {
            return;
        };
        connection.closed = Some(now);
        let client = connection.client;
        if quiet {
            let what =
                format!("the event stream of host {client} broke off though nothing was wrong");
            self.fail("broken", now, what);
        }
    }

    /// A client's former life is over.
    pub(super) fn client_gone(&mut self, now: u64, client: HostId) {
        let own = self.connections.iter_mut();
        for connection in own.filter(|one| one.client == client && one.closed.is_none()) {
            connection.closed = Some(now);
        }
    }

    /// The clients that have a stream open.
    pub(super) fn open(&self) -> impl Iterator<Item = HostId> + '_ {
        let open = self.connections.iter().filter(|one| one.closed.is_none());
        open.map(|one| one.client)
    }

    /// Whether a stream through `manager` that breaks now has no excuse.
    pub(super) fn quiet(now: u64, manager: &str, terms: &[Term], trouble: &Trouble) -> bool {
        let since = now.saturating_sub(QUIET);
        let changed = terms.iter().any(|term| term.at >= since);
        !changed && !trouble.any_between(since, now) && !trouble.excuses(now, "", manager)
    }

    /// Takes in what the engines said since the last look.
    pub(super) fn look(&mut self, now: u64, engines: &[Arc<Engine>]) {
        for engine in engines {
            let truth = self.truth.entry(engine.name()).or_default();
            let said = engine.events(&mut truth.position);
            truth
                .events
                .extend(said.into_iter().map(|nanos| (now, nanos)));
        }
    }

    /// The end of a run: every stream showed all it had to.
    pub(super) fn finish(&mut self, now: u64) {
        let mut all = self.connections.iter();
        let missed = all.find_map(|connection| self.missed(connection, now));
        if let Some((at, what)) = missed {
            self.fail("gap", at, what);
        }
    }

    /// The first event that the stream should have shown.
    fn missed(&self, connection: &Connection, now: u64) -> Option<(u64, String)> {
        let nothing = BTreeSet::new();
        for (engine, truth) in &self.truth {
            let shown = connection.shown.get(engine).unwrap_or(&nothing);
            let last_shown = truth
                .events
                .iter()
                .rposition(|(_, nanos)| shown.contains(nanos));
            let due = |index: usize, at: u64| {
                let before_another = last_shown.is_some_and(|last| index < last);
                before_another || connection.closed.is_none() && at + END_MARGIN < now
            };
            let events = truth.events.iter().enumerate();
            let missed = events
                .filter(|(index, (at, _))| {
                    *at > connection.opened + OPEN_MARGIN && due(*index, *at)
                })
                .find(|(_, (_, nanos))| !shown.contains(nanos));
            if let Some((_, (at, nanos))) = missed {
                let client = connection.client;
                let what = format!(
                    "the event stream of host {client} left out the event {nanos} of {engine}"
                );
                return Some((*at, what));
            }
        }
        None
    }

    fn fail(&mut self, aspect: &str, at: u64, what: String) {
        let violation = Violation::new(Property::EventStream, aspect, at, what);
        self.violation.get_or_insert(violation);
    }

    pub(super) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    #[cfg(test)]
    pub(super) fn said(&mut self, now: u64, engine: &str, nanos: u64) {
        let truth = self.truth.entry(engine.to_owned()).or_default();
        truth.events.push((now, nanos));
    }
}
