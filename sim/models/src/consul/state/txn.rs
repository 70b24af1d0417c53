//! Transactions over keys (HA.md section 2.4).

use std::sync::Arc;

use swarm_core::time::Mono;

use super::{Entry, State, Write};

/// What one operation of a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Writes.
    Set,
    /// Writes if the index is the current one, or 0 and the key is absent.
    Cas,
    /// Acquires for the session.
    Lock,
    /// Releases from the session.
    Unlock,
    /// Reads one key, which must exist.
    Get,
    /// Reads all keys below a prefix.
    GetTree,
    /// Fails unless the key has the index.
    CheckIndex,
    /// Fails unless the session holds the key.
    CheckSession,
    /// Fails if the key exists.
    CheckNotExists,
    /// Deletes.
    Delete,
    /// Deletes if the index is the current one.
    DeleteCas,
    /// Deletes all keys below a prefix.
    DeleteTree,
    /// Something else; it fails when it is reached.
    Unknown(String),
}

/// One operation of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOp {
    /// What to do.
    pub verb: Verb,
    /// The key, value and flags to do it with.
    pub write: Write,
    /// The index to compare with.
    pub index: u64,
    /// The session to lock, unlock or compare with.
    pub session: String,
}

/// An entry an operation touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnResult {
    /// The entry after the operation.
    pub entry: Arc<Entry>,
    /// Whether the answer carries the value: only reads do.
    pub with_value: bool,
}

/// Why an operation failed, and with it the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnError {
    /// Which operation, from 0.
    pub op_index: usize,
    /// Consul's own text.
    pub what: String,
}

impl From<&str> for Verb {
    fn from(text: &str) -> Self {
        match text {
            "set" => Self::Set,
            "cas" => Self::Cas,
            "lock" => Self::Lock,
            "unlock" => Self::Unlock,
            "get" => Self::Get,
            "get-tree" => Self::GetTree,
            "check-index" => Self::CheckIndex,
            "check-session" => Self::CheckSession,
            "check-not-exists" => Self::CheckNotExists,
            "delete" => Self::Delete,
            "delete-cas" => Self::DeleteCas,
            "delete-tree" => Self::DeleteTree,
            unknown => Self::Unknown(unknown.to_owned()),
        }
    }
}

impl Verb {
    /// Whether a transaction with this verb goes through raft.
    #[must_use]
    pub fn is_write(&self) -> bool {
        match self {
            Self::Set
            | Self::Cas
            | Self::Lock
            | Self::Unlock
            | Self::Delete
            | Self::DeleteCas
            | Self::DeleteTree => true,
            Self::Get
            | Self::GetTree
            | Self::CheckIndex
            | Self::CheckSession
            | Self::CheckNotExists
            | Self::Unknown(_) => false,
        }
    }
}

impl State {
    /// Runs all operations, each seeing those before it, or none of them: on an error `self` is as it was.
    ///
    /// # Errors
    /// One for every operation that failed; the others ran as if it had not been there.
    pub fn transact(
        &mut self,
        now: Mono,
        index: u64,
        ops: &[TxnOp],
    ) -> Result<Vec<TxnResult>, Vec<TxnError>> {
        let mut draft = self.clone();
        let mut results = Vec::new();
        let mut errors = Vec::new();
        for (op_index, op) in ops.iter().enumerate() {
            match draft.operate(now, index, op) {
                Ok(touched) => results.extend(touched),
                Err(what) => errors.push(TxnError { op_index, what }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        *self = draft;
        Ok(results)
    }

    fn operate(&mut self, now: Mono, index: u64, op: &TxnOp) -> Result<Vec<TxnResult>, String> {
        let key = op.write.key.as_str();
        let touched = match &op.verb {
            Verb::Set => Some(self.set(index, &op.write)),
            Verb::Cas => Some(
                self.set_cas(index, &op.write, op.index)
                    .ok_or_else(|| format!("failed to set key {key:?}, index is stale"))?,
            ),
            Verb::Lock => {
                let locked = self.lock(index, &op.write, &op.session);
                Some(
                    locked.map_err(|error| error.to_string())?.ok_or_else(|| {
                        format!("failed to lock key {key:?}, lock is already held")
                    })?,
                )
            }
            Verb::Unlock => {
                let unlocked = self.unlock(index, &op.write, &op.session);
                Some(unlocked.map_err(|error| error.to_string())?.ok_or_else(|| {
                    format!("failed to unlock key {key:?}, lock isn't held, or is held by another session")
                })?)
            }
            Verb::Get => {
                let entry = self.get(key).cloned();
                let entry = entry.ok_or_else(|| format!("key {key:?} doesn't exist"))?;
                return Ok(vec![with_value(entry)]);
            }
            Verb::GetTree => return Ok(self.list(key).cloned().map(with_value).collect()),
            Verb::CheckIndex => Some(self.check_index(key, op.index)?),
            Verb::CheckSession => Some(self.check_session(key, &op.session)?),
            Verb::CheckNotExists if self.get(key).is_some() => {
                return Err(format!("key {key:?} exists"));
            }
            Verb::CheckNotExists => None,
            Verb::Delete => {
                self.delete(now, index, key);
                None
            }
            Verb::DeleteCas if self.delete_cas(now, index, key, op.index) => None,
            Verb::DeleteCas => return Err(format!("failed to delete key {key:?}, index is stale")),
            Verb::DeleteTree => {
                self.delete_tree(now, index, key);
                None
            }
            Verb::Unknown(verb) => return Err(format!("unknown KV verb {verb:?}")),
        };
        let result = touched.map(|entry| TxnResult {
            entry,
            with_value: false,
        });
        Ok(result.into_iter().collect())
    }

    fn check_index(&self, key: &str, expected: u64) -> Result<Arc<Entry>, String> {
        match self.get(key) {
            None => Err(format!("failed to check index, key {key:?} doesn't exist")),
            Some(entry) if entry.modify_index == expected => Ok(Arc::clone(entry)),
            Some(entry) => Err(format!(
                "failed index check for key {key:?}, current modify index {} != {expected}",
                entry.modify_index
            )),
        }
    }

    fn check_session(&self, key: &str, expected: &str) -> Result<Arc<Entry>, String> {
        match self.get(key) {
            None => Err(format!(
                "failed to check session, key {key:?} doesn't exist"
            )),
            Some(entry) if entry.session == expected => Ok(Arc::clone(entry)),
            Some(entry) => Err(format!(
                "failed session check for key {key:?}, current session {:?} != {expected:?}",
                entry.session
            )),
        }
    }
}

fn with_value(entry: Arc<Entry>) -> TxnResult {
    TxnResult {
        entry,
        with_value: true,
    }
}
