//! The machine itself: inputs, time, and the bookkeeping of calls. What a round does is in `rounds`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use super::health::Health;
use super::outbox::Outbox;
use super::rounds::Step;
use super::stream::Streams;
use super::work::{Object, Work};
use super::{
    ApiVersion, Call, CallError, Effect, EngineOptions, EngineState, Failure, Input, OpId, Part,
    Reply,
};
use crate::address::HostPort;
use crate::machine::{Digest, Effects, Machine, Wake};
use crate::rng::Random;
use crate::time::Mono;

/// Most calls under way to one engine, event streams not counted.
pub const MAX_IN_FLIGHT: usize = 8;
/// A call that the runtime never answers is taken for timed out this long after its limit.
const GRACE: Duration = Duration::from_secs(5);
/// How long the event of a change may come after the answer to who made it, before the manager reads without it.
pub(super) const EVENT_PATIENCE: Duration = Duration::from_millis(5);

/// One engine's life, from discovery to removal (spec/classic.md section 6).
///
/// It works in *rounds*: ping; read the specs when they are due; make sure the event stream stands; list
/// containers; then refresh whatever is out of date, up to [`MAX_IN_FLIGHT`] calls at once. A round that gets as far
/// as the list proves the engine healthy; one that does not counts as a failure and is repeated soon. Between
/// rounds, events say what to refresh.
#[derive(Clone, Debug)]
pub struct EngineMachine {
    now: Mono,
    life: Life,
}

/// Everything but the clock.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) address: HostPort,
    pub(super) options: EngineOptions,
    pub(super) random: Random,
    pub(super) state: EngineState,
    pub(super) health: Health,
    pub(super) daemon: Option<Daemon>,
    pub(super) api: Option<ApiVersion>,
    pub(super) step: Step,
    /// When the next round begins, if none is under way.
    pub(super) next_round: Mono,
    pub(super) last_round: Option<Mono>,
    /// Inspect every container in the next listing, not only new and changed ones.
    pub(super) full: bool,
    /// When that is due whatever happens.
    pub(super) full_at: Mono,
    pub(super) specs_at: Mono,
    pub(super) warned: Vec<String>,
    pub(super) streams: Streams,
    pub(super) work: Work,
    pub(super) outbox: Outbox,
    /// Containers in the view; the mark of the list entry each was last inspected with.
    pub(super) known: BTreeMap<Arc<str>, Option<NonZeroU64>>,
    /// Containers that events spoke of while a list was under way: the list may be older.
    pub(super) touched: BTreeSet<Arc<str>>,
    flights: BTreeMap<OpId, Flight>,
    next_op: u64,
    pub(super) stale: u64,
    pub(super) shown: Option<(EngineState, u8, Option<String>)>,
}

/// The daemon behind the address, once the cluster view has admitted it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Daemon {
    pub(super) id: String,
    pub(super) name: String,
}

#[derive(Clone, Debug)]
struct Flight {
    purpose: Purpose,
    deadline: Mono,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Purpose {
    Round,
    Object(Object),
}

impl EngineMachine {
    /// A machine for the engine at `address`, which starts with the first wake.
    #[must_use]
    pub fn new(address: HostPort, options: EngineOptions, random: Random, now: Mono) -> Self {
        let health = Health::new(options.failure_retry);
        Self {
            now,
            life: Life {
                address,
                options,
                random,
                state: EngineState::Pending,
                health,
                daemon: None,
                api: None,
                step: Step::Idle,
                next_round: now,
                last_round: None,
                full: true,
                specs_at: now,
                full_at: now,
                warned: Vec::new(),
                streams: Streams::new(now),
                work: Work::default(),
                outbox: Outbox::default(),
                known: BTreeMap::new(),
                touched: BTreeSet::new(),
                flights: BTreeMap::new(),
                next_op: 0,
                stale: 0,
                shown: None,
            },
        }
    }

    /// Where the engine stands.
    #[must_use]
    pub fn state(&self) -> EngineState {
        self.life.state
    }

    /// Consecutive failures.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.life.health.failures()
    }

    /// What the last call failed with, if that is not over.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.life.health.reason()
    }

    /// Calls under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.life.flights.len()
    }

    /// Inputs that named a call or stream this machine does not wait for.
    #[must_use]
    pub fn stale(&self) -> u64 {
        self.life.stale
    }
}

impl Machine for EngineMachine {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Mono, input: Input, out: &mut Effects<Effect>) {
        self.now = self.now.max(now);
        self.life.handle(self.now, input, out);
        // Inputs without end must not keep it from what is due.
        self.life.due(self.now, out);
    }

    fn wake_at(&self) -> Option<Wake> {
        self.life.wake_at()
    }

    fn wake(&mut self, now: Mono, out: &mut Effects<Effect>) {
        self.now = self.now.max(now);
        self.life.due(self.now, out);
    }

    fn digest(&self) -> u64 {
        Digest::of(&self.life)
    }
}

impl Life {
    fn handle(&mut self, now: Mono, input: Input, out: &mut Effects<Effect>) {
        if self.step == Step::Gone {
            if let Input::Refresh { ticket, .. } | Input::Join { ticket, .. } = input {
                return out.push(Effect::Refreshed { ticket });
            }
            self.stale = self.stale.saturating_add(1);
            return;
        }
        match input {
            Input::Answered { op, result } => self.answered(now, op, result, out),
            Input::Admitted { op, result } => {
                if self.take_round(op) {
                    self.admitted(now, result, out);
                }
            }
            Input::StreamOpened { op } => self.stream_opened(now, op, out),
            Input::StreamEvent { op, event } => {
                if !self.streams.knows(op) {
                    self.stale = self.stale.saturating_add(1);
                } else if self.streams.hear(&event) {
                    self.react(now, *event, out);
                }
            }
            Input::StreamEnded { op, error } => self.stream_ended(now, op, &error, out),
            Input::Proxied(Ok(())) => {
                if self.health.failures() > 0 {
                    self.hurry(now);
                }
            }
            Input::Proxied(Err(error)) => self.suspect(now, &error, out),
            Input::Refresh { part, ticket } => self.refresh(part, ticket, out),
            Input::Join { container, ticket } => {
                let patience = match self.streams.stands() {
                    true => EVENT_PATIENCE,
                    false => Duration::ZERO,
                };
                let object = Object::Container(container);
                if self.state != EngineState::Healthy
                    || !self.work.expect(&object, ticket, now + patience)
                {
                    out.push(Effect::Refreshed { ticket });
                }
            }
            Input::RefreshAll => {
                self.full = true;
                self.hurry(now);
            }
            Input::Remove => self.remove(out),
        }
    }

    fn refresh(&mut self, part: Part, ticket: u64, out: &mut Effects<Effect>) {
        let object = match part {
            Part::Container(id) => Object::Container(id),
            Part::Images => Object::Images,
            Part::Networks => Object::Networks,
            Part::Volumes => Object::Volumes,
        };
        if self.state != EngineState::Healthy || !self.work.want_first(object, ticket) {
            out.push(Effect::Refreshed { ticket });
        }
    }

    fn answered(
        &mut self,
        now: Mono,
        op: OpId,
        result: Result<Reply, CallError>,
        out: &mut Effects<Effect>,
    ) {
        let Some(flight) = self.flights.remove(&op) else {
            self.stale = self.stale.saturating_add(1);
            return;
        };
        match flight.purpose {
            Purpose::Round => self.round_answered(now, op, result, out),
            Purpose::Object(object) => self.object_answered(now, &object, result, out),
        }
    }

    fn due(&mut self, now: Mono, out: &mut Effects<Effect>) {
        self.expire(now, out);
        if self.step == Step::Idle && self.next_round <= now {
            self.begin_round(now, out);
        }
        self.settle_up(now, out);
    }

    /// What follows from any change: calls that can start now, events that can go out now.
    fn settle_up(&mut self, now: Mono, out: &mut Effects<Effect>) {
        self.settled(now, out);
        while self.may_start() {
            let op = OpId(self.next_op + 1);
            let Some((object, call)) = self.work.next(now, op) else {
                break;
            };
            self.next_op = op.0;
            self.start(now, op, call, Purpose::Object(object), out);
        }
        // What was heard before is told of an engine that subscribers know.
        if self.registered() {
            self.outbox.send(now, &self.work, out);
        }
    }

    /// Whether another object may be asked for. One place is kept for the round: slow inspections must not keep the
    /// manager from noticing that the engine is well, or not.
    fn may_start(&self) -> bool {
        let objects = self
            .flights
            .values()
            .filter(|flight| flight.purpose != Purpose::Round)
            .count();
        let wanted = self.state == EngineState::Healthy || self.step == Step::Settle;
        wanted && objects < self.work.at_once()
    }

    fn wake_at(&self) -> Option<Wake> {
        let wake = |at: Option<Mono>, why| at.map(|at| Wake { at, why });
        let round = match self.step {
            Step::Gone => return None,
            Step::Idle => Some(self.next_round),
            Step::Ping(_)
            | Step::Specs(_)
            | Step::Admit { .. }
            | Step::Stream
            | Step::List { .. }
            | Step::Settle => None,
        };
        let overdue = self.flights.values().map(|flight| flight.deadline).min();
        let later = self.work.next_at().filter(|_| self.may_start());
        [
            wake(round, "the next round"),
            wake(overdue, "a call without an answer"),
            wake(
                self.streams.deadline(),
                "an event stream that does not open",
            ),
            wake(later, "what is to be read later"),
            wake(
                self.registered().then(|| self.outbox.next_at()).flatten(),
                "an event that has waited long enough",
            ),
        ]
        .into_iter()
        .fold(None, Wake::earlier)
    }

    /// Takes calls and streams that nobody answered for timed out, so that a lost answer never stops the machine.
    fn expire(&mut self, now: Mono, out: &mut Effects<Effect>) {
        let error = || CallError {
            kind: Failure::Timeout,
            reason: format!("engine {} gave no answer in time", self.address),
        };
        let overdue: Vec<_> = self
            .flights
            .iter()
            .filter(|(_, flight)| flight.deadline <= now)
            .map(|(op, _)| *op)
            .collect();
        let (error, stream) = (error(), self.streams.overdue(now));
        for op in overdue {
            self.answered(now, op, Err(error.clone()), out);
        }
        if let Some(op) = stream {
            out.push(Effect::CloseStream { op });
            self.stream_ended(now, op, &error, out);
        }
    }

    pub(super) fn op(&mut self) -> OpId {
        self.next_op += 1;
        OpId(self.next_op)
    }

    /// Starts a call of the round.
    pub(super) fn ask(&mut self, now: Mono, call: Call, out: &mut Effects<Effect>) -> OpId {
        let op = self.op();
        self.start(now, op, call, Purpose::Round, out);
        op
    }

    fn start(
        &mut self,
        now: Mono,
        op: OpId,
        call: Call,
        purpose: Purpose,
        out: &mut Effects<Effect>,
    ) {
        let limit = call.limit();
        let version = match call {
            // Before the versions are known, and to learn them.
            Call::Ping | Call::Specs => None,
            Call::Containers
            | Call::Container { .. }
            | Call::Images
            | Call::Networks
            | Call::Network(_)
            | Call::Volumes
            | Call::Volume(_) => self.api,
        };
        self.expect(now, op, purpose, limit);
        out.push(Effect::Call { op, call, version });
    }

    fn expect(&mut self, now: Mono, op: OpId, purpose: Purpose, limit: Duration) {
        let deadline = now + limit + GRACE;
        self.flights.insert(op, Flight { purpose, deadline });
    }

    /// Expects the cluster view's answer under `op`.
    pub(super) fn expect_admission(&mut self, now: Mono, op: OpId) {
        self.expect(now, op, Purpose::Round, GRACE);
    }

    fn take_round(&mut self, op: OpId) -> bool {
        let waits = matches!(self.step, Step::Admit { op: own, .. } if own == op);
        if waits {
            self.flights.remove(&op);
        } else {
            self.stale = self.stale.saturating_add(1);
        }
        waits
    }

    /// Forgets every call under way; their answers are stale.
    pub(super) fn forget_flights(&mut self) {
        self.flights.clear();
    }

    pub(super) fn want(&mut self, object: Object) {
        if !self.work.want(object) {
            self.full = true;
        }
    }
}
