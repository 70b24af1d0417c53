//! The modelled store: its servers, who leads them, and everything that goes wrong with it.
//!
//! The servers share one state inside the model; nothing goes over the simulated network between them. What a real raft
//! would do when servers are lost or cut off from each other is done here: a leader that is gone is followed by another
//! after a while if a majority is left, and servers without a majority turn requests down.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};

use swarm_core::config::RawDiscovery;
use swarm_core::discovery::{KV_PATH_DEFAULT, KeyLayout};
use swarm_core::rng::Random;
use swarm_models::consul::faults::Outage;
use swarm_models::consul::{Cluster, Options, Snapshot};
use turmoil::Sim;

use super::engines::{ENGINE_PORT, serve};
use super::hosts::{Slot, settle};
use super::platform::SimPlatform;
use super::witness::SharedWitness;
use crate::plan::{Op, Plan};

mod trouble;

const STORE_PORT: u16 = 8_500;
const PREFIX: &str = "nodes";
/// How long a raft needs for a new leader, in nanoseconds (HA.md section 2.6, `raft_multiplier` 1).
const ELECTION: (u64, u64) = (1_500_000_000, 3_000_000_000);
/// Between two snapshots, in nanoseconds.
const SNAPSHOT_PERIOD: u64 = 500_000_000;
/// As many snapshots are kept.
const SNAPSHOTS_MAX: usize = 240;

/// The store of a world.
pub(crate) struct Stores {
    /// Made by the first server that runs.
    cluster: Arc<OnceLock<Arc<Cluster>>>,
    servers: usize,
    layout: KeyLayout,
    /// What stands in the store from the start, and again after it lost its content.
    registered: Vec<String>,
    random: Random,
    /// Faults by which a server is away.
    away: Vec<BTreeMap<u32, Outage>>,
    /// Faults of all servers.
    faults: BTreeMap<u32, Op>,
    /// Pairs of servers that do not hear each other.
    apart: BTreeSet<(usize, usize)>,
    election_due: Option<u64>,
    /// When something besides time changed.
    dirty: bool,
    snapshots: VecDeque<(u64, Snapshot)>,
    keeps_snapshots: bool,
    lease_index: u64,
}

/// The discovery argument of everybody: all servers.
pub(crate) fn discovery(servers: u8) -> RawDiscovery {
    let hosts: Vec<String> = (1..=servers)
        .map(|n| format!("s{n}:{STORE_PORT}"))
        .collect();
    RawDiscovery {
        arguments: vec![format!("consul://{}/{PREFIX}", hosts.join(","))],
        ..RawDiscovery::default()
    }
}

impl Stores {
    /// Puts the servers on their hosts. `shared` is the machine of what they share.
    ///
    /// # Errors
    /// When the keys cannot be named.
    pub(crate) fn new(
        sim: &mut Sim<'static>,
        plan: &Plan,
        (slots, shared): (&[&Slot], SimPlatform),
        random: Random,
        witness: &SharedWitness,
    ) -> Result<Self, String> {
        let layout = KeyLayout::new(PREFIX, KV_PATH_DEFAULT).map_err(|error| error.to_string())?;
        let engines = if plan.topology.agents {
            0
        } else {
            plan.topology.engines
        };
        let registered: Vec<String> = (1..=engines)
            .map(|n| format!("e{n}:{ENGINE_PORT}"))
            .collect();
        let cluster: Arc<OnceLock<Arc<Cluster>>> = Arc::default();
        let options = Options {
            servers: slots.len(),
            seed: random.fork("consul").next_u64(),
            ..Options::default()
        };
        let keys: Vec<(String, String)> = registered
            .iter()
            .map(|engine| (format!("{}{engine}", layout.nodes_prefix()), engine.clone()))
            .collect();
        for (index, slot) in slots.iter().enumerate() {
            let (cluster, shared) = (cluster.clone(), shared.clone());
            let (options, over, keys) = (options.clone(), slot.over.clone(), keys.clone());
            settle(sim, slot, witness, move |_life, platform| {
                let (cluster, shared) = (cluster.clone(), shared.clone());
                let (options, keys) = (options.clone(), keys.clone());
                serve(platform, STORE_PORT, over.clone(), move || {
                    let cluster = cluster.get_or_init(|| {
                        let cluster = Cluster::new(Arc::new(shared.clone()), options.clone());
                        for (key, value) in &keys {
                            cluster.put(key, value.clone());
                        }
                        cluster
                    });
                    Arc::new(cluster.server(index))
                })
            });
        }
        Ok(Self {
            cluster,
            servers: slots.len(),
            layout,
            registered,
            random,
            away: slots.iter().map(|_| BTreeMap::new()).collect(),
            faults: BTreeMap::new(),
            apart: BTreeSet::new(),
            election_due: None,
            dirty: false,
            snapshots: VecDeque::new(),
            keeps_snapshots: plan
                .faults
                .iter()
                .any(|fault| matches!(fault.op, Op::Rollback { .. })),
            lease_index: 0,
        })
    }

    /// The store itself; `None` before the first step.
    pub(crate) fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.cluster.get()
    }

    /// The server that leads, from 0.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.cluster()?.leader()
    }

    /// The lease record, if the store's content changed since the last call.
    pub(crate) fn news_of_lease(&mut self) -> Option<Vec<u8>> {
        let cluster = self.cluster.get()?;
        let index = cluster.index();
        if index == self.lease_index {
            return None;
        }
        self.lease_index = index;
        Some(cluster.get(self.layout.lease())?.value.to_vec())
    }

    /// Whether a server is away.
    pub(crate) fn is_away(&self, server: usize) -> bool {
        self.away.get(server).is_some_and(|away| !away.is_empty())
    }

    /// Fault `id` takes a server away.
    pub(crate) fn take_away(&mut self, id: u32, server: usize, outage: Outage) {
        if let Some(away) = self.away.get_mut(server) {
            away.insert(id, outage);
        }
        self.apply();
    }

    /// Which servers do not hear each other.
    pub(crate) fn set_apart(&mut self, apart: BTreeSet<(usize, usize)>) {
        if self.apart != apart {
            self.apart = apart;
            self.apply();
        }
    }

    /// Fault `id` begins; its kind concerns all servers.
    pub(crate) fn begin(&mut self, now: u64, id: u32, op: &Op) {
        if op.has_end() {
            self.faults.insert(id, op.clone());
        }
        let Some(cluster) = self.cluster.get().cloned() else {
            return;
        };
        self.at_once(&cluster, now, id, op);
        self.apply();
    }

    /// Fault `id` is over, whatever it was.
    pub(crate) fn end(&mut self, id: u32) {
        let mut concerned = false;
        for away in &mut self.away {
            concerned |= away.remove(&id).is_some();
        }
        let over = self.faults.remove(&id);
        concerned |= over.is_some();
        if !concerned {
            return;
        }
        self.apply();
        if matches!(over, Some(Op::NoStoreLeader)) && !self.is_leaderless() {
            let next = self
                .fit()
                .next()
                .or_else(|| (self.servers == 1).then_some(0));
            if let Some(cluster) = self.cluster() {
                cluster.set_leader(next);
            }
        }
    }

    fn is_leaderless(&self) -> bool {
        self.faults
            .values()
            .any(|op| matches!(op, Op::NoStoreLeader))
    }

    fn hears(&self, one: usize, other: usize) -> bool {
        one == other || !self.apart.contains(&(one.min(other), one.max(other)))
    }

    fn is_fit(&self, server: usize) -> bool {
        let majority = self.servers / 2 + 1;
        let heard = (0..self.servers)
            .filter(|other| !self.is_away(*other) && self.hears(server, *other))
            .count();
        !self.is_away(server) && heard >= majority
    }

    /// Servers that may lead: they run and hear a majority.
    fn fit(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.servers).filter(|server| self.is_fit(*server))
    }

    /// Makes every server behave as all faults together say.
    fn apply(&mut self) {
        self.dirty = true;
        let Some(cluster) = self.cluster.get().cloned() else {
            return;
        };
        for server in 0..self.servers {
            let wanted = self.wanted(server);
            cluster.server(server).faults(|faults| *faults = wanted);
        }
        if self.is_leaderless() {
            cluster.set_leader(None);
        }
    }

    /// Before each step: elections of a leader, snapshots.
    pub(crate) fn step(&mut self, now: u64) {
        let Some(cluster) = self.cluster.get().cloned() else {
            return;
        };
        if self.keeps_snapshots {
            let due = self
                .snapshots
                .back()
                .is_none_or(|(at, _)| now.saturating_sub(*at) >= SNAPSHOT_PERIOD);
            if due {
                self.snapshots.push_back((now, cluster.snapshot()));
                if self.snapshots.len() > SNAPSHOTS_MAX {
                    self.snapshots.pop_front();
                }
            }
        }
        if self.servers == 1 || self.is_leaderless() || !self.dirty {
            return;
        }
        let leader = cluster.leader();
        if leader.is_some_and(|leader| self.is_fit(leader)) {
            self.election_due = None;
            self.dirty = false;
            return;
        }
        let due = match self.election_due {
            Some(due) => due,
            None => {
                let due = now + self.random.between(ELECTION.0, ELECTION.1);
                *self.election_due.insert(due)
            }
        };
        if now < due {
            return;
        }
        let next = self.fit().next();
        if next.is_some() || leader.is_some() {
            cluster.set_leader(next);
        }
        // Without a majority it goes on like that.
        self.election_due = None;
    }
}
