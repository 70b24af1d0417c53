//! How many containers do what, kept up to date: counting them anew looked at each of them.

use super::container::Container;
use super::state::Phase;
use super::{Cluster, Engine};

/// Containers by what they are doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub all: usize,
    /// Those that run, or are about to again.
    pub running: usize,
    /// Those that are paused.
    pub paused: usize,
    /// The others.
    pub stopped: usize,
}

impl Counts {
    pub(super) fn of(container: &Container) -> Self {
        let mut counts = Self {
            all: 1,
            ..Self::default()
        };
        match container.state.phase {
            Phase::Paused => counts.paused = 1,
            Phase::Running | Phase::Restarting => counts.running = 1,
            Phase::Created | Phase::Removing | Phase::Exited | Phase::Dead => counts.stopped = 1,
        }
        counts
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            running: self.running + other.running,
            paused: self.paused + other.paused,
            stopped: self.stopped + other.stopped,
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            all: self.all - other.all,
            running: self.running - other.running,
            paused: self.paused - other.paused,
            stopped: self.stopped - other.stopped,
        }
    }
}

impl Cluster {
    /// What the containers of all engines do.
    #[must_use]
    pub fn totals(&self) -> Counts {
        let engines = self.validated();
        engines.fold(Counts::default(), |sum, engine| {
            sum.plus(self.counts(engine))
        })
    }

    /// What the containers of an engine do, without those that were moved away from it.
    pub(super) fn counts(&self, engine: &Engine) -> Counts {
        if engine.is_healthy() {
            return engine.counts;
        }
        engine
            .containers()
            .filter(|container| !self.is_left_behind(engine, container))
            .fold(Counts::default(), |sum, one| sum.plus(Counts::of(one)))
    }
}
