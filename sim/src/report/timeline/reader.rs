//! Reads the trace of one host.

use std::collections::BTreeMap;

use super::{Answer, Bar, Flag, Group, Lane, Lease, Pause, Span, Standing, Tick};
use crate::trace::{Event, HostId, Kind, Trace};

/// Levels of log lines that are shown: ERROR and WARN.
const LEVELS_SHOWN: u64 = 2;

/// Follows one host through the trace.
pub(super) struct Reader {
    since: u64,
    standing: Standing,
    paused: Option<(u64, bool)>,
    open: BTreeMap<u64, u64>,
    bars: Vec<Bar>,
    leases: Vec<Lease>,
    pauses: Vec<Pause>,
    ticks: Vec<Tick>,
    waits: Vec<Span>,
    notes: Vec<Flag>,
}

impl Reader {
    /// A host whose first news is its start was not there before.
    pub(super) fn new(host: HostId, trace: &Trace) -> Self {
        let lives = |event: &&Event| matches!(event.kind, Kind::Started | Kind::Ended);
        let first = trace
            .events()
            .iter()
            .filter(|event| event.host == host)
            .find(lives);
        let absent = first.is_some_and(|event| event.kind == Kind::Started && event.at > 0);
        Self {
            since: 0,
            standing: if absent {
                Standing::Down(None)
            } else {
                Standing::Up
            },
            paused: None,
            open: BTreeMap::new(),
            bars: Vec::new(),
            leases: Vec::new(),
            pauses: Vec::new(),
            ticks: Vec::new(),
            waits: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn turn(&mut self, at: u64, standing: Standing) {
        if at > self.since {
            self.bars.push(Bar {
                span: Span {
                    from: self.since,
                    to: at,
                },
                standing: self.standing,
            });
        }
        self.since = at;
        self.standing = standing;
    }

    pub(super) fn take(&mut self, event: &Event) {
        let at = event.at;
        match event.kind {
            Kind::Started => self.turn(at, Standing::Up),
            Kind::Ended => {
                self.resume(at);
                self.turn(at, Standing::Down(Some(event.a)));
            }
            Kind::Paused => {
                self.resume(at);
                self.paused = Some((at, event.a == 1));
            }
            Kind::Resumed => self.resume(at),
            Kind::Acting => self.turn(at, Standing::Primary(event.a)),
            Kind::Idle => {
                if matches!(self.standing, Standing::Primary(_)) {
                    self.turn(at, Standing::Up);
                }
            }
            Kind::Lease => self.lease(event),
            Kind::Asked => {
                self.open.insert(event.a, at);
            }
            Kind::Answered => self.answered(event),
            Kind::Log if event.a <= LEVELS_SHOWN => self.note(event, event.a <= 1),
            Kind::Note | Kind::Kept => self.note(event, false),
            Kind::Log
            | Kind::FaultBegan
            | Kind::FaultEnded
            | Kind::Cut
            | Kind::Healed
            | Kind::Input
            | Kind::Wake
            | Kind::SwapSent
            | Kind::SwapDone
            | Kind::SwapConflict
            | Kind::Message
            | Kind::Dispatched
            | Kind::Applied
            | Kind::Attempt
            | Kind::Violation => {}
        }
    }

    fn resume(&mut self, at: u64) {
        if let Some((from, clock_too)) = self.paused.take() {
            self.pauses.push(Pause {
                span: Span { from, to: at },
                clock_too,
            });
        }
    }

    fn lease(&mut self, event: &Event) {
        let until = event.b.max(event.at);
        match self.leases.last_mut() {
            Some(last) if last.epoch == event.a && event.at <= last.span.to => {
                last.span.to = last.span.to.max(until);
            }
            _ => self.leases.push(Lease {
                span: Span {
                    from: event.at,
                    to: until,
                },
                epoch: event.a,
            }),
        }
    }

    fn answered(&mut self, event: &Event) {
        let answer = match event.b {
            0 | 502 | 504 => Answer::Unknown,
            421 | 503 => Answer::Refused,
            // What the engine itself turned down was carried out as far as the engine wanted to.
            _ => Answer::Ok,
        };
        self.ticks.push(Tick {
            at: event.at,
            answer,
        });
        if let Some(from) = self.open.remove(&event.a) {
            self.waits.push(Span { from, to: event.at });
        }
    }

    fn note(&mut self, event: &Event, grave: bool) {
        self.notes.push(Flag {
            at: event.at,
            grave,
            words: event.text.clone(),
        });
    }

    pub(super) fn lane(mut self, name: &str, group: Group, end: u64) -> Lane {
        self.resume(end);
        self.turn(end, Standing::Up);
        let unanswered = self.open.values().map(|&from| Span { from, to: end });
        self.waits.extend(unanswered);
        Lane {
            name: name.to_owned(),
            group,
            bars: self.bars,
            leases: self.leases,
            pauses: self.pauses,
            ticks: self.ticks,
            waits: self.waits,
            notes: self.notes,
        }
    }
}
