//! Changes on their way to the engine: through the gate, past the last check, carried out.

use swarm_core::api::Class;
use swarm_core::proxy::{Failure, RequestId};
use swarm_core::testbed::{Mark, Mutant, planted, reach};

use super::Lab;
use super::event::{Event, Process};
use super::manager::{Stage, Waiting};
use crate::history::Told;
use crate::trace::Kind;

impl Lab<'_> {
    /// The gate said no, or gave no answer.
    pub(super) fn not_dispatched(&mut self, m: usize, waiting: &Waiting) {
        if let Some(job) = self.managers[m].job(waiting.id) {
            let attempt = job.attempt;
            let failure = Failure::NotDispatched { hint: None };
            self.attempt_failed(m, (waiting.id, attempt), failure);
        }
    }

    /// The last instant before the bytes of a change leave.
    pub(super) fn departs(&mut self, m: usize, id: RequestId, epoch: u64, thaws: u32) {
        let (now, host) = (self.now, self.managers[m].host);
        let process = self.managers[m].process(m);
        let Some(job) = self.managers[m]
            .job(id)
            .filter(|job| job.stage == Stage::Leaving)
        else {
            return;
        };
        let (request, attempt) = (job.request, job.attempt);
        let manager = &mut self.managers[m];
        manager.leaving = manager.leaving.saturating_sub(1);
        let local = manager.clock.local(now);
        let authority = manager.election.current_authority();
        let allowed = authority
            .is_some_and(|authority| authority.epoch == epoch && authority.may_dispatch(local));
        let (acting, frozen_since) = (manager.acting(now), manager.thaws != thaws);
        if !allowed {
            reach(Mark::DispatchStopped);
            let failure = Failure::NotDispatched { hint: None };
            self.attempt_failed(m, (id, attempt), failure);
            return self.flush(m);
        }
        if let Some(job) = self.managers[m].job(id) {
            job.stage = Stage::AtEngine;
        }
        self.requests[request].body_used = true;
        self.note(host, Kind::Dispatched, (epoch, request as u64));
        // A machine frozen between confirmation and departure cannot know: no promise is made for that.
        if !frozen_since {
            self.judge.dispatched_by(now, host, epoch, acting);
        }
        let engine = Event::Engine {
            process,
            id,
            attempt,
            request,
        };
        let to = self.engine;
        if let Err(engine) = self.send(host, to, 0, engine) {
            let cause = self.cause;
            self.net.keep(host, to, cause, engine);
        }
        self.flush(m);
    }

    /// The engine carries a change out, unless it finds that an earlier attempt did.
    pub(super) fn engine_does(
        &mut self,
        process: Process,
        id: RequestId,
        attempt: u32,
        request: usize,
    ) {
        let asked = &mut self.requests[request];
        let found = asked.class == Class::Keyed && asked.applied;
        if found {
            reach(Mark::KeyFound);
        }
        if !found || planted(Mutant::ForgetsKeys) {
            asked.applied = true;
            let engine = self.engine;
            self.note(engine, Kind::Applied, (request as u64, 0));
            self.history.applied(self.now, request as u64);
        }
        let to = self.managers[process.manager].host;
        let answer = Event::Served {
            process,
            id,
            attempt,
        };
        let from = self.engine;
        if let Err(answer) = self.send(from, to, 0, answer) {
            let cause = self.cause;
            self.net.keep(from, to, cause, answer);
        }
    }

    pub(super) fn served(&mut self, m: usize, id: RequestId, attempt: u32) {
        self.got_answer(m, (id, attempt), Told::Done);
    }
}
