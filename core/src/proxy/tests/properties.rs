//! Any sequence of inputs: outcomes, bounds and the laws of machines.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::machine::laws;

const REQUESTS_MAX: usize = 6;

fn small_proxy() -> Proxy {
    let mut config = Config::new(address("self"));
    (config.max_held, config.max_held_bytes) = (4, 100);
    config.max_requests = REQUESTS_MAX;
    Proxy::new(config)
}

/// What happens next, in terms a random choice can make.
#[derive(Clone, Debug)]
enum Step {
    View(View),
    Arrive(Class, Origin, Body),
    Fail(usize, Failure, bool),
    Answer(usize),
    Interrupt(usize),
    Leave(usize),
    Stale(RequestId),
    Pass(u64),
}

fn host() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("self"), Just("m2"), Just("m3")]
}

fn view() -> impl Strategy<Value = View> {
    prop_oneof![
        Just(View::Unknown),
        (host(), 1..9_u64, any::<bool>()).prop_map(|(host, epoch, local)| View::Primary {
            address: address(host),
            epoch,
            local: local && host == "self",
        }),
    ]
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        Just(Failure::NotSent),
        Just(Failure::Broken),
        Just(NOT_DISPATCHED),
        (host(), 1..12_u64).prop_map(|(host, epoch)| Failure::NotDispatched {
            hint: Some((address(host), epoch)),
        }),
    ]
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![
        Just(Class::Safe),
        Just(Class::Idempotent),
        Just(Class::StateIdempotent),
        Just(Class::Keyed),
        Just(Class::Once),
        Just(Class::Upgrade),
        Just(EVENTS),
    ]
}

fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![
        4 => Just(Origin::Client),
        1 => proptest::option::of(1..9_u64).prop_map(|expected_epoch| Origin::Peer { expected_epoch }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let body = prop_oneof![Just(Body::Unsolicited), (0..40_u64).prop_map(Body::Kept)];
    prop_oneof![
        2 => view().prop_map(Step::View),
        3 => (class(), origin(), body).prop_map(|(class, origin, body)| Step::Arrive(class, origin, body)),
        3 => (any::<usize>(), failure(), any::<bool>())
            .prop_map(|(at, failure, replayable)| Step::Fail(at, failure, replayable)),
        2 => any::<usize>().prop_map(Step::Answer),
        1 => any::<usize>().prop_map(Step::Interrupt),
        1 => any::<usize>().prop_map(Step::Leave),
        1 => (0..6_u64).prop_map(|id| Step::Stale(RequestId(id))),
        2 => (0..2_000_u64).prop_map(Step::Pass),
    ]
}

/// Any input at all, most of them with names that mean nothing now.
fn any_input() -> impl Strategy<Value = Input> + Clone {
    let body = prop_oneof![Just(Body::Unsolicited), (0..40_u64).prop_map(Body::Kept)];
    let names = (0..8_u64, 0..4_u32).prop_map(|(id, attempt)| (RequestId(id), attempt));
    prop_oneof![
        view().prop_map(Input::View),
        (names.clone(), class(), origin(), body).prop_map(|((id, _), class, origin, body)| {
            Input::Arrived {
                id,
                class,
                origin,
                body,
            }
        }),
        (names.clone(), failure(), any::<bool>()).prop_map(
            |((id, attempt), failure, replayable)| {
                Input::Failed {
                    id,
                    attempt,
                    failure,
                    replayable,
                }
            }
        ),
        names
            .clone()
            .prop_map(|(id, attempt)| Input::Answered { id, attempt }),
        names
            .clone()
            .prop_map(|(id, attempt)| Input::Interrupted { id, attempt }),
        names.prop_map(|(id, _)| Input::Left { id }),
    ]
    .boxed()
}

/// What the outside knows of a request.
#[derive(Debug, Default)]
struct Seen {
    class: Option<Class>,
    forwarded: bool,
    in_flight: Option<u32>,
    relayed: Option<u32>,
    over: bool,
    used_up: bool,
    sent: u8,
}

/// Plays the runtime, honest about attempts, and checks what it is asked to do.
struct Checked {
    story: Story,
    seen: BTreeMap<u64, Seen>,
}

impl Checked {
    fn new() -> Self {
        let mut story = Story::new();
        story.proxy = small_proxy();
        let seen = BTreeMap::new();
        Self { story, seen }
    }

    fn step(&mut self, step: Step) {
        let open: Vec<u64> = self.open();
        let pick = |at: usize| open.get(at % open.len().max(1)).copied();
        let effects = match step {
            Step::View(view) => self.story.view(view),
            Step::Pass(millis) => self.story.after(millis),
            Step::Stale(id) => {
                let attempt = 1_000_000;
                let mut effects = self.story.fails(id.0, attempt, Failure::Broken);
                effects.extend(self.story.handle(Input::Answered { id, attempt }));
                effects.extend(self.story.handle(Input::Interrupted { id, attempt }));
                assert_eq!(effects, NOTHING);
                return;
            }
            Step::Arrive(class, origin, body) => {
                let id = u64::try_from(self.seen.len()).unwrap();
                let seen = Seen {
                    class: Some(class),
                    forwarded: origin != Origin::Client,
                    ..Seen::default()
                };
                self.seen.insert(id, seen);
                let id = RequestId(id);
                self.story.handle(Input::Arrived {
                    id,
                    class,
                    origin,
                    body,
                })
            }
            Step::Fail(at, failure, replayable) => match pick(at) {
                Some(id) => self.fail(id, failure, replayable),
                None => return,
            },
            Step::Answer(at) => match pick(at).and_then(|id| Some((id, self.seen[&id].in_flight?)))
            {
                Some((id, attempt)) => self.story.answered(id, attempt),
                None => return,
            },
            Step::Interrupt(at) => {
                match pick(at).and_then(|id| Some((id, self.seen[&id].relayed?))) {
                    Some((id, attempt)) => {
                        self.seen.get_mut(&id).unwrap().relayed = None;
                        self.story.interrupted(id, attempt)
                    }
                    None => return,
                }
            }
            Step::Leave(at) => match pick(at) {
                Some(id) => {
                    self.seen.get_mut(&id).unwrap().over = true;
                    self.story.handle(Input::Left { id: RequestId(id) })
                }
                None => return,
            },
        };
        self.check(effects);
    }

    fn open(&self) -> Vec<u64> {
        let open = self.seen.iter().filter(|(_, seen)| !seen.over);
        open.map(|(id, _)| *id).collect()
    }

    fn fail(&mut self, id: u64, failure: Failure, replayable: bool) -> Vec<Effect> {
        let seen = self.seen.get_mut(&id).unwrap();
        let Some(number) = seen.in_flight.take() else {
            return Vec::new();
        };
        seen.used_up |= !replayable;
        if failure == Failure::Broken {
            seen.sent += 1;
        }
        let id = RequestId(id);
        self.story.handle(Input::Failed {
            id,
            attempt: number,
            failure,
            replayable,
        })
    }

    fn check(&mut self, effects: Vec<Effect>) {
        assert!(effects.len() <= 2 * REQUESTS_MAX + 1, "{effects:?}");
        for effect in effects {
            match effect {
                Effect::CloseTunnels { .. } => {}
                Effect::Attempt {
                    id,
                    attempt,
                    by,
                    kind,
                    ..
                } => {
                    let seen = self.seen.get_mut(&id.0).unwrap();
                    assert!(!seen.over, "a request that is over is tried again");
                    assert!(!seen.used_up, "a body is sent twice");
                    assert_eq!(seen.in_flight, None, "two attempts in flight");
                    assert_ne!(by, Server::Remote(address("self")), "forwarded to itself");
                    assert!(!seen.forwarded || by == Server::Local, "forwarded twice");
                    if seen.sent > 0 && kind != Kind::Resume {
                        assert_eq!(kind, Kind::Repeat);
                        assert!(seen.class.unwrap().repeatable(), "repeated {seen:?}");
                        assert!(seen.sent < SENT_ATTEMPTS_MAX);
                    }
                    seen.in_flight = Some(attempt);
                }
                Effect::Cancel { id, attempt } => {
                    let seen = self.seen.get_mut(&id.0).unwrap();
                    assert_eq!(seen.in_flight.take(), Some(attempt));
                    seen.sent += 1;
                }
                Effect::Relay { id, attempt } => {
                    let seen = self.seen.get_mut(&id.0).unwrap();
                    assert!(!seen.over, "two outcomes");
                    assert_eq!(seen.in_flight.take(), Some(attempt));
                    seen.relayed = Some(attempt);
                    seen.sent = 0;
                    let stream = matches!(seen.class, Some(Class::Stream(_)));
                    seen.over = !stream || seen.forwarded;
                }
                Effect::Answer { id, refusal } => {
                    let seen = self.seen.get_mut(&id.0).unwrap();
                    assert!(!seen.over, "two outcomes");
                    assert_eq!(seen.in_flight, None);
                    let unknown = matches!(refusal, Refusal::Unknown | Refusal::Unanswered);
                    assert_eq!(unknown, seen.sent > 0, "{refusal:?} for {seen:?}");
                    seen.over = true;
                }
                Effect::Abandon { id } => {
                    let seen = self.seen.get_mut(&id.0).unwrap();
                    assert!(!seen.over && matches!(seen.class, Some(Class::Stream(_))));
                    seen.over = true;
                }
            }
        }
        let stats = self.story.proxy.stats();
        assert!(
            stats.held <= 4 && stats.held_bytes <= 100 && stats.requests <= REQUESTS_MAX,
            "{stats:?}"
        );
        assert_eq!(
            stats.requests,
            self.open().len(),
            "a request was forgotten or leaked"
        );
    }

    /// Lets every attempt fail and time pass: every request must end.
    fn finish(&mut self) {
        self.step(Step::View(View::Unknown));
        for id in self.open() {
            let effects = self.fail(id, Failure::NotSent, true);
            self.check(effects);
            let relayed = self.seen.get_mut(&id).and_then(|seen| seen.relayed.take());
            if let Some(attempt) = relayed {
                let effects = self.story.interrupted(id, attempt);
                self.check(effects);
            }
        }
        for _ in 0..100 {
            self.step(Step::Pass(400));
            for id in self.open() {
                let effects = self.fail(id, Failure::NotSent, true);
                self.check(effects);
            }
        }
        assert_eq!(self.open(), [0_u64; 0]);
        assert_eq!(self.story.proxy.wake_at(), None);
        let stats = self.story.proxy.stats();
        assert_eq!((stats.held, stats.held_bytes, stats.requests), (0, 0, 0));
    }
}

proptest! {
    #[test]
    fn every_request_has_one_outcome_and_one_attempt_at_a_time(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let mut checked = Checked::new();
        for step in steps {
            checked.step(step);
        }
        checked.finish();
    }

    #[test]
    fn the_laws_of_machines_hold(steps in laws::steps(any_input())) {
        laws::hold(small_proxy(), &steps, 2 * REQUESTS_MAX + 1)?;
    }
}
