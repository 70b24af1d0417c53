//! The events that led to a violation, one a line: why it happened, not merely what came before.

use std::collections::BTreeSet;

use crate::trace::{Event, HostId, Kind, NOWHERE, Trace};

/// At most `most` lines about how event `event` (0: the violation, or else the last one) came about, oldest first.
///
/// With everything kept, the causes of the event lead the way; roles, faults and fates of the hosts on it fill up what
/// is left. Where no causes are known, the newest such events of the hosts concerned are told instead.
#[must_use]
pub fn slice(trace: &Trace, event: u64, most: usize) -> Vec<String> {
    let events = trace.events();
    let Some(end) = end(events, event) else {
        return Vec::new();
    };
    let told = events.get(..=end).unwrap_or_default();
    let causes = causes(told);
    let has_causes = causes.len() > 1;
    let hosts: BTreeSet<HostId> = if has_causes {
        let chain = causes.iter().filter_map(|&at| told.get(at));
        chain.flat_map(hosts_of).collect()
    } else {
        concerned(trace, told)
    };
    // Two thirds for the causes, so that their surroundings have a place too.
    let chain = causes.into_iter().take((most * 2 / 3).max(1));
    let mut lines: BTreeSet<usize> = chain.take(most).collect();
    let surroundings = told.iter().enumerate().rev().filter(|(_, event)| {
        let here = hosts.is_empty() || hosts_of(event).any(|host| hosts.contains(&host));
        match weight(event.kind) {
            Weight::Landmark => true,
            Weight::Fate => here,
            Weight::Detail => false,
        }
    });
    for (at, _) in surroundings {
        if lines.len() >= most {
            break;
        }
        lines.insert(at);
    }
    let lines = lines.into_iter().filter_map(|at| told.get(at));
    lines.map(|event| line(trace, event)).collect()
}

/// Where the event with this number is; without one, the violation or else the last event.
fn end(events: &[Event], seq: u64) -> Option<usize> {
    let named = events.binary_search_by_key(&seq, |event| event.seq).ok();
    let broken = || {
        events
            .iter()
            .rposition(|event| event.kind == Kind::Violation)
    };
    named
        .or_else(broken)
        .or_else(|| events.len().checked_sub(1))
}

/// The last of `told` and what led to it, newest first.
fn causes(told: &[Event]) -> Vec<usize> {
    let mut chain = Vec::new();
    let mut next = told.len().checked_sub(1);
    while let Some(event) = next.and_then(|at| told.get(at)) {
        chain.extend(next);
        // A cause is older than its effect: the walk ends.
        next = (event.cause > 0 && event.cause < event.seq)
            .then(|| told.binary_search_by_key(&event.cause, |event| event.seq))
            .and_then(Result::ok);
    }
    chain
}

/// Hosts that the violation names, by where it happened, by name, or by number.
fn concerned(trace: &Trace, told: &[Event]) -> BTreeSet<HostId> {
    let Some(last) = told.last() else {
        return BTreeSet::new();
    };
    let mut words = last
        .text
        .split(|character: char| !character.is_ascii_alphanumeric())
        .peekable();
    let mut hosts: BTreeSet<HostId> = hosts_of(last).collect();
    while let Some(word) = words.next() {
        let named = trace.id_of(word);
        if named != NOWHERE {
            hosts.insert(named);
        }
        if word == "host"
            && let Some(number) = words.peek().and_then(|word| word.parse().ok())
        {
            hosts.insert(number);
        }
    }
    if hosts.is_empty() {
        let acting = told.iter().rev().filter(|one| one.kind == Kind::Acting);
        hosts.extend(acting.take(2).map(|event| event.host));
    }
    hosts
}

/// The host of an event, and the other end where it is about a link.
fn hosts_of(event: &Event) -> impl Iterator<Item = HostId> + use<> {
    let link = matches!(event.kind, Kind::Cut | Kind::Healed);
    let other = HostId::try_from(event.a).ok().filter(|_| link);
    let own = (event.host != NOWHERE).then_some(event.host);
    own.into_iter().chain(other)
}

enum Weight {
    /// Worth a line wherever it is.
    Landmark,
    /// Worth a line if its host is concerned.
    Fate,
    /// Worth a line only as a cause.
    Detail,
}

const fn weight(kind: Kind) -> Weight {
    match kind {
        Kind::FaultBegan | Kind::FaultEnded | Kind::Acting | Kind::Idle | Kind::Violation => {
            Weight::Landmark
        }
        Kind::Started
        | Kind::Ended
        | Kind::Paused
        | Kind::Resumed
        | Kind::Cut
        | Kind::Healed
        | Kind::Log
        | Kind::Note
        | Kind::Kept => Weight::Fate,
        Kind::Lease
        | Kind::Input
        | Kind::Wake
        | Kind::SwapSent
        | Kind::SwapDone
        | Kind::SwapConflict
        | Kind::Message
        | Kind::Dispatched
        | Kind::Applied
        | Kind::Asked
        | Kind::Answered
        | Kind::Attempt => Weight::Detail,
    }
}

/// Time, host, a sign for the kind, words.
fn line(trace: &Trace, event: &Event) -> String {
    let (sign, words) = words(trace, event);
    let (whole, part) = (event.at / 1_000_000_000, event.at % 1_000_000_000 / 1_000);
    let host = trace.host(event.host);
    let said = event.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = match (words.is_empty(), said.is_empty()) {
        (false, false) => format!("{words}: {said}"),
        (true, _) => said,
        (_, true) => words,
    };
    format!("{whole:>4}.{part:06}  {host:<4} {sign}  {said}")
}

fn words(trace: &Trace, event: &Event) -> (char, String) {
    let Event { a, b, .. } = *event;
    let other = || {
        let id = HostId::try_from(a).unwrap_or(NOWHERE);
        trace.host(id).to_owned()
    };
    match event.kind {
        Kind::Started => ('+', format!("starts, life {a}")),
        Kind::Ended => ('x', ended(a).to_owned()),
        Kind::Paused if a == 1 => ('=', "stands still, with its clock".to_owned()),
        Kind::Paused => ('=', "stands still".to_owned()),
        Kind::Resumed => ('>', "goes on".to_owned()),
        Kind::Acting => ('P', format!("acts in epoch {a}")),
        Kind::Idle => ('R', format!("acts no more in epoch {a}")),
        Kind::Lease => ('~', format!("lease of epoch {a} until {}", seconds(b))),
        Kind::FaultBegan => ('!', format!("fault #{a} begins")),
        Kind::FaultEnded => ('.', format!("fault #{a} ends")),
        Kind::Cut => ('/', format!("link to {} is cut", other())),
        Kind::Healed => ('-', format!("link to {} works again", other())),
        Kind::Input => ('<', format!("input {a}, standing {b}")),
        Kind::Wake => ('@', format!("wakes, standing {a}")),
        Kind::SwapSent => ('s', format!("sends swap, epoch {a} beat {b}")),
        Kind::SwapDone => ('S', format!("swap of epoch {a} done, version {b}")),
        Kind::SwapConflict => ('C', format!("swap of epoch {a} refused, version {b}")),
        Kind::Message => ('m', "message".to_owned()),
        // Who does not act has no epoch.
        Kind::Dispatched if a == 0 => ('D', format!("dispatches request {b} outside its lease")),
        Kind::Dispatched => ('D', format!("dispatches request {b} in epoch {a}")),
        Kind::Applied => ('A', format!("carries out request {a}")),
        Kind::Asked => ('?', format!("asks request {a}")),
        Kind::Answered if b == 0 => ('a', format!("request {a}: connection broke")),
        Kind::Answered => ('a', format!("request {a} answered {b}")),
        Kind::Attempt => ('t', format!("request {a}, attempt {b}")),
        Kind::Log => ('"', level(a).to_owned()),
        Kind::Violation => ('#', "BROKEN".to_owned()),
        Kind::Note => ('*', String::new()),
        Kind::Kept => ('|', format!("fault #{a} keeps a request")),
    }
}

const fn ended(how: u64) -> &'static str {
    match how {
        0 => "ends",
        1 => "is killed",
        _ => "loses power",
    }
}

const fn level(level: u64) -> &'static str {
    match level {
        1 => "ERROR",
        2 => "WARN",
        3 => "INFO",
        4 => "DEBUG",
        _ => "TRACE",
    }
}

fn seconds(at: u64) -> String {
    format!("{}.{:06}", at / 1_000_000_000, at % 1_000_000_000 / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Keep;

    fn hosts() -> Vec<String> {
        ["s1", "m1", "m2", "e1"].map(str::to_owned).to_vec()
    }

    fn add(trace: &mut Trace, what: (u64, HostId, Kind), numbers: (u64, u64), cause: u64) -> u64 {
        let (ms, host, kind) = what;
        trace.add((ms * 1_000_000, host, kind), numbers, cause, String::new)
    }

    /// m1 pauses over the end of its lease; m2 takes over; m1 wakes and dispatches.
    fn broken(keep: Keep) -> (Trace, u64) {
        let mut trace = Trace::new(keep, hosts());
        add(&mut trace, (0, 1, Kind::Acting), (1, 0), 0);
        add(&mut trace, (500, 3, Kind::Message), (9, 9), 0);
        add(&mut trace, (900, NOWHERE, Kind::FaultBegan), (7, 0), 0);
        let pause = add(&mut trace, (900, 1, Kind::Paused), (0, 0), 0);
        add(&mut trace, (2_500, 3, Kind::Started), (2, 0), 0);
        let sent = add(&mut trace, (3_000, 2, Kind::SwapSent), (2, 1), 0);
        let done = add(&mut trace, (3_002, 0, Kind::SwapDone), (2, 8), sent);
        add(&mut trace, (3_004, 2, Kind::Acting), (2, 0), done);
        let wake = add(&mut trace, (3_100, 1, Kind::Resumed), (0, 0), pause);
        let sent = add(&mut trace, (3_101, 1, Kind::Dispatched), (1, 44), wake);
        let what = (3_101_000_000, 1, Kind::Violation);
        let last = trace.add(what, (0, 0), sent, || "host 1 dispatched\nlate".into());
        add(&mut trace, (9_000, 3, Kind::Ended), (1, 0), 0);
        (trace, last)
    }

    #[test]
    fn causes_lead_to_the_violation_and_fates_surround_them() {
        let (trace, last) = broken(Keep::All);
        insta::assert_snapshot!(slice(&trace, last, 30).join("\n"), @r"
           0.000000  m1   P  acts in epoch 1
           0.900000  -    !  fault #7 begins
           0.900000  m1   =  stands still
           3.004000  m2   P  acts in epoch 2
           3.100000  m1   >  goes on
           3.101000  m1   D  dispatches request 44 in epoch 1
           3.101000  m1   #  BROKEN: host 1 dispatched late
        ");
    }

    #[test]
    fn without_causes_the_story_of_the_hosts_concerned_is_told() {
        let (trace, _) = broken(Keep::Story);
        let lines = slice(&trace, 0, 30);
        insta::assert_snapshot!(lines.join("\n"), @r"
           0.000000  m1   P  acts in epoch 1
           0.900000  -    !  fault #7 begins
           0.900000  m1   =  stands still
           3.004000  m2   P  acts in epoch 2
           3.100000  m1   >  goes on
           3.101000  m1   #  BROKEN: host 1 dispatched late
        ");
        assert!(lines.iter().all(|line| !line.contains("e1")), "{lines:?}");
    }

    #[test]
    fn a_slice_is_no_longer_than_wanted_and_ends_with_the_event() {
        let (trace, last) = broken(Keep::All);
        for most in 1..8 {
            let lines = slice(&trace, last, most);
            assert_eq!(lines.len(), most);
            assert!(lines[most - 1].contains("BROKEN"), "{lines:?}");
        }
        assert!(slice(&Trace::default(), 0, 9).is_empty());
    }
}
