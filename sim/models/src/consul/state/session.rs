//! Sessions (HA.md section 2.1).

use std::sync::Arc;
use std::time::Duration;

use swarm_core::time::Mono;

use super::{State, StateError, Write};

/// The one check every node has.
const SERF_HEALTH: &str = "serfHealth";

/// What becomes of the keys a session holds when it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Behavior {
    /// The keys stay, with their values, and are free.
    #[default]
    Release,
    /// The keys are deleted.
    Delete,
}

/// What a client asks a session to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSession {
    /// A name for people.
    pub name: String,
    /// A node of the catalog.
    pub node: String,
    /// How long a key stays locked after the session ended while holding it, at most 60 s; zero or less for not.
    pub lock_delay_nanos: i64,
    /// What becomes of the keys.
    pub behavior: Behavior,
    /// The TTL as the client wrote it; empty for a session that does not expire.
    pub ttl_text: String,
    /// The TTL, if there is one.
    pub ttl: Option<Duration>,
    /// Checks of the node that end the session.
    pub node_checks: Vec<String>,
    /// Checks of services, by id.
    pub service_checks: Vec<String>,
    /// The older way to give checks.
    pub checks: Vec<String>,
}

/// A session that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// A UUID.
    pub id: String,
    /// What it was created with.
    pub spec: NewSession,
    /// The raft index that created it.
    pub create_index: u64,
    /// The same index: sessions do not change.
    pub modify_index: u64,
}

impl NewSession {
    /// What an empty create request gives: no TTL, bound to the node's health, 15 s lock-delay.
    #[must_use]
    pub fn for_node(node: &str) -> Self {
        Self {
            name: String::new(),
            node: node.to_owned(),
            lock_delay_nanos: 15_000_000_000,
            behavior: Behavior::Release,
            ttl_text: String::new(),
            ttl: None,
            node_checks: vec![SERF_HEALTH.to_owned()],
            service_checks: Vec::new(),
            checks: vec![SERF_HEALTH.to_owned()],
        }
    }

    /// How long keys of this session stay locked after it ended.
    #[must_use]
    pub fn lock_delay(&self) -> Duration {
        let nanos = u64::try_from(self.lock_delay_nanos).unwrap_or(0);
        Duration::from_nanos(nanos).min(Duration::from_mins(1))
    }
}

/// Whether the state can look `text` up as a session id at all.
pub(crate) fn is_id(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
    let hyphens = text.bytes().filter(|byte| *byte == b'-').count();
    text.len() == 36 && digits == 32 && hyphens == 4
}

impl State {
    /// Creates a session under an id that is not in use.
    ///
    /// # Errors
    /// When the node or a check does not exist.
    pub fn create_session(
        &mut self,
        index: u64,
        id: String,
        spec: NewSession,
    ) -> Result<Arc<Session>, StateError> {
        if !self.nodes.contains(&spec.node) {
            return Err(StateError::MissingNode);
        }
        let mut checks = spec
            .node_checks
            .iter()
            .chain(&spec.service_checks)
            .chain(&spec.checks);
        if let Some(unknown) = checks.find(|check| *check != SERF_HEALTH) {
            return Err(StateError::MissingCheck(unknown.clone()));
        }
        let session = Arc::new(Session {
            id: id.clone(),
            spec,
            create_index: index,
            modify_index: index,
        });
        self.sessions.insert(id, Arc::clone(&session));
        self.sessions_index = index;
        Ok(session)
    }

    /// Ends a session and frees or deletes its keys; returns it with the keys it held. Nothing happens when there is
    /// no such session.
    pub fn destroy_session(
        &mut self,
        now: Mono,
        index: u64,
        id: &str,
    ) -> Option<(Arc<Session>, Vec<String>)> {
        let session = self.sessions.remove(id)?;
        self.sessions_index = index;
        let held: Vec<_> = self
            .entries
            .values()
            .filter(|entry| entry.session == id)
            .cloned()
            .collect();
        for entry in &held {
            match session.spec.behavior {
                Behavior::Release => {
                    let write = Write {
                        key: entry.key.clone(),
                        value: entry.value.clone(),
                        flags: entry.flags,
                    };
                    self.store(index, &write, String::new(), entry.lock_index);
                }
                Behavior::Delete => self.delete(now, index, &entry.key),
            }
        }
        let keys = held.iter().map(|entry| entry.key.clone()).collect();
        Some((session, keys))
    }
}
