//! What the picture of a run shows, read from its trace.

use self::reader::Reader;
use crate::plan::Plan;
use crate::report::words::millis;
use crate::run::Run;
use crate::trace::{HostId, Kind, NOWHERE, Trace};

mod reader;

/// From when to when, in nanoseconds of true time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Everything that a picture shows.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) heading: String,
    pub(super) whole: Span,
    pub(super) lanes: Vec<Lane>,
    pub(super) faults: Vec<Bracket>,
    pub(super) failovers: Vec<Bracket>,
    pub(super) ties: Vec<Tie>,
    pub(super) violation: Option<Flag>,
}

/// Which kind of host; lanes are in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Store,
    Manager,
    Guard,
    Engine,
    Agent,
    Client,
}

/// One host.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) group: Group,
    pub(super) bars: Vec<Bar>,
    pub(super) leases: Vec<Lease>,
    pub(super) pauses: Vec<Pause>,
    pub(super) ticks: Vec<Tick>,
    pub(super) waits: Vec<Span>,
    pub(super) notes: Vec<Flag>,
}

/// What a host was for a while.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) span: Span,
    pub(super) standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Not there; 0 ended by itself, 1 killed, 2 without power, none if not started yet.
    Down(Option<u64>),
    Up,
    Primary(u64),
}

#[derive(Debug)]
pub(super) struct Lease {
    pub(super) span: Span,
    pub(super) epoch: u64,
}

#[derive(Debug)]
pub(super) struct Pause {
    pub(super) span: Span,
    pub(super) clock_too: bool,
}

/// An answer to a client.
#[derive(Debug)]
pub(super) struct Tick {
    pub(super) at: u64,
    pub(super) answer: Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answer {
    Ok,
    Refused,
    Unknown,
}

/// Something with a beginning, an end and a name above the lanes.
#[derive(Debug)]
pub(super) struct Bracket {
    pub(super) span: Span,
    pub(super) label: String,
    pub(super) words: String,
}

/// Links that were cut or work again.
#[derive(Debug)]
pub(super) struct Tie {
    pub(super) at: u64,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) both: bool,
    pub(super) cut: bool,
}

/// Something at one instant.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) at: u64,
    pub(super) grave: bool,
    pub(super) words: String,
}

impl Picture {
    pub(super) fn of(plan: &Plan, run: &Run) -> Self {
        let events = run.trace.events();
        let violation = violation(run);
        let last = events.last().map_or(0, |event| event.at);
        let flagged = violation.as_ref().map_or(0, |flag| flag.at);
        let whole = Span {
            from: 0,
            to: run.simulated.max(last).max(flagged).max(1_000_000),
        };
        let order = lane_order(&run.trace);
        let mut readers: Vec<Reader> = order
            .iter()
            .map(|&(_, host)| Reader::new(host, &run.trace))
            .collect();
        for event in events {
            if let Some(lane) = order.iter().position(|&(_, host)| host == event.host)
                && let Some(reader) = readers.get_mut(lane)
            {
                reader.take(event);
            }
        }
        let lanes = readers.into_iter().zip(order);
        let lanes: Vec<Lane> = lanes
            .map(|(reader, (group, host))| reader.lane(run.trace.host(host), group, whole.to))
            .collect();
        Self {
            heading: heading(plan, run),
            whole,
            faults: faults(plan, &run.trace, whole.to),
            failovers: failovers(run),
            ties: ties(&lanes, &run.trace),
            lanes,
            violation,
        }
    }

    /// The part that is worth a closer look, if it is small: around the violation, or else the last failover.
    pub(super) fn focus(&self) -> Option<Span> {
        let length = self.whole.to - self.whole.from;
        let span = if let Some(flag) = &self.violation {
            let before = (length / 25).max(200_000_000);
            Span {
                from: flag.at.saturating_sub(before),
                to: (flag.at + before / 4).min(self.whole.to),
            }
        } else {
            let last = self.failovers.last()?.span;
            let took = (last.to - last.from).max(5_000_000);
            Span {
                from: last.from.saturating_sub(took / 2),
                to: (last.to + took).min(self.whole.to),
            }
        };
        let wide = (span.to - span.from).saturating_mul(5) > length;
        (span.to > span.from && !wide).then_some(span)
    }
}

fn heading(plan: &Plan, run: &Run) -> String {
    let tier = plan.tier.name();
    let faults = plan.faults.len() + usize::from(plan.drill.is_some());
    let seconds = run.simulated / 1_000_000_000;
    format!(
        "Run of seed {} in the {tier}: {seconds} s, faults: {faults}, primaries: {}",
        plan.seed,
        run.terms.len()
    )
}

fn violation(run: &Run) -> Option<Flag> {
    let violation = run.violation.as_ref()?;
    Some(Flag {
        at: violation.at,
        grave: true,
        words: format!("{}: {}", violation.signature(), violation.what),
    })
}

/// Lanes by group, then by number. Guards and agents have one only if something happened to them.
fn lane_order(trace: &Trace) -> Vec<(Group, HostId)> {
    let mut lanes: Vec<(Group, u32, HostId)> = Vec::new();
    for (id, name) in (0..).zip(trace.hosts()) {
        let mut characters = name.chars();
        let group = match characters.next() {
            Some('s') => Group::Store,
            Some('m') => Group::Manager,
            Some('g') => Group::Guard,
            Some('e') => Group::Engine,
            Some('a') => Group::Agent,
            _ => Group::Client,
        };
        let silent = || {
            let fates = [Kind::Ended, Kind::Paused];
            let mut own = trace.events().iter().filter(|event| event.host == id);
            !own.any(|event| fates.contains(&event.kind))
        };
        if matches!(group, Group::Guard | Group::Agent) && silent() {
            continue;
        }
        lanes.push((group, characters.as_str().parse().unwrap_or(u32::MAX), id));
    }
    lanes.sort_unstable();
    lanes.iter().map(|&(group, _, id)| (group, id)).collect()
}

/// Faults that the trace saw, with what the plan calls them.
fn faults(plan: &Plan, trace: &Trace, end: u64) -> Vec<Bracket> {
    let mut brackets = Vec::new();
    for (index, event) in trace.events().iter().enumerate() {
        if event.kind != Kind::FaultBegan {
            continue;
        }
        let fault = plan
            .faults
            .iter()
            .find(|fault| u64::from(fault.id) == event.a);
        let op = fault.map(|fault| &fault.op).or(plan.drill.as_ref());
        let rest = trace.events().get(index..).unwrap_or_default();
        let over = rest
            .iter()
            .find(|later| later.kind == Kind::FaultEnded && later.a == event.a);
        let lasts = op.is_none_or(crate::plan::Op::has_end);
        let to = match over {
            Some(over) => over.at,
            None if lasts => end,
            None => event.at,
        };
        let mut what = op.map_or_else(|| event.text.clone(), ToString::to_string);
        // Whom a fault of a part that is played met.
        if event.host != NOWHERE && !what.contains(trace.host(event.host)) {
            what = format!("{what} ({})", trace.host(event.host));
        }
        let label = if fault.is_some() {
            format!("#{} {what}", event.a)
        } else {
            format!("drill: {what}")
        };
        let mut words = label.clone();
        if !event.text.is_empty() && !words.contains(&event.text) {
            words = format!("{words} ({})", event.text);
        }
        brackets.push(Bracket {
            span: Span { from: event.at, to },
            label,
            words,
        });
    }
    brackets
}

fn failovers(run: &Run) -> Vec<Bracket> {
    let bracket = |failover: &crate::judge::Failover| {
        let took = millis(failover.took_us);
        Bracket {
            span: Span {
                from: failover.at,
                to: failover.at + failover.took_us * 1_000,
            },
            label: format!("failover {took} ms"),
            words: format!(
                "failover after {}: {took} ms of {} ms",
                failover.cause,
                millis(failover.budget_us)
            ),
        }
    };
    run.failovers.iter().map(bracket).collect()
}

/// Cut and healed links; both directions at the same instant are one tie.
fn ties(lanes: &[Lane], trace: &Trace) -> Vec<Tie> {
    let lane_of = |host: HostId| {
        let name = trace.host(host);
        lanes.iter().position(|lane| lane.name == name)
    };
    let mut ties: Vec<Tie> = Vec::new();
    for event in trace.events() {
        let cut = event.kind == Kind::Cut;
        if !cut && event.kind != Kind::Healed {
            continue;
        }
        let other = HostId::try_from(event.a).ok().and_then(lane_of);
        let (Some(from), Some(to)) = (lane_of(event.host), other) else {
            continue;
        };
        let back = ties.iter_mut().rev().take(64).find(|tie| {
            (tie.at, tie.from, tie.to, tie.cut) == (event.at, to, from, cut) && !tie.both
        });
        match back {
            Some(tie) => tie.both = true,
            None => ties.push(Tie {
                at: event.at,
                from,
                to,
                both: false,
                cut,
            }),
        }
    }
    ties
}
