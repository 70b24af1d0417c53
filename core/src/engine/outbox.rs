//! Events on their way to subscribers: in order, and not before the view shows what they tell.

use std::collections::VecDeque;
use std::time::Duration;

use super::work::{Object, Work};
use super::{Effect, Event, Notice};
use crate::machine::Effects;
use crate::time::Mono;

/// An event does not wait longer than this for the view: one slow inspection must not hold up the others (E16).
const PATIENCE: Duration = Duration::from_secs(1);
/// Most events that wait.
pub(super) const MAX_WAITING: usize = 256;

/// Events that wait for the refresh they caused.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Waiting>,
}

#[derive(Clone, Debug)]
struct Waiting {
    event: Event,
    refresh: Option<Object>,
    until: Mono,
}

impl Outbox {
    pub(super) fn push(
        &mut self,
        now: Mono,
        event: Event,
        refresh: Option<Object>,
        out: &mut Effects<Effect>,
    ) {
        if self.waiting.len() >= MAX_WAITING
            && let Some(oldest) = self.waiting.pop_front()
        {
            out.push(Effect::Publish(Notice::Engine(oldest.event)));
        }
        self.waiting.push_back(Waiting {
            event,
            refresh,
            until: now + PATIENCE,
        });
    }

    /// Sends what need not wait any longer.
    pub(super) fn send(&mut self, now: Mono, work: &Work, out: &mut Effects<Effect>) {
        while let Some(first) = self.waiting.front() {
            let waits = first
                .refresh
                .as_ref()
                .is_some_and(|object| now < first.until && work.has(object));
            if waits {
                return;
            }
            if let Some(first) = self.waiting.pop_front() {
                out.push(Effect::Publish(Notice::Engine(first.event)));
            }
        }
    }

    /// Sends everything.
    pub(super) fn flush(&mut self, out: &mut Effects<Effect>) {
        for waiting in self.waiting.drain(..) {
            out.push(Effect::Publish(Notice::Engine(waiting.event)));
        }
    }

    /// Drops everything: it was another daemon's, of which nobody has heard.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
    }

    /// When the first event has waited long enough.
    pub(super) fn next_at(&self) -> Option<Mono> {
        self.waiting.front().map(|first| first.until)
    }
}
