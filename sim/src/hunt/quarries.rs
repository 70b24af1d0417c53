//! The planted bugs, where each is hunted and for how long: about three times what it takes today.

use swarm_core::testbed::Mutant;

use super::{Quarry, failsafe};
use crate::plan::{
    Fault, Host, How, Knobs, Op, Phases, Plan, Profile, Tier, Topology, Way, Workload,
};

/// Every planted bug that breaks a promise.
pub const QUARRIES: [Quarry; 38] = [
    lab(
        Mutant::LeaseFromAnswer,
        10,
        "the lease counts from the answer to a swap, not from its sending",
    ),
    lab(
        Mutant::IgnoresConflict,
        20,
        "a holder that learns of another's record goes on",
    ),
    lab(
        Mutant::LateAnswersCount,
        60,
        "answers that come after resigning or losing still count",
    ),
    lab(
        Mutant::OldEpochsCount,
        40,
        "after a grant, answers for earlier epochs still count",
    ),
    lab(
        Mutant::TakesOverEarly,
        20,
        "a live record is taken over after 0.7 of the wait",
    ),
    lab(
        Mutant::NoClockAllowance,
        40,
        "the wait before a takeover makes no allowance for clock rates",
    ),
    lab(
        Mutant::TakesSilenceForDeath,
        60,
        "a replica that did not hear the store takes over",
    ),
    lab(
        Mutant::AbsentAtOnce,
        150,
        "a record that vanished is replaced at once",
    ),
    lab(Mutant::LapseIsLoss, 40, "a store outage costs the epoch"),
    lab(
        Mutant::TrustsRollback,
        200,
        "a record that went back is believed at once",
    ),
    lab(
        Mutant::ForgetsEpochs,
        200,
        "a new epoch follows the record's, whatever was seen before",
    ),
    lab(
        Mutant::BelievesReads,
        10,
        "reading one's own name makes primary",
    ),
    Quarry {
        ground: lease_ends_while_connecting,
        ..world(
            Mutant::SkipsDispatchCheck,
            8,
            "the lease is not checked when a change leaves",
        )
    },
    lab(
        Mutant::NoBackOff,
        40,
        "a manager that lost against its will claims again at once",
    ),
    lab(Mutant::BlindSwap, 10, "a swap is a plain put"),
    lab(
        Mutant::ForgetsNonces,
        120,
        "a swap with a lost answer counts as not done",
    ),
    lab(
        Mutant::SkipsVerify,
        10,
        "no linearizable read before a change",
    ),
    lab(
        Mutant::StepDownCompetes,
        20,
        "a manager told to step down competes at once",
    ),
    lab(
        Mutant::GuardReleasesTheLiving,
        10,
        "the guard releases the lease of a manager that lives",
    ),
    lab(
        Mutant::NoHopLimit,
        20,
        "a forwarded request is forwarded again",
    ),
    lab(
        Mutant::RepeatsOnce,
        200,
        "what may have been carried out is sent again, whatever it is",
    ),
    lab(Mutant::HoldsForEver, 80, "a held request is never given up"),
    world(
        Mutant::GateSkippedOnSecondStep,
        8,
        "the gate is asked only before the first step of a create",
    ),
    lab(
        Mutant::ForgetsKeys,
        20,
        "a create that comes again does not look for what the first attempt made",
    ),
    Quarry {
        ground: creates_arrive_late,
        ..world(
            Mutant::KeepsDoubles,
            4,
            "what a create left behind that arrived after its repetition is not removed",
        )
    },
    Quarry {
        ground: engine_blinks,
        ..world(
            Mutant::MovesAtOnce,
            2,
            "what an engine had is moved as soon as it does not answer",
        )
    },
    Quarry {
        ground: engine_fails_before_the_lease_ends,
        ..world(
            Mutant::ReschedulesOutsideLease,
            4,
            "a manager moves containers also when it is no longer the primary",
        )
    },
    lab(
        Mutant::LiesAboutOutcome,
        60,
        "an unknown outcome is told as not carried out",
    ),
    world(
        Mutant::RepeatsEvents,
        8,
        "a resumed event stream repeats what it passed on before",
    ),
    world(
        Mutant::SkipsEvents,
        8,
        "a resumed event stream begins now, not where it broke off",
    ),
    world(
        Mutant::KeepsTunnels,
        8,
        "tunnels to a former primary stay open",
    ),
    lab(
        Mutant::PromiseFromAnswer,
        60,
        "a lease by promises counts from the last of them, not from the asking",
    ),
    lab(
        Mutant::QuorumOfPromises,
        60,
        "the promises of more than half are enough",
    ),
    Quarry {
        ground: failsafe::the_members_come_back,
        ..lab(
            Mutant::PromisesRevive,
            5,
            "promises bring back a lease that has ended",
        )
    },
    Quarry {
        ground: failsafe::questions_arrive_late,
        ..lab(
            Mutant::PromisesThoughClaiming,
            20,
            "a member promises though a claim of its own may yet be carried out",
        )
    },
    Quarry {
        ground: failsafe::a_stranger_sees_the_store,
        ..lab(
            Mutant::UnlistedTakesOver,
            5,
            "a manager takes over that the record does not list",
        )
    },
    Quarry {
        ground: failsafe::a_newcomer_is_listed_unheard,
        ..lab(
            Mutant::NewcomersNotAsked,
            60,
            "whom only a swap without an answer lists is not asked",
        )
    },
    Quarry {
        ground: failsafe::the_primary_is_lost_in_the_outage,
        ..lab(
            Mutant::PromiseForgotten,
            5,
            "a promise is forgotten before its end",
        )
    },
];

const fn lab(mutant: Mutant, seeds_max: u64, words: &'static str) -> Quarry {
    Quarry {
        mutant,
        tier: Tier::Lab,
        ground: random,
        seeds_max,
        words,
    }
}

const fn world(mutant: Mutant, seeds_max: u64, words: &'static str) -> Quarry {
    Quarry {
        tier: Tier::World,
        ground: changes_under_load,
        ..lab(mutant, seeds_max, words)
    }
}

/// The lab is fast enough for plans as they are drawn.
fn random(seed: u64) -> Plan {
    Plan::draw(Tier::Lab, seed, Profile::Pr)
}

/// In the world: changes of primary, clean and not, while all kinds of clients are busy.
fn changes_under_load(seed: u64) -> Plan {
    let step_down = Op::StepDown {
        host: Host::Primary,
    };
    let kill = Op::Kill {
        host: Host::Primary,
        guard: false,
    };
    let changes = [
        (500, 0, step_down.clone()),
        (2_000, 0, step_down.clone()),
        (3_500, 0, step_down),
        (5_000, 4_000, kill),
    ];
    Plan {
        tier: Tier::World,
        seed,
        workload: Workload {
            readers: 0,
            writers: 6,
            streams: 3,
            attachers: 3,
            uploaders: 0,
            movers: 0,
            keepers: 0,
            pace_ms: 50,
        },
        knobs: Knobs {
            tick_ms: 5,
            ..Knobs::default()
        },
        phases: Phases {
            warm_up_ms: 1_000,
            faults_ms: 0,
            recovery_ms: 4_000,
            proof_ms: 3_000,
        },
        faults: Fault::numbered(changes),
        ..Plan::default()
    }
}

/// In the world: changes that were let through wait for connections to an engine until the lease is over.
fn lease_ends_while_connecting(seed: u64) -> Plan {
    let engine = Host::Engine(1);
    let crash = Op::Kill {
        host: engine.clone(),
        guard: false,
    };
    // The engine's connections end with it; new ones hang, so does the store; the engine is there again first.
    let troubles = [
        (1_000, 300, crash),
        (1_006, 1_694, primary_cut_off(engine)),
        (1_250, 4_000, primary_cut_off(Host::Store(1))),
    ];
    let mut plan = one_engine(seed, 12, Fault::numbered(troubles));
    plan.workload.pace_ms = 20;
    plan.knobs.lease_ms = 1_000;
    plan.knobs.verify = false;
    plan
}

/// In the world: creates that a primary sends are kept by the network until the next one has repeated them.
fn creates_arrive_late(seed: u64) -> Plan {
    let kept = Op::HoldRequests {
        from: Host::Primary,
        to: Host::Engine(1),
        request: "POST /containers/create".to_owned(),
        count: 12,
    };
    let troubles = [
        (1_000, 6_000, kept),
        (1_300, 3_000, primary_cut_off(Host::Store(1))),
    ];
    one_engine(seed, 12, Fault::numbered(troubles))
}

/// In the world: an engine is away for less than the grace period.
fn engine_blinks(seed: u64) -> Plan {
    let away = Op::Kill {
        host: Host::Engine(1),
        guard: true,
    };
    moving(seed, 15_000, Fault::numbered([(1_000, 9_000, away)]))
}

/// In the world: an engine fails, and before its containers may be moved the primary is cut off from the store.
fn engine_fails_before_the_lease_ends(seed: u64) -> Plan {
    let away = Op::Kill {
        host: Host::Engine(1),
        guard: true,
    };
    let troubles = [
        (1_000, 25_000, away),
        (2_000, 24_000, primary_cut_off(Host::Store(1))),
    ];
    moving(seed, 6_000, Fault::numbered(troubles))
}

/// A world with containers that are to be moved.
fn moving(seed: u64, grace_ms: u64, faults: Vec<Fault>) -> Plan {
    let mut plan = one_engine(seed, 0, faults);
    plan.topology.engines = 3;
    plan.workload.movers = 3;
    plan.knobs.refresh_ms = 1_000;
    plan.knobs.reschedule_grace_ms = grace_ms;
    plan.phases.recovery_ms = 40_000;
    plan
}

/// What goes between the primary and `to` arrives when the cut is over.
fn primary_cut_off(to: Host) -> Op {
    Op::Cut {
        from: Host::Primary,
        to,
        way: Way::Both,
        how: How::Hold,
    }
}

/// A world with one engine, one server of the store and many clients that change things.
fn one_engine(seed: u64, writers: u8, faults: Vec<Fault>) -> Plan {
    Plan {
        tier: Tier::World,
        seed,
        topology: Topology {
            stores: 1,
            engines: 1,
            ..Topology::default()
        },
        workload: Workload {
            readers: 0,
            writers,
            ..Workload::default()
        },
        knobs: Knobs {
            latency_max_us: 2_000,
            tick_ms: 2,
            ..Knobs::default()
        },
        faults,
        ..Plan::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planted_bug_is_hunted_but_the_one_that_breaks_no_promise() {
        for mutant in Mutant::ALL {
            let hunted = QUARRIES
                .iter()
                .filter(|quarry| quarry.mutant == mutant)
                .count();
            let expected = usize::from(mutant != Mutant::Unrepeatable);
            assert_eq!(hunted, expected, "{mutant:?}");
        }
    }

    #[test]
    fn grounds_can_be_run() {
        for quarry in &QUARRIES {
            let plan = (quarry.ground)(1);
            assert!(plan.check().is_ok() && plan.tier == quarry.tier);
        }
    }
}
