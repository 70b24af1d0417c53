//! What a calm cluster may ask of its store, and what may be left at the end.

use std::sync::PoisonError;
use std::time::Duration;

use super::World;
use super::hosts::Role;
use crate::property::Property;

/// Tasks and connections of a manager that has nothing to do.
const BASE: usize = 40;
/// Tasks and connections that each other host may cause at a manager.
const EACH: usize = 8;

/// What the store had been asked when a calm stretch began.
pub(super) struct Tally {
    since: Duration,
    requests: u64,
    dispatched: u64,
}

impl World {
    pub(super) fn tally(&self) -> Tally {
        Tally {
            since: self.elapsed(),
            requests: self.store_requests(),
            dispatched: self.witness().judge.dispatched(),
        }
    }

    fn store_requests(&self) -> u64 {
        self.stores.double().map_or(0, |double| double.requests())
    }

    /// Holds what the store was asked in calm weather against the rules (HA.md section 10, 13): one renewal each fifth of
    /// a lease, which every manager sees; a round each few seconds where nothing changes; one linearizable read for each
    /// change. Half as much again is allowed.
    pub(super) fn check_store_load(&self, calm: &Tally) {
        let topology = self.plan.topology;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let time = millis(self.elapsed() - calm.since);
        let managers = u64::from(topology.managers);
        let renewals = time * 5 / self.plan.knobs.lease_ms.max(1);
        let rounds = time / 1_000 + 1;
        let changes = self.witness().judge.dispatched() - calm.dispatched;
        let agents = u64::from(topology.agents) * u64::from(topology.engines);
        let rules = renewals * (1 + managers) + rounds * (managers + agents * (2 + managers));
        let allowed = (rules + changes) * 3 / 2 + 20;
        let asked = self.store_requests() - calm.requests;
        if asked > allowed {
            let what = format!("the store was asked {asked} times in {time} ms, not {allowed}");
            self.witness.broken(Property::StoreLoad, "calm", what);
        }
    }

    /// Looks for what should be gone at the end of a calm stretch.
    pub(super) fn check_leaks(&self) {
        let others = self.slots.len();
        let allowed = BASE + EACH * others;
        for manager in &self.managers {
            let Some(slot) = self.slot(manager.id) else {
                continue;
            };
            let running = manager
                .manager
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            let held = running.map_or(0, |running| running.proxy().stats().held);
            if held > 0 {
                let what = format!("{} holds {held} requests at the end", slot.name);
                self.witness.broken(Property::Leaks, "held", what);
            }
        }
        let managers_and_engines = self
            .slots
            .iter()
            .filter(|slot| matches!(slot.role, Role::Manager(_) | Role::Engine(_)));
        for slot in managers_and_engines {
            let tasks = slot.platform.gate().tasks();
            let open = slot.platform.wires().open();
            if tasks > allowed || open > allowed {
                let what = format!(
                    "{} has {tasks} tasks and {open} connections at the end, not {allowed}",
                    slot.name
                );
                self.witness.broken(Property::Leaks, "tasks", what);
            }
        }
    }
}
