//! Streams of events, cut and gone on with.

use std::collections::BTreeMap;
use std::time::Duration;

use swarm_core::proxy::events::{EventStream, OVERLAP, Resume};
use swarm_core::time::Mono;

use super::bytes::Bytes;

const START: Mono = Mono(1_000_000_000_000);
/// Primaries of a story.
const PRIMARIES: usize = 4;

/// A stream passes unchanged however it is cut into pieces. Where it breaks off, whole events have been passed on, and
/// when it goes on at another primary none is missing or doubled.
///
/// An input that starts with `=` draws a story of events and cuts; any other is what a primary sends.
///
/// # Panics
/// When that is not so.
pub fn events(bytes: &[u8]) {
    match bytes.split_first() {
        Some((b'=', story)) => Story::draw(&mut Bytes::new(story)).check(),
        Some(_) | None => raw(bytes),
    }
}

fn raw(bytes: &[u8]) {
    let mut whole = Vec::new();
    let mut stream = EventStream::new(START, false);
    stream.push(START, bytes, &mut whole);
    assert!(bytes.starts_with(&whole), "passed on what was not sent");
    let mut pieces = Vec::new();
    let mut other = EventStream::new(START, false);
    for byte in bytes {
        other.push(START, std::slice::from_ref(byte), &mut pieces);
    }
    assert_eq!(pieces, whole, "pieces matter");
    let since = stream.resume();
    assert_eq!(since, other.resume());
    let Some(since) = since else { return };
    let begins = matches!(since, Resume::From(from, _) if from == START);
    assert!(begins, "it has just begun: {since:?}");
    let mut rest = Vec::new();
    stream.push(START, bytes, &mut rest);
    assert!(rest.len() <= bytes.len() + 1);
}

/// An event of an engine whose calendar shows anything.
struct Event {
    text: String,
    /// When each primary hears of it: at different times, but not more apart than a resumed stream reaches back.
    heard: [Mono; PRIMARIES],
}

/// Events of several engines, and primaries that follow each other.
struct Story {
    events: Vec<Event>,
    /// Where each primary's stream breaks off, as a part of what it sends.
    cuts: Vec<u16>,
}

impl Story {
    fn draw(bytes: &mut Bytes<'_>) -> Self {
        let primaries = 1 + usize::from(bytes.below(3));
        let cuts = (0..primaries).map(|_| bytes.short()).collect();
        let (mut at, mut events) = (START, Vec::new());
        while !bytes.is_empty() && events.len() < 64 {
            at += Duration::from_millis(u64::from(bytes.byte()) * 20);
            let late = |bytes: &mut Bytes<'_>| at + OVERLAP * u32::from(bytes.below(250)) / 256;
            let heard = [late(bytes), late(bytes), late(bytes), late(bytes)];
            let end = ["", "\n", "\r\n"].get(usize::from(bytes.below(3)));
            let text = format!(
                r#"{{"Type":"container","Action":"a","Actor":{{"ID":"<{}>"}},"timeNano":{}}}{}"#,
                events.len(),
                u64::from(bytes.short()) << 40 | u64::try_from(events.len() + 1).unwrap_or(0),
                end.copied().unwrap_or_default()
            );
            events.push(Event { text, heard });
        }
        Self { events, cuts }
    }

    fn check(&self) {
        let mut stream = EventStream::new(START, false);
        let (mut got, mut now, mut from) = (Vec::new(), START, START);
        for (primary, cut) in self.cuts.iter().enumerate() {
            let sent = self.sent(primary, from);
            let length: usize = sent.iter().map(|(_, text)| text.len()).sum();
            let mut left = usize::from(*cut) % (length + 1);
            for (heard, text) in sent {
                let piece = text
                    .as_bytes()
                    .get(..left.min(text.len()))
                    .unwrap_or_default();
                left -= piece.len();
                if !piece.is_empty() {
                    now = now.max(heard);
                    stream.push(now, piece, &mut got);
                }
            }
            from = match stream.resume() {
                Some(Resume::From(from, _)) => from,
                Some(Resume::Again) | None => Mono(u64::MAX),
            };
            assert!(from < Mono(u64::MAX), "a short stream can go on");
        }
        for (_, text) in self.sent(self.cuts.len(), from) {
            stream.push(now, text.as_bytes(), &mut got);
        }
        let got = String::from_utf8_lossy(&got);
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for number in 0..self.events.len() {
            counts.insert(number, got.matches(&format!("<{number}>")).count());
        }
        assert!(
            counts.values().all(|count| *count == 1),
            "events arrive this often: {counts:?}"
        );
    }

    /// What a primary sends that was asked for what it heard from `from` on.
    fn sent(&self, primary: usize, from: Mono) -> Vec<(Mono, &str)> {
        let heard = |event: &Event| event.heard.get(primary).copied().unwrap_or(START);
        let events = self
            .events
            .iter()
            .map(|event| (heard(event), event.text.as_str()));
        let mut events: Vec<_> = events.filter(|(heard, _)| *heard >= from).collect();
        events.sort_by_key(|(heard, _)| *heard);
        events
    }
}
