//! Failsafe: a primary that cannot reach the store acts on while every other member promises not to take over.
//!
//! Why at most one acts: only managers that a record in the store lists may take it over, and the primary asks all that
//! any record could list which stands there or may yet come to stand there. A round's lease counts from the round's
//! sending and each promise, which is longer by the clocks' error, from a later receipt. Promises never revive a lease
//! that has ended, so whoever sends a claim does so after the end of the last round it took part in, and no later round
//! can matter: neither a claim that the network keeps nor one whose author has forgotten it meets a primary that acts.

use std::collections::BTreeSet;
use std::time::Duration;

use super::gate::Arrivals;
use super::lease::{beat_interval, operation_timeout};
use super::notices::Notice;
use super::promise::PromiseRequest;
use super::record::Record;
use super::tenure::{Holding, Tenure};
use super::{Effect, Election, Fence, OpId};
use crate::address::HostPort;
use crate::machine::{Effects, Wake};
use crate::testbed::{Mark, Mutant, planted, reach};
use crate::time::Mono;

/// Rounds that may still be completed; older ones would say less.
const ROUNDS_MAX: usize = 3;
/// With more members than this no further ones are taken in, and failsafe ends; more would be a mistake.
const ASKED_MAX: usize = 64;

/// How a manager stands by failsafe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failsafe {
    /// The record known is not failsafe: without the store nobody acts for longer than a lease.
    #[default]
    Off,
    /// Should the store be away, the primary goes on as long as all members promise.
    Ready,
    /// This manager acts on promises, because the store does not answer.
    Active,
}

impl Failsafe {
    /// What `status` and `info` say; nothing when the record is not failsafe.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Off => None,
            Self::Ready => Some("ready"),
            Self::Active => Some("active"),
        }
    }
}

/// What the record in the store may say, as far as this manager's own swaps can have changed it since it was known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exposure {
    /// Everyone it may list.
    members: BTreeSet<HostPort>,
    /// It certainly restricts who may take over.
    failsafe: bool,
}

impl Exposure {
    /// A newer version is known: swaps that expect an older one come to nothing.
    pub(super) fn known(&mut self, record: Option<&Record>) {
        self.members.clear();
        self.failsafe = true;
        match record {
            Some(record) => self.sent(record),
            None => self.failsafe = false,
        }
    }

    /// A swap was sent that may be carried out, whatever is heard of it.
    pub(super) fn sent(&mut self, record: &Record) {
        self.failsafe &= record.failsafe && self.members.len() <= ASKED_MAX;
        if !self.failsafe {
            self.members.clear();
        } else if !planted(Mutant::NewcomersNotAsked) || self.members.is_empty() {
            self.members.extend(record.members.iter().cloned());
        }
    }
}

/// Every other member was asked at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Round {
    op: OpId,
    sent_at: Mono,
    asked: usize,
    owing: BTreeSet<HostPort>,
    /// Mutations that had arrived by then.
    arrivals: Arrivals,
}

/// What a holder's lease rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Backing {
    /// The end of the lease by the store's word alone.
    pub(super) stored_until: Mono,
    rounds: Vec<Round>,
    last: Option<Mono>,
    covered: Arrivals,
    active: bool,
    /// A swap met a record that could not be read, or not recognised: only the store can tell what it means.
    pub(super) barred: bool,
}

impl Backing {
    pub(super) fn of(stored_until: Mono) -> Self {
        Self {
            stored_until,
            ..Self::default()
        }
    }

    /// By then the next renewal should have been confirmed: a turn after the last one was sent, within an operation's time.
    fn silent_from(&self, lease: Duration) -> Mono {
        self.stored_until - lease + beat_interval(lease) + operation_timeout(lease)
    }

    /// The store took a renewal; whether this ends a time of promises.
    pub(super) fn stored(&mut self, now: Mono, until: Mono, lease: Duration) -> bool {
        self.stored_until = self.stored_until.max(until);
        self.barred = false;
        let answers = now < self.silent_from(lease);
        if answers {
            self.rounds.clear();
        }
        answers && std::mem::take(&mut self.active)
    }
}

impl Election {
    /// How this manager stands by failsafe at `now`.
    #[must_use]
    pub fn failsafe(&self, now: Mono) -> Failsafe {
        let record = self.primary().is_some_and(|record| record.failsafe);
        match &self.tenure {
            Tenure::Holding(holding) if holding.backing.active && now < holding.until => {
                Failsafe::Active
            }
            Tenure::Holding(_) | Tenure::Replica | Tenure::Releasing(_) if record => {
                Failsafe::Ready
            }
            Tenure::Holding(_) | Tenure::Replica | Tenure::Releasing(_) => Failsafe::Off,
        }
    }

    pub(super) fn round_wake(&self, holding: &Holding) -> Option<Wake> {
        let backing = &holding.backing;
        let mine = self
            .live_own_record()
            .is_some_and(|record| record.epoch == holding.epoch);
        if !self.config.failsafe
            || !self.exposure.failsafe
            || !mine
            || backing.barred
            || (self.now >= holding.until && !planted(Mutant::PromisesRevive))
        {
            return None;
        }
        let silent = backing.silent_from(self.config.lease);
        let beat = beat_interval(self.config.lease);
        let regular = backing.last.map_or(silent, |last| silent.max(last + beat));
        // Mutations wait for a round that began after they arrived; one round under way at a time is enough for them.
        let under_way = backing
            .rounds
            .last()
            .map(|round| round.sent_at + operation_timeout(self.config.lease));
        let for_gate = self
            .gate
            .arrived_after(backing.covered)
            .then(|| under_way.map_or(silent, |until| silent.max(until)));
        Some(Wake {
            at: for_gate.map_or(regular, |at| at.min(regular)),
            why: "the store is silent: ask the members",
        })
    }

    /// Asks every member that may be entitled to take over.
    pub(super) fn begin_round_if_due(&mut self, holding: &Holding, out: &mut Effects<Effect>) {
        if self
            .round_wake(holding)
            .is_none_or(|wake| self.now < wake.at)
        {
            return;
        }
        let op = self.op();
        let (Some(version), Some(cluster)) = (self.knowledge.version(), self.knowledge.cluster())
        else {
            return;
        };
        let own = &self.config.advertise;
        let owing: BTreeSet<HostPort> = (self.exposure.members.iter())
            .filter(|member| *member != own)
            .cloned()
            .collect();
        let request = |member: &HostPort| PromiseRequest {
            cluster: cluster.to_owned(),
            member: member.clone(),
            instance: self.config.instance.clone(),
            epoch: holding.epoch,
            version,
            lease_ms: self.lease_ms(),
        };
        out.push(Effect::AskPromises {
            round: op,
            requests: owing.iter().map(request).collect(),
        });
        let round = Round {
            op,
            sent_at: self.now,
            asked: owing.len(),
            owing,
            arrivals: self.gate.arrivals(),
        };
        if let Tenure::Holding(holding) = &mut self.tenure {
            let backing = &mut holding.backing;
            backing.last = Some(self.now);
            backing.covered = round.arrivals;
            if backing.rounds.len() == ROUNDS_MAX {
                backing.rounds.remove(0);
            }
            backing.rounds.push(round);
        }
    }

    /// A member's answer, or that none came.
    pub(super) fn promised(
        &mut self,
        op: OpId,
        member: &HostPort,
        granted: bool,
        out: &mut Effects<Effect>,
    ) {
        let round = match &mut self.tenure {
            Tenure::Holding(holding) => {
                let mut rounds = holding.backing.rounds.iter_mut();
                rounds.find(|round| round.op == op && round.owing.contains(member))
            }
            Tenure::Replica | Tenure::Releasing(_) => None,
        };
        let Some(round) = round else {
            reach(Mark::StaleAnswer);
            self.stale_answers += 1;
            return;
        };
        if granted {
            round.owing.remove(member);
        }
        let enough = if planted(Mutant::QuorumOfPromises) {
            (round.asked - round.owing.len() + 1) * 2 > round.asked + 1
        } else {
            round.owing.is_empty()
        };
        if enough {
            self.complete(op, out);
        }
    }

    /// All have promised: the lease goes on from the sending of the question.
    fn complete(&mut self, op: OpId, out: &mut Effects<Effect>) {
        let (now, lease) = (self.now, self.config.lease);
        let Tenure::Holding(holding) = &mut self.tenure else {
            return;
        };
        let backing = &mut holding.backing;
        let Some(at) = backing.rounds.iter().position(|round| round.op == op) else {
            return;
        };
        // What the earlier ones could still say is less than this.
        let round = backing.rounds.drain(..=at).next_back();
        let Some(round) = round else { return };
        if backing.barred || (now >= holding.until && !planted(Mutant::PromisesRevive)) {
            return;
        }
        let counted_from = if planted(Mutant::PromiseFromAnswer) {
            now
        } else {
            round.sent_at
        };
        holding.until = holding.until.max(counted_from + lease);
        let (epoch, until) = (holding.epoch, holding.until);
        if !backing.active && until > backing.stored_until && now < until {
            backing.active = true;
            reach(Mark::FailsafeBegan);
            out.push(Effect::Notify(Notice::FailsafeBegan { epoch }));
        }
        if now < until && self.config.fence == Fence::Verify {
            let tickets = self.gate.take_arrived_by(round.arrivals);
            if !tickets.is_empty() {
                reach(Mark::OpenedByPromises);
                out.push(Effect::Open { tickets, epoch });
            }
        }
    }
}
