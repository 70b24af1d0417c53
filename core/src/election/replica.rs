//! Following: when a replica may take the lease over.

use std::time::Duration;

use super::failsafe::Backing;
use super::lease::{beat_interval, operation_timeout, takeover_wait};
use super::notices::Notice;
use super::record::{Reading, Record};
use super::tenure::{Holding, Tenure};
use super::{Effect, Election, UNANSWERED};
use crate::machine::{Effects, Wake};
use crate::testbed::{Mark, Mutant, planted, reach};
use crate::time::Mono;

/// Between the claims of two managers that see a free record at the same moment.
const STAGGER: Duration = Duration::from_millis(5);

impl Election {
    /// The next claim, if this manager may make one at all.
    pub(super) fn claim_wake(&self) -> Option<Wake> {
        if self.stopped {
            return None;
        }
        let patience = operation_timeout(self.config.lease);
        if let Some(open) = self.attempts.any_in_flight(self.now - patience) {
            return Some(Wake {
                at: open.sent_at + patience,
                why: "a claim is unanswered",
            });
        }
        if !self.may_succeed() && self.unlisted_told >= self.knowledge.highest_epoch() {
            return None;
        }
        let (at, why) = self.claimable_at()?;
        if self.needs_proof() {
            // The verify under way, or the next one, says more.
            let asked = self.gate.doubt || self.gate.verify.is_some();
            let probe = self
                .contact
                .probe_at(self.config.lease)
                .unwrap_or(at)
                .min(at);
            return (!asked).then_some(Wake {
                at: probe.max(self.gate.retry_at),
                why: "is the store there?",
            });
        }
        let others = self
            .members
            .iter()
            .any(|member| *member != self.config.advertise);
        let allowed = if others { at.max(self.not_before) } else { at };
        let allowed = allowed.max(self.bound_until().unwrap_or(allowed));
        Some(Wake {
            at: allowed.max(self.retry_at),
            why,
        })
    }

    /// A living record is taken over only if the store was heard since the wait ended, and all the time before.
    fn needs_proof(&self) -> bool {
        let Some(sighting) = self.knowledge.newest() else {
            return false;
        };
        let Some(record) = sighting.reading.record() else {
            return false;
        };
        let wait = self.full_wait(Duration::from_millis(record.lease_ms));
        !planted(Mutant::TakesSilenceForDeath)
            && self.resumable().is_none()
            && !record.released
            && !sighting.suspect
            && !self.contact.heard_since(sighting.at + wait)
    }

    /// A record of this manager's own that it may renew: a claim that won without its hearing of it.
    fn resumable(&self) -> Option<&Record> {
        let sighting = self
            .knowledge
            .newest()
            .filter(|sighting| !sighting.suspect)?;
        let record = sighting.reading.record()?;
        (self.is_mine(record) && record.epoch > self.void_epoch && !record.released)
            .then_some(record)
    }

    fn full_wait(&self, lease: Duration) -> Duration {
        let wait = takeover_wait(lease);
        if !planted(Mutant::TakesOverEarly) {
            wait
        } else {
            wait * 7 / 10
        }
    }

    fn claimable_at(&self) -> Option<(Mono, &'static str)> {
        let sighting = self.knowledge.newest()?;
        let unknown_lease = self.config.lease.max(self.knowledge.last_lease());
        Some(match &sighting.reading {
            Reading::Absent if !self.knowledge.ever_present() || planted(Mutant::AbsentAtOnce) => {
                (sighting.at, "no manager was ever primary")
            }
            Reading::Absent => (
                sighting.at + self.full_wait(unknown_lease),
                "the record vanished",
            ),
            Reading::Malformed { .. } => (
                sighting.at + self.full_wait(unknown_lease),
                "the record is malformed",
            ),
            Reading::Present { record, .. } => {
                let lease = Duration::from_millis(record.lease_ms);
                if self.resumable().is_some() {
                    (sighting.at, "the record is ours")
                } else if sighting.suspect {
                    (
                        sighting.at + self.full_wait(lease.max(unknown_lease)),
                        "the store went back",
                    )
                } else if record.released {
                    (sighting.at + sighting.stagger, "the lease was released")
                } else {
                    let due = sighting.at + self.full_wait(lease) + sighting.stagger;
                    let trusted = self.contact.trusted_at(lease).unwrap_or(due);
                    (due.max(trusted), "the primary's lease ends")
                }
            }
        })
    }

    pub(super) fn claim_if_due(&mut self, out: &mut Effects<Effect>) {
        let Some(wake) = self.claim_wake() else {
            return;
        };
        let patience = operation_timeout(self.config.lease);
        if self.now < wake.at || self.attempts.any_in_flight(self.now - patience).is_some() {
            return;
        }
        if self.attempts.newly_overdue(self.now - patience) {
            self.contact.failed();
        }
        if self.needs_proof() {
            reach(Mark::ProofWanted);
            self.gate.doubt = true;
            return;
        }
        if !self.may_succeed() {
            self.tell_unlisted(out);
            return;
        }
        if self.resumable().is_some() {
            reach(Mark::ClaimResumed);
        }
        if self.losses > 0
            && self
                .claimable_at()
                .is_some_and(|(at, _)| at < self.not_before)
        {
            reach(Mark::BackedOff);
        }
        let (epoch, beat) = match (self.resumable(), self.knowledge.record()) {
            // A claim of ours that won without our hearing of it: renewed, it answers to this process.
            (Some(record), _) => (record.epoch, record.beat + 1),
            (None, Some(record)) if planted(Mutant::ForgetsEpochs) => (record.epoch + 1, 0),
            (None, None) if planted(Mutant::ForgetsEpochs) => (1, 0),
            (None, _) => (self.knowledge.highest_epoch().max(self.void_epoch) + 1, 0),
        };
        let record = self.own_record(epoch, beat, false);
        self.swap(record, out);
        self.retry_at = self.now + UNANSWERED;
    }

    /// Says once for each epoch that this manager would take over if the record listed it.
    fn tell_unlisted(&mut self, out: &mut Effects<Effect>) {
        self.unlisted_told = self.knowledge.highest_epoch();
        let Some(record) = self.knowledge.record() else {
            return;
        };
        reach(Mark::NotListed);
        out.push(Effect::Notify(Notice::NotListed {
            holder: record.holder.clone(),
        }));
    }

    /// Only as a planted bug: takes a record that names this manager for authority.
    pub(super) fn believe_what_is_read(&mut self) {
        let Some(record) = self.live_own_record() else {
            return;
        };
        if record.epoch > self.void_epoch {
            self.tenure = Tenure::Holding(Holding {
                epoch: record.epoch,
                until: self.now + self.config.lease,
                beat: record.beat,
                next_beat: self.now + beat_interval(self.config.lease),
                since: self.now,
                backing: Backing::of(self.now + self.config.lease),
            });
        }
    }

    /// Where this manager stands among the members known from the record: the first tries at once.
    pub(super) fn stagger(&mut self) -> Duration {
        let jitter = self
            .random
            .duration(Duration::ZERO, Duration::from_millis(1));
        let Some(record) = self.knowledge.record() else {
            return jitter;
        };
        let mut successors = record
            .members
            .iter()
            .filter(|member| **member != record.holder);
        let rank = successors.position(|member| *member == self.config.advertise);
        let rank = rank.unwrap_or_else(|| record.members.len().max(1));
        STAGGER * u32::try_from(rank).unwrap_or(u32::MAX).min(16) + jitter
    }
}
