//! The store of the lab: servers with a leader, one key, blocking queries, and every way to misbehave.

use swarm_core::election::Version;
use swarm_core::rng::Random;

use super::event::{Ask, Call, Event, Process, Reply};
use super::record::{Key, Seen};
use super::{Lab, MS, host_id};
use crate::plan::RefuseWhich;
use crate::trace::{HostId, Kind};

/// How often a server looks for a leader before it says that there is none.
const LEADER_TRIES: u8 = 4;
const LEADER_PAUSE: u64 = 400 * MS;

/// A server of the store.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) downs: u32,
    /// Without power: nobody hears that it is down.
    pub(super) dark: u32,
    pub(super) pauses: u32,
    pub(super) stash: Vec<(u64, Event)>,
}

/// How it misbehaves: each is a list of what the faults under way ask for.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) no_leader: u32,
    pub(super) refuses: Vec<RefuseWhich>,
    pub(super) slow_writes: Vec<u64>,
    pub(super) slow_replies: Vec<u64>,
    pub(super) slow_reads: Vec<u64>,
    pub(super) stale: Vec<u64>,
    pub(super) regressing: Vec<u64>,
    pub(super) deaf: u32,
    pub(super) late: Vec<u64>,
    pub(super) stuck: u32,
    /// Writes to come without an answer that says what became of them: how many, and whether they are applied.
    pub(super) lost: Vec<(u64, bool)>,
}

pub(super) fn longest(list: &[u64]) -> u64 {
    list.iter().copied().max().unwrap_or(0)
}

pub(super) struct Store {
    first: usize,
    pub(super) servers: Vec<Server>,
    pub(super) leader: Option<usize>,
    pub(super) elections: u64,
    pub(super) key: Key,
    pub(super) trouble: Trouble,
    pub(super) random: Random,
    pub(super) reads: u64,
}

impl Store {
    pub(super) fn new(first: usize, servers: usize, random: Random) -> Self {
        Self {
            first,
            servers: std::iter::repeat_with(Server::default)
                .take(servers)
                .collect(),
            leader: Some(0),
            elections: 0,
            key: Key::new(),
            trouble: Trouble::default(),
            random,
            reads: 0,
        }
    }

    pub(super) fn host(&self, server: usize) -> HostId {
        host_id(self.first + server)
    }

    pub(super) fn runs(&self, server: usize) -> bool {
        self.servers
            .get(server)
            .is_some_and(|server| server.downs == 0 && server.pauses == 0)
    }
}

impl Lab<'_> {
    /// Sends a request of `m` to the server it uses.
    pub(super) fn ask_store(&mut self, m: usize, ask: Ask) {
        let manager = &self.managers[m];
        let (server, from) = (manager.server, manager.process(m));
        let call = Call {
            from,
            server,
            ask,
            tries: 0,
        };
        let (host, to) = (manager.host, self.store.host(server));
        if let Err(event) = self.send(host, to, 0, Event::Store(call))
            && let Event::Store(call) = event
        {
            self.unreached(call);
        }
    }

    /// The next operation goes to another server.
    pub(super) fn another_server(&mut self, m: usize) {
        let servers = self.store.servers.len();
        let manager = &mut self.managers[m];
        manager.server = (manager.server + 1) % servers;
    }

    /// A firewall rejects: a new connection is refused at once, what was written to an old one is lost.
    fn unreached(&mut self, call: Call) {
        if self.random.chance(500) {
            let delay = self.random.between(MS / 2, 4 * MS);
            self.refuse_call(call, delay);
        }
    }

    /// Nothing was done, and the one who asked hears so after `delay`.
    fn refuse_call(&mut self, call: Call, delay: u64) {
        let reply = match call.ask {
            Ask::Swap { op, .. } => Reply::NotApplied(op),
            Ask::Verify(op) => Reply::Verified(op, None, 0),
            Ask::Watch { query, .. } => Reply::WatchFailed(query),
            Ask::GuardRead(job) => return self.after(delay, Event::GuardRead(job, None)),
            Ask::GuardSwap { job, .. } => {
                return self.after(delay, Event::GuardSwapped(job, false));
            }
        };
        self.after(delay, Event::StoreAnswers(call.from, reply));
    }

    /// Answers over the network; a lost answer is simply not there.
    pub(super) fn reply(&mut self, from: Process, server: usize, extra: u64, reply: Reply) {
        let to = self.managers[from.manager].host;
        let host = self.store.host(server);
        let loss = u64::from(self.plan.knobs.loss_per_mille);
        if self.phase.has_loss() && loss > 0 && self.random.chance(loss) {
            return;
        }
        // What is refused on the way back is lost.
        let _ = self.send(host, to, extra, Event::StoreAnswers(from, reply));
    }

    /// Answers that nothing was done.
    fn turn_down(&mut self, call: Call) {
        let (from, server) = (call.from, call.server);
        let reply = match call.ask {
            Ask::Swap { op, .. } => Reply::NotApplied(op),
            Ask::Verify(op) => Reply::Verified(op, None, 0),
            Ask::Watch { query, .. } => Reply::WatchFailed(query),
            Ask::GuardRead(job) => {
                return self.guard_reply(server, job.manager, Event::GuardRead(job, None));
            }
            Ask::GuardSwap { job, .. } => {
                return self.guard_reply(server, job.manager, Event::GuardSwapped(job, false));
            }
        };
        self.reply(from, server, 0, reply);
    }

    fn guard_reply(&mut self, server: usize, manager: usize, event: Event) {
        let (host, to) = (self.store.host(server), self.managers[manager].host);
        let _ = self.send(host, to, 0, event);
    }

    /// A request arrives at a server.
    pub(super) fn store_hears(&mut self, mut call: Call) {
        let Some(server) = self.store.servers.get_mut(call.server) else {
            return;
        };
        if server.downs > 0 {
            // Without power nothing comes back at all.
            if server.dark == 0 {
                self.turn_down(call);
            }
            return;
        }
        if server.pauses > 0 {
            let cause = self.cause;
            server.stash.push((cause, Event::Store(call)));
            return;
        }
        let write = matches!(call.ask, Ask::Swap { .. } | Ask::GuardSwap { .. });
        let refused = self.store.trouble.refuses.iter().any(|which| match which {
            RefuseWhich::All => true,
            RefuseWhich::Writes => write,
            RefuseWhich::Reads => !write,
        });
        if refused {
            return self.turn_down(call);
        }
        if !self.leads_there(call.server) {
            call.tries += 1;
            if call.tries > LEADER_TRIES || self.store.random.chance(600) {
                return self.turn_down(call);
            }
            return self.after(LEADER_PAUSE, Event::Store(call));
        }
        let trouble = &self.store.trouble;
        let delay = if write {
            longest(&trouble.slow_writes)
        } else {
            longest(&trouble.slow_reads)
        };
        if delay > 0 {
            self.after(delay * MS, Event::StoreDoes(call));
        } else {
            self.store_does(call);
        }
    }

    fn leads_there(&self, server: usize) -> bool {
        self.store.leader.is_some_and(|leader| {
            self.net
                .connected(self.store.host(server), self.store.host(leader))
        })
    }

    pub(super) fn store_does(&mut self, call: Call) {
        let (from, server) = (call.from, call.server);
        match call.ask {
            Ask::Swap {
                op,
                expected,
                record,
            } => {
                let (done, lost) = self.write(expected, record);
                let reply = match (lost, done) {
                    (true, _) => Reply::Unknown(op),
                    (false, Some(version)) => Reply::Swapped(op, version),
                    (false, None) => Reply::Conflict(op, self.reread()),
                };
                let late = longest(&self.store.trouble.slow_replies) * MS;
                self.reply(from, server, late, reply);
            }
            Ask::Verify(op) => {
                let seen = self.store.key.current().clone();
                let reply = Reply::Verified(op, Some(seen), self.now);
                self.reply(from, server, 0, reply);
            }
            Ask::Watch { query, known } => self.watch_arrives(from, server, query, known),
            Ask::GuardRead(job) => {
                let seen = self.store.key.current().clone();
                self.guard_reply(server, job.manager, Event::GuardRead(job, Some(seen)));
            }
            Ask::GuardSwap {
                job,
                expected,
                record,
            } => {
                let (done, lost) = self.write(Some(expected), record);
                let done = done.is_some() && !lost;
                self.guard_reply(server, job.manager, Event::GuardSwapped(job, done));
            }
        }
    }

    /// The linearizable read after a conflict, which may fail too.
    fn reread(&mut self) -> Option<(Seen, u64)> {
        let reads_refused = self.store.trouble.refuses.contains(&RefuseWhich::Reads);
        (!reads_refused).then(|| (self.store.key.current().clone(), self.now))
    }

    /// Swaps: the new version if it was done, and whether the answer gets lost.
    fn write(
        &mut self,
        expected: Option<Version>,
        record: std::sync::Arc<swarm_core::election::Record>,
    ) -> (Option<Version>, bool) {
        let losses = &mut self.store.trouble.lost;
        let lost = losses.first_mut().map(|(count, applied)| {
            *count = count.saturating_sub(1);
            *applied
        });
        losses.retain(|(count, _)| *count > 0);
        if lost == Some(false) {
            return (None, true);
        }
        let step = self.store.random.between(1, 20);
        let (epoch, released) = (record.epoch, record.released);
        let done = self.store.key.swap(self.now, expected, record, step);
        let version = self.store.key.current().version;
        let host = self.store.host(self.store.leader.unwrap_or(0));
        if done {
            self.note(host, Kind::SwapDone, (epoch, version));
            if released {
                self.judge.released(self.now, epoch);
            }
            self.tell_watchers();
        } else {
            self.note(host, Kind::SwapConflict, (epoch, version));
        }
        (done.then_some(Version(version)), lost.is_some())
    }
}
