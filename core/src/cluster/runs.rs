//! All containers in the order lists have them, in runs of some hundreds.
//!
//! A list takes hold of the runs as they are: that costs as much as there are runs. What changes while it does so is
//! changed in a copy of its run. Every state of a run has a stamp of its own, under which its text can be kept.

use std::cmp::Reverse;
use std::sync::Arc;

use super::container::Container;
use super::keys::ById;
use crate::time::Wall;

/// A longer run is cut in two. Tests would need very many containers.
const RUN_MAX: usize = if cfg!(test) { 16 } else { 256 };

/// A container where lists have it: newest first, those of the same moment by ID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listed {
    created: Reverse<Wall>,
    container: ById<Container>,
    pub(super) slot: u32,
}

/// Containers that follow each other in lists.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Another one after each change; no two runs ever have the same.
    pub(super) stamp: u64,
    rows: Vec<Listed>,
}

/// All runs, none of them empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    runs: Vec<Arc<Run>>,
    stamps: u64,
}

impl Listed {
    pub(super) fn new(slot: u32, container: &Arc<Container>) -> Self {
        Self {
            created: Reverse(container.created),
            container: ById(Arc::clone(container)),
            slot,
        }
    }

    pub(super) fn container(&self) -> &Arc<Container> {
        &self.container.0
    }
}

impl Run {
    pub(super) fn rows(&self) -> &[Listed] {
        &self.rows
    }
}

impl Runs {
    /// Puts a container where it belongs, in place of another record of it.
    pub(super) fn put(&mut self, one: Listed) {
        let at = self.position(&one);
        if self.runs.is_empty() {
            self.begin(0, Vec::new());
        }
        let tail = self.change(at, |rows| {
            match rows.binary_search(&one) {
                Ok(place) => {
                    if let Some(old) = rows.get_mut(place) {
                        *old = one;
                    }
                }
                Err(place) => rows.insert(place, one),
            }
            (rows.len() > RUN_MAX).then(|| rows.split_off(rows.len() / 2))
        });
        if let Some(tail) = tail.flatten() {
            self.begin(at + 1, tail);
        }
    }

    pub(super) fn remove(&mut self, one: &Listed) {
        let at = self.position(one);
        let left = self.change(at, |rows| {
            if let Ok(place) = rows.binary_search(one) {
                rows.remove(place);
            }
            rows.len()
        });
        if left == Some(0) {
            self.runs.remove(at);
        }
        self.join(at);
        self.join(at.saturating_sub(1));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Listed> {
        self.runs.iter().flat_map(|run| &run.rows)
    }

    pub(super) fn runs(&self) -> &[Arc<Run>] {
        &self.runs
    }

    /// The run a container belongs to.
    fn position(&self, one: &Listed) -> usize {
        let after = |run: &Arc<Run>| run.rows.last().is_some_and(|last| last < one);
        let at = self.runs.partition_point(after);
        at.min(self.runs.len().saturating_sub(1))
    }

    fn stamp(&mut self) -> u64 {
        self.stamps += 1;
        self.stamps
    }

    fn begin(&mut self, at: usize, rows: Vec<Listed>) {
        let stamp = self.stamp();
        self.runs.insert(at, Arc::new(Run { stamp, rows }));
    }

    fn change<T>(&mut self, at: usize, change: impl FnOnce(&mut Vec<Listed>) -> T) -> Option<T> {
        let stamp = self.stamp();
        let run = Arc::make_mut(self.runs.get_mut(at)?);
        run.stamp = stamp;
        Some(change(&mut run.rows))
    }

    /// Makes one run of this one and the next if they are short.
    fn join(&mut self, at: usize) {
        let length = |at| self.runs.get(at).map(|run: &Arc<Run>| run.rows.len());
        if let (Some(one), Some(next)) = (length(at), length(at + 1))
            && one + next <= RUN_MAX / 2
        {
            let next = self.runs.remove(at + 1);
            self.change(at, |rows| rows.extend_from_slice(&next.rows));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::super::tests::{Described, cluster};
    use super::*;

    /// Containers of some moments, some of the same.
    fn all() -> Vec<Listed> {
        let view = cluster(&[(1, 1)]);
        let engine = view.engines().next().unwrap();
        let described = Described::new("id", "name").container(engine);
        let one = |number: u64| {
            let mut container = described.clone();
            container.created = Wall(number / 3);
            container.id = format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into();
            Listed::new(0, &Arc::new(container))
        };
        (0..6 * RUN_MAX as u64).map(one).collect()
    }

    fn stamps(runs: &Runs) -> BTreeMap<u64, Vec<Listed>> {
        let of = |run: &Arc<Run>| (run.stamp, run.rows.clone());
        runs.runs().iter().map(of).collect()
    }

    proptest! {
        #[test]
        fn runs_hold_what_a_set_holds(
            steps in prop::collection::vec((any::<bool>(), 0..6 * RUN_MAX, 1..3 * RUN_MAX), 1..12),
        ) {
            let all = all();
            let (mut runs, mut set) = (Runs::default(), BTreeSet::new());
            let mut seen = BTreeMap::new();
            for (is_put, from, count) in steps {
                for one in all.iter().cycle().skip(from).take(count) {
                    if is_put {
                        runs.put(one.clone());
                        set.insert(one.clone());
                    } else {
                        runs.remove(one);
                        set.remove(one);
                    }
                }
                prop_assert!(runs.iter().eq(&set));
                prop_assert!(runs.runs().iter().all(|run| (1..=RUN_MAX).contains(&run.rows.len())));
                prop_assert!(runs.runs().len() <= 1 + 4 * set.len() / RUN_MAX);
                for (stamp, rows) in stamps(&runs) {
                    let known = seen.entry(stamp).or_insert_with(|| rows.clone());
                    prop_assert_eq!(&*known, &rows, "a stamp stands for one state");
                }
            }
        }
    }

    #[test]
    fn who_holds_a_run_sees_it_as_it_was() {
        let all = all();
        let mut runs = Runs::default();
        all.iter().take(5).for_each(|one| runs.put(one.clone()));
        let held = runs.runs().to_vec();
        runs.remove(&all[2]);
        assert_eq!(held[0].rows().len(), 5);
        assert_eq!(runs.iter().count(), 4);
    }
}
