//! Engines that discovery no longer lists.
//!
//! They leave at once, and nothing is moved because of it (spec/classic.md section 10.2, D1): whether an engine lives, its
//! registration does not say. But when a machine dies, the agent on it dies too and the registration ends before everything
//! may have been moved. So an engine that failed stays until its containers have been made elsewhere, or it answers again.

use std::collections::BTreeMap;
use std::time::Duration;

use swarm_core::address::HostPort;
use swarm_core::reschedule::has_to_move;
use swarm_core::time::Mono;

use crate::api::Fleet;
use crate::engine::Engines;
use crate::platform::{SharedPlatform, sleep};

/// Between two looks at engines that are to leave.
const LOOK_PERIOD: Duration = Duration::from_secs(5);
/// What could not be moved for so long keeps its engine no longer.
const STAY_MAX: Duration = Duration::from_secs(3600);

/// Engines that are to leave, and when they do whatever they have.
pub(super) struct Leaving {
    platform: SharedPlatform,
    engines: Engines,
    until: BTreeMap<HostPort, Mono>,
}

impl Leaving {
    pub(super) fn new(platform: &SharedPlatform, engines: Engines) -> Self {
        Self {
            platform: platform.clone(),
            engines,
            until: BTreeMap::new(),
        }
    }

    /// Discovery no longer lists the engine.
    pub(super) fn remove(&mut self, engine: &HostPort) {
        if !self.has_to_move(engine) {
            self.engines.remove(engine);
            return;
        }
        tracing::info!(
            "Engine {engine} is not listed any more and does not answer: it stays until its containers with \
             reschedule:on-node-failure are moved"
        );
        let until = self.platform.mono() + STAY_MAX;
        self.until.insert(engine.clone(), until);
    }

    /// Discovery lists the engine again.
    pub(super) fn stays(&mut self, engine: &HostPort) {
        self.until.remove(engine);
    }

    /// Waits a while, then removes those that have nothing to be moved; never ends while there is none to look at.
    pub(super) async fn look(&mut self) {
        if self.until.is_empty() {
            return std::future::pending().await;
        }
        sleep(self.platform.as_ref(), LOOK_PERIOD).await;
        let now = self.platform.mono();
        let all = std::mem::take(&mut self.until);
        for (engine, until) in all {
            if now < until && self.has_to_move(&engine) {
                self.until.insert(engine, until);
            } else {
                self.engines.remove(&engine);
            }
        }
    }

    fn has_to_move(&self, engine: &HostPort) -> bool {
        has_to_move(&self.engines.cluster().read(), engine)
    }
}
