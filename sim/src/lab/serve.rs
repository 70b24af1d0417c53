//! Runs the proxies: requests come from clients and other managers, attempts are made here or there.

use swarm_core::api::Class;
use swarm_core::election;
use swarm_core::machine::{Effects, Machine};
use swarm_core::proxy::{
    Body, Effect, Failure, Input, Kind as Attempt, Origin, Refusal, RequestId, Server,
};
use swarm_core::testbed::{Mark, reach};

use super::event::{Caller, Event, Forward, Outcome};
use super::manager::{Job, Stage, Waiting};
use super::{Lab, MS};
use crate::history::Told;
use crate::property::Property;
use crate::trace::Kind;

/// A body this long is kept for another attempt.
const KEPT: u64 = 512;
/// How long a connection to a host that does not answer is tried.
const CONNECT: u64 = 2_000 * MS;

impl Lab<'_> {
    /// Gives the proxy of `m` an input.
    pub(super) fn lead(&mut self, m: usize, input: Input) {
        let manager = &mut self.managers[m];
        if !manager.up {
            return;
        }
        let local = manager.clock.local(self.now);
        let edge = self.edges.proxy(manager, &input);
        let host = manager.host;
        self.note(host, Kind::Input, edge);
        let mut out = self.proxies.pop().unwrap_or_default();
        self.managers[m].proxy.handle(local, input, &mut out);
        self.after_proxy(m, out);
    }

    pub(super) fn wake_proxy(&mut self, m: usize) {
        let manager = &mut self.managers[m];
        if manager.proxy_wakes_at > self.now {
            return;
        }
        manager.proxy_wakes_at = u64::MAX;
        let local = manager.clock.local(self.now);
        if manager.proxy.wake_at().is_none_or(|wake| wake.at > local) {
            return self.arm_proxy(m);
        }
        let host = manager.host;
        self.edges.proxy_woken();
        self.note(host, Kind::Wake, (u64::MAX, 0));
        let mut out = self.proxies.pop().unwrap_or_default();
        self.managers[m].proxy.wake(local, &mut out);
        self.after_proxy(m, out);
    }

    fn after_proxy(&mut self, m: usize, mut out: Effects<Effect>) {
        for effect in out.drain() {
            self.order(m, effect);
        }
        self.proxies.push(out);
        self.arm_proxy(m);
    }

    pub(super) fn arm_proxy(&mut self, m: usize) {
        let manager = &mut self.managers[m];
        let Some(wake) = manager.proxy.wake_at() else {
            return;
        };
        let Some(at) = manager.clock.when(wake.at, self.now) else {
            return;
        };
        if at < manager.proxy_wakes_at {
            manager.proxy_wakes_at = at;
            let process = manager.process(m);
            self.at(at, Event::WakeProxy(process));
        }
    }

    fn order(&mut self, m: usize, effect: Effect) {
        match effect {
            Effect::Attempt {
                id,
                attempt,
                by,
                epoch,
                kind,
            } => {
                let host = self.managers[m].host;
                let Some(job) = self.managers[m].job(id) else {
                    return;
                };
                job.attempt = attempt;
                job.told = None;
                let request = job.request as u64;
                if kind == Attempt::Repeat {
                    reach(Mark::Repeated);
                }
                self.note(host, Kind::Attempt, (request, attempt.into()));
                match by {
                    Server::Local => self.attempt_here(m, id, epoch),
                    Server::Remote(address) => {
                        let to = self.by_address(&address);
                        self.attempt_there(m, (id, attempt), to, epoch);
                    }
                }
            }
            Effect::Cancel { id, attempt } => self.cancel(m, id, attempt),
            Effect::Relay { id, .. } => {
                if let Some(job) = self.managers[m].remove_job(id) {
                    let told = job.told.unwrap_or(Told::Unknown);
                    self.finish_job(m, &job, Outcome::Answered(told));
                }
            }
            Effect::Answer { id, refusal } => {
                if let Some(job) = self.managers[m].remove_job(id) {
                    let outcome = refused(&refusal);
                    self.finish_job(m, &job, outcome);
                }
            }
            // The lab has neither streams nor tunnels.
            Effect::Abandon { .. } | Effect::CloseTunnels { .. } => {}
        }
    }

    /// Answers whoever asked.
    fn finish_job(&mut self, m: usize, job: &Job, outcome: Outcome) {
        if let Some(caller) = job.caller {
            let from = self.managers[m].host;
            return self.send_back(from, caller, outcome);
        }
        let told = match outcome {
            Outcome::Answered(told) => told,
            Outcome::NotSent | Outcome::NotDispatched(_) => Told::NotDone,
            Outcome::Broken => Told::Unknown,
        };
        self.tell_client(m, job.request, Some(told));
    }

    fn attempt_here(&mut self, m: usize, id: RequestId, epoch: u64) {
        let ran = self.managers[m].ran(self.now);
        let (process, ticket) = (self.managers[m].process(m), self.managers[m].ticket());
        let Some(job) = self.managers[m].job(id) else {
            return;
        };
        if job.class == Class::Safe {
            job.stage = Stage::Reading;
            let attempt = job.attempt;
            let delay = self.random.between(MS / 10, 2 * MS);
            return self.after(
                delay,
                Event::Served {
                    process,
                    id,
                    attempt,
                },
            );
        }
        job.stage = Stage::AtGate { ticket };
        self.managers[m].tickets.push(Waiting {
            ticket,
            id,
            epoch,
            since: ran,
            arrived: self.now,
        });
        self.give_election(m, election::Input::Arrived(ticket));
    }

    fn attempt_there(
        &mut self,
        m: usize,
        (id, attempt): (RequestId, u32),
        to: Option<usize>,
        epoch: u64,
    ) {
        let (now, process, from) = (self.now, self.managers[m].process(m), self.managers[m].host);
        let Some(job) = self.managers[m].job(id) else {
            return;
        };
        let caller = Caller {
            process,
            id,
            attempt,
        };
        let forward = Forward {
            caller,
            request: job.request,
            epoch,
            visited: job.visited,
        };
        let again = job.caller.is_some() || to == Some(m);
        // Nobody is there under the usurper's address.
        job.stage = Stage::Remote {
            to: to.unwrap_or(m),
            since: now,
        };
        if again {
            let what = format!(
                "request {} is forwarded again by manager {}",
                forward.request,
                m + 1
            );
            return self.fail(Property::NoLoop, "", what);
        }
        let Some(to) = to else {
            let delay = self.random.between(MS, CONNECT);
            return self.after(delay, Event::Returns(caller, Outcome::NotSent));
        };
        let there = self.managers[to].host;
        let event = Event::Forwarded {
            manager: to,
            forward,
        };
        if self.send(from, there, 0, event).is_err() {
            self.after(MS, Event::Returns(caller, Outcome::NotSent));
        }
    }

    /// A request of another manager arrives.
    pub(super) fn forwarded(&mut self, m: usize, forward: Forward) {
        let (host, caller) = (self.managers[m].host, forward.caller);
        if !self.listens(m) {
            if self.managers[m].dark {
                // Half of the connections are new ones, whose making runs out of time.
                if self.random.chance(500) {
                    self.after(CONNECT, Event::Returns(caller, Outcome::NotSent));
                }
                return;
            }
            return self.send_back(host, caller, Outcome::NotSent);
        }
        if forward.visited >> m & 1 == 1 {
            let what = format!(
                "request {} comes to manager {} twice",
                forward.request,
                m + 1
            );
            return self.fail(Property::NoLoop, "", what);
        }
        let origin = Origin::Peer {
            expected_epoch: Some(forward.epoch),
        };
        let visited = forward.visited | 1 << m;
        self.take_up(m, forward.request, (Some(caller), visited), origin);
    }

    /// Makes a request known to the proxy of `m`.
    pub(super) fn take_up(
        &mut self,
        m: usize,
        request: usize,
        (caller, visited): (Option<Caller>, u8),
        origin: Origin,
    ) {
        let ran = self.managers[m].ran(self.now);
        let asked = &self.requests[request];
        let (class, unsolicited) = (asked.class, asked.unsolicited || caller.is_some());
        let id = self.managers[m].add_job(|id| Job {
            id,
            request,
            class,
            caller,
            visited,
            attempt: 0,
            stage: Stage::Held,
            told: None,
            held_since: ran,
        });
        let body = if unsolicited {
            Body::Unsolicited
        } else if class == Class::Safe {
            Body::Kept(0)
        } else {
            Body::Kept(KEPT)
        };
        self.give_proxy(
            m,
            Input::Arrived {
                id,
                class,
                origin,
                body,
            },
        );
    }

    /// Another manager wants a request no more, or has gone away.
    pub(super) fn dropped(&mut self, m: usize, caller: Caller) {
        let found = self.managers[m]
            .jobs()
            .find(|job| job.caller == Some(caller))
            .map(|job| job.id);
        if let Some(id) = found {
            self.forget(m, id);
        }
    }

    /// The one who asked has left: nothing more is done for the request.
    pub(super) fn forget(&mut self, m: usize, id: RequestId) {
        let Some(job) = self.managers[m].job(id) else {
            return;
        };
        let attempt = job.attempt;
        self.drop_attempt(m, id, attempt);
        self.managers[m].remove_job(id);
        self.give_proxy(m, Input::Left { id });
    }

    fn cancel(&mut self, m: usize, id: RequestId, attempt: u32) {
        self.drop_attempt(m, id, attempt);
        let ran = self.managers[m].ran(self.now);
        if let Some(job) = self.managers[m].job(id) {
            job.stage = Stage::Held;
            job.held_since = ran;
        }
    }

    fn drop_attempt(&mut self, m: usize, id: RequestId, attempt: u32) {
        let process = self.managers[m].process(m);
        let Some(job) = self.managers[m].job(id) else {
            return;
        };
        match job.stage {
            Stage::AtGate { ticket } => {
                self.take_ticket(m, ticket);
                self.give_election(m, election::Input::Left(ticket));
            }
            Stage::Leaving => {
                self.managers[m].leaving = self.managers[m].leaving.saturating_sub(1);
                self.flush(m);
            }
            Stage::Remote { to, .. } => {
                let (from, there) = (self.managers[m].host, self.managers[to].host);
                let caller = Caller {
                    process,
                    id,
                    attempt,
                };
                let gone = Event::Dropped {
                    manager: to,
                    caller,
                };
                let _ = self.send(from, there, 0, gone);
            }
            Stage::Held | Stage::Reading | Stage::AtEngine => {}
        }
    }

    /// Another manager says how an attempt went.
    pub(super) fn returns(&mut self, caller: Caller, outcome: Outcome) {
        let m = caller.process.manager;
        let (id, attempt) = (caller.id, caller.attempt);
        if self.managers[m].life != caller.process.life {
            return;
        }
        let failure = match outcome {
            Outcome::Answered(told) => return self.got_answer(m, (id, attempt), told),
            Outcome::NotSent => Failure::NotSent,
            Outcome::NotDispatched(hint) => Failure::NotDispatched { hint },
            Outcome::Broken => Failure::Broken,
        };
        self.attempt_failed(m, (id, attempt), failure);
    }

    pub(super) fn got_answer(&mut self, m: usize, (id, attempt): (RequestId, u32), told: Told) {
        if let Some(job) = self.managers[m].waiting_job(id, attempt) {
            job.told = Some(told);
            self.give_proxy(m, Input::Answered { id, attempt });
        }
    }

    pub(super) fn attempt_failed(
        &mut self,
        m: usize,
        (id, attempt): (RequestId, u32),
        failure: Failure,
    ) {
        let ran = self.managers[m].ran(self.now);
        let Some(job) = self.managers[m].waiting_job(id, attempt) else {
            return;
        };
        job.stage = Stage::Held;
        job.held_since = ran;
        let asked = &self.requests[job.request];
        let replayable = !(asked.unsolicited && asked.body_used);
        self.give_proxy(
            m,
            Input::Failed {
                id,
                attempt,
                failure,
                replayable,
            },
        );
    }
}

/// What the caller is told, as the runtime's answers say it.
fn refused(refusal: &Refusal) -> Outcome {
    match refusal {
        Refusal::NoPrimary | Refusal::Overloaded | Refusal::BodyUsed => {
            Outcome::NotDispatched(None)
        }
        Refusal::Misdirected { primary } => Outcome::NotDispatched(primary.clone()),
        Refusal::Unknown | Refusal::Unanswered => Outcome::Answered(Told::Unknown),
    }
}
