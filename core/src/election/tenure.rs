//! Holding the lease: renewing it, losing it, giving it up.

use std::time::Duration;

use super::attempts::Attempt;
use super::failsafe::Backing;
use super::knowledge::Proof;
use super::lease::{Authority, beat_interval, operation_timeout};
use super::notices::{LossReason, Notice};
use super::record::{Reading, Record, Version};
use super::{Effect, Election, Resignation, UNANSWERED};
use crate::machine::{Effects, Wake};
use crate::testbed::{Mark, Mutant, planted, reach};
use crate::time::Mono;

/// How long dispatched mutations may flush before the lease is released.
const FLUSH_TIME: Duration = Duration::from_millis(50);
/// Renewals in flight at once.
const IN_FLIGHT_MAX: usize = 2;

/// What a manager is in the election.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tenure {
    /// It follows.
    Replica,
    /// The record is its own: it acts until the lease ends, and resumes if it can renew afterwards.
    Holding(Holding),
    /// It gave its epoch up and tells the store.
    Releasing(Releasing),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    pub(super) epoch: u64,
    pub(super) until: Mono,
    pub(super) beat: u64,
    pub(super) next_beat: Mono,
    pub(super) since: Mono,
    pub(super) backing: Backing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Releasing {
    pub(super) epoch: u64,
    /// Dispatched mutations have until then.
    pub(super) flush_by: Mono,
    /// By then the lease has ended by itself.
    pub(super) give_up: Mono,
}

impl Tenure {
    pub(super) fn authority(&self) -> Option<Authority> {
        match self {
            Self::Holding(holding) => Some(Authority {
                epoch: holding.epoch,
                until: holding.until,
            }),
            Self::Replica | Self::Releasing(_) => None,
        }
    }
}

impl Election {
    /// A swap of this manager's is known to have been done.
    pub(super) fn granted(
        &mut self,
        attempt: &Attempt,
        version: Version,
        proof: Proof,
        out: &mut Effects<Effect>,
    ) {
        let epoch = attempt.record.epoch;
        let reading = Reading::Present {
            version,
            record: attempt.record.clone(),
        };
        let doubt = self.gate.doubt;
        let before = self
            .knowledge
            .record()
            .filter(|record| !self.is_mine(record))
            .map(|record| record.released);
        self.learn(reading, proof, out);
        if proof == Proof::Hint {
            // An answer that arrives late shows an old version: no reason to doubt the newer one.
            self.gate.doubt = doubt;
        }
        if attempt.record.released
            || (epoch <= self.void_epoch && !planted(Mutant::LateAnswersCount))
        {
            return;
        }
        let held = self
            .tenure
            .authority()
            .map_or(0, |authority| authority.epoch);
        let overtaken = self
            .knowledge
            .record()
            .is_none_or(|record| !self.is_mine(record) || record.epoch != epoch);
        if (epoch < held || overtaken) && !planted(Mutant::OldEpochsCount) {
            return;
        }
        let counted_from = if !planted(Mutant::LeaseFromAnswer) {
            attempt.sent_at
        } else {
            self.now
        };
        let until = counted_from + self.config.lease;
        match &mut self.tenure {
            Tenure::Holding(holding) if holding.epoch == epoch => {
                let lapsed = self.now >= holding.until;
                if lapsed && until > self.now {
                    reach(Mark::LapsedAndResumed);
                }
                let answers = holding.backing.stored(self.now, until, self.config.lease);
                if answers && !lapsed {
                    out.push(Effect::Notify(Notice::FailsafeEnded { epoch }));
                }
                holding.until = holding.until.max(until);
                holding.beat = holding.beat.max(attempt.record.beat);
            }
            Tenure::Holding(_) | Tenure::Replica | Tenure::Releasing(_) => {
                match before {
                    Some(true) => reach(Mark::TookOverReleased),
                    Some(false) => reach(Mark::TookOverLive),
                    None => {}
                }
                self.tenure = Tenure::Holding(Holding {
                    epoch,
                    until,
                    beat: attempt.record.beat,
                    next_beat: attempt.sent_at + beat_interval(self.config.lease),
                    since: self.now,
                    backing: Backing::of(until),
                });
            }
        }
    }

    /// The record is not this manager's any more (or gone): it stops before anything else.
    pub(super) fn conflict_while_holding(&mut self, epoch: u64, out: &mut Effects<Effect>) {
        if planted(Mutant::IgnoresConflict) {
            return;
        }
        let why = match self.knowledge.record() {
            Some(record) if self.is_mine(record) && record.released => LossReason::ReleasedByOther,
            Some(record) if self.is_mine(record) => LossReason::RecordLost,
            Some(record) => LossReason::TakenOver {
                by: record.holder.clone(),
                epoch: record.epoch,
            },
            None => LossReason::RecordLost,
        };
        self.lose(epoch, why, out);
    }

    fn lose(&mut self, epoch: u64, why: LossReason, out: &mut Effects<Effect>) {
        if let Tenure::Holding(holding) = &self.tenure
            && self.now.since(holding.since) > Duration::from_secs(60)
        {
            self.losses = 0;
        }
        if matches!(why, LossReason::TakenOver { .. }) {
            reach(Mark::TakenOver);
        }
        self.tenure = Tenure::Replica;
        self.void_epoch = self.void_epoch.max(epoch);
        self.losses = (self.losses + 1).min(8);
        if !planted(Mutant::NoBackOff) {
            let longest = Duration::from_millis(1_500 << (self.losses - 1).min(3))
                .min(Duration::from_secs(10));
            let pause = self.random.duration(Duration::from_millis(500), longest);
            self.not_before = self.not_before.max(self.now + pause);
        }
        self.lost(why, out);
    }

    pub(super) fn holding_wake(&self, holding: &Holding) -> Option<Wake> {
        let beat = Wake {
            at: self.next_beat(holding),
            why: "renew the lease",
        };
        let lapse = (self.announced.acting()).then_some(Wake {
            at: holding.until,
            why: "the lease ends",
        });
        Wake::earlier(Wake::earlier(Some(beat), lapse), self.round_wake(holding))
    }

    fn next_beat(&self, holding: &Holding) -> Mono {
        let patience = operation_timeout(self.config.lease);
        let due = holding.next_beat.max(self.retry_at);
        let mut in_flight = self.attempts.in_flight(holding.epoch, self.now - patience);
        match (in_flight.next(), in_flight.nth(IN_FLIGHT_MAX - 2)) {
            (Some(oldest), Some(_)) => due.max(oldest.sent_at + patience),
            _ => due,
        }
    }

    pub(super) fn wake_holding(&mut self, holding: &Holding, out: &mut Effects<Effect>) {
        if self.now >= holding.until && planted(Mutant::LapseIsLoss) {
            self.lose(holding.epoch, LossReason::RecordLost, out);
            return;
        }
        self.begin_round_if_due(holding, out);
        if self.now < self.next_beat(holding) {
            return;
        }
        if planted(Mutant::IgnoresConflict)
            && self
                .knowledge
                .record()
                .is_none_or(|record| !self.is_mine(record))
        {
            self.postpone_beat();
            return;
        }
        let record = self.own_record(holding.epoch, holding.beat + 1, false);
        self.swap(record, out);
        self.postpone_beat();
    }

    /// A renewal met an earlier one of this manager's own: what is left of the lease counts from that one.
    pub(super) fn renew_at_once(&mut self, epoch: u64) {
        let patience = operation_timeout(self.config.lease);
        let mut in_flight = self.attempts.in_flight(epoch, self.now - patience);
        if in_flight.next().is_none()
            && let Tenure::Holding(holding) = &mut self.tenure
            && holding.epoch == epoch
        {
            holding.next_beat = holding.next_beat.min(self.now);
        }
    }

    fn postpone_beat(&mut self) {
        let next = self.now + beat_interval(self.config.lease);
        if let Tenure::Holding(holding) = &mut self.tenure {
            holding.next_beat = next;
            holding.beat += 1;
        }
    }

    pub(super) fn own_record(&mut self, epoch: u64, beat: u64, released: bool) -> Record {
        let cluster = match self.knowledge.cluster() {
            Some(cluster) => cluster.to_owned(),
            None => self.random.hex(16),
        };
        let lease_ms = self.lease_ms();
        let record = Record {
            cluster,
            epoch,
            holder: self.config.advertise.clone(),
            instance: self.config.instance.clone(),
            nonce: self.random.hex(8),
            beat,
            lease_ms,
            released,
            failsafe: false,
            members: Vec::new(),
        };
        record.with_members(&self.members, self.config.failsafe)
    }

    pub(super) fn lease_ms(&self) -> u64 {
        u64::try_from(self.config.lease.as_millis()).unwrap_or(u64::MAX)
    }

    /// Sends a swap that expects the newest version known.
    pub(super) fn swap(&mut self, record: Record, out: &mut Effects<Effect>) {
        let op = self.op();
        let expected = self.knowledge.version();
        let attempt = Attempt {
            op,
            sent_at: self.now,
            known: expected,
            record: record.clone(),
            open: true,
            overdue: false,
        };
        self.attempts.add(attempt);
        self.exposure.sent(&record);
        out.push(Effect::Swap {
            op,
            expected,
            record,
        });
    }

    pub(super) fn resign(&mut self, resignation: Resignation, out: &mut Effects<Effect>) {
        match resignation {
            Resignation::Stop => self.stopped = true,
            Resignation::StepDown if planted(Mutant::StepDownCompetes) => {}
            Resignation::StepDown => {
                self.not_before = self.not_before.max(self.now + self.config.lease);
            }
        }
        // A claim without an answer may yet win: it is given up like a lease.
        let claimed = self
            .attempts
            .any_in_flight(Mono::ZERO)
            .map(|attempt| attempt.record.epoch);
        let held = match &self.tenure {
            Tenure::Holding(holding) => Some(holding.epoch),
            Tenure::Replica => claimed,
            Tenure::Releasing(_) => return,
        };
        let Some(epoch) = held else {
            out.push(Effect::Notify(Notice::Resigned));
            return;
        };
        let was_holding = matches!(self.tenure, Tenure::Holding(_));
        self.void_epoch = self.void_epoch.max(epoch);
        self.tenure = Tenure::Releasing(Releasing {
            epoch,
            flush_by: self.now
                + if was_holding {
                    FLUSH_TIME
                } else {
                    Duration::ZERO
                },
            give_up: self.now + self.config.lease,
        });
        self.retry_at = self.now;
        if was_holding {
            self.lost(LossReason::Resigned, out);
            out.push(Effect::Quiesce);
        } else {
            self.advance_release(out);
        }
    }

    pub(super) fn flushed(&mut self, out: &mut Effects<Effect>) {
        if let Tenure::Releasing(releasing) = &mut self.tenure {
            releasing.flush_by = self.now;
        }
        self.advance_release(out);
    }

    /// Tells the store that the epoch is given up, until it is so or does not matter any more.
    pub(super) fn advance_release(&mut self, out: &mut Effects<Effect>) {
        let Tenure::Releasing(releasing) = self.tenure.clone() else {
            return;
        };
        let patience = operation_timeout(self.config.lease);
        let in_flight = self.attempts.any_in_flight(self.now - patience).is_some();
        let beat = self.live_own_record().map(|record| record.beat);
        if self.now >= releasing.give_up || (beat.is_none() && !in_flight) {
            self.tenure = Tenure::Replica;
            out.push(Effect::Notify(Notice::Resigned));
            return;
        }
        let release_sent = self
            .attempts
            .in_flight(releasing.epoch, self.now - patience)
            .any(|one| one.record.released);
        let (Some(beat), false) = (beat, release_sent) else {
            return;
        };
        if self.now >= releasing.flush_by.max(self.retry_at) {
            if self
                .attempts
                .by_epoch(releasing.epoch)
                .any(|one| one.record.released)
            {
                reach(Mark::ReleaseRepeated);
            }
            let record = self.own_record(releasing.epoch, beat + 1, true);
            self.swap(record, out);
            self.retry_at = self.now + UNANSWERED;
        }
    }

    pub(super) fn releasing_wake(&self, releasing: &Releasing) -> Option<Wake> {
        let patience = operation_timeout(self.config.lease);
        let since = self.now - patience;
        let end = Wake {
            at: releasing.give_up,
            why: "the released lease ends",
        };
        let mine = self.live_own_record().is_some();
        let release_sent = self
            .attempts
            .in_flight(releasing.epoch, since)
            .any(|one| one.record.released);
        let next = match self.attempts.any_in_flight(since) {
            Some(attempt) if !mine || release_sent => attempt.sent_at + patience,
            Some(_) | None => releasing.flush_by.max(self.retry_at),
        };
        Wake::earlier(
            Some(end),
            Some(Wake {
                at: next,
                why: "release the lease",
            }),
        )
    }
}
