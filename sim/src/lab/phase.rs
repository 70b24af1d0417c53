//! The parts of a run: warm-up, faults, recovery, drill, proof.

use swarm_core::machine::Machine;

use super::event::Event;
use super::manager::Leads;
use super::{Lab, MS};
use crate::plan::{Host, Step};
use crate::property::Property;
use crate::trace::HostId;

/// How often the lab looks after its phases.
const TICK: u64 = 50 * MS;
/// What must be answered after the proof has this long.
const CLOSING: u64 = 25_000 * MS;
/// A drill lasts at least so long.
const DRILL: u64 = 1_500 * MS;
/// After the faults back-offs and waits of their own may still run.
const SETTLE: u64 = 12_000 * MS;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Until there is a primary, and for a while after.
    WarmUp,
    Faults,
    /// Everybody must be well by then.
    Recovery {
        by: u64,
        drill_from: u64,
        proof_from: u64,
    },
    Drill {
        until: u64,
    },
    AfterDrill {
        by: u64,
    },
    /// Requests from this one on must succeed.
    Proof {
        until: u64,
        first: usize,
    },
    Closing {
        by: u64,
        first: usize,
    },
}

/// When the phases come.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    warm: Option<u64>,
    faults_end: u64,
}

impl Phase {
    pub(super) fn asks(&self) -> bool {
        !matches!(self, Self::Closing { .. })
    }

    /// Whether answers of the store get lost.
    pub(super) fn has_loss(&self) -> bool {
        matches!(self, Self::WarmUp | Self::Faults)
    }

    /// Whether the request must succeed.
    pub(super) fn proves(&self, request: usize) -> bool {
        match self {
            Self::Proof { first, .. } | Self::Closing { first, .. } => request >= *first,
            Self::WarmUp
            | Self::Faults
            | Self::Recovery { .. }
            | Self::Drill { .. }
            | Self::AfterDrill { .. } => false,
        }
    }
}

impl Lab<'_> {
    /// Called whenever somebody begins or ends to act.
    pub(super) fn first_primary(&mut self) {
        if self.schedule.warm.is_some() || self.acting.is_empty() {
            return;
        }
        let phases = self.plan.phases;
        let warm = self.now + phases.warm_up_ms * MS;
        let faults = phases.faults_ms.max(self.plan.faults_end_ms()) * MS;
        self.schedule = Schedule {
            warm: Some(warm),
            faults_end: warm + faults,
        };
        self.quiet_since = self.now;
        self.judge.calm(self.now, true);
        let steps: Vec<Step<'_>> = self.plan.steps();
        for (number, step) in steps.iter().enumerate() {
            self.at(warm + step.at_ms * MS, Event::Step(number));
        }
    }

    pub(super) fn tick(&mut self) {
        self.after(TICK, Event::Tick);
        self.history.check_waiting(self.now);
        self.clients_lose_patience();
        self.check_load();
        let now = self.now;
        match self.phase {
            Phase::WarmUp => self.warm_up(),
            Phase::Faults if now >= self.schedule.faults_end => self.faults_are_over(),
            Phase::Recovery {
                by,
                drill_from,
                proof_from,
            } => self.recover(by, drill_from, proof_from),
            Phase::Drill { until } if now >= until && !self.judge.drilling() => self.drill_ends(),
            Phase::AfterDrill { by } => {
                if self.settled(by) {
                    self.prove();
                }
            }
            Phase::Proof { until, first } if now >= until => {
                let by = now + CLOSING;
                self.phase = Phase::Closing { by, first };
            }
            Phase::Closing { by, .. } => self.close(by),
            Phase::Faults | Phase::Drill { .. } | Phase::Proof { .. } => {}
        }
    }

    fn warm_up(&mut self) {
        let lease = self.plan.knobs.lease_ms * MS;
        match self.schedule.warm {
            Some(warm) if self.now >= warm => {
                self.phase = Phase::Faults;
                if self.now >= self.schedule.faults_end {
                    self.faults_are_over();
                }
            }
            None if self.now > 30_000 * MS + lease * 4 => {
                self.not_well("start", "there was never a primary");
            }
            Some(_) | None => {}
        }
    }

    fn faults_are_over(&mut self) {
        let wait = self.plan.phases.recovery_ms * MS;
        let settle = if self.plan.faults.is_empty() && self.plan.knobs.loss_per_mille == 0 {
            0
        } else {
            if !self.plan.faults.is_empty() {
                self.judge.calm(self.now, false);
            }
            SETTLE + self.plan.knobs.lease_ms * MS * 2
        };
        self.phase = Phase::Recovery {
            by: self.now + wait,
            drill_from: self.now + settle,
            // Operations whose answers got lost may still be waited for.
            proof_from: self.now + self.operation_ns() * 2 + 500 * MS,
        };
    }

    fn recover(&mut self, by: u64, drill_from: u64, proof_from: u64) {
        if !self.settled(by) {
            return;
        }
        match &self.plan.drill {
            Some(_) if self.now < drill_from => {}
            Some(op) => {
                let victim = self.resolve(op.hosts().first().copied().unwrap_or(&Host::Primary));
                let victim = victim.first().copied().unwrap_or(HostId::MAX);
                self.judge.drill_began(self.now, op, victim);
                self.begin_drill();
                self.phase = Phase::Drill {
                    until: self.now + DRILL,
                };
            }
            None if self.now < proof_from => {}
            None => self.prove(),
        }
    }

    fn drill_ends(&mut self) {
        self.end_drill();
        let wait = self.plan.phases.recovery_ms * MS;
        self.phase = Phase::AfterDrill {
            by: self.now + wait,
        };
    }

    fn prove(&mut self) {
        let until = self.now + self.plan.phases.proof_ms * MS;
        let first = self.requests.len();
        self.phase = Phase::Proof { until, first };
    }

    /// Whether one manager acts and all lead there; a violation if that takes longer than `by`.
    fn settled(&mut self, by: u64) -> bool {
        let settled = self.is_settled();
        if !settled && self.now > by {
            let what = format!(
                "not all managers lead to one acting primary: {:?}",
                self.acting
            );
            self.not_well("recovery", &what);
        }
        settled
    }

    fn is_settled(&self) -> bool {
        let &[(host, epoch)] = self.acting.as_slice() else {
            return false;
        };
        self.managers.iter().all(|manager| {
            let leads = match manager.leads {
                Leads::Here(here) => manager.host == host && here == epoch,
                Leads::To(to, there) => to == Some(usize::from(host)) && there == epoch,
                Leads::Nowhere => false,
            };
            manager.runs() && leads
        })
    }

    fn close(&mut self, by: u64) {
        let open = self.clients.iter().any(|client| client.waits_for.is_some());
        if !open {
            let left: usize = self
                .managers
                .iter()
                .map(|manager| manager.proxy.stats().requests)
                .sum();
            // The last answers are on their way to managers that forwarded.
            if left == 0 {
                self.over = true;
            } else if self.now > by {
                let what = format!("{left} requests are left though every client is served");
                self.not_well("", &what);
            }
        } else if self.now > by {
            self.not_well("proof", "a client has no answer though all is well");
        }
    }

    /// Says what everybody waits for.
    fn not_well(&mut self, aspect: &str, what: &str) {
        for (index, manager) in self.managers.iter().enumerate() {
            let local = manager.clock.local(self.now);
            let standing = manager.election.standing(local);
            let waits = |wake: Option<swarm_core::machine::Wake>| {
                wake.map_or_else(
                    || "nothing".to_owned(),
                    |wake| format!("{} in {:?}", wake.why, wake.at.since(local)),
                )
            };
            self.pending.push(format!(
                "m{} (up {}, {standing:?}, leads {:?}): election waits for {}; proxy for {}; {:?}",
                index + 1,
                manager.runs(),
                manager.leads,
                waits(manager.election.wake_at()),
                waits(manager.proxy.wake_at()),
                manager.proxy.stats(),
            ));
        }
        for manager in &self.managers {
            for job in manager.jobs() {
                self.pending.push(format!("{job:?}"));
            }
        }
        self.pending.push(format!(
            "store: leader {:?}, {:?}",
            self.store.leader,
            self.store.key.current()
        ));
        if aspect.is_empty() {
            self.fail(Property::Leaks, aspect, what.to_owned());
        } else {
            self.fail(Property::Liveness, aspect, what.to_owned());
        }
    }
}
