//! Runs of the lab, drawn from bytes.

use super::bytes::Bytes;
use super::plan_text;
use crate::plan::{
    Fault, Host, How, Knobs, Op, Phases, Plan, RefuseWhich, Tier, Topology, Way, Workload,
};
use crate::run;
use crate::trace::Keep;

/// No promise breaks in a run whose plan is within the model, and no run panics.
///
/// # Panics
/// When one does.
pub fn plan(bytes: &[u8]) {
    let plan = draw(&mut Bytes::new(bytes));
    let checked = plan.check();
    assert!(checked.is_ok(), "{checked:?}: {}", plan.to_json());
    plan_text::check(&plan);
    let run = run::run(&plan, Keep::Hash, None);
    let Some(violation) = run.violation else {
        return;
    };
    let covered = plan.within_model() || violation.property == crate::property::Property::NoPanic;
    assert!(!covered, "{violation}\n{}", plan.to_json());
}

/// More faults than this make runs long, not better.
const FAULTS_MAX: usize = 12;

/// A plan of the lab that can be run: total, and each fault is drawn from bytes of its own.
fn draw(bytes: &mut Bytes<'_>) -> Plan {
    let topology = Topology {
        managers: 1 + bytes.below(5),
        stores: 1 + 2 * bytes.below(2),
        engines: 1,
        agents: false,
        ..Topology::default()
    };
    let lease_ms = 500 + u64::from(bytes.byte()) * 20;
    // A swap and its answer fit well into a quarter of the lease, as in plans drawn by seed.
    let ways = if topology.stores > 1 { 40 } else { 24 };
    let latency_max_us = share(bytes, (lease_ms / ways).clamp(1, 60) * 1_000).max(200);
    let knobs = Knobs {
        lease_ms,
        verify: !bytes.flag(),
        clock_error_ppm: u32::from(bytes.byte()) * 78,
        latency_min_us: share(bytes, latency_max_us),
        latency_max_us,
        loss_per_mille: u16::from(bytes.below(51)),
        ..Knobs::default()
    };
    let seed = u64::from(bytes.short());
    let drill = drill(bytes).filter(|_| topology.managers > 1);
    let mut faults = Vec::new();
    while !bytes.is_empty() && faults.len() < FAULTS_MAX {
        let id = u32::try_from(faults.len()).unwrap_or(0) + 1;
        let at_ms = u64::from(bytes.short() % 15_000);
        let lasts_ms = u64::from(bytes.short() % 10_000);
        let op = op(bytes, topology, lease_ms);
        let lasts_ms = if op.has_end() { lasts_ms } else { 0 };
        faults.push(Fault {
            id,
            at_ms,
            lasts_ms,
            op,
        });
    }
    Plan {
        tier: Tier::Lab,
        seed,
        topology,
        knobs,
        workload: Workload::default(),
        phases: Phases {
            recovery_ms: 13_000 + 3 * lease_ms,
            ..Phases::default()
        },
        faults,
        drill,
        ..Plan::default()
    }
}

/// What the failover at the end is caused by.
fn drill(bytes: &mut Bytes<'_>) -> Option<Op> {
    let host = Host::Primary;
    Some(match bytes.below(7) {
        1 => Op::Kill { host, guard: true },
        2 => Op::Kill { host, guard: false },
        3 => Op::PowerLoss { host },
        4 => Op::Isolate {
            host,
            way: Way::Both,
        },
        5 => Op::Pause { host },
        6 => Op::StepDown { host },
        _ => return None,
    })
}

/// Up to `most`.
fn share(bytes: &mut Bytes<'_>, most: u64) -> u64 {
    u64::from(bytes.byte()) * most / 255
}

fn host(bytes: &mut Bytes<'_>, topology: Topology) -> Host {
    let kind = bytes.byte();
    let number = |count: u8| 1 + (kind / 8) % count;
    match kind % 8 {
        0 | 1 => Host::Manager(number(topology.managers)),
        2 => Host::Store(number(topology.stores)),
        3 => Host::Primary,
        4 => Host::Replica,
        5 => Host::SecondReplica,
        6 => Host::StoreLeader,
        _ => Host::Client(number(3)),
    }
}

fn way(bytes: &mut Bytes<'_>) -> Way {
    match bytes.below(3) {
        0 => Way::Both,
        1 => Way::Forth,
        _ => Way::Back,
    }
}

/// Times are up to a lease: what is on its way when a fault ends still counts as its doing.
fn op(bytes: &mut Bytes<'_>, topology: Topology, lease: u64) -> Op {
    let kind = bytes.below(36);
    match kind {
        0..=17 => of_hosts(kind, bytes, topology, lease),
        _ => of_store(kind, bytes, topology, lease),
    }
}

fn of_hosts(kind: u8, bytes: &mut Bytes<'_>, topology: Topology, lease: u64) -> Op {
    let host = host(bytes, topology);
    match kind {
        0 => Op::Kill {
            host,
            guard: bytes.flag(),
        },
        1 => Op::PowerLoss { host },
        2 => Op::Terminate { host },
        3 => Op::StepDown { host },
        4 => Op::Pause { host },
        5 => Op::Freeze { host },
        6 => Op::Slow {
            host,
            every_ms: 1 + share(bytes, 150),
        },
        7 | 8 => Op::Cut {
            from: host,
            to: self::host(bytes, topology),
            way: way(bytes),
            how: if bytes.flag() { How::Refuse } else { How::Hold },
        },
        9 => Op::Isolate {
            host,
            way: way(bytes),
        },
        10 => Op::Split {
            sides: vec![vec![host], vec![self::host(bytes, topology)]],
        },
        11 => Op::Delay {
            from: host,
            to: self::host(bytes, topology),
            ms: share(bytes, lease),
        },
        12 => Op::Flap {
            from: host,
            to: self::host(bytes, topology),
            every_ms: 50 + share(bytes, lease),
        },
        13 => Op::Chop {
            host,
            bytes: 1 + u16::from(bytes.byte()),
        },
        14 => Op::Rate {
            host,
            ppm: i32::from(bytes.short()) - 32_768,
        },
        15 => Op::WallStep {
            host,
            seconds: i64::from_be_bytes(bytes.long().to_be_bytes()),
        },
        16 => Op::ClockJump {
            host,
            ms: share(bytes, lease),
        },
        _ => Op::CutEvents { host },
    }
}

fn of_store(kind: u8, bytes: &mut Bytes<'_>, topology: Topology, lease: u64) -> Op {
    match kind {
        18 => Op::NoStoreLeader,
        19 => Op::NewStoreLeader,
        20 => Op::StoreRefuses {
            which: match bytes.below(3) {
                0 => RefuseWhich::All,
                1 => RefuseWhich::Writes,
                _ => RefuseWhich::Reads,
            },
        },
        21 => Op::SlowWrites {
            ms: share(bytes, lease),
        },
        22 => Op::SlowReplies {
            ms: share(bytes, lease),
        },
        23 => Op::SlowReads {
            ms: share(bytes, lease),
        },
        24 => Op::StaleReads {
            ms: share(bytes, lease),
        },
        25 => Op::RegressingReads {
            ms: share(bytes, lease),
        },
        26 => Op::DeafWatches,
        27 => Op::LateWatches {
            ms: share(bytes, lease),
        },
        28 => Op::StuckWatches,
        29 => Op::LostReplies {
            count: u64::from(bytes.below(7)),
            applied: bytes.flag(),
        },
        30 => Op::Wipe,
        31 => Op::Rollback {
            ms: share(bytes, 10_000),
        },
        32 => Op::Renumber,
        33 => Op::DeleteRecord,
        34 => Op::Usurp,
        35 => Op::Scribble,
        _ => of_hosts(0, bytes, topology, lease),
    }
}
