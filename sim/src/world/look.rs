//! What the world looks at after every step, and what it tells of everybody.

use std::sync::PoisonError;

use swarm_core::election::Record;

use super::World;
use super::hosts::Role;
use crate::property::Property;
use crate::trace::{HostId, Kind};

/// What was seen at the last look.
#[derive(Clone, Debug, Default)]
pub(super) struct Looks {
    acting: Vec<(HostId, u64)>,
}

impl World {
    /// Looks at everything, between two steps.
    pub(super) fn look(&mut self) {
        let now = self.now();
        self.bury();
        self.tend_guards();
        self.look_for_panics();
        self.look_who_acts(now);
        self.look_at_the_record(now);
        self.tell_ledger(now);
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.look(now, &self.engines);
        if let Some(violation) = ledger.take_violation() {
            self.witness.lock().judge.fail(violation);
        }
    }

    fn look_for_panics(&self) {
        for slot in &self.slots {
            for words in slot.platform.gate().panics() {
                let what = format!("a task of {} panicked: {words}", slot.name);
                self.witness.broken(Property::NoPanic, "task", what);
            }
        }
    }

    fn look_who_acts(&mut self, now: u64) {
        let mut acting: Vec<(HostId, u64)> = Vec::new();
        for manager in &self.managers {
            let seat = manager.seat.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(authority) = seat.as_ref().and_then(|elector| elector.acting()) {
                acting.push((manager.id, authority.epoch));
            }
        }
        let mut witness = self.witness.lock();
        if acting != self.looks.acting {
            let before = std::mem::take(&mut self.looks.acting);
            for (id, epoch) in before.iter().filter(|one| !acting.contains(one)) {
                witness.note(*id, Kind::Idle, *epoch, 0, String::new);
            }
            for (id, epoch) in acting.iter().filter(|one| !before.contains(one)) {
                witness.note(*id, Kind::Acting, *epoch, 0, String::new);
            }
        }
        witness.judge.look(now, &acting);
        drop(witness);
        self.looks.acting = acting;
    }

    /// A released record: its epoch must dispatch nothing any more.
    fn look_at_the_record(&mut self, now: u64) {
        let Some(value) = self.stores.news_of_lease() else {
            return;
        };
        if let Ok(record) = Record::parse(&value)
            && record.released
        {
            self.witness().judge.released(now, record.epoch);
        }
    }

    /// The part a host plays and how it is at the moment, for the coverage matrix.
    pub(super) fn standing(&self, id: HostId) -> (&'static str, &'static str) {
        let Some(slot) = self.slot(id) else {
            return ("nobody", "down");
        };
        let up = if slot.running { "up" } else { "down" };
        match slot.role {
            Role::Manager(_) => self.manager_standing(id),
            Role::Store(n) => {
                let server = usize::from(n).saturating_sub(1);
                let leads = self.stores.leader() == Some(server);
                let role = if leads { "store-leader" } else { "store" };
                (
                    role,
                    if self.stores.is_away(server) {
                        "down"
                    } else {
                        "up"
                    },
                )
            }
            Role::Guard(_) => ("guard", up),
            Role::Engine(_) => ("engine", up),
            Role::Agent(_) => ("agent", up),
            Role::Client(_) => ("client", up),
        }
    }

    fn manager_standing(&self, id: HostId) -> (&'static str, &'static str) {
        let manager = self.managers.iter().find(|manager| manager.id == id);
        let seat = manager.and_then(|manager| {
            let seat = manager.seat.lock().unwrap_or_else(PoisonError::into_inner);
            seat.clone()
        });
        let Some(elector) = seat else {
            let starting = self.is_running(id);
            return ("replica", if starting { "starting" } else { "down" });
        };
        let view = elector.view();
        let view = view.borrow();
        if elector.acting().is_some() {
            ("primary", "acting")
        } else if view.authority.is_some() {
            ("primary", "lapsed")
        } else if view.leader.is_some() {
            ("replica", "following")
        } else {
            ("replica", "leaderless")
        }
    }

    /// What every manager waits for.
    pub(super) fn pending_reasons(&self) -> Vec<String> {
        let mut reasons: Vec<String> = self
            .managers
            .iter()
            .filter_map(|manager| {
                let name = &self.slot(manager.id)?.name;
                let (role, standing) = self.manager_standing(manager.id);
                let running = manager
                    .manager
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone();
                let Some(running) = running else {
                    return Some(format!("{name}: {standing}"));
                };
                let view = running.elector().map(|elector| elector.view());
                let leader = view.and_then(|view| {
                    let view = view.borrow();
                    let leader = view.leader.as_ref()?;
                    Some(format!("{} (epoch {})", leader.address, leader.epoch))
                });
                let leader = leader.unwrap_or_else(|| "nobody".to_owned());
                let held = running.proxy().stats().held;
                Some(format!(
                    "{name}: {role}, {standing}; leads to {leader}; holds {held} requests"
                ))
            })
            .collect();
        for slot in &self.slots {
            if matches!(slot.role, Role::Client(_)) {
                let served = self.ledger().served(slot.id);
                reasons.push(format!("{}: served {served} times", slot.name));
            }
        }
        reasons.extend(self.ledger().pending());
        reasons
    }
}
