//! A plan as a scenario to paste into `all/`: what the shrinker hands to whoever mends a failure.

use swarm_sim::plan::{Knobs, Op, Phases, Plan, StoreKind, Topology, Workload};

use crate::scenario::Scenario;
use crate::script::Script;

/// The scenario that runs `plan`, as Rust. `name` may be anything; it becomes a name.
#[must_use]
pub fn as_code(name: &str, plan: &Plan, story: &str) -> String {
    let mut calls = vec![
        format!(".family({:?})", "found by the testbed"),
        format!(".story({story:?})"),
        format!(".seed({})", plan.seed),
    ];
    calls.extend(topology(&plan.topology));
    calls.extend(knobs(&plan.knobs));
    calls.extend(workload(&plan.workload));
    calls.extend(phases(&plan.phases));
    for fault in &plan.faults {
        let lasting = if fault.op.has_end() {
            format!(".lasting({})", time(fault.lasts_ms))
        } else {
            String::new()
        };
        let at = time(fault.at_ms);
        calls.push(format!(".at({at}).op({}){lasting}", literal(&fault.op)));
    }
    if let Some(op) = &plan.drill {
        calls.push(format!(".drill({})", literal(op)));
    }
    let lines: Vec<String> = calls.iter().map(|call| format!("    {call}\n")).collect();
    format!(
        "// use swarm_sim::plan::{{Host::*, How::*, Op::*, RefuseWhich::*, Way::*}};\nScenario::named({:?})\n{}",
        identifier(name),
        lines.concat()
    )
}

fn identifier(name: &str) -> String {
    let letter = |letter: char| {
        if letter.is_ascii_alphanumeric() {
            letter.to_ascii_lowercase()
        } else {
            '_'
        }
    };
    name.chars().map(letter).collect()
}

fn time(ms: u64) -> String {
    if ms >= 1_000 && ms.is_multiple_of(1_000) {
        format!("{}.secs()", ms / 1_000)
    } else {
        format!("{ms}.ms()")
    }
}

/// `call` if `differs`.
fn if_differs(differs: bool, call: String) -> Option<String> {
    differs.then_some(call)
}

fn topology(now: &Topology) -> Vec<String> {
    let usual = Topology::default();
    let calls = [
        if_differs(
            now.managers != usual.managers,
            format!(".managers({})", now.managers),
        ),
        if_differs(
            now.stores != usual.stores,
            format!(".stores({})", now.stores),
        ),
        if_differs(
            now.engines != usual.engines,
            format!(".engines({})", now.engines),
        ),
        if_differs(now.agents, ".agents()".to_owned()),
        match now.store {
            StoreKind::Consul => None,
            StoreKind::Etcd => Some(".etcd()".to_owned()),
            StoreKind::ZooKeeper => Some(".zookeeper()".to_owned()),
        },
    ];
    calls.into_iter().flatten().collect()
}

fn knobs(now: &Knobs) -> Vec<String> {
    let usual = Scenario::from(Script::named("")).plan.knobs;
    let latency = (now.latency_min_us, now.latency_max_us);
    let calls = [
        if_differs(
            now.lease_ms != usual.lease_ms,
            format!(".lease({})", time(now.lease_ms)),
        ),
        if_differs(
            now.primary_wait_ms != usual.primary_wait_ms,
            format!(".primary_wait({})", time(now.primary_wait_ms)),
        ),
        if_differs(!now.verify, ".fence_by_lease()".to_owned()),
        if_differs(now.failsafe, ".failsafe()".to_owned()),
        if_differs(
            now.clock_error_ppm != usual.clock_error_ppm,
            format!(".clock_error_ppm({})", now.clock_error_ppm),
        ),
        if_differs(
            latency != (usual.latency_min_us, usual.latency_max_us),
            format!(
                ".latency(Duration::from_micros({}), Duration::from_micros({}))",
                latency.0, latency.1
            ),
        ),
        if_differs(
            now.loss_per_mille != usual.loss_per_mille,
            format!(".loss_per_mille({})", now.loss_per_mille),
        ),
        if_differs(
            now.refresh_ms != usual.refresh_ms,
            format!(".refresh({})", time(now.refresh_ms)),
        ),
        if_differs(
            now.reschedule_grace_ms != usual.reschedule_grace_ms,
            format!(".grace({})", time(now.reschedule_grace_ms)),
        ),
        if_differs(
            now.tick_ms != usual.tick_ms,
            format!(".tick({})", time(now.tick_ms)),
        ),
    ];
    calls.into_iter().flatten().collect()
}

fn workload(now: &Workload) -> Vec<String> {
    let usual = Workload::default();
    let calls = [
        if_differs(
            (now.readers, now.writers) != (usual.readers, usual.writers),
            format!(".clients({}, {})", now.readers, now.writers),
        ),
        if_differs(
            now.streams != usual.streams,
            format!(".streams({})", now.streams),
        ),
        if_differs(
            now.attachers != usual.attachers,
            format!(".attachers({})", now.attachers),
        ),
        if_differs(
            now.uploaders != usual.uploaders,
            format!(".uploaders({})", now.uploaders),
        ),
        if_differs(
            now.movers != usual.movers,
            format!(".movers({})", now.movers),
        ),
        if_differs(
            now.keepers != usual.keepers,
            format!(".keepers({})", now.keepers),
        ),
        if_differs(
            now.pace_ms != usual.pace_ms,
            format!(".pace({})", time(now.pace_ms)),
        ),
    ];
    calls.into_iter().flatten().collect()
}

fn phases(now: &Phases) -> Vec<String> {
    let usual = Phases::default();
    let calls = [
        if_differs(
            now.warm_up_ms != usual.warm_up_ms,
            format!(".warm_up({})", time(now.warm_up_ms)),
        ),
        if_differs(
            now.faults_ms != usual.faults_ms,
            format!(".faults_for({})", time(now.faults_ms)),
        ),
        if_differs(
            now.recovery_ms != usual.recovery_ms,
            format!(".recovery({})", time(now.recovery_ms)),
        ),
        if_differs(
            now.proof_ms != usual.proof_ms,
            format!(".proof({})", time(now.proof_ms)),
        ),
    ];
    calls.into_iter().flatten().collect()
}

/// The operation as a Rust expression: what `Debug` prints, with the names below in scope.
fn literal(op: &Op) -> String {
    format!("{op:?}").replace('[', "vec![")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Time;
    use crate::{Scenario, Script};
    use swarm_sim::plan::{Fault, Host::*, How::*, Op::*, Way::*};

    fn plan() -> Plan {
        let fault = |id, at_ms, lasts_ms, op| Fault {
            id,
            at_ms,
            lasts_ms,
            op,
        };
        let mut plan = Plan {
            seed: 7,
            faults: vec![
                fault(1, 2_000, 5_000, PowerLoss { host: Primary }),
                fault(
                    2,
                    2_500,
                    700,
                    Cut {
                        from: Manager(2),
                        to: Store(1),
                        way: Forth,
                        how: Refuse,
                    },
                ),
                fault(3, 3_000, 0, Wipe),
                fault(
                    4,
                    4_000,
                    100,
                    Split {
                        sides: vec![vec![Manager(1)], vec![Manager(2), Store(1)]],
                    },
                ),
            ],
            drill: Some(Terminate { host: Primary }),
            ..Plan::default()
        };
        plan.topology.stores = 3;
        plan.knobs.lease_ms = 700;
        plan.workload.streams = 1;
        plan
    }

    /// The second half of this test is the first half's output, pasted.
    #[test]
    fn what_is_pasted_is_the_plan() {
        let code = as_code("single-primary", &plan(), "Two act.");
        insta::assert_snapshot!(code, @r#"
        // use swarm_sim::plan::{Host::*, How::*, Op::*, RefuseWhich::*, Way::*};
        Scenario::named("single_primary")
            .family("found by the testbed")
            .story("Two act.")
            .seed(7)
            .stores(3)
            .lease(700.ms())
            .tick(1.ms())
            .streams(1)
            .at(2.secs()).op(PowerLoss { host: Primary }).lasting(5.secs())
            .at(2500.ms()).op(Cut { from: Manager(2), to: Store(1), way: Forth, how: Refuse }).lasting(700.ms())
            .at(3.secs()).op(Wipe)
            .at(4.secs()).op(Split { sides: vec![vec![Manager(1)], vec![Manager(2), Store(1)]] }).lasting(100.ms())
            .drill(Terminate { host: Primary })
        "#);
        let pasted: Script = Scenario::named("single_primary")
            .family("found by the testbed")
            .story("Two act.")
            .seed(7)
            .stores(3)
            .lease(700.ms())
            .tick(1.ms())
            .streams(1)
            .at(2.secs())
            .op(PowerLoss { host: Primary })
            .lasting(5.secs())
            .at(2500.ms())
            .op(Cut {
                from: Manager(2),
                to: Store(1),
                way: Forth,
                how: Refuse,
            })
            .lasting(700.ms())
            .at(3.secs())
            .op(Wipe)
            .at(4.secs())
            .op(Split {
                sides: vec![vec![Manager(1)], vec![Manager(2), Store(1)]],
            })
            .lasting(100.ms())
            .drill(Terminate { host: Primary });
        assert_eq!(Scenario::from(pasted).plan, plan());
    }
}
