//! The election: a lease in the store, advanced by compare-and-swap (DESIGN section 3, rules in HA.md section 7.3).
//!
//! [`Election`] is the state machine of one manager. It is told what reads and swaps brought, and says which swaps to
//! send, which mutations may leave, and what changed. At most one manager acts at any true instant as long as clock
//! rates err by at most [`lease::CLOCK_RATE_ERROR_PER_MILLE`] and the store does not forget committed writes: the
//! holder stops one lease after *sending* its last successful swap, and a successor waits longer than that after it
//! *learnt* of that very version, which its own swap then names.
//! Where the record is failsafe, promises of all its members may stand in for the store's answers: see `failsafe`.

use std::time::Duration;

use crate::address::HostPort;
use crate::machine::{Digest, Effects, Machine, Wake};
use crate::rng::Random;
use crate::testbed::{Mark, Mutant, planted, reach};
use crate::time::Mono;

mod attempts;
mod contact;
mod failsafe;
mod gate;
mod io;
mod knowledge;
pub mod lease;
mod notices;
mod promise;
mod record;
mod replica;
mod tenure;
#[cfg(test)]
mod tests;

pub use failsafe::Failsafe;
pub use gate::{GATE_MAX, Ticket};
pub use io::{Effect, ElectionConfig, Fence, Input, OpId, Resignation};
pub use lease::Authority;
pub use notices::{LossReason, Notice};
pub use promise::{Asker, PROMISE_BYTES_MAX, PromiseGrant, PromiseRequest, Refusal};
pub use record::{LEASE_MS_MAX, Reading, Record, RecordError, SwapOutcome, Version, release_for};

use attempts::{Attempt, Attempts};
use contact::Contact;
use failsafe::Exposure;
use gate::Gate;
use knowledge::{Knowledge, Learnt, Proof};
use notices::Announced;
use promise::Given;
use tenure::Tenure;

/// After a swap was sent, until its answer or the lack of one says more.
const UNANSWERED: Duration = Duration::from_millis(1);

/// Where a manager stands in the election.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A replica that waits.
    Following,
    /// A replica whose swap is under way.
    Claiming,
    /// The acting primary.
    Acting,
    /// The record is its own, the lease has ended.
    Lapsed,
    /// It gives the lease up.
    Releasing,
}

impl Standing {
    /// Every standing.
    pub const ALL: [Self; 5] = [
        Self::Following,
        Self::Claiming,
        Self::Acting,
        Self::Lapsed,
        Self::Releasing,
    ];
}

/// The election as seen by one manager. See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    config: ElectionConfig,
    random: Random,
    now: Mono,
    next_op: u64,
    knowledge: Knowledge,
    tenure: Tenure,
    attempts: Attempts,
    gate: Gate,
    members: Vec<HostPort>,
    /// Answers for this epoch and earlier ones count for nothing.
    void_epoch: u64,
    /// No claim before this: a step-down or a loss against this manager's will.
    not_before: Mono,
    losses: u32,
    /// No swap before this: the store answered with errors.
    retry_at: Mono,
    errors: u32,
    contact: Contact,
    exposure: Exposure,
    /// The promise given last.
    given: Option<Given>,
    /// The epoch up to which it was said that the record does not list this manager.
    unlisted_told: u64,
    stopped: bool,
    announced: Announced,
    stale_answers: u64,
}

impl Election {
    /// A manager that knows nothing yet. `random` is its own stream.
    #[must_use]
    pub fn new(config: ElectionConfig, random: Random) -> Self {
        Self {
            members: vec![config.advertise.clone()],
            config,
            random,
            now: Mono::ZERO,
            next_op: 0,
            knowledge: Knowledge::default(),
            tenure: Tenure::Replica,
            attempts: Attempts::default(),
            gate: Gate::default(),
            void_epoch: 0,
            not_before: Mono::ZERO,
            losses: 0,
            retry_at: Mono::ZERO,
            errors: 0,
            contact: Contact::default(),
            exposure: Exposure::default(),
            given: None,
            unlisted_told: 0,
            stopped: false,
            announced: Announced::default(),
            stale_answers: 0,
        }
    }

    /// Where this manager stands in the election at `now`: what the testbed's coverage counts.
    #[must_use]
    pub fn standing(&self, now: Mono) -> Standing {
        match &self.tenure {
            Tenure::Holding(holding) if now < holding.until => Standing::Acting,
            Tenure::Holding(_) => Standing::Lapsed,
            Tenure::Releasing(_) => Standing::Releasing,
            Tenure::Replica if self.attempts.any_in_flight(Mono::ZERO).is_some() => {
                Standing::Claiming
            }
            Tenure::Replica => Standing::Following,
        }
    }

    /// The right to act, if this manager holds the lease and it has not ended at `now`.
    #[must_use]
    pub fn authority(&self, now: Mono) -> Option<Authority> {
        self.tenure
            .authority()
            .filter(|authority| authority.holds(now))
    }

    /// The authority as of the last input, which the runtime checks against its clock at the last instant.
    #[must_use]
    pub fn current_authority(&self) -> Option<Authority> {
        self.tenure.authority()
    }

    /// The record that names the current primary; `None` if none is known or it gave the lease up.
    #[must_use]
    pub fn primary(&self) -> Option<&Record> {
        self.knowledge.record().filter(|record| !record.released)
    }

    /// The highest epoch seen; 0 before the first.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.knowledge.highest_epoch()
    }

    /// The cluster's name, once a record has shown it.
    #[must_use]
    pub fn cluster(&self) -> Option<&str> {
        self.knowledge.cluster()
    }

    /// This manager's process in the record.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.config.instance
    }

    /// How many answers came for operations nobody waited for.
    #[must_use]
    pub fn stale_answers(&self) -> u64 {
        self.stale_answers
    }

    fn op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op)
    }

    /// The newest record, if it is this manager's and not given up.
    fn live_own_record(&self) -> Option<&Record> {
        let record = self.knowledge.record()?;
        (self.is_mine(record) && !record.released).then_some(record)
    }

    fn is_mine(&self, record: &Record) -> bool {
        record.instance == self.config.instance
    }

    fn advance(&mut self, now: Mono) {
        self.now = self.now.max(now);
    }

    /// Takes a reading in and draws the consequences.
    fn learn(&mut self, reading: Reading, proof: Proof, out: &mut Effects<Effect>) -> Learnt {
        let stagger = self.stagger();
        let learnt = self.knowledge.note(self.now, reading, proof, stagger);
        match learnt {
            Learnt::Nothing => {}
            Learnt::Doubt => self.gate.doubt = true,
            Learnt::News => {
                self.exposure.known(self.knowledge.record());
                self.react_to_news(out);
            }
        }
        learnt
    }

    fn react_to_news(&mut self, out: &mut Effects<Effect>) {
        self.notice_trouble(out);
        if let Some(record) = self.knowledge.record()
            && !self.is_mine(record)
            && !planted(Mutant::OldEpochsCount)
        {
            self.void_epoch = self.void_epoch.max(record.epoch);
        }
        match &self.tenure {
            Tenure::Holding(holding) => {
                let epoch = holding.epoch;
                let mine = self.live_own_record().is_some();
                if !mine {
                    self.conflict_while_holding(epoch, out);
                }
            }
            Tenure::Replica => {
                if planted(Mutant::BelievesReads) {
                    self.believe_what_is_read();
                }
            }
            Tenure::Releasing(_) => self.advance_release(out),
        }
    }

    /// An answer to a swap of this manager's.
    fn swapped(&mut self, op: OpId, outcome: SwapOutcome, out: &mut Effects<Effect>) {
        let Some(attempt) = self.attempts.close(op) else {
            reach(Mark::StaleAnswer);
            self.stale_answers += 1;
            return;
        };
        match outcome {
            SwapOutcome::Swapped(version) => {
                self.contact.succeeded(self.now);
                self.attempts.forget(op);
                self.note_success();
                self.granted(&attempt, version, Proof::Hint, out);
            }
            SwapOutcome::Conflict(None) => {
                self.attempts.forget(op);
                self.gate.doubt = true;
                if attempt.known == self.knowledge.version() {
                    self.bar_promises();
                }
                self.note_failure();
            }
            SwapOutcome::Conflict(Some(reading)) => {
                self.contact.succeeded(self.now);
                self.attempts.forget(op);
                self.note_success();
                self.conflicted(&attempt, reading, out);
            }
            SwapOutcome::NotApplied => {
                self.attempts.forget(op);
                self.note_failure();
            }
            SwapOutcome::Unknown => {
                // It may have been done: its nonce stays, in case a conflict shows it.
                if planted(Mutant::ForgetsNonces) {
                    self.attempts.forget(op);
                }
                self.note_failure();
            }
        }
        self.advance_release(out);
    }

    fn conflicted(&mut self, attempt: &Attempt, reading: Reading, out: &mut Effects<Effect>) {
        let proof = Proof::Linearizable {
            known: attempt.known,
        };
        let earlier = reading
            .record()
            .and_then(|record| self.attempts.by_nonce(&record.nonce));
        match (earlier, reading.version()) {
            (Some(earlier), Some(version)) => {
                reach(Mark::OwnSwapRecognised);
                self.attempts.forget(earlier.op);
                self.granted(&earlier, version, proof, out);
            }
            _ => {
                let foreign = reading.record().is_none_or(|record| !self.is_mine(record));
                let news = self.learn(reading, proof, out) == Learnt::News;
                if !news && self.knowledge.version() == attempt.known {
                    self.note_failure();
                }
                if self.live_own_record().is_none() {
                    self.bar_promises();
                }
                // Since this swap was sent the record was not ours, whatever was heard in between.
                let epoch = attempt.record.epoch;
                if foreign
                    && self
                        .tenure
                        .authority()
                        .is_some_and(|authority| authority.epoch == epoch)
                {
                    self.conflict_while_holding(epoch, out);
                }
            }
        }
        if self.knowledge.version() != attempt.known {
            self.renew_at_once(attempt.record.epoch);
        }
    }

    /// Until the store takes a renewal nothing is known of what it holds that promises could rest on.
    fn bar_promises(&mut self) {
        if let Tenure::Holding(holding) = &mut self.tenure {
            holding.backing.barred = true;
        }
    }

    fn note_success(&mut self) {
        self.errors = 0;
        self.retry_at = self.now;
    }

    /// Backs off between 100 ms and 2 s, with jitter; a holder never longer than its beat.
    fn note_failure(&mut self) {
        self.contact.failed();
        self.errors = (self.errors + 1).min(16);
        let ceiling = Duration::from_millis(100 << self.errors.min(5)).min(Duration::from_secs(2));
        let pause = self.random.duration(Duration::from_millis(100), ceiling);
        let longest = match self.tenure {
            Tenure::Holding(_) | Tenure::Releasing(_) => lease::beat_interval(self.config.lease),
            Tenure::Replica => Duration::from_secs(2),
        };
        // Two attempts that fail one after the other delay the next one once. An answer may come sooner than `UNANSWERED`.
        if self.retry_at <= self.now + UNANSWERED {
            self.retry_at = self.now + pause.min(longest);
        }
    }
}

impl Machine for Election {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Mono, input: Input, out: &mut Effects<Effect>) {
        self.advance(now);
        match input {
            Input::Observed(reading) => {
                self.contact.heard(self.now);
                self.learn(reading, Proof::Hint, out);
            }
            Input::ObserveFailed => self.contact.failed(),
            Input::Swapped(op, outcome) => self.swapped(op, outcome, out),
            Input::Verified(op, reading) => self.verified(op, reading, out),
            Input::Arrived(ticket) => self.arrived(ticket, out),
            Input::Left(ticket) => self.gate.leave(ticket),
            Input::Members(members) => self.members = members,
            Input::PromiseAsked(asker, request) => self.asked(asker, &request, out),
            Input::Promised(round, member, granted) => {
                self.promised(round, &member, granted, out);
            }
            Input::Resign(resignation) => self.resign(resignation, out),
            Input::Flushed => self.flushed(out),
        }
        self.settle(out);
    }

    fn wake_at(&self) -> Option<Wake> {
        let own = match &self.tenure {
            Tenure::Holding(holding) => self.holding_wake(holding),
            Tenure::Releasing(releasing) => self.releasing_wake(releasing),
            Tenure::Replica => self.claim_wake(),
        };
        Wake::earlier(own, self.verify_wake())
    }

    fn wake(&mut self, now: Mono, out: &mut Effects<Effect>) {
        self.advance(now);
        match self.tenure.clone() {
            Tenure::Holding(holding) => self.wake_holding(&holding, out),
            Tenure::Releasing(_) => self.advance_release(out),
            Tenure::Replica => {}
        }
        if self.tenure == Tenure::Replica {
            self.claim_if_due(out);
        }
        self.settle(out);
    }

    fn digest(&self) -> u64 {
        Digest::of(self)
    }
}
