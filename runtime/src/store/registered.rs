//! What keeps each engine registered by this process alive in the store: a session of Consul, a lease of etcd.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use swarm_core::address::HostPort;

pub(super) struct Registered<T>(Mutex<BTreeMap<HostPort, T>>);

impl<T: Clone> Registered<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    pub(super) fn of(&self, engine: &HostPort) -> Option<T> {
        self.lock().get(engine).cloned()
    }

    pub(super) fn set(&self, engine: &HostPort, life: T) {
        self.lock().insert(engine.clone(), life);
    }

    pub(super) fn take(&self, engine: &HostPort) -> Option<T> {
        self.lock().remove(engine)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<HostPort, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
