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
use swarm_models::trouble::Outage;
use turmoil::Sim;

use super::engines::{ENGINE_PORT, serve};
use super::hosts::{Slot, settle};
use super::platform::SimPlatform;
use super::witness::SharedWitness;
use crate::plan::{Op, Plan, StoreKind, Topology};

mod double;
mod trouble;

use double::{Double, WayBack};

const PREFIX: &str = "nodes";
/// Between two snapshots, in nanoseconds.
const SNAPSHOT_PERIOD: u64 = 500_000_000;
/// As many snapshots are kept.
const SNAPSHOTS_MAX: usize = 240;

/// The store of a world.
pub(crate) struct Stores {
    /// Made by the first server that runs.
    double: Arc<OnceLock<Arc<dyn Double>>>,
    kind: StoreKind,
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
    snapshots: VecDeque<(u64, WayBack)>,
    keeps_snapshots: bool,
    lease_index: u64,
}

/// The discovery argument of everybody: all servers.
pub(crate) fn discovery(topology: Topology) -> RawDiscovery {
    let (scheme, port) = (scheme(topology.store), port(topology.store));
    let hosts: Vec<String> = (1..=topology.stores)
        .map(|n| format!("s{n}:{port}"))
        .collect();
    RawDiscovery {
        arguments: vec![format!("{scheme}://{}/{PREFIX}", hosts.join(","))],
        ..RawDiscovery::default()
    }
}

const fn scheme(kind: StoreKind) -> &'static str {
    match kind {
        StoreKind::Consul => "consul",
        StoreKind::Etcd => "etcd",
        StoreKind::ZooKeeper => "zk",
    }
}

const fn port(kind: StoreKind) -> u16 {
    match kind {
        StoreKind::Consul => 8_500,
        StoreKind::Etcd => 2_379,
        StoreKind::ZooKeeper => 2_181,
    }
}

/// How long the others need for a new leader, in nanoseconds: Consul's raft with `raft_multiplier` 1 (HA.md section 2.6),
/// etcd's one to two times `--election-timeout` and the votes. ZooKeeper's elect at once when the leader's connections
/// end, and after `syncLimit` when it is silent.
const fn election(kind: StoreKind, leader: Outage) -> (u64, u64) {
    match (kind, leader) {
        (StoreKind::Consul, _) => (1_500_000_000, 3_000_000_000),
        (StoreKind::Etcd, _) => (1_000_000_000, 2_100_000_000),
        (StoreKind::ZooKeeper, Outage::Down) => (250_000_000, 1_000_000_000),
        (StoreKind::ZooKeeper, Outage::None | Outage::Hung) => (10_000_000_000, 12_500_000_000),
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
        let double: Arc<OnceLock<Arc<dyn Double>>> = Arc::default();
        let kind = plan.topology.store;
        let (servers, seed) = (slots.len(), random.fork(scheme(kind)).next_u64());
        let keys: Vec<(String, String)> = registered
            .iter()
            .map(|engine| (format!("{}{engine}", layout.nodes_prefix()), engine.clone()))
            .collect();
        for (index, slot) in slots.iter().enumerate() {
            let (double, shared) = (double.clone(), shared.clone());
            let (over, keys) = (slot.over.clone(), keys.clone());
            settle(sim, slot, witness, move |_life, platform| {
                let (double, shared, keys) = (double.clone(), shared.clone(), keys.clone());
                serve(platform, port(kind), over.clone(), move || {
                    let double = double.get_or_init(|| {
                        let host = Arc::new(shared.clone());
                        let double = double::start(kind, host, servers, seed);
                        for (key, value) in &keys {
                            double.put(key, value.clone().into());
                        }
                        double
                    });
                    double.server(index)
                })
            });
        }
        Ok(Self {
            double,
            kind,
            servers,
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
    pub(crate) fn double(&self) -> Option<&Arc<dyn Double>> {
        self.double.get()
    }

    /// The server that leads, from 0.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.double()?.leader()
    }

    /// The lease record, if the store's content changed since the last call.
    pub(crate) fn news_of_lease(&mut self) -> Option<Vec<u8>> {
        let double = self.double.get()?;
        let index = double.index();
        if index == self.lease_index {
            return None;
        }
        self.lease_index = index;
        Some(double.value(self.layout.lease())?.to_vec())
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
        let Some(double) = self.double.get().cloned() else {
            return;
        };
        self.at_once(double.as_ref(), now, id, op);
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
            if let Some(double) = self.double() {
                double.set_leader(next);
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
        let Some(double) = self.double.get().cloned() else {
            return;
        };
        for server in 0..self.servers {
            double.misbehave(server, &self.wanted(server));
        }
        if self.is_leaderless() {
            double.set_leader(None);
        }
    }

    /// Before each step: elections of a leader, snapshots.
    pub(crate) fn step(&mut self, now: u64) {
        let Some(double) = self.double.get().cloned() else {
            return;
        };
        if self.keeps_snapshots {
            let due = self
                .snapshots
                .back()
                .is_none_or(|(at, _)| now.saturating_sub(*at) >= SNAPSHOT_PERIOD);
            if due {
                self.snapshots.push_back((now, double.way_back()));
                if self.snapshots.len() > SNAPSHOTS_MAX {
                    self.snapshots.pop_front();
                }
            }
        }
        if self.servers == 1 || self.is_leaderless() || !self.dirty {
            return;
        }
        let leader = double.leader();
        if leader.is_some_and(|leader| self.is_fit(leader)) {
            self.election_due = None;
            self.dirty = false;
            return;
        }
        let due = match self.election_due {
            Some(due) => due,
            None => {
                let outage = leader.map_or(Outage::Down, |leader| self.wanted(leader).outage);
                let (soonest, latest) = election(self.kind, outage);
                let due = now + self.random.between(soonest, latest);
                *self.election_due.insert(due)
            }
        };
        if now < due {
            return;
        }
        let next = self.fit().next();
        if next.is_some() || leader.is_some() {
            double.set_leader(next);
        }
        // Without a majority it goes on like that.
        self.election_due = None;
    }
}
