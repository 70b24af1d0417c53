//! What engines did, held against what they were asked to do.

use std::fmt;

use swarm_core::cluster::EPOCH_LABEL;
use swarm_models::engine::{Change, Mutation};

use super::{KEY_LABEL, Ledger};
use crate::property::Property;
use crate::trace::Kind;

/// What a request does to an engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Deed {
    /// The container, network or volume: the number of the request that made it.
    pub(super) object: u64,
    pub(super) change: Change,
    /// As in [`Mutation::detail`].
    pub(super) detail: String,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            object,
            change,
            detail,
        } = self;
        write!(f, "{change:?} of what request {object} made {detail}")
    }
}

/// The epoch in which what was changed was made.
fn epoch_of(mutation: &Mutation) -> Option<u64> {
    mutation.labels.get(EPOCH_LABEL)?.parse().ok()
}

impl Ledger {
    /// An engine changed something.
    pub(super) fn carried_out(&mut self, now: u64, engine: &str, mutation: &Mutation) {
        let Some(object) = mutation.labels.get(KEY_LABEL) else {
            return;
        };
        let removed = matches!(mutation.change, Change::Remove | Change::NetworkRemove);
        if removed && self.late.remove(&mutation.object) {
            return;
        }
        let deed = Deed {
            object: object.parse().unwrap_or(0),
            change: mutation.change,
            detail: mutation.detail.clone(),
        };
        if deed.change == Change::Create
            && let Err(what) = self.moves.may_place(now, engine)
        {
            self.fail(Property::OutcomeTruth, "drained", what);
        }
        if let Some(allowed) = self.moves.carried_out(now, engine, deed.object, mutation) {
            self.moved(engine, &deed, mutation, allowed);
            return;
        }
        let Some(id) = self.deeds.get(&deed).copied() else {
            let what = format!("{engine} carried out what nobody asked for: {deed}");
            self.fail(Property::OutcomeTruth, "unasked", what);
            return;
        };
        let mut witness = self.witness.lock();
        let host = witness.trace.id_of(engine);
        witness.note(host, Kind::Applied, id, deed.object, || deed.to_string());
        drop(witness);
        let made = matches!(deed.change, Change::Create | Change::NetworkCreate);
        if made && self.is_late(id, mutation) {
            self.late.insert(mutation.object.clone());
            return;
        }
        self.history.applied(now, id);
        match deed.change {
            Change::Create | Change::NetworkCreate => self.check_epoch(engine, id, mutation),
            Change::Remove | Change::NetworkRemove | Change::VolumeRemove => {
                self.removed.insert(deed.object);
            }
            Change::Start
            | Change::Stop
            | Change::Kill
            | Change::Rename
            | Change::Exec
            | Change::Put
            | Change::VolumeCreate => {}
        }
    }

    /// A manager did something on its own account.
    fn moved(
        &mut self,
        engine: &str,
        deed: &Deed,
        mutation: &Mutation,
        allowed: Result<(), String>,
    ) {
        let mut witness = self.witness.lock();
        let host = witness.trace.id_of(engine);
        let key = deed.object;
        witness.note(host, Kind::Applied, key, key, || format!("{deed} (moved)"));
        drop(witness);
        if let Err(what) = allowed {
            self.fail(Property::ExactlyOnce, "moved", what);
        }
        if deed.change == Change::Create {
            self.check_epoch(engine, key, mutation);
        }
    }

    /// Whether a create arrives after its own repetition in a later epoch. The network may keep what left in time; what
    /// comes of it must be gone in the end.
    fn is_late(&mut self, id: u64, mutation: &Mutation) -> bool {
        let Some(epoch) = epoch_of(mutation) else {
            return false;
        };
        match self.made_in.get(&id) {
            Some(made_in) => epoch < *made_in,
            None => {
                self.made_in.insert(id, epoch);
                false
            }
        }
    }

    /// A container or network says in which epoch it was made.
    fn check_epoch(&mut self, engine: &str, id: u64, mutation: &Mutation) {
        let label = mutation.labels.get(EPOCH_LABEL);
        let epoch = epoch_of(mutation);
        let witness = self.witness.lock();
        let mut terms = witness.judge.terms().iter();
        let known = epoch.is_some_and(|epoch| terms.any(|term| term.epoch == epoch));
        drop(witness);
        if !known {
            let what = format!(
                "request {id} made something of epoch {label:?} on {engine}, in which nobody has acted"
            );
            self.fail(Property::DispatchInLease, "epoch", what);
        }
    }
}
