//! A run as expectations look at it.

use std::time::Duration;

use swarm_sim::plan::Plan;
use swarm_sim::run::Run;
use swarm_sim::trace::{Event, HostId, Kind};

use super::Who;

/// A time in which somebody acted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) host: HostId,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// A request of a client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    pub(super) asked: u64,
    pub(super) answered: u64,
    pub(super) status: u64,
    pub(super) event: u64,
}

impl Request {
    /// The client was told that nothing was carried out.
    pub(super) fn is_refused(&self) -> bool {
        matches!(self.status, 421 | 503)
    }

    /// The client was not served: an engine's refusal (404, 409) is service.
    pub(super) fn is_failed(&self) -> bool {
        self.status == 0 || self.status == 421 || self.status >= 500
    }
}

pub(super) struct View<'a> {
    pub(super) plan: &'a Plan,
    pub(super) run: &'a Run,
    pub(super) spans: Vec<Span>,
}

impl<'a> View<'a> {
    pub(super) fn new(plan: &'a Plan, run: &'a Run) -> Self {
        Self {
            plan,
            run,
            spans: spans(run),
        }
    }

    fn events(&self, kind: Kind) -> impl Iterator<Item = &'a Event> {
        let events = self.run.trace.events();
        events.iter().filter(move |event| event.kind == kind)
    }

    /// When a fault began, in true time.
    pub(super) fn began(&self, fault: u32) -> Option<u64> {
        let mut began = self.events(Kind::FaultBegan);
        began
            .find(|event| event.a == u64::from(fault))
            .map(|event| event.at)
    }

    /// When a fault ended, in true time.
    pub(super) fn ended(&self, fault: u32) -> Option<u64> {
        let mut ended = self.events(Kind::FaultEnded);
        ended
            .find(|event| event.a == u64::from(fault))
            .map(|event| event.at)
    }

    /// Lines at `who` that contain `text`.
    pub(super) fn lines(&self, who: Who, text: &str) -> Vec<&'a Event> {
        let lines = self.events(Kind::Log);
        lines
            .filter(|line| self.is(line.host, who) && line.text.contains(text))
            .collect()
    }

    fn is(&self, host: HostId, who: Who) -> bool {
        let terms = &self.run.terms;
        match who {
            Who::Manager(n) => self.run.trace.host(host) == format!("m{n}"),
            Who::FirstPrimary => terms.first().is_some_and(|term| term.host == host),
            Who::LastPrimary => terms.last().is_some_and(|term| term.host == host),
            Who::Anybody => self.is_manager(host),
        }
    }

    pub(super) fn is_manager(&self, host: HostId) -> bool {
        let name = self.run.trace.host(host);
        name.strip_prefix('m')
            .is_some_and(|number| number.parse::<u8>().is_ok())
    }

    /// The host that plays a part.
    pub(super) fn host(&self, who: Who) -> Option<HostId> {
        let hosts = 0..self.run.trace.hosts().len();
        let mut hosts = hosts.filter_map(|host| HostId::try_from(host).ok());
        hosts.find(|&host| self.is(host, who))
    }

    /// Who acts at an instant.
    pub(super) fn acting(&self, at: u64) -> Vec<Span> {
        let spans = self.spans.iter().copied();
        spans
            .filter(|span| span.from <= at && at < span.to)
            .collect()
    }

    /// Whether the host's process runs at the end.
    pub(super) fn runs(&self, host: HostId) -> bool {
        let events = self.run.trace.events().iter().rev();
        let mut lives = events.filter(|event| {
            event.host == host && matches!(event.kind, Kind::Started | Kind::Ended)
        });
        lives
            .next()
            .is_some_and(|event| event.kind == Kind::Started)
    }

    /// How often managers were started.
    pub(super) fn starts(&self) -> usize {
        self.events(Kind::Started)
            .filter(|event| self.is_manager(event.host))
            .count()
    }

    /// Times without anybody acting, between the first primary and the end.
    pub(super) fn gaps(&self) -> Vec<(u64, u64)> {
        let mut gaps = Vec::new();
        let mut covered = self
            .spans
            .first()
            .map_or(self.run.simulated, |span| span.from);
        for span in &self.spans {
            if span.from > covered {
                gaps.push((covered, span.from));
            }
            covered = covered.max(span.to);
        }
        if self.run.simulated > covered {
            gaps.push((covered, self.run.simulated));
        }
        gaps
    }

    /// Times in which two act.
    pub(super) fn overlaps(&self) -> Vec<(u64, u64)> {
        let pairs = self.spans.iter().enumerate().flat_map(|(at, one)| {
            let later = self.spans.iter().skip(at + 1);
            later.map(move |other| (one, other))
        });
        pairs
            .filter(|(one, other)| one.host != other.host)
            .map(|(one, other)| (one.from.max(other.from), one.to.min(other.to)))
            .filter(|(from, to)| from < to)
            .collect()
    }

    /// Requests that were answered, in the order of answers.
    pub(super) fn requests(&self) -> Vec<Request> {
        let mut open = std::collections::BTreeMap::new();
        let mut requests = Vec::new();
        for event in self.run.trace.events() {
            if event.kind == Kind::Asked {
                open.insert(event.a, event.at);
            } else if event.kind == Kind::Answered
                && let Some(asked) = open.remove(&event.a)
            {
                requests.push(Request {
                    asked,
                    answered: event.at,
                    status: event.b,
                    event: event.seq,
                });
            }
        }
        requests
    }

    /// Requests that were asked after the warm-up: before, managers are not even listening.
    pub(super) fn warm_requests(&self) -> Vec<Request> {
        let first = self.run.terms.first().map_or(0, |term| term.at);
        let warm = first + nanos(self.plan.phases.warm_up_ms);
        let mut requests = self.requests();
        requests.retain(|request| request.asked >= warm);
        requests
    }

    /// The terms in words.
    pub(super) fn terms(&self) -> String {
        let terms = self.run.terms.iter().map(|term| {
            let host = self.run.trace.host(term.host);
            format!("{host} in epoch {} from {}", term.epoch, clock(term.at))
        });
        let terms: Vec<String> = terms.collect();
        if terms.is_empty() {
            "nobody acted".to_owned()
        } else {
            terms.join(", ")
        }
    }
}

/// True time in words.
pub(super) fn clock(at: u64) -> String {
    format!("{:.3} s", Duration::from_nanos(at).as_secs_f64())
}

/// Milliseconds as nanoseconds.
pub(super) fn nanos(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}

fn spans(run: &Run) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for event in run.trace.events() {
        let ends = matches!(event.kind, Kind::Idle | Kind::Ended | Kind::Acting);
        if ends {
            let mut open = spans
                .iter_mut()
                .filter(|span| span.host == event.host && span.to == u64::MAX);
            if let Some(span) = open.next() {
                span.to = event.at;
            }
        }
        if event.kind == Kind::Acting {
            spans.push(Span {
                host: event.host,
                from: event.at,
                to: u64::MAX,
            });
        }
    }
    for span in &mut spans {
        span.to = span.to.min(run.simulated.max(span.from));
    }
    spans
}
