//! The stories of a cluster whose record is failsafe: who goes on, who promises, who may take over.

use super::*;

fn address(name: &str) -> HostPort {
    format!("{name}:4000").parse().unwrap()
}

pub(super) fn election(name: &str) -> Election {
    let config = ElectionConfig {
        failsafe: true,
        ..config(name)
    };
    Election::new(config, Random::new(1).fork(name))
}

fn request(epoch: u64, version: u64) -> PromiseRequest {
    PromiseRequest {
        cluster: "c".into(),
        member: address("a"),
        instance: "b0".into(),
        epoch,
        version: Version(version),
        lease_ms: 2_000,
    }
}

pub(super) fn requests() -> impl Strategy<Value = PromiseRequest> + Clone {
    (1_u64..8, 1_u64..30).prop_map(|(epoch, version)| request(epoch, version))
}

fn story(name: &str) -> Story {
    Story {
        machine: election(name),
        ..Story::of(name)
    }
}

fn members(names: &[&str]) -> Input {
    Input::Members(names.iter().map(|name| address(name)).collect())
}

/// The primary `a` whose record at version 10 lists `others` too.
fn primary(others: &[&str]) -> Story {
    let mut story = story("a");
    let all: Vec<&str> = ["a"].iter().chain(others).copied().collect();
    story
        .give(members(&all))
        .give(Input::Observed(Reading::Absent))
        .pass(Duration::from_millis(1));
    let (op, ..) = story.swap();
    story.give(Input::Swapped(op, SwapOutcome::Swapped(Version(10))));
    story
}

/// Lets `time` pass while the store says nothing; the rounds that begin, each with whom it asks and when.
fn silence(story: &mut Story, time: Duration) -> Vec<(OpId, Vec<HostPort>, Mono)> {
    let until = story.now + time;
    let mut rounds = Vec::new();
    while story.now < until {
        story.pass(Duration::from_millis(10));
        let now = story.now;
        for effect in story.effects.clone() {
            match effect {
                Effect::AskPromises { round, requests } => {
                    let asked = requests.into_iter().map(|request| request.member);
                    rounds.push((round, asked.collect(), now));
                }
                Effect::Swap { op, .. } => {
                    story.give(Input::Swapped(op, SwapOutcome::Unknown));
                }
                Effect::Verify { op } => {
                    story.give(Input::Verified(op, None));
                }
                _ => {}
            }
        }
    }
    rounds
}

fn one_round(story: &mut Story) -> (OpId, Vec<HostPort>, Mono) {
    for _ in 0..200 {
        if let Some(round) = silence(story, Duration::from_millis(10)).pop() {
            return round;
        }
    }
    panic!("no round began");
}

fn grant(story: &mut Story, round: OpId, name: &str) {
    story.give(Input::Promised(round, address(name), true));
}

fn until(story: &Story) -> Mono {
    story.machine.current_authority().unwrap().until
}

#[test]
fn a_primary_whose_members_all_promise_outlives_the_store() {
    let mut story = primary(&["b", "c"]);
    let mut began = 0;
    for _ in 0..100 {
        let (round, asked, _) = one_round(&mut story);
        assert_eq!(asked, [address("b"), address("c")]);
        grant(&mut story, round, "b");
        grant(&mut story, round, "c");
        let notice = Notice::FailsafeBegan { epoch: 1 };
        began += story.notices().iter().filter(|one| **one == notice).count();
        assert!(story.machine.authority(story.now).is_some());
        assert_eq!(story.machine.failsafe(story.now), Failsafe::Active);
    }
    assert_eq!(began, 1);
    story.pass(LEASE / 2);
    let (op, expected, record) = story.swap();
    assert_eq!((expected, record.epoch), (Some(Version(10)), 1));
    story.give(Input::Swapped(op, SwapOutcome::Swapped(Version(20))));
    assert_eq!(story.notices(), [Notice::FailsafeEnded { epoch: 1 }]);
    assert_eq!(story.machine.failsafe(story.now), Failsafe::Ready);
}

#[test]
fn a_round_counts_from_its_sending_and_only_when_all_have_promised() {
    let mut story = primary(&["b", "c"]);
    let before = until(&story);
    let (round, _, sent) = one_round(&mut story);
    story.now += Duration::from_millis(100);
    grant(&mut story, round, "b");
    grant(&mut story, round, "b");
    assert_eq!(until(&story), before, "one member is missing");
    grant(&mut story, round, "c");
    assert!(until(&story) > before && until(&story) <= sent + LEASE);
}

#[test]
fn a_refusal_or_silence_of_one_member_lets_the_lease_end() {
    let mut story = primary(&["b", "c"]);
    let before = until(&story);
    for _ in 0..10 {
        let Some((round, ..)) = silence(&mut story, LEASE / 5).pop() else {
            continue;
        };
        grant(&mut story, round, "b");
        story.give(Input::Promised(round, address("c"), false));
    }
    assert_eq!(until(&story), before);
    assert_eq!(story.machine.authority(story.now), None);
    assert_eq!(
        silence(&mut story, LEASE),
        [],
        "a lease that has ended is not asked for"
    );
}

#[test]
fn promises_never_revive_a_lease() {
    let mut story = primary(&["b"]);
    let (round, ..) = one_round(&mut story);
    silence(&mut story, LEASE);
    assert_eq!(story.machine.authority(story.now), None);
    grant(&mut story, round, "b");
    assert_eq!(story.machine.authority(story.now), None);
}

#[test]
fn whom_only_a_swap_without_an_answer_lists_is_asked_too() {
    let mut story = primary(&["b"]);
    story.give(members(&["a", "c"]));
    silence(&mut story, LEASE / 4);
    story.give(members(&["a", "b"]));
    let (_, asked, _) = one_round(&mut story);
    assert_eq!(asked, [address("b"), address("c")]);
}

#[test]
fn a_swap_without_an_answer_that_opens_the_record_ends_failsafe() {
    let mut story = primary(&["b"]);
    story.give(members(&["a"]));
    assert_eq!(silence(&mut story, LEASE * 2), []);
}

#[test]
fn a_conflict_that_explains_nothing_ends_the_rounds() {
    let mut story = primary(&["b"]);
    let (round, ..) = one_round(&mut story);
    let before = until(&story);
    story.pass(LEASE / 5);
    let (op, ..) = story.swap();
    story.give(Input::Swapped(op, SwapOutcome::Conflict(None)));
    grant(&mut story, round, "b");
    assert_eq!(until(&story), before);
}

#[test]
fn a_mutation_leaves_by_a_round_that_began_after_it_arrived() {
    let mut story = primary(&["b"]);
    let opened = |story: &Story, ticket: u64| {
        story.effects.iter().any(
            |effect| matches!(effect, Effect::Open { tickets, .. } if tickets.contains(&ticket)),
        )
    };
    let (first, ..) = one_round(&mut story);
    story.give(Input::Arrived(7));
    grant(&mut story, first, "b");
    assert!(!opened(&story, 7));
    let (second, _, at) = one_round(&mut story);
    assert!(
        at <= story.now && second != first,
        "the next one begins soon"
    );
    grant(&mut story, second, "b");
    assert!(opened(&story, 7));
}

#[test]
fn without_the_flag_nobody_is_asked_and_the_record_says_nothing() {
    let mut story = Story::of("a");
    story
        .give(members(&["a", "b"]))
        .give(Input::Observed(Reading::Absent))
        .pass(Duration::from_millis(1));
    let (op, _, record) = story.swap();
    assert!(!record.failsafe);
    story.give(Input::Swapped(op, SwapOutcome::Swapped(Version(10))));
    assert_eq!(silence(&mut story, LEASE * 3), []);
}

fn verdict(story: &Story) -> Result<(), Refusal> {
    let verdict = story.effects.iter().find_map(|effect| match effect {
        Effect::Promise { verdict, .. } => Some(*verdict),
        _ => None,
    });
    verdict.unwrap()
}

fn ask(story: &mut Story, request: PromiseRequest) -> Result<(), Refusal> {
    story.give(Input::PromiseAsked(3, request));
    verdict(story)
}

#[test]
fn a_member_that_promised_claims_only_when_its_promise_is_over() {
    let mut story = story("a");
    let shown = || present(10, record("b", FAILSAFE_EPOCH, false));
    story.give(Input::Observed(shown()));
    story.pass(LEASE);
    assert_eq!(ask(&mut story, request(FAILSAFE_EPOCH, 10)), Ok(()));
    let promised = story.now;
    let claimed = loop {
        story.pass(Duration::from_millis(10));
        if story.swaps() > 0 {
            break story.now;
        }
        if let Some(op) = story.asked_to_verify() {
            story.give(Input::Verified(op, Some(shown())));
        }
        assert!(story.now < promised + LEASE * 4);
    };
    assert!(claimed >= promised + lease::takeover_wait(LEASE));
    assert_eq!(
        ask(&mut story, request(FAILSAFE_EPOCH, 10)),
        Err(Refusal::Claiming),
        "its claim may yet be carried out"
    );
}

#[test]
fn a_late_question_of_an_earlier_primary_shortens_no_promise() {
    let mut story = story("a");
    let claim_of = |story: &Story, released: u64| {
        let mut story = Story {
            machine: story.machine.clone(),
            now: story.now,
            effects: Vec::new(),
        };
        story
            .give(Input::Observed(present(20, record("b", released, true))))
            .pass(Duration::from_millis(30));
        story.swaps()
    };
    assert_eq!(ask(&mut story, request(6, 12)), Ok(()));
    assert_eq!(ask(&mut story, request(5, 10)), Ok(()));
    assert_eq!(claim_of(&story, 5), 0, "the later primary was promised too");
    assert_eq!(claim_of(&story, 6), 1);
}

#[test]
fn a_release_ends_a_promise_and_after_the_loss_of_the_record_none_is_given() {
    let mut story = story("a");
    story.give(Input::Observed(present(
        10,
        record("b", FAILSAFE_EPOCH, false),
    )));
    assert_eq!(ask(&mut story, request(FAILSAFE_EPOCH, 10)), Ok(()));
    let mut released = Story {
        machine: story.machine.clone(),
        now: story.now,
        effects: Vec::new(),
    };
    released
        .give(Input::Observed(present(
            11,
            record("b", FAILSAFE_EPOCH, true),
        )))
        .pass(Duration::from_millis(30));
    assert_eq!(released.swap().1, Some(Version(11)));
    story.give(Input::Observed(Reading::Absent));
    let verify = story.verify();
    story.give(Input::Verified(verify, Some(Reading::Absent)));
    assert_eq!(
        ask(&mut story, request(FAILSAFE_EPOCH, 10)),
        Err(Refusal::RecordLost)
    );
    let wait = lease::takeover_wait(LEASE) - Duration::from_millis(1);
    assert_eq!(story.pass(wait).swaps(), 0);
    assert!(story.pass(LEASE / 2).swaps() > 0);
}

#[test]
fn a_promise_is_refused_with_the_reason() {
    let refusal = |known: Record, change: fn(&mut PromiseRequest)| {
        let mut story = story("a");
        story.give(Input::Observed(present(10, known)));
        let mut request = request(FAILSAFE_EPOCH, 10);
        change(&mut request);
        ask(&mut story, request)
    };
    let known = |holder: &str, epoch: u64| record(holder, epoch, false);
    let same = |_: &mut PromiseRequest| {};
    assert_eq!(refusal(known("b", 5), same), Ok(()));
    assert_eq!(refusal(known("c", 4), same), Ok(()), "not heard of yet");
    assert_eq!(refusal(known("c", 5), same), Err(Refusal::NotTheHolder));
    assert_eq!(refusal(known("c", 6), same), Err(Refusal::NewerEpoch));
    assert_eq!(
        refusal(record("b", 5, true), same),
        Err(Refusal::NotTheHolder)
    );
    assert_eq!(
        refusal(known("b", 5), |one| one.member = address("z")),
        Err(Refusal::NotAsked)
    );
    assert_eq!(
        refusal(known("b", 5), |one| one.cluster = "other".into()),
        Err(Refusal::OtherCluster)
    );
    assert_eq!(
        refusal(known("b", 5), |one| one.lease_ms = 2_001),
        Err(Refusal::LeaseTooLong)
    );
    let mut holder = primary(&["b"]);
    let cluster = holder.machine.cluster().unwrap().to_owned();
    let of_a_later_epoch = PromiseRequest {
        cluster,
        ..request(FAILSAFE_EPOCH, 12)
    };
    assert_eq!(
        ask(&mut holder, of_a_later_epoch.clone()),
        Err(Refusal::Holding)
    );
    silence(&mut holder, LEASE * 2);
    assert_eq!(
        ask(&mut holder, of_a_later_epoch),
        Ok(()),
        "it was taken over long ago and could not hear of it"
    );
}

#[test]
fn a_manager_that_a_failsafe_record_does_not_list_says_so_once_and_waits_for_a_release() {
    let mut story = story("z");
    let shown = || present(10, record("b", FAILSAFE_EPOCH, false));
    story.give(Input::Observed(shown()));
    let mut told = 0;
    for _ in 0..1_000 {
        story.pass(Duration::from_millis(10));
        assert_eq!(story.swaps(), 0);
        let notice = Notice::NotListed {
            holder: address("b"),
        };
        told += story.notices().iter().filter(|one| **one == notice).count();
        if let Some(op) = story.asked_to_verify() {
            story.give(Input::Verified(op, Some(shown())));
        }
    }
    assert_eq!(told, 1);
    story
        .give(Input::Observed(present(
            11,
            record("b", FAILSAFE_EPOCH, true),
        )))
        .pass(Duration::from_millis(50));
    assert_eq!(story.swap().1, Some(Version(11)));
}
