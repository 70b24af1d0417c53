//! What everybody on the inside tells the outside: the trace, the judge, and what must not be lost on the way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swarm_core::time::nanos;

use super::pause;
use crate::judge::Judge;
use crate::plan::Plan;
use crate::property::{Property, Violation};
use crate::trace::{HostId, Keep, Kind, Trace};

/// True time since the start, for those who must not ask a host's clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrueTime(Arc<AtomicU64>);

impl TrueTime {
    /// The world stands between two steps at `elapsed`.
    pub(crate) fn set(&self, elapsed: Duration) {
        self.0.store(nanos(elapsed), Ordering::Relaxed);
    }

    /// In nanoseconds; within a task as exact as its host's timers, elsewhere as of the last step.
    pub(crate) fn now(&self) -> u64 {
        // Outside of tasks turmoil's clock would be the machine's.
        if pause::in_task()
            && let Some(elapsed) = turmoil::sim_elapsed()
        {
            return nanos(elapsed);
        }
        self.0.load(Ordering::Relaxed)
    }
}

/// Sees everything and influences nothing.
pub(crate) struct Witness {
    time: TrueTime,
    /// What happened.
    pub(crate) trace: Trace,
    /// Whether it was right.
    pub(crate) judge: Judge,
}

/// A [`Witness`] that tasks and the world share; all of a run happens on one thread.
#[derive(Clone)]
pub(crate) struct SharedWitness(Arc<Mutex<Witness>>);

impl SharedWitness {
    pub(crate) fn new(plan: &Plan, keep: Keep, hosts: Vec<String>, time: TrueTime) -> Self {
        Self(Arc::new(Mutex::new(Witness {
            time,
            trace: Trace::new(keep, hosts),
            judge: Judge::new(plan),
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Witness> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an event that needs no words.
    pub(crate) fn note(&self, host: HostId, kind: Kind, a: u64, b: u64) {
        self.lock().note(host, kind, a, b, String::new);
    }

    /// A promise was broken, now.
    pub(crate) fn broken(&self, property: Property, aspect: &str, what: impl Into<String>) {
        let mut witness = self.lock();
        let now = witness.time.now();
        witness
            .judge
            .fail(Violation::new(property, aspect, now, what));
    }
}

impl Witness {
    /// Notes an event, with words if they are kept. Returns its number.
    pub(crate) fn note(
        &mut self,
        host: HostId,
        kind: Kind,
        a: u64,
        b: u64,
        text: impl FnOnce() -> String,
    ) -> u64 {
        let now = self.time.now();
        self.trace.add((now, host, kind), (a, b), 0, text)
    }

    /// True time in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        self.time.now()
    }
}
