//! Simpler plans than a given one, in the order in which they are worth a try.

use crate::plan::{Fault, Host, How, Knobs, Op, Phases, Plan, Topology, Way, Workload};

/// Fewer hosts.
pub(super) fn topologies(plan: &Plan) -> Vec<Plan> {
    let now = plan.topology;
    let least = Topology {
        managers: 1,
        stores: 1,
        engines: 1,
        agents: false,
        store: now.store,
    };
    let smaller = |change: fn(&mut Topology)| {
        let mut topology = now;
        change(&mut topology);
        topology
    };
    let candidates = [
        least,
        Topology {
            managers: now.managers,
            ..least
        },
        smaller(|topology| topology.agents = false),
        smaller(|topology| topology.stores = 1),
        smaller(|topology| topology.engines = topology.engines.min(1)),
        smaller(|topology| topology.managers = topology.managers.saturating_sub(1).max(1)),
        smaller(|topology| topology.stores = topology.stores.saturating_sub(1).max(1)),
    ];
    candidates
        .into_iter()
        .map(|topology| Plan {
            topology,
            ..plan.clone()
        })
        .collect()
}

/// Fewer clients.
pub(super) fn workloads(plan: &Plan) -> Vec<Plan> {
    let now = plan.workload;
    let fewer: [fn(&mut Workload); 8] = [
        |workload| {
            let pace_ms = workload.pace_ms;
            *workload = Workload {
                readers: 0,
                writers: 0,
                streams: 0,
                attachers: 0,
                uploaders: 0,
                movers: 0,
                keepers: 0,
                pace_ms,
            };
        },
        |workload| workload.readers = workload.readers.saturating_sub(1),
        |workload| workload.writers = workload.writers.saturating_sub(1),
        |workload| workload.streams = workload.streams.saturating_sub(1),
        |workload| workload.attachers = workload.attachers.saturating_sub(1),
        |workload| workload.uploaders = workload.uploaders.saturating_sub(1),
        |workload| workload.movers = workload.movers.saturating_sub(1),
        |workload| workload.keepers = workload.keepers.saturating_sub(1),
    ];
    fewer
        .into_iter()
        .map(|change| {
            let mut workload = now;
            change(&mut workload);
            Plan {
                workload,
                ..plan.clone()
            }
        })
        .collect()
}

/// Settings as they are by default, all at once or one by one, and messages that all take the same time.
pub(super) fn knobs(plan: &Plan) -> Vec<Plan> {
    let (now, usual) = (plan.knobs, Knobs::default());
    let candidates = [
        usual,
        Knobs {
            lease_ms: usual.lease_ms,
            ..now
        },
        Knobs {
            primary_wait_ms: usual.primary_wait_ms,
            ..now
        },
        Knobs {
            verify: usual.verify,
            ..now
        },
        Knobs {
            clock_error_ppm: usual.clock_error_ppm.min(now.clock_error_ppm),
            ..now
        },
        Knobs {
            loss_per_mille: 0,
            ..now
        },
        Knobs {
            refresh_ms: usual.refresh_ms,
            ..now
        },
        Knobs {
            tick_ms: usual.tick_ms,
            ..now
        },
        Knobs {
            failsafe: usual.failsafe,
            ..now
        },
        Knobs {
            latency_min_us: usual.latency_min_us.min(now.latency_max_us),
            ..now
        },
        Knobs {
            latency_max_us: now.latency_min_us,
            ..now
        },
    ];
    // The default latencies are worse than equal ones.
    candidates
        .into_iter()
        .filter(|knobs| knobs.latency_max_us <= now.latency_max_us)
        .map(|knobs| Plan {
            knobs,
            ..plan.clone()
        })
        .collect()
}

/// Milder kinds of the same trouble, and hosts by their name in place of the part they play.
pub(super) fn operations(plan: &Plan) -> Vec<Plan> {
    let each = plan.faults.iter().enumerate();
    each.flat_map(|(at, fault)| {
        weaker(&fault.op).into_iter().map(move |op| {
            let mut next = plan.clone();
            if let Some(slot) = next.faults.get_mut(at) {
                *slot = Fault { op, ..slot.clone() };
            }
            next
        })
    })
    .collect()
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "most kinds of trouble have no milder form"
)]
fn weaker(op: &Op) -> Vec<Op> {
    let kill = |host: &Host, guard| Op::Kill {
        host: host.clone(),
        guard,
    };
    match op {
        Op::PowerLoss { host } => vec![kill(host, true), kill(host, false)],
        Op::Kill { host, guard: false } => vec![kill(host, true)],
        Op::Freeze { host } => vec![Op::Pause { host: host.clone() }],
        Op::Cut {
            from,
            to,
            way,
            how: How::Refuse,
        } => vec![Op::Cut {
            from: from.clone(),
            to: to.clone(),
            way: *way,
            how: How::Hold,
        }],
        Op::Cut {
            from,
            to,
            way: Way::Forth | Way::Back,
            how,
        } => vec![Op::Cut {
            from: from.clone(),
            to: to.clone(),
            way: Way::Both,
            how: *how,
        }],
        Op::Flap { from, to, .. } => vec![Op::Cut {
            from: from.clone(),
            to: to.clone(),
            way: Way::Both,
            how: How::Hold,
        }],
        Op::Isolate {
            host,
            way: Way::Forth | Way::Back,
        } => vec![Op::Isolate {
            host: host.clone(),
            way: Way::Both,
        }],
        Op::Split { sides } if sides.len() > 2 => vec![Op::Split {
            sides: sides.iter().take(2).cloned().collect(),
        }],
        Op::LostReplies { count, applied } if *count > 1 => vec![Op::LostReplies {
            count: 1,
            applied: *applied,
        }],
        Op::RegressingReads { ms } => vec![Op::StaleReads { ms: *ms }],
        Op::StuckWatches => vec![Op::DeafWatches],
        _ => Vec::new(),
    }
}

/// Shorter phases, shorter faults, round times.
pub(super) fn times(plan: &Plan) -> Vec<Plan> {
    let mut candidates = vec![Plan {
        phases: Phases {
            faults_ms: 0,
            ..plan.phases
        },
        ..plan.clone()
    }];
    let round = |ms: u64| {
        let step = if ms >= 2_000 { 1_000 } else { 100 };
        ms.div_ceil(step) * step
    };
    for (at, fault) in plan.faults.iter().enumerate() {
        for (at_ms, lasts_ms) in [
            (round(fault.at_ms), round(fault.lasts_ms)),
            (fault.at_ms / 100 * 100, fault.lasts_ms.div_ceil(100) * 100),
            (fault.at_ms, fault.lasts_ms / 2 / 100 * 100),
            (fault.at_ms / 2 / 100 * 100, fault.lasts_ms),
        ] {
            let mut next = plan.clone();
            if let Some(slot) = next.faults.get_mut(at) {
                (slot.at_ms, slot.lasts_ms) = (at_ms, lasts_ms);
            }
            candidates.push(next);
        }
    }
    candidates
}
