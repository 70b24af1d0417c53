//! The hosts of a world and the processes on them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use swarm::platform::BoxFuture;
use swarm_core::rng::Random;
use turmoil::Sim;

use super::clock::HostClock;
use super::io::{Directory, Wires};
use super::pause::{Gate, Gated};
use super::platform::SimPlatform;
use super::tap::Tap;
use super::witness::{SharedWitness, TrueTime};
use crate::plan::Plan;
use crate::trace::{HostId, Kind};

/// What runs on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Server of the store, counted from 1.
    Store(u8),
    /// `swarm manage`.
    Manager(u8),
    /// The guard of a manager, on the same machine.
    Guard(u8),
    /// A Docker Engine.
    Engine(u8),
    /// `swarm join` for an engine, on the same machine.
    Agent(u8),
    /// A client.
    Client(u8),
}

impl Role {
    /// The roles of everybody in `plan`, in the order of their host numbers.
    pub(crate) fn all(plan: &Plan, clients: usize) -> Vec<Self> {
        let topology = plan.topology;
        let clients = u8::try_from(clients).unwrap_or(u8::MAX);
        let agents = if topology.agents { topology.engines } else { 0 };
        let mut all: Vec<Self> = Vec::new();
        all.extend((1..=topology.stores).map(Self::Store));
        all.extend((1..=topology.managers).map(Self::Manager));
        all.extend((1..=topology.engines).map(Self::Engine));
        all.extend((1..=clients).map(Self::Client));
        all.extend((1..=topology.managers).map(Self::Guard));
        all.extend((1..=agents).map(Self::Agent));
        all
    }

    /// Its host's name.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Store(n) => format!("s{n}"),
            Self::Manager(n) => format!("m{n}"),
            Self::Guard(n) => format!("g{n}"),
            Self::Engine(n) => format!("e{n}"),
            Self::Agent(n) => format!("a{n}"),
            Self::Client(n) => format!("c{n}"),
        }
    }

    /// Whether the lives of its processes are events: guards come and go as they are needed.
    pub(crate) fn is_told(self) -> bool {
        !matches!(self, Self::Guard(_))
    }

    /// Who lives on the same machine and goes down with it.
    pub(crate) fn housemate(self) -> Option<Self> {
        match self {
            Self::Manager(n) => Some(Self::Guard(n)),
            Self::Engine(n) => Some(Self::Agent(n)),
            Self::Store(_) | Self::Guard(_) | Self::Agent(_) | Self::Client(_) => None,
        }
    }
}

/// A process told the world that it is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Over(Arc<Mutex<Option<Result<(), String>>>>);

impl Over {
    /// The process ended as it should, or why it could not go on.
    pub(crate) fn tell(&self, how: Result<(), String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
    }

    /// How it ended, if it did since the last look.
    pub(crate) fn take(&self) -> Option<Result<(), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// One host.
pub(crate) struct Slot {
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) id: HostId,
    pub(crate) platform: SimPlatform,
    pub(crate) over: Over,
    /// The rate its clock drew, in parts per million.
    pub(crate) rate_ppm: i32,
    /// Faults that set another rate.
    pub(crate) rates: Vec<(u32, i32)>,
    /// Faults that limit its pieces.
    pub(crate) chops: Vec<(u32, u16)>,
    /// Faults that keep its process down.
    pub(crate) down_by: BTreeSet<u32>,
    pub(crate) running: bool,
}

/// What hosts are made from.
pub(crate) struct Ground {
    pub(crate) root: Random,
    pub(crate) time: TrueTime,
    pub(crate) witness: SharedWitness,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock_error_ppm: u32,
}

impl Ground {
    /// A machine with a clock of its own within the plan's error.
    pub(crate) fn slot(&self, id: HostId, role: Role, tap: Option<Arc<Tap>>) -> Slot {
        let name = role.name();
        let random = self.root.fork(&name);
        let (clock, rate_ppm) = self.clock(&random);
        let gate = Gate::new(id);
        let wires = Wires::new(id, &self.directory, tap);
        Slot {
            role,
            id,
            platform: SimPlatform::new(clock, gate, self.time.clone(), wires, random),
            name,
            over: Over::default(),
            rate_ppm,
            rates: Vec::new(),
            chops: Vec::new(),
            down_by: BTreeSet::new(),
            running: true,
        }
    }

    fn clock(&self, random: &Random) -> (HostClock, i32) {
        let mut draw = random.fork("clock");
        let error = u64::from(self.clock_error_ppm);
        let rate =
            i64::try_from(draw.below(2 * error + 1)).unwrap_or(0) - i64::from(self.clock_error_ppm);
        let rate = i32::try_from(rate).unwrap_or(0);
        let offset = draw.below(1 << 50);
        let wall = i64::try_from(draw.below(7_200)).unwrap_or(0) - 3_600;
        (HostClock::new(offset, rate, wall), rate)
    }
}

/// Puts a process on a host. `life` makes the future of each life, given its number (from 1) and its platform.
pub(crate) fn settle(
    sim: &mut Sim<'static>,
    slot: &Slot,
    witness: &SharedWitness,
    life: impl Fn(u32, SimPlatform) -> BoxFuture<'static, ()> + 'static,
) {
    let lives = AtomicU32::new(0);
    let (platform, witness, id) = (slot.platform.clone(), witness.clone(), slot.id);
    let told = slot.role.is_told();
    sim.host(slot.name.as_str(), move || {
        let number = lives.fetch_add(1, Ordering::Relaxed) + 1;
        if told {
            witness.note(id, Kind::Started, u64::from(number), 0);
        }
        let platform = platform.life(number);
        let gate = platform.gate().clone();
        let process = Gated::main(&gate, life(number, platform));
        async move {
            process.await;
            // turmoil would take the end of a host for an error of the run; the world ends processes itself.
            std::future::pending().await
        }
    });
}
