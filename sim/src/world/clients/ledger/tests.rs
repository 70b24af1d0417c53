//! Each promise can be seen to be broken: the ledger is told wrong histories.

use std::collections::BTreeMap;

use swarm_core::cluster::EPOCH_LABEL;
use swarm_models::engine::Mutation;

use super::*;
use crate::plan::{Host, How, Plan, Way};
use crate::trace::Keep;
use crate::world::witness::TrueTime;

const C1: HostId = 1;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;

/// A ledger, and the time.
struct Story {
    time: TrueTime,
    witness: SharedWitness,
    ledger: Ledger,
}

impl Story {
    /// `m1` acts in epoch 1.
    fn new() -> Self {
        let time = TrueTime::default();
        let hosts = ["m1", "c1", "e1"].map(str::to_owned).to_vec();
        let witness = SharedWitness::new(&Plan::default(), Keep::Hash, hosts, time.clone());
        let ledger = Ledger::new(witness.clone(), &Plan::default());
        let mut story = Self {
            time,
            witness,
            ledger,
        };
        story.term(1);
        story
    }

    fn at(&mut self, now: u64) -> &mut Ledger {
        self.time.set(Duration::from_nanos(now));
        &mut self.ledger
    }

    fn term(&mut self, epoch: u64) {
        let mut witness = self.witness.lock();
        let now = witness.now();
        witness.judge.look(now, &[(0, epoch)]);
    }

    fn ask(&mut self, nature: Nature) -> u64 {
        self.ledger.asked(&Question {
            client: C1,
            manager: "m1",
            what: "POST /x",
            nature,
            limit: Duration::from_secs(10),
        })
    }

    /// A request for a container.
    fn create(&mut self) -> u64 {
        let id = self.ask(Nature::Once);
        self.ledger.changes(id, id, Change::Create, "");
        id
    }

    fn done(&mut self, key: u64, change: Change, epoch: &str) {
        let labels = [(KEY_LABEL, key.to_string()), (EPOCH_LABEL, epoch.into())];
        let labels: BTreeMap<_, _> = labels.map(|(key, value)| (key.to_owned(), value)).into();
        let mutation = Mutation {
            change,
            object: format!("{key} of {epoch}"),
            labels: Arc::new(labels),
            detail: String::new(),
        };
        let now = self.ledger.now();
        self.ledger.carried_out(now, "e1", &mutation);
    }

    /// The signature of what is wrong by then.
    fn wrong(&mut self, now: u64) -> Option<String> {
        self.at(now).look(now, &[]);
        let violation = self.ledger.take_violation();
        violation.map(|violation| violation.signature())
    }

    /// The same at the end of the run.
    fn wrong_at_end(&mut self, now: u64) -> Option<String> {
        self.at(now).finish(now, &[]);
        let violation = self.ledger.take_violation();
        violation.map(|violation| violation.signature())
    }
}

#[test]
fn a_create_that_was_acknowledged_was_done_and_lasts() {
    let mut story = Story::new();
    let id = story.create();
    story.done(id, Change::Create, "1");
    story.ledger.answered(id, Told::Done, 201, b"");
    let removal = story.ask(Nature::Repeatable);
    story.ledger.changes(removal, id, Change::Remove, "");
    story.done(id, Change::Remove, "1");
    story.ledger.answered(removal, Told::Done, 204, b"");
    assert_eq!(story.wrong_at_end(SECOND), None);
    assert_eq!(
        (story.ledger.served(C1), story.ledger.answers().done),
        (2, 2)
    );

    let mut story = Story::new();
    let id = story.create();
    story.done(id, Change::Create, "1");
    story.ledger.answered(id, Told::Done, 201, b"");
    assert_eq!(story.wrong(MS), None);
    let lost = story.wrong_at_end(SECOND);
    assert_eq!(lost.as_deref(), Some("exactly-once.lost"));
}

#[test]
fn a_create_that_arrives_after_its_repetition_must_leave_nothing() {
    let late = || {
        let mut story = Story::new();
        story.term(2);
        let id = story.create();
        story.done(id, Change::Create, "2");
        story.done(id, Change::Create, "1");
        assert_eq!(story.wrong(MS), None);
        (story, id)
    };
    let (mut story, _) = late();
    let left = story.wrong_at_end(SECOND);
    assert_eq!(left.as_deref(), Some("exactly-once.double"));
    let (mut story, id) = late();
    story.done(id, Change::Remove, "1");
    assert_eq!(story.wrong_at_end(SECOND), None);

    let mut story = Story::new();
    story.term(2);
    let id = story.create();
    story.done(id, Change::Create, "1");
    story.done(id, Change::Create, "2");
    let twice = story.wrong(MS);
    assert_eq!(twice.as_deref(), Some("exactly-once.twice"));
}

#[test]
fn the_order_of_an_answer_and_of_a_look_at_the_engine_does_not_matter() {
    let mut story = Story::new();
    let id = story.create();
    story.ledger.answered(id, Told::Done, 201, b"");
    story.done(id, Change::Create, "1");
    assert_eq!(story.wrong(MS), None);
}

#[test]
fn untrue_answers_are_noticed() {
    for (told, applied, signature) in [
        (Told::Done, 0, Some("outcome-truth.done")),
        (Told::NotDone, 1, Some("outcome-truth.not-done")),
        (Told::Rejected, 1, Some("outcome-truth.rejected")),
        (Told::Unknown, 1, None),
        (Told::Unknown, 2, Some("exactly-once.twice")),
    ] {
        let mut story = Story::new();
        let id = story.create();
        for _ in 0..applied {
            story.done(id, Change::Create, "1");
        }
        story.ledger.answered(id, told, 0, b"");
        assert_eq!(story.wrong(MS).as_deref(), signature, "{told:?} {applied}");
    }
    let mut story = Story::new();
    let id = story.create();
    story.ledger.answered(id, Told::NotDone, 503, b"");
    assert_eq!(story.wrong(MS), None);
    story.done(id, Change::Create, "1");
    let later = story.wrong(2 * MS);
    assert_eq!(later.as_deref(), Some("outcome-truth.not-done"));
}

#[test]
fn what_nobody_asked_for_and_what_nobody_acted_in_is_noticed() {
    let mut story = Story::new();
    let id = story.create();
    story.done(id, Change::Create, "1");
    story.done(id, Change::Start, "1");
    let unasked = story.wrong(MS);
    assert_eq!(unasked.as_deref(), Some("outcome-truth.unasked"));

    for label in ["2", "", "x"] {
        let mut story = Story::new();
        let id = story.create();
        story.done(id, Change::Create, label);
        let epoch = story.wrong(MS);
        assert_eq!(epoch.as_deref(), Some("dispatch-in-lease.epoch"), "{label}");
    }
}

#[test]
fn waits_count_unless_somebody_else_is_to_blame() {
    let cut = |from, to| Op::Cut {
        from,
        to,
        way: Way::Both,
        how: How::Hold,
    };
    let (m1, s1) = (Host::Manager(1), Host::Store(1));
    let none = Some("one-answer.none");
    for (op, hosts, signature) in [
        (None, vec![], none),
        (Some(cut(m1.clone(), s1)), vec!["s1"], none),
        (Some(cut(m1.clone(), Host::Client(1))), vec!["m1"], None),
        (Some(cut(m1, Host::Engine(1))), vec!["e1"], None),
    ] {
        let mut story = Story::new();
        story.ask(Nature::Read);
        assert_eq!(story.wrong(9 * SECOND), None);
        if let Some(op) = &op {
            story.at(9 * SECOND).fault(9 * SECOND, op, &hosts);
        }
        assert_eq!(story.wrong(9 * SECOND + 200 * MS), None);
        let late = story.wrong(11 * SECOND);
        assert_eq!(late.as_deref(), signature, "{op:?}");
        assert_eq!(story.ledger.pending().len(), 1);
    }
}

#[test]
fn a_client_that_is_gone_waits_for_nothing() {
    let mut story = Story::new();
    story.ask(Nature::Once);
    story.ledger.client_gone(C1);
    assert_eq!(story.wrong(60 * SECOND), None);
    assert_eq!(story.ledger.pending(), Vec::<String>::new());
}

/// Two engines said five events each, 100 ms apart, and a stream that stood from the start showed those given.
fn stream(shown: &[u64], broke: Option<u64>) -> Option<String> {
    let mut story = Story::new();
    let stream = story.ledger.stream_opened(C1);
    for nanos in 1..=5 {
        story.ledger.streams.said(nanos * 100 * MS, "e1", nanos);
    }
    for nanos in shown {
        story
            .at(nanos * 100 * MS)
            .stream_showed(stream, "e1", *nanos);
    }
    if let Some(at) = broke {
        // The primary has just changed.
        story.at(at);
        story.term(2);
        story.ledger.stream_broke(stream, "m1");
    }
    story.wrong_at_end(20 * SECOND)
}

#[test]
fn event_streams_show_everything_once() {
    let (gap, twice) = (Some("event-stream.gap"), Some("event-stream.twice"));
    assert_eq!(stream(&[1, 2, 3, 4, 5], None), None);
    assert_eq!(stream(&[1, 2, 4, 5], None).as_deref(), gap);
    assert_eq!(stream(&[1, 2, 3], None).as_deref(), gap);
    assert_eq!(stream(&[1, 2, 3, 4, 5, 4], None).as_deref(), twice);
    // What was under way when the connection broke is not owed, but what came before something shown is.
    assert_eq!(stream(&[1, 2, 3], Some(SECOND)), None);
    assert_eq!(stream(&[1, 3], Some(SECOND)).as_deref(), gap);
}

#[test]
fn an_event_stream_does_not_break_without_a_reason() {
    let broke = |at: u64, fault: bool| {
        let mut story = Story::new();
        let stream = story.at(at - SECOND).stream_opened(C1);
        if fault {
            let op = Op::StepDown {
                host: Host::Primary,
            };
            story.ledger.fault(at - SECOND, &op, &["m2"]);
        }
        story.at(at).stream_broke(stream, "m1");
        story.wrong(at)
    };
    assert_eq!(
        broke(10 * SECOND, false),
        None,
        "the first term has just begun"
    );
    let broken = broke(100 * SECOND, false);
    assert_eq!(broken.as_deref(), Some("event-stream.broken"));
    assert_eq!(broke(100 * SECOND, true), None);
}

#[test]
fn an_open_stream_is_service() {
    let mut story = Story::new();
    let stream = story.ledger.stream_opened(C1);
    story.wrong(SECOND);
    assert_eq!(story.ledger.served(C1), 1);
    story.ledger.stream_broke(stream, "m1");
    story.wrong(2 * SECOND);
    assert_eq!(story.ledger.served(C1), 1);
}

#[test]
fn a_tunnel_ends_with_its_primary() {
    let echo = |after: u64, opened_later: bool, cut: bool| {
        let mut story = Story::new();
        let early = story.ledger.tunnel_opened(C1);
        story.at(10 * SECOND);
        story.term(2);
        let late = story.ledger.tunnel_opened(C1);
        let written = (10 + after) * SECOND;
        if cut {
            let op = Op::Pause {
                host: Host::Manager(1),
            };
            story.ledger.fault(written, &op, &["m1"]);
        }
        let tunnel = if opened_later { late } else { early };
        story.at(written + MS).tunnel_echoed(C1, tunnel, written);
        story.wrong(written + MS)
    };
    assert_eq!(echo(4, false, false).as_deref(), Some("tunnel.kept"));
    assert_eq!(
        echo(2, false, false),
        None,
        "it may not have been heard of yet"
    );
    assert_eq!(echo(4, true, false), None);
    assert_eq!(echo(4, false, true), None);
}

#[test]
fn a_tunnel_carries_what_is_put_in_until_there_is_a_reason_not_to() {
    let mut story = Story::new();
    let tunnel = story.ledger.tunnel_opened(C1);
    story.ledger.tunnel_garbled(tunnel, "x");
    assert_eq!(story.wrong(MS).as_deref(), Some("tunnel.content"));

    let broke = |whole: bool, changed: bool| {
        let mut story = Story::new();
        let tunnel = story.at(30 * SECOND).tunnel_opened(C1);
        story.at(40 * SECOND).tunnel_ended(tunnel, whole);
        assert_eq!(story.wrong(40 * SECOND), None);
        if changed {
            story.at(41 * SECOND);
            story.term(2);
        }
        story.wrong(60 * SECOND)
    };
    assert_eq!(broke(false, false).as_deref(), Some("tunnel.broken"));
    assert_eq!(broke(false, true), None);
    assert_eq!(broke(true, false), None);
}
