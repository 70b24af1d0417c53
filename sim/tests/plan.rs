//! Plans as data: what is written is read, any part of a plan is a plan, and its steps have an order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use swarm_sim::plan::{
    Fault, Host, How, Knobs, Op, Phases, Plan, RefuseWhich, Step, StoreKind, Tier, Topology, Way,
    Workload,
};

/// Small numbers meet often; large ones overflow.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..12_u64, 4 => 0..20_000_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn host() -> BoxedStrategy<Host> {
    prop_oneof![
        (1..=7_u8).prop_map(Host::Manager),
        (1..=3_u8).prop_map(Host::Store),
        (1..=8_u8).prop_map(Host::Engine),
        (1..=64_u8).prop_map(Host::Client),
        Just(Host::Primary),
        Just(Host::Replica),
        Just(Host::SecondReplica),
        Just(Host::StoreLeader),
    ]
    .boxed()
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::Both), Just(Way::Forth), Just(Way::Back)]
}

fn of_a_host() -> BoxedStrategy<Op> {
    prop_oneof![
        (host(), any::<bool>()).prop_map(|(host, guard)| Op::Kill { host, guard }),
        host().prop_map(|host| Op::PowerLoss { host }),
        host().prop_map(|host| Op::Terminate { host }),
        host().prop_map(|host| Op::StepDown { host }),
        host().prop_map(|host| Op::Pause { host }),
        host().prop_map(|host| Op::Freeze { host }),
        host().prop_map(|host| Op::CutEvents { host }),
        (host(), number()).prop_map(|(host, every_ms)| Op::Slow { host, every_ms }),
        (host(), way()).prop_map(|(host, way)| Op::Isolate { host, way }),
        (host(), any::<u16>()).prop_map(|(host, bytes)| Op::Chop { host, bytes }),
        (host(), any::<i32>()).prop_map(|(host, ppm)| Op::Rate { host, ppm }),
        (host(), -30_000..30_000_i32).prop_map(|(host, ppm)| Op::Rate { host, ppm }),
        (host(), any::<i64>()).prop_map(|(host, seconds)| Op::WallStep { host, seconds }),
        (host(), number()).prop_map(|(host, ms)| Op::ClockJump { host, ms }),
    ]
    .boxed()
}

fn of_a_link() -> BoxedStrategy<Op> {
    let how = prop_oneof![Just(How::Hold), Just(How::Refuse)];
    let sides = prop::collection::vec(prop::collection::vec(host(), 0..3), 0..3);
    prop_oneof![
        (host(), host(), way(), how).prop_map(|(from, to, way, how)| Op::Cut {
            from,
            to,
            way,
            how
        }),
        (host(), host(), any::<u8>()).prop_map(|(from, to, count)| Op::HoldRequests {
            from,
            to,
            request: "POST /containers/create".to_owned(),
            count,
        }),
        sides.prop_map(|sides| Op::Split { sides }),
        (host(), host(), number()).prop_map(|(from, to, ms)| Op::Delay { from, to, ms }),
        (host(), host(), number()).prop_map(|(from, to, every_ms)| Op::Flap { from, to, every_ms }),
    ]
    .boxed()
}

fn of_the_store() -> BoxedStrategy<Op> {
    let which = prop_oneof![
        Just(RefuseWhich::All),
        Just(RefuseWhich::Writes),
        Just(RefuseWhich::Reads)
    ];
    prop_oneof![
        Just(Op::NoStoreLeader),
        Just(Op::NewStoreLeader),
        which.prop_map(|which| Op::StoreRefuses { which }),
        number().prop_map(|ms| Op::SlowWrites { ms }),
        number().prop_map(|ms| Op::SlowReplies { ms }),
        number().prop_map(|ms| Op::SlowReads { ms }),
        number().prop_map(|ms| Op::StaleReads { ms }),
        number().prop_map(|ms| Op::RegressingReads { ms }),
        Just(Op::DeafWatches),
        number().prop_map(|ms| Op::LateWatches { ms }),
        Just(Op::StuckWatches),
        (number(), any::<bool>()).prop_map(|(count, applied)| Op::LostReplies { count, applied }),
        Just(Op::Wipe),
        number().prop_map(|ms| Op::Rollback { ms }),
        Just(Op::Renumber),
        Just(Op::DeleteRecord),
        Just(Op::Usurp),
        Just(Op::Scribble),
    ]
    .boxed()
}

fn op() -> BoxedStrategy<Op> {
    prop_oneof![of_a_host(), of_a_link(), of_the_store()].boxed()
}

fn fault() -> BoxedStrategy<Fault> {
    let id = prop_oneof![0..8_u32, any::<u32>()];
    (id, number(), number(), op())
        .prop_map(|(id, at_ms, lasts_ms, op)| Fault {
            id,
            at_ms,
            lasts_ms,
            op,
        })
        .boxed()
}

fn knobs() -> BoxedStrategy<Knobs> {
    let usual = Just(Knobs::default());
    let any_numbers = (number(), number(), any::<bool>(), any::<u32>(), number());
    let odd = any_numbers.prop_map(
        |(lease_ms, latency, verify, clock_error_ppm, tick_ms)| Knobs {
            lease_ms,
            verify,
            clock_error_ppm,
            latency_min_us: latency,
            latency_max_us: latency.saturating_mul(2),
            tick_ms,
            ..Knobs::default()
        },
    );
    prop_oneof![6 => usual, 1 => odd].boxed()
}

fn store() -> BoxedStrategy<StoreKind> {
    prop_oneof![
        Just(StoreKind::Consul),
        Just(StoreKind::Etcd),
        Just(StoreKind::ZooKeeper),
    ]
    .boxed()
}

/// Plans that can be run and plans that cannot.
fn plan() -> BoxedStrategy<Plan> {
    let topology = (0..=8_u8, 0..=4_u8, 0..=9_u8, any::<bool>(), store());
    let usual = store().prop_map(|store| (7, 3, 8, false, store));
    let topology = prop_oneof![3 => usual, 1 => topology];
    let tier = prop_oneof![Just(Tier::Lab), Just(Tier::World)];
    let faults = prop::collection::vec(fault(), 0..6);
    let head = (tier, any::<u64>(), topology, knobs());
    (head, any::<u8>(), number(), faults, prop::option::of(op()))
        .prop_map(
            |((tier, seed, topology, knobs), readers, warm_up_ms, faults, drill)| {
                let (managers, stores, engines, agents, store) = topology;
                Plan {
                    tier,
                    seed,
                    topology: Topology {
                        managers,
                        stores,
                        engines,
                        agents,
                        store,
                    },
                    knobs,
                    workload: Workload {
                        readers,
                        ..Workload::default()
                    },
                    phases: Phases {
                        warm_up_ms,
                        ..Phases::default()
                    },
                    faults,
                    drill,
                    ..Plan::default()
                }
            },
        )
        .boxed()
}

/// Only plans that can be run.
fn sound_plan() -> BoxedStrategy<Plan> {
    plan()
        .prop_map(|mut plan| {
            plan.topology = Topology {
                managers: 7,
                stores: 3,
                engines: 8,
                ..plan.topology
            };
            if plan.tier == Tier::Lab {
                plan.topology.store = StoreKind::Consul;
            }
            plan.knobs = Knobs::default();
            plan.phases = Phases::default();
            for fault in &mut plan.faults {
                fault.at_ms %= 20_000;
                fault.lasts_ms %= 20_000;
            }
            let alone = plan.clone();
            let fits = |op: &Op| {
                let mut only = alone.clone();
                (only.faults, only.drill) = (Vec::new(), Some(op.clone()));
                only.check().is_ok()
            };
            plan.faults.retain(|fault| fits(&fault.op));
            plan.drill = plan.drill.filter(fits);
            plan
        })
        .boxed()
}

/// Where each fault begins and ends in `steps`, by the place of the fault in its plan.
fn places(plan: &Plan, steps: &[Step<'_>]) -> Vec<(Vec<usize>, Vec<usize>)> {
    let at = |fault: &Fault, begins: bool| {
        let same = |step: &Step<'_>| std::ptr::eq(step.fault, fault) && step.begins == begins;
        let found = steps.iter().enumerate().filter(|(_, step)| same(step));
        found.map(|(place, _)| place).collect()
    };
    plan.faults
        .iter()
        .map(|fault| (at(fault, true), at(fault, false)))
        .collect()
}

/// A misspelt `how` would quietly test something else.
#[test]
fn a_member_that_means_nothing_is_refused() {
    let with = |faults: &str, drill: &str| {
        let text = format!(r#"{{"version":1,"tier":"lab","seed":1,"faults":[{faults}]{drill}}}"#);
        Plan::parse(&text).map_err(|error| error.to_string())
    };
    let cut = r#"{"id":1,"at_ms":5,"op":"cut","from":"m1","to":"s1","how":"refuse"}"#;
    assert!(with(cut, "").is_ok());
    let misspelt = format!("{cut},{}", cut.replace("how", "hwo"));
    let error = with(&misspelt, "").unwrap_err();
    assert_eq!(
        error,
        "fault 2 has a member \"hwo\", which cut does not have"
    );
    let error = with("", r#","drill":{"op":"wipe","ms":5}"#).unwrap_err();
    assert_eq!(
        error,
        "fault 0 has a member \"ms\", which wipe does not have"
    );
}

#[test]
fn what_etcd_cannot_do_is_refused() {
    let with = |tier: &str, rest: &str| {
        let text = format!(
            r#"{{"version":1,"tier":"{tier}","seed":1,"topology":{{"store":"etcd"}}{rest}}}"#
        );
        Plan::parse(&text).map_err(|error| error.to_string())
    };
    let read = with("world", "").unwrap();
    assert_eq!(read.topology.store, StoreKind::Etcd);
    assert!(read.to_json().contains(r#""store": "etcd""#));
    assert_eq!(
        with("lab", "").unwrap_err(),
        "the plan's store is etcd: the lab has a store of its own, only the world has another"
    );
    assert_eq!(
        with("world", r#","drill":{"op":"stale-reads","ms":5}"#).unwrap_err(),
        "the plan's op is stale-reads 5 ms: reads of etcd are linearizable and never show the past"
    );
    assert!(!Plan::default().to_json().contains(r#""store":"#));
}

proptest! {
    #[test]
    fn what_is_written_is_read_or_refused_for_the_same_reason(plan in plan()) {
        let read = Plan::parse(&plan.to_json());
        match (plan.check(), read) {
            (Ok(()), Ok(read)) => prop_assert_eq!(read, plan),
            (Err(why), Err(refused)) => prop_assert_eq!(refused.to_string(), why.to_string()),
            (checked, read) => prop_assert!(false, "{checked:?} but {read:?}"),
        }
    }

    #[test]
    fn any_part_of_a_plan_is_a_plan(plan in sound_plan(), keep in any::<u8>(), drill in any::<bool>()) {
        prop_assert!(plan.check().is_ok(), "{:?}", plan.check());
        let mut part = plan.clone();
        let mut number = 0;
        part.faults.retain(|_| {
            number += 1;
            keep >> (number % 8) & 1 == 1
        });
        part.drill = part.drill.filter(|_| drill);
        prop_assert!(part.check().is_ok(), "{:?}", part.check());
        prop_assert!(part.faults_end_ms() <= plan.faults_end_ms());
        prop_assert!(part.within_model() || !plan.within_model());
    }

    /// Also for a plan that cannot be run.
    #[test]
    fn each_fault_begins_once_and_ends_after_that(plan in plan()) {
        let steps = plan.steps();
        prop_assert!(steps.is_sorted_by_key(|step| step.at_ms));
        for (fault, (begins, ends)) in plan.faults.iter().zip(places(&plan, &steps)) {
            prop_assert_eq!(begins.len(), 1);
            prop_assert_eq!(ends.len(), usize::from(fault.op.has_end()));
            prop_assert!(ends.iter().all(|end| begins[0] < *end), "{}", fault);
            prop_assert_eq!(steps[begins[0]].at_ms, fault.at_ms);
        }
    }

    /// A host that is killed again at the very instant it comes back is up in between.
    #[test]
    fn what_ends_at_an_instant_ends_before_others_begin(plan in sound_plan()) {
        let mut begun: BTreeMap<u64, bool> = BTreeMap::new();
        for step in plan.steps() {
            let begun = begun.entry(step.at_ms).or_default();
            let lasted = step.fault.lasts_ms > 0;
            prop_assert!(step.begins || !lasted || !*begun, "{}", step.fault);
            *begun |= step.begins;
        }
    }

    /// The order of the faults in the file means nothing.
    #[test]
    fn steps_depend_on_numbers_alone(plan in sound_plan()) {
        let mut plan = plan;
        for (id, fault) in (0_u32..).zip(&mut plan.faults) {
            fault.id = id;
        }
        let mut turned = plan.clone();
        turned.faults.reverse();
        let told = |plan: &Plan| {
            let steps = plan.steps().into_iter();
            steps.map(|step| (step.at_ms, step.begins, step.fault.id)).collect::<Vec<_>>()
        };
        prop_assert_eq!(told(&plan), told(&turned));
    }

    #[test]
    fn faults_are_told_in_one_line(plan in plan()) {
        for fault in &plan.faults {
            let told = fault.to_string();
            prop_assert!(told.contains(fault.op.kind()) && !told.contains('\n'), "{told:?}");
        }
    }

    #[test]
    fn reading_never_panics(
        plan in sound_plan(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), "[0-9a-z{}\\[\\]\",:. -]{0,3}"), 0..4),
    ) {
        let mut text = plan.to_json();
        for (place, put) in edits {
            let at = place.index(text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                text.replace_range(at..=at, &put);
            }
        }
        if let Ok(read) = Plan::parse(&text) {
            prop_assert_eq!(Plan::parse(&read.to_json()).ok(), Some(read));
        }
    }
}
