//! What travels: swaps to the store, answers and hints back, mutations to the engines.

use super::super::lease::operation_timeout;
use super::super::*;
use super::{Event, LEASE, Lab, MS};

impl Lab {
    pub(super) fn send_swap(
        &mut self,
        node: usize,
        op: OpId,
        expected: Option<Version>,
        record: Record,
    ) {
        let life = self.nodes[node].life;
        if self.nodes[node]
            .lost_at
            .take_if(|at| self.now.saturating_sub(*at) < 400 * MS)
            .is_some()
            && !record.released
        {
            self.fail(|| {
                format!("m{node} claims again right after it lost the lease against its will")
            });
        }
        let timeout = operation_timeout(LEASE).as_nanos() as u64;
        if self.now < self.nodes[node].cut_until {
            let outcome = if self.random.chance(500) {
                SwapOutcome::Unknown
            } else {
                SwapOutcome::NotApplied
            };
            self.answer(node, life, timeout, Input::Swapped(op, outcome), None);
            return;
        }
        let delay = self.weather.request_delay();
        self.after(
            delay,
            Event::Swap {
                node,
                life,
                op,
                expected,
                record,
            },
        );
    }

    pub(super) fn store_swap(
        &mut self,
        node: usize,
        life: u64,
        op: OpId,
        expected: Option<Version>,
        record: &Record,
    ) {
        let outcome = self.store.swap(self.now, expected, record);
        if matches!(outcome, SwapOutcome::Swapped(_)) {
            self.tell_everyone();
        }
        let (input, delay) = if self.weather.loses_answer() {
            (
                Input::Swapped(op, SwapOutcome::Unknown),
                operation_timeout(LEASE).as_nanos() as u64,
            )
        } else {
            (Input::Swapped(op, outcome), self.weather.answer_delay())
        };
        self.answer(node, life, delay, input, Some(record.epoch));
    }

    pub(super) fn tell_everyone(&mut self) {
        for node in 0..self.nodes.len() {
            if !self.weather.loses_hint() {
                let (life, reading) = (self.nodes[node].life, self.store.current());
                self.hint(node, life, reading);
            }
        }
    }

    pub(super) fn hint(&mut self, node: usize, life: u64, reading: Reading) {
        if self.now >= self.nodes[node].cut_until && self.now >= self.nodes[node].deaf_until {
            let delay = self.weather.request_delay();
            self.answer(node, life, delay, Input::Observed(reading), None);
        }
    }

    /// A deaf node hears answers only when it hears again.
    pub(super) fn answer(
        &mut self,
        node: usize,
        life: u64,
        delay: u64,
        input: Input,
        about: Option<u64>,
    ) {
        let deaf = self.nodes[node].deaf_until.saturating_sub(self.now);
        let extra = if deaf > 0 {
            self.random.below(3_000 * MS)
        } else {
            0
        };
        self.after(
            delay.max(deaf) + extra,
            Event::Deliver {
                node,
                life,
                input,
                about,
            },
        );
    }

    pub(super) fn mutate(&mut self, node: usize, ticket: Ticket) {
        let life = self.nodes[node].life;
        self.deliver(node, life, Input::Arrived(ticket), None);
        let next = usize::try_from(self.random.below(self.nodes.len() as u64)).unwrap();
        self.after(
            20 * MS,
            Event::Mutate {
                node: next,
                ticket: ticket + 1,
            },
        );
    }

    /// The last instant before a mutation's bytes leave.
    pub(super) fn leave(&mut self, node: usize, life: u64, epoch: u64) {
        let slot = &self.nodes[node];
        if slot.life != life || slot.machine.is_none() {
            return;
        }
        if self.now < slot.paused_until {
            let until = slot.paused_until;
            self.at(until, Event::Leave { node, life, epoch });
            return;
        }
        let machine = slot.machine.as_ref();
        let authority = machine
            .and_then(Election::current_authority)
            .filter(|authority| authority.epoch == epoch);
        let allowed =
            authority.is_some_and(|authority| authority.may_dispatch(slot.local(self.now)));
        if self.broken != Some(Rule::DispatchCheck) && !allowed {
            return;
        }
        self.dispatched += 1;
        if slot.acting(self.now) != Some(epoch) {
            self.fail(|| {
                format!("m{node} dispatched a mutation of epoch {epoch} outside its lease")
            });
        }
    }

    pub(super) fn guard_releases(&mut self, instance: &str) {
        if self.store.release(self.now, instance) {
            self.tell_everyone();
        }
    }
}
