//! The replicated state: keys with their revisions, leases, and the log of what changed
//! (etcd.io/docs/v3.4/learning/data_model).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

/// One key with its value and what etcd records about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pair {
    /// The key.
    pub key: Bytes,
    /// The value as it was written.
    pub value: Bytes,
    /// The revision that created the key; 0 in the event of its deletion.
    pub create_revision: u64,
    /// The revision that last changed the key.
    pub mod_revision: u64,
    /// How often the key was written since it was created.
    pub version: u64,
    /// The lease whose end deletes the key; 0 for none.
    pub lease: u64,
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What is there now; of a deleted key its name and when.
    pub pair: Pair,
    /// Whether the key was deleted.
    pub deleted: bool,
}

/// One key, or all from one key up to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first key.
    pub key: Bytes,
    /// The first key behind the last; empty for a single key, a zero byte for no end at all
    /// (etcd.io/docs/v3.4/learning/api, "Range").
    pub end: Bytes,
}

/// Writes a key, perhaps bound to a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The key.
    pub key: Bytes,
    /// The new value.
    pub value: Bytes,
    /// The lease, or 0.
    pub lease: u64,
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a key.
    Put(Put),
    /// Deletes keys.
    Delete(Span),
    /// Reads keys.
    Range(Span),
}

/// What became of an operation, and the revision it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The revision after it.
    pub revision: u64,
    /// What it did.
    pub what: Did,
}

/// What an operation did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// It wrote.
    Put,
    /// It deleted so many keys.
    Deleted(u64),
    /// It found these.
    Found(Vec<Arc<Pair>>),
}

/// "If the keys were changed last at these revisions (0: if they do not exist), do this, else that."
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txn {
    /// Keys and revisions.
    pub compares: Vec<(Bytes, u64)>,
    /// What to do if all compares hold.
    pub success: Vec<Op>,
    /// What to do otherwise.
    pub failure: Vec<Op>,
}

/// Why a command was turned down; the texts are etcd's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A put or a revocation names a lease that does not exist.
    #[error("etcdserver: requested lease not found")]
    NoLease,
    /// A compaction to a revision that is compacted already.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    /// A compaction to a revision that is not there yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    Future,
}

/// The content as of one revision.
#[derive(Clone, Debug)]
pub struct State {
    revision: u64,
    compacted: u64,
    pairs: BTreeMap<Bytes, Arc<Pair>>,
    log: VecDeque<Arc<Event>>,
    history: usize,
    leases: BTreeMap<u64, Lease>,
}

#[derive(Clone, Debug, Default)]
struct Lease {
    ttl: u64,
    keys: BTreeSet<Bytes>,
}

impl Span {
    /// One key.
    #[must_use]
    pub fn key(key: impl Into<Bytes>) -> Self {
        Self {
            key: key.into(),
            end: Bytes::new(),
        }
    }

    /// Whether `key` is in it.
    #[must_use]
    pub fn contains(&self, key: &Bytes) -> bool {
        match self.end.as_ref() {
            [] => *key == self.key,
            [0] => *key >= self.key,
            _ => *key >= self.key && *key < self.end,
        }
    }
}

impl Op {
    /// Whether it can change something.
    #[must_use]
    pub const fn writes(&self) -> bool {
        match self {
            Self::Put(_) | Self::Delete(_) => true,
            Self::Range(_) => false,
        }
    }
}

impl State {
    /// No keys and no leases. Of `history` changes watches can be told later.
    #[must_use]
    pub fn new(history: usize) -> Self {
        Self {
            revision: 1,
            compacted: 0,
            pairs: BTreeMap::new(),
            log: VecDeque::new(),
            history: history.max(1),
            leases: BTreeMap::new(),
        }
    }

    /// The last revision.
    #[must_use]
    pub const fn revision(&self) -> u64 {
        self.revision
    }

    /// The oldest revision that a watch may start from.
    #[must_use]
    pub const fn compacted(&self) -> u64 {
        self.compacted
    }

    /// The pair of `key`.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&Arc<Pair>> {
        self.pairs.get(key)
    }

    /// The pairs of `span`, in order.
    #[must_use]
    pub fn range(&self, span: &Span) -> Vec<Arc<Pair>> {
        let from = (Bound::Included(&span.key), Bound::Unbounded);
        let found = self.pairs.range::<Bytes, _>(from);
        let found = found.take_while(|(key, _)| span.contains(key));
        found.map(|(_key, pair)| Arc::clone(pair)).collect()
    }

    /// What changed in `span` from revision `start` on.
    #[must_use]
    pub fn changes(&self, span: &Span, start: u64) -> Vec<Arc<Event>> {
        let known = |event: &Arc<Event>| event.pair.mod_revision < start;
        let first = self.log.partition_point(known);
        let later = self.log.iter().skip(first);
        let found = later.filter(|event| span.contains(&event.pair.key));
        found.map(Arc::clone).collect()
    }

    /// The time to live of a lease, in seconds.
    #[must_use]
    pub fn ttl(&self, lease: u64) -> Option<u64> {
        self.leases.get(&lease).map(|lease| lease.ttl)
    }

    /// The leases, with their times to live in seconds.
    pub fn leases(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.leases.iter().map(|(id, lease)| (*id, lease.ttl))
    }

    /// Carries out operations, all at one revision.
    ///
    /// # Errors
    /// When one needs a lease that does not exist; nothing was done then.
    pub fn carry_out(&mut self, ops: &[Op]) -> Result<Vec<Done>, StateError> {
        for op in ops {
            if let Op::Put(put) = op
                && put.lease != 0
                && !self.leases.contains_key(&put.lease)
            {
                return Err(StateError::NoLease);
            }
        }
        let next = self.revision + 1;
        let mut done = Vec::with_capacity(ops.len());
        for op in ops {
            let what = match op {
                Op::Put(put) => {
                    self.put(next, put);
                    Did::Put
                }
                Op::Delete(span) => Did::Deleted(self.delete(next, span)),
                Op::Range(span) => Did::Found(self.range(span)),
            };
            let revision = self.revision;
            done.push(Done { revision, what });
        }
        Ok(done)
    }

    /// Carries out a transaction; also says whether its compares held.
    ///
    /// # Errors
    /// As [`State::carry_out`].
    pub fn transact(&mut self, txn: &Txn) -> Result<(bool, Vec<Done>), StateError> {
        let holds = |(key, expected): &(Bytes, u64)| {
            let found = self.pairs.get(key).map_or(0, |pair| pair.mod_revision);
            found == *expected
        };
        let succeeded = txn.compares.iter().all(holds);
        let ops = if succeeded {
            &txn.success
        } else {
            &txn.failure
        };
        self.carry_out(ops).map(|done| (succeeded, done))
    }

    /// Makes a lease.
    pub fn grant(&mut self, id: u64, ttl: u64) {
        let keys = BTreeSet::new();
        self.leases.insert(id, Lease { ttl, keys });
    }

    /// Ends a lease and deletes its keys, all at one revision.
    ///
    /// # Errors
    /// When there is no such lease.
    pub fn revoke(&mut self, id: u64) -> Result<(), StateError> {
        let lease = self.leases.remove(&id).ok_or(StateError::NoLease)?;
        let next = self.revision + 1;
        for key in lease.keys {
            self.delete(next, &Span::key(key));
        }
        Ok(())
    }

    /// Forgets what was before `revision`.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn compact(&mut self, revision: u64) -> Result<(), StateError> {
        if revision <= self.compacted {
            return Err(StateError::Compacted);
        }
        if revision > self.revision {
            return Err(StateError::Future);
        }
        self.forget_before(revision);
        Ok(())
    }

    /// The state after the same content was written anew to an empty cluster, as an export and an import do: every
    /// revision is small again, and nothing is bound to a lease.
    #[must_use]
    pub fn renumbered(&self) -> Self {
        let mut fresh = Self::new(self.history);
        for pair in self.pairs.values() {
            let put = Put {
                key: pair.key.clone(),
                value: pair.value.clone(),
                lease: 0,
            };
            fresh.put(fresh.revision + 1, &put);
        }
        fresh
    }

    fn put(&mut self, revision: u64, put: &Put) {
        let old = self.pairs.get(&put.key).cloned();
        if let Some(old) = &old {
            self.unbind(old);
        }
        if let Some(lease) = self.leases.get_mut(&put.lease) {
            lease.keys.insert(put.key.clone());
        }
        let pair = Pair {
            key: put.key.clone(),
            value: put.value.clone(),
            create_revision: old.as_ref().map_or(revision, |old| old.create_revision),
            mod_revision: revision,
            version: old.map_or(0, |old| old.version) + 1,
            lease: put.lease,
        };
        self.pairs.insert(put.key.clone(), Arc::new(pair.clone()));
        self.note(pair, false);
    }

    fn delete(&mut self, revision: u64, span: &Span) -> u64 {
        let found = self.range(span);
        for pair in &found {
            self.unbind(pair);
            self.pairs.remove(&pair.key);
            let gone = Pair {
                key: pair.key.clone(),
                mod_revision: revision,
                ..Pair::default()
            };
            self.note(gone, true);
        }
        found.len() as u64
    }

    fn unbind(&mut self, pair: &Pair) {
        if let Some(lease) = self.leases.get_mut(&pair.lease) {
            lease.keys.remove(&pair.key);
        }
    }

    fn note(&mut self, pair: Pair, deleted: bool) {
        self.revision = pair.mod_revision;
        self.log.push_back(Arc::new(Event { pair, deleted }));
        if self.log.len() > self.history
            && let Some(oldest) = self.log.front()
        {
            self.forget_before(oldest.pair.mod_revision + 1);
        }
    }

    fn forget_before(&mut self, revision: u64) {
        self.compacted = revision;
        let old = |event: &Arc<Event>| event.pair.mod_revision < revision;
        let kept = self.log.partition_point(old);
        self.log.drain(..kept);
    }
}
