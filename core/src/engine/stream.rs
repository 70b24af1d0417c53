//! The event stream of an engine: which one is listened to, where to resume, what was heard already.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::{Event, OpId};
use crate::time::{Mono, Wall, nanos};

/// A stream is replaced after this, by one that resumes where it is: a peer that vanished without a word (power
/// loss, a forgetful firewall) would otherwise leave a stream that stays silent for good.
pub(super) const MAX_AGE: Duration = Duration::from_secs(300);
/// Events remembered to recognise replays; an engine replays 256 at most.
const REMEMBERED: usize = 512;
const MAX_PAUSE: u64 = 10;
/// So much of what happened before an engine was reached for the first time is told at most. What another manager told of
/// it is recognised for longer ([`REMEMBERED`](crate::proxy::events::REMEMBERED)).
const LOOK_BACK: Duration = Duration::from_secs(300);

/// The streams of one engine: at most one that stands and one that is being opened.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    /// Since when this engine is to be listened to.
    wanted_since: Mono,
    current: Option<(OpId, Mono)>,
    opening: Option<(OpId, Mono)>,
    resume: Option<Wall>,
    heard: VecDeque<u64>,
    heard_set: BTreeSet<u64>,
    failures: u64,
    retry_at: Mono,
}

/// What the end of a stream means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Not one of ours.
    Unknown,
    /// It never stood.
    Opening,
    /// It stood: from now on events are missed.
    Standing,
}

impl Streams {
    pub(super) fn new(now: Mono) -> Self {
        Self {
            wanted_since: now,
            current: None,
            opening: None,
            resume: None,
            heard: VecDeque::new(),
            heard_set: BTreeSet::new(),
            failures: 0,
            retry_at: Mono::ZERO,
        }
    }

    /// Where a new stream should begin.
    pub(super) fn resume(&self) -> Option<Wall> {
        self.resume
    }

    /// The engine's clock when it was last asked, before the listing: what happens from here on must be heard, and what
    /// happened while it could not be reached.
    pub(super) fn begin_at(&mut self, now: Mono, time: Option<Wall>) {
        if self.resume.is_none() {
            let waited = nanos(now.since(self.wanted_since).min(LOOK_BACK));
            self.resume = time.map(|time| Wall(time.0.saturating_sub(waited)));
        }
    }

    /// Whether a stream should be opened now.
    pub(super) fn due(&self, now: Mono) -> bool {
        let old = self
            .current
            .is_none_or(|(_, since)| now.since(since) >= MAX_AGE);
        old && self.opening.is_none() && now >= self.retry_at
    }

    pub(super) fn stands(&self) -> bool {
        self.current.is_some()
    }

    /// A stream is being opened; it has until `deadline`.
    pub(super) fn open(&mut self, op: OpId, deadline: Mono) {
        self.opening = Some((op, deadline));
    }

    /// The stream that did not open in time.
    pub(super) fn overdue(&self, now: Mono) -> Option<OpId> {
        self.opening
            .filter(|(_, deadline)| *deadline <= now)
            .map(|(op, _)| op)
    }

    pub(super) fn deadline(&self) -> Option<Mono> {
        self.opening.map(|(_, deadline)| deadline)
    }

    /// A stream stands; the one it replaces is returned. `None` when it is not the one that was being opened.
    pub(super) fn opened(&mut self, now: Mono, op: OpId) -> Option<Option<OpId>> {
        self.opening.take_if(|(opening, _)| *opening == op)?;
        self.failures = 0;
        Some(self.current.replace((op, now)).map(|(old, _)| old))
    }

    /// A stream ended or could not be opened.
    pub(super) fn ended(&mut self, now: Mono, op: OpId) -> Ended {
        if self
            .opening
            .take_if(|(opening, _)| *opening == op)
            .is_some()
        {
            self.failures = self.failures.saturating_add(1);
            self.retry_at = now + Duration::from_secs(self.failures.min(MAX_PAUSE));
            return Ended::Opening;
        }
        match self.current.take_if(|(current, _)| *current == op) {
            Some(_) => Ended::Standing,
            None => Ended::Unknown,
        }
    }

    /// Closes everything; the streams to close are returned.
    pub(super) fn close(&mut self) -> impl Iterator<Item = OpId> + use<> {
        let (current, opening) = (self.current.take(), self.opening.take());
        self.retry_at = Mono::ZERO;
        current.into_iter().chain(opening).map(|(op, _)| op)
    }

    /// Forgets the past: another daemon answers now.
    pub(super) fn reset(&mut self, now: Mono) {
        self.wanted_since = now;
        self.resume = None;
        self.heard.clear();
        self.heard_set.clear();
    }

    pub(super) fn knows(&self, op: OpId) -> bool {
        let is = |stream: Option<(OpId, Mono)>| stream.is_some_and(|(own, _)| own == op);
        is(self.current) || is(self.opening)
    }

    /// Takes in an event; `false` when it was heard before.
    pub(super) fn hear(&mut self, event: &Event) -> bool {
        let fingerprint = event.fingerprint();
        if !self.heard_set.insert(fingerprint) {
            return false;
        }
        self.heard.push_back(fingerprint);
        if self.heard.len() > REMEMBERED
            && let Some(oldest) = self.heard.pop_front()
        {
            self.heard_set.remove(&oldest);
        }
        if event.time > Wall(0) {
            self.resume = Some(event.time);
        }
        true
    }
}
