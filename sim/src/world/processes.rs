//! Starting and ending processes.

use swarm::platform::BoxFuture;
use swarm_core::testbed::{Mutant, planted};

use super::World;
use super::hosts::{Role, Slot};
use crate::property::Property;
use crate::trace::{HostId, Kind};

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    Itself,
    /// Killed.
    Killed,
    /// Its machine has no power: nothing is sent any more.
    Dark,
}

impl World {
    pub(super) fn slot(&self, id: HostId) -> Option<&Slot> {
        self.slots.get(usize::from(id))
    }

    pub(super) fn slot_mut(&mut self, id: HostId) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(id))
    }

    pub(super) fn id_of(&self, role: Role) -> Option<HostId> {
        let found = self.slots.iter().find(|slot| slot.role == role);
        found.map(|slot| slot.id)
    }

    /// The host and whoever lives on the same machine.
    pub(super) fn machine(&self, id: HostId) -> Vec<HostId> {
        let housemate = self
            .slot(id)
            .and_then(|slot| slot.role.housemate())
            .and_then(|role| self.id_of(role));
        [Some(id), housemate].into_iter().flatten().collect()
    }

    pub(super) fn is_running(&self, id: HostId) -> bool {
        self.slot(id).is_some_and(|slot| slot.running)
    }

    /// Ends a process, if it runs. Its sockets are closed by the kernel, unless there is no power.
    pub(super) fn end_process(&mut self, id: HostId, end: End) {
        let Some(slot) = self.slot_mut(id).filter(|slot| slot.running) else {
            return;
        };
        slot.running = false;
        slot.platform.gate().process_ends();
        // That it ended is known: it need not tell.
        slot.over.take();
        let (name, role) = (slot.name.clone(), slot.role);
        self.sim.crash(name.as_str());
        if let Some(manager) = self.managers.iter().find(|manager| manager.id == id) {
            manager.clear();
            // The pipe has ended: its guard has something to do.
            let (guard, duty) = (manager.guard, manager.post.take());
            if let Some(duty) = duty {
                self.rouse(guard, duty);
            }
        }
        if matches!(role, Role::Client(_)) {
            self.ledger().client_gone(id);
        }
        let how = match end {
            End::Itself => 0,
            End::Killed => 1,
            End::Dark => 2,
        };
        if role.is_told() {
            self.witness.note(id, Kind::Ended, how, 0);
        }
    }

    /// Gives something to do to a host that is there only when it has.
    pub(super) fn rouse(&mut self, id: HostId, duty: BoxFuture<'static, ()>) {
        self.start_process(id);
        if let Some(slot) = self.slot(id) {
            slot.platform.gate().submit(duty);
        }
    }

    /// Lets guards sleep that have nothing to do: an idle host costs as much time as a busy one.
    pub(super) fn tend_guards(&mut self) {
        let hasty = planted(Mutant::GuardReleasesTheLiving);
        for index in 0..self.managers.len() {
            let Some(manager) = self.managers.get(index) else {
                return;
            };
            let guard = manager.guard;
            if hasty && let Some(duty) = manager.post.take() {
                self.rouse(guard, duty);
            }
            let idle = self
                .slot(guard)
                .is_some_and(|slot| slot.running && slot.platform.gate().is_idle());
            if idle {
                self.end_process(guard, End::Itself);
            }
        }
    }

    /// Starts a process, if it does not run.
    pub(super) fn start_process(&mut self, id: HostId) {
        let Some(slot) = self.slot_mut(id).filter(|slot| !slot.running) else {
            return;
        };
        slot.running = true;
        let name = slot.name.clone();
        self.sim.bounce(name.as_str());
    }

    /// Fault `fault` keeps the process down from now on.
    pub(super) fn keep_down(&mut self, id: HostId, fault: u32, end: End) {
        if let Some(slot) = self.slot_mut(id) {
            slot.down_by.insert(fault);
        }
        self.end_process(id, end);
    }

    /// Fault `fault` is over: the process starts if nothing else keeps it down.
    pub(super) fn let_up(&mut self, id: HostId, fault: u32) {
        let Some(slot) = self.slot_mut(id) else {
            return;
        };
        let concerned = slot.down_by.remove(&fault);
        if concerned && slot.down_by.is_empty() && slot.role.is_told() {
            // One that is still about to end starts when it has ended.
            self.start_process(id);
        }
    }

    /// Looks for processes that ended by themselves: those that were told to are started anew when they may.
    pub(super) fn bury(&mut self) {
        let over: Vec<(HostId, Result<(), String>)> = self
            .slots
            .iter()
            .filter_map(|slot| Some((slot.id, slot.over.take()?)))
            .collect();
        for (id, how) in over {
            self.end_process(id, End::Itself);
            match how {
                Ok(()) => {
                    if self.slot(id).is_some_and(|slot| slot.down_by.is_empty()) {
                        self.start_process(id);
                    }
                }
                Err(problem) => {
                    let name = self.slot(id).map_or("", |slot| &slot.name);
                    let what = format!("{name} ended by itself: {problem}");
                    self.witness.broken(Property::NoPanic, "ended", what);
                }
            }
        }
    }
}
