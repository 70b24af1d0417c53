//! The cluster: one replicated state, who leads it, and what a test may do to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use swarm_core::rng::Random;
use swarm_core::time::{Mono, nanos};
use swarm_core::watch;

use super::faults::{Ambiguous, Faults, Outage};
use super::state::{Op, Pair, Put, Span, State, StateError};
use super::{Options, Server};
use crate::Host;
use crate::changes::{Changes, Timed, end_in_time};

/// Between two looks of the leader for leases that have ended, in nanoseconds (`lease/lessor.go`).
const LEASE_ROUND: u64 = 500_000_000;

/// Members that share one state, with one of them leading.
pub struct Cluster {
    pub(super) host: Arc<dyn Host>,
    pub(super) options: Options,
    inner: Mutex<Inner>,
    /// Told of every change that somebody may wait for: of the state, of the leader, of faults.
    changed: watch::Sender<()>,
}

/// The content of a cluster at one time.
#[derive(Clone, Debug)]
pub struct Snapshot(Arc<State>);

/// What is changed together.
pub(super) struct Inner {
    pub(super) state: State,
    pub(super) leader: Option<usize>,
    pub(super) term: u64,
    pub(super) faults: Vec<Faults>,
    /// Writes to come, at whatever member, whose outcome the client does not learn.
    pub(super) ambiguous: Option<Ambiguous>,
    /// Counts replacements of the whole state: the members of before are gone.
    pub(super) generation: u64,
    /// When each lease ends: in the leader's memory only.
    expiry: BTreeMap<u64, Mono>,
    random: Random,
    requests: BTreeMap<String, u64>,
}

impl Cluster {
    /// Starts a cluster whose leases end on `host`'s clock for as long as the cluster is in use.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, options: Options) -> Arc<Self> {
        let members = options.servers.max(1);
        let (changed, changes) = watch::channel(());
        let cluster = Arc::new(Self {
            inner: Mutex::new(Inner {
                state: State::new(options.history),
                leader: Some(0),
                term: 2,
                faults: vec![Faults::default(); members],
                ambiguous: None,
                generation: 0,
                expiry: BTreeMap::new(),
                random: Random::new(options.seed).fork("etcd"),
                requests: BTreeMap::new(),
            }),
            host: Arc::clone(&host),
            options,
            changed,
        });
        host.spawn(Box::pin(end_in_time(Arc::downgrade(&cluster), changes)));
        cluster
    }

    /// Member `n`, from 0; a number too high means the last one.
    #[must_use]
    pub fn server(self: &Arc<Self>, n: usize) -> Server {
        let last = self.lock().faults.len() - 1;
        Server::new(Arc::clone(self), n.min(last))
    }

    /// Who leads.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        self.lock().leader
    }

    /// Makes member `n` the leader, or leaves the cluster without one. A new leader gives every lease its whole time
    /// again and an election's more (`Promote` in `lease/lessor.go`).
    pub fn set_leader(&self, n: Option<usize>) {
        let now = self.host.mono();
        self.change(|inner| {
            inner.leader = n.map(|n| n.min(inner.faults.len() - 1));
            inner.expiry.clear();
            if inner.leader.is_some() {
                inner.term += 1;
                inner.restart_leases(now, self.options.election_timeout);
            }
        });
    }

    /// Changes the faults of every member.
    pub fn faults(&self, set: impl Fn(&mut Faults)) {
        self.change(|inner| inner.faults.iter_mut().for_each(set));
    }

    /// Lets the outcome of some writes to come remain unknown, at whichever member they are made.
    pub fn lose_replies(&self, ambiguous: Ambiguous) {
        self.change(|inner| inner.ambiguous = Some(ambiguous));
    }

    /// The pair of `key`, as the leader has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Pair> {
        let inner = self.lock();
        inner
            .state
            .get(key.as_bytes())
            .map(|pair| Pair::clone(pair))
    }

    /// The last revision.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.lock().state.revision()
    }

    /// How many requests each route has had since the start, by path, for instance `/v3/kv/txn`.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.lock().requests.clone()
    }

    /// A plain put by somebody else: an operator, a script, another system.
    pub fn put(&self, key: &str, value: impl Into<Bytes>) {
        let put = Put {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: value.into(),
            lease: 0,
        };
        self.alone(Op::Put(put));
    }

    /// A deletion by somebody else.
    pub fn delete(&self, key: &str) {
        let span = Span::key(Bytes::copy_from_slice(key.as_bytes()));
        self.alone(Op::Delete(span));
    }

    fn alone(&self, op: Op) {
        self.change(|inner| {
            // Only puts that name a lease can fail.
            inner.state.carry_out(&[op]).ok();
        });
    }

    /// Forgets what changed before `revision`.
    ///
    /// # Errors
    /// When that revision is not there, or not any more.
    pub fn compact(&self, revision: u64) -> Result<(), StateError> {
        self.change(|inner| inner.state.compact(revision))
    }

    /// Keeps the present content for [`Cluster::rollback`].
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(Arc::new(self.lock().state.clone()))
    }

    /// The members come back with an older disk: everything goes back, the revision too.
    pub fn rollback(&self, snapshot: &Snapshot) {
        self.replace(|_present| State::clone(&snapshot.0));
    }

    /// The members come back with empty disks.
    pub fn wipe(&self) {
        self.replace(|_present| State::new(self.options.history));
    }

    /// The content moves to a new cluster (export and import): every revision is small again, and leases are left behind.
    pub fn renumber(&self) {
        self.replace(State::renumbered);
    }

    /// Other content means other processes: connections are cut, and the leases count anew.
    fn replace(&self, with: impl FnOnce(&State) -> State) {
        let now = self.host.mono();
        self.change(|inner| {
            inner.state = with(&inner.state);
            inner.generation += 1;
            inner.expiry.clear();
            if inner.leader.is_some() {
                inner.restart_leases(now, self.options.election_timeout);
            }
        });
    }

    pub(super) fn count(&self, route: &str) {
        *self.lock().requests.entry(route.to_owned()).or_default() += 1;
    }

    /// Reads or changes what nobody waits for, with leases ended up to now.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panicking test thread must not hide its own message behind a second one.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.end_leases(self.host.mono()) {
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
    /// The faults of member `n`; one that does not exist has none.
    pub(super) fn faults(&self, n: usize) -> Faults {
        self.faults.get(n).cloned().unwrap_or_default()
    }

    /// Whether member `n` runs and hears a majority.
    pub(super) fn takes_part(&self, n: usize) -> bool {
        let faults = self.faults(n);
        faults.outage == Outage::None && !faults.cut_off
    }

    /// The leader that member `n` knows.
    pub(super) fn leader_of(&self, n: usize) -> Option<usize> {
        self.leader.filter(|_| !self.faults(n).cut_off)
    }

    /// Makes a lease of `ttl` seconds, under a free ID unless one is asked for.
    pub(super) fn grant(&mut self, now: Mono, id: u64, ttl: u64) -> u64 {
        let id = match id {
            0 => self.random.between(1, u64::from(u32::MAX)),
            id => id,
        };
        self.state.grant(id, ttl);
        self.renew(now, id);
        id
    }

    /// Gives a lease its whole time again. Its time to live in seconds; `None` if there is no such lease.
    pub(super) fn renew(&mut self, now: Mono, id: u64) -> Option<u64> {
        let ttl = self.state.ttl(id)?;
        self.expiry.insert(id, now + Duration::from_secs(ttl));
        Some(ttl)
    }

    fn restart_leases(&mut self, now: Mono, more: Duration) {
        let leases = self.state.leases();
        self.expiry = leases
            .map(|(id, ttl)| (id, now + Duration::from_secs(ttl) + more))
            .collect();
    }

    /// Whether the leader looks for leases that have ended: one that stands still or hears nobody ends none.
    fn looks_for_leases(&self) -> bool {
        self.leader.is_some_and(|leader| self.takes_part(leader))
    }

    /// When the leader next finds a lease that has ended.
    fn lease_ends(&self) -> Option<Mono> {
        let first = self.expiry.values().min()?;
        let found = Mono(first.0.next_multiple_of(LEASE_ROUND));
        self.looks_for_leases().then_some(found)
    }

    fn end_leases(&mut self, now: Mono) -> bool {
        let mut ended = false;
        while self.lease_ends().is_some_and(|at| at <= now) {
            let due = |at: &Mono| at.0.next_multiple_of(LEASE_ROUND) <= now.0;
            let over = self.expiry.iter().find(|(_, at)| due(at));
            let Some(id) = over.map(|(id, _)| *id) else {
                break;
            };
            self.expiry.remove(&id);
            // It may have been revoked.
            ended |= self.state.revoke(id).is_ok();
        }
        ended
    }

    pub(super) fn shortest_ttl(options: &Options) -> u64 {
        let shortest = nanos(options.election_timeout) * 3 / 2;
        shortest.div_ceil(nanos(Duration::from_secs(1)))
    }
}

impl Timed for Cluster {
    fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    fn end_due(&self) -> Option<Mono> {
        self.lock().lease_ends()
    }
}
