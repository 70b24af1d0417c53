//! The replicated state of a Consul cluster: keys, tombstones, sessions and the raft index.
//!
//! Sans-IO and cheap to clone (entries are shared), so that a transaction works on a copy and old versions can be
//! kept for stale reads. Sources: HA.md sections 2.1 to 2.5; the pages api-docs/kv, api-docs/session, api-docs/txn
//! and api-docs/features/blocking of developer.hashicorp.com/consul.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use swarm_core::time::Mono;

mod kv;
mod session;
#[cfg(test)]
mod tests;
mod txn;

pub(crate) use session::is_id;
pub use session::{Behavior, NewSession, Session};
pub use txn::{TxnError, TxnOp, TxnResult, Verb};

/// How long a tombstone keeps a list index from going back (`tombstone_ttl`).
const TOMBSTONE_TTL: Duration = Duration::from_mins(15);

/// One key with its value and what Consul records about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The whole key, without a leading slash.
    pub key: String,
    /// The value as it was written.
    pub value: Bytes,
    /// A number of the client's own.
    pub flags: u64,
    /// The session that holds the key as a lock, or empty.
    pub session: String,
    /// How often the key was acquired since it was last created or plainly written.
    pub lock_index: u64,
    /// The raft index that created the key.
    pub create_index: u64,
    /// The raft index that last changed the key.
    pub modify_index: u64,
}

/// What a client asks to be stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// The whole key.
    pub key: String,
    /// The new value.
    pub value: Bytes,
    /// The new flags.
    pub flags: u64,
}

/// Why a command that reached the state was turned down; the texts are Consul's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// `acquire` names a session that does not exist.
    #[error("invalid session {0:?}")]
    InvalidSession(String),
    /// `acquire` or `release` without a session.
    #[error("missing session")]
    MissingSession,
    /// A session id that cannot be one.
    #[error("failed session lookup: index error: UUID must be 36 characters")]
    NotAnId,
    /// A session for a node that is not in the catalog.
    #[error("Missing node registration")]
    MissingNode,
    /// A session bound to a check that the node does not have.
    #[error("Missing check '{0}' registration")]
    MissingCheck(String),
}

/// The tables as of one raft index.
#[derive(Clone, Debug)]
pub struct State {
    index: u64,
    entries: BTreeMap<String, Arc<Entry>>,
    kv_index: u64,
    tombstones: BTreeMap<String, Tombstone>,
    reap: VecDeque<(Mono, String, u64)>,
    sessions: BTreeMap<String, Arc<Session>>,
    sessions_index: u64,
    nodes: Arc<[String]>,
    nodes_index: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tombstone {
    /// Counts for the index of lists whose prefix it matches.
    listed: u64,
    /// When this very key was deleted, by whatever command: what a watch of the key waits for.
    deleted: u64,
}

/// Which part of the state a query looks at, for its index and for when it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// One key.
    Key(String),
    /// Every key that starts with this.
    Prefix(String),
    /// All sessions.
    Sessions,
    /// The catalog's nodes, which never change here.
    Nodes,
}

impl State {
    /// No keys and no sessions; `index` is what raft's own bookkeeping has used up so far.
    #[must_use]
    pub fn new(nodes: Arc<[String]>, index: u64) -> Self {
        Self {
            index,
            entries: BTreeMap::new(),
            kv_index: 0,
            tombstones: BTreeMap::new(),
            reap: VecDeque::new(),
            sessions: BTreeMap::new(),
            sessions_index: 0,
            nodes,
            nodes_index: index,
        }
    }

    /// The last raft index.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The names of the catalog's nodes.
    #[must_use]
    pub fn nodes(&self) -> &[String] {
        &self.nodes
    }

    /// The entry of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Arc<Entry>> {
        self.entries.get(key)
    }

    /// The entries whose key starts with `prefix`, in order.
    pub fn list<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<Entry>> {
        starting_with(&self.entries, prefix).map(|(_key, entry)| entry)
    }

    /// The session with this id.
    #[must_use]
    pub fn session(&self, id: &str) -> Option<&Arc<Session>> {
        self.sessions.get(id)
    }

    /// All sessions, in order of their ids.
    pub fn sessions(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.sessions.values()
    }

    /// The `X-Consul-Index` of a query: the entry's own index, for a list the newest entry or tombstone below it,
    /// and where there is neither the index of the whole table. Never below 1 (HA.md section 2.5).
    #[must_use]
    pub fn index_of(&self, watched: &Watched) -> u64 {
        let index = match watched {
            Watched::Key(key) => self
                .get(key)
                .map_or(self.kv_index, |entry| entry.modify_index),
            Watched::Prefix(prefix) if prefix.is_empty() => self.kv_index,
            Watched::Prefix(prefix) => match self.list_index(prefix) {
                0 => self.kv_index,
                index => index,
            },
            Watched::Sessions => self.sessions_index,
            Watched::Nodes => self.nodes_index,
        };
        index.max(1)
    }

    /// A value that differs once something in `watched` was written, and only then.
    ///
    /// An absent key changes by being created or deleted, not by writes elsewhere, although those raise the index it
    /// is reported with (HA.md section 2.5).
    #[must_use]
    pub fn mark(&self, watched: &Watched) -> (u64, usize) {
        match watched {
            Watched::Key(key) => match self.get(key) {
                Some(entry) => (entry.modify_index, 1),
                None => (self.tombstones.get(key).map_or(0, |stone| stone.deleted), 0),
            },
            Watched::Prefix(prefix) => {
                let deleted = starting_with(&self.tombstones, prefix)
                    .map(|(_key, stone)| stone.listed.max(stone.deleted))
                    .max();
                let newest = self.list_index(prefix).max(deleted.unwrap_or(0));
                (newest, self.list(prefix).count())
            }
            Watched::Sessions => (self.sessions_index, self.sessions.len()),
            Watched::Nodes => (self.nodes_index, 0),
        }
    }

    /// The state after the same content was written anew to an empty cluster: every index is small again.
    #[must_use]
    pub fn renumbered(&self, first: u64) -> Self {
        let mut fresh = Self::new(Arc::clone(&self.nodes), first);
        for session in self.sessions.values() {
            let index = fresh.advance();
            let session = Session {
                create_index: index,
                modify_index: index,
                ..Session::clone(session)
            };
            fresh.sessions.insert(session.id.clone(), Arc::new(session));
            fresh.sessions_index = index;
        }
        for entry in self.entries.values() {
            let index = fresh.advance();
            let entry = Entry {
                create_index: index,
                modify_index: index,
                ..Entry::clone(entry)
            };
            fresh.entries.insert(entry.key.clone(), Arc::new(entry));
            fresh.kv_index = index;
        }
        fresh
    }

    /// Continues after `index` with this content, as a restored snapshot does in a running cluster.
    #[must_use]
    pub fn continued_after(mut self, index: u64) -> Self {
        self.index = self.index.max(index) + 1;
        self
    }

    /// Takes the next raft index. Commands that change nothing use one up, too.
    pub fn advance(&mut self) -> u64 {
        self.index += 1;
        self.index
    }

    fn list_index(&self, prefix: &str) -> u64 {
        let entries = self.list(prefix).map(|entry| entry.modify_index).max();
        let stones = starting_with(&self.tombstones, prefix)
            .map(|(_key, stone)| stone.listed)
            .max();
        entries.max(stones).unwrap_or(0)
    }

    fn bury(&mut self, now: Mono, key: &str, change: impl Fn(&mut Tombstone), index: u64) {
        while let Some((at, _key, _index)) = self.reap.front()
            && now.since(*at) >= TOMBSTONE_TTL
            && let Some((_at, key, index)) = self.reap.pop_front()
        {
            let old = |stone: &Tombstone| stone.listed.max(stone.deleted) <= index;
            if self.tombstones.get(&key).is_some_and(old) {
                self.tombstones.remove(&key);
            }
        }
        change(self.tombstones.entry(key.to_owned()).or_default());
        self.reap.push_back((now, key.to_owned(), index));
    }
}

fn starting_with<'a, T>(
    table: &'a BTreeMap<String, T>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a String, &'a T)> {
    table
        .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(key, _)| key.starts_with(prefix))
}
