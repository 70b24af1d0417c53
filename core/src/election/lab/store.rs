//! The lab's store: linearizable swaps, stale reads, and the loss of data.

use super::super::{Reading, Record, SwapOutcome, Version};
use crate::rng::Random;

pub(super) struct Store {
    random: Random,
    counter: u64,
    current: Reading,
    history: Vec<(u64, Reading)>,
}

impl Store {
    pub(super) fn new(random: Random) -> Self {
        Self {
            random,
            counter: 10_000,
            current: Reading::Absent,
            history: vec![(0, Reading::Absent)],
        }
    }

    pub(super) fn current(&self) -> Reading {
        self.current.clone()
    }

    /// What a read that lags by `lag` shows.
    pub(super) fn stale(&self, now: u64, lag: u64) -> Reading {
        let shown = self
            .history
            .iter()
            .rev()
            .find(|(at, _)| *at <= now.saturating_sub(lag));
        shown.map_or(Reading::Absent, |(_, reading)| reading.clone())
    }

    pub(super) fn swap(
        &mut self,
        now: u64,
        expected: Option<Version>,
        record: &Record,
    ) -> SwapOutcome {
        if self.current.version() != expected {
            return SwapOutcome::Conflict(Some(self.current()));
        }
        self.put(now, record.clone());
        self.current
            .version()
            .map_or(SwapOutcome::Unknown, SwapOutcome::Swapped)
    }

    /// Writes whatever was there before, as an operator might.
    pub(super) fn put(&mut self, now: u64, record: Record) {
        self.counter += self.random.between(1, 20);
        self.become_(
            now,
            Reading::Present {
                version: Version(self.counter),
                record,
            },
        );
    }

    pub(super) fn release(&mut self, now: u64, instance: &str) -> bool {
        let Some(record) = self
            .current
            .record()
            .filter(|record| record.instance == instance && !record.released)
        else {
            return false;
        };
        self.put(
            now,
            Record {
                released: true,
                nonce: "guard".into(),
                ..record.clone()
            },
        );
        true
    }

    pub(super) fn wipe(&mut self, now: u64) {
        self.counter = 1;
        self.become_(now, Reading::Absent);
    }

    /// Restores what was there `ago` before; versions given out later do not repeat earlier ones.
    pub(super) fn roll_back(&mut self, now: u64, ago: u64) {
        let earlier = self.stale(now, ago);
        self.counter += 5_000;
        self.become_(now, earlier);
    }

    fn become_(&mut self, now: u64, reading: Reading) {
        self.history.push((now, reading.clone()));
        self.current = reading;
    }
}
