//! What the leader keeps next to the replicated state: session timers and lock-delays, in memory only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use swarm_core::time::Mono;

use super::state::{NewSession, Session, State, StateError, TxnError, TxnOp, TxnResult, Verb};

/// The state with its recent versions, and what Consul keeps outside raft.
#[derive(Debug)]
pub(super) struct Store {
    state: Arc<State>,
    /// Earlier versions, oldest first, with the time until which each was the present one.
    past: VecDeque<(Mono, Arc<State>)>,
    /// When each session expires: twice its TTL after it was last renewed (HA.md section 2.1).
    timers: BTreeMap<String, Mono>,
    lock_delays: BTreeMap<String, Mono>,
    /// Counts replacements of the whole state, which end every blocking query.
    generation: u64,
}

/// How many versions are kept for reads of the past.
const PAST_VERSIONS: usize = 256;

impl Store {
    pub(super) fn new(state: State) -> Self {
        Self {
            state: Arc::new(state),
            past: VecDeque::new(),
            timers: BTreeMap::new(),
            lock_delays: BTreeMap::new(),
            generation: 0,
        }
    }

    pub(super) fn state(&self) -> &Arc<State> {
        &self.state
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The state as it was `ago`, or as far back as is known.
    pub(super) fn past(&self, now: Mono, ago: Duration) -> &Arc<State> {
        let then = now - ago;
        let version = self.past.iter().find(|(until, _)| *until > then);
        version.map_or(&self.state, |(_until, state)| state)
    }

    /// When a server that is `lag` behind next gets to see a change.
    pub(super) fn next_visible(&self, now: Mono, lag: Duration) -> Option<Mono> {
        let mut visible = self.past.iter().map(|(until, _)| *until + lag);
        visible.find(|at| *at > now)
    }

    /// Applies one raft entry.
    pub(super) fn apply<T>(&mut self, now: Mono, change: impl FnOnce(&mut State, u64) -> T) -> T {
        let mut next = State::clone(&self.state);
        let index = next.advance();
        let answer = change(&mut next, index);
        self.supersede(now, next);
        answer
    }

    /// Replaces the whole state, as a restored snapshot or a lost disk does. Lock-delays are forgotten; session timers
    /// start anew.
    pub(super) fn replace(&mut self, now: Mono, state: State) {
        self.supersede(now, state);
        self.generation += 1;
        self.lock_delays.clear();
        self.restart_timers(now);
    }

    /// Gives every session its full time again, as a new leader does.
    pub(super) fn restart_timers(&mut self, now: Mono) {
        self.timers.clear();
        let sessions: Vec<_> = self.state.sessions().cloned().collect();
        for session in sessions {
            self.start_timer(now, &session);
        }
    }

    /// Forgets the timers, as a server without leadership does.
    pub(super) fn stop_timers(&mut self) {
        self.timers.clear();
    }

    /// Resets the timer of a session that has a TTL.
    pub(super) fn start_timer(&mut self, now: Mono, session: &Session) {
        if let Some(ttl) = session.spec.ttl.filter(|ttl| !ttl.is_zero()) {
            self.timers
                .insert(session.id.clone(), now + ttl.saturating_mul(2));
        }
    }

    /// When the next session expires.
    pub(super) fn wake_at(&self) -> Option<Mono> {
        self.timers.values().min().copied()
    }

    /// Ends the sessions whose time is over; true if there were any.
    pub(super) fn expire(&mut self, now: Mono) -> bool {
        let due = |(id, at): (&String, &Mono)| (*at <= now).then(|| id.clone());
        let due: Vec<String> = self.timers.iter().filter_map(due).collect();
        for id in &due {
            self.destroy_session(now, id);
        }
        !due.is_empty()
    }

    pub(super) fn create_session(
        &mut self,
        now: Mono,
        id: String,
        spec: NewSession,
    ) -> Result<Arc<Session>, StateError> {
        let created = self.apply(now, |state, index| state.create_session(index, id, spec));
        if let Ok(session) = &created {
            self.start_timer(now, session);
        }
        created
    }

    pub(super) fn destroy_session(&mut self, now: Mono, id: &str) {
        self.timers.remove(id);
        let ended = self.apply(now, |state, index| state.destroy_session(now, index, id));
        let Some((session, keys)) = ended else { return };
        let delay = session.spec.lock_delay();
        if !delay.is_zero() {
            for key in keys {
                self.lock_delays.insert(key, now + delay);
            }
        }
    }

    /// Whether a lock-delay forbids to acquire `key`. Only a session that ended while it held the key leaves one.
    pub(super) fn lock_delayed(&mut self, now: Mono, key: &str) -> bool {
        self.lock_delays.retain(|_key, until| *until > now);
        self.lock_delays.contains_key(key)
    }

    /// Runs a transaction through raft, after the checks the leader makes before.
    pub(super) fn transact(
        &mut self,
        now: Mono,
        ops: &[TxnOp],
    ) -> Result<Vec<TxnResult>, Vec<TxnError>> {
        let refused = self.precheck(now, ops);
        if !refused.is_empty() {
            return Err(refused);
        }
        self.apply(now, |state, index| state.transact(now, index, ops))
    }

    pub(super) fn precheck(&mut self, now: Mono, ops: &[TxnOp]) -> Vec<TxnError> {
        let mut errors = Vec::new();
        for (op_index, op) in ops.iter().enumerate() {
            let key = &op.write.key;
            let what = if key.is_empty() && op.verb != Verb::DeleteTree {
                "Must provide key".to_owned()
            } else if op.verb == Verb::Lock && self.lock_delayed(now, key) {
                format!("failed to lock key {key:?} due to lock delay")
            } else {
                continue;
            };
            errors.push(TxnError { op_index, what });
        }
        errors
    }

    fn supersede(&mut self, now: Mono, next: State) {
        let old = std::mem::replace(&mut self.state, Arc::new(next));
        self.past.push_back((now, old));
        if self.past.len() > PAST_VERSIONS {
            self.past.pop_front();
        }
    }
}
