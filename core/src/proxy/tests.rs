use super::*;
use crate::api::class::Stream;
use crate::machine::{Effects, Machine};
use crate::time::Mono;

mod properties;

const EVENTS: Class = Class::Stream(Stream::Events);

fn address(host: &str) -> HostPort {
    HostPort::new(host, 4000).unwrap()
}

fn primary(host: &str, epoch: u64) -> View {
    View::Primary {
        address: address(host),
        epoch,
        local: host == "self",
    }
}

/// The manager `self` and what its proxy asked for.
struct Story {
    proxy: Proxy,
    now: Mono,
}

impl Story {
    fn new() -> Self {
        Self {
            proxy: Proxy::new(Config::new(address("self"))),
            now: Mono(1),
        }
    }

    fn with_primary(host: &str, epoch: u64) -> Self {
        let mut story = Self::new();
        story.view(primary(host, epoch));
        story
    }

    fn handle(&mut self, input: Input) -> Vec<Effect> {
        let mut out = Effects::default();
        self.proxy.handle(self.now, input, &mut out);
        out.drain().collect()
    }

    /// Lets time pass, waking the proxy when it wants.
    fn after(&mut self, millis: u64) -> Vec<Effect> {
        let until = self.now + Duration::from_millis(millis);
        let mut out = Effects::default();
        while let Some(wake) = self.proxy.wake_at().filter(|wake| wake.at <= until) {
            self.now = self.now.max(wake.at);
            self.proxy.wake(self.now, &mut out);
        }
        self.now = until;
        out.drain().collect()
    }

    fn view(&mut self, view: View) -> Vec<Effect> {
        self.handle(Input::View(view))
    }

    fn arrives(&mut self, id: u64, class: Class) -> Vec<Effect> {
        self.handle(Input::Arrived {
            id: RequestId(id),
            class,
            origin: Origin::Client,
            body: Body::Kept(10),
        })
    }

    fn forwarded(&mut self, id: u64, expected_epoch: Option<u64>) -> Vec<Effect> {
        self.handle(Input::Arrived {
            id: RequestId(id),
            class: Class::Keyed,
            origin: Origin::Peer { expected_epoch },
            body: Body::Unsolicited,
        })
    }

    fn fails(&mut self, id: u64, attempt: u32, failure: Failure) -> Vec<Effect> {
        self.handle(Input::Failed {
            id: RequestId(id),
            attempt,
            failure,
            replayable: true,
        })
    }

    fn answered(&mut self, id: u64, attempt: u32) -> Vec<Effect> {
        let id = RequestId(id);
        self.handle(Input::Answered { id, attempt })
    }

    fn interrupted(&mut self, id: u64, attempt: u32) -> Vec<Effect> {
        let id = RequestId(id);
        self.handle(Input::Interrupted { id, attempt })
    }
}

fn attempt(id: u64, attempt: u32, host: &str, epoch: u64, kind: Kind) -> Effect {
    Effect::Attempt {
        id: RequestId(id),
        attempt,
        by: match host {
            "self" => Server::Local,
            other => Server::Remote(address(other)),
        },
        epoch,
        kind,
    }
}

fn relay(id: u64, attempt: u32) -> Effect {
    let id = RequestId(id);
    Effect::Relay { id, attempt }
}

fn answer(id: u64, refusal: Refusal) -> Effect {
    let id = RequestId(id);
    Effect::Answer { id, refusal }
}

fn cancel(id: u64, attempt: u32) -> Effect {
    let id = RequestId(id);
    Effect::Cancel { id, attempt }
}

const NOT_DISPATCHED: Failure = Failure::NotDispatched { hint: None };
const NOTHING: [Effect; 0] = [];

#[test]
fn a_request_goes_to_the_primary_and_its_response_back() {
    let mut story = Story::with_primary("m2", 7);
    assert_eq!(
        story.arrives(1, Class::Once),
        [attempt(1, 1, "m2", 7, Kind::Fresh)]
    );
    assert_eq!(story.answered(1, 1), [relay(1, 1)]);
    assert_eq!(story.proxy.stats(), Stats::default());
}

#[test]
fn the_primary_serves_by_itself() {
    let mut story = Story::with_primary("self", 7);
    assert_eq!(
        story.arrives(1, Class::Once),
        [attempt(1, 1, "self", 7, Kind::Fresh)]
    );
    // The dispatch gate found the lease gone: the next primary gets it.
    assert_eq!(story.fails(1, 1, NOT_DISPATCHED), NOTHING);
    assert_eq!(story.view(View::Unknown), NOTHING);
    assert_eq!(
        story.view(primary("m2", 8)),
        [
            Effect::CloseTunnels { before: 8 },
            attempt(1, 2, "m2", 8, Kind::Fresh)
        ]
    );
}

#[test]
fn without_a_primary_a_request_is_held_and_then_refused() {
    let mut story = Story::new();
    assert_eq!(story.arrives(1, Class::Safe), NOTHING);
    assert_eq!(story.after(29_999), NOTHING);
    assert_eq!(story.after(1), [answer(1, Refusal::NoPrimary)]);
    assert_eq!(story.proxy.stats(), Stats::default());
}

#[test]
fn a_held_request_goes_out_with_the_view() {
    let mut story = Story::new();
    story.arrives(1, Class::Once);
    story.arrives(2, Class::Safe);
    story.after(5_000);
    assert_eq!(
        story.view(primary("m2", 7))[1..],
        [
            attempt(1, 1, "m2", 7, Kind::Fresh),
            attempt(2, 1, "m2", 7, Kind::Fresh)
        ]
    );
    assert_eq!(story.proxy.stats().held, 0);
}

#[test]
fn holding_is_bounded_and_a_client_that_leaves_makes_room() {
    let mut story = Story::new();
    for id in 0..1_024 {
        assert_eq!(story.arrives(id, Class::Safe), NOTHING);
    }
    assert_eq!(
        story.arrives(2_000, Class::Safe),
        [answer(2_000, Refusal::Overloaded)]
    );
    story.handle(Input::Left { id: RequestId(5) });
    assert_eq!(story.arrives(2_001, Class::Safe), NOTHING);
    assert_eq!(
        story.arrives(2_002, Class::Safe),
        [answer(2_002, Refusal::Overloaded)]
    );
}

#[test]
fn the_bytes_of_held_bodies_are_bounded() {
    let mut story = Story::new();
    let mut arrive = |id, bytes| {
        story.handle(Input::Arrived {
            id: RequestId(id),
            class: Class::Keyed,
            origin: Origin::Client,
            body: Body::Kept(bytes),
        })
    };
    assert_eq!(arrive(1, 64 << 20), NOTHING);
    assert_eq!(arrive(2, 1), [answer(2, Refusal::Overloaded)]);
    assert_eq!(arrive(3, 0), NOTHING);
    story.handle(Input::Left { id: RequestId(1) });
    assert_eq!(story.proxy.stats().held_bytes, 0);
}

#[test]
fn what_was_not_dispatched_is_tried_on_at_a_pace_until_the_wait_is_over() {
    let mut story = Story::with_primary("m2", 7);
    let mut number = 1;
    let mut pauses = Vec::new();
    story.arrives(1, Class::Once);
    let end = loop {
        let failed_at = story.now;
        assert_eq!(story.fails(1, number, Failure::NotSent), NOTHING);
        number += 1;
        let effects = loop {
            let effects = story.after(1);
            if !effects.is_empty() {
                break effects;
            }
        };
        if effects != [attempt(1, number, "m2", 7, Kind::Fresh)] {
            break effects;
        }
        pauses.push(story.now.since(failed_at).as_millis());
    };
    assert_eq!(end, [answer(1, Refusal::NoPrimary)]);
    assert_eq!(pauses[..7], [20, 40, 80, 160, 320, 500, 500]);
    assert!(pauses.iter().sum::<u128>() > 29_000);
}

#[test]
fn a_new_view_ends_the_pause() {
    let mut story = Story::with_primary("m2", 7);
    story.arrives(1, Class::Once);
    story.fails(1, 1, Failure::NotSent);
    assert_eq!(
        story.view(primary("m3", 8))[1..],
        [attempt(1, 2, "m3", 8, Kind::Fresh)]
    );
    // It changed while the attempt was under way.
    story.view(primary("m2", 9));
    assert_eq!(
        story.fails(1, 2, Failure::NotSent),
        [attempt(1, 3, "m2", 9, Kind::Fresh)]
    );
}

#[test]
fn once_is_never_repeated() {
    for class in [Class::Once, Class::Upgrade] {
        let mut story = Story::with_primary("m2", 7);
        story.arrives(1, class);
        story.view(primary("m3", 8));
        assert_eq!(
            story.fails(1, 1, Failure::Broken),
            [answer(1, Refusal::Unknown)]
        );
    }
}

#[test]
fn what_may_be_repeated_is_sent_three_times() {
    for (class, refusal) in [
        (Class::Safe, Refusal::Unanswered),
        (Class::Keyed, Refusal::Unknown),
        (Class::Idempotent, Refusal::Unknown),
        (Class::StateIdempotent, Refusal::Unknown),
    ] {
        let mut story = Story::with_primary("m2", 7);
        story.arrives(1, class);
        story.fails(1, 1, Failure::Broken);
        assert_eq!(story.after(20), [attempt(1, 2, "m2", 7, Kind::Repeat)]);
        story.fails(1, 2, Failure::NotSent);
        assert_eq!(story.after(40), [attempt(1, 3, "m2", 7, Kind::Repeat)]);
        story.fails(1, 3, Failure::Broken);
        assert_eq!(story.after(80), [attempt(1, 4, "m2", 7, Kind::Repeat)]);
        assert_eq!(story.fails(1, 4, Failure::Broken), [answer(1, refusal)]);
    }
}

#[test]
fn a_mutation_that_may_have_been_done_is_never_called_undone() {
    let mut story = Story::with_primary("m2", 7);
    story.arrives(1, Class::Keyed);
    story.view(View::Unknown);
    assert_eq!(story.fails(1, 1, Failure::Broken), NOTHING);
    assert_eq!(story.after(30_000), [answer(1, Refusal::Unknown)]);
}

#[test]
fn a_body_that_is_used_up_is_not_sent_again() {
    let mut story = Story::with_primary("m2", 7);
    let mut fails = |id, failure| {
        story.arrives(id, Class::Idempotent);
        story.handle(Input::Failed {
            id: RequestId(id),
            attempt: 1,
            failure,
            replayable: false,
        })
    };
    assert_eq!(fails(1, NOT_DISPATCHED), [answer(1, Refusal::BodyUsed)]);
    assert_eq!(fails(2, Failure::Broken), [answer(2, Refusal::Unknown)]);
}

#[test]
fn a_hint_newer_than_the_view_is_followed_until_it_fails() {
    let hint = |host: &str, epoch| Failure::NotDispatched {
        hint: Some((address(host), epoch)),
    };
    let mut story = Story::with_primary("m2", 7);
    story.arrives(1, Class::Once);
    story.fails(1, 1, hint("m3", 8));
    assert_eq!(story.after(20), [attempt(1, 2, "m3", 8, Kind::Fresh)]);
    assert_eq!(
        story.arrives(2, Class::Once),
        [attempt(2, 1, "m3", 8, Kind::Fresh)]
    );
    story.fails(1, 2, Failure::NotSent);
    assert_eq!(story.after(40), [attempt(1, 3, "m2", 7, Kind::Fresh)]);
    // Neither an older primary nor this manager itself is believed.
    story.fails(1, 3, hint("m4", 7));
    assert_eq!(story.after(80), [attempt(1, 4, "m2", 7, Kind::Fresh)]);
    story.fails(1, 4, hint("self", 9));
    assert_eq!(story.after(160), [attempt(1, 5, "m2", 7, Kind::Fresh)]);
}

#[test]
fn nobody_can_name_an_address_that_is_no_managers() {
    for hostile in ["169.254.169.254", "127.0.0.1", "0.0.0.0"] {
        let mut story = Story::with_primary(hostile, 7);
        assert_eq!(story.arrives(1, Class::Safe), [], "{hostile} of the store");
        let mut story = Story::with_primary("m2", 7);
        story.arrives(1, Class::Safe);
        let hint = Some((address(hostile), 8));
        story.fails(1, 1, Failure::NotDispatched { hint });
        assert_eq!(
            story.after(20),
            [attempt(1, 2, "m2", 7, Kind::Fresh)],
            "{hostile} of a manager"
        );
    }
}

#[test]
fn a_forwarded_request_is_served_or_sent_back() {
    let mut story = Story::new();
    let misdirected = |primary: Option<(&str, u64)>| Refusal::Misdirected {
        primary: primary.map(|(host, epoch)| (address(host), epoch)),
    };
    assert_eq!(story.forwarded(1, None), [answer(1, misdirected(None))]);
    story.view(primary("m2", 7));
    assert_eq!(
        story.forwarded(2, Some(6)),
        [answer(2, misdirected(Some(("m2", 7))))]
    );
    story.view(primary("self", 8));
    // The peer knows of a later primary than this manager.
    assert_eq!(story.forwarded(3, Some(9)), [answer(3, misdirected(None))]);
    assert_eq!(
        story.forwarded(4, Some(7)),
        [attempt(4, 1, "self", 8, Kind::Fresh)]
    );
    story.view(primary("m2", 9));
    assert_eq!(
        story.fails(4, 1, NOT_DISPATCHED),
        [answer(4, misdirected(Some(("m2", 9))))]
    );
}

#[test]
fn a_record_of_an_earlier_life_is_not_forwarded_to() {
    let mut story = Story::new();
    story.view(View::Primary {
        address: address("self"),
        epoch: 7,
        local: false,
    });
    assert_eq!(story.arrives(1, Class::Safe), NOTHING);
    assert_eq!(
        story.view(primary("self", 8))[1..],
        [attempt(1, 1, "self", 8, Kind::Fresh)]
    );
}

#[test]
fn requests_leave_a_former_primary_that_does_not_answer() {
    let mut story = Story::with_primary("m2", 7);
    story.arrives(1, Class::Safe);
    story.arrives(2, Class::Keyed);
    story.arrives(3, Class::Once);
    assert_eq!(
        story.view(primary("m3", 8))[1..],
        [cancel(1, 1), attempt(1, 2, "m3", 8, Kind::Repeat)]
    );
    assert_eq!(story.after(999), NOTHING);
    assert_eq!(
        story.after(1),
        [cancel(2, 1), attempt(2, 2, "m3", 8, Kind::Repeat)]
    );
    assert_eq!(story.after(60_000), NOTHING);
    // The cancelled attempt's response comes too late.
    assert_eq!(story.answered(2, 1), NOTHING);
    assert_eq!(story.proxy.stats().stale, 1);
    assert_eq!(story.answered(3, 1), [relay(3, 1)]);
}

#[test]
fn tunnels_of_a_former_primary_are_closed() {
    let mut story = Story::with_primary("m2", 7);
    story.arrives(1, Class::Upgrade);
    assert_eq!(story.view(View::Unknown), NOTHING);
    assert_eq!(story.view(primary("m2", 7)), NOTHING);
    assert_eq!(
        story.view(primary("m3", 8)),
        [Effect::CloseTunnels { before: 8 }]
    );
    // This one opens after the others were closed.
    assert_eq!(
        story.answered(1, 1),
        [relay(1, 1), Effect::CloseTunnels { before: 8 }]
    );
}

#[test]
fn a_stream_goes_on_at_the_next_primary() {
    let mut story = Story::with_primary("m2", 7);
    story.arrives(1, EVENTS);
    assert_eq!(story.answered(1, 1), [relay(1, 1)]);
    story.after(5_000);
    story.view(View::Unknown);
    assert_eq!(story.interrupted(1, 1), NOTHING);
    story.after(3_000);
    assert_eq!(
        story.view(primary("m3", 8))[1..],
        [attempt(1, 2, "m3", 8, Kind::Resume)]
    );
    assert_eq!(story.answered(1, 2), [relay(1, 2)]);
    assert_eq!(story.interrupted(1, 1), NOTHING);
    // Breaking off at once again and again is slowed down.
    assert_eq!(story.interrupted(1, 2), NOTHING);
    assert_eq!(story.after(20), [attempt(1, 3, "m3", 8, Kind::Resume)]);
    story.fails(1, 3, Failure::NotSent);
    assert_eq!(story.view(View::Unknown), NOTHING);
    assert_eq!(story.after(30_000), [Effect::Abandon { id: RequestId(1) }]);
}

#[test]
fn a_stream_that_was_forwarded_is_resumed_by_the_peer() {
    let mut story = Story::with_primary("self", 7);
    story.handle(Input::Arrived {
        id: RequestId(1),
        class: EVENTS,
        origin: Origin::Peer {
            expected_epoch: None,
        },
        body: Body::Kept(0),
    });
    assert_eq!(story.answered(1, 1), [relay(1, 1)]);
    assert_eq!(story.interrupted(1, 1), NOTHING);
    assert_eq!(story.proxy.stats().requests, 0);
}

#[test]
fn unknown_and_stale_names_are_ignored_and_counted() {
    let mut story = Story::with_primary("m2", 7);
    story.arrives(1, Class::Safe);
    assert_eq!(story.arrives(1, Class::Safe), NOTHING);
    assert_eq!(story.fails(1, 2, Failure::Broken), NOTHING);
    assert_eq!(story.answered(9, 1), NOTHING);
    assert_eq!(story.interrupted(1, 1), NOTHING);
    assert_eq!(story.handle(Input::Left { id: RequestId(9) }), NOTHING);
    assert_eq!(story.proxy.stats().stale, 5);
}
