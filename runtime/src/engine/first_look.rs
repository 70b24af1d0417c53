//! The first look at the engines: until it is over, what the view does not have may be there all the same.

use std::sync::atomic::{AtomicBool, Ordering};

use swarm_core::cluster::{Cluster, EngineState};
use swarm_core::watch;

/// Whether the engines that were there when this manager began have been looked at.
pub(super) struct FirstLook {
    /// Discovery has listed them, or there is nobody to do so.
    listed: AtomicBool,
    over: watch::Sender<bool>,
}

impl Default for FirstLook {
    fn default() -> Self {
        Self {
            listed: AtomicBool::new(false),
            over: watch::Sender::new(false),
        }
    }
}

impl FirstLook {
    /// Discovery has listed the engines, and all of them are in `cluster`.
    pub(super) fn listed(&self, cluster: &Cluster) {
        self.listed.store(true, Ordering::Release);
        self.check(cluster);
    }

    /// The state of an engine has changed.
    pub(super) fn check(&self, cluster: &Cluster) {
        let looked_at = |engine: &swarm_core::cluster::Engine| {
            engine.state != EngineState::Pending || engine.error.is_some()
        };
        if !*self.over.borrow()
            && self.listed.load(Ordering::Acquire)
            && cluster.engines().all(looked_at)
        {
            self.end();
        }
    }

    /// Nobody waits any longer, whatever is missing.
    pub(super) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Completes when the first look is over.
    pub(super) async fn over(&self) {
        // The sender lives as long as this.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}
