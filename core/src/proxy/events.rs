//! Follows a stream of Docker events, so that it can go on at another primary without a gap or a repetition.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;

use crate::machine::Digest;
use crate::testbed::{Mutant, planted};
use crate::time::Wall;

/// How far a resumed stream reaches back: engines' clocks differ, so events do not come in the order of their times.
pub const OVERLAP_NANOS: u64 = 2_000_000_000;

/// Longest event that is understood; longer ones make a stream that cannot be resumed.
pub const EVENT_BYTES_MAX: usize = 1 << 20;

/// Most events remembered to recognise repetitions.
pub const RECENT_MAX: usize = 10_000;

/// What one client has seen of its event stream.
///
/// Events are JSON objects, one behind the other, with or without white space between them (spec/classic.md section
/// 4.8). Only whole ones are passed on.
#[derive(Clone, Debug)]
pub struct EventStream {
    /// Where the client's subscription starts, as it would write it.
    from: String,
    /// Older events are none of the client's.
    floor: u64,
    newest: u64,
    /// Time and digest of the newest events that were passed on.
    recent: BTreeSet<(u64, u64)>,
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
    /// A stream subscribed to at `now`, that wants events from `since` on (seconds, with a fraction), if given.
    #[must_use]
    pub fn new(now: Wall, since: Option<&str>) -> Self {
        // A `since` of another form (RFC 3339, a duration) is the engine's to read: nothing is filtered by it here.
        Self {
            from: since.map_or_else(|| docker_time(now.0), str::to_owned),
            floor: since.map_or(now.0, |since| seconds(since).unwrap_or(0)),
            newest: 0,
            recent: BTreeSet::new(),
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

    /// Takes bytes from a primary and appends to `out` what the client has not seen.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        for (at, byte) in bytes.iter().enumerate() {
            if self.foreign {
                out.extend_from_slice(bytes.get(at..).unwrap_or_default());
                break;
            }
            self.push_byte(*byte, out);
        }
        if out.len() > start {
            self.line_ended = out.last() == Some(&b'\n');
        }
    }

    /// The primary is gone. What to ask the next one for, as `since`; none when the stream cannot be resumed.
    #[must_use]
    pub fn resume(&mut self) -> Option<String> {
        if self.foreign {
            return None;
        }
        self.event.clear();
        (self.depth, self.in_string, self.escaped) = (0, false, false);
        (self.resumed, self.spaced) = (true, false);
        if planted(Mutant::SkipsEvents) {
            return Some(String::new());
        }
        Some(match self.newest {
            0 => self.from.clone(),
            newest => docker_time(newest.saturating_sub(OVERLAP_NANOS).max(self.floor)),
        })
    }

    fn push_byte(&mut self, byte: u8, out: &mut Vec<u8>) {
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
            self.complete(out);
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

    fn complete(&mut self, out: &mut Vec<u8>) {
        self.spaced = self.is_new();
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
    fn is_new(&mut self) -> bool {
        let Ok(event) = serde_json::from_slice::<Event<'_>>(&self.event) else {
            return true;
        };
        let time = match event.time_nano {
            0 => event.time.saturating_mul(1_000_000_000),
            nanos => nanos,
        };
        if self.resumed && time < self.floor {
            return false;
        }
        let identity = (
            event.kind,
            event.action,
            event.status,
            event.id,
            event.actor.id,
        );
        let key = (time, Digest::of(&identity));
        let new = self.recent.insert(key);
        self.newest = self.newest.max(time);
        let oldest = self.newest.saturating_sub(OVERLAP_NANOS);
        while let Some(first) = self.recent.first()
            && (first.0 < oldest || self.recent.len() > RECENT_MAX)
        {
            self.recent.pop_first();
        }
        // Events of one time and name do exist; only a repetition by another primary is one.
        new || !self.resumed || planted(Mutant::RepeatsEvents)
    }
}

fn docker_time(nanos: u64) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// Nanoseconds of `seconds[.fraction]`.
fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let fraction: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let whole: u64 = whole.parse().ok()?;
    whole
        .checked_mul(1_000_000_000)?
        .checked_add(fraction.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: u64 = 1_700_000_000_000_000_000;

    fn event(offset_ms: u64, id: &str) -> String {
        let nanos = START + offset_ms * 1_000_000;
        let seconds = nanos / 1_000_000_000;
        format!(
            r#"{{"Type":"container","Action":"start \"}}","Actor":{{"ID":"{id}","Attributes":{{"a":"{{"}}}},"time":{seconds},"timeNano":{nanos}}}"#
        )
    }

    fn push(stream: &mut EventStream, text: &str) -> String {
        let mut out = Vec::new();
        stream.push(text.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_resumed_stream_has_no_gap_and_no_repetition() {
        let lines: Vec<String> = (1..6)
            .map(|n| event(n * 1_000, &format!("c{n}")) + "\n")
            .collect();
        let mut stream = EventStream::new(Wall(START), None);
        let (seen, rest) = (lines[..3].concat(), &lines[3]);
        let cut = seen.clone() + &rest[..rest.len() / 2];
        assert_eq!(push(&mut stream, &cut), seen);
        // The newest was at 3 s.
        assert_eq!(stream.resume().as_deref(), Some("1700000001.000000000"));
        assert_eq!(push(&mut stream, &lines.concat()), lines[3..].concat());
    }

    #[test]
    fn events_of_a_slow_engine_are_not_lost() {
        let mut stream = EventStream::new(Wall(START), None);
        push(&mut stream, &event(3_000, "fast"));
        stream.resume().unwrap();
        let both = event(2_500, "slow") + "\n" + &event(3_000, "fast") + "\n";
        assert_eq!(
            push(&mut stream, &both),
            format!("\n{}\n", event(2_500, "slow"))
        );
    }

    #[test]
    fn events_from_before_the_subscription_stay_out() {
        let mut stream = EventStream::new(Wall(START + 1_000_000_000), None);
        assert_eq!(stream.resume().as_deref(), Some("1700000001.000000000"));
        assert_eq!(push(&mut stream, &event(500, "old")), "");
        let mut stream = EventStream::new(Wall(START + 5_000_000_000), Some("1700000000.5"));
        assert_eq!(stream.resume().as_deref(), Some("1700000000.5"));
        let mut stream = EventStream::new(Wall(START), Some("10m"));
        assert_eq!(stream.resume().as_deref(), Some("10m"));
    }

    #[test]
    fn what_is_no_event_stream_is_passed_on_and_not_resumed() {
        let mut stream = EventStream::new(Wall(0), None);
        assert_eq!(push(&mut stream, "oops {\"a\":1"), "oops {\"a\":1");
        assert_eq!(stream.resume(), None);
        let mut stream = EventStream::new(Wall(0), None);
        let endless = format!("{{\"a\":\"{}", "x".repeat(EVENT_BYTES_MAX));
        assert_eq!(push(&mut stream, &endless), endless);
        assert_eq!(stream.resume(), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut stream = EventStream::new(Wall(START), None);
        for n in 0..RECENT_MAX + 500 {
            push(&mut stream, &event(1, &n.to_string()));
        }
        assert_eq!(stream.recent.len(), RECENT_MAX);
        push(&mut stream, &event(5_000, "later"));
        assert_eq!(stream.recent.len(), 1);
    }

    #[test]
    fn since_is_read_as_docker_writes_it() {
        assert_eq!(seconds("1"), Some(1_000_000_000));
        assert_eq!(seconds("1.5"), Some(1_500_000_000));
        assert_eq!(seconds("1.0000000019"), Some(1_000_000_001));
        assert_eq!(seconds("-1"), None);
        assert_eq!(seconds("10m"), None);
        assert_eq!(seconds("99999999999999"), None);
    }

    proptest! {
        #[test]
        fn an_unbroken_stream_passes_unchanged(
            bytes in proptest::collection::vec(prop_oneof![
                Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\'), Just(b'\n'), Just(b'a'), any::<u8>(),
            ], 0..80),
            cut in 0..80_usize,
        ) {
            let mut stream = EventStream::new(Wall(0), None);
            let mut out = Vec::new();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            stream.push(first, &mut out);
            stream.push(second, &mut out);
            out.extend_from_slice(&stream.event);
            prop_assert_eq!(out, bytes);
        }

        #[test]
        fn wherever_it_is_cut_each_event_arrives_once(
            cut in 0..1_000_usize,
            spaced in any::<bool>(),
        ) {
            let end = if spaced { "\n" } else { "" };
            let all: Vec<String> = (1..6).map(|n| event(n * 700, &format!("c{n}"))).collect();
            let text: String = all.iter().map(|event| format!("{event}{end}")).collect();
            let mut stream = EventStream::new(Wall(START), None);
            let mut got = push(&mut stream, &text[..cut.min(text.len())]);
            let since = seconds(&stream.resume().unwrap()).unwrap();
            let again: String = (1..6_u64)
                .filter(|n| START + n * 700_000_000 >= since)
                .map(|n| format!("{}{end}", event(n * 700, &format!("c{n}"))))
                .collect();
            got += &push(&mut stream, &again);
            let got: String = got.split_whitespace().collect();
            let expected: String = all.concat().split_whitespace().collect();
            prop_assert_eq!(got, expected);
        }
    }
}
