//! A manager's own swaps whose outcome is not known yet.

use super::OpId;
use super::record::{Record, Version};
use crate::time::Mono;

/// Attempts remembered at once; the oldest is forgotten first, which can only shorten a lease.
const ATTEMPTS_MAX: usize = 16;

/// One swap that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) op: OpId,
    pub(super) sent_at: Mono,
    /// The newest version known when it was sent.
    pub(super) known: Option<Version>,
    pub(super) record: Record,
    /// No answer yet.
    pub(super) open: bool,
    /// It has waited for its answer so long that the store counts as unheard.
    pub(super) overdue: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempts(Vec<Attempt>);

impl Attempts {
    pub(super) fn add(&mut self, attempt: Attempt) {
        if self.0.len() == ATTEMPTS_MAX {
            self.0.remove(0);
        }
        self.0.push(attempt);
    }

    /// Marks the attempt as answered; `None` if nobody knows it or it was answered before.
    pub(super) fn close(&mut self, op: OpId) -> Option<Attempt> {
        let attempt = self
            .0
            .iter_mut()
            .find(|attempt| attempt.op == op && attempt.open)?;
        attempt.open = false;
        Some(attempt.clone())
    }

    pub(super) fn forget(&mut self, op: OpId) {
        self.0.retain(|attempt| attempt.op != op);
    }

    pub(super) fn by_nonce(&self, nonce: &str) -> Option<Attempt> {
        self.0
            .iter()
            .find(|attempt| attempt.record.nonce == nonce)
            .cloned()
    }

    /// Those for `epoch` sent after `since` that wait for their answer.
    pub(super) fn in_flight(&self, epoch: u64, since: Mono) -> impl Iterator<Item = &Attempt> {
        self.0
            .iter()
            .filter(move |one| one.open && one.record.epoch == epoch && one.sent_at > since)
    }

    /// Those for `epoch` that are remembered, answered or not.
    pub(super) fn by_epoch(&self, epoch: u64) -> impl Iterator<Item = &Attempt> {
        self.0.iter().filter(move |one| one.record.epoch == epoch)
    }

    /// Whether one that may yet be carried out expects `version` or a later one.
    pub(super) fn expecting(&self, version: Version) -> bool {
        self.0.iter().any(|one| one.known >= Some(version))
    }

    /// Whether an attempt sent up to `until` has newly waited too long for its answer.
    pub(super) fn newly_overdue(&mut self, until: Mono) -> bool {
        let late = self
            .0
            .iter_mut()
            .filter(|one| one.open && !one.overdue && one.sent_at <= until);
        late.map(|attempt| attempt.overdue = true).count() > 0
    }

    /// Any sent after `since` that waits for its answer.
    pub(super) fn any_in_flight(&self, since: Mono) -> Option<&Attempt> {
        self.0.iter().find(|one| one.open && one.sent_at > since)
    }
}
