//! Which engine a build went to, for the requests that belong to it (spec/classic.md section 4.9).
//!
//! A command line that builds with `BuildKit` sends several requests which must reach the same engine: a session, in which
//! the engine asks for files and passwords; the build, which names the session; uploads, which name the build; and
//! for newer ones a control connection that carries the build inside and names nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swarm_core::address::HostPort;
use tokio::sync::Notify;

use crate::platform::{Platform, timeout};

/// What requests have in common that belong together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bond {
    /// The ID of a session.
    Session(String),
    /// The ID of a build.
    Build(String),
    /// Being a control connection.
    Control,
}

/// The engines of the builds under way.
#[derive(Clone, Default)]
pub(super) struct Builds(Arc<Shared>);

#[derive(Default)]
struct Shared {
    bonds: Mutex<BTreeMap<Bond, Place>>,
    changed: Notify,
}

struct Place {
    engine: HostPort,
    /// Requests under way that hold on to it.
    holders: usize,
}

/// Keeps a bond to an engine while a request is under way.
pub(super) struct Held {
    builds: Builds,
    bond: Bond,
}

impl Builds {
    /// The engine of what is under way with this bond.
    pub(super) fn engine(&self, bond: &Bond) -> Option<HostPort> {
        self.bonds().get(bond).map(|place| place.engine.clone())
    }

    /// Binds `bond` to `engine`, or to the engine that it is bound to already.
    pub(super) fn hold(&self, bond: Bond, engine: &HostPort) -> Held {
        let mut bonds = self.bonds();
        let place = bonds.entry(bond.clone()).or_insert_with(|| Place {
            engine: engine.clone(),
            holders: 0,
        });
        place.holders += 1;
        drop(bonds);
        self.0.changed.notify_waiters();
        Held {
            builds: self.clone(),
            bond,
        }
    }

    /// Waits at most `limit` for something with this bond to be under way.
    pub(super) async fn wait(
        &self,
        platform: &dyn Platform,
        bond: &Bond,
        limit: Duration,
    ) -> Option<HostPort> {
        let bound = async {
            loop {
                let changed = self.0.changed.notified();
                if let Some(engine) = self.engine(bond) {
                    return engine;
                }
                changed.await;
            }
        };
        timeout(platform, limit, bound).await.ok()
    }

    fn bonds(&self) -> MutexGuard<'_, BTreeMap<Bond, Place>> {
        self.0.bonds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut bonds = self.builds.bonds();
        if let Some(place) = bonds.get_mut(&self.bond) {
            place.holders -= 1;
            if place.holders == 0 {
                bonds.remove(&self.bond);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::TokioPlatform;

    #[tokio::test]
    async fn what_belongs_to_a_build_finds_its_engine_while_it_lasts() {
        let platform = TokioPlatform::new().unwrap();
        let builds = Builds::default();
        let bond = Bond::Session("s".to_owned());
        let engines: [HostPort; 2] = ["n1:2375", "n2:2375"].map(|at| at.parse().unwrap());
        let soon = Duration::from_millis(1);
        assert_eq!(builds.wait(&platform, &bond, soon).await, None);
        let late = builds.wait(&platform, &bond, Duration::from_secs(60));
        let (found, build) = tokio::join!(late, async { builds.hold(bond.clone(), &engines[0]) });
        assert_eq!(found.as_ref(), Some(&engines[0]));
        // A session that is under way decides, whoever comes later.
        let session = builds.hold(bond.clone(), &engines[1]);
        drop(build);
        assert_eq!(builds.engine(&bond).as_ref(), Some(&engines[0]));
        drop(session);
        assert_eq!(builds.engine(&bond), None);
    }
}
