//! The dispatch gate's queue: one linearizable read confirms the lease for all mutations that waited for it.

use super::OpId;
use super::record::Version;
use crate::time::Mono;

/// Mutations waiting at once; more are turned away.
pub const GATE_MAX: usize = 4_096;

/// One mutation that asks to be dispatched; chosen by the caller, who never uses a number twice.
pub type Ticket = u64;

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
    waiting: Vec<Ticket>,
    /// Served by the read under way.
    verifying: Vec<Ticket>,
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
            self.waiting.push(ticket);
        }
        fits
    }

    /// Forgets a mutation whose client left.
    pub(super) fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|one| *one != ticket);
        self.verifying.retain(|one| *one != ticket);
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
    pub(super) fn end(&mut self) -> Vec<Ticket> {
        self.verify = None;
        std::mem::take(&mut self.verifying)
    }

    /// Lets `tickets` wait for another read, before those that came later.
    pub(super) fn wait_again(&mut self, tickets: Vec<Ticket>) {
        self.waiting.splice(0..0, tickets);
    }

    /// Hands back everyone.
    pub(super) fn empty(&mut self) -> Vec<Ticket> {
        let mut all = std::mem::take(&mut self.verifying);
        all.append(&mut self.waiting);
        all
    }
}
