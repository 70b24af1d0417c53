//! The cluster: one replicated state, who leads it, and what a test may do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use swarm_core::rng::Random;
use swarm_core::time::{Mono, nanos};
use swarm_core::watch;

use super::faults::{Ambiguous, Faults, Outage};
use super::state::{Entry, Session, State, Write};
use super::store::Store;
use super::{Options, Server};
use crate::Host;
use crate::changes::{Changes, Timed, end_in_time};

/// Servers that share one state, with one of them leading.
pub struct Cluster {
    pub(super) host: Arc<dyn Host>,
    pub(super) options: Options,
    pub(super) nodes: Arc<[String]>,
    inner: Mutex<Inner>,
    /// Told of every change that somebody may wait for: of the state, of the leader, of faults.
    changed: watch::Sender<()>,
}

/// The content of a cluster at one time.
#[derive(Clone, Debug)]
pub struct Snapshot(Arc<State>);

/// What is changed together.
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) leader: Option<usize>,
    pub(super) members: Vec<Member>,
    /// Writes to come, at whatever server, whose outcome the client does not learn.
    pub(super) ambiguous: Option<Ambiguous>,
    pub(super) tokens: Option<BTreeSet<String>>,
    random: Random,
    requests: BTreeMap<String, u64>,
}

/// What belongs to one server.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) faults: Faults,
    pub(super) default_reads: u64,
}

impl Cluster {
    /// Starts a cluster whose session timers run on `host` for as long as the cluster is in use.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, options: Options) -> Arc<Self> {
        let servers = options.servers.max(1);
        let nodes: Arc<[String]> = (1..=servers).map(|n| format!("consul-{n}")).collect();
        let (changed, changes) = watch::channel(());
        let cluster = Arc::new(Self {
            inner: Mutex::new(Inner {
                store: Store::new(State::new(Arc::clone(&nodes), options.first_index)),
                leader: Some(0),
                members: (0..servers).map(|_| Member::default()).collect(),
                ambiguous: None,
                tokens: options.tokens.clone(),
                random: Random::new(options.seed).fork("consul"),
                requests: BTreeMap::new(),
            }),
            host: Arc::clone(&host),
            options,
            nodes,
            changed,
        });
        host.spawn(Box::pin(end_in_time(Arc::downgrade(&cluster), changes)));
        cluster
    }

    /// Server `n`, from 0; a number too high means the last one.
    #[must_use]
    pub fn server(self: &Arc<Self>, n: usize) -> Server {
        Server::new(Arc::clone(self), n.min(self.nodes.len() - 1))
    }

    /// Who leads.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        self.lock().leader
    }

    /// Makes server `n` the leader, or leaves the cluster without one. A new leader gives every session its full time
    /// again (HA.md section 2.1).
    pub fn set_leader(&self, n: Option<usize>) {
        let now = self.host.mono();
        self.change(|inner| {
            inner.leader = n.map(|n| n.min(inner.members.len() - 1));
            match inner.leader {
                Some(_) => inner.store.restart_timers(now),
                None => inner.store.stop_timers(),
            }
        });
    }

    /// Changes the faults of every server.
    pub fn faults(&self, set: impl Fn(&mut Faults)) {
        self.change(|inner| {
            for member in &mut inner.members {
                set(&mut member.faults);
            }
        });
    }

    /// Lets the outcome of some writes to come remain unknown, at whichever server they are made.
    pub fn lose_replies(&self, ambiguous: Ambiguous) {
        self.change(|inner| inner.ambiguous = Some(ambiguous));
    }

    /// Replaces the tokens that may do everything, at once for running clients; `None` turns ACLs off.
    pub fn set_tokens(&self, tokens: Option<BTreeSet<String>>) {
        self.change(|inner| inner.tokens = tokens);
    }

    /// The entry of `key`, as the leader has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Entry> {
        self.state().get(key).map(|entry| Entry::clone(entry))
    }

    /// The raft index.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.state().index()
    }

    /// The whole state, as the leader has it.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        Arc::clone(self.lock().store.state())
    }

    /// The sessions there are.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        let state = self.state();
        state
            .sessions()
            .map(|session| Session::clone(session))
            .collect()
    }

    /// How many requests each route has had since the start, by `METHOD route`, for instance `PUT /v1/txn`.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.lock().requests.clone()
    }

    /// A plain PUT by somebody else: an operator, a script, another system.
    pub fn put(&self, key: &str, value: impl Into<Bytes>) {
        let write = Write {
            key: key.to_owned(),
            value: value.into(),
            flags: 0,
        };
        let now = self.host.mono();
        self.change(|inner| {
            inner
                .store
                .apply(now, |state, index| state.set(index, &write))
        });
    }

    /// A plain DELETE by somebody else.
    pub fn delete(&self, key: &str) {
        let now = self.host.mono();
        self.change(|inner| {
            inner
                .store
                .apply(now, |state, index| state.delete(now, index, key));
        });
    }

    /// Ends a session, as an operator may or a failing check does.
    pub fn destroy_session(&self, id: &str) {
        let now = self.host.mono();
        self.change(|inner| inner.store.destroy_session(now, id));
    }

    /// Keeps the present content for [`Cluster::restore`] or [`Cluster::rollback`].
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.state())
    }

    /// `consul snapshot restore`: keys and their indexes go back, the raft index goes on.
    pub fn restore(&self, snapshot: &Snapshot) {
        let content = State::clone(&snapshot.0);
        self.replace(|present| content.continued_after(present.index()));
    }

    /// The servers come back with an older disk: everything goes back, the raft index too.
    pub fn rollback(&self, snapshot: &Snapshot) {
        let content = State::clone(&snapshot.0);
        self.replace(|_present| content);
    }

    /// The servers come back with empty disks.
    pub fn wipe(&self) {
        let fresh = State::new(Arc::clone(&self.nodes), self.options.first_index);
        self.replace(|_present| fresh);
    }

    /// The content moves to a new cluster (export and import): everything is there, every index is small again.
    pub fn renumber(&self) {
        let first = self.options.first_index;
        self.replace(|present| present.renumbered(first));
    }

    fn replace(&self, with: impl FnOnce(&State) -> State) {
        let now = self.host.mono();
        self.change(|inner| {
            let next = with(inner.store.state());
            inner.store.replace(now, next);
            if inner.leader.is_none() {
                inner.store.stop_timers();
            }
        });
    }

    pub(super) fn count(&self, route: &str) {
        *self.lock().requests.entry(route.to_owned()).or_default() += 1;
    }

    /// Reads or changes what nobody waits for, with sessions expired up to now.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panicking test thread must not hide its own message behind a second one.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.expire(self.host.mono()) {
            self.changed.send_replace(());
        }
        inner
    }

    /// Changes something and tells everybody who waits.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let answer = change(&mut self.lock());
        self.changed.send_replace(());
        answer
    }

    pub(super) fn changes(&self) -> Changes {
        Changes::new(Arc::clone(&self.host), self.changed.subscribe())
    }
}

impl Inner {
    /// Whether the leader's process runs: a paused one's session timers stand still.
    fn expire(&mut self, now: Mono) -> bool {
        self.timers_run() && self.store.expire(now)
    }

    fn timers_run(&self) -> bool {
        let leader = self.leader.and_then(|leader| self.members.get(leader));
        leader.is_some_and(|leader| leader.faults.outage != Outage::Hung)
    }

    pub(super) fn new_session_id(&mut self) -> String {
        let hex = self.random.hex(16);
        let mut id = String::with_capacity(36);
        for (position, digit) in hex.chars().enumerate() {
            if matches!(position, 8 | 12 | 16 | 20) {
                id.push('-');
            }
            id.push(digit);
        }
        id
    }

    /// Up to a sixteenth of `wait`, which Consul adds to spread its clients.
    pub(super) fn jitter(&mut self, wait: Duration) -> Duration {
        Duration::from_nanos(self.random.below(nanos(wait) / 16))
    }

    pub(super) fn outage(&self, server: usize) -> Outage {
        self.members
            .get(server)
            .map_or(Outage::Down, |member| member.faults.outage)
    }
}

impl Timed for Cluster {
    fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    fn end_due(&self) -> Option<Mono> {
        let inner = self.lock();
        inner.timers_run().then(|| inner.store.wake_at()).flatten()
    }
}
