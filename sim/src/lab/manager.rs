//! A manager of the lab: its machines, its clock, and what it has under way.

use std::collections::VecDeque;

use swarm_core::address::HostPort;
use swarm_core::api::Class;
use swarm_core::election::{Authority, Election, ElectionConfig, OpId, Ticket, Version};
use swarm_core::proxy::{Config, Proxy, RequestId};
use swarm_core::rng::Random;
use swarm_core::time::Mono;

use super::clock::Clock;
use super::event::{Caller, Event, Process};
use super::promise::{Asked, Round};
use crate::history::Told;
use crate::trace::HostId;

/// Requests a manager of the lab has at most: enough for every client there is.
const JOBS_BITS: u32 = 12;

/// What a manager's proxy believes in, without its strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Leads {
    #[default]
    Nowhere,
    Here(u64),
    /// To a manager (or to nobody known), in an epoch.
    To(Option<usize>, u64),
}

/// A request in a manager's hands.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: RequestId,
    pub(super) request: usize,
    pub(super) class: Class,
    /// The other manager that forwarded it; none: a client.
    pub(super) caller: Option<Caller>,
    /// Managers it has come through, one bit each.
    pub(super) visited: u8,
    pub(super) attempt: u32,
    pub(super) stage: Stage,
    /// How the attempt was answered.
    pub(super) told: Option<Told>,
    /// Since when it has had no attempt, in running time of the manager.
    pub(super) held_since: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Held,
    Remote { to: usize, since: u64 },
    Reading,
    AtGate { ticket: Ticket },
    Leaving,
    AtEngine,
}

/// A change at the gate.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    pub(super) ticket: Ticket,
    pub(super) id: RequestId,
    pub(super) epoch: u64,
    /// In running time of the manager.
    pub(super) since: u64,
    /// In true time.
    pub(super) arrived: u64,
}

/// A swap of this life, as far as the checks need it.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) op: OpId,
    pub(super) nonce: String,
    pub(super) epoch: u64,
    pub(super) expected: Option<Version>,
    /// It may yet be carried out.
    pub(super) open: bool,
    pub(super) at: Mono,
}

/// An operation of the store under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Op {
    pub(super) op: OpId,
    pub(super) kind: OpKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OpKind {
    /// With the epoch of its record.
    Swap(u64),
    Verify,
}

/// The blocking query of a manager.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    pub(super) query: u64,
    pub(super) known: Option<u64>,
    /// When it was asked, in running time; none while it pauses.
    pub(super) since: Option<u64>,
    /// The server it waits at.
    pub(super) waits_at: Option<usize>,
}

/// What a manager asked of the store in a window of time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    pub(super) swaps: u64,
    pub(super) verifies: u64,
    pub(super) watches: u64,
    pub(super) changes: u64,
}

/// What a life was shown last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shown {
    /// None: no record.
    pub(super) version: Option<Version>,
    pub(super) epoch: u64,
    /// When it was first shown, on the manager's own clock and in true time.
    pub(super) since: Mono,
    pub(super) at: u64,
    /// Less than was shown before: it is stale, or the store went back.
    pub(super) back: bool,
}

/// What a life was told by the store, as far as its machine took it in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Knows {
    /// The highest epoch of others.
    pub(super) told_epoch: u64,
    /// The highest epoch of another's record that a linearizable read showed.
    pub(super) proven_epoch: u64,
    /// The latest linearizable read that showed its own record: when the store was read, and the epoch.
    pub(super) confirmed: (u64, u64),
    pub(super) shown: Shown,
    pub(super) ever_shown: bool,
    pub(super) highest_epoch: u64,
}

/// What the checks remember of a life.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    pub(super) knows: Knows,
    /// The highest epoch of its own that it lost or gave up.
    pub(super) void_epoch: u64,
    /// When it lost the lease against its will: true time, own time.
    pub(super) lost_at: Option<(u64, Mono)>,
    /// When it was last told to step down, on its own clock.
    pub(super) stepped_down: Option<Mono>,
    pub(super) sent: VecDeque<Sent>,
    /// The end of the lease that answers to its own swaps and complete rounds have given it.
    pub(super) granted: Mono,
    pub(super) rounds: VecDeque<Round>,
    /// The latest complete round: when it was sent, in true time, and its epoch.
    pub(super) promised: (u64, u64),
}

pub(super) struct Manager {
    pub(super) host: HostId,
    pub(super) address: HostPort,
    pub(super) clock: Clock,
    pub(super) life: u32,
    pub(super) up: bool,
    /// Faults that keep it down; it starts when none is left.
    pub(super) downs: u32,
    /// Its machine is without power: nobody hears that connections ended.
    pub(super) dark: bool,
    pub(super) outages: u32,
    pub(super) pauses: u32,
    /// When the pause began, and how long earlier ones were.
    pub(super) paused_at: u64,
    pub(super) stood_still: u64,
    pub(super) thaws: u32,
    /// Since when it gets a turn only now and then, and how often.
    pub(super) slow: Vec<(usize, u64, u64)>,
    pub(super) stash: Vec<(u64, Event)>,
    pub(super) election: Election,
    pub(super) proxy: Proxy,
    pub(super) authority: Option<Authority>,
    pub(super) leads: Leads,
    pub(super) wakes_at: u64,
    pub(super) proxy_wakes_at: u64,
    pub(super) ops: Vec<Op>,
    pub(super) watch: Watch,
    pub(super) server: usize,
    jobs: Vec<Option<Job>>,
    free: Vec<usize>,
    next_id: u64,
    next_ticket: Ticket,
    pub(super) tickets: Vec<Waiting>,
    pub(super) leaving: u32,
    pub(super) quiesces: bool,
    pub(super) stopping: Option<u64>,
    pub(super) resigned: bool,
    pub(super) heard: Vec<Option<u64>>,
    pub(super) members: u8,
    pub(super) missed: Vec<u8>,
    pub(super) sweeps: u32,
    pub(super) load: Load,
    pub(super) memory: Memory,
    pub(super) asked: Vec<Asked>,
}

impl Manager {
    pub(super) fn new(
        index: usize,
        (host, managers, servers): (HostId, usize, usize),
        clock: Clock,
        (config, proxy): (ElectionConfig, Config),
    ) -> Self {
        Self {
            host,
            address: config.advertise.clone(),
            clock,
            life: 0,
            up: false,
            downs: 0,
            dark: false,
            outages: 0,
            pauses: 0,
            paused_at: 0,
            stood_still: 0,
            thaws: 0,
            slow: Vec::new(),
            stash: Vec::new(),
            election: Election::new(config, Random::new(0)),
            proxy: Proxy::new(proxy),
            authority: None,
            leads: Leads::Nowhere,
            wakes_at: u64::MAX,
            proxy_wakes_at: u64::MAX,
            ops: Vec::new(),
            watch: Watch::default(),
            server: index % servers,
            jobs: Vec::new(),
            free: Vec::new(),
            next_id: 0,
            next_ticket: 0,
            tickets: Vec::new(),
            leaving: 0,
            quiesces: false,
            stopping: None,
            resigned: false,
            heard: vec![None; managers],
            members: 0,
            missed: vec![0; managers],
            sweeps: 0,
            load: Load::default(),
            memory: Memory::default(),
            asked: Vec::new(),
        }
    }

    /// A new process with fresh machines.
    pub(super) fn begin_life(&mut self, election: Election, proxy: Proxy) {
        self.life += 1;
        self.up = true;
        self.dark = false;
        self.election = election;
        self.proxy = proxy;
        self.authority = None;
        self.leads = Leads::Nowhere;
        self.wakes_at = u64::MAX;
        self.proxy_wakes_at = u64::MAX;
        self.ops.clear();
        self.watch = Watch {
            query: self.watch.query,
            ..Watch::default()
        };
        self.tickets.clear();
        self.leaving = 0;
        self.quiesces = false;
        self.stopping = None;
        self.resigned = false;
        self.heard.fill(None);
        self.members = 0;
        self.missed.fill(0);
        self.memory = Memory::default();
        self.asked.clear();
    }

    pub(super) fn process(&self, manager: usize) -> Process {
        Process {
            manager,
            life: self.life,
        }
    }

    /// Whether its tasks run.
    pub(super) fn runs(&self) -> bool {
        self.up && self.pauses == 0
    }

    /// The epoch in which it acts at `now` by its own clock; a frozen one does nothing.
    pub(super) fn acting(&self, now: u64) -> Option<u64> {
        let authority = self.authority?;
        let holds = self.up && !self.clock.is_frozen() && authority.holds(self.clock.local(now));
        holds.then_some(authority.epoch)
    }

    /// The time its process has run, for what is measured in patience.
    pub(super) fn ran(&self, now: u64) -> u64 {
        let until = if self.pauses > 0 { self.paused_at } else { now };
        until - self.stood_still
    }

    pub(super) fn is_slow(&self) -> bool {
        !self.slow.is_empty()
    }

    /// When a slow host has its next turn; `now` if it has one.
    pub(super) fn turn(&self, now: u64) -> u64 {
        self.slow.iter().fold(now, |at, (_, since, every)| {
            at.max(since + (at - since).div_ceil(*every) * every)
        })
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        self.next_ticket
    }

    pub(super) fn add_job(&mut self, job: impl FnOnce(RequestId) -> Job) -> RequestId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.jobs.push(None);
            self.jobs.len() - 1
        });
        self.next_id += 1;
        let id = RequestId(self.next_id << JOBS_BITS | slot as u64);
        if let Some(place) = self.jobs.get_mut(slot) {
            *place = Some(job(id));
        }
        id
    }

    fn slot(id: RequestId) -> usize {
        usize::try_from(id.0 & ((1 << JOBS_BITS) - 1)).unwrap_or(usize::MAX)
    }

    pub(super) fn job(&mut self, id: RequestId) -> Option<&mut Job> {
        let job = self.jobs.get_mut(Self::slot(id))?.as_mut()?;
        (job.id == id).then_some(job)
    }

    /// The request, if `attempt` is the one it waits for.
    pub(super) fn waiting_job(&mut self, id: RequestId, attempt: u32) -> Option<&mut Job> {
        self.job(id)
            .filter(|job| job.attempt == attempt && job.stage != Stage::Held)
    }

    pub(super) fn remove_job(&mut self, id: RequestId) -> Option<Job> {
        self.job(id)?;
        let job = self.jobs.get_mut(Self::slot(id))?.take()?;
        self.free.push(Self::slot(id));
        Some(job)
    }

    pub(super) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().flatten()
    }

    pub(super) fn take_jobs(&mut self) -> Vec<Job> {
        self.free.clear();
        self.jobs.drain(..).flatten().collect()
    }
}
