//! Tier B: the shipping runtime on simulated hosts.
//!
//! [`run`] runs a plan. A [`World`] can also be driven by hand: step it, begin and end faults, look at who acts. Each
//! host has a clock of its own, a gate its tasks pass (`pause`), sockets that can be chopped, cut and tapped (`io`,
//! `net`, `tap`); managers, guards and agents are the code that ships, the store and the engines are models. What
//! happens is told to one witness, which keeps the trace and judges on true time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use swarm_core::rng::Random;
use swarm_core::time::nanos;
use swarm_models::engine::Engine;
use tracing::subscriber::DefaultGuard;
use turmoil::{Builder, Sim};

use crate::plan::Plan;
use crate::property::Violation;
use crate::run::{Coverage, Run};
use crate::trace::Keep;

mod audit;
pub(crate) mod clients;
mod clock;
mod drive;
mod engines;
mod faults;
mod hosts;
mod io;
mod keeps;
mod links;
mod log;
mod look;
mod managers;
mod net;
mod pause;
mod pipe;
mod platform;
mod processes;
mod settling;
mod stores;
mod tap;
pub(crate) mod witness;

use clients::{Ledger, SharedLedger};
use engines::ENGINE_PORT;
use hosts::{Ground, Role, Slot};
use io::Directory;
use look::Looks;
use managers::ManagerHost;
use net::Net;
use settling::Settling;
use stores::Stores;
use tap::{Seat, Tap};
use witness::{SharedWitness, TrueTime, Witness};

/// No run is longer.
const SIMULATED_MAX: Duration = Duration::from_secs(90_000);
/// Segments a socket takes, and connections a listener keeps waiting.
const SEGMENTS_MAX: usize = 10_000;

/// Runs `plan` in the world.
#[must_use]
pub fn run(plan: &Plan, keep: Keep) -> Run {
    match World::new(plan, keep) {
        Ok(mut world) => {
            // What was broken is in the run.
            let _ = drive::drive(&mut world);
            world.finish()
        }
        Err(problem) => drive::cannot_run(problem),
    }
}

/// A simulated cluster under observation.
pub struct World {
    plan: Plan,
    sim: Sim<'static>,
    tick: Duration,
    time: TrueTime,
    witness: SharedWitness,
    slots: Vec<Slot>,
    net: Net,
    stores: Stores,
    managers: Vec<ManagerHost>,
    engines: Vec<Arc<Engine>>,
    ledger: SharedLedger,
    coverage: Coverage,
    pending: Vec<String>,
    looks: Looks,
    /// Faults under way, with the hosts they met.
    active: BTreeMap<u32, faults::Active>,
    _logging: DefaultGuard,
}

impl World {
    /// Builds the hosts of `plan` and starts their processes. Its faults are not applied by themselves.
    ///
    /// # Errors
    /// When the plan cannot be run.
    pub fn new(plan: &Plan, keep: Keep) -> Result<Self, String> {
        plan.check().map_err(|error| error.to_string())?;
        let root = Random::new(plan.seed);
        let kinds = clients::kinds(&plan.workload);
        let roles = Role::all(plan, kinds.len());
        let names: Vec<String> = roles.iter().map(|role| role.name()).collect();
        let time = TrueTime::default();
        let witness = SharedWitness::new(plan, keep, names.clone(), time.clone());
        let logging = tracing::subscriber::set_default(log::LogWatch::new(witness.clone()));
        let mut sim = simulation(plan, &root);
        let directory = Arc::new(Directory::default());
        let addresses: Vec<_> = names.iter().map(|name| sim.lookup(name.as_str())).collect();
        let known = addresses.iter().copied().zip(0..).collect();
        directory.fill(known);
        let ground = Ground {
            root: root.fork("hosts"),
            time: time.clone(),
            witness: witness.clone(),
            directory: directory.clone(),
            clock_error_ppm: plan.knobs.clock_error_ppm,
        };
        let seats: Vec<Seat> = roles.iter().map(|_| Seat::default()).collect();
        let slots: Vec<Slot> = (0..)
            .zip(&roles)
            .zip(&seats)
            .map(|((id, role), seat)| {
                let manages = matches!(role, Role::Manager(_));
                let tap = || {
                    let (seat, witness) = (seat.clone(), witness.clone());
                    Tap::new(id, ENGINE_PORT, seat, witness, directory.clone())
                };
                ground.slot(id, *role, manages.then(tap))
            })
            .collect();
        let gates = slots
            .iter()
            .map(|slot| slot.platform.gate().clone())
            .collect();
        let latency = latency(plan);
        let net = Net::new(addresses, gates, directory, witness.clone(), latency);
        let settling = Settling {
            plan,
            ground: &ground,
            slots: &slots,
            seats: &seats,
            kinds: &kinds,
        };
        let ledger: SharedLedger = Arc::new(Mutex::new(Ledger::new(witness.clone(), plan)));
        let settled = settling.all(&mut sim, &ledger)?;
        let mut world = Self {
            tick: Duration::from_millis(plan.knobs.tick_ms),
            plan: plan.clone(),
            sim,
            time,
            witness,
            slots,
            net,
            stores: settled.stores,
            managers: settled.managers,
            engines: settled.engines,
            ledger,
            coverage: Coverage::default(),
            pending: Vec::new(),
            looks: Looks::default(),
            active: BTreeMap::new(),
            _logging: logging,
        };
        // The store is made by its first server: from now on it is there.
        world.step().map_err(|violation| violation.to_string())?;
        Ok(world)
    }

    /// Lets `time` pass, looking at everything after each step.
    ///
    /// # Errors
    /// The first violation.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Violation> {
        let until = self.sim.elapsed() + time;
        self.run_until(until)
    }

    /// Lets time pass until `until`.
    ///
    /// # Errors
    /// The first violation.
    pub fn run_until(&mut self, until: Duration) -> Result<(), Violation> {
        while self.sim.elapsed() < until {
            self.step()?;
        }
        Ok(())
    }

    /// Lets time pass until `done`, for at most `limit`; whether it came true.
    ///
    /// # Errors
    /// The first violation.
    pub fn run_until_true(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Result<bool, Violation> {
        let until = self.sim.elapsed() + limit;
        while !done(self) {
            if self.sim.elapsed() >= until {
                return Ok(false);
            }
            self.step()?;
        }
        Ok(true)
    }

    fn step(&mut self) -> Result<(), Violation> {
        self.check()?;
        let now = self.now();
        self.before_step(now);
        if let Err(error) = self.sim.step() {
            self.witness.broken(
                crate::property::Property::NoPanic,
                "host",
                error.to_string(),
            );
        }
        self.time.set(self.sim.elapsed());
        self.look();
        self.check()
    }

    fn before_step(&mut self, now: u64) {
        let tick = nanos(self.tick);
        for slot in &self.slots {
            slot.platform.gate().give_turn(now, tick);
        }
        self.net.step(&self.sim, now);
        self.stores.step(now);
    }

    /// The first violation, if there was one.
    ///
    /// # Errors
    /// That violation.
    fn check(&self) -> Result<(), Violation> {
        match self.witness().judge.violation() {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    }

    fn witness(&self) -> MutexGuard<'_, Witness> {
        self.witness.lock()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True time in nanoseconds.
    fn now(&self) -> u64 {
        nanos(self.sim.elapsed())
    }

    /// Simulated time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.sim.elapsed()
    }

    /// Who acts, by name, with its epoch.
    #[must_use]
    pub fn acting(&self) -> Vec<(String, u64)> {
        let witness = self.witness();
        let acting = witness.judge.acting().iter();
        acting
            .map(|(host, epoch)| (witness.trace.host(*host).to_owned(), *epoch))
            .collect()
    }

    /// The modelled engines, `e1` first.
    #[must_use]
    pub fn engines(&self) -> &[Arc<Engine>] {
        &self.engines
    }

    /// Ends the run and says what it showed.
    #[must_use]
    pub fn finish(mut self) -> Run {
        let simulated = self.now();
        let ledger_says = self.ledger().take_violation();
        let answers = self.ledger().answers();
        let (violation, hash, terms, failovers, dispatched, trace) = {
            let mut witness = self.witness();
            if let Some(violation) = ledger_says {
                witness.judge.fail(violation);
            }
            let violation = witness.judge.violation().cloned();
            (
                violation,
                witness.trace.hash(),
                witness.judge.terms().to_vec(),
                witness.judge.failovers().to_vec(),
                witness.judge.dispatched(),
                std::mem::take(&mut witness.trace),
            )
        };
        Run {
            violation,
            hash,
            simulated,
            terms,
            failovers,
            answers,
            dispatched,
            coverage: std::mem::take(&mut self.coverage),
            pending: std::mem::take(&mut self.pending),
            trace,
        }
    }
}

fn latency(plan: &Plan) -> (Duration, Duration) {
    (
        Duration::from_micros(plan.knobs.latency_min_us),
        Duration::from_micros(plan.knobs.latency_max_us),
    )
}

fn simulation(plan: &Plan, root: &Random) -> Sim<'static> {
    let (least, most) = latency(plan);
    Builder::new()
        .simulation_duration(SIMULATED_MAX)
        .tick_duration(Duration::from_millis(plan.knobs.tick_ms))
        .min_message_latency(least)
        .max_message_latency(most)
        .tcp_capacity(SEGMENTS_MAX)
        .enable_random_order()
        .epoch(SystemTime::UNIX_EPOCH)
        .rng_seed(root.fork("turmoil").next_u64())
        .build()
}
