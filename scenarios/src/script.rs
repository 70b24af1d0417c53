//! The language scenarios are told in: who is there, what happens when, what must come of it.
//!
//! ```
//! use swarm_scenarios::{Scenario, expect::*, script::*};
//!
//! let scenario: Scenario = Scenario::named("primary_loses_power")
//!     .family("hosts")
//!     .story("The primary's machine loses its power; a replica takes over when the lease has run out.")
//!     .managers(3)
//!     .lease(2.secs())
//!     .at(2.secs()).power_loss(primary()).lasting(5.secs())
//!     .expect(took_over_within_budget())
//!     .expect(terms(2))
//!     .into();
//! assert_eq!(scenario.plan.faults.len(), 1);
//! ```

use std::time::Duration;

use swarm_sim::plan::{Fault, Host, Op, Plan, StoreKind};

use crate::expect::Expect;
use crate::scenario::{SCENARIO_VERSION, Scenario};

mod troubles;

/// Lengths of time as words: `2.secs()`, `300.ms()`.
pub trait Time {
    /// So many milliseconds.
    fn ms(self) -> Duration;
    /// So many seconds.
    fn secs(self) -> Duration;
    /// So many minutes.
    fn mins(self) -> Duration;
}

impl Time for u64 {
    fn ms(self) -> Duration {
        Duration::from_millis(self)
    }

    fn secs(self) -> Duration {
        Duration::from_secs(self)
    }

    fn mins(self) -> Duration {
        Duration::from_secs(self * 60)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The acting primary when the fault begins.
#[must_use]
pub const fn primary() -> Host {
    Host::Primary
}

/// The first manager that is up and not the primary.
#[must_use]
pub const fn replica() -> Host {
    Host::Replica
}

/// The second such manager.
#[must_use]
pub const fn second_replica() -> Host {
    Host::SecondReplica
}

/// The leader of the store.
#[must_use]
pub const fn store_leader() -> Host {
    Host::StoreLeader
}

/// Manager `m<n>`.
#[must_use]
pub const fn manager(n: u8) -> Host {
    Host::Manager(n)
}

/// Server `s<n>` of the store.
#[must_use]
pub const fn store(n: u8) -> Host {
    Host::Store(n)
}

/// Engine `e<n>`.
#[must_use]
pub const fn engine(n: u8) -> Host {
    Host::Engine(n)
}

/// Client `c<n>`.
#[must_use]
pub const fn client(n: u8) -> Host {
    Host::Client(n)
}

/// A scenario being told.
#[derive(Clone, Debug)]
#[must_use]
pub struct Script {
    scenario: Scenario,
    /// When the next fault begins.
    at_ms: u64,
}

impl From<Script> for Scenario {
    fn from(script: Script) -> Self {
        script.scenario
    }
}

impl Script {
    /// Begins: three managers, one server of the store, two engines, a reader and a writer; nothing goes wrong.
    pub fn named(name: &str) -> Self {
        let mut plan = Plan {
            // Each story has weather of its own, and keeps it.
            seed: name.bytes().fold(7, |seed: u64, byte| {
                seed.wrapping_mul(31).wrapping_add(byte.into())
            }) % 1_000_003,
            ..Plan::default()
        };
        // No story needs it finer.
        plan.knobs.tick_ms = 2;
        Self {
            scenario: Scenario {
                version: SCENARIO_VERSION,
                name: name.to_owned(),
                family: String::new(),
                story: String::new(),
                expect: Vec::new(),
                plan,
            },
            at_ms: 0,
        }
    }

    /// The group it is listed under.
    pub fn family(mut self, family: &str) -> Self {
        family.clone_into(&mut self.scenario.family);
        self
    }

    /// What it tells, in one sentence.
    pub fn story(mut self, story: &str) -> Self {
        story.clone_into(&mut self.scenario.story);
        self
    }

    /// What must come of it.
    pub fn expect(mut self, expect: Expect) -> Self {
        self.scenario.expect.push(expect);
        self
    }

    /// From now on faults begin `at` after the end of the warm-up.
    pub fn at(mut self, at: Duration) -> Self {
        self.at_ms = millis(at);
        self
    }

    /// From now on faults begin `later` than the last ones.
    pub fn then_after(mut self, later: Duration) -> Self {
        self.at_ms += millis(later);
        self
    }

    /// The last fault lasts so long.
    pub fn lasting(mut self, time: Duration) -> Self {
        if let Some(fault) = self.scenario.plan.faults.last_mut() {
            fault.lasts_ms = millis(time);
        }
        self
    }

    /// Any trouble.
    pub fn op(mut self, op: Op) -> Self {
        let faults = &mut self.scenario.plan.faults;
        let id = u32::try_from(faults.len()).unwrap_or(u32::MAX - 1) + 1;
        faults.push(Fault {
            id,
            at_ms: self.at_ms,
            lasts_ms: 0,
            op,
        });
        self
    }

    /// A last fault after everything has recovered, held to its budget.
    pub fn drill(mut self, op: Op) -> Self {
        self.scenario.plan.drill = Some(op);
        self
    }

    fn plan(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(&mut self.scenario.plan);
        self
    }
}

/// Who is there and how it is set up.
impl Script {
    /// Another seed than the one that follows from the name.
    pub fn seed(self, seed: u64) -> Self {
        self.plan(|plan| plan.seed = seed)
    }

    /// So many managers.
    pub fn managers(self, managers: u8) -> Self {
        self.plan(|plan| plan.topology.managers = managers)
    }

    /// So many servers of the store.
    pub fn stores(self, stores: u8) -> Self {
        self.plan(|plan| plan.topology.stores = stores)
    }

    /// The store is etcd instead of Consul.
    pub fn etcd(self) -> Self {
        self.plan(|plan| plan.topology.store = StoreKind::Etcd)
    }

    /// The store is ZooKeeper instead of Consul.
    pub fn zookeeper(self) -> Self {
        self.plan(|plan| plan.topology.store = StoreKind::ZooKeeper)
    }

    /// So many engines.
    pub fn engines(self, engines: u8) -> Self {
        self.plan(|plan| plan.topology.engines = engines)
    }

    /// `swarm join` registers the engines.
    pub fn agents(self) -> Self {
        self.plan(|plan| plan.topology.agents = true)
    }

    /// `--replication-ttl`.
    pub fn lease(self, lease: Duration) -> Self {
        self.plan(|plan| plan.knobs.lease_ms = millis(lease))
    }

    /// `--primary-wait`.
    pub fn primary_wait(self, wait: Duration) -> Self {
        self.plan(|plan| plan.knobs.primary_wait_ms = millis(wait))
    }

    /// `--fence=lease`.
    pub fn fence_by_lease(self) -> Self {
        self.plan(|plan| plan.knobs.verify = false)
    }

    /// `--failsafe`.
    pub fn failsafe(self) -> Self {
        self.plan(|plan| plan.knobs.failsafe = true)
    }

    /// Each host's clock errs by at most so much, in parts per million.
    pub fn clock_error_ppm(self, ppm: u32) -> Self {
        self.plan(|plan| plan.knobs.clock_error_ppm = ppm)
    }

    /// Messages take so long.
    pub fn latency(self, min: Duration, max: Duration) -> Self {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.plan(|plan| {
            plan.knobs.latency_min_us = micros(min);
            plan.knobs.latency_max_us = micros(max);
        })
    }

    /// `--engine-refresh-min-interval`.
    pub fn refresh(self, interval: Duration) -> Self {
        self.plan(|plan| plan.knobs.refresh_ms = millis(interval))
    }

    /// `--cluster-opt swarm.reschedule.grace`.
    pub fn grace(self, grace: Duration) -> Self {
        self.plan(|plan| plan.knobs.reschedule_grace_ms = millis(grace))
    }

    /// The granularity of simulated time.
    pub fn tick(self, tick: Duration) -> Self {
        self.plan(|plan| plan.knobs.tick_ms = millis(tick))
    }

    /// So many clients that list containers, and so many that create and remove them.
    pub fn clients(self, readers: u8, writers: u8) -> Self {
        self.plan(|plan| {
            plan.workload.readers = readers;
            plan.workload.writers = writers;
        })
    }

    /// Clients that follow events.
    pub fn streams(self, streams: u8) -> Self {
        self.plan(|plan| plan.workload.streams = streams)
    }

    /// Clients that attach to a container.
    pub fn attachers(self, attachers: u8) -> Self {
        self.plan(|plan| plan.workload.attachers = attachers)
    }

    /// Clients that upload archives.
    pub fn uploaders(self, uploaders: u8) -> Self {
        self.plan(|plan| plan.workload.uploaders = uploaders)
    }

    /// Clients whose containers are to be moved when their engine fails.
    pub fn movers(self, movers: u8) -> Self {
        self.plan(|plan| plan.workload.movers = movers)
    }

    /// Clients that make and remove networks and volumes.
    pub fn keepers(self, keepers: u8) -> Self {
        self.plan(|plan| plan.workload.keepers = keepers)
    }

    /// Clients wait so long between two requests.
    pub fn pace(self, pace: Duration) -> Self {
        self.plan(|plan| plan.workload.pace_ms = millis(pace))
    }

    /// The calm between the first primary and the first fault.
    pub fn warm_up(self, time: Duration) -> Self {
        self.plan(|plan| plan.phases.warm_up_ms = millis(time))
    }

    /// The faults' time lasts at least so long.
    pub fn faults_for(self, time: Duration) -> Self {
        self.plan(|plan| plan.phases.faults_ms = millis(time))
    }

    /// Everything must have recovered so long after the last fault.
    pub fn recovery(self, time: Duration) -> Self {
        self.plan(|plan| plan.phases.recovery_ms = millis(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_numbered_and_begin_where_the_story_is() {
        let script = Script::named("x").at(2.secs()).kill(primary());
        let script = script.lasting(3.secs()).then_after(500.ms());
        let scenario: Scenario = script.op(Op::Wipe).pause(replica()).into();
        let told: Vec<String> = scenario.plan.faults.iter().map(Fault::to_string).collect();
        let expected = [
            "#1 at 2.000 s for 3.000 s: kill primary",
            "#2 at 2.500 s: wipe",
            "#3 at 2.500 s: pause replica",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_seed_follows_from_the_name_unless_it_is_given() {
        let seed = |script: Script| Scenario::from(script).plan.seed;
        assert_eq!(seed(Script::named("x")), seed(Script::named("x")));
        assert_ne!(seed(Script::named("x")), seed(Script::named("y")));
        assert_eq!(seed(Script::named("x").seed(3)), 3);
    }
}
