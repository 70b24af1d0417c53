//! Promises on their way between managers, and what the checks make of them.

use std::collections::BTreeSet;

use swarm_core::election::{Asker, Input, OpId, PromiseRequest, Version};
use swarm_core::time::Mono;

use super::event::{Event, Process};
use super::manager::Memory;
use super::{Lab, MS};
use crate::property::Property;
use crate::trace::Kind;

/// Rounds that the checks remember: more than the machine does.
const ROUNDS_MAX: usize = 8;
/// A manager remembers so many swaps without an answer.
const REMEMBERED: usize = 16;

/// A question on its way to a member.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) from: Process,
    pub(super) round: OpId,
    pub(super) request: PromiseRequest,
}

/// A question that a member's machine has not answered yet.
#[derive(Debug)]
pub(super) struct Asked {
    asker: Asker,
    question: Question,
}

/// A round as its primary sent it.
#[derive(Clone, Debug)]
pub(super) struct Round {
    op: OpId,
    epoch: u64,
    /// On the primary's clock, and in true time.
    sent: Mono,
    at: u64,
    owing: BTreeSet<usize>,
}

impl Memory {
    /// A member has promised; the round, when it was the last one.
    fn granted_by(&mut self, op: OpId, member: usize) -> Option<Round> {
        let at = self.rounds.iter().position(|round| round.op == op)?;
        let round = self.rounds.get_mut(at)?;
        round.owing.remove(&member);
        if !round.owing.is_empty() {
            return None;
        }
        self.rounds.remove(at)
    }
}

impl Lab<'_> {
    /// A primary asks its members.
    pub(super) fn ask_promises(
        &mut self,
        m: usize,
        local: Mono,
        round: OpId,
        requests: Vec<PromiseRequest>,
    ) {
        let (from, now) = (self.managers[m].process(m), self.now);
        let asked = requests
            .iter()
            .map(|request| self.by_address(&request.member).unwrap_or(usize::MAX))
            .collect();
        let epoch = requests.first().map_or(0, |request| request.epoch);
        let memory = &mut self.managers[m].memory;
        if memory.rounds.len() == ROUNDS_MAX {
            memory.rounds.pop_front();
        }
        memory.rounds.push_back(Round {
            op: round,
            epoch,
            sent: local,
            at: now,
            owing: asked,
        });
        for request in requests {
            let Some(to) = self.by_address(&request.member) else {
                continue;
            };
            // A connection that broke is made again, and the question repeated: it may arrive twice, much later too.
            let copies = if self.random.chance(100) { 2 } else { 1 };
            for copy in 0..copies {
                let question = Question {
                    from,
                    round,
                    request: request.clone(),
                };
                let late = if copy == 0 {
                    0
                } else {
                    self.random.below(10_000 * MS)
                };
                if !self.is_lost() {
                    let event = Event::Question(to, Box::new(question));
                    let (here, there) = (self.managers[m].host, self.managers[to].host);
                    let _ = self.send(here, there, late, event);
                }
            }
        }
    }

    fn is_lost(&mut self) -> bool {
        let loss = u64::from(self.plan.knobs.loss_per_mille);
        self.phase.has_loss() && loss > 0 && self.random.chance(loss)
    }

    /// A question arrives: whoever runs there now is asked.
    pub(super) fn question(&mut self, m: usize, question: Question) {
        if !self.listens(m) {
            return;
        }
        let (asker, host) = (self.managers[m].ticket(), self.managers[m].host);
        let numbers = (question.request.epoch, question.from.manager as u64);
        self.note(host, Kind::Message, numbers);
        let request = question.request.clone();
        self.managers[m].asked.push(Asked { asker, question });
        self.give_election(m, Input::PromiseAsked(asker, request));
    }

    /// The machine of `m` promises, or does not.
    pub(super) fn answer_question(&mut self, m: usize, asker: Asker, granted: bool) {
        let asked = &mut self.managers[m].asked;
        let Some(at) = asked.iter().position(|one| one.asker == asker) else {
            return;
        };
        let Question {
            from,
            round,
            request,
        } = asked.swap_remove(at).question;
        if granted {
            self.check_promise(m, request.version);
        }
        if !self.is_lost() {
            let event = Event::Promised {
                process: from,
                round,
                member: m,
                granted,
            };
            let (here, there) = (self.managers[m].host, self.managers[from.manager].host);
            let _ = self.send(here, there, 0, event);
        }
    }

    /// A member's answer arrives.
    pub(super) fn member_answered(&mut self, m: usize, round: OpId, member: usize, granted: bool) {
        let manager = &mut self.managers[m];
        let host = manager.host;
        let acts = manager.acting(self.now).is_some();
        if granted && let Some(round) = manager.memory.granted_by(round, member) {
            // Promises extend a lease and never revive one.
            if acts {
                let lease = std::time::Duration::from_millis(self.plan.knobs.lease_ms);
                let memory = &mut manager.memory;
                memory.granted = memory.granted.max(round.sent + lease);
            }
            let memory = &mut manager.memory;
            memory.promised = memory.promised.max((round.at, round.epoch));
        }
        self.note(host, Kind::Message, (member as u64, granted.into()));
        let address = self.managers[member].address.clone();
        self.give_election(m, Input::Promised(round, address, granted));
    }

    /// Nobody promises who has sent a claim that may yet be carried out.
    fn check_promise(&mut self, m: usize, version: Version) {
        let memory = &self.managers[m].memory;
        let lately = memory.sent.iter().rev().take(REMEMBERED);
        let mut open = lately.filter(|sent| sent.open && sent.expected >= Some(version));
        if let Some(sent) = open.next() {
            let what = format!(
                "m{} promises though its swap of epoch {} may yet be carried out",
                m + 1,
                sent.epoch
            );
            self.fail(Property::SinglePrimary, "promise", what);
        }
    }

    /// The store is away, and nothing else is wrong: the primary must not rest for a moment.
    pub(super) fn check_outlives_store(&mut self) {
        if !self.outlives_store {
            return;
        }
        if !matches!(self.phase, super::Phase::Faults) {
            self.failsafe_since = None;
            return;
        }
        let ready = self.managers.iter().any(|manager| {
            let local = manager.clock.local(self.now);
            let ready = manager.election.failsafe(local) != swarm_core::election::Failsafe::Off;
            manager.acting(self.now).is_some() && ready
        });
        if ready {
            self.failsafe_since.get_or_insert(self.now);
        } else if self.acting.is_empty() && self.failsafe_since.is_some() {
            let what = "nobody acts though only the store is away".to_owned();
            self.fail(Property::Liveness, "failsafe", what);
        }
    }
}
