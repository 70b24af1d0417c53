//! Runs the elections: inputs in, effects carried out, as the runtime's performer does.

use swarm_core::election::lease::operation_timeout;
use swarm_core::election::{Effect, Election, Input, LossReason, Notice, OpId, Record, Version};
use swarm_core::machine::{Effects, Machine};
use swarm_core::proxy::{self, View};
use swarm_core::testbed::{Mutant, planted};
use swarm_core::time::{Mono, nanos};

use super::event::{Ask, Event, Process, Reply};
use super::manager::{Knows, Leads, Op, OpKind, Sent, Stage, Waiting};
use super::{Lab, MS};
use crate::trace::Kind;

/// Swaps of a life that the checks remember.
const SENT_MAX: usize = 256;

impl Lab<'_> {
    pub(super) fn operation_ns(&self) -> u64 {
        let lease = std::time::Duration::from_millis(self.plan.knobs.lease_ms);
        nanos(operation_timeout(lease))
    }

    /// Gives the election of `m` an input.
    pub(super) fn elect(&mut self, m: usize, input: Input) {
        let manager = &mut self.managers[m];
        if !manager.up {
            return;
        }
        let local = manager.clock.local(self.now);
        let standing = manager.election.standing(local);
        let (edge, host) = (self.edges.election(standing, &input), manager.host);
        self.note(host, Kind::Input, (edge, standing as u64));
        let mut out = self.elections.pop().unwrap_or_default();
        self.managers[m].election.handle(local, input, &mut out);
        self.after_election(m, local, out);
    }

    pub(super) fn wake_election(&mut self, m: usize) {
        let manager = &mut self.managers[m];
        if manager.wakes_at != self.now && manager.wakes_at > self.now {
            return;
        }
        manager.wakes_at = u64::MAX;
        let local = manager.clock.local(self.now);
        if manager
            .election
            .wake_at()
            .is_none_or(|wake| wake.at > local)
        {
            return self.arm_election(m);
        }
        let standing = manager.election.standing(local);
        self.edges.woken(standing);
        let host = manager.host;
        self.note(host, Kind::Wake, (standing as u64, 0));
        let mut out = self.elections.pop().unwrap_or_default();
        self.managers[m].election.wake(local, &mut out);
        self.after_election(m, local, out);
    }

    fn after_election(&mut self, m: usize, local: Mono, mut out: Effects<Effect>) {
        self.publish(m);
        for effect in out.drain() {
            self.perform(m, local, effect);
        }
        self.elections.push(out);
        self.arm_election(m);
    }

    /// Sees to it that the election is woken in time. An earlier alarm that stands already looks again by itself.
    pub(super) fn arm_election(&mut self, m: usize) {
        let manager = &mut self.managers[m];
        let Some(wake) = manager.election.wake_at() else {
            return;
        };
        let Some(at) = manager.clock.when(wake.at, self.now) else {
            return;
        };
        if at < manager.wakes_at {
            manager.wakes_at = at;
            let process = manager.process(m);
            self.at(at, Event::WakeElection(process));
        }
    }

    /// Shows the election's state to the proxy and to the checks.
    fn publish(&mut self, m: usize) {
        let manager = &mut self.managers[m];
        let authority = manager.election.current_authority();
        if authority != manager.authority {
            manager.authority = authority;
            if let Some(authority) = authority {
                self.check_authority(m, authority);
                let manager = &self.managers[m];
                let end = manager.clock.when(authority.until, self.now);
                let (host, numbers) = (manager.host, (authority.epoch, end.unwrap_or(u64::MAX)));
                self.note(host, Kind::Lease, numbers);
            }
        }
        let leads = self.leads(m);
        let manager = &mut self.managers[m];
        if leads == manager.leads {
            return;
        }
        manager.leads = leads;
        let view = match (leads, manager.election.primary()) {
            (Leads::Here(epoch), _) => View::Primary {
                address: manager.address.clone(),
                epoch,
                local: true,
            },
            (Leads::To(_, epoch), Some(record)) => View::Primary {
                address: record.holder.clone(),
                epoch,
                local: false,
            },
            (Leads::To(..) | Leads::Nowhere, _) => View::Unknown,
        };
        self.give_proxy(m, proxy::Input::View(view));
    }

    /// As the runtime's `proxy_view`: a lapsed primary still serves, its mutations wait at the gate.
    fn leads(&self, m: usize) -> Leads {
        let manager = &self.managers[m];
        if let Some(authority) = manager.authority {
            return Leads::Here(authority.epoch);
        }
        match manager.election.primary() {
            Some(record) if record.holder != manager.address => {
                Leads::To(self.by_address(&record.holder), record.epoch)
            }
            Some(_) | None => Leads::Nowhere,
        }
    }

    pub(super) fn by_address(&self, address: &swarm_core::address::HostPort) -> Option<usize> {
        self.managers
            .iter()
            .position(|manager| manager.address == *address)
    }

    fn perform(&mut self, m: usize, local: Mono, effect: Effect) {
        match effect {
            Effect::Swap {
                op,
                expected,
                record,
            } => self.send_swap(m, local, (op, expected), record),
            Effect::Verify { op } => {
                self.managers[m].load.verifies += 1;
                self.begin_op(m, op, OpKind::Verify, Ask::Verify(op));
            }
            Effect::Open { tickets, epoch } => {
                for ticket in tickets {
                    self.opened(m, ticket, epoch);
                }
            }
            Effect::Refuse { tickets } => {
                for ticket in tickets {
                    self.refused(m, ticket);
                }
            }
            Effect::Quiesce => {
                self.managers[m].quiesces = true;
                self.flush(m);
            }
            Effect::AskPromises { round, requests } => {
                self.ask_promises(m, local, round, requests);
            }
            Effect::Promise { asker, verdict } => {
                self.answer_question(m, asker, verdict.is_ok());
            }
            Effect::Notify(notice) => self.noticed(m, local, &notice),
        }
    }

    /// Tells the election when every mutation that was let through has left.
    pub(super) fn flush(&mut self, m: usize) {
        let manager = &mut self.managers[m];
        if manager.quiesces && manager.leaving == 0 {
            manager.quiesces = false;
            let process = manager.process(m);
            self.after(MS, Event::Election(process, Input::Flushed));
        }
    }

    fn send_swap(
        &mut self,
        m: usize,
        local: Mono,
        (op, expected): (OpId, Option<Version>),
        record: Record,
    ) {
        self.check_claim(m, local, expected, &record);
        let manager = &mut self.managers[m];
        manager.load.swaps += 1;
        let memory = &mut manager.memory;
        if memory.sent.len() == SENT_MAX {
            memory.sent.pop_front();
        }
        memory.sent.push_back(Sent {
            op,
            nonce: record.nonce.clone(),
            epoch: record.epoch,
            expected,
            open: true,
            at: local,
        });
        let (host, numbers) = (manager.host, (record.epoch, record.beat));
        self.note(host, Kind::SwapSent, numbers);
        let kind = OpKind::Swap(record.epoch);
        let ask = Ask::Swap {
            op,
            expected,
            record: record.into(),
        };
        self.begin_op(m, op, kind, ask);
    }

    fn begin_op(&mut self, m: usize, op: OpId, kind: OpKind, ask: Ask) {
        self.managers[m].ops.push(Op { op, kind });
        self.ask_store(m, ask);
        if self.punctual {
            let manager = &self.managers[m];
            let limit = std::time::Duration::from_nanos(self.operation_ns());
            let due = manager.clock.local(self.now) + limit;
            let process = manager.process(m);
            if let Some(at) = manager.clock.when(due, self.now) {
                self.at(at, Event::OutOfTime(process, op));
            }
        }
    }

    /// The operation, if it is still waited for.
    fn end_op(&mut self, m: usize, op: OpId) -> Option<OpKind> {
        let ops = &mut self.managers[m].ops;
        let at = ops.iter().position(|one| one.op == op)?;
        Some(ops.swap_remove(at).kind)
    }

    /// The runtime does not wait any longer.
    pub(super) fn out_of_time(&mut self, m: usize, op: OpId) {
        let input = match self.end_op(m, op) {
            None => return,
            Some(OpKind::Verify) => Input::Verified(op, None),
            Some(OpKind::Swap(_)) => Input::Swapped(op, swarm_core::election::SwapOutcome::Unknown),
        };
        self.another_server(m);
        self.elect(m, input);
    }

    /// What the store said arrives.
    pub(super) fn store_answered(&mut self, m: usize, reply: Reply) {
        use swarm_core::election::SwapOutcome;
        let (op, seen, outcome) = match reply {
            Reply::Watched(query, seen) => return self.watched(m, query, &seen),
            Reply::WatchFailed(query) => return self.watch_failed(m, query),
            Reply::Verified(op, seen, read_at) => return self.verified(m, op, seen, read_at),
            Reply::Swapped(op, version) => (op, None, SwapOutcome::Swapped(version)),
            Reply::Conflict(op, seen) => {
                let reading = seen.as_ref().map(|(seen, _)| seen.reading());
                (op, seen, SwapOutcome::Conflict(reading))
            }
            Reply::NotApplied(op) => (op, None, SwapOutcome::NotApplied),
            Reply::Unknown(op) => (op, None, SwapOutcome::Unknown),
        };
        let Some(OpKind::Swap(about)) = self.end_op(m, op) else {
            return;
        };
        if matches!(outcome, SwapOutcome::NotApplied | SwapOutcome::Unknown) {
            self.another_server(m);
        }
        let before = self.taken_in(m);
        let foreign = seen
            .as_ref()
            .is_some_and(|(seen, read_at)| self.told(m, seen, Some(*read_at)));
        if let SwapOutcome::Swapped(version) = outcome {
            // It shows the record as much as a read does.
            self.show(m, (Some(version), about), None);
        }
        self.check_granted(m, op, &outcome);
        if outcome != SwapOutcome::Unknown {
            let mut sent = self.managers[m].memory.sent.iter_mut();
            if let Some(sent) = sent.find(|sent| sent.op == op) {
                sent.open = false;
            }
        }
        self.elect(m, Input::Swapped(op, outcome));
        if self.is_ignored(m, before) {
            return;
        }
        if foreign {
            self.check_stops(m, about);
        } else if let Some((seen, _)) = &seen {
            self.check_recognised(m, op, seen);
        }
    }

    fn verified(&mut self, m: usize, op: OpId, seen: Option<super::record::Seen>, read_at: u64) {
        if self.end_op(m, op).is_none() {
            return;
        }
        let before = self.taken_in(m);
        match &seen {
            None => self.another_server(m),
            Some(seen) => {
                self.told(m, seen, Some(read_at));
                let own = seen.record().filter(|record| {
                    record.instance == self.managers[m].election.instance() && !record.released
                });
                if let Some(record) = own {
                    self.managers[m].memory.knows.confirmed = (read_at, record.epoch);
                }
            }
        }
        let reading = seen.as_ref().map(super::record::Seen::reading);
        self.elect(m, Input::Verified(op, reading));
        self.is_ignored(m, before);
    }

    /// What a manager knows, and how many answers it has found stale.
    fn taken_in(&self, m: usize) -> (Knows, u64) {
        let manager = &self.managers[m];
        (manager.memory.knows, manager.election.stale_answers())
    }

    /// Whether the machine did not take an answer in, because it had waited too long for it: then it was not told.
    fn is_ignored(&mut self, m: usize, (knows, stale): (Knows, u64)) -> bool {
        let manager = &mut self.managers[m];
        let ignored = manager.election.stale_answers() > stale;
        if ignored {
            manager.memory.knows = knows;
        }
        ignored
    }

    /// Remembers the epoch of another's record that `m` is told of; whether it is another's.
    pub(super) fn told(
        &mut self,
        m: usize,
        seen: &super::record::Seen,
        read_at: Option<u64>,
    ) -> bool {
        let epoch = seen.record().map_or(0, |record| record.epoch);
        self.show(m, (seen.version(), epoch), read_at);
        let manager = &mut self.managers[m];
        let Some(record) = seen.record() else {
            return false;
        };
        if record.instance == manager.election.instance() {
            return false;
        }
        let memory = &mut manager.memory;
        memory.knows.told_epoch = memory.knows.told_epoch.max(record.epoch);
        if read_at.is_some() {
            memory.knows.proven_epoch = memory.knows.proven_epoch.max(record.epoch);
        }
        true
    }

    fn noticed(&mut self, m: usize, local: Mono, notice: &Notice) {
        match notice {
            Notice::Acquired { epoch } => self.check_acquired(m, *epoch),
            Notice::Lost(why) => {
                let now = self.now;
                let memory = &mut self.managers[m].memory;
                if *why != LossReason::Resigned {
                    memory.lost_at = Some((now, local));
                }
                let own = memory.sent.iter().map(|sent| sent.epoch).max();
                memory.void_epoch = memory.void_epoch.max(own.unwrap_or(0));
            }
            Notice::Resigned => self.managers[m].resigned = true,
            Notice::Recovered { .. }
            | Notice::Lapsed { .. }
            | Notice::Standby
            | Notice::Leader { .. }
            | Notice::StoreTrouble(_)
            | Notice::FailsafeBegan { .. }
            | Notice::FailsafeEnded { .. }
            | Notice::NotListed { .. } => {}
        }
    }

    /// A mutation was let through by the gate.
    fn opened(&mut self, m: usize, ticket: u64, epoch: u64) {
        let Some(waiting) = self.take_ticket(m, ticket) else {
            return;
        };
        self.check_confirmed(m, &waiting, epoch);
        if epoch != waiting.epoch {
            return self.not_dispatched(m, &waiting);
        }
        let manager = &mut self.managers[m];
        let (process, thaws) = (manager.process(m), manager.thaws);
        let Some(job) = manager.job(waiting.id) else {
            return;
        };
        job.stage = Stage::Leaving;
        manager.leaving += 1;
        // Choosing an engine takes a moment, now and then a longer one.
        let longest = if self.random.chance(50) { 40 * MS } else { MS };
        let delay = self.random.below(longest);
        let id = waiting.id;
        self.after(
            delay,
            Event::Departs {
                process,
                id,
                epoch,
                thaws,
            },
        );
    }

    fn refused(&mut self, m: usize, ticket: u64) {
        if let Some(waiting) = self.take_ticket(m, ticket) {
            self.not_dispatched(m, &waiting);
        }
    }

    pub(super) fn take_ticket(&mut self, m: usize, ticket: u64) -> Option<Waiting> {
        let tickets = &mut self.managers[m].tickets;
        let at = tickets.iter().position(|one| one.ticket == ticket)?;
        Some(tickets.remove(at))
    }

    /// Brings up an election for a process that starts.
    pub(super) fn new_election(&self, m: usize, life: u32) -> (Election, proxy::Proxy) {
        let (config, proxy) = self.configs(m, life);
        let random = self.root.fork(&format!("election/m{m}/{life}"));
        (Election::new(config, random), proxy::Proxy::new(proxy))
    }

    /// Only as a planted bug: the guard of a living manager acts.
    pub(super) fn plant_guard(&mut self, process: Process) {
        if planted(Mutant::GuardReleasesTheLiving) {
            let delay = self.random.between(5_000 * MS, 15_000 * MS);
            let job = self.guard_job(process.manager, delay);
            self.after(delay, Event::Guard(Box::new(job)));
        }
    }
}
