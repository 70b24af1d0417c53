//! Streams of events, cut and gone on with.

use std::collections::BTreeMap;

use swarm_core::proxy::events::{EventStream, Resume};
use swarm_core::time::Mono;

use super::bytes::Bytes;

const BEGAN: Mono = Mono(100_000_000_000);
const MILLISECOND: u64 = 1_000_000;

/// A stream passes unchanged however it is cut into pieces. Where it breaks off, whole events have been passed on, and
/// when it goes on at another primary none is missing or doubled.
///
/// An input that starts with `=` draws a story of events and primaries; any other is what a primary sends.
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
    let mut stream = EventStream::new(BEGAN, false);
    stream.push(BEGAN, bytes, &mut whole);
    assert!(bytes.starts_with(&whole), "passed on what was not sent");
    let mut pieces = Vec::new();
    let mut other = EventStream::new(BEGAN, false);
    for byte in bytes {
        other.push(BEGAN, std::slice::from_ref(byte), &mut pieces);
    }
    assert_eq!(pieces, whole, "pieces matter");
    let resume = stream.resume();
    assert_eq!(resume, other.resume());
    if resume.is_some() {
        let mut rest = Vec::new();
        stream.push(BEGAN, bytes, &mut rest);
        assert!(rest.len() <= bytes.len() + 1);
    }
}

/// Events that every manager hears of, each a little later than they happen.
struct Story {
    wants_past: bool,
    primaries: Vec<Primary>,
    events: Vec<Told>,
}

struct Primary {
    /// How long it lives at most (ns).
    lives: u64,
    /// How long there is none after it (ns).
    gap: u64,
    /// After how many bytes its stream breaks off at the latest.
    cut: usize,
}

struct Told {
    /// When a primary at an even and at an odd place hears of it.
    heard: [u64; 2],
    text: String,
}

impl Story {
    fn draw(bytes: &mut Bytes<'_>) -> Self {
        let wants_past = bytes.flag();
        let primaries = (0..=bytes.below(5))
            .map(|_| Primary {
                lives: u64::from(bytes.byte()) * 100 * MILLISECOND,
                gap: u64::from(bytes.byte()) * 100 * MILLISECOND,
                cut: usize::from(bytes.short()),
            })
            .collect();
        let mut at = BEGAN.0;
        let mut events = Vec::new();
        while !bytes.is_empty() && events.len() < 64 {
            at += u64::from(bytes.byte()) * 10 * MILLISECOND;
            let mut heard = || at + u64::from(bytes.byte()) * 10 * MILLISECOND;
            let heard = [heard(), heard()];
            let end = ["", "\n", "\r\n"].get(usize::from(bytes.below(3)));
            let text = format!(
                r#"{{"Type":"container","Action":"a","Actor":{{"ID":"<{}>"}}}}{}"#,
                events.len(),
                end.copied().unwrap_or_default()
            );
            events.push(Told { heard, text });
        }
        Self {
            wants_past,
            primaries,
            events,
        }
    }

    fn check(&self) {
        let mut stream = EventStream::new(BEGAN, self.wants_past);
        let mut got = Vec::new();
        let (mut now, mut from) = (BEGAN.0, 0);
        for (place, primary) in self.primaries.iter().enumerate() {
            let until = now + primary.lives;
            let mut room = primary.cut;
            let mut end = until;
            for (heard, text) in self.sent(place, from) {
                if heard > until {
                    break;
                }
                let whole = text.len() <= room;
                let (sent, _) = text.as_bytes().split_at(text.len().min(room));
                let at = heard.max(now);
                stream.push(Mono(at), sent, &mut got);
                if !whole {
                    end = at;
                    break;
                }
                room -= text.len();
            }
            from = match stream.resume() {
                Some(Resume::From(from)) => from.0,
                Some(Resume::Again) => 0,
                None => u64::MAX,
            };
            assert_ne!(from, u64::MAX, "a short stream of events can go on");
            now = end + primary.gap;
        }
        for (heard, text) in self.sent(self.primaries.len(), from) {
            stream.push(Mono(heard.max(now)), text.as_bytes(), &mut got);
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

    /// What the primary at `place` sends to whoever asks for what it heard from `from` on.
    fn sent(&self, place: usize, from: u64) -> Vec<(u64, &str)> {
        let heard = |told: &Told| {
            let [even, odd] = told.heard;
            if place.is_multiple_of(2) { even } else { odd }
        };
        let mut sent: Vec<_> = self
            .events
            .iter()
            .map(|told| (heard(told), told.text.as_str()))
            .filter(|(heard, _)| *heard >= from)
            .collect();
        sent.sort_by_key(|(heard, _)| *heard);
        sent
    }
}
