//! What stands under the lease key: linearizable swaps, the past for stale reads, and the loss of data.

use std::collections::VecDeque;
use std::sync::Arc;

use swarm_core::election::{Reading, Record, Version};
use swarm_core::testbed::{Mutant, planted};

/// Stale reads and restored snapshots go back no further.
const PAST: u64 = 120_000_000_000;

/// A value under the key.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Absent,
    Record(Arc<Record>),
    Junk,
}

/// A value with its version.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) version: u64,
    pub(super) value: Value,
}

impl Seen {
    pub(super) fn reading(&self) -> Reading {
        let version = Version(self.version);
        match &self.value {
            Value::Absent => Reading::Absent,
            Value::Record(record) => Reading::Present {
                version,
                record: Record::clone(record),
            },
            Value::Junk => Reading::of(version, b"somebody was here"),
        }
    }

    pub(super) fn version(&self) -> Option<Version> {
        match self.value {
            Value::Absent => None,
            Value::Record(_) | Value::Junk => Some(Version(self.version)),
        }
    }

    pub(super) fn record(&self) -> Option<&Arc<Record>> {
        match &self.value {
            Value::Record(record) => Some(record),
            Value::Absent | Value::Junk => None,
        }
    }
}

/// The key with its past.
#[derive(Debug)]
pub(super) struct Key {
    counter: u64,
    past: VecDeque<(u64, Seen)>,
    current: Seen,
}

impl Key {
    pub(super) fn new() -> Self {
        let nothing = Seen {
            version: 0,
            value: Value::Absent,
        };
        Self {
            counter: 10_000,
            past: VecDeque::from([(0, nothing.clone())]),
            current: nothing,
        }
    }

    pub(super) fn current(&self) -> &Seen {
        &self.current
    }

    /// What stood there at `time`.
    pub(super) fn at(&self, time: u64) -> &Seen {
        let shown = self.past.iter().rev().find(|(at, _)| *at <= time);
        shown
            .or_else(|| self.past.front())
            .map_or(&self.current, |(_, seen)| seen)
    }

    /// Puts `record` if the key is at `expected`; whether it did. `step` is how far the store's counter has gone on.
    pub(super) fn swap(
        &mut self,
        now: u64,
        expected: Option<Version>,
        record: Arc<Record>,
        step: u64,
    ) -> bool {
        let fits = self.current.version() == expected || planted(Mutant::BlindSwap);
        if fits {
            self.put(now, Value::Record(record), step);
        }
        fits
    }

    /// Writes whatever was there before, as an operator might.
    pub(super) fn put(&mut self, now: u64, value: Value, step: u64) {
        self.counter += step.max(1);
        let version = self.counter;
        self.become_(now, Seen { version, value });
    }

    pub(super) fn wipe(&mut self, now: u64) {
        self.counter = 1;
        self.put(now, Value::Absent, 1);
    }

    /// Restores what was there at `time`; versions given out later do not repeat earlier ones.
    pub(super) fn roll_back(&mut self, now: u64, time: u64) {
        let earlier = self.at(time).clone();
        self.counter = self.counter.max(earlier.version) + 5_000;
        self.become_(now, earlier);
    }

    /// The same content in a store that counts from the beginning.
    pub(super) fn renumber(&mut self, now: u64) {
        self.counter = 10;
        let value = self.current.value.clone();
        self.put(now, value, 1);
    }

    fn become_(&mut self, now: u64, seen: Seen) {
        while self.past.len() > 1 && self.past.get(1).is_some_and(|(at, _)| at + PAST < now) {
            self.past.pop_front();
        }
        self.past.push_back((now, seen.clone()));
        self.current = seen;
    }
}
