//! What a round does step by step, and what its success or failure means for the engine's state.

use std::time::Duration;

use super::health::QUICK;
use super::machine::{Daemon, Life};
use super::stream::Ended;
use super::work::{MAX_OBJECTS, Object};
use super::{
    Admission, Call, CallError, Effect, EngineState, Failure, Level, Listed, OpId, Reply,
    SpecsReply, ViewChange, accept,
};
use crate::machine::Effects;
use crate::time::{Mono, Wall};

/// Specs are read this often.
const SPECS_EVERY: Duration = Duration::from_secs(300);
/// Every container is inspected anew this often: what neither its list entry nor an event told is noticed by then. A
/// million inspections are minutes of work.
const FULL_EVERY: Duration = Duration::from_secs(3_600);
/// How long opening an event stream may take.
const OPEN_LIMIT: Duration = Duration::from_secs(10);
/// Warnings shown of one reading of the specs.
const MAX_WARNINGS: usize = 8;

/// Where a round is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// None is under way.
    Idle,
    /// Is it there?
    Ping(OpId),
    /// Who is it?
    Specs(OpId),
    /// May it be in the cluster?
    Admit {
        op: OpId,
        daemon: Daemon,
        time: Option<Wall>,
    },
    /// The event stream is being opened.
    Stream,
    /// What runs there?
    List { op: OpId, full: bool },
    /// First round only: the rest of the view is being read.
    Settle,
    /// Removed: nothing happens any more.
    Gone,
}

impl Life {
    pub(super) fn begin_round(&mut self, now: Mono, out: &mut Effects<Effect>) {
        self.last_round = Some(now);
        let op = self.ask(now, Call::Ping, out);
        self.step = Step::Ping(op);
    }

    /// Begins the next round as soon as may be: not within a second of the last one, whatever an engine does.
    pub(super) fn hurry(&mut self, now: Mono) {
        let soon = now + QUICK / 1_000;
        let earliest = self.last_round.map_or(soon, |last| soon.max(last + QUICK));
        self.next_round = self.next_round.min(earliest);
    }

    pub(super) fn round_answered(
        &mut self,
        now: Mono,
        op: OpId,
        result: Result<Reply, CallError>,
        out: &mut Effects<Effect>,
    ) {
        match (self.step.clone(), result) {
            (Step::Ping(own), Ok(Reply::Pong)) if own == op => self.pinged(now, out),
            (Step::Specs(own), Ok(Reply::Specs(reply))) if own == op => {
                self.described(now, *reply, out);
            }
            (Step::List { op: own, full }, Ok(Reply::Containers(list))) if own == op => {
                self.listed(now, list, full, out);
            }
            (_, Ok(_)) => self.fail(now, &self.mismatch(), out),
            (_, Err(error)) => self.fail(now, &error, out),
        }
    }

    fn pinged(&mut self, now: Mono, out: &mut Effects<Effect>) {
        if self.daemon.is_none() || self.specs_at <= now {
            let op = self.ask(now, Call::Specs, out);
            self.step = Step::Specs(op);
        } else {
            self.ensure_stream(now, out);
        }
    }

    fn described(&mut self, now: Mono, reply: SpecsReply, out: &mut Effects<Effect>) {
        let SpecsReply {
            specs,
            mut warnings,
            system_time,
        } = reply;
        match accept(&self.address, &specs) {
            Ok(version) => self.api = Some(version),
            Err(reason) => return self.fail(now, &refused(reason), out),
        }
        warnings.truncate(MAX_WARNINGS);
        for warning in warnings.iter().filter(|text| !self.warned.contains(text)) {
            self.log(Level::Warn, warning.clone(), out);
        }
        self.warned = warnings;
        let op = self.op();
        self.expect_admission(now, op);
        self.step = Step::Admit {
            op,
            daemon: Daemon {
                id: specs.id.clone(),
                name: specs.name.clone(),
            },
            time: system_time,
        };
        out.push(Effect::Admit {
            op,
            specs: Box::new(specs),
        });
    }

    pub(super) fn admitted(
        &mut self,
        now: Mono,
        result: Result<Admission, String>,
        out: &mut Effects<Effect>,
    ) {
        let Step::Admit { daemon, time, .. } = self.step.clone() else {
            return;
        };
        match result {
            Ok(Admission::Same) => {}
            Ok(Admission::Changed) => self.full = true,
            Ok(Admission::New) => {
                self.known.clear();
                self.full = true;
            }
            Ok(Admission::Replaced { old }) => {
                let message = format!(
                    "Engine (ID: {old}, Addr: {}) shows up with another ID:{}. It is taken for a new engine",
                    self.address, daemon.id
                );
                self.log(Level::Warn, message, out);
                self.start_over(now, out);
                self.full = true;
            }
            Err(reason) => {
                self.start_over(now, out);
                return self.fail(now, &refused(reason), out);
            }
        }
        self.daemon = Some(daemon);
        self.specs_at = now + SPECS_EVERY;
        self.full |= self.full_at <= now;
        self.streams.begin_at(now, time);
        self.ensure_stream(now, out);
    }

    /// What was known belongs to another daemon: back to pending.
    fn start_over(&mut self, now: Mono, out: &mut Effects<Effect>) {
        let registered = self.registered();
        self.state = EngineState::Pending;
        self.close_streams(out);
        self.streams.reset(now);
        let tickets = self.work.reset();
        self.release(tickets, out);
        self.forget_flights();
        self.known.clear();
        self.show(out);
        if registered {
            self.publish("engine_disconnect", out);
        } else {
            self.outbox.forget();
        }
        self.daemon = None;
    }

    /// Opens the event stream before anything is listed, so that no change falls between the two.
    fn ensure_stream(&mut self, now: Mono, out: &mut Effects<Effect>) {
        if self.streams.due(now) {
            let op = self.op();
            // The runtime keeps to the limit; the rest is for an answer that gets lost.
            self.streams.open(op, now + OPEN_LIMIT + QUICK);
            out.push(Effect::OpenStream {
                op,
                since: self.streams.resume(),
                version: self.api,
                limit: OPEN_LIMIT,
            });
            if !self.streams.stands() {
                self.step = Step::Stream;
                return;
            }
        }
        self.list(now, out);
    }

    pub(super) fn stream_opened(&mut self, now: Mono, op: OpId, out: &mut Effects<Effect>) {
        let Some(replaced) = self.streams.opened(now, op) else {
            self.stale = self.stale.saturating_add(1);
            return;
        };
        if let Some(op) = replaced {
            out.push(Effect::CloseStream { op });
        }
        if self.step == Step::Stream {
            self.list(now, out);
        }
    }

    pub(super) fn stream_ended(
        &mut self,
        now: Mono,
        op: OpId,
        error: &CallError,
        out: &mut Effects<Effect>,
    ) {
        match self.streams.ended(now, op) {
            Ended::Unknown => self.stale = self.stale.saturating_add(1),
            // An engine that never sent events is not ready; one that is known may be polled until it does again.
            Ended::Opening if self.step == Step::Stream && !self.registered() => {
                self.fail(now, error, out);
            }
            Ended::Opening => {
                self.health.note(error);
                self.show(out);
                self.full = true;
                if self.step == Step::Stream {
                    self.list(now, out);
                }
            }
            Ended::Standing => {
                let message = format!("error monitoring events, will restart: {error}");
                self.log(Level::Debug, message, out);
                // Events are missed from here on, and the engine may be going down; whoever answers next may be another
                // daemon, or speak another version.
                self.full = true;
                self.specs_at = now;
                self.hurry(now);
            }
        }
    }

    fn list(&mut self, now: Mono, out: &mut Effects<Effect>) {
        self.touched.clear();
        let full = std::mem::take(&mut self.full);
        if full {
            self.full_at = now + FULL_EVERY;
        }
        let op = self.ask(now, Call::Containers, out);
        self.step = Step::List { op, full };
    }

    fn listed(&mut self, now: Mono, list: Vec<Listed>, full: bool, out: &mut Effects<Effect>) {
        if list.len() > MAX_OBJECTS {
            let error = CallError {
                kind: Failure::Garbage,
                reason: format!(
                    "engine {} lists {} containers; {MAX_OBJECTS} is the most swarm follows",
                    self.address,
                    list.len()
                ),
            };
            return self.fail(now, &error, out);
        }
        self.compare(list, full, out);
        for object in [Object::Images, Object::Networks, Object::Volumes] {
            self.want(object);
        }
        match self.state {
            EngineState::Healthy => self.finish_round(now, out),
            EngineState::Unhealthy => {
                let retries = self.health.failures();
                let message = format!("Engine came back to life after {retries} retries. Hooray!");
                self.log(Level::Info, message, out);
                self.state = EngineState::Healthy;
                self.finish_round(now, out);
                self.publish("engine_reconnect", out);
            }
            EngineState::Pending | EngineState::Disconnected => {
                self.work.settle();
                self.step = Step::Settle;
            }
        }
    }

    /// Registers the engine when its first listing is complete.
    pub(super) fn settled(&mut self, now: Mono, out: &mut Effects<Effect>) {
        if self.step != Step::Settle || self.work.settling > 0 {
            return;
        }
        self.state = EngineState::Healthy;
        let message = format!("Registered Engine {} at {}", self.name(), self.address);
        self.log(Level::Info, message, out);
        self.finish_round(now, out);
        self.publish("engine_connect", out);
    }

    fn finish_round(&mut self, now: Mono, out: &mut Effects<Effect>) {
        self.step = Step::Idle;
        self.health.succeed();
        let (min, max) = (self.options.refresh_min, self.options.refresh_max);
        let pause = self.random.duration(min, max.max(min)).max(QUICK / 1_000);
        self.next_round = now + pause;
        if self.full {
            self.hurry(now);
        }
        self.show_again(out);
    }

    /// A round, or a part of it that everything hangs on, has failed.
    pub(super) fn fail(&mut self, now: Mono, error: &CallError, out: &mut Effects<Effect>) {
        self.step = Step::Idle;
        self.count_failure(now, error, out);
        self.next_round = now + self.health.pause(&mut self.random);
        if !self.registered() {
            let once = self.health.failures() == self.options.failure_retry.max(1);
            let level = if once { Level::Warn } else { Level::Debug };
            self.log(
                level,
                format!("Failed to validate pending node: {error}"),
                out,
            );
            self.close_streams(out);
            let tickets = self.work.clear();
            self.release(tickets, out);
            self.full = true;
            self.specs_at = now;
        }
    }

    /// A call outside the round failed in a way that may mean that the engine is gone.
    pub(super) fn suspect(&mut self, now: Mono, error: &CallError, out: &mut Effects<Effect>) {
        match error.kind {
            Failure::Connect | Failure::Timeout => {}
            Failure::Status(_) | Failure::Garbage | Failure::Refused => return,
        }
        if self.state != EngineState::Healthy {
            return;
        }
        if error.kind == Failure::Connect && self.health.counts(now) {
            self.count_failure(now, error, out);
        }
        self.hurry(now);
    }

    fn count_failure(&mut self, now: Mono, error: &CallError, out: &mut Effects<Effect>) {
        self.health.fail(now, error);
        if self.state != EngineState::Healthy || !self.health.exhausted() {
            return self.show(out);
        }
        self.state = EngineState::Unhealthy;
        let failures = self.health.failures();
        let message =
            format!("Flagging engine as unhealthy. Connect failed {failures} times: {error}");
        self.log(Level::Warn, message, out);
        self.close_streams(out);
        if self.step == Step::Stream {
            self.step = Step::Idle;
            self.next_round = now + self.health.pause(&mut self.random);
        }
        let tickets = self.work.clear();
        self.release(tickets, out);
        // Whoever answers next may be another daemon.
        self.specs_at = now;
        self.full = true;
        self.show(out);
        self.publish("engine_disconnect", out);
    }

    /// Discovery no longer has the engine.
    pub(super) fn remove(&mut self, out: &mut Effects<Effect>) {
        let registered = self.registered();
        self.close_streams(out);
        self.forget_flights();
        let tickets = self.work.reset();
        self.release(tickets, out);
        self.known.clear();
        self.touched.clear();
        self.state = EngineState::Disconnected;
        self.step = Step::Gone;
        if registered {
            self.publish("engine_disconnect", out);
        }
        self.log(Level::Info, format!("Removed Engine {}", self.name()), out);
        out.push(Effect::View(ViewChange::Remove));
    }

    pub(super) fn registered(&self) -> bool {
        match self.state {
            EngineState::Healthy | EngineState::Unhealthy => true,
            EngineState::Pending | EngineState::Disconnected => false,
        }
    }

    fn close_streams(&mut self, out: &mut Effects<Effect>) {
        for op in self.streams.close() {
            out.push(Effect::CloseStream { op });
        }
    }

    pub(super) fn mismatch(&self) -> CallError {
        CallError {
            kind: Failure::Garbage,
            reason: format!("engine {} answered something else", self.address),
        }
    }
}

fn refused(reason: String) -> CallError {
    CallError {
        kind: Failure::Refused,
        reason,
    }
}
