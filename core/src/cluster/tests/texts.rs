//! Lists whose texts are kept say what lists that are written anew say.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::lists::query;
use super::*;

const ALL: &[(&str, &str)] = &[("all", "1")];
const RUNNING: &[(&str, &str)] = &[];

/// `number` tells its age, too: a second more for each.
fn described(number: u64) -> Described {
    let mut one = Described::new(&format!("id-{number:04}"), &format!("web-{number}"));
    let created = Wall(NOW.0 - (number + 100) * NANO).rfc3339_nanos();
    one.inspect["Created"] = created.clone().into();
    one.inspect["State"]["StartedAt"] = created.into();
    one
}

/// The pieces after the first one, which is never kept.
fn pieces(cluster: &Cluster, asked: &[(&str, &str)], now: Wall, texts: &Texts) -> Vec<Bytes> {
    let query = ContainerQuery::parse(&query(asked)).unwrap();
    let rows = cluster.list_containers(&query).unwrap();
    let anew = Listing::new(&rows, now, BTreeMap::new()).whole();
    let listing = cluster.listing(&query, now, BTreeMap::new(), texts);
    let mut listing = listing.unwrap();
    let mut whole = listing.piece(1).unwrap().to_vec();
    let mut pieces = Vec::new();
    while let Some(piece) = listing.long_piece(1 << 20, texts) {
        assert!(!piece.is_empty(), "a piece that is empty ends nothing");
        whole.extend_from_slice(&piece);
        pieces.push(piece);
    }
    assert_eq!(Bytes::from(whole), anew);
    pieces
}

/// How many pieces are the very same in both lists, not only as long.
fn same(one: &[Bytes], other: &[Bytes]) -> usize {
    let found = |piece: &&Bytes| other.iter().any(|other| other.as_ptr() == piece.as_ptr());
    one.iter().filter(found).count()
}

/// 100 containers on two engines by turns.
fn fleet() -> Cluster {
    let mut cluster = cluster(&[(1, 1), (1, 1)]);
    for number in 0..100 {
        let engine = usize::try_from(number % 2).unwrap();
        described(number).put(&mut cluster, engine);
    }
    cluster
}

#[test]
fn only_runs_that_changed_are_written_anew() {
    let mut cluster = fleet();
    let texts = Texts::new(1 << 20);
    let first = pieces(&cluster, ALL, NOW, &texts);
    let runs = cluster.index.listed.runs().len() - 1;
    assert!(runs > 4, "{runs}");
    assert_eq!(same(&first, &pieces(&cluster, ALL, NOW, &texts)), runs);
    assert_eq!(same(&first, &pieces(&cluster, RUNNING, NOW, &texts)), runs);
    described(60).exited(1).put(&mut cluster, 0);
    let second = pieces(&cluster, ALL, NOW, &texts);
    assert_eq!(same(&first, &second), runs - 1);
    let running = pieces(&cluster, RUNNING, NOW, &texts);
    assert_eq!(same(&second, &running), runs - 1, "one shows less");
    let third = pieces(&cluster, ALL, NOW, &texts);
    assert_eq!(
        same(&second, &third),
        runs,
        "and does not replace the other"
    );
}

#[test]
fn an_engine_that_fails_changes_all() {
    let mut cluster = fleet();
    let texts = Texts::new(1 << 20);
    let first = pieces(&cluster, ALL, NOW, &texts);
    let down = EngineState::Unhealthy;
    cluster.set_health(&address(1), down, 0, None, NOW).unwrap();
    assert_eq!(same(&first, &pieces(&cluster, ALL, NOW, &texts)), 0);
    cluster.remove_engine(&address(1), NOW);
    pieces(&cluster, ALL, NOW, &texts);
}

#[test]
fn what_was_moved_away_is_left_out() {
    let mut cluster = fleet();
    let texts = Texts::new(1 << 20);
    let down = EngineState::Unhealthy;
    cluster.set_health(&address(1), down, 0, None, NOW).unwrap();
    let first = pieces(&cluster, ALL, NOW, &texts).concat();
    let mut copy = described(200).swarm_id("id-0061");
    let label = json!({"of": "id-0061", "image": "nginx:1", "replaces": ["id-0061"], "serial": 1, "start": true});
    copy.inspect["Config"]["Labels"][MOVE_LABEL] = label.to_string().into();
    copy.put(&mut cluster, 0);
    let second = pieces(&cluster, ALL, NOW, &texts).concat();
    let shows = |list: &[u8]| String::from_utf8_lossy(list).contains("/web-61\"");
    assert!(shows(&first) && !shows(&second));
    let up = EngineState::Healthy;
    cluster.set_health(&address(1), up, 0, None, NOW).unwrap();
    assert!(shows(&pieces(&cluster, ALL, NOW, &texts).concat()));
}

#[test]
fn a_run_that_is_too_long_for_a_piece_is_not_kept() {
    let cluster = fleet();
    let texts = Texts::new(1 << 20);
    let all = ContainerQuery::parse(&query(ALL)).unwrap();
    let list = || {
        let listing = cluster.listing(&all, NOW, BTreeMap::new(), &texts);
        let mut listing = listing.unwrap();
        let first = listing.piece(1);
        let rest = std::iter::from_fn(|| listing.long_piece(2_000, &texts));
        first.into_iter().chain(rest).collect::<Vec<_>>()
    };
    let (one, other) = (list(), list());
    assert!(one.iter().all(|piece| piece.len() < 3_000));
    assert_eq!(one.concat(), other.concat());
    assert_eq!(same(&one, &other), 0);
}

#[test]
fn what_nobody_asks_for_any_more_is_let_go() {
    let cluster = fleet();
    let texts = Texts::new(1 << 20);
    let first = pieces(&cluster, ALL, NOW, &texts);
    assert!(texts.needs_watch());
    assert!(!texts.forget_unused(), "there was a list");
    let second = pieces(&cluster, ALL, NOW, &texts);
    assert!(same(&first, &second) > 0);
    assert!(!texts.needs_watch(), "somebody does");
    assert!(!texts.forget_unused());
    assert!(texts.forget_unused());
    assert!(texts.needs_watch(), "he has gone");
    assert_eq!(same(&first, &pieces(&cluster, ALL, NOW, &texts)), 0);
}

#[test]
fn no_more_is_kept_than_allowed() {
    let cluster = fleet();
    for limit in [0, 60_000, 101 << 10] {
        let texts = Texts::new(limit);
        let first = pieces(&cluster, ALL, NOW, &texts);
        let second = pieces(&cluster, ALL, NOW, &texts);
        let kept = |piece: &&Bytes| same(&first, std::slice::from_ref(piece)) > 0;
        let kept: usize = second.iter().filter(kept).map(Bytes::len).sum();
        assert!(kept <= limit);
        // Of a list that is too long no part is kept.
        assert_eq!(kept > 0, limit > 100 << 10);
    }
}

#[test]
fn a_list_that_takes_long_keeps_nothing_that_is_over() {
    let mut cluster = fleet();
    let texts = Texts::new(1 << 20);
    let all = ContainerQuery::parse(&query(ALL)).unwrap();
    let slow = cluster.listing(&all, NOW, BTreeMap::new(), &texts);
    let mut slow = slow.unwrap();
    let began = slow.piece(1).unwrap();
    described(60).exited(1).put(&mut cluster, 0);
    let down = EngineState::Unhealthy;
    cluster.set_health(&address(1), down, 0, None, NOW).unwrap();
    pieces(&cluster, ALL, NOW, &texts);
    let mut whole = began.to_vec();
    while let Some(piece) = slow.long_piece(1 << 20, &texts) {
        whole.extend_from_slice(&piece);
    }
    let whole = String::from_utf8(whole).unwrap();
    assert!(!whole.contains("Exited") && !whole.contains("Host Down"));
    pieces(&cluster, ALL, NOW, &texts);
}

#[derive(Clone, Debug)]
enum Step {
    Run(u64, usize),
    Exit(u64, usize),
    Remove(u64, usize),
    Health(usize, bool),
    Wait(u64),
    List(&'static [(&'static str, &'static str)]),
}

fn step() -> impl Strategy<Value = Step> {
    let (number, engine) = (0..60_u64, 0..3_usize);
    let place = (number, engine.clone());
    prop_oneof![
        4 => place.clone().prop_map(|(number, engine)| Step::Run(number, engine)),
        2 => place.clone().prop_map(|(number, engine)| Step::Exit(number, engine)),
        1 => place.prop_map(|(number, engine)| Step::Remove(number, engine)),
        1 => (engine, any::<bool>()).prop_map(|(engine, is_up)| Step::Health(engine, is_up)),
        1 => (0..100_u64).prop_map(Step::Wait),
        3 => prop_oneof![Just(ALL), Just(RUNNING)].prop_map(Step::List),
    ]
}

proptest! {
    #[test]
    fn kept_texts_are_as_good_as_new(
        steps in prop::collection::vec(step(), 1..60),
        limit in prop_oneof![Just(20_000_usize), Just(1 << 20)],
    ) {
        let mut cluster = cluster(&[(1, 1), (1, 1), (1, 1)]);
        for number in 0..50 {
            described(number).put(&mut cluster, 0);
        }
        let texts = Texts::new(limit);
        let mut now = NOW;
        for step in steps {
            match step {
                Step::Run(number, engine) => described(number).put(&mut cluster, engine),
                Step::Exit(number, engine) => described(number).exited(2).put(&mut cluster, engine),
                Step::Remove(number, engine) => {
                    cluster.remove_container(&address(engine), &format!("id-{number:04}"));
                }
                Step::Health(engine, is_up) => {
                    let state = if is_up { EngineState::Healthy } else { EngineState::Unhealthy };
                    cluster.set_health(&address(engine), state, 0, None, now).unwrap();
                }
                // Back, too: clocks are set.
                Step::Wait(seconds) => now = Wall(now.0 + seconds * NANO - 20 * NANO),
                Step::List(asked) => {
                    pieces(&cluster, asked, now, &texts);
                }
            }
        }
    }
}
