//! Stories of failovers in the world: the shipping runtime, real HTTP bytes, clocks that err by almost 2 %.

use std::time::Duration;

use swarm_core::testbed::Mutant;
use swarm_sim::plan::{Fault, Host, How, Op, Plan, RefuseWhich, Topology, Way};
use swarm_sim::property::Violation;
use swarm_sim::run::{self, Run};
use swarm_sim::trace::{Keep, Kind};

const SECOND: u64 = 1_000_000_000;

/// A small cluster in which each of `ops` strikes for 2 s, 6 s after the one before.
fn plan(seed: u64, ops: impl IntoIterator<Item = Op>) -> Plan {
    let faults = (1..)
        .zip(ops)
        .map(|(id, op)| Fault {
            id,
            at_ms: u64::from(id - 1) * 6_000,
            lasts_ms: if op.has_end() { 2_000 } else { 0 },
            op,
        })
        .collect();
    let mut plan = Plan {
        seed,
        faults,
        ..Plan::default()
    };
    plan.knobs.clock_error_ppm = 19_000;
    // Half the time of the finest steps.
    plan.knobs.tick_ms = 2;
    plan.topology.engines = 1;
    plan.workload.pace_ms = 100;
    plan
}

fn drilled(seed: u64, op: Op) -> Plan {
    Plan {
        drill: Some(op),
        ..plan(seed, [])
    }
}

/// The run of a plan that breaks no promise.
fn story(plan: &Plan) -> Run {
    let run = run::run(plan, Keep::Story, None);
    let broken = run.violation.as_ref().map(ToString::to_string);
    assert_eq!(broken, None, "{:#?}\n{}", run.pending, plan.to_json());
    run
}

fn kill(host: Host) -> Op {
    Op::Kill { host, guard: true }
}

fn epochs(run: &Run) -> Vec<u64> {
    run.terms.iter().map(|term| term.epoch).collect()
}

/// How long the drill's failover took.
fn failover(run: &Run) -> Duration {
    assert_eq!(run.failovers.len(), 1, "{:?}", run.failovers);
    Duration::from_micros(run.failovers[0].took_us)
}

#[test]
fn a_calm_cluster_has_nothing_to_tell() {
    let mut calm = plan(1, []);
    calm.topology.stores = 3;
    calm.phases.faults_ms = 20_000;
    let run = story(&calm);
    assert_eq!(epochs(&run), [1]);
    let told: Vec<&str> = run
        .trace
        .events()
        .iter()
        .filter(|event| event.kind == Kind::Log && event.at > SECOND)
        .map(|event| event.text.as_str())
        .collect();
    assert_eq!(told, Vec::<&str>::new());
}

#[test]
fn the_death_of_a_process_costs_what_a_clean_stop_costs() {
    let host = Host::Primary;
    for (seed, op) in [
        (10, kill(host.clone())),
        (11, Op::Terminate { host: host.clone() }),
        (12, Op::StepDown { host }),
    ] {
        let run = story(&drilled(seed, op.clone()));
        assert_eq!(epochs(&run), [1, 2], "{op}");
        let took = failover(&run);
        assert!(took < Duration::from_millis(140), "{op}: {took:?}");
    }
}

#[test]
fn a_lost_host_is_replaced_when_its_lease_is_over() {
    let host = Host::Primary;
    for (seed, op) in [
        (20, Op::PowerLoss { host: host.clone() }),
        (
            21,
            Op::Kill {
                host: host.clone(),
                guard: false,
            },
        ),
        (22, Op::Pause { host: host.clone() }),
        (
            23,
            Op::Isolate {
                host: host.clone(),
                way: Way::Both,
            },
        ),
        (
            24,
            Op::Isolate {
                host,
                way: Way::Forth,
            },
        ),
    ] {
        let run = story(&drilled(seed, op.clone()));
        assert_eq!(epochs(&run), [1, 2], "{op}");
        let took = failover(&run);
        assert!(took > Duration::from_millis(1_500), "{op}: {took:?}");
    }
}

#[test]
fn a_store_outage_changes_no_epoch() {
    let host = Host::StoreLeader;
    for (seed, op) in [(30, kill(host.clone())), (31, Op::Pause { host })] {
        let mut plan = plan(seed, [op.clone()]);
        plan.faults[0].lasts_ms = 4_000;
        let run = story(&plan);
        assert_eq!(epochs(&run), [1], "{op}");
        let idle = run
            .trace
            .events()
            .iter()
            .any(|event| event.kind == Kind::Idle);
        assert!(idle, "{op}: the lease lapses meanwhile");
    }
}

#[test]
fn an_emptied_store_is_recovered_from_with_a_higher_epoch() {
    let run = story(&plan(40, [Op::Wipe]));
    assert!(epochs(&run).len() > 1, "{:?}", run.terms);
}

#[test]
fn a_step_down_costs_no_client_an_answer() {
    let calm = story(&plan(50, []));
    let run = story(&plan(
        50,
        [Op::StepDown {
            host: Host::Primary,
        }],
    ));
    assert_eq!(epochs(&run), [1, 2]);
    assert_eq!(run.answers.unknown, calm.answers.unknown);
    assert_eq!(run.answers.refused, calm.answers.refused);
}

#[test]
fn engines_that_agents_register_are_there_after_a_failover() {
    let mut agents = plan(60, [kill(Host::Primary)]);
    agents.topology.agents = true;
    let run = story(&agents);
    let registered = run
        .trace
        .events()
        .iter()
        .any(|event| event.text.starts_with("Registered Engine e1"));
    assert!(registered);
}

#[test]
fn the_same_plan_is_the_same_run() {
    let chaos = |seed| {
        let host = Host::Primary;
        let mut plan = plan(seed, [Op::Slow { host, every_ms: 7 }, kill(Host::Replica)]);
        plan.phases.recovery_ms = 5_000;
        plan
    };
    let first = story(&chaos(70));
    let other = story(&chaos(71));
    let again = run::run(&chaos(70), Keep::Hash, None);
    assert_eq!(first.hash, again.hash);
    assert_eq!(first.trace.len(), again.trace.len());
    assert_ne!(first.hash, other.hash, "another seed is another run");
}

#[test]
fn what_befalls_processes_and_clocks_breaks_no_promise() {
    let (primary, replica) = (Host::Primary, Host::Replica);
    story(&plan(
        80,
        [
            Op::Kill {
                host: Host::Engine(1),
                guard: true,
            },
            Op::Pause {
                host: Host::Engine(1),
            },
            Op::CutEvents {
                host: Host::Engine(1),
            },
            Op::Slow {
                host: primary.clone(),
                every_ms: 40,
            },
            Op::Rate {
                host: primary.clone(),
                ppm: -19_000,
            },
            Op::WallStep {
                host: primary.clone(),
                seconds: -86_400,
            },
            Op::Freeze {
                host: primary.clone(),
            },
            Op::ClockJump {
                host: replica,
                ms: 3_000,
            },
            Op::Kill {
                host: Host::Client(1),
                guard: true,
            },
        ],
    ));
}

#[test]
fn what_befalls_links_breaks_no_promise() {
    let (from, to) = (Host::Primary, Host::Replica);
    let cut = |way, how| Op::Cut {
        from: from.clone(),
        to: Host::StoreLeader,
        way,
        how,
    };
    story(&plan(
        81,
        [
            cut(Way::Both, How::Refuse),
            cut(Way::Forth, How::Hold),
            cut(Way::Back, How::Hold),
            Op::Split {
                sides: vec![
                    vec![Host::Manager(1), Host::Store(1)],
                    vec![Host::Manager(2), Host::Manager(3)],
                ],
            },
            Op::Delay {
                from: from.clone(),
                to: to.clone(),
                ms: 150,
            },
            Op::Flap {
                from: from.clone(),
                to,
                every_ms: 300,
            },
            Op::Chop {
                host: from.clone(),
                bytes: 3,
            },
            Op::Isolate {
                host: Host::Client(1),
                way: Way::Back,
            },
        ],
    ));
}

#[test]
fn what_befalls_the_store_breaks_no_promise() {
    let mut plan = plan(
        82,
        [
            kill(Host::StoreLeader),
            Op::PowerLoss {
                host: Host::StoreLeader,
            },
            Op::NoStoreLeader,
            Op::NewStoreLeader,
            Op::StoreRefuses {
                which: RefuseWhich::Writes,
            },
            Op::SlowWrites { ms: 300 },
            Op::SlowReplies { ms: 700 },
            Op::SlowReads { ms: 200 },
            Op::StaleReads { ms: 1_000 },
            Op::RegressingReads { ms: 1_000 },
            Op::DeafWatches,
            Op::LateWatches { ms: 500 },
            Op::StuckWatches,
            Op::LostReplies {
                count: 2,
                applied: true,
            },
            Op::LostReplies {
                count: 2,
                applied: false,
            },
        ],
    );
    plan.topology = Topology {
        stores: 3,
        ..plan.topology
    };
    story(&plan);
}

#[test]
fn what_befalls_the_content_of_the_store_breaks_no_promise() {
    story(&plan(
        83,
        [
            Op::Rollback { ms: 5_000 },
            Op::Renumber,
            Op::DeleteRecord,
            Op::Usurp,
            Op::Scribble,
        ],
    ));
}

#[test]
fn a_guard_that_does_not_wait_for_the_death_of_its_manager_is_noticed() {
    let mutant = Mutant::GuardReleasesTheLiving;
    let run = run::run(&plan(90, []), Keep::Hash, Some(mutant));
    let signature = run.violation.as_ref().map(Violation::signature);
    assert_eq!(signature.as_deref(), Some("stability.outage"));
}
