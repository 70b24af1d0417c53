use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::cluster::tests::{Described, NOW, address, cluster};
use crate::cluster::{Cluster, EPOCH_LABEL, EngineState, MOVE_LABEL};
use crate::machine::laws;

const GRACE: Duration = Duration::from_secs(30);

/// A rescheduler that is shown a view whenever it wants to look.
struct World {
    machine: Rescheduler,
    cluster: Cluster,
    now: Mono,
    started: Vec<Job>,
    told: Vec<Effect>,
}

impl World {
    fn new(engines: usize) -> Self {
        let mut world = Self {
            machine: Rescheduler::new(GRACE),
            cluster: cluster(&vec![(1, 1); engines]),
            now: Mono(1_000_000_000),
            started: Vec::new(),
            told: Vec::new(),
        };
        world.input(Input::Acting(Some(Some(7))));
        world
    }

    fn health(&mut self, number: usize, state: EngineState) {
        self.cluster
            .set_health(&address(number), state, 100, None, NOW)
            .unwrap();
        let input = match state {
            EngineState::Healthy => Input::Returned(address(number)),
            EngineState::Pending | EngineState::Unhealthy | EngineState::Disconnected => {
                Input::Stirred
            }
        };
        self.input(input);
    }

    fn fail(&mut self, number: usize) {
        self.health(number, EngineState::Unhealthy);
    }

    fn input(&mut self, input: Input) {
        let mut out = Effects::default();
        self.machine.handle(self.now, input, &mut out);
        self.carry_out(out);
    }

    fn carry_out(&mut self, mut out: Effects<Effect>) {
        for effect in out.drain().collect::<Vec<_>>() {
            match effect {
                Effect::Look => self.input(Input::Saw(Sight::of(&self.cluster))),
                Effect::Start(job) => self.started.push(job),
                told @ (Effect::Held { .. } | Effect::Undecided(_) | Effect::Failed { .. }) => {
                    self.told.push(told);
                }
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(wake) = self.machine.wake_at().filter(|wake| wake.at <= until) {
            self.now = self.now.max(wake.at);
            let mut out = Effects::default();
            self.machine.wake(self.now, &mut out);
            self.carry_out(out);
        }
        self.now = until;
    }

    /// What was started since the last call.
    fn jobs(&mut self) -> Vec<(Work, String)> {
        let jobs = self.started.drain(..);
        jobs.map(|job| (job.work, job.id.to_string())).collect()
    }
}

fn policy(id: &str) -> Described {
    let mut made = Described::new(id, id).swarm_id(&format!("key of {id}"));
    made.inspect["Config"]["Labels"]["com.docker.swarm.reschedule-policies"] =
        "[\"on-node-failure\"]".into();
    made
}

fn copy(id: &str, of: &str, phase: &str) -> Described {
    let mut made = policy(of).swarm_id(&format!("key of {of}"));
    for description in [&mut made.entry, &mut made.inspect] {
        description["Id"] = id.into();
    }
    let label = json!({"of": format!("key of {of}"), "image": "nginx:1", "replaces": [of], "serial": 1, "start": true});
    made.inspect["Config"]["Labels"][MOVE_LABEL] = label.to_string().into();
    made.inspect["Config"]["Labels"][EPOCH_LABEL] = "7".into();
    if phase == "created" {
        made.inspect["State"] = json!({"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"});
    }
    made
}

fn moves(ids: &[&str]) -> Vec<(Work, String)> {
    ids.iter()
        .map(|id| (Work::Move, (*id).to_owned()))
        .collect()
}

#[test]
fn what_an_engine_had_moves_once_it_was_down_for_the_grace_period() {
    let mut world = World::new(3);
    policy("a").put(&mut world.cluster, 0);
    Described::new("no policy", "b").put(&mut world.cluster, 0);
    policy("c").put(&mut world.cluster, 1);
    world.fail(0);
    world.pass(Duration::from_secs(29));
    assert_eq!(world.jobs(), []);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.jobs(), moves(&["a"]));
}

#[test]
fn an_engine_that_answers_in_between_is_waited_for_anew() {
    // spec/classic.md section 10.5, E10
    let mut world = World::new(3);
    policy("a").put(&mut world.cluster, 0);
    for _ in 0..4 {
        world.fail(0);
        world.pass(Duration::from_secs(25));
        world.health(0, EngineState::Healthy);
    }
    assert_eq!(world.jobs(), []);
}

#[test]
fn a_new_primary_sees_what_failed_before_and_waits_for_itself() {
    // spec/classic.md section 10.1, H4
    let mut world = World::new(3);
    policy("a").put(&mut world.cluster, 0);
    world.fail(0);
    world.pass(Duration::from_secs(20));
    world.input(Input::Acting(None));
    world.pass(Duration::from_secs(60));
    assert_eq!(world.jobs(), []);
    world.input(Input::Acting(Some(Some(8))));
    world.pass(Duration::from_secs(29));
    assert_eq!(world.jobs(), []);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.started.first().map(|job| job.epoch), Some(Some(8)));
    assert_eq!(world.jobs(), moves(&["a"]));
}

#[test]
fn an_engine_that_discovery_no_longer_has_moves_nothing() {
    // spec/classic.md section 10.2, D1
    let mut world = World::new(3);
    policy("a").put(&mut world.cluster, 0);
    world.cluster.remove_engine(&address(0), NOW);
    world.input(Input::Stirred);
    world.pass(Duration::from_secs(300));
    assert_eq!(world.jobs(), []);
}

#[test]
fn nothing_moves_while_more_than_half_of_the_engines_are_down() {
    let mut world = World::new(4);
    policy("a").put(&mut world.cluster, 0);
    for number in 0..3 {
        world.fail(number);
    }
    world.pass(Duration::from_secs(300));
    assert_eq!(world.jobs(), []);
    let held = Effect::Held {
        down: 3,
        engines: 4,
    };
    assert_eq!(std::mem::take(&mut world.told), [held]);
    // From then on the grace period counts anew.
    world.health(2, EngineState::Healthy);
    world.pass(Duration::from_secs(29));
    assert_eq!(world.jobs(), []);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.jobs(), moves(&["a"]));
}

#[test]
fn few_move_at_a_time_and_what_fails_is_tried_again_ever_later() {
    // spec/classic.md section 10.5, E10
    let mut world = World::new(3);
    for number in 0..6 {
        policy(&format!("c{number}")).put(&mut world.cluster, 0);
    }
    world.fail(0);
    world.pass(GRACE);
    assert_eq!(world.jobs(), moves(&["c0", "c1", "c2", "c3"]));
    let failed = || Outcome::Failed("no room".to_owned());
    world.input(Input::Ended("c0".into(), failed()));
    assert_eq!(world.jobs(), moves(&["c4"]));
    let told = |seconds| Effect::Failed {
        id: "c0".into(),
        reason: "no room".to_owned(),
        again_in: Duration::from_secs(seconds),
    };
    assert_eq!(std::mem::take(&mut world.told), [told(5)]);
    copy("n1", "c1", "running").put(&mut world.cluster, 1);
    copy("n2", "c2", "running").put(&mut world.cluster, 1);
    world.input(Input::Ended("c1".into(), Outcome::Done));
    world.input(Input::Ended("c2".into(), Outcome::Done));
    assert_eq!(world.jobs(), moves(&["c5"]));
    world.pass(Duration::from_secs(5));
    assert_eq!(world.jobs(), moves(&["c0"]));
    world.input(Input::Ended("c0".into(), failed()));
    assert_eq!(std::mem::take(&mut world.told), [told(10)]);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.jobs(), moves(&["c0"]));
}

#[test]
fn what_others_depend_on_goes_first() {
    // spec/classic.md section 10.5, E11
    let mut world = World::new(3);
    let mut app = policy("app");
    app.inspect["HostConfig"]["Links"] = json!(["/db:/app/store"]);
    app.put(&mut world.cluster, 0);
    policy("db").put(&mut world.cluster, 0);
    world.fail(0);
    world.pass(GRACE);
    assert_eq!(world.jobs(), moves(&["db"]));
    copy("db2", "db", "running").put(&mut world.cluster, 1);
    world.input(Input::Ended("db".into(), Outcome::Done));
    assert_eq!(world.jobs(), moves(&["app"]));
}

#[test]
fn a_move_that_was_begun_is_ended_from_what_is_there() {
    // spec/classic.md section 10.1, H4 and H5
    let mut world = World::new(3);
    policy("a").put(&mut world.cluster, 0);
    world.fail(0);
    copy("a2", "a", "created").put(&mut world.cluster, 1);
    world.input(Input::Acting(Some(Some(8))));
    assert_eq!(world.jobs(), [(Work::Finish, "a2".to_owned())]);
    world.pass(Duration::from_secs(120));
    assert_eq!(world.jobs(), []);
}

#[test]
fn a_copy_is_finished_by_the_job_that_made_it() {
    let mut world = World::new(3);
    policy("a").put(&mut world.cluster, 0);
    world.fail(0);
    assert!(has_to_move(&world.cluster, &address(0)));
    world.pass(GRACE);
    assert_eq!(world.jobs(), moves(&["a"]));
    copy("a2", "a", "created").put(&mut world.cluster, 1);
    assert!(!has_to_move(&world.cluster, &address(0)));
    world.input(Input::Stirred);
    assert_eq!(world.jobs(), []);
    world.input(Input::Ended("a".into(), Outcome::Stopped));
    assert_eq!(world.jobs(), [(Work::Finish, "a2".to_owned())]);
}

#[test]
fn former_copies_on_an_engine_that_returns_give_way_and_live_ones_stay() {
    let mut world = World::new(3);
    policy("ran").put(&mut world.cluster, 0);
    let mut never = policy("never");
    never.inspect["State"] = json!({"Status": "created", "StartedAt": "0001-01-01T00:00:00Z"});
    never.put(&mut world.cluster, 0);
    policy("stopped").put(&mut world.cluster, 0);
    for of in ["ran", "never"] {
        copy(&format!("{of}2"), of, "running").put(&mut world.cluster, 1);
    }
    let mut stopped = copy("stopped2", "stopped", "running").exited(0);
    stopped.inspect["State"]["StartedAt"] = "2023-01-01T00:00:00Z".into();
    stopped.put(&mut world.cluster, 1);
    world.input(Input::Stirred);
    let wanted = [
        (Work::Remove, "never".to_owned()),
        (Work::Retire, "ran".to_owned()),
    ];
    assert_eq!(world.jobs(), wanted);
    let undecided = Effect::Undecided(Undecided {
        engine: "node-0".to_owned(),
        id: "stopped".into(),
        newer_engine: "node-1".to_owned(),
        newer: "stopped2".into(),
        why: Why::NewerStopped,
    });
    world.input(Input::Stirred);
    assert_eq!(world.told, [undecided]);
}

#[test]
fn a_former_copy_that_was_retired_or_would_vanish_is_left_alone() {
    let mut world = World::new(3);
    for (id, name, remove) in [
        ("retired", "web-moved-retired", false),
        ("brief", "brief", true),
    ] {
        let mut old = policy(id);
        old.entry["Names"] = json!([format!("/{name}")]);
        old.inspect["HostConfig"]["AutoRemove"] = remove.into();
        old.put(&mut world.cluster, 0);
        copy(&format!("{id}2"), id, "running").put(&mut world.cluster, 1);
    }
    world.input(Input::Stirred);
    assert_eq!(world.jobs(), []);
    let told = world.told.iter().filter_map(|effect| match effect {
        Effect::Undecided(one) => Some((&*one.id, one.why)),
        Effect::Look | Effect::Start(_) | Effect::Held { .. } | Effect::Failed { .. } => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [("brief", Why::WouldBeRemoved)]);
}

#[test]
fn a_thousand_engines_that_connect_cause_two_looks() {
    let mut machine = Rescheduler::new(GRACE);
    let mut out = Effects::default();
    machine.handle(Mono(1), Input::Acting(Some(None)), &mut out);
    for number in 0..1_000 {
        machine.handle(Mono(2), Input::Returned(address(number)), &mut out);
    }
    assert_eq!(out.drain().collect::<Vec<_>>(), [Effect::Look]);
    machine.handle(Mono(3), Input::Saw(Sight::default()), &mut out);
    assert_eq!(
        out.drain().collect::<Vec<_>>(),
        [Effect::Look],
        "it may have missed some"
    );
    machine.handle(Mono(4), Input::Saw(Sight::default()), &mut out);
    assert_eq!(out.drain().collect::<Vec<_>>(), []);
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        Just(Outcome::Done),
        Just(Outcome::Stopped),
        Just(Outcome::Failed("x".to_owned())),
    ]
}

fn sights() -> impl Strategy<Value = Sight> {
    let works = prop::sample::select(vec![Work::Remove, Work::Retire, Work::Finish, Work::Move]);
    let todo = (
        0_usize..5,
        0_usize..9,
        works,
        prop::collection::vec(0_usize..9, 0..2),
    );
    let todos = prop::collection::vec(todo, 0..12);
    (prop::collection::vec(any::<bool>(), 0..5), todos).prop_map(|(engines, todos)| Sight {
        engines: engines
            .into_iter()
            .enumerate()
            .map(|(number, down)| (address(number), down))
            .collect(),
        todos: todos
            .into_iter()
            .map(|(engine, id, work, after)| Todo {
                engine: address(engine),
                id: format!("c{id}").into(),
                work,
                after: after.iter().map(|id| format!("c{id}").into()).collect(),
            })
            .collect(),
        undecided: Vec::new(),
    })
}

fn inputs() -> impl Strategy<Value = Input> + Clone {
    prop_oneof![
        1 => prop::option::of(prop::option::of(1_u64..4)).prop_map(Input::Acting),
        1 => Just(Input::Stirred),
        1 => (0_usize..5).prop_map(|number| Input::Returned(address(number))),
        4 => sights().prop_map(Input::Saw),
        3 => (0_usize..9, outcomes()).prop_map(|(id, outcome)| Input::Ended(format!("c{id}").into(), outcome)),
    ]
    .boxed()
}

proptest! {
    #[test]
    fn the_laws_of_machines_hold(steps in laws::steps(inputs())) {
        laws::hold(Rescheduler::new(Duration::from_secs(2)), &steps, 2 * JOBS_MAX + 2)?;
    }

    #[test]
    fn whatever_happens_few_jobs_run_each_container_has_one_and_only_the_primary_starts_them(
        steps in prop::collection::vec((0_u64..5_000, inputs()), 0..80)
    ) {
        let mut machine = Rescheduler::new(Duration::from_secs(2));
        let (mut now, mut running, mut acting) = (Mono(0), BTreeSet::new(), None);
        for (ms, input) in steps {
            now += Duration::from_millis(ms);
            match &input {
                Input::Acting(new) => acting = *new,
                Input::Ended(id, _) => {
                    running.remove(id);
                }
                Input::Stirred | Input::Returned(_) | Input::Saw(_) => {}
            }
            let mut out = Effects::default();
            machine.handle(now, input, &mut out);
            for effect in out.drain() {
                if let Effect::Start(job) = effect {
                    prop_assert_eq!(Some(job.epoch), acting);
                    prop_assert!(running.insert(job.id), "two jobs for one container");
                }
            }
            prop_assert!(running.len() <= JOBS_MAX);
        }
    }
}
