//! The written text of runs of containers, kept for the next list.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::Cluster;
use super::keys::Place;
use super::listing::ENTRY;
use super::numbered::Numbered;
use super::runs::{Listed, Run};
use crate::time::Wall;

/// Texts of lists of all containers, for as long as they stay as they are. Nothing is kept of a cluster whose list is
/// longer than the limit.
#[derive(Debug)]
pub struct Texts {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    standing: Arc<Standing>,
    /// By the stamps of the runs there were when the last list began.
    runs: BTreeMap<u64, Option<Written>>,
    bytes: usize,
    /// Whether a list began since somebody looked.
    is_used: bool,
    is_watched: bool,
}

/// A run as it stands in a list, each entry with a comma before it.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) text: Bytes,
    /// When it was written; a clock that was set back since tells other statuses.
    pub(super) from: Wall,
    /// When the first of its statuses will be another one.
    pub(super) until: Wall,
    /// Whether it is the same in lists of what runs.
    pub(super) is_running: bool,
}

/// What a list says of a container beside what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Whether they are healthy, of all engines that have been validated.
    engines: Numbered<bool>,
    left_behind: BTreeSet<Place>,
}

impl Texts {
    /// Keeps at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            kept: Mutex::default(),
        }
    }

    /// Forgets what a list of these runs cannot use, and takes note of what it can keep.
    pub(super) fn begin(&self, standing: Standing, runs: &[Arc<Run>]) -> Arc<Standing> {
        let mut kept = self.kept();
        kept.is_used = true;
        if *kept.standing != standing {
            kept.standing = Arc::new(standing);
            kept.runs.clear();
        }
        let rows: usize = runs.iter().map(|run| run.rows().len()).sum();
        let runs = match rows.saturating_mul(ENTRY) > self.limit {
            true => &[],
            false => runs,
        };
        let mut old = std::mem::take(&mut kept.runs);
        kept.runs = runs
            .iter()
            .map(|run| (run.stamp, old.remove(&run.stamp).flatten()))
            .collect();
        let texts = kept.runs.values().flatten();
        kept.bytes = texts.map(|written| written.text.len()).sum();
        Arc::clone(&kept.standing)
    }

    /// Whether it is the caller's task to call [`Self::forget_unused`] from time to time until that is done: nobody
    /// else does.
    #[must_use]
    pub fn needs_watch(&self) -> bool {
        !std::mem::replace(&mut self.kept().is_watched, true)
    }

    /// Forgets all texts if no list has begun since the last call; `true` once it did so.
    #[must_use]
    pub fn forget_unused(&self) -> bool {
        let mut kept = self.kept();
        if std::mem::take(&mut kept.is_used) {
            return false;
        }
        *kept = Kept::default();
        true
    }

    pub(super) fn find(&self, run: &Run, standing: &Arc<Standing>, now: Wall) -> Option<Written> {
        let kept = self.kept();
        let written = kept.runs.get(&run.stamp)?.as_ref()?;
        let holds =
            Arc::ptr_eq(&kept.standing, standing) && (written.from..written.until).contains(&now);
        holds.then(|| written.clone())
    }

    pub(super) fn keep(&self, run: &Run, standing: &Arc<Standing>, written: Written) {
        let mut kept = self.kept();
        let kept = &mut *kept;
        if !Arc::ptr_eq(&kept.standing, standing) {
            return;
        }
        // A list that began earlier may still come with a run that is no more.
        let Some(place) = kept.runs.get_mut(&run.stamp) else {
            return;
        };
        let before = place.take().map_or(0, |old| old.text.len());
        let bytes = kept.bytes - before + written.text.len();
        if bytes <= self.limit {
            kept.bytes = bytes;
            *place = Some(written);
        } else {
            kept.bytes -= before;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Standing {
    /// Whether the container's engine is healthy; `None` if the container is not listed at all.
    pub(super) fn of(&self, one: &Listed) -> Option<bool> {
        let is_healthy = *self.engines.get(one.slot)?;
        let is_left_behind = !is_healthy && !self.left_behind.is_empty() && {
            let place = (one.slot, Arc::clone(&one.container().id));
            self.left_behind.contains(&place)
        };
        (!is_left_behind).then_some(is_healthy)
    }
}

impl Cluster {
    pub(super) fn standing(&self) -> Standing {
        let validated = self
            .engines
            .iter()
            .filter(|(_, engine)| engine.specs.is_some());
        let failed = validated.clone().filter(|(_, engine)| !engine.is_healthy());
        let left_behind = failed.flat_map(|(slot, engine)| {
            engine
                .containers()
                .filter(|container| self.is_left_behind(engine, container))
                .map(move |container| (slot, Arc::clone(&container.id)))
        });
        Standing {
            left_behind: left_behind.collect(),
            engines: validated
                .map(|(slot, engine)| (slot, engine.is_healthy()))
                .collect(),
        }
    }
}
