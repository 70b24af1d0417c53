//! Whether the store can be heard: a replica must not take its own deafness, or the store's, for the primary's death.

use std::time::Duration;

use super::lease::{beat_interval, operation_timeout};
use crate::time::Mono;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Contact {
    /// The store has answered everything since then.
    since: Option<Mono>,
    last: Option<Mono>,
    /// The last answer that was no hint.
    proven: Option<Mono>,
}

impl Contact {
    /// A linearizable operation was answered: the store has a leader.
    pub(super) fn succeeded(&mut self, now: Mono) {
        self.since = self.since.or(Some(now));
        self.last = Some(now);
        self.proven = Some(now);
    }

    /// A watch or a plain read showed something. A store that cannot write answers such questions too.
    pub(super) fn heard(&mut self, now: Mono) {
        self.last = Some(now);
    }

    pub(super) fn failed(&mut self) {
        self.since = None;
    }

    /// From when on a lease may be taken over: a store that was away gives its holder time to renew first.
    pub(super) fn trusted_at(&self, lease: Duration) -> Option<Mono> {
        let holder_retries_within = operation_timeout(lease) + beat_interval(lease);
        self.since
            .map(|since| since + holder_retries_within + Duration::from_millis(50))
    }

    pub(super) fn heard_since(&self, time: Mono) -> bool {
        self.since.is_some() && self.proven.is_some_and(|proven| proven >= time)
    }

    /// When silence is worth a read of its own: a living primary makes itself heard more often than this.
    pub(super) fn probe_at(&self, lease: Duration) -> Option<Mono> {
        self.last.map(|last| last + operation_timeout(lease))
    }
}
