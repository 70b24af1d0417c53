//! The laws, and the stories of single managers.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test looks for one kind of effect"
)]

use proptest::prelude::*;

use super::*;
use crate::machine::laws;

mod failsafe;

const LEASE: Duration = Duration::from_secs(2);
/// Records of this epoch are failsafe.
const FAILSAFE_EPOCH: u64 = 5;

fn config(name: &str) -> ElectionConfig {
    ElectionConfig {
        advertise: format!("{name}:4000").parse().unwrap(),
        instance: format!("{name}0"),
        lease: LEASE,
        fence: Fence::Verify,
        failsafe: false,
    }
}

fn election(name: &str) -> Election {
    Election::new(config(name), Random::new(1).fork(name))
}

fn record(holder: &str, epoch: u64, released: bool) -> Record {
    Record {
        cluster: "c".into(),
        epoch,
        holder: format!("{holder}:4000").parse().unwrap(),
        instance: format!("{holder}0"),
        nonce: format!("n{epoch}"),
        beat: 3,
        lease_ms: 2_000,
        released,
        failsafe: epoch == FAILSAFE_EPOCH,
        members: vec![
            "a:4000".parse().unwrap(),
            "b:4000".parse().unwrap(),
            "c:4000".parse().unwrap(),
        ],
    }
}

fn present(version: u64, record: Record) -> Reading {
    Reading::Present {
        version: Version(version),
        record,
    }
}

/// One manager, its clock and what it asked for.
struct Story {
    machine: Election,
    now: Mono,
    effects: Vec<Effect>,
}

impl Story {
    fn of(name: &str) -> Self {
        Self {
            machine: election(name),
            now: Mono(1_000_000_000),
            effects: Vec::new(),
        }
    }

    fn give(&mut self, input: Input) -> &mut Self {
        let mut out = Effects::default();
        self.machine.handle(self.now, input, &mut out);
        self.effects = out.drain().collect();
        self
    }

    /// Lets `time` pass; the effects are all that came up on the way.
    fn pass(&mut self, time: Duration) -> &mut Self {
        let until = self.now + time;
        let mut out = Effects::default();
        while let Some(wake) = self.machine.wake_at().filter(|wake| wake.at <= until) {
            self.now = self.now.max(wake.at);
            self.machine.wake(self.now, &mut out);
        }
        self.now = until;
        self.effects = out.drain().collect();
        self
    }

    fn swap(&self) -> (OpId, Option<Version>, Record) {
        self.effects
            .iter()
            .find_map(|effect| match effect {
                Effect::Swap {
                    op,
                    expected,
                    record,
                } => Some((*op, *expected, record.clone())),
                _ => None,
            })
            .unwrap_or_else(|| panic!("no swap among {:?}", self.effects))
    }

    fn swaps(&self) -> usize {
        self.effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Swap { .. }))
            .count()
    }

    fn notices(&self) -> Vec<Notice> {
        let notice = |effect: &Effect| match effect {
            Effect::Notify(notice) => Some(notice.clone()),
            _ => None,
        };
        self.effects.iter().filter_map(notice).collect()
    }

    fn asked_to_verify(&self) -> Option<OpId> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Verify { op } => Some(*op),
            _ => None,
        })
    }

    fn verify(&self) -> OpId {
        self.asked_to_verify()
            .unwrap_or_else(|| panic!("no verify among {:?}", self.effects))
    }

    /// A primary of epoch 1 at version 10.
    fn primary(name: &str) -> Self {
        let mut story = Self::of(name);
        story
            .give(Input::Observed(Reading::Absent))
            .pass(Duration::from_millis(1));
        let (op, expected, _) = story.swap();
        assert_eq!(expected, None);
        story.give(Input::Swapped(op, SwapOutcome::Swapped(Version(10))));
        assert!(story.machine.authority(story.now).is_some());
        story
    }
}

fn readings() -> impl Strategy<Value = Reading> + Clone {
    let holder = prop_oneof![Just("a"), Just("b")];
    let seen = (1_u64..30, holder, 1_u64..6, any::<bool>()).prop_map(
        |(version, holder, epoch, released)| present(version, record(holder, epoch, released)),
    );
    let malformed = (1_u64..30).prop_map(|version| Reading::of(Version(version), b"mine!"));
    prop_oneof![6 => seen, 1 => Just(Reading::Absent), 1 => malformed]
}

fn inputs() -> impl Strategy<Value = Input> + Clone {
    let op = (0_u64..60).prop_map(OpId);
    let outcome = prop_oneof![
        4 => (1_u64..30).prop_map(|version| SwapOutcome::Swapped(Version(version))),
        1 => readings().prop_map(|reading| SwapOutcome::Conflict(Some(reading))),
        1 => Just(SwapOutcome::Conflict(None)),
        1 => Just(SwapOutcome::NotApplied),
        1 => Just(SwapOutcome::Unknown),
    ];
    prop_oneof![
        4 => readings().prop_map(Input::Observed),
        8 => (op.clone(), outcome).prop_map(|(op, outcome)| Input::Swapped(op, outcome)),
        2 => (op.clone(), readings()).prop_map(|(op, reading)| Input::Verified(op, Some(reading))),
        1 => op.prop_map(|op| Input::Verified(op, None)),
        3 => (0_u64..9_999).prop_map(Input::Arrived),
        1 => (0_u64..9_999).prop_map(Input::Left),
        1 => Just(Input::Resign(Resignation::StepDown)),
        1 => Just(Input::Flushed),
        1 => Just(Input::ObserveFailed),
        1 => Just(Input::Members(vec!["a:4000".parse().unwrap(), "b:4000".parse().unwrap()])),
        2 => failsafe::requests().prop_map(|request| Input::PromiseAsked(0, request)),
        2 => (0_u64..60, any::<bool>()).prop_map(|(op, granted)| {
            Input::Promised(OpId(op), "b:4000".parse().unwrap(), granted)
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_laws_of_machines_hold(steps in laws::steps(inputs())) {
        laws::hold(election("a"), &steps, 12)?;
    }

    #[test]
    fn the_laws_of_machines_hold_with_failsafe(steps in laws::steps(inputs())) {
        laws::hold(failsafe::election("a"), &steps, 12)?;
    }
}

#[test]
fn the_first_manager_acquires_and_then_hears_of_itself() {
    let story = Story::primary("a");
    let address = "a:4000".parse().unwrap();
    assert_eq!(
        story.notices(),
        [
            Notice::Acquired { epoch: 1 },
            Notice::Leader { address, epoch: 1 }
        ]
    );
}

#[test]
fn a_replica_says_so_waits_in_full_and_hears_of_itself_first() {
    let mut story = Story::of("b");
    story.give(Input::Observed(present(10, record("a", 4, false))));
    let leader = |name: &str, epoch| Notice::Leader {
        address: format!("{name}:4000").parse().unwrap(),
        epoch,
    };
    assert_eq!(story.notices(), [Notice::Standby, leader("a", 4)]);
    let unchanged = || Some(present(10, record("a", 4, false)));
    let mut waited = Duration::ZERO;
    while waited <= lease::takeover_wait(LEASE) {
        let step = Duration::from_millis(10);
        assert_eq!(story.pass(step).swaps(), 0, "after {waited:?}");
        waited += step;
        if let Some(op) = story.asked_to_verify() {
            story.give(Input::Verified(op, unchanged()));
        }
    }
    if story.swaps() == 0 {
        story.pass(Duration::from_millis(20));
    }
    if let Some(op) = story.asked_to_verify() {
        story
            .give(Input::Verified(op, unchanged()))
            .pass(Duration::from_millis(20));
    }
    let (op, expected, claim) = story.swap();
    assert_eq!((expected, claim.epoch), (Some(Version(10)), 5));
    story.give(Input::Swapped(op, SwapOutcome::Swapped(Version(11))));
    assert_eq!(
        story.notices(),
        [leader("b", 5), Notice::Acquired { epoch: 5 }]
    );
}

#[test]
fn a_released_lease_is_taken_over_at_once() {
    let mut story = Story::of("b");
    story.give(Input::Observed(present(10, record("a", 4, false))));
    story
        .give(Input::Observed(present(11, record("a", 4, true))))
        .pass(Duration::from_millis(10));
    assert_eq!(story.swap().1, Some(Version(11)));
}

#[test]
fn authority_counts_from_the_sending() {
    let mut story = Story::of("a");
    story
        .give(Input::Observed(Reading::Absent))
        .pass(Duration::from_millis(1));
    let sent = story.now;
    let (op, ..) = story.swap();
    story.now += Duration::from_millis(300);
    story.give(Input::Swapped(op, SwapOutcome::Swapped(Version(10))));
    let authority = story.machine.authority(story.now).unwrap();
    assert!(authority.until <= sent + LEASE);
}

#[test]
fn a_foreign_record_stops_the_primary_before_anything_else() {
    let mut story = Story::primary("a");
    story.give(Input::Arrived(7));
    story.give(Input::Observed(present(12, record("b", 2, false))));
    let first = Effect::Notify(Notice::Lost(LossReason::TakenOver {
        by: "b:4000".parse().unwrap(),
        epoch: 2,
    }));
    assert_eq!(story.effects.first(), Some(&first));
    assert!(story.effects.contains(&Effect::Refuse { tickets: vec![7] }));
    assert_eq!(story.machine.current_authority(), None);
}

#[test]
fn a_conflict_that_shows_an_own_nonce_is_a_success_counted_from_that_sending() {
    let mut story = Story::primary("a");
    story.pass(Duration::from_millis(450));
    let (lost, _, applied) = story.swap();
    let sent = story.now;
    story.pass(Duration::from_millis(420));
    let (second, expected, _) = story.swap();
    assert_eq!(expected, Some(Version(10)), "the first has no answer yet");
    story.give(Input::Swapped(
        second,
        SwapOutcome::Conflict(Some(present(11, applied))),
    ));
    let until = story.machine.authority(story.now).unwrap().until;
    assert!(until <= sent + LEASE && until > sent + LEASE - Duration::from_millis(60));
    story.give(Input::Swapped(lost, SwapOutcome::Swapped(Version(11))));
    assert_eq!(story.machine.stale_answers(), 1, "adopted already");
}

#[test]
fn a_renewal_that_met_an_own_one_is_repeated_at_once() {
    let mut story = Story::primary("a");
    story.pass(LEASE / 5);
    let (first, _, record) = story.swap();
    // A stopped process finds two things due when it goes on: the next renewal, and the answer to the last.
    story.now += LEASE * 3 / 4;
    story.pass(Duration::ZERO);
    let (second, _, _) = story.swap();
    story.give(Input::Swapped(first, SwapOutcome::Swapped(Version(7))));
    let shown = SwapOutcome::Conflict(Some(present(7, record)));
    story.give(Input::Swapped(second, shown));
    story.pass(Duration::ZERO);
    assert_eq!(
        story.swap().1,
        Some(Version(7)),
        "the lease is short by now"
    );
    story.pass(LEASE / 10);
    assert_eq!(story.swaps(), 0, "and no more than that");
}

#[test]
fn a_store_outage_pauses_mutations_and_changes_no_primary() {
    let mut story = Story::primary("a");
    for _ in 0..40 {
        story.pass(Duration::from_millis(100));
        let ops: Vec<OpId> = story
            .effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::Swap { op, .. } => Some(*op),
                _ => None,
            })
            .collect();
        for op in ops {
            story.give(Input::Swapped(op, SwapOutcome::Unknown));
        }
    }
    assert_eq!(story.machine.authority(story.now), None, "lapsed");
    story.give(Input::Arrived(1));
    assert!(
        !story
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Refuse { .. })),
        "it waits"
    );
    story.pass(Duration::from_secs(1));
    let (op, expected, record) = story.swap();
    assert_eq!((expected, record.epoch), (Some(Version(10)), 1));
    story.give(Input::Swapped(op, SwapOutcome::Swapped(Version(20))));
    assert_eq!(story.notices(), [Notice::Recovered { epoch: 1 }]);
    let verify = story.verify();
    story.give(Input::Verified(verify, Some(present(20, record))));
    assert!(story.effects.contains(&Effect::Open {
        tickets: vec![1],
        epoch: 1
    }));
}

#[test]
fn one_verify_serves_those_who_came_before_it_began() {
    let mut story = Story::primary("a");
    story.give(Input::Arrived(1));
    let first = story.verify();
    story.give(Input::Arrived(2)).give(Input::Arrived(3));
    let own = story.machine.primary().unwrap().clone();
    story.give(Input::Verified(first, Some(present(10, own.clone()))));
    assert!(story.effects.contains(&Effect::Open {
        tickets: vec![1],
        epoch: 1
    }));
    let second = story.verify();
    story.give(Input::Verified(second, Some(present(10, own))));
    assert!(story.effects.contains(&Effect::Open {
        tickets: vec![2, 3],
        epoch: 1
    }));
}

#[test]
fn resigning_flushes_then_releases_and_later_answers_count_for_nothing() {
    let mut story = Story::primary("a");
    story.pass(Duration::from_millis(450));
    let (late, ..) = story.swap();
    story.give(Input::Resign(Resignation::Stop));
    assert!(story.effects.contains(&Effect::Quiesce));
    assert_eq!(story.swaps(), 0, "mutations flush first");
    story.give(Input::Arrived(9));
    assert!(story.effects.contains(&Effect::Refuse { tickets: vec![9] }));
    story.give(Input::Flushed);
    let (release, expected, record) = story.swap();
    assert!(record.released && expected == Some(Version(10)));
    story.give(Input::Swapped(late, SwapOutcome::Swapped(Version(11))));
    assert_eq!(story.machine.current_authority(), None);
    let current = story.machine.primary().cloned().unwrap();
    story.give(Input::Swapped(
        release,
        SwapOutcome::Conflict(Some(present(11, current))),
    ));
    let (again, expected, _) = story.swap();
    assert_eq!(expected, Some(Version(11)));
    story.give(Input::Swapped(again, SwapOutcome::Swapped(Version(12))));
    assert!(story.notices().contains(&Notice::Resigned));
    assert_eq!(
        story.pass(Duration::from_secs(60)).swaps(),
        0,
        "it does not compete again"
    );
}

#[test]
fn a_stepped_down_manager_does_not_compete_for_one_lease() {
    let mut story = Story::primary("a");
    story.give(Input::Members(vec![
        "a:4000".parse().unwrap(),
        "b:4000".parse().unwrap(),
    ]));
    story
        .give(Input::Resign(Resignation::StepDown))
        .give(Input::Flushed);
    let (op, ..) = story.swap();
    story.give(Input::Swapped(op, SwapOutcome::Swapped(Version(11))));
    assert_eq!(story.pass(Duration::from_millis(1_900)).swaps(), 0);
    story.pass(Duration::from_millis(300));
    assert_eq!(story.swap().2.epoch, 2, "nobody else wanted it");
}

#[test]
fn a_stale_read_is_doubted_and_a_store_that_went_back_is_waited_for() {
    let mut story = Story::of("b");
    story.give(Input::Observed(present(10, record("a", 4, false))));
    story.give(Input::Observed(Reading::Absent));
    let verify = story.verify();
    story.give(Input::Verified(
        verify,
        Some(present(10, record("a", 4, false))),
    ));
    assert_eq!(story.notices(), [], "it was stale");
    story.give(Input::Observed(present(3, record("a", 2, true))));
    let verify = story.verify();
    story.give(Input::Verified(
        verify,
        Some(present(3, record("a", 2, true))),
    ));
    assert!(matches!(story.notices()[..], [Notice::StoreTrouble(_), ..]));
    assert_eq!(
        story
            .pass(lease::takeover_wait(LEASE) - Duration::from_millis(1))
            .swaps(),
        0
    );
    story.pass(Duration::from_millis(200));
    assert_eq!(story.swap().2.epoch, 5, "above everything ever seen");
}

/// A store without a leader still ends blocking queries, with what it knows. Found by the testbed's lab: the answer to
/// one counted as the store's return, and a replica took over before the holder could write again.
#[test]
fn a_hint_does_not_show_that_the_store_can_write() {
    let mut story = Story::of("b");
    story.give(Input::Observed(present(10, record("a", 4, false))));
    story.give(Input::ObserveFailed);
    let away = |story: &mut Story, steps: u32| {
        for _ in 0..steps {
            story.pass(Duration::from_millis(50));
            assert_eq!(story.swaps(), 0, "nothing but hints says that it is there");
            if let Some(verify) = story.asked_to_verify() {
                story.give(Input::Verified(verify, None));
            }
        }
    };
    away(&mut story, 60);
    story.give(Input::Observed(present(10, record("a", 4, false))));
    away(&mut story, 60);
}

/// Found by the testbed's lab: news of a term that the store had forgotten meanwhile arrived late, and its epoch was
/// used a second time.
#[test]
fn an_epoch_that_only_a_stale_reading_showed_is_not_used_again() {
    let mut story = Story::of("b");
    story.give(Input::Observed(present(20, record("a", 4, true))));
    story.give(Input::Observed(present(10, record("c", 9, false))));
    let verify = story.verify();
    story.give(Input::Verified(
        verify,
        Some(present(20, record("a", 4, true))),
    ));
    story.pass(Duration::from_millis(200));
    assert_eq!(story.swap().2.epoch, 10);
}

/// Found by the testbed's lab: a store that refused within a millisecond was asked a thousand times a second.
#[test]
fn a_swap_that_is_refused_at_once_is_not_repeated_at_once() {
    let mut story = Story::of("b");
    story.give(Input::Observed(present(10, record("a", 4, true))));
    story.pass(Duration::from_millis(30));
    let (claim, ..) = story.swap();
    story.give(Input::Swapped(claim, SwapOutcome::NotApplied));
    assert_eq!(story.pass(Duration::from_millis(99)).swaps(), 0);
    let mut story = Story::primary("a");
    story
        .give(Input::Resign(Resignation::Stop))
        .give(Input::Flushed);
    let (release, ..) = story.swap();
    story.give(Input::Swapped(release, SwapOutcome::NotApplied));
    assert_eq!(story.pass(Duration::from_millis(99)).swaps(), 0);
    assert_eq!(story.pass(Duration::from_millis(301)).swaps(), 1);
}

#[test]
fn a_malformed_record_is_replaced_after_the_wait() {
    let mut story = Story::of("b");
    story.give(Input::Observed(Reading::of(
        Version(5),
        b"operator was here",
    )));
    assert!(matches!(story.notices()[..], [Notice::StoreTrouble(_)]));
    assert_eq!(story.pass(LEASE).swaps(), 0);
    story.pass(Duration::from_millis(200));
    assert_eq!(story.swap().1, Some(Version(5)));
}
