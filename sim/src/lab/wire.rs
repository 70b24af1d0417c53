//! What travels between hosts, and whose hands an event needs.

use super::event::{Caller, Event, Outcome, Process};
use super::net::Fate;
use super::{Lab, MS};
use crate::plan::How;
use crate::trace::{HostId, Kind};

impl Event {
    /// The life it is meant for: in another one it means nothing.
    pub(super) fn process(&self) -> Option<Process> {
        match self {
            Self::WakeElection(process)
            | Self::WakeProxy(process)
            | Self::Sweep(process)
            | Self::StoreAnswers(process, _)
            | Self::OutOfTime(process, _)
            | Self::WatchAgain(process)
            | Self::WatchNotices(process, _)
            | Self::Election(process, _)
            | Self::Departs { process, .. }
            | Self::Promised { process, .. }
            | Self::Served { process, .. } => Some(*process),
            Self::Returns(caller, _) => Some(caller.process),
            Self::Start(_)
            | Self::Store(_)
            | Self::StoreDoes(_)
            | Self::StoreElects(_)
            | Self::Guard(_)
            | Self::GuardRead(..)
            | Self::GuardSwapped(..)
            | Self::Question(..)
            | Self::Ask(_)
            | Self::Arrives { .. }
            | Self::Answered { .. }
            | Self::Leaves(_)
            | Self::Left { .. }
            | Self::Forwarded { .. }
            | Self::Dropped { .. }
            | Self::Engine { .. }
            | Self::Step(_)
            | Self::Flap(_)
            | Self::Tick => None,
        }
    }

    /// The manager whose tasks have to run for it.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other events belong to the process they name, if any"
    )]
    pub(super) fn runs_on(&self) -> Option<usize> {
        match self {
            // What a server does for a manager needs the server.
            Self::WatchNotices(..) => None,
            Self::Question(manager, _)
            | Self::Arrives { manager, .. }
            | Self::Left { manager, .. }
            | Self::Forwarded { manager, .. }
            | Self::Dropped { manager, .. } => Some(*manager),
            other => other.process().map(|process| process.manager),
        }
    }
}

impl Lab<'_> {
    /// Sends an event over a link. It comes back if the link refuses it.
    #[expect(
        clippy::result_large_err,
        reason = "the event moves on in either case, and a box would cost every message"
    )]
    pub(super) fn send(
        &mut self,
        from: HostId,
        to: HostId,
        extra: u64,
        event: Event,
    ) -> Result<(), Event> {
        match self.net.fate(from, to) {
            Fate::Arrives(delay) => self.after(delay + extra, event),
            Fate::Held => self.net.keep(from, to, self.cause, event),
            Fate::Refused => return Err(event),
        }
        Ok(())
    }

    /// Sends the outcome of an attempt; where it is refused, the connection breaks after some tries.
    pub(super) fn send_back(&mut self, from: HostId, caller: Caller, outcome: Outcome) {
        let to = self.managers[caller.process.manager].host;
        let back = Event::Returns(caller, outcome);
        if self.send(from, to, 0, back).is_err() {
            let delay = self.random.between(200 * MS, 3_000 * MS);
            self.after(delay, Event::Returns(caller, Outcome::Broken));
        }
    }

    pub(super) fn cut(&mut self, from: HostId, to: HostId, how: How) {
        if self.net.cut(from, to, how) {
            self.note(from, Kind::Cut, (u64::from(to), how as u64));
        }
    }

    pub(super) fn heal(&mut self, from: HostId, to: HostId, how: How) {
        let Some(waiting) = self.net.heal(from, to, how) else {
            return;
        };
        self.note(from, Kind::Healed, (u64::from(to), 0));
        for (cause, event) in waiting {
            let delay = self.random.between(MS / 5, 5 * MS);
            self.queue.push(self.now + delay, cause, event);
        }
    }

    pub(super) fn carry(&mut self, event: Event) {
        match event {
            Event::Start(m) => self.start(m),
            Event::WakeElection(process) => self.wake_election(process.manager),
            Event::WakeProxy(process) => self.wake_proxy(process.manager),
            Event::Sweep(process) => self.sweep(process.manager),
            Event::Store(call) => self.store_hears(call),
            Event::StoreDoes(call) => self.store_does(call),
            Event::StoreAnswers(process, reply) => self.store_answered(process.manager, reply),
            Event::OutOfTime(process, op) => self.out_of_time(process.manager, op),
            Event::WatchAgain(process) => self.watch(process.manager),
            Event::WatchNotices(process, query) => self.answer_watch(process, query, true),
            Event::StoreElects(election) => self.store_elects(election),
            Event::Guard(job) => self.guard(job),
            Event::GuardRead(job, seen) => self.guard_read(job, seen.as_ref()),
            Event::GuardSwapped(job, done) => self.guard_swapped(job, done),
            Event::Question(m, question) => self.question(m, *question),
            Event::Promised {
                process,
                round,
                member,
                granted,
            } => self.member_answered(process.manager, round, member, granted),
            Event::Election(process, input) => self.give_election(process.manager, input),
            Event::Ask(client) => self.ask(client),
            Event::Arrives { manager, request } => self.arrives(manager, request),
            Event::Answered { request, told } => self.answered(request, told),
            Event::Leaves(request) => self.leaves(request),
            Event::Left { manager, request } => self.left(manager, request),
            Event::Forwarded { manager, forward } => self.forwarded(manager, forward),
            Event::Dropped { manager, caller } => self.dropped(manager, caller),
            Event::Returns(caller, outcome) => self.returns(caller, outcome),
            Event::Departs {
                process,
                id,
                epoch,
                thaws,
            } => self.departs(process.manager, id, epoch, thaws),
            Event::Engine {
                process,
                id,
                attempt,
                request,
            } => self.engine_does(process, id, attempt, request),
            Event::Served {
                process,
                id,
                attempt,
            } => self.served(process.manager, id, attempt),
            Event::Step(step) => self.step(step),
            Event::Flap(index) => self.flap(index),
            Event::Tick => self.tick(),
        }
    }
}
