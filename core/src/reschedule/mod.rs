//! Rescheduling: containers with the policy `on-node-failure` leave an engine that failed (spec/classic.md section 6.9).
//!
//! [`Rescheduler`] decides what to do from what is there now, a [`Sight`] of the view, and never from events alone: a
//! manager that becomes the primary while engines are down does what the last one did not come to (defect H4). What was
//! begun is recognised by the label of the new container (see [`Move`](crate::cluster::Move)), so that the next primary
//! ends it. Only the acting primary decides, and every step of a job passes the gate again (H5).
//!
//! An engine must have been down without a break for a grace period, counted by this manager from when it began to act.
//! While more than half of the engines are down nothing moves: then it is likelier the manager that is cut off. A job
//! that fails is tried again later, for as long as there is reason to (E10).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::address::HostPort;
use crate::machine::{Digest, Effects, Machine, Wake};
use crate::testbed::{Mutant, planted};
use crate::time::Mono;

mod sight;
#[cfg(test)]
mod tests;

pub use sight::{Sight, Todo, Undecided, Why, has_to_move};

/// How long an engine must have been down before its containers are moved, unless configured otherwise.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(30);
/// Jobs under way at one time.
pub const JOBS_MAX: usize = 4;
/// Between two looks when nothing happens.
const LOOK_PERIOD: Duration = Duration::from_secs(15);
/// Before a failed job is tried again; doubled for each time it has failed before.
const RETRY_FIRST: Duration = Duration::from_secs(5);
/// The longest of these waits.
const RETRY_LAST: Duration = Duration::from_secs(300);
/// Containers told about or remembered at once; more than any engine has that can be moved at all.
const REMEMBERED_MAX: usize = 10_000;

/// What is to be done with a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A former copy that never ran: remove it, without its volumes.
    Remove,
    /// A former copy that has run: stop it if it runs, and give its name up. It is never destroyed.
    Retire,
    /// A new copy that was made and is not as it should be: join its networks and start it.
    Finish,
    /// Its engine failed: make it again elsewhere.
    Move,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The epoch to do it in; `None` without replication.
    pub epoch: Option<u64>,
    /// The engine the container is on.
    pub engine: HostPort,
    /// The container's full ID.
    pub id: Arc<str>,
    /// What.
    pub work: Work,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or nothing was left to do.
    Done,
    /// Not done, with the reason.
    Failed(String),
    /// The gate was closed.
    Stopped,
}

/// What happens to a [`Rescheduler`].
#[derive(Clone, Debug)]
pub enum Input {
    /// The manager acts, in this epoch (`Some(None)` without replication), or does not.
    Acting(Option<Option<u64>>),
    /// Something in the cluster changed that may matter.
    Stirred,
    /// An engine answered again, for however short a time.
    Returned(HostPort),
    /// What [`Effect::Look`] asked for.
    Saw(Sight),
    /// A job ended.
    Ended(Arc<str>, Outcome),
}

/// What a [`Rescheduler`] wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Look at the view; [`Input::Saw`] brings it.
    Look,
    /// Start a job; [`Input::Ended`] tells its end.
    Start(Job),
    /// Tell an operator that nothing is moved because too many engines are down.
    Held {
        /// Engines that are down.
        down: usize,
        /// All engines.
        engines: usize,
    },
    /// Tell an operator that two copies exist and swarm cannot choose.
    Undecided(Undecided),
    /// Tell an operator that a job failed.
    Failed {
        /// The container.
        id: Arc<str>,
        /// Why.
        reason: String,
        /// When it is tried again.
        again_in: Duration,
    },
}

/// Decides what to move, when.
#[derive(Clone, Debug, PartialEq)]
pub struct Rescheduler {
    grace: Duration,
    now: Mono,
    acting: Option<Option<u64>>,
    next_look: Mono,
    looking: Looking,
    /// Failed engines, and since when without a break.
    down: BTreeMap<HostPort, Mono>,
    held: bool,
    running: BTreeSet<Arc<str>>,
    failures: BTreeMap<Arc<str>, Failures>,
    told: BTreeSet<Arc<str>>,
    ignored: u64,
}

/// A look walks over all there is: there is never more than one, however much happens meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Looking {
    /// None is under way.
    #[default]
    No,
    /// One is.
    UnderWay,
    /// One is, and may have missed what happened since: another follows.
    Again,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failures {
    count: u32,
    again_at: Mono,
}

impl Rescheduler {
    /// Does not act yet. `grace` is how long an engine must have been down.
    #[must_use]
    pub fn new(grace: Duration) -> Self {
        let grace = if planted(Mutant::MovesAtOnce) {
            Duration::ZERO
        } else {
            grace
        };
        Self {
            grace,
            now: Mono::ZERO,
            acting: None,
            next_look: Mono::ZERO,
            looking: Looking::No,
            down: BTreeMap::new(),
            held: false,
            running: BTreeSet::new(),
            failures: BTreeMap::new(),
            told: BTreeSet::new(),
            ignored: 0,
        }
    }

    /// Ends of jobs that were not under way.
    #[must_use]
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    fn act(&mut self, acting: Option<Option<u64>>, out: &mut Effects<Effect>) {
        if self.acting == acting {
            return;
        }
        self.acting = acting;
        // What another primary saw, this one has to see for itself.
        self.down.clear();
        self.failures.clear();
        self.told.clear();
        self.held = false;
        self.look(out);
    }

    fn look(&mut self, out: &mut Effects<Effect>) {
        if self.acting.is_none() {
            return;
        }
        self.next_look = self.now + LOOK_PERIOD;
        self.looking = match self.looking {
            Looking::No => {
                out.push(Effect::Look);
                Looking::UnderWay
            }
            Looking::UnderWay | Looking::Again => Looking::Again,
        };
    }

    fn saw(&mut self, sight: Sight, out: &mut Effects<Effect>) {
        let missed = std::mem::take(&mut self.looking) == Looking::Again;
        let Some(epoch) = self.acting else { return };
        self.note_engines(&sight, out);
        let known: BTreeSet<_> = sight.todos.iter().map(|todo| todo.id.clone()).collect();
        self.failures.retain(|id, _| known.contains(id));
        self.tell_undecided(sight.undecided, out);
        let lost = sight.todos.iter().filter(|todo| todo.work == Work::Move);
        let lost: BTreeSet<_> = lost.map(|todo| todo.id.clone()).collect();
        for todo in sight.todos {
            if self.running.len() >= JOBS_MAX {
                break;
            }
            if !self.is_due(&todo, &lost) {
                continue;
            }
            self.running.insert(todo.id.clone());
            out.push(Effect::Start(Job {
                epoch,
                engine: todo.engine,
                id: todo.id,
                work: todo.work,
            }));
        }
        self.plan_next_look();
        if missed {
            self.look(out);
        }
    }

    fn note_engines(&mut self, sight: &Sight, out: &mut Effects<Effect>) {
        let now = self.now;
        let is_down = |engine: &HostPort| sight.engines.get(engine) == Some(&true);
        self.down.retain(|engine, _| is_down(engine));
        for engine in sight.engines.keys().filter(|engine| is_down(engine)) {
            self.down.entry(engine.clone()).or_insert(now);
        }
        let (down, engines) = (self.down.len(), sight.engines.len());
        let held = down * 2 > engines;
        if held {
            // They come back one after the other: the last ones must not be taken for failed in between.
            self.down.values_mut().for_each(|since| *since = now);
        }
        if held && !self.held {
            out.push(Effect::Held { down, engines });
        }
        self.held = held;
    }

    fn tell_undecided(&mut self, undecided: Vec<Undecided>, out: &mut Effects<Effect>) {
        let still: BTreeSet<_> = undecided.iter().map(|one| one.id.clone()).collect();
        self.told.retain(|id| still.contains(id));
        let mut told = 0;
        for one in undecided {
            if told < JOBS_MAX
                && self.told.len() < REMEMBERED_MAX
                && self.told.insert(one.id.clone())
            {
                told += 1;
                out.push(Effect::Undecided(one));
            }
        }
    }

    fn is_due(&self, todo: &Todo, lost: &BTreeSet<Arc<str>>) -> bool {
        let waits = |failures: &Failures| failures.again_at > self.now;
        if self.running.contains(&todo.id) || self.failures.get(&todo.id).is_some_and(waits) {
            return false;
        }
        match todo.work {
            Work::Remove | Work::Retire => true,
            Work::Finish => !todo.after.iter().any(|old| self.running.contains(old)),
            Work::Move => {
                let since = self.down.get(&todo.engine);
                let long_enough = since.is_some_and(|since| self.now.since(*since) >= self.grace);
                let alone = !todo.after.iter().any(|other| lost.contains(other));
                long_enough && alone && !self.held
            }
        }
    }

    fn ended(&mut self, id: Arc<str>, outcome: Outcome, out: &mut Effects<Effect>) {
        if !self.running.remove(&id) {
            self.ignored += 1;
            return;
        }
        if outcome == Outcome::Done {
            self.failures.remove(&id);
        } else if self.acting.is_some() && self.failures.len() < REMEMBERED_MAX {
            let count = self.failures.get(&id).map_or(0, |before| before.count);
            let again_in = RETRY_FIRST
                .saturating_mul(2_u32.saturating_pow(count))
                .min(RETRY_LAST);
            let failures = Failures {
                count: count.saturating_add(1),
                again_at: self.now + again_in,
            };
            self.failures.insert(id.clone(), failures);
            if let Outcome::Failed(reason) = outcome {
                out.push(Effect::Failed {
                    id,
                    reason,
                    again_in,
                });
            }
        }
        self.look(out);
    }

    /// The next time at which something becomes due by the passing of time alone.
    fn plan_next_look(&mut self) {
        let graces = self.down.values().map(|since| *since + self.grace);
        let retries = self.failures.values().map(|failures| failures.again_at);
        let soonest = graces.chain(retries).filter(|at| *at > self.now).min();
        let regular = self.now + LOOK_PERIOD;
        self.next_look = soonest.map_or(regular, |at| at.min(regular));
    }
}

impl Machine for Rescheduler {
    type Input = Input;
    type Effect = Effect;

    fn handle(&mut self, now: Mono, input: Input, out: &mut Effects<Effect>) {
        self.now = self.now.max(now);
        match input {
            Input::Acting(acting) => self.act(acting, out),
            Input::Stirred => self.look(out),
            Input::Returned(engine) => {
                self.down.remove(&engine);
                self.look(out);
            }
            Input::Saw(sight) => self.saw(sight, out),
            Input::Ended(id, outcome) => self.ended(id, outcome, out),
        }
    }

    fn wake_at(&self) -> Option<Wake> {
        self.acting.is_some().then_some(Wake {
            at: self.next_look,
            why: "looking for containers to move",
        })
    }

    fn wake(&mut self, now: Mono, out: &mut Effects<Effect>) {
        self.now = self.now.max(now);
        if self.now >= self.next_look {
            self.look(out);
        }
    }

    fn digest(&self) -> u64 {
        Digest::of(self)
    }
}
