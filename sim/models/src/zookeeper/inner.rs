//! What the servers of a cluster share: the transactions, who has applied which, and the sessions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use swarm_core::rng::Random;
use swarm_core::time::{Mono, nanos};

use super::Options;
use super::faults::{Ambiguous, Faults, Outage};
use super::jute::Code;
use super::state::{Change, News, Outcome, Session, State};

/// As many transactions are remembered for servers and watches that are behind.
const LOG_MAX: usize = 10_000;
/// Session timeouts, in ticks (`minSessionTimeout`, `maxSessionTimeout`).
const SESSION_TICKS: (u32, u32) = (2, 20);

/// One transaction.
#[derive(Clone, Debug)]
pub(super) struct Committed {
    pub(super) at: Mono,
    pub(super) state: Arc<State>,
    pub(super) news: News,
}

/// What a server is like besides its faults.
#[derive(Clone, Debug)]
struct Seat {
    faults: Faults,
    /// How many transactions it has applied.
    applied: u64,
    /// Since when it has heard no majority.
    cut_since: Option<Mono>,
}

/// What is changed together.
pub(super) struct Inner {
    log: VecDeque<Committed>,
    /// How many transactions there were before those of the log.
    forgotten: u64,
    leader: Option<usize>,
    /// Grows with each new leader: the upper half of its transactions' numbers.
    epoch: i64,
    seats: Vec<Seat>,
    pub(super) ambiguous: Option<Ambiguous>,
    /// Grows when servers come to other content or to another leader: their connections are cut.
    pub(super) generation: u64,
    /// When the leader ends each session.
    expiry: BTreeMap<i64, Mono>,
    /// Which server each session is at.
    places: BTreeMap<i64, usize>,
    random: Random,
    requests: BTreeMap<&'static str, u64>,
}

impl Seat {
    /// Whether it runs and hears a majority.
    fn takes_part(&self) -> bool {
        self.faults.outage == Outage::None && !self.faults.cut_off
    }
}

impl Inner {
    /// No nodes; the first server leads.
    pub(super) fn new(now: Mono, options: &Options) -> Self {
        let first = Committed {
            at: now,
            state: Arc::new(State::default()),
            news: News::new(),
        };
        let seat = Seat {
            faults: Faults::default(),
            applied: 1,
            cut_since: None,
        };
        let servers = options.servers.max(1);
        Self {
            log: VecDeque::from([first]),
            forgotten: 0,
            leader: Some(0),
            // A server alone has no elections.
            epoch: i64::from(servers > 1),
            seats: vec![seat; servers],
            ambiguous: None,
            generation: 0,
            expiry: BTreeMap::new(),
            places: BTreeMap::new(),
            random: Random::new(options.seed).fork("zookeeper"),
            requests: BTreeMap::new(),
        }
    }

    pub(super) fn servers(&self) -> usize {
        self.seats.len()
    }

    pub(super) const fn leader(&self) -> Option<usize> {
        self.leader
    }

    /// Makes server `n` the leader, or leaves the cluster without one.
    pub(super) fn lead(&mut self, now: Mono, n: Option<usize>, tick: Duration) {
        let next = n.map(|n| n.min(self.seats.len() - 1));
        if next.is_some() || self.leader.is_some() {
            self.generation += 1;
        }
        self.leader = next;
        self.expiry.clear();
        if next.is_some() {
            self.epoch += 1;
            self.catch_up();
            self.restart_sessions(now, tick);
        }
    }

    pub(super) fn set_faults(&mut self, now: Mono, n: usize, set: impl FnOnce(&mut Faults)) {
        let last = self.transactions();
        let Some(seat) = self.seats.get_mut(n) else {
            return;
        };
        let was_away = !seat.takes_part();
        set(&mut seat.faults);
        seat.cut_since = match (seat.faults.cut_off, seat.cut_since) {
            (true, None) => Some(now),
            (true, since) => since,
            (false, _) => None,
        };
        // Who comes back gets what it missed before it serves.
        if was_away && seat.takes_part() {
            seat.applied = last;
        }
    }

    /// Other content, as if nothing had been before: sessions count anew, and connections are cut.
    pub(super) fn replace(&mut self, now: Mono, state: State, tick: Duration) {
        self.epoch = state.zxid() >> 32;
        self.push(now, Arc::new(state), News::new());
        self.generation += 1;
        self.catch_up();
        self.restart_sessions(now, tick);
    }

    pub(super) fn count(&mut self, kind: &'static str) {
        *self.requests.entry(kind).or_default() += 1;
    }

    pub(super) const fn requests(&self) -> &BTreeMap<&'static str, u64> {
        &self.requests
    }

    /// What is committed.
    pub(super) fn state(&self) -> &Arc<State> {
        static NONE: OnceLock<Arc<State>> = OnceLock::new();
        let last = self.log.back().map(|last| &last.state);
        last.unwrap_or_else(|| NONE.get_or_init(Arc::default))
    }

    /// The faults of server `n`; one that does not exist has none.
    pub(super) fn faults(&self, n: usize) -> Faults {
        let seat = self.seats.get(n);
        seat.map(|seat| seat.faults.clone()).unwrap_or_default()
    }

    /// The leader, where server `n` hears it and it answers.
    pub(super) fn reachable_leader(&self, n: usize) -> Option<usize> {
        let leader = self.leader?;
        let takes_part = |n| self.seats.get(n).is_some_and(Seat::takes_part);
        (takes_part(leader) && !self.faults(n).cut_off).then_some(leader)
    }

    /// Whether server `n` takes clients: it follows a leader, as far as it has noticed.
    pub(super) fn serves(&self, n: usize, now: Mono, patience: Duration) -> bool {
        let Some(leader) = self.leader else {
            return false;
        };
        let Some(seat) = self.seats.get(n) else {
            return false;
        };
        let is_gone = self.faults(leader).outage == Outage::Down;
        let gave_up = seat.cut_since.is_some_and(|since| now >= since + patience);
        seat.faults.outage != Outage::Down && !is_gone && !gave_up
    }

    /// When server `n` will give up, if nothing else happens.
    pub(super) fn gives_up(&self, n: usize, patience: Duration) -> Option<Mono> {
        Some(self.seats.get(n)?.cut_since? + patience)
    }

    /// How many transactions server `n` has applied.
    pub(super) fn applied(&self, n: usize) -> u64 {
        self.seats.get(n).map_or(0, |seat| seat.applied)
    }

    /// Transaction number `n`, from 1 on; `None` if it is forgotten or yet to come.
    pub(super) fn transaction(&self, n: u64) -> Option<&Committed> {
        let at = n.checked_sub(self.forgotten + 1)?;
        self.log.get(usize::try_from(at).ok()?)
    }

    /// The state that server `n` shows.
    pub(super) fn shown(&self, n: usize) -> Arc<State> {
        let shown = self.transaction(self.applied(n));
        Arc::clone(shown.map_or_else(|| self.state(), |shown| &shown.state))
    }

    /// When server `n` applies the next transaction, if it has not applied all.
    pub(super) fn applies_next(&self, n: usize) -> Option<Mono> {
        let seat = self.seats.get(n)?;
        let next = self.transaction(seat.applied + 1)?;
        seat.takes_part().then_some(next.at + self.lag(n))
    }

    fn lag(&self, n: usize) -> Duration {
        match self.leader {
            Some(leader) if leader == n => Duration::ZERO,
            Some(_) | None => self.faults(n).lag,
        }
    }

    /// Servers apply what has reached them.
    pub(super) fn apply(&mut self, now: Mono) {
        for n in 0..self.seats.len() {
            while self.applies_next(n).is_some_and(|at| at <= now) {
                if let Some(seat) = self.seats.get_mut(n) {
                    seat.applied += 1;
                }
            }
        }
    }

    /// Servers that begin to follow a leader get what they missed.
    fn catch_up(&mut self) {
        let last = self.transactions();
        for seat in self.seats.iter_mut().filter(|seat| seat.takes_part()) {
            seat.applied = last;
        }
    }

    fn next_zxid(&self) -> i64 {
        (self.state().zxid() + 1).max(self.epoch << 32 | 1)
    }

    fn push(&mut self, at: Mono, state: Arc<State>, news: News) {
        self.log.push_back(Committed { at, state, news });
        if self.log.len() > LOG_MAX {
            self.log.pop_front();
            self.forgotten += 1;
        }
    }

    /// How many transactions there were.
    pub(super) fn transactions(&self) -> u64 {
        self.forgotten + self.log.len() as u64
    }

    /// Commits a transaction.
    pub(super) fn commit(&mut self, now: Mono, changes: &[Change]) -> Outcome {
        let mut state = State::clone(self.state());
        let (outcome, news) = state.carry_out(self.next_zxid(), millis(now), changes);
        self.push(now, Arc::new(state), news);
        outcome
    }

    /// Begins a session at server `n`.
    pub(super) fn begin(
        &mut self,
        now: Mono,
        n: usize,
        timeout_ms: u64,
        options: &Options,
    ) -> (i64, Session) {
        let id = self.random.between(1, u64::MAX >> 1).cast_signed();
        let password: Vec<u8> = (0..2)
            .flat_map(|_| self.random.next_u64().to_be_bytes())
            .collect();
        let (shortest, longest) = SESSION_TICKS;
        let tick_ms = nanos(options.tick) / 1_000_000;
        let session = Session {
            timeout_ms: timeout_ms
                .clamp(tick_ms * u64::from(shortest), tick_ms * u64::from(longest)),
            password: password.into(),
        };
        let mut state = State::clone(self.state());
        state.begin(self.next_zxid(), id, session.clone());
        self.push(now, Arc::new(state), News::new());
        self.settle(id, n);
        self.touch(now, id, options.tick);
        (id, session)
    }

    /// The session goes on at server `n`.
    pub(super) fn settle(&mut self, id: i64, n: usize) {
        self.places.insert(id, n);
    }

    /// Whether the session is still at server `n`, or why nothing is done for it there.
    pub(super) fn check_session(&self, id: i64, n: usize) -> Result<(), Code> {
        if self.state().session(id).is_none() {
            return Err(Code::SESSION_EXPIRED);
        }
        match self.places.get(&id) {
            Some(place) if *place != n => Err(Code::SESSION_MOVED),
            Some(_) | None => Ok(()),
        }
    }

    /// Gives a session its whole time again, up to the next tick (`ExpiryQueue.roundToNextInterval`).
    pub(super) fn touch(&mut self, now: Mono, id: i64, tick: Duration) {
        let Some(session) = self.state().session(id) else {
            return;
        };
        let end = now + Duration::from_millis(session.timeout_ms);
        let tick = nanos(tick).max(1);
        self.expiry.insert(id, Mono((end.0 / tick + 1) * tick));
    }

    fn restart_sessions(&mut self, now: Mono, tick: Duration) {
        self.expiry.clear();
        let all: Vec<i64> = self.state().sessions().map(|(id, _)| id).collect();
        for id in all {
            self.touch(now, id, tick);
        }
    }

    /// Ends a session, and deletes what it owns.
    pub(super) fn end(&mut self, now: Mono, id: i64) {
        self.expiry.remove(&id);
        self.places.remove(&id);
        let mut state = State::clone(self.state());
        let news = state.end(self.next_zxid(), millis(now), id);
        self.push(now, Arc::new(state), news);
    }

    /// When the leader ends the next session; one that stands still or hears nobody ends none.
    pub(super) fn session_ends(&self) -> Option<Mono> {
        self.reachable_leader(self.leader?)?;
        self.expiry.values().min().copied()
    }

    /// Ends sessions that are due; whether there were any.
    pub(super) fn end_sessions(&mut self, now: Mono) -> bool {
        let mut ended = false;
        while self.session_ends().is_some_and(|at| at <= now) {
            let over = self.expiry.iter().find(|(_, at)| **at <= now);
            let Some(id) = over.map(|(id, _)| *id) else {
                break;
            };
            self.end(now, id);
            ended = true;
        }
        ended
    }
}

fn millis(now: Mono) -> i64 {
    i64::try_from(now.0 / 1_000_000).unwrap_or(i64::MAX)
}
