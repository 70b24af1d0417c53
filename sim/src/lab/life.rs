//! Processes: how they start, end, stand still and go on, and what they look after now and then.

use swarm_core::election::{Input, Resignation};

use super::event::{Ask, Caller, Event, Outcome};
use super::manager::{Stage, Watch};
use super::record::Seen;
use super::{Lab, MS};
use crate::trace::Kind;

/// How often a manager looks after what has waited too long.
const SWEEP: u64 = 250 * MS;
/// How long a blocking query waits at the server.
const WATCH_WAIT: u64 = 5_000 * MS;
/// A member that was not heard of for so long is not one any more.
const MEMBER_LIFE: u64 = 10_000 * MS;
/// How long an answer may take before its manager asks whether the other one is alive.
const PATIENCE: u64 = 2_000 * MS;
/// Unanswered questions in a row after which a manager counts as dead.
const MISSED_MAX: u8 = 3;
/// Sweeps between two questions.
const PULSE: u32 = 8;
/// How long a stopping manager waits for requests that are under way.
const DRAIN: u64 = 10_000 * MS;

impl Lab<'_> {
    pub(super) fn start(&mut self, m: usize) {
        if self.managers[m].up || self.managers[m].downs > 0 {
            return;
        }
        let life = self.managers[m].life + 1;
        let (election, proxy) = self.new_election(m, life);
        if self.managers[m].dark {
            self.connections_break(m);
        }
        let manager = &mut self.managers[m];
        manager.begin_life(election, proxy);
        let (process, host) = (manager.process(m), manager.host);
        self.note(host, Kind::Started, (life.into(), 0));
        let own = vec![self.managers[m].address.clone()];
        self.give_election(m, Input::Members(own));
        self.watch(m);
        let delay = self.random.between(10 * MS, 60 * MS);
        self.after(delay, Event::Sweep(process));
        self.plant_guard(process);
    }

    /// A host that had no power is there again: it does not know the connections others keep to it.
    fn connections_break(&mut self, m: usize) {
        let mut broken = Vec::new();
        for (index, manager) in self.managers.iter().enumerate() {
            let process = manager.process(index);
            let lost = manager.jobs().filter(
                |job| matches!(job.stage, Stage::Remote { to, .. } if to == m && index != m),
            );
            broken.extend(lost.map(|job| Caller {
                process,
                id: job.id,
                attempt: job.attempt,
            }));
        }
        for caller in broken {
            let delay = self.random.between(200 * MS, 2_000 * MS);
            self.after(delay, Event::Returns(caller, Outcome::Broken));
        }
    }

    /// A process ends: by itself (0), killed (1) or without power (2).
    pub(super) fn end(&mut self, m: usize, how: u64) {
        let manager = &mut self.managers[m];
        if !manager.up {
            return;
        }
        manager.up = false;
        manager.dark = how == 2;
        if manager.dark {
            manager.outages += 1;
        }
        manager.authority = None;
        let unread = std::mem::take(&mut manager.stash);
        manager.watch = Watch {
            query: manager.watch.query + 1,
            ..Watch::default()
        };
        let (host, jobs) = (manager.host, manager.take_jobs());
        self.note(host, Kind::Ended, (how, 0));
        if how == 2 {
            return;
        }
        for (_, event) in unread {
            self.reset(m, event);
        }
        let process = self.managers[m].process(m);
        for job in jobs {
            match job.caller {
                Some(caller) => self.send_back(host, caller, Outcome::Broken),
                None => self.tell_client(m, job.request, None),
            }
            if let Stage::Remote { to, .. } = job.stage {
                let caller = Caller {
                    process,
                    id: job.id,
                    attempt: job.attempt,
                };
                let there = self.managers[to].host;
                let gone = Event::Dropped {
                    manager: to,
                    caller,
                };
                let _ = self.send(host, there, 0, gone);
            }
        }
    }

    /// What a process that stood still had not read when it died: its connections break.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "nobody waits for what becomes of the rest"
    )]
    fn reset(&mut self, m: usize, event: Event) {
        match event {
            Event::Forwarded { forward, .. } => {
                let host = self.managers[m].host;
                self.send_back(host, forward.caller, Outcome::Broken);
            }
            Event::Arrives { request, .. } => self.tell_client(m, request, None),
            _ => {}
        }
    }

    pub(super) fn pause(&mut self, m: usize, freeze: bool) {
        let manager = &mut self.managers[m];
        manager.pauses += 1;
        if freeze {
            manager.clock.freeze(self.now);
        }
        if manager.pauses == 1 {
            manager.paused_at = self.now;
            let host = manager.host;
            self.note(host, Kind::Paused, (freeze.into(), 0));
        }
    }

    pub(super) fn resume(&mut self, m: usize, thaw: bool) {
        let manager = &mut self.managers[m];
        if thaw {
            manager.clock.thaw(self.now);
            manager.thaws += 1;
        }
        manager.pauses = manager.pauses.saturating_sub(1);
        if manager.pauses > 0 {
            return;
        }
        manager.stood_still += self.now - manager.paused_at;
        let host = manager.host;
        self.note(host, Kind::Resumed, (0, 0));
        self.clock_changed(m);
        // In the order of arrival; what the machines have to do by now comes first.
        for (cause, event) in std::mem::take(&mut self.managers[m].stash) {
            self.queue.push(self.now, cause, event);
        }
    }

    /// Alarms are set anew: they were computed for another clock.
    pub(super) fn clock_changed(&mut self, m: usize) {
        let manager = &mut self.managers[m];
        manager.wakes_at = u64::MAX;
        manager.proxy_wakes_at = u64::MAX;
        if manager.up {
            self.arm_election(m);
            self.arm_proxy(m);
        }
    }

    pub(super) fn terminate(&mut self, m: usize) {
        let (now, lease) = (self.now, self.plan.knobs.lease_ms * MS);
        let manager = &mut self.managers[m];
        if manager.runs() && manager.stopping.is_none() {
            manager.stopping = Some(now + 2 * lease + DRAIN);
            manager.resigned = false;
            self.give_election(m, Input::Resign(Resignation::Stop));
        }
    }

    /// Whether it takes new connections.
    pub(super) fn listens(&self, m: usize) -> bool {
        let manager = &self.managers[m];
        manager.up && !(manager.stopping.is_some() && manager.resigned)
    }

    pub(super) fn sweep(&mut self, m: usize) {
        let manager = &mut self.managers[m];
        manager.sweeps = manager.sweeps.wrapping_add(1);
        let (process, sweeps) = (manager.process(m), manager.sweeps);
        let idle = manager.jobs().next().is_none();
        let over = manager
            .stopping
            .is_some_and(|until| self.now >= until || (manager.resigned && idle));
        if over {
            return self.end(m, 0);
        }
        self.after(SWEEP, Event::Sweep(process));
        self.sweep_watch(m);
        self.sweep_gate(m);
        self.check_held(m);
        if sweeps % 4 == 1 {
            self.say_hello(m);
        }
        if sweeps.is_multiple_of(PULSE) {
            self.feel_pulses(m);
        }
    }

    fn sweep_watch(&mut self, m: usize) {
        let manager = &self.managers[m];
        let watch = manager.watch;
        let Some(since) = watch.since else { return };
        let waited = manager.ran(self.now).saturating_sub(since);
        let process = manager.process(m);
        if waited > WATCH_WAIT * 21 / 16 + self.operation_ns() {
            self.another_server(m);
            self.watch_failed(m, watch.query);
        } else if waited > WATCH_WAIT && watch.waits_at.is_some() && self.store.trouble.stuck == 0 {
            self.answer_watch(process, watch.query, false);
        }
    }

    /// Gives up what has waited at the gate for too long.
    fn sweep_gate(&mut self, m: usize) {
        let wait = self.plan.knobs.primary_wait_ms * MS;
        let patience = wait.max(self.operation_ns());
        let ran = self.managers[m].ran(self.now);
        let late = |waiting: &super::manager::Waiting| ran.saturating_sub(waiting.since) > patience;
        while let Some(ticket) = self.managers[m]
            .tickets
            .first()
            .filter(|waiting| late(waiting))
            .map(|waiting| waiting.ticket)
        {
            self.give_election(m, Input::Left(ticket));
            if let Some(waiting) = self.take_ticket(m, ticket) {
                self.not_dispatched(m, &waiting);
            }
        }
    }

    /// Managers hear of each other, as far as links allow.
    fn say_hello(&mut self, m: usize) {
        let (now, host) = (self.now, self.managers[m].host);
        let mut members = 0_u8;
        for other in 0..self.managers.len() {
            let peer = &self.managers[other];
            let there = other == m || (peer.runs() && self.net.connected(host, peer.host));
            let manager = &mut self.managers[m];
            let Some(heard) = manager.heard.get_mut(other) else {
                continue;
            };
            if there {
                *heard = Some(now);
            }
            if heard.is_some_and(|at| now - at < MEMBER_LIFE) {
                members |= 1 << other;
            }
        }
        if std::mem::replace(&mut self.managers[m].members, members) != members {
            let list = (0..self.managers.len())
                .filter(|other| members >> other & 1 == 1)
                .map(|other| self.managers[other].address.clone())
                .collect();
            self.give_election(m, Input::Members(list));
        }
    }

    /// Asks managers that keep requests long whether they are alive.
    fn feel_pulses(&mut self, m: usize) {
        let manager = &self.managers[m];
        let (now, host, process) = (self.now, manager.host, manager.process(m));
        let late: Vec<(usize, Caller)> = manager
            .jobs()
            .filter_map(|job| match job.stage {
                Stage::Remote { to, since } if now - since > PATIENCE => Some((
                    to,
                    Caller {
                        process,
                        id: job.id,
                        attempt: job.attempt,
                    },
                )),
                Stage::Remote { .. }
                | Stage::Held
                | Stage::Reading
                | Stage::AtGate { .. }
                | Stage::Leaving
                | Stage::AtEngine => None,
            })
            .collect();
        for to in 0..self.managers.len() {
            let waits = late.iter().any(|(other, _)| *other == to);
            let peer = &self.managers[to];
            let alive = peer.runs() && self.net.connected(host, peer.host);
            let Some(missed) = self.managers[m].missed.get_mut(to) else {
                continue;
            };
            *missed = if waits && !alive { *missed + 1 } else { 0 };
            if *missed < MISSED_MAX {
                continue;
            }
            *missed = 0;
            for (_, caller) in late.iter().filter(|(other, _)| *other == to) {
                self.returns(*caller, Outcome::Broken);
                let gone = Event::Dropped {
                    manager: to,
                    caller: *caller,
                };
                let there = self.managers[to].host;
                let _ = self.send(host, there, 0, gone);
            }
        }
    }

    /// Asks the store for the next change.
    pub(super) fn watch(&mut self, m: usize) {
        let manager = &mut self.managers[m];
        let ran = manager.ran(self.now);
        manager.load.watches += 1;
        manager.watch.query += 1;
        manager.watch.since = Some(ran);
        manager.watch.waits_at = None;
        let Watch { query, known, .. } = manager.watch;
        self.ask_store(m, Ask::Watch { query, known });
    }

    pub(super) fn watched(&mut self, m: usize, query: u64, seen: &Seen) {
        if self.managers[m].watch.query != query {
            return;
        }
        self.managers[m].watch.known = Some(seen.version);
        self.told(m, seen, None);
        self.give_election(m, Input::Observed(seen.reading()));
        self.watch(m);
    }

    pub(super) fn watch_failed(&mut self, m: usize, query: u64) {
        let manager = &mut self.managers[m];
        if manager.watch.query != query {
            return;
        }
        manager.watch = Watch {
            query: query + 1,
            ..Watch::default()
        };
        let process = manager.process(m);
        self.another_server(m);
        self.give_election(m, Input::ObserveFailed);
        let pause = self.random.between(100 * MS, 400 * MS);
        self.after(pause, Event::WatchAgain(process));
    }

    /// Only a process that is up can be asked to give the lease up.
    pub(super) fn step_down(&mut self, m: usize) {
        let manager = &mut self.managers[m];
        if manager.runs() {
            let local = manager.clock.local(self.now);
            manager.memory.stepped_down = Some(local);
            self.give_election(m, Input::Resign(Resignation::StepDown));
        }
    }
}
