//! The network: what stands between two hosts at the moment, and its projection on turmoil.
//!
//! Faults overlap, and turmoil keeps one state for each direction of a link. So this table holds everything that
//! hinders a link; whenever it changes, what follows for each link is compared with what turmoil was last told.
//! Another substrate takes turmoil's place by implementing the few calls in [`Net::project`], [`Net::pump`] and
//! [`Net::set_latency`].
//!
//! What is held waits and arrives when the cut ends, as where TCP retransmits. What is refused is lost, and the
//! connections it belonged to are reset (turmoil never retransmits, so a connection that lost a segment would hang for
//! ever): those of before when the cut begins, and those that were opened the other way meanwhile when it ends. A host
//! without power sends nothing more, and what was sent to it waits until it is back.
//!
//! One direction of a link can be cut: turmoil holds both, and what travels in the open direction is let go after each
//! step. Two things stay unlike a real network. The answer to a connection attempt takes no time and passes every cut
//! but the one of the attempt itself, so a connection can be opened against a refused direction; and what is lost on it
//! stays unnoticed as long as the cut lasts.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use turmoil::Sim;

use super::io::Directory;
use super::pause::Gate;
use super::witness::SharedWitness;
use crate::trace::{HostId, Kind};

/// What hinders one direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// It waits.
    Hold,
    /// What the directory keeps waits.
    Pick,
    /// It is lost, and new connections are refused.
    Refuse,
    /// It is lost: the sender has no power.
    Dark,
    /// It takes so long, in milliseconds.
    Delay(u64),
    /// It comes and goes, so many nanoseconds each.
    Flap {
        /// How long it is there, and then away.
        every: u64,
        /// When it was first there.
        since: u64,
    },
}

/// What happens to what is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Flow {
    #[default]
    Open,
    /// Open but for what is kept.
    Pick,
    Hold,
    Drop,
}

impl Flow {
    fn passes(self) -> bool {
        matches!(self, Self::Open | Self::Pick)
    }
}

/// What is true of a link: there, back, and the longest delay in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Link {
    there: Flow,
    back: Flow,
    delay: Option<u64>,
}

/// Two hosts, the smaller number first.
type Pair = (HostId, HostId);

/// One direction.
type Way = (HostId, HostId);

/// The links of all hosts.
pub(crate) struct Net {
    addresses: Vec<IpAddr>,
    gates: Vec<Arc<Gate>>,
    directory: Arc<Directory>,
    witness: SharedWitness,
    latency: (Duration, Duration),
    /// By the fault they come from.
    hindrances: BTreeMap<u32, Vec<(Way, Hindrance)>>,
    /// What turmoil was told, where it is not the default.
    told: BTreeMap<Pair, Link>,
    /// Open directions of links that are held the other way.
    pumped: BTreeSet<(IpAddr, IpAddr)>,
    flapping: bool,
}

impl Net {
    /// A network without faults. `addresses` and `gates` are indexed by host.
    pub(crate) fn new(
        addresses: Vec<IpAddr>,
        gates: Vec<Arc<Gate>>,
        directory: Arc<Directory>,
        witness: SharedWitness,
        latency: (Duration, Duration),
    ) -> Self {
        Self {
            addresses,
            gates,
            directory,
            witness,
            latency,
            hindrances: BTreeMap::new(),
            told: BTreeMap::new(),
            pumped: BTreeSet::new(),
            flapping: false,
        }
    }

    /// Fault `id` hinders these directions from now on, besides what it does already.
    pub(crate) fn begin(
        &mut self,
        sim: &Sim<'_>,
        now: u64,
        id: u32,
        ways: impl IntoIterator<Item = (Way, Hindrance)>,
    ) {
        let ways: Vec<(Way, Hindrance)> = ways.into_iter().collect();
        self.hindrances.entry(id).or_default().extend(&ways);
        self.refresh(sim, now);
        self.reset(&ways, Hindrance::Refuse);
    }

    /// Fault `id` keeps the first `count` such requests from one host to the other.
    pub(crate) fn keep_requests(&self, id: u32, way: Way, request: &str, count: u8) {
        self.directory.keeps.begin(id, way, request, count);
    }

    /// Breaks the connections between hosts that are hindered so.
    fn reset(&self, ways: &[(Way, Hindrance)], hindrance: Hindrance) {
        let so = ways.iter().filter(|(_, one)| *one == hindrance);
        let pairs: BTreeSet<Pair> = so.map(|((from, to), _)| pair(*from, *to)).collect();
        for (one, other) in pairs {
            self.directory.reset(one, other);
            for host in [one, other] {
                if let Some(gate) = self.gates.get(usize::from(host)) {
                    gate.wake_all();
                }
            }
        }
    }

    /// Fault `id` hinders nothing any more.
    pub(crate) fn end(&mut self, sim: &Sim<'_>, now: u64, id: u32) {
        self.directory.keeps.end(id);
        if let Some(ways) = self.hindrances.remove(&id) {
            self.refresh(sim, now);
            // A machine that had no power knows nothing of the connections it had, and says so to whoever asks.
            self.reset(&ways, Hindrance::Dark);
            self.reset(&ways, Hindrance::Refuse);
        }
    }

    /// Whether what `from` sends does not reach `to` at the moment.
    pub(crate) fn is_cut(&self, from: HostId, to: HostId) -> bool {
        let Some(link) = self.told.get(&pair(from, to)) else {
            return false;
        };
        let flow = if from < to { link.there } else { link.back };
        !flow.passes()
    }

    /// Before each step.
    pub(crate) fn step(&mut self, sim: &Sim<'_>, now: u64) {
        if self.flapping {
            self.refresh(sim, now);
        }
        if !self.pumped.is_empty() {
            self.pump(sim);
        }
    }

    fn refresh(&mut self, sim: &Sim<'_>, now: u64) {
        let mut wanted: BTreeMap<Pair, Link> = BTreeMap::new();
        self.flapping = false;
        for ((from, to), hindrance) in self.hindrances.values().flatten() {
            let link = wanted.entry(pair(*from, *to)).or_default();
            let flow = match hindrance {
                Hindrance::Hold => Flow::Hold,
                Hindrance::Pick => Flow::Pick,
                Hindrance::Refuse | Hindrance::Dark => Flow::Drop,
                Hindrance::Delay(ms) => {
                    link.delay = link.delay.max(Some(*ms));
                    Flow::Open
                }
                Hindrance::Flap { every, since } => {
                    self.flapping = true;
                    let away = (now.saturating_sub(*since) / every.max(&1)) % 2 == 1;
                    if away { Flow::Hold } else { Flow::Open }
                }
            };
            let side = if from < to {
                &mut link.there
            } else {
                &mut link.back
            };
            *side = flow.max(*side);
        }
        let changed: BTreeSet<Pair> = wanted.keys().chain(self.told.keys()).copied().collect();
        for pair in changed {
            let new = wanted.get(&pair).copied().unwrap_or_default();
            let old = self.told.get(&pair).copied().unwrap_or_default();
            if new != old {
                self.project(sim, pair, old, new);
                self.told.insert(pair, new);
            }
        }
        self.told.retain(|_, link| *link != Link::default());
    }

    fn project(&mut self, sim: &Sim<'_>, pair: Pair, old: Link, new: Link) {
        let address = |host: HostId| self.addresses.get(usize::from(host)).copied();
        let (Some(one), Some(other)) = (address(pair.0), address(pair.1)) else {
            return;
        };
        if new.delay != old.delay {
            self.set_latency(sim, (one, other), new.delay);
        }
        self.tell(pair, old.there, new.there);
        self.tell((pair.1, pair.0), old.back, new.back);
        if (new.there, new.back) == (old.there, old.back) {
            return;
        }
        let waits = |flow| matches!(flow, Flow::Hold | Flow::Pick);
        let held = waits(new.there) || waits(new.back);
        if held {
            sim.hold(one, other);
        } else {
            sim.release(one, other);
        }
        for (from, to, flow) in [(one, other, new.there), (other, one, new.back)] {
            if flow == Flow::Drop {
                sim.partition_oneway(from, to);
            }
            if held && flow.passes() {
                self.pumped.insert((from, to));
            } else {
                self.pumped.remove(&(from, to));
            }
        }
    }

    /// Lets go what travels in the open direction of a link that is held the other way.
    fn pump(&self, sim: &Sim<'_>) {
        sim.links(|links| {
            for link in links {
                let (one, other) = link.pair();
                let open = |way| self.pumped.contains(&way);
                if !open((one, other)) && !open((other, one)) {
                    continue;
                }
                for sent in link {
                    let (from, to) = sent.pair();
                    if open((from.ip(), to.ip())) && !self.directory.keeps.holds((from, to)) {
                        sent.deliver();
                    }
                }
            }
        });
    }

    fn set_latency(&self, sim: &Sim<'_>, (one, other): (IpAddr, IpAddr), delay: Option<u64>) {
        match delay {
            Some(ms) => sim.set_link_latency(one, other, Duration::from_millis(ms)),
            None => {
                sim.set_link_latency(one, other, self.latency.0);
                sim.set_link_max_message_latency(one, other, self.latency.1);
            }
        }
    }

    fn tell(&self, (from, to): Way, old: Flow, new: Flow) {
        match (old.passes(), new.passes()) {
            (true, false) => self.witness.note(from, Kind::Cut, u64::from(to), 0),
            (false, true) => self.witness.note(from, Kind::Healed, u64::from(to), 0),
            (true, true) | (false, false) => {}
        }
    }
}

fn pair(one: HostId, other: HostId) -> Pair {
    (one.min(other), one.max(other))
}

/// Every direction between the hosts of two sides that `there` and `back` let pass.
pub(crate) fn between(
    one: &[HostId],
    other: &[HostId],
    (there, back): (bool, bool),
    hindrance: Hindrance,
) -> Vec<(Way, Hindrance)> {
    let mut ways = Vec::new();
    for &from in one {
        for &to in other {
            if from == to {
                continue;
            }
            if there {
                ways.push(((from, to), hindrance));
            }
            if back {
                ways.push(((to, from), hindrance));
            }
        }
    }
    ways
}
