//! The ensemble, and what a test may do to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use swarm_core::time::Mono;
use swarm_core::watch;

use super::faults::{Ambiguous, Faults};
use super::inner::Inner;
use super::state::{ANY, Change, Node, State};
use super::{Options, Server};
use crate::Host;
use crate::changes::{Changes, Timed, end_in_time};

/// Servers that share one history, with one of them leading.
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

impl Cluster {
    /// An empty cluster whose timers run on `host`.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, options: Options) -> Arc<Self> {
        let (changed, changes) = watch::channel(());
        let cluster = Arc::new(Self {
            inner: Mutex::new(Inner::new(host.mono(), &options)),
            host: Arc::clone(&host),
            options,
            changed,
        });
        host.spawn(Box::pin(end_in_time(Arc::downgrade(&cluster), changes)));
        cluster
    }

    /// Server `n`, from 0; a number too high means the last one.
    #[must_use]
    pub fn server(self: &Arc<Self>, n: usize) -> Server {
        let last = self.lock().servers() - 1;
        Server::new(Arc::clone(self), n.min(last))
    }

    /// Who leads.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        self.lock().leader()
    }

    /// Makes server `n` the leader, or leaves the cluster without one. Either way all servers cut their connections; a
    /// new leader gives every session its whole time again (zookeeperInternals, "Leader Activation").
    pub fn set_leader(&self, n: Option<usize>) {
        let now = self.host.mono();
        self.change(|inner| inner.lead(now, n, self.options.tick));
    }

    /// Changes the faults of every server.
    pub fn faults(&self, set: impl Fn(&mut Faults)) {
        let servers = self.lock().servers();
        for n in 0..servers {
            self.set_faults(n, &set);
        }
    }

    pub(super) fn set_faults(&self, n: usize, set: impl FnOnce(&mut Faults)) {
        let now = self.host.mono();
        self.change(|inner| inner.set_faults(now, n, set));
    }

    /// Lets the outcome of some writes to come remain unknown, at whichever server they are made.
    pub fn lose_replies(&self, ambiguous: Ambiguous) {
        self.change(|inner| inner.ambiguous = Some(ambiguous));
    }

    /// The node at `path`, as the leader has it.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<Node> {
        let inner = self.lock();
        inner.state().get(path).map(|node| Node::clone(node))
    }

    /// The number of the last transaction.
    #[must_use]
    pub fn zxid(&self) -> i64 {
        self.lock().state().zxid()
    }

    /// How many requests of each kind there were since the start, for instance `setData`.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        self.lock().requests().clone()
    }

    /// A write by somebody else; nodes above that are not there are made.
    pub fn put(&self, path: &str, data: impl Into<Bytes>) {
        let data = data.into();
        let ends = path.match_indices('/').map(|(at, _)| at).skip(1);
        for end in ends.chain([path.len()]) {
            let part = path.get(..end).unwrap_or(path);
            if self.get(part).is_none() {
                let data = if end == path.len() {
                    data.clone()
                } else {
                    Bytes::new()
                };
                self.alone(Change::Create {
                    path: part.to_owned(),
                    data,
                    owner: 0,
                    sequential: false,
                });
            } else if end == path.len() {
                self.alone(Change::Set {
                    path: path.to_owned(),
                    data: data.clone(),
                    version: ANY,
                });
            }
        }
    }

    /// A deletion by somebody else.
    pub fn delete(&self, path: &str) {
        self.alone(Change::Delete {
            path: path.to_owned(),
            version: ANY,
        });
    }

    fn alone(&self, change: Change) {
        let now = self.host.mono();
        // What is not there need not be deleted.
        self.change(|inner| inner.commit(now, &[change])).ok();
    }

    /// Keeps the present content for [`Cluster::rollback`].
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(Arc::clone(self.lock().state()))
    }

    /// The servers come back with older disks: everything goes back, the numbers of transactions too.
    pub fn rollback(&self, snapshot: &Snapshot) {
        self.replace(|_present| State::clone(&snapshot.0));
    }

    /// The servers come back with empty disks.
    pub fn wipe(&self) {
        self.replace(|_present| State::default());
    }

    /// The content moves to a new cluster: every number is small again, and sessions are left behind.
    pub fn renumber(&self) {
        self.replace(State::renumbered);
    }

    /// Other content means other processes: connections are cut, and sessions count anew.
    fn replace(&self, with: impl FnOnce(&State) -> State) {
        let now = self.host.mono();
        self.change(|inner| {
            let state = with(inner.state());
            inner.replace(now, state, self.options.tick);
        });
    }

    pub(super) fn count(&self, kind: &'static str) {
        self.lock().count(kind);
    }

    /// Reads or changes what nobody waits for, with everything that is due by now.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panicking test thread must not hide its own message behind a second one.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.host.mono();
        if inner.end_sessions(now) {
            self.changed.send_replace(());
        }
        inner.apply(now);
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

impl Timed for Cluster {
    fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    fn end_due(&self) -> Option<Mono> {
        self.lock().session_ends()
    }
}
