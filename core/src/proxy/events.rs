//! Follows a stream of Docker events, so that it can go on at another primary without a gap or a repetition.

use std::borrow::Cow;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use serde::Deserialize;

use crate::machine::Digest;
use crate::testbed::{Mutant, planted};
use crate::time::{Mono, nanos};

/// How far a resumed stream reaches back: events of one engine may take longer to come than those of another.
pub const OVERLAP: Duration = Duration::from_secs(10);

/// How long events are remembered to recognise repetitions: a manager may have heard of one much later than another.
pub const REMEMBERED: Duration = Duration::from_secs(600);

/// Longest event that is understood; longer ones make a stream that cannot be resumed.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// Most events remembered to recognise repetitions.
pub const RECENT_MAX: usize = 10_000;

/// What one client has seen of its event stream.
///
/// Events are JSON objects, one behind the other, with or without white space between them (spec/classic.md section
/// 4.8). Only whole ones are passed on.
///
/// Where a stream goes on is told by this manager's monotonic clock alone: the calendars of engines and of other
/// managers may show anything.
#[derive(Clone, Debug)]
pub struct EventStream {
    /// When the client subscribed.
    began: Mono,
    /// Whether it wants to be told of the past.
    wants_past: bool,
    /// When the newest event was passed on, and the time it carries.
    newest: Option<(Mono, u64)>,
    /// Where the latest primary was asked to begin, and since when it answers: before long it is not told how far it
    /// is in what happened meanwhile.
    asked_from: Mono,
    answers_since: Option<Mono>,
    /// When the newest events were passed on, oldest first, with their digests.
    recent: VecDeque<(Mono, u64)>,
    known: BTreeSet<u64>,
    /// An event was forgotten because of its age, or because there were so many.
    forgot: bool,
    /// The event being read.
    event: Vec<u8>,
    depth: u32,
    in_string: bool,
    escaped: bool,
    resumed: bool,
    /// Whether white space belongs to an event that was passed on.
    spaced: bool,
    /// The last byte passed on ended a line, or there was none.
    line_ended: bool,
    /// It is not a stream of events: everything is passed on, and it cannot be resumed.
    foreign: bool,
}

/// What to ask the next primary for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// For what the client asked for.
    Again,
    /// For what managers heard from this instant on, on this manager's clock, and at any rate for what the next one
    /// heard around the event that carries this time (in nanoseconds; 0 for none).
    From(Mono, u64),
}

/// The parts of an event that identify it.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default, rename = "timeNano")]
    time_nano: u64,
    #[serde(default)]
    time: u64,
    #[serde(borrow, default, rename = "Type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default, rename = "Action")]
    action: Cow<'a, str>,
    #[serde(borrow, default)]
    status: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Cow<'a, str>,
    #[serde(borrow, default, rename = "Actor")]
    actor: Actor<'a>,
}

#[derive(Default, Deserialize)]
struct Actor<'a> {
    #[serde(borrow, default, rename = "ID")]
    id: Cow<'a, str>,
}

impl EventStream {
    /// A stream subscribed to at `now`; `wants_past` if the client wants events from some time on.
    #[must_use]
    pub fn new(now: Mono, wants_past: bool) -> Self {
        Self {
            began: now,
            wants_past,
            newest: None,
            asked_from: now,
            answers_since: None,
            recent: VecDeque::new(),
            known: BTreeSet::new(),
            forgot: false,
            event: Vec::new(),
            depth: 0,
            in_string: false,
            escaped: false,
            resumed: false,
            spaced: true,
            line_ended: true,
            foreign: false,
        }
    }

    /// Takes bytes that come from a primary at `now` and appends to `out` what the client has not seen.
    pub fn push(&mut self, now: Mono, bytes: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        self.answers_since.get_or_insert(now);
        for (at, byte) in bytes.iter().enumerate() {
            if self.foreign {
                out.extend_from_slice(bytes.get(at..).unwrap_or_default());
                break;
            }
            self.push_byte(now, *byte, out);
        }
        if out.len() > start {
            self.line_ended = out.last() == Some(&b'\n');
        }
    }

    /// The primary is gone. What to ask the next one for; none when the stream cannot be resumed.
    #[must_use]
    pub fn resume(&mut self) -> Option<Resume> {
        let (newest, event) = self.newest.unwrap_or((self.began, 0));
        // So many events that soon are the past, and how much of it was told is not known.
        let in_past = self.wants_past && self.forgot && newest.since(self.began) < REMEMBERED;
        if self.foreign || in_past {
            return None;
        }
        self.event.clear();
        (self.depth, self.in_string, self.escaped) = (0, false, false);
        (self.resumed, self.spaced) = (true, false);
        if planted(Mutant::SkipsEvents) {
            return Some(Resume::From(Mono(u64::MAX), 0));
        }
        if self.wants_past && !self.forgot {
            return Some(Resume::Again);
        }
        let steady = |since| newest.since(since) >= OVERLAP;
        if self.answers_since.take().is_some_and(steady) {
            self.asked_from = Mono(newest.0.saturating_sub(nanos(OVERLAP)));
        }
        Some(Resume::From(self.asked_from, event))
    }

    fn push_byte(&mut self, now: Mono, byte: u8, out: &mut Vec<u8>) {
        if self.depth == 0 {
            if byte.is_ascii_whitespace() {
                if self.spaced {
                    out.push(byte);
                }
                return;
            }
            if byte != b'{' {
                out.push(byte);
                self.foreign = true;
                return;
            }
        }
        self.event.push(byte);
        self.follow(byte);
        if self.depth == 0 {
            self.complete(now, out);
        } else if self.event.len() >= EVENT_BYTES_MAX {
            out.append(&mut self.event);
            self.foreign = true;
        }
    }

    fn follow(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            b'{' if !self.in_string => self.depth = self.depth.saturating_add(1),
            b'}' if !self.in_string => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    fn complete(&mut self, now: Mono, out: &mut Vec<u8>) {
        self.spaced = self.is_new(now);
        if self.spaced {
            if self.resumed && !self.line_ended && out.is_empty() {
                // The first stream broke off between an event and its end of line.
                out.push(b'\n');
            }
            out.append(&mut self.event);
        }
        self.event.clear();
    }

    /// Whether the client has not seen the event; remembers it.
    fn is_new(&mut self, now: Mono) -> bool {
        let Ok(event) = serde_json::from_slice::<Event<'_>>(&self.event) else {
            return true;
        };
        let time = match event.time_nano {
            0 => event.time.saturating_mul(1_000_000_000),
            nanos => nanos,
        };
        let identity = (
            time,
            event.kind,
            event.action,
            event.status,
            event.id,
            event.actor.id,
        );
        let digest = Digest::of(&identity);
        let new = self.known.insert(digest);
        if new {
            self.recent.push_back((now, digest));
        }
        self.newest = Some((now, time));
        // As long as a new primary may still tell what another one has told, age is no reason to forget.
        let told = !self.resumed
            || self
                .answers_since
                .is_some_and(|since| now.since(since) >= OVERLAP);
        while let Some((seen, digest)) = self.recent.front().copied()
            && (told && now.since(seen) > REMEMBERED || self.recent.len() > RECENT_MAX)
        {
            self.recent.pop_front();
            self.known.remove(&digest);
            self.forgot = true;
        }
        // Events of one time and name do exist; only a repetition by another primary is one.
        new || !self.resumed || planted(Mutant::RepeatsEvents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BEGAN: Mono = Mono(100_000_000_000);

    fn after(seconds: u64) -> Mono {
        BEGAN + Duration::from_secs(seconds)
    }

    fn nanos_of(id: &str) -> u64 {
        Digest::of(&id) >> 2
    }

    /// An event whose engine's calendar shows whatever it likes.
    fn event(id: &str) -> String {
        let nanos = nanos_of(id);
        format!(
            r#"{{"Type":"container","Action":"start \"}}","Actor":{{"ID":"{id}","Attributes":{{"a":"{{"}}}},"time":{},"timeNano":{nanos}}}"#,
            nanos / 1_000_000_000
        )
    }

    fn push(stream: &mut EventStream, now: Mono, text: &str) -> String {
        let mut out = Vec::new();
        stream.push(now, text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_resumed_stream_has_no_gap_and_no_repetition() {
        let lines: Vec<String> = (1..6).map(|n| event(&format!("c{n}")) + "\n").collect();
        let mut stream = EventStream::new(BEGAN, false);
        let (seen, rest) = (lines[..3].concat(), &lines[3]);
        let cut = seen.clone() + &rest[..rest.len() / 2];
        assert_eq!(push(&mut stream, after(30), &cut), seen);
        let at = nanos_of("c3");
        assert_eq!(stream.resume(), Some(Resume::From(BEGAN, at)));
        let rest = push(&mut stream, after(33), &lines.concat());
        assert_eq!(rest, lines[3..].concat());
    }

    #[test]
    fn a_line_that_was_not_ended_is_ended_before_the_next_one() {
        let mut stream = EventStream::new(BEGAN, false);
        push(&mut stream, after(3), &event("fast"));
        stream.resume().unwrap();
        let both = event("slow") + "\n" + &event("fast") + "\n";
        let rest = push(&mut stream, after(4), &both);
        assert_eq!(rest, format!("\n{}\n", event("slow")));
    }

    #[test]
    fn what_a_new_primary_repeats_is_known_also_after_a_long_silence() {
        let mut stream = EventStream::new(BEGAN, false);
        let told = ["one", "two", "three"];
        for (second, name) in told.into_iter().enumerate() {
            push(&mut stream, after(5 + second as u64), &event(name));
        }
        assert!(stream.resume().is_some());
        for name in told {
            let silence = REMEMBERED.as_secs() * 3;
            assert_eq!(
                push(&mut stream, after(silence), &event(name)),
                "",
                "{name}"
            );
        }
    }

    #[test]
    fn a_stream_goes_on_from_its_beginning_or_its_newest_event() {
        let mut stream = EventStream::new(BEGAN, false);
        assert_eq!(stream.resume(), Some(Resume::From(BEGAN, 0)));
        push(&mut stream, after(5), &event("one"));
        let from = |from, event| Some(Resume::From(from, nanos_of(event)));
        assert_eq!(stream.resume(), from(BEGAN, "one"));
        push(&mut stream, after(15), &event("two"));
        push(&mut stream, after(30), &event("three"));
        assert_eq!(stream.resume(), from(after(20), "three"));
        // It may have been in the middle of what happened since then.
        push(&mut stream, after(90), &event("four"));
        assert_eq!(stream.resume(), from(after(20), "four"));
    }

    #[test]
    fn the_past_is_asked_for_again_while_all_of_it_is_remembered() {
        let mut stream = EventStream::new(BEGAN, true);
        push(&mut stream, after(1), &event("old"));
        assert_eq!(stream.resume(), Some(Resume::Again));
        push(&mut stream, after(700), &event("new"));
        let new = Resume::From(after(690), nanos_of("new"));
        assert_eq!(stream.resume(), Some(new));
        let mut stream = EventStream::new(BEGAN, true);
        for n in 0..=RECENT_MAX {
            push(&mut stream, after(1), &event(&n.to_string()));
        }
        assert_eq!(stream.resume(), None, "there may be more of it");
    }

    #[test]
    fn what_is_no_event_stream_is_passed_on_and_not_resumed() {
        let mut stream = EventStream::new(BEGAN, false);
        assert_eq!(push(&mut stream, BEGAN, "oops {\"a\":1"), "oops {\"a\":1");
        assert_eq!(stream.resume(), None);
        let mut stream = EventStream::new(BEGAN, false);
        let endless = format!("{{\"a\":\"{}", "x".repeat(EVENT_BYTES_MAX));
        assert_eq!(push(&mut stream, BEGAN, &endless), endless);
        assert_eq!(stream.resume(), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut stream = EventStream::new(BEGAN, false);
        for n in 0..RECENT_MAX + 500 {
            push(&mut stream, after(1), &event(&n.to_string()));
        }
        assert_eq!(
            (stream.recent.len(), stream.known.len()),
            (RECENT_MAX, RECENT_MAX)
        );
        push(&mut stream, after(1_000), &event("later"));
        assert_eq!((stream.recent.len(), stream.known.len()), (1, 1));
    }

    proptest! {
        #[test]
        fn an_unbroken_stream_passes_unchanged(
            bytes in proptest::collection::vec(prop_oneof![
                Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), Just(b'\n'), Just(b'a'), any::<u8>(),
            ], 0..80),
            cut in 0..80_usize,
        ) {
            let mut stream = EventStream::new(BEGAN, false);
            let mut out = Vec::new();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            stream.push(BEGAN, first, &mut out);
            stream.push(BEGAN, second, &mut out);
            out.extend_from_slice(&stream.event);
            prop_assert_eq!(out, bytes);
        }

        #[test]
        fn wherever_it_is_cut_each_event_arrives_once(
            cut in 0..1_000_usize,
            spaced in any::<bool>(),
            forgotten in 0..6_usize,
        ) {
            let end = if spaced { "\n" } else { "" };
            let all: Vec<String> = (1..6).map(|n| event(&format!("c{n}")) + end).collect();
            let text = all.concat();
            let mut stream = EventStream::new(BEGAN, false);
            let mut got = push(&mut stream, after(1), &text[..cut.min(text.len())]);
            stream.resume().unwrap();
            // The next primary begins with something that was seen, or right behind it.
            let seen = all.iter().scan(0, |at, event| { *at += event.len(); Some(*at) }).filter(|at| *at <= cut).count();
            let again = all[forgotten.min(seen)..].concat();
            got += &push(&mut stream, after(2), &again);
            let got: String = got.split_whitespace().collect();
            let expected: String = text.split_whitespace().collect();
            prop_assert_eq!(got, expected);
        }
    }
}
