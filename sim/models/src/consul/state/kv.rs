//! What the KV verbs do to the state (HA.md section 2.3).

use std::sync::Arc;

use swarm_core::time::Mono;

use super::session::is_id;
use super::{Entry, State, StateError, Write};

impl State {
    /// A plain write. It keeps a lock's session but resets its `LockIndex` to 0.
    pub fn set(&mut self, index: u64, write: &Write) -> Arc<Entry> {
        let session = self
            .get(&write.key)
            .map(|entry| entry.session.clone())
            .unwrap_or_default();
        self.store(index, write, session, 0)
    }

    /// A plain write that happens only if the key's `ModifyIndex` is `expected`; 0 means that it must not exist.
    pub fn set_cas(&mut self, index: u64, write: &Write, expected: u64) -> Option<Arc<Entry>> {
        let current = self.get(&write.key).map_or(0, |entry| entry.modify_index);
        (current == expected).then(|| self.set(index, write))
    }

    /// Acquires the key for `session`; `None` when another session holds it. The lock-delay is not looked at here:
    /// it belongs to the leader (HA.md section 2.2).
    ///
    /// # Errors
    /// When there is no such session.
    pub fn lock(
        &mut self,
        index: u64,
        write: &Write,
        session: &str,
    ) -> Result<Option<Arc<Entry>>, StateError> {
        if session.is_empty() {
            return Err(StateError::MissingSession);
        }
        if !is_id(session) {
            return Err(StateError::NotAnId);
        }
        if self.session(session).is_none() {
            return Err(StateError::InvalidSession(session.to_owned()));
        }
        let lock_index = match self.get(&write.key) {
            None => 1,
            Some(entry) if entry.session == session => entry.lock_index,
            Some(entry) if entry.session.is_empty() => entry.lock_index + 1,
            Some(_held) => return Ok(None),
        };
        Ok(Some(self.store(
            index,
            write,
            session.to_owned(),
            lock_index,
        )))
    }

    /// Releases the key and overwrites its value; `None` when `session` does not hold it.
    ///
    /// # Errors
    /// When no session is named.
    pub fn unlock(
        &mut self,
        index: u64,
        write: &Write,
        session: &str,
    ) -> Result<Option<Arc<Entry>>, StateError> {
        if session.is_empty() {
            return Err(StateError::MissingSession);
        }
        match self.get(&write.key) {
            Some(entry) if entry.session == session => {
                let lock_index = entry.lock_index;
                Ok(Some(self.store(index, write, String::new(), lock_index)))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Deletes one key, held as a lock or not.
    pub fn delete(&mut self, now: Mono, index: u64, key: &str) {
        if self.entries.remove(key).is_some() {
            let both = |stone: &mut super::Tombstone| {
                stone.listed = index;
                stone.deleted = index;
            };
            self.bury(now, key, both, index);
            self.kv_index = index;
        }
    }

    /// Deletes one key if its `ModifyIndex` is `expected`. True also when there is no such key.
    pub fn delete_cas(&mut self, now: Mono, index: u64, key: &str, expected: u64) -> bool {
        match self.get(key) {
            None => true,
            Some(entry) if entry.modify_index == expected => {
                self.delete(now, index, key);
                true
            }
            Some(_) => false,
        }
    }

    /// Deletes every key that starts with `prefix`, leaving one tombstone.
    pub fn delete_tree(&mut self, now: Mono, index: u64, prefix: &str) {
        let keys: Vec<String> = self.list(prefix).map(|entry| entry.key.clone()).collect();
        if keys.is_empty() {
            return;
        }
        for key in keys {
            self.entries.remove(&key);
            self.bury(now, &key, |stone| stone.deleted = index, index);
        }
        if !prefix.is_empty() {
            self.bury(now, prefix, |stone| stone.listed = index, index);
        }
        self.kv_index = index;
    }

    /// Stores the entry, unless nothing about it would change: then even its `ModifyIndex` stays.
    pub(super) fn store(
        &mut self,
        index: u64,
        write: &Write,
        session: String,
        lock_index: u64,
    ) -> Arc<Entry> {
        let existing = self.get(&write.key);
        let (create_index, modify_index) = existing.map_or((index, index), |entry| {
            (entry.create_index, entry.modify_index)
        });
        let mut entry = Entry {
            key: write.key.clone(),
            value: write.value.clone(),
            flags: write.flags,
            session,
            lock_index,
            create_index,
            modify_index,
        };
        if let Some(existing) = existing
            && **existing == entry
        {
            return Arc::clone(existing);
        }
        entry.modify_index = index;
        let entry = Arc::new(entry);
        self.entries.insert(write.key.clone(), Arc::clone(&entry));
        self.kv_index = index;
        entry
    }
}
