//! The dispatch gate's queue: one linearizable read confirms the lease for all mutations that waited for it.

use std::time::Duration;

use super::knowledge::Proof;
use super::lease::operation_timeout;
use super::record::{Reading, Version};
use super::tenure::Tenure;
use super::{Effect, Election, Fence, OpId};
use crate::machine::{Effects, Wake};
use crate::testbed::{Mark, Mutant, planted, reach};
use crate::time::Mono;

/// Mutations waiting at once; more are turned away.
pub const GATE_MAX: usize = 4_096;

/// One mutation that asks to be dispatched; chosen by the caller, who never uses a number twice.
pub type Ticket = u64;

/// How many mutations had arrived at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Arrivals(u64);

/// A mutation in the queue, with how many had arrived before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Queued {
    ticket: Ticket,
    before: Arrivals,
}

/// A linearizable read under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verify {
    pub(super) op: OpId,
    /// The newest version known when it began.
    pub(super) known: Option<Version>,
    /// An answer after this is too late to wait for.
    pub(super) until: Mono,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gate {
    /// Arrived after the read under way began: they need the next one.
    waiting: Vec<Queued>,
    /// Served by the read under way.
    verifying: Vec<Queued>,
    arrivals: Arrivals,
    pub(super) verify: Option<Verify>,
    /// A reading made it doubtful what the store holds.
    pub(super) doubt: bool,
    pub(super) retry_at: Mono,
}

impl Gate {
    /// Takes `ticket` in; false when the queue is full.
    pub(super) fn join(&mut self, ticket: Ticket) -> bool {
        let fits = self.waiting.len() + self.verifying.len() < GATE_MAX;
        if fits {
            let before = self.arrivals;
            self.waiting.push(Queued { ticket, before });
            self.arrivals.0 += 1;
        }
        fits
    }

    /// Forgets a mutation whose client left.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|one| one.ticket != ticket);
        self.verifying.retain(|one| one.ticket != ticket);
    }

    pub(super) fn arrivals(&self) -> Arrivals {
        self.arrivals
    }

    /// Whether one waits that came after `seen`.
    pub(super) fn arrived_after(&self, seen: Arrivals) -> bool {
        let last = |queue: &[Queued]| queue.last().is_some_and(|one| one.before >= seen);
        last(&self.waiting) || last(&self.verifying)
    }

    /// Takes those out that had arrived by `seen`.
    pub(super) fn take_arrived_by(&mut self, seen: Arrivals) -> Vec<Ticket> {
        let mut taken = Vec::new();
        for queue in [&mut self.verifying, &mut self.waiting] {
            taken.extend(queue.extract_if(.., |one| one.before < seen));
        }
        tickets(taken)
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Begins a read that serves everyone waiting now.
    pub(super) fn begin(&mut self, verify: Verify) {
        self.verify = Some(verify);
        self.doubt = false;
        self.verifying.append(&mut self.waiting);
    }

    /// Ends the read under way and hands back those it served.
    fn end(&mut self) -> Vec<Queued> {
        self.verify = None;
        std::mem::take(&mut self.verifying)
    }

    /// Lets `tickets` wait for another read, before those that came later.
    fn wait_again(&mut self, served: Vec<Queued>) {
        self.waiting.splice(0..0, served);
    }

    /// Hands back everyone.
    pub(super) fn empty(&mut self) -> Vec<Ticket> {
        let mut all = std::mem::take(&mut self.verifying);
        all.append(&mut self.waiting);
        tickets(all)
    }
}

fn tickets(queued: Vec<Queued>) -> Vec<Ticket> {
    queued.into_iter().map(|one| one.ticket).collect()
}

impl Election {
    pub(super) fn verified(
        &mut self,
        op: OpId,
        reading: Option<Reading>,
        out: &mut Effects<Effect>,
    ) {
        let Some(verify) = self.gate.verify.filter(|verify| verify.op == op) else {
            reach(Mark::StaleAnswer);
            self.stale_answers += 1;
            return;
        };
        let served = self.gate.end();
        let Some(reading) = reading else {
            self.verify_failed(served);
            return;
        };
        self.contact.succeeded(self.now);
        let confirmed = reading
            .record()
            .filter(|record| self.is_mine(record) && !record.released)
            .map(|record| record.epoch);
        self.learn(
            reading,
            Proof::Linearizable {
                known: verify.known,
            },
            out,
        );
        match (self.authority(self.now), confirmed) {
            (Some(authority), Some(epoch)) if authority.epoch == epoch => {
                if !served.is_empty() {
                    let tickets = tickets(served);
                    out.push(Effect::Open { tickets, epoch });
                }
            }
            // Lapsed, or the read was overtaken: they wait; a loss refuses them in `settle`.
            _ => self.gate.wait_again(served),
        }
    }

    fn verify_failed(&mut self, served: Vec<Queued>) {
        self.contact.failed();
        self.gate.wait_again(served);
        let pause = self
            .random
            .duration(Duration::from_millis(50), Duration::from_millis(150));
        self.gate.retry_at = self.now + pause;
    }

    pub(super) fn arrived(&mut self, ticket: Ticket, out: &mut Effects<Effect>) {
        let holds = matches!(self.tenure, Tenure::Holding(_));
        match self.authority(self.now) {
            Some(authority)
                if self.config.fence == Fence::Lease || planted(Mutant::SkipsVerify) =>
            {
                out.push(Effect::Open {
                    tickets: vec![ticket],
                    epoch: authority.epoch,
                });
            }
            _ if holds && self.gate.join(ticket) => {}
            _ => {
                reach(Mark::GateRefused);
                out.push(Effect::Refuse {
                    tickets: vec![ticket],
                });
            }
        }
    }

    /// What follows from any step: waiting mutations, reads that are wanted, news.
    pub(super) fn settle(&mut self, out: &mut Effects<Effect>) {
        if !matches!(self.tenure, Tenure::Holding(_)) {
            let tickets = self.gate.empty();
            if !tickets.is_empty() {
                reach(Mark::GateRefused);
                out.push(Effect::Refuse { tickets });
            }
        }
        if self
            .gate
            .verify
            .is_some_and(|verify| self.now >= verify.until)
        {
            let served = self.gate.end();
            self.verify_failed(served);
        }
        if self.wants_verify() && self.gate.verify.is_none() && self.now >= self.gate.retry_at {
            let op = self.op();
            let until = self.now + operation_timeout(self.config.lease) * 2;
            self.gate.begin(Verify {
                op,
                known: self.knowledge.version(),
                until,
            });
            out.push(Effect::Verify { op });
        }
        self.announce(out);
    }

    pub(super) fn wants_verify(&self) -> bool {
        self.gate.doubt || (self.gate.has_waiting() && self.authority(self.now).is_some())
    }

    pub(super) fn verify_wake(&self) -> Option<Wake> {
        match self.gate.verify {
            Some(verify) => Some(Wake {
                at: verify.until,
                why: "verify unanswered",
            }),
            None if self.wants_verify() => Some(Wake {
                at: self.gate.retry_at,
                why: "verify again",
            }),
            None => None,
        }
    }
}
