//! What a manager knows of the lease record, from reads that may be stale and answers that may be late.

use std::time::Duration;

use super::record::{Reading, Record, Version};
use crate::testbed::{Mutant, planted};
use crate::time::Mono;

/// How far a reading can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// It may be stale.
    Hint,
    /// It was linearizable and began when `known` was the newest version known here.
    Linearizable { known: Option<Version> },
}

/// What a reading taught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Learnt {
    /// What was known already, or something older.
    Nothing,
    /// A newer version, or the store's loss of the one known: the sighting changed.
    News,
    /// It shows less than is known: stale, or the store lost data. Only a linearizable read can tell.
    Doubt,
}

/// The newest state of the record and when it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) reading: Reading,
    /// When the answer that first showed it arrived: the wait counts from here.
    pub(super) at: Mono,
    /// The store went back: nobody may act on it before the wait is over.
    pub(super) suspect: bool,
    /// Spreads the managers that see it at the same moment.
    pub(super) stagger: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Knowledge {
    newest: Option<Sighting>,
    ever_present: bool,
    highest_epoch: u64,
    cluster: Option<String>,
    last_lease: Duration,
}

impl Knowledge {
    pub(super) fn newest(&self) -> Option<&Sighting> {
        self.newest.as_ref()
    }

    pub(super) fn record(&self) -> Option<&Record> {
        self.newest
            .as_ref()
            .and_then(|sighting| sighting.reading.record())
    }

    pub(super) fn version(&self) -> Option<Version> {
        self.newest
            .as_ref()
            .and_then(|sighting| sighting.reading.version())
    }

    /// Whether a record was ever seen by this process.
    pub(super) fn ever_present(&self) -> bool {
        self.ever_present
    }

    /// The highest epoch any reading has shown; 0 before the first.
    pub(super) fn highest_epoch(&self) -> u64 {
        self.highest_epoch
    }

    /// The cluster's name, if a record has shown it.
    pub(super) fn cluster(&self) -> Option<&str> {
        self.cluster.as_deref()
    }

    /// The lease of the latest record seen; zero before the first.
    pub(super) fn last_lease(&self) -> Duration {
        self.last_lease
    }

    /// Takes in `reading`, received at `now`. `stagger` is kept with a new sighting.
    pub(super) fn note(
        &mut self,
        now: Mono,
        reading: Reading,
        proof: Proof,
        stagger: Duration,
    ) -> Learnt {
        let epoch = reading.record().map_or(0, |record| record.epoch);
        let known_epoch = self.highest_epoch;
        // Also of what is stale: a store that went back may have forgotten it.
        self.highest_epoch = known_epoch.max(epoch);
        let went_back = match self.compare(&reading) {
            Order::Same => return Learnt::Nothing,
            Order::Older => match proof {
                Proof::Hint => return Learnt::Doubt,
                // The newest version arrived while this read was under way: it may simply have come first.
                Proof::Linearizable { known } if known != self.version() => return Learnt::Doubt,
                Proof::Linearizable { .. } => true,
            },
            Order::Newer => reading.record().is_some() && epoch < known_epoch,
        };
        if let Some(record) = reading.record() {
            self.cluster = Some(record.cluster.clone());
            self.last_lease = Duration::from_millis(record.lease_ms);
        }
        self.ever_present |= reading.version().is_some();
        let suspect = went_back && !planted(Mutant::TrustsRollback);
        self.newest = Some(Sighting {
            reading,
            at: now,
            suspect,
            stagger,
        });
        Learnt::News
    }

    fn compare(&self, reading: &Reading) -> Order {
        let Some(newest) = &self.newest else {
            return Order::Newer;
        };
        match reading.version().cmp(&newest.reading.version()) {
            std::cmp::Ordering::Greater => Order::Newer,
            std::cmp::Ordering::Equal if *reading == newest.reading => Order::Same,
            // The same version with another content: the store counts anew after it lost everything.
            std::cmp::Ordering::Equal | std::cmp::Ordering::Less => Order::Older,
        }
    }
}

enum Order {
    Newer,
    Same,
    Older,
}
