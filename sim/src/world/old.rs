//! A whole cluster on simulated hosts, and what is true of it at every instant.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use swarm_core::address::HostPort;
use swarm_core::rng::Random;
use swarm_models::consul::{Cluster, Options};
use swarm_models::engine::{self, Engine};
use tracing::subscriber::DefaultGuard;
use turmoil::{Builder, Sim};

use crate::hosts::{ManagerHost, add_manager, platform, serve};
use crate::log::LogWatch;
use crate::platform::Outside;
use crate::reader::{self, Readings};

/// The name of the store's host.
pub const STORE: &str = "consul";
pub(crate) const STORE_PORT: u16 = 8_500;
const ENGINE_PORT: u16 = 2_375;
pub(crate) const MANAGER_PORT: u16 = 4_000;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Everything random in the run follows from it.
    pub seed: u64,
    /// Managers, `m1`, `m2`, …
    pub managers: usize,
    /// Modelled engines, `e1`, `e2`, …
    pub engines: usize,
    /// `--replication-ttl`.
    pub lease: Duration,
    /// The largest error of a host's clock rate, in parts per million.
    pub clock_error_ppm: u32,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self {
            seed: 0,
            managers: 3,
            engines: 2,
            lease: Duration::from_secs(2),
            clock_error_ppm: 200,
        }
    }
}

/// Which kind of promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// Something happened that must never happen.
    Safety,
    /// Something did not happen that must happen in the end.
    Liveness,
}

/// A promise that did not hold, in words and at which simulated time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which kind.
    pub promise: Promise,
    /// Since the start of the run.
    pub at: Duration,
    /// What happened.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} s: {}", self.at.as_secs_f64(), self.what)
    }
}

/// A simulated cluster under observation.
pub struct World {
    sim: Sim<'static>,
    root: Random,
    clock_error_ppm: u32,
    readers: Vec<String>,
    /// How many faults cut each link at the moment.
    cuts: BTreeMap<(String, String), u32>,
    outside: Outside,
    managers: Vec<ManagerHost>,
    store: Rc<OnceCell<Arc<Cluster>>>,
    log: LogWatch,
    _logging: DefaultGuard,
    violation: Option<Violation>,
    /// Who acted at the last look, with its epoch.
    acting: Option<(String, u64)>,
    history: Vec<(Duration, String, u64)>,
}

impl World {
    /// Builds the hosts; nothing has run yet.
    #[must_use]
    pub fn new(config: &WorldConfig) -> Self {
        let root = Random::new(config.seed);
        let log = LogWatch::default();
        let logging = tracing::subscriber::set_default(log.subscriber());
        let mut sim = Builder::new()
            .simulation_duration(Duration::from_secs(86_400))
            .tick_duration(Duration::from_millis(1))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(3))
            .tcp_capacity(10_000)
            .epoch(SystemTime::UNIX_EPOCH)
            .rng_seed(root.fork("turmoil").next_u64())
            .build();
        let outside = Outside::default();
        let host = |name: &str| platform(&root.fork(name), config.clock_error_ppm, &outside);
        let engines: Vec<String> = (1..=config.engines)
            .map(|index| format!("e{index}"))
            .collect();
        let store: Rc<OnceCell<Arc<Cluster>>> = Rc::default();
        let (kept, platform, seed) = (store.clone(), host(STORE), config.seed);
        let registered = engines.clone();
        serve(&mut sim, STORE, STORE_PORT, move || {
            let cluster = kept.get_or_init(|| {
                let cluster = Cluster::new(
                    Arc::new(platform.clone()),
                    Options {
                        seed,
                        ..Options::default()
                    },
                );
                for engine in &registered {
                    let address = format!("{engine}:{ENGINE_PORT}");
                    cluster.put(&format!("nodes/docker/swarm/nodes/{address}"), address);
                }
                cluster
            });
            Arc::new(cluster.server(0))
        });
        for name in engines {
            let (kept, platform) = (OnceCell::<Arc<Engine>>::new(), host(&name));
            let options = engine::Options::new(&name);
            serve(&mut sim, &name, ENGINE_PORT, move || {
                kept.get_or_init(|| Engine::new(Arc::new(platform.clone()), options.clone()))
                    .clone()
            });
        }
        let managers = (1..=config.managers)
            .map(|index| {
                let name = format!("m{index}");
                let platform = host(&name);
                add_manager(&mut sim, &name, platform, config.lease)
            })
            .collect();
        Self {
            sim,
            readers: Vec::new(),
            cuts: BTreeMap::new(),
            root,
            clock_error_ppm: config.clock_error_ppm,
            outside,
            managers,
            store,
            log,
            _logging: logging,
            violation: None,
            acting: None,
            history: Vec::new(),
        }
    }

    /// Lets `time` pass, looking at everything after each step.
    ///
    /// # Errors
    /// The first violation.
    pub fn run_for(&mut self, time: Duration) -> Result<(), Violation> {
        let until = self.sim.elapsed() + time;
        while self.sim.elapsed() < until {
            self.step()?;
        }
        Ok(())
    }

    /// Lets time pass until a manager acts, at most `limit`. Returns its name.
    ///
    /// # Errors
    /// The first violation, or that nobody acted in time.
    pub fn run_until_primary(&mut self, limit: Duration) -> Result<String, Violation> {
        let until = self.sim.elapsed() + limit;
        while self.sim.elapsed() < until {
            self.step()?;
            if let Some((name, _)) = &self.acting {
                return Ok(name.clone());
            }
        }
        Err(self.stuck(format!("no primary within {limit:?}")))
    }

    fn step(&mut self) -> Result<(), Violation> {
        if let Some(violation) = &self.violation {
            return Err(violation.clone());
        }
        if let Err(error) = self.sim.step() {
            return Err(self.violated(format!("a host ended: {error}")));
        }
        self.outside.set(self.sim.elapsed());
        self.look()
    }

    /// The checks on true time.
    fn look(&mut self) -> Result<(), Violation> {
        let acting: Vec<(String, u64)> = self
            .managers
            .iter()
            .filter_map(|manager| {
                let authority = manager.seat.borrow().as_ref()?.acting()?;
                Some((manager.name.clone(), authority.epoch))
            })
            .collect();
        if acting.len() > 1 {
            return Err(self.violated(format!(
                "several acting primaries (manager, epoch): {acting:?}"
            )));
        }
        let now = acting.into_iter().next();
        if let Some((name, epoch)) = now.clone().filter(|_| now != self.acting) {
            let last = self
                .history
                .last()
                .map(|(_, name, epoch)| (name.clone(), *epoch));
            let repeats = last.as_ref() == Some(&(name.clone(), epoch));
            if last.is_some_and(|(_, last)| epoch <= last) && !repeats {
                return Err(self.violated(format!("{name} acts in epoch {epoch}, which is over")));
            }
            if !repeats {
                self.history.push((self.sim.elapsed(), name, epoch));
            }
        }
        self.acting = now;
        match self.log.first_error() {
            Some(line) => Err(self.violated(format!("an ERROR was logged: {line}"))),
            None => Ok(()),
        }
    }

    fn violated(&mut self, what: String) -> Violation {
        self.broken(Promise::Safety, what)
    }

    /// The end of a run that did not get where it must.
    pub(crate) fn stuck(&mut self, what: String) -> Violation {
        self.broken(Promise::Liveness, what)
    }

    fn broken(&mut self, promise: Promise, what: String) -> Violation {
        let violation = Violation {
            promise,
            at: self.sim.elapsed(),
            what,
        };
        self.violation = Some(violation.clone());
        violation
    }

    /// Simulated time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.sim.elapsed()
    }

    /// Who acts, with its epoch.
    #[must_use]
    pub fn acting(&self) -> Option<(String, u64)> {
        self.acting.clone()
    }

    /// When whom acted first in which epoch, oldest first.
    #[must_use]
    pub fn history(&self) -> &[(Duration, String, u64)] {
        &self.history
    }

    /// What was logged at INFO and above, with simulated time: the same for the same seed.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    /// The modelled store, to give it faults; `None` before the first step.
    #[must_use]
    pub fn store(&self) -> Option<&Arc<Cluster>> {
        self.store.get()
    }

    /// Adds a client that reads through `manager` from now on; returns what it sees, up to date after each step.
    pub fn add_reader(&mut self, manager: &str) -> Rc<RefCell<Readings>> {
        let name = format!("client{}", self.readers.len() + 1);
        let platform = platform(&self.root.fork(&name), self.clock_error_ppm, &self.outside);
        let address =
            HostPort::new(manager, MANAGER_PORT).unwrap_or_else(|_| HostPort::localhost());
        let readings = reader::add(&mut self.sim, &name, platform, address);
        self.readers.push(name);
        readings
    }

    /// The names of the managers.
    #[must_use]
    pub fn managers(&self) -> Vec<String> {
        self.managers
            .iter()
            .map(|manager| manager.name.clone())
            .collect()
    }

    /// Ends the manager's process at once, as `kill -9` does; its sockets close. Nothing if it does not run.
    pub fn crash(&mut self, manager: &str) {
        if self.sim.is_host_running(manager) {
            self.sim.crash(manager);
        }
        if let Some(host) = self.managers.iter().find(|host| host.name == manager) {
            host.seat.borrow_mut().take();
        }
    }

    /// Starts the manager's process anew, ending it first if it still runs.
    pub fn restart(&mut self, manager: &str) {
        self.crash(manager);
        if let Some(host) = self.managers.iter().find(|host| host.name == manager) {
            host.stop.send_replace(false);
        }
        self.sim.bounce(manager);
    }

    /// Asks the manager to end, as SIGTERM does.
    pub fn terminate(&mut self, manager: &str) {
        if let Some(host) = self.managers.iter().find(|host| host.name == manager) {
            host.stop.send_replace(true);
        }
    }

    /// Lets nothing through between two hosts until as many [`World::heal`]s; what is sent meanwhile waits, as it does
    /// where TCP retransmits.
    pub fn cut(&mut self, one: &str, other: &str) {
        let cuts = self.cuts.entry(link(one, other)).or_default();
        *cuts += 1;
        if *cuts == 1 {
            self.sim.hold(one, other);
        }
    }

    /// Ends one [`World::cut`].
    pub fn heal(&mut self, one: &str, other: &str) {
        let cuts = self.cuts.entry(link(one, other)).or_default();
        if *cuts == 1 {
            self.sim.release(one, other);
        }
        *cuts = cuts.saturating_sub(1);
    }

    /// Cuts a host off from every manager and the store.
    pub fn isolate(&mut self, host: &str) {
        for other in self.others(host) {
            self.cut(host, &other);
        }
    }

    /// Ends [`World::isolate`].
    pub fn rejoin(&mut self, host: &str) {
        for other in self.others(host) {
            self.heal(host, &other);
        }
    }

    fn others(&self, host: &str) -> Vec<String> {
        let managers = self.managers.iter().map(|manager| manager.name.clone());
        managers
            .chain([STORE.to_owned()])
            .filter(|other| other != host)
            .collect()
    }
}

/// A link's name, whichever end comes first.
fn link(one: &str, other: &str) -> (String, String) {
    let (low, high) = if one <= other {
        (one, other)
    } else {
        (other, one)
    };
    (low.to_owned(), high.to_owned())
}
