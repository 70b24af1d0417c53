//! What was changed, in order: for those who check that it was asked for, and how often it was done.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::container::Id;
use super::state::State;

/// Changes remembered.
const KEPT: usize = 10_000;

/// A kind of change to a container, a network or a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It was made.
    Create,
    /// It was started.
    Start,
    /// It was told to stop.
    Stop,
    /// It was sent a signal; the detail is the signal's number.
    Kill,
    /// It was given another name, which is the detail.
    Rename,
    /// A command to run in it was made; the detail is the command.
    Exec,
    /// An archive was unpacked in it; the detail is the path of its first file.
    Put,
    /// It was removed.
    Remove,
    /// A network was made.
    NetworkCreate,
    /// A network was removed.
    NetworkRemove,
    /// A volume was made.
    VolumeCreate,
    /// A volume was removed.
    VolumeRemove,
}

/// One change that was carried out on request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutation {
    /// What.
    pub change: Change,
    /// The full ID of the container or network, the name of the volume.
    pub object: String,
    /// Its labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// See [`Change`].
    pub detail: String,
}

/// The newest changes.
#[derive(Debug, Default)]
pub(super) struct Mutations {
    first: u64,
    log: VecDeque<Mutation>,
}

impl Mutations {
    /// What was changed from `position` on, moving it behind the newest.
    pub(super) fn read(&self, position: &mut u64) -> Vec<Mutation> {
        let skip = usize::try_from(position.saturating_sub(self.first)).unwrap_or(usize::MAX);
        *position = self.first + u64::try_from(self.log.len()).unwrap_or(0);
        self.log.iter().skip(skip).cloned().collect()
    }

    fn push(&mut self, mutation: Mutation) {
        if self.log.len() == KEPT {
            self.log.pop_front();
            self.first += 1;
        }
        self.log.push_back(mutation);
    }
}

impl State {
    /// Remembers that a container was changed on request.
    pub(super) fn note(&mut self, change: Change, id: &Id, detail: impl Into<String>) {
        if let Some(container) = self.containers.get(id) {
            self.mutations.push(Mutation {
                change,
                object: id.to_string(),
                labels: Arc::clone(&container.spec.labels),
                detail: detail.into(),
            });
        }
    }

    /// Remembers that a network or a volume was changed on request.
    pub(super) fn note_object(
        &mut self,
        change: Change,
        object: &str,
        labels: BTreeMap<String, String>,
    ) {
        self.mutations.push(Mutation {
            change,
            object: object.to_owned(),
            labels: Arc::new(labels),
            detail: String::new(),
        });
    }
}
