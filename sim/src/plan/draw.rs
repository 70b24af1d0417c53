//! Random plans: swarm masks, nasty knobs, faults that hit where it hurts.
//!
//! Each seed names one plan. What kinds of fault a run has is drawn from a stream of its own, so that a change of how a
//! fault is drawn does not change which runs have it.

use swarm_core::rng::Random;

use super::{Family, Fault, Knobs, Op, Phases, Plan, StoreKind, Tier, Topology, Workload};

mod faults;
mod kept;

/// How long and how hard random runs are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// On every change: short runs.
    #[default]
    Pr,
    /// Each night.
    Nightly,
    /// For days: long runs with many faults.
    Soak,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 3] = [Self::Pr, Self::Nightly, Self::Soak];

    /// Its name on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pr => "pr",
            Self::Nightly => "nightly",
            Self::Soak => "soak",
        }
    }
}

/// Which kinds of fault a run has, and whether the promise of a single primary covers them.
#[derive(Clone, Debug)]
struct Mask {
    families: Vec<Family>,
    outside: bool,
    /// Nothing but outages of the whole store, with time between them: no epoch may change.
    outages: bool,
}

impl Mask {
    fn draw(mut random: Random) -> Self {
        let outside = random.chance(150);
        let kind = random.below(1_000);
        let pick = random.below(Family::ALL.len() as u64);
        let on: Vec<Family> = Family::ALL
            .into_iter()
            .filter(|_| random.chance(500))
            .collect();
        let one = |at: u64| {
            let at = usize::try_from(at).unwrap_or(0);
            Family::ALL.into_iter().skip(at).take(1)
        };
        let mut families: Vec<Family> = match kind {
            0..10 => Vec::new(),
            10..210 => one(pick).collect(),
            210..260 => Family::ALL.to_vec(),
            _ => on,
        };
        let outages = (260..310).contains(&kind) && !outside;
        // Losses of data are outside the model; there they are wanted.
        families.retain(|family| outside || *family != Family::StoreData);
        let loses_data = random.chance(500);
        if outside && loses_data && !families.contains(&Family::StoreData) {
            families.push(Family::StoreData);
        }
        if outages {
            families = vec![Family::StoreLeader];
        }
        Self {
            families,
            outside,
            outages,
        }
    }
}

impl Plan {
    /// The random plan that `seed` names.
    #[must_use]
    pub fn draw(tier: Tier, seed: u64, profile: Profile) -> Self {
        let root = Random::new(seed).fork(match tier {
            Tier::Lab => "plan/lab",
            Tier::World => "plan/world",
        });
        let mask = Mask::draw(root.fork("mask"));
        let topology = topology(tier, &mut root.fork("topology"));
        let knobs = knobs(tier, &mask, topology, &mut root.fork("knobs"));
        let mut plan = Self {
            tier,
            seed,
            topology,
            workload: workload(tier, &mut root.fork("workload")),
            phases: phases(tier, &knobs, profile),
            knobs,
            ..Self::default()
        };
        // Who forgets the record while its primary lives by promises lets two act for as long as they do not meet.
        let remembers = !mask.families.contains(&Family::StoreData);
        plan.knobs.failsafe = remembers && root.fork("failsafe").chance(350);
        plan.faults = faults::draw(&plan, &mask, profile, &mut root.fork("faults"));
        if tier == Tier::World && mask.families.contains(&Family::Link) && !mask.outages {
            let kept = kept::draw(&plan, &mut root.fork("kept requests"));
            plan.faults.extend(kept);
        }
        plan.drill = drill(&plan, &mut root.fork("drill"));
        plan
    }
}

fn pick<T: Copy>(random: &mut Random, from: &[T], otherwise: T) -> T {
    let at = usize::try_from(random.below(from.len() as u64)).unwrap_or(0);
    from.get(at).copied().unwrap_or(otherwise)
}

fn topology(tier: Tier, random: &mut Random) -> Topology {
    // Of its own stream: plans that were drawn before there was a choice keep everything else.
    let store = match tier == Tier::World && random.fork("etcd").chance(333) {
        false => StoreKind::Consul,
        true if random.fork("zookeeper").chance(500) => StoreKind::ZooKeeper,
        true => StoreKind::Etcd,
    };
    let managers = pick(random, &[3, 3, 3, 3, 3, 2, 4, 5, 1, 7], 3);
    let stores = pick(random, &[1, 1, 3, 3, 2], 1);
    let (engines, agents) = match tier {
        Tier::Lab => (1, false),
        Tier::World => (pick(random, &[1, 2, 2, 3, 4], 2), random.chance(300)),
    };
    Topology {
        managers,
        stores,
        engines,
        agents,
        store,
    }
}

fn knobs(tier: Tier, mask: &Mask, topology: Topology, random: &mut Random) -> Knobs {
    let plain = Knobs::default();
    if !random.chance(800) {
        return plain;
    }
    let lease_ms = match tier {
        Tier::Lab => pick(
            random,
            &[500, 700, 1_000, 2_000, 2_000, 3_000, 5_000, 10_000],
            2_000,
        ),
        Tier::World => pick(random, &[500, 1_000, 2_000, 2_000, 3_000], 2_000),
    };
    // A swap and its answer must fit well into the time of an operation, a quarter of the lease; a store of several
    // servers needs messages of its own for each.
    let ways = if topology.stores > 1 { 40 } else { 24 };
    let longest_ms = (lease_ms / ways).clamp(1, 60);
    let latency_max_ms = random.between(1, longest_ms);
    let (latency_min_us, latency_max_us) = match tier {
        Tier::Lab => {
            let max = random.between(200, longest_ms * 1_000);
            (random.between(50, max), max)
        }
        // Turmoil counts whole milliseconds.
        Tier::World => (
            random.between(0, latency_max_ms) * 1_000,
            latency_max_ms * 1_000,
        ),
    };
    let loss = if tier == Tier::Lab && !mask.outages && random.chance(250) {
        random.between(1, 50)
    } else {
        0
    };
    Knobs {
        lease_ms,
        primary_wait_ms: pick(random, &[0, 500, 2_000, 5_000, 10_000, 30_000], 30_000),
        verify: !random.chance(150),
        clock_error_ppm: pick(random, &[0, 200, 2_000, 19_900, 19_900], 200),
        latency_min_us,
        latency_max_us,
        loss_per_mille: u16::try_from(loss).unwrap_or(0),
        reschedule_grace_ms: plain.reschedule_grace_ms,
        refresh_ms: pick(random, &[500, 2_000, 30_000], plain.refresh_ms),
        failsafe: plain.failsafe,
        tick_ms: match tier {
            Tier::Lab => plain.tick_ms,
            // A step costs as much however long it is; plans that are left plain keep the finest.
            Tier::World => 2,
        },
    }
}

fn workload(tier: Tier, random: &mut Random) -> Workload {
    // Of their own stream: plans that were drawn before these clients existed keep all the others.
    let mut later = random.fork("movers and keepers");
    let mut some = |most| u8::try_from(random.between(0, most)).unwrap_or(1);
    match tier {
        Tier::Lab => Workload {
            readers: some(2),
            writers: 1 + some(3),
            uploaders: some(1),
            pace_ms: pick(random, &[20, 100, 250, 250, 500], 250),
            ..Workload::default()
        },
        Tier::World => Workload {
            readers: some(2),
            writers: 1 + some(1),
            streams: some(1),
            attachers: some(1),
            uploaders: some(1),
            movers: u8::from(later.chance(250)),
            keepers: u8::from(later.chance(500)),
            pace_ms: pick(random, &[20, 50, 100, 250, 500], 100),
        },
    }
}

/// Two simulated minutes in the lab, ninety seconds in the world; longer leases take longer to recover from.
fn phases(tier: Tier, knobs: &Knobs, profile: Profile) -> Phases {
    let recovery_ms = 13_000 + knobs.lease_ms * 3;
    let warm_up_ms = 3_000;
    let (whole, proof_ms) = match (tier, profile) {
        (Tier::Lab, Profile::Pr | Profile::Nightly) => (120_000, 5_000),
        (Tier::Lab, Profile::Soak) => (600_000, 5_000),
        (Tier::World, Profile::Pr | Profile::Nightly) => (90_000, 4_000),
        (Tier::World, Profile::Soak) => (300_000, 4_000),
    };
    // The drill and what follows it take as long as a failover.
    let rest = warm_up_ms + recovery_ms + proof_ms + knobs.lease_ms * 2 + 3_000;
    Phases {
        warm_up_ms,
        faults_ms: u64::max(whole - u64::min(rest, whole), 20_000),
        recovery_ms,
        proof_ms,
    }
}

/// What the failover at the end is caused by.
fn drill(plan: &Plan, random: &mut Random) -> Option<Op> {
    use super::{Host, Way};
    let host = Host::Primary;
    let op = match random.below(6) {
        0 => Op::Kill { host, guard: true },
        1 => Op::Kill { host, guard: false },
        2 => Op::PowerLoss { host },
        3 => Op::Isolate {
            host,
            way: Way::Both,
        },
        4 => Op::Pause { host },
        _ => Op::StepDown { host },
    };
    let wanted = random.chance(850) && plan.topology.managers >= 2;
    wanted.then_some(op)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_drawn_plan_can_be_run_and_written_down() {
        for tier in [Tier::Lab, Tier::World] {
            for seed in 0..2_000 {
                let plan = Plan::draw(tier, seed, Profile::Pr);
                assert!(plan.check().is_ok(), "{seed}: {:?}", plan.check());
                assert_eq!(Plan::parse(&plan.to_json()).unwrap(), plan);
                assert_eq!(plan, Plan::draw(tier, seed, Profile::Pr));
                let ids: BTreeSet<u32> = plan.faults.iter().map(|fault| fault.id).collect();
                assert_eq!(ids.len(), plan.faults.len(), "ids name faults");
                if tier == Tier::World {
                    assert_eq!(plan.knobs.latency_min_us % 1_000, 0);
                    assert_eq!(plan.knobs.latency_max_us % 1_000, 0);
                }
            }
        }
    }

    #[test]
    fn families_come_alone_together_and_not_at_all() {
        let plans: Vec<Plan> = (0..3_000)
            .map(|seed| Plan::draw(Tier::Lab, seed, Profile::Pr))
            .collect();
        let families = |plan: &Plan| {
            let all = plan.faults.iter().map(|fault| fault.op.family());
            all.collect::<BTreeSet<Family>>()
        };
        let share = |fits: &dyn Fn(&Plan) -> bool| {
            plans.iter().filter(|plan| fits(plan)).count() * 1_000 / plans.len()
        };
        assert!((5..80).contains(&share(&|plan| plan.faults.is_empty())));
        assert!(share(&|plan| families(plan).len() == 1) > 120);
        assert!(share(&|plan| families(plan).len() >= 4) > 200);
        let outside = share(&|plan| !plan.within_model());
        assert!((50..200).contains(&outside), "{outside}");
        for family in Family::ALL {
            let lab_has_it = family != Family::Engine;
            let found = plans.iter().any(|plan| families(plan).contains(&family));
            assert_eq!(found, lab_has_it, "{family:?}");
        }
    }
}
