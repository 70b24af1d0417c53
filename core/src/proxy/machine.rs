//! The state machine behind [`super`]'s types.

use std::collections::{BTreeMap, BTreeSet};

use super::primary::Primary;
use super::request::{Request, State};
use super::{
    Body, Config, Effect, FORMER_PRIMARY_GRACE, Failure, Input, Origin, PACE_MAX, PACE_MIN,
    Refusal, RequestId, SENT_ATTEMPTS_MAX, STREAM_STEADY, Server, Stats, View,
};
use crate::api::Class;
use crate::machine::{Digest, Effects, Machine, Wake};
use crate::testbed::{Mark, Mutant, planted, reach};
use crate::time::Mono;

/// Decides over requests. See the module's documentation for the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    config: Config,
    now: Mono,
    primary: Primary,
    requests: BTreeMap<RequestId, Request>,
    /// `(due, id)` of every request that waits for time.
    timers: BTreeSet<(Mono, RequestId)>,
    held: usize,
    held_bytes: u64,
    stale: u64,
}

impl Proxy {
    /// A proxy that knows no primary yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            primary: Primary::new(config.own_address.clone()),
            config,
            now: Mono::ZERO,
            requests: BTreeMap::new(),
            timers: BTreeSet::new(),
            held: 0,
            held_bytes: 0,
            stale: 0,
        }
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            held: self.held,
            held_bytes: self.held_bytes,
            requests: self.requests.len(),
            stale: self.stale,
        }
    }

    fn view_changed(&mut self, view: View, out: &mut Effects<Effect>) {
        let tunnels = self.primary.epoch();
        if !self.primary.learn(view) {
            return;
        }
        let epoch = self.primary.epoch();
        if epoch != tunnels && !planted(Mutant::KeepsTunnels) {
            out.push(Effect::CloseTunnels { before: epoch });
        }
        let ids: Vec<_> = self.requests.keys().copied().collect();
        for id in ids {
            self.follow_view(id, out);
        }
    }

    /// Takes a request to the new primary, now or, if the former one works on it, a little later.
    fn follow_view(&mut self, id: RequestId, out: &mut Effects<Effect>) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        request.pace = PACE_MIN;
        match request.state {
            State::Held => self.start(id, out),
            State::InFlight {
                epoch,
                remote: true,
                ..
            } if epoch < self.primary.epoch() && request.may_move() => match request.class {
                Class::Safe | Class::Stream(_) => self.move_on(id, out),
                Class::Idempotent
                | Class::StateIdempotent
                | Class::Keyed
                | Class::Once
                | Class::Upgrade => {
                    let due = self.now + FORMER_PRIMARY_GRACE;
                    let due = request.due.map_or(due, |earlier| earlier.min(due));
                    self.set_due(id, Some(due));
                }
            },
            State::New | State::InFlight { .. } | State::Streaming { .. } => {}
        }
    }

    fn arrived(
        &mut self,
        id: RequestId,
        class: Class,
        origin: Origin,
        body: Body,
        out: &mut Effects<Effect>,
    ) {
        if self.requests.contains_key(&id) {
            self.stale = self.stale.saturating_add(1);
            return;
        }
        if let Origin::Peer { expected_epoch } = origin {
            let acting = self.primary.target().is_some_and(|(server, epoch)| {
                server == Server::Local && expected_epoch.is_none_or(|expected| expected <= epoch)
            });
            if !acting && !planted(Mutant::NoHopLimit) {
                reach(Mark::Misdirected);
                let refusal = Refusal::Misdirected {
                    primary: self.primary.other(),
                };
                out.push(Effect::Answer { id, refusal });
                return;
            }
        }
        if self.requests.len() >= self.config.max_requests {
            let refusal = Refusal::Overloaded;
            out.push(Effect::Answer { id, refusal });
            return;
        }
        let request = Request {
            class,
            origin,
            body,
            deadline: self.now + self.config.primary_wait,
            attempt: 0,
            sent: 0,
            resuming: false,
            pace: PACE_MIN,
            state: State::New,
            due: None,
        };
        self.requests.insert(id, request);
        self.hold(id, self.now, out);
    }

    fn failed(
        &mut self,
        (id, attempt): (RequestId, u32),
        failure: Failure,
        replayable: bool,
        out: &mut Effects<Effect>,
    ) {
        let fresh_deadline = self.now + self.config.primary_wait;
        let Some((request, epoch, generation)) = self.in_flight(id, attempt) else {
            self.stale = self.stale.saturating_add(1);
            return;
        };
        let forwarded = !request.is_direct();
        let mut over = !replayable || forwarded;
        if failure == Failure::Broken {
            request.sent = request.sent.saturating_add(1);
            over |= !request.class.repeatable() && !planted(Mutant::RepeatsOnce);
            if !request.resuming {
                over |= request.sent >= SENT_ATTEMPTS_MAX;
                // The attempt may have taken any time: the wait for another primary starts now.
                request.deadline = fresh_deadline;
            }
        }
        let unsent = request.sent == 0;
        let refusal = request.refusal(Refusal::BodyUsed);
        self.primary.doubt(epoch);
        if let Failure::NotDispatched { hint: Some(hint) } = failure
            && self.primary.hear(hint)
            && !over
        {
            reach(Mark::HintFollowed);
        }
        if over {
            let refusal = if forwarded && unsent {
                Refusal::Misdirected {
                    primary: self.primary.other(),
                }
            } else {
                refusal
            };
            return self.refuse(id, refusal, out);
        }
        let at = self.next_try(id, generation);
        self.hold(id, at, out);
    }

    fn answered(&mut self, id: RequestId, attempt: u32, out: &mut Effects<Effect>) {
        let since = self.now;
        let Some((request, epoch, _)) = self.in_flight(id, attempt) else {
            self.stale = self.stale.saturating_add(1);
            return;
        };
        let (endless, resumable) = match request.class {
            Class::Stream(_) => (true, request.is_direct()),
            Class::Upgrade => (true, false),
            Class::Safe
            | Class::Idempotent
            | Class::StateIdempotent
            | Class::Keyed
            | Class::Once => (false, false),
        };
        if resumable {
            request.state = State::Streaming { epoch, since };
            request.resuming = true;
            self.set_due(id, None);
        } else {
            self.forget(id);
        }
        out.push(Effect::Relay { id, attempt });
        // It was opened at a primary that is none any more, after the others were closed.
        if endless && epoch < self.primary.epoch() {
            let before = self.primary.epoch();
            out.push(Effect::CloseTunnels { before });
        }
    }

    fn interrupted(&mut self, id: RequestId, attempt: u32, out: &mut Effects<Effect>) {
        let (now, wait) = (self.now, self.config.primary_wait);
        let streaming = match self.requests.get_mut(&id) {
            Some(request) if request.attempt == attempt => match request.state {
                State::Streaming { epoch, since } => Some((request, epoch, since)),
                State::New | State::Held | State::InFlight { .. } => None,
            },
            _ => None,
        };
        let Some((request, epoch, since)) = streaming else {
            self.stale = self.stale.saturating_add(1);
            return;
        };
        request.deadline = now + wait;
        request.sent = 0;
        if now.since(since) >= STREAM_STEADY || epoch < self.primary.epoch() {
            request.pace = PACE_MIN;
            self.hold(id, now, out);
        } else {
            let at = self.next_try(id, self.primary.generation());
            self.hold(id, at, out);
        }
    }

    /// When to try again: at once if the view changed since the last attempt, else after a pause.
    fn next_try(&mut self, id: RequestId, generation: u64) -> Mono {
        let Some(request) = self.requests.get_mut(&id) else {
            return self.now;
        };
        if generation != self.primary.generation() {
            return self.now;
        }
        let at = self.now + request.pace;
        request.pace = (request.pace * 2).min(PACE_MAX);
        at
    }

    /// Holds a request until `at`, then tries it; refuses it if there is no time or no room.
    fn hold(&mut self, id: RequestId, at: Mono, out: &mut Effects<Effect>) {
        let target = self.primary.target().is_some();
        let waits = at > self.now || !target;
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        let bytes = request.kept_bytes();
        if waits && self.now >= deadline(request) {
            reach(Mark::GivenUp);
            let refusal = request.refusal(Refusal::NoPrimary);
            return self.refuse(id, refusal, out);
        }
        let room = self.held < self.config.max_held
            && self.held_bytes.saturating_add(bytes) <= self.config.max_held_bytes;
        if waits && !room {
            let refusal = request.refusal(Refusal::Overloaded);
            return self.refuse(id, refusal, out);
        }
        request.state = State::Held;
        self.held += 1;
        self.held_bytes = self.held_bytes.saturating_add(bytes);
        if !waits {
            return self.start(id, out);
        }
        if !target {
            reach(Mark::Held);
        }
        // Without a primary only the view can help.
        let last = deadline(request);
        let due = if target { at.min(last) } else { last };
        self.set_due(id, Some(due));
    }

    /// Starts the next attempt of a held request, if there is anybody to take it.
    fn start(&mut self, id: RequestId, out: &mut Effects<Effect>) {
        let target = self.primary.target();
        let (epoch, generation) = (
            target.as_ref().map_or(0, |(_, epoch)| *epoch),
            self.primary.generation(),
        );
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        debug_assert_eq!(request.state, State::Held);
        let Some((by, _)) = target else {
            let last = deadline(request);
            return self.set_due(id, Some(last));
        };
        request.attempt = request.attempt.saturating_add(1);
        request.state = State::InFlight {
            epoch,
            generation,
            remote: by != Server::Local,
        };
        out.push(Effect::Attempt {
            id,
            attempt: request.attempt,
            by,
            epoch,
            kind: request.kind(),
        });
        let bytes = request.kept_bytes();
        self.release(bytes);
        self.set_due(id, None);
    }

    /// Takes a request away from a former primary.
    fn move_on(&mut self, id: RequestId, out: &mut Effects<Effect>) {
        reach(Mark::MovedOn);
        let Some(request) = self.requests.get(&id) else {
            return;
        };
        let attempt = request.attempt;
        out.push(Effect::Cancel { id, attempt });
        self.failed((id, attempt), Failure::Broken, true, out);
    }

    fn refuse(&mut self, id: RequestId, refusal: Refusal, out: &mut Effects<Effect>) {
        if refusal == Refusal::Unknown {
            reach(Mark::OutcomeUnknown);
        }
        let resuming = self.requests.get(&id).is_some_and(|r| r.resuming);
        self.forget(id);
        out.push(if resuming {
            Effect::Abandon { id }
        } else {
            Effect::Answer { id, refusal }
        });
    }

    fn forget(&mut self, id: RequestId) {
        self.set_due(id, None);
        let Some(request) = self.requests.remove(&id) else {
            self.stale = self.stale.saturating_add(1);
            return;
        };
        if request.state == State::Held {
            self.release(request.kept_bytes());
        }
    }

    fn release(&mut self, bytes: u64) {
        self.held = self.held.saturating_sub(1);
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
    }

    fn set_due(&mut self, id: RequestId, due: Option<Mono>) {
        let Some(request) = self.requests.get_mut(&id) else {
            return;
        };
        if let Some(old) = std::mem::replace(&mut request.due, due) {
            self.timers.remove(&(old, id));
        }
        if let Some(due) = due {
            self.timers.insert((due, id));
        }
    }

    /// The request, and epoch and view of its attempt, if that attempt is in flight.
    fn in_flight(&mut self, id: RequestId, attempt: u32) -> Option<(&mut Request, u64, u64)> {
        let request = self.requests.get_mut(&id)?;
        match request.state {
            State::InFlight {
                epoch, generation, ..
            } if request.attempt == attempt => Some((request, epoch, generation)),
            State::New | State::InFlight { .. } | State::Held | State::Streaming { .. } => None,
        }
    }
}

/// When a held request is given up.
fn deadline(request: &Request) -> Mono {
    if planted(Mutant::HoldsForEver) {
        return Mono(u64::MAX);
    }
    request.deadline
}

impl Machine for Proxy {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Mono, input: Input, out: &mut Effects<Effect>) {
        self.now = self.now.max(now);
        match input {
            Input::View(view) => self.view_changed(view, out),
            Input::Arrived {
                id,
                class,
                origin,
                body,
            } => self.arrived(id, class, origin, body, out),
            Input::Failed {
                id,
                attempt,
                failure,
                replayable,
            } => self.failed((id, attempt), failure, replayable, out),
            Input::Answered { id, attempt } => self.answered(id, attempt, out),
            Input::Interrupted { id, attempt } => self.interrupted(id, attempt, out),
            Input::Left { id } => self.forget(id),
        }
    }

    fn wake_at(&self) -> Option<Wake> {
        let (at, id) = *self.timers.first()?;
        let held = self
            .requests
            .get(&id)
            .is_some_and(|r| r.state == State::Held);
        let why = if held {
            "a held request is tried again or given up"
        } else {
            "a former primary keeps a request too long"
        };
        Some(Wake { at, why })
    }

    fn wake(&mut self, now: Mono, out: &mut Effects<Effect>) {
        self.now = self.now.max(now);
        while let Some((due, id)) = self.timers.first().copied() {
            if due > self.now {
                return;
            }
            let Some(request) = self.requests.get(&id) else {
                self.timers.remove(&(due, id));
                continue;
            };
            match request.state {
                State::Held if self.now >= deadline(request) => {
                    reach(Mark::GivenUp);
                    let refusal = request.refusal(Refusal::NoPrimary);
                    self.refuse(id, refusal, out);
                }
                State::Held => self.start(id, out),
                State::InFlight { .. } => self.move_on(id, out),
                State::New | State::Streaming { .. } => self.set_due(id, None),
            }
        }
    }

    fn digest(&self) -> u64 {
        Digest::of(self)
    }
}
