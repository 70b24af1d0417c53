//! Fault plans: data drawn from a seed, each fault carrying its own end, so that any subset is a plan too.

use std::fmt;
use std::time::Duration;

use swarm_core::rng::Random;
use swarm_models::consul::faults::Outage;

use crate::world::{STORE, Violation, World, WorldConfig};

/// Before the first fault: time to elect somebody.
const WARM_UP: Duration = Duration::from_secs(6);
/// After the last fault: by then somebody acts and every manager leads there.
const RECOVERY: Duration = Duration::from_secs(15);
/// The last part of the recovery, in which every reader must be answered.
const PROOF: Duration = Duration::from_secs(5);

/// What happens to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// A manager's process dies, and is started again at the end.
    Crash(String),
    /// A manager is asked to end, and is started again at the end.
    Terminate(String),
    /// A manager hears nobody and nobody hears it.
    Isolate(String),
    /// A manager and the store do not hear each other.
    CutStore(String),
    /// The store refuses connections.
    StoreDown,
    /// The store takes requests and does not answer.
    StoreHung,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Since the end of the warm-up.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// What it is.
    pub op: Op,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7.3} s for {:.3} s: {:?}",
            self.at.as_secs_f64(),
            self.lasts.as_secs_f64(),
            self.op
        )
    }
}

/// A run's faults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// In no order; they may overlap.
    pub faults: Vec<Fault>,
}

/// What a run showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How often somebody became primary.
    pub terms: usize,
    /// Requests of readers that were answered.
    pub answered: u64,
    /// Requests of readers that were not, for instance because their manager was down.
    pub failed: usize,
}

impl Plan {
    /// Draws the faults of `seed`, which begin within `span`. Each kind is left out of half of the runs.
    #[must_use]
    pub fn draw(seed: u64, config: &WorldConfig, span: Duration) -> Self {
        let mut random = Random::new(seed).fork("plan");
        let mask = random.next_u64();
        let count = random.between(1, 8);
        let mut faults = Vec::new();
        for _ in 0..count {
            let manager = format!(
                "m{}",
                random.between(1, u64::try_from(config.managers).unwrap_or(1))
            );
            let kind = random.below(6);
            let at = random.duration(Duration::ZERO, span);
            let lasts = random.duration(Duration::from_millis(50), Duration::from_secs(8));
            let op = match kind {
                0 => Op::Crash(manager),
                1 => Op::Terminate(manager),
                2 => Op::Isolate(manager),
                3 => Op::CutStore(manager),
                4 => Op::StoreDown,
                _ => Op::StoreHung,
            };
            if mask >> kind & 1 == 1 {
                faults.push(Fault { at, lasts, op });
            }
        }
        Self { faults }
    }

    /// Runs the plan in a fresh world with a reader at every manager.
    ///
    /// # Errors
    /// The first promise that did not hold.
    pub fn run(&self, config: &WorldConfig) -> Result<Outcome, Violation> {
        let mut world = World::new(config);
        let readers: Vec<_> = world
            .managers()
            .iter()
            .map(|manager| world.add_reader(manager))
            .collect();
        world.run_until_primary(WARM_UP)?;
        world.run_for(WARM_UP)?;
        let start = world.elapsed();
        for (at, begins, fault) in self.steps() {
            world.run_for((start + at).saturating_sub(world.elapsed()))?;
            if begins {
                begin(&mut world, &fault.op);
            } else {
                end(&mut world, &fault.op);
            }
        }
        world.run_for(RECOVERY - PROOF)?;
        let before: Vec<u64> = readers
            .iter()
            .map(|reader| reader.borrow().answered)
            .collect();
        world.run_for(PROOF)?;
        if world.acting().is_none() {
            return Err(world.stuck("nobody acts though all faults are over".to_owned()));
        }
        for (index, (reader, before)) in readers.iter().zip(before).enumerate() {
            if reader.borrow().answered == before {
                let what = format!("m{} answers nobody though all faults are over", index + 1);
                return Err(world.stuck(what));
            }
        }
        Ok(Outcome {
            terms: world.history().len(),
            answered: readers.iter().map(|reader| reader.borrow().answered).sum(),
            failed: readers
                .iter()
                .map(|reader| reader.borrow().failed.len())
                .sum(),
        })
    }

    /// Beginnings (`true`) and ends in the order of time.
    fn steps(&self) -> Vec<(Duration, bool, &Fault)> {
        let mut steps: Vec<_> = self
            .faults
            .iter()
            .flat_map(|fault| {
                [
                    (fault.at, true, fault),
                    (fault.at + fault.lasts, false, fault),
                ]
            })
            .collect();
        steps.sort_by_key(|(at, ..)| *at);
        steps
    }
}

fn begin(world: &mut World, op: &Op) {
    match op {
        Op::Crash(manager) => world.crash(manager),
        Op::Terminate(manager) => world.terminate(manager),
        Op::Isolate(manager) => world.isolate(manager),
        Op::CutStore(manager) => world.cut(manager, STORE),
        Op::StoreDown => set_outage(world, Outage::Down),
        Op::StoreHung => set_outage(world, Outage::Hung),
    }
}

fn end(world: &mut World, op: &Op) {
    match op {
        Op::Crash(manager) | Op::Terminate(manager) => world.restart(manager),
        Op::Isolate(manager) => world.rejoin(manager),
        Op::CutStore(manager) => world.heal(manager, STORE),
        Op::StoreDown | Op::StoreHung => set_outage(world, Outage::None),
    }
}

fn set_outage(world: &World, outage: Outage) {
    if let Some(store) = world.store() {
        store.faults(|faults| faults.outage = outage);
    }
}
