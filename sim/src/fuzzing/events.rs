//! Streams of events, cut and gone on with.

use std::collections::BTreeMap;

use swarm_core::proxy::events::EventStream;
use swarm_core::time::Wall;

use super::bytes::Bytes;

const START: u64 = 1_700_000_000_000_000_000;
const MILLISECOND: u64 = 1_000_000;

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
    let mut stream = EventStream::new(Wall(START), None);
    stream.push(bytes, &mut whole);
    assert!(bytes.starts_with(&whole), "passed on what was not sent");
    let mut pieces = Vec::new();
    let mut other = EventStream::new(Wall(START), None);
    for byte in bytes {
        other.push(std::slice::from_ref(byte), &mut pieces);
    }
    assert_eq!(pieces, whole, "pieces matter");
    let since = stream.resume();
    assert_eq!(since, other.resume());
    let Some(since) = since else { return };
    let readable = since
        .split_once('.')
        .is_some_and(|(seconds, nanos)| seconds.parse::<u64>().is_ok() && nanos.len() == 9);
    assert!(readable, "{since:?}");
    let mut rest = Vec::new();
    stream.push(bytes, &mut rest);
    assert!(rest.len() <= bytes.len() + 1);
}

/// Events of several engines whose clocks differ by less than what a resumed stream reaches back.
struct Story {
    /// Time (ns) and text of each event, in the order the first primary sends them.
    events: Vec<(u64, String)>,
    /// Where each primary's stream breaks off, and whether it sends events in the order of their times.
    primaries: Vec<(u16, bool)>,
}

impl Story {
    fn draw(bytes: &mut Bytes<'_>) -> Self {
        let primaries = (0..=bytes.below(4))
            .map(|_| (bytes.short(), bytes.flag()))
            .collect();
        let mut at = 0;
        let mut events = Vec::new();
        while !bytes.is_empty() && events.len() < 64 {
            at += u64::from(bytes.byte()) * 10;
            let early = u64::from(bytes.below(190)) * 10;
            let end = ["", "\n", "\r\n"].get(usize::from(bytes.below(3)));
            let nanos = START + (at + early) * MILLISECOND;
            let text = format!(
                r#"{{"Type":"container","Action":"a","Actor":{{"ID":"<{}>"}},"timeNano":{nanos}}}{}"#,
                events.len(),
                end.copied().unwrap_or_default()
            );
            events.push((nanos, text));
        }
        Self { events, primaries }
    }

    fn check(&self) {
        let mut stream = EventStream::new(Wall(START), None);
        let mut got = Vec::new();
        let mut since = START;
        for (cut, sorted) in &self.primaries {
            let text = self.sent(since, *sorted);
            let cut = usize::from(*cut) % (text.len() + 1);
            let (sent, _) = text.as_bytes().split_at(cut);
            stream.push(sent, &mut got);
            since = stream.resume().as_deref().and_then(nanos).unwrap_or(0);
        }
        stream.push(self.sent(since, false).as_bytes(), &mut got);
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

    fn sent(&self, since: u64, sorted: bool) -> String {
        let mut events: Vec<_> = self.events.iter().filter(|(at, _)| *at >= since).collect();
        if sorted {
            events.sort_by_key(|(at, _)| *at);
        }
        events.into_iter().map(|(_, text)| text.as_str()).collect()
    }
}

fn nanos(since: &str) -> Option<u64> {
    let (seconds, nanos) = since.split_once('.')?;
    Some(seconds.parse::<u64>().ok()? * 1_000_000_000 + nanos.parse::<u64>().ok()?)
}
