//! Processes that stand still: every task of a host passes a gate each time it gets a turn.
//!
//! A host is *stopped* (SIGSTOP: its clock goes on, its timers fire late and all at once), *frozen* (a virtual machine:
//! its clock stops too) or *slow* (its tasks get a turn now and then). While its gate is shut a task that is woken is put
//! down; when the gate opens they are woken in the order in which they were put down. The kernel of a stopped process
//! lives on: what was sent to it waits in its sockets.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use swarm::platform::BoxFuture;

use crate::trace::{HostId, NOWHERE};

thread_local! {
    /// The host whose task has its turn.
    static TURN: std::cell::Cell<HostId> = const { std::cell::Cell::new(NOWHERE) };
}

/// Whether a task of some host has its turn right now, on this thread.
pub(crate) fn in_task() -> bool {
    TURN.get() != NOWHERE
}

/// The host whose task has its turn; [`NOWHERE`] between turns.
pub(crate) fn current_host() -> HostId {
    TURN.get()
}

/// The gate of one host's tasks. It outlives the host's processes.
pub(crate) struct Gate {
    host: HostId,
    state: Mutex<State>,
}

/// Where a task waits between its turns; empty when it is over.
type Cell = Arc<Mutex<Option<BoxFuture<'static, ()>>>>;

fn take(cell: &Cell) -> Option<BoxFuture<'static, ()>> {
    cell.lock().unwrap_or_else(PoisonError::into_inner).take()
}

fn put(cell: &Cell, task: BoxFuture<'static, ()>) {
    *cell.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
}

#[derive(Default)]
struct State {
    /// Faults that stop the process.
    stopped: BTreeSet<u32>,
    /// Faults that freeze the machine.
    frozen: BTreeSet<u32>,
    /// Faults that starve it, with the time between two turns in nanoseconds.
    slow: BTreeMap<u32, u64>,
    /// A starved host has its turn.
    turn: bool,
    /// Tasks that were woken while the gate was shut, in that order.
    parked: VecDeque<u64>,
    /// All live tasks, with the way to wake them.
    tasks: BTreeMap<u64, (Cell, Option<Waker>)>,
    /// The process is being ended: its tasks are dropped.
    ending: bool,
    next_task: u64,
    /// The task that starts those given from outside.
    main: Option<u64>,
    inbox: Vec<BoxFuture<'static, ()>>,
    panics: Vec<String>,
}

impl State {
    fn is_shut(&self) -> bool {
        let starved = !self.slow.is_empty() && !self.turn;
        !self.stopped.is_empty() || !self.frozen.is_empty() || starved
    }

    fn waker(&self, task: u64) -> Option<Waker> {
        self.tasks.get(&task)?.1.clone()
    }
}

/// Why tasks stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// The process is stopped.
    Stopped,
    /// The machine is frozen.
    Frozen,
    /// Turns come this far apart, in nanoseconds.
    Slow(u64),
}

impl Gate {
    pub(crate) fn new(host: HostId) -> Arc<Self> {
        Arc::new(Self {
            host,
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fault `id` makes the tasks stand still.
    pub(crate) fn shut(&self, id: u32, stand: Stand) {
        let mut state = self.lock();
        match stand {
            Stand::Stopped => {
                state.stopped.insert(id);
            }
            Stand::Frozen => {
                state.frozen.insert(id);
            }
            Stand::Slow(every) => {
                state.slow.insert(id, every.max(1));
                state.turn = false;
            }
        }
    }

    /// Fault `id` is over.
    pub(crate) fn open(&self, id: u32) {
        {
            let mut state = self.lock();
            state.stopped.remove(&id);
            state.frozen.remove(&id);
            state.slow.remove(&id);
        }
        self.wake_parked();
    }

    /// Whether fault `id` is what keeps the machine frozen.
    pub(crate) fn thaws(&self, id: u32) -> bool {
        let state = self.lock();
        state.frozen.len() == 1 && state.frozen.contains(&id)
    }

    /// The process is about to be ended, and with it that it was stopped.
    ///
    /// tokio drops the tasks of a runtime in an order that depends on how many tasks there were before, in this or any
    /// other run: whichever comes first takes all others with it, in the order in which they were started.
    pub(crate) fn process_ends(&self) {
        let mut state = self.lock();
        state.stopped.clear();
        state.parked.clear();
        state.inbox.clear();
        state.ending = true;
    }

    fn drop_tasks(&self) {
        let cells: Vec<Cell> = {
            let mut state = self.lock();
            if !std::mem::take(&mut state.ending) {
                return;
            }
            state.tasks.values().map(|(cell, _)| cell.clone()).collect()
        };
        for cell in cells {
            drop(take(&cell));
        }
    }

    /// Whether tasks stand still for longer than between two turns.
    pub(crate) fn is_shut(&self) -> bool {
        let state = self.lock();
        !state.stopped.is_empty() || !state.frozen.is_empty()
    }

    /// Before the step that ends at true time `now`: a starved host gets its turn, or loses it. True if it is starved.
    pub(crate) fn give_turn(&self, now: u64, tick: u64) -> bool {
        {
            let mut state = self.lock();
            let Some(every) = state.slow.values().max().copied() else {
                return false;
            };
            state.turn = now % every < tick;
            if !state.turn {
                return true;
            }
        }
        self.wake_parked();
        true
    }

    fn wake_parked(&self) {
        let parked: Vec<Waker> = {
            let mut state = self.lock();
            if state.is_shut() {
                return;
            }
            let parked = std::mem::take(&mut state.parked);
            parked
                .into_iter()
                .filter_map(|task| state.waker(task))
                .collect()
        };
        parked.into_iter().for_each(Waker::wake);
    }

    /// Lets every task look anew, because time is not what it was.
    pub(crate) fn wake_all(&self) {
        let state = self.lock();
        let wakers: Vec<Waker> = state
            .tasks
            .values()
            .filter_map(|(_, waker)| waker.clone())
            .collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Starts `task` on the host from outside; nothing happens if no process runs there.
    pub(crate) fn submit(&self, task: BoxFuture<'static, ()>) {
        let waker = {
            let mut state = self.lock();
            let Some(main) = state.main else { return };
            state.inbox.push(task);
            state.waker(main)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether nothing is there but what a process begins with.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.inbox.is_empty() && state.tasks.len() <= 1
    }

    /// How many tasks there are.
    pub(crate) fn tasks(&self) -> usize {
        self.lock().tasks.len()
    }

    /// What panicked since the last look.
    pub(crate) fn panics(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().panics)
    }

    fn words(panic: &(dyn Any + Send)) -> String {
        panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without words".to_owned())
    }
}

/// A task that passes the gate of its host at each turn.
pub(crate) struct Gated {
    gate: Arc<Gate>,
    id: u64,
    main: bool,
    task: Cell,
}

impl Gated {
    /// A task of the gate's host.
    pub(crate) fn new(gate: &Arc<Gate>, task: BoxFuture<'static, ()>) -> Self {
        Self::of(gate, task, false)
    }

    /// The task a process consists of at first; it also starts what is submitted from outside.
    pub(crate) fn main(gate: &Arc<Gate>, task: BoxFuture<'static, ()>) -> Self {
        Self::of(gate, task, true)
    }

    fn of(gate: &Arc<Gate>, task: BoxFuture<'static, ()>, main: bool) -> Self {
        let mut state = gate.lock();
        let id = state.next_task;
        let task: Cell = Arc::new(Mutex::new(Some(task)));
        state.next_task += 1;
        state.tasks.insert(id, (task.clone(), None));
        if main {
            state.main = Some(id);
            state.ending = false;
        }
        drop(state);
        Self {
            gate: Arc::clone(gate),
            id,
            main,
            task,
        }
    }

    /// False if the gate is shut. Takes what was submitted.
    fn enter(&self, waker: &Waker) -> Option<Vec<BoxFuture<'static, ()>>> {
        let mut state = self.gate.lock();
        if let Some((_, known)) = state.tasks.get_mut(&self.id)
            && !known.as_ref().is_some_and(|known| known.will_wake(waker))
        {
            *known = Some(waker.clone());
        }
        if state.is_shut() {
            if !state.parked.contains(&self.id) {
                state.parked.push_back(self.id);
            }
            return None;
        }
        let submitted = if self.main {
            std::mem::take(&mut state.inbox)
        } else {
            Vec::new()
        };
        Some(submitted)
    }
}

impl Future for Gated {
    type Output = ();

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that binds tasks to the simulation"
    )]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(submitted) = self.enter(cx.waker()) else {
            return Poll::Pending;
        };
        for task in submitted {
            tokio::spawn(Self::new(&self.gate, task));
        }
        let Some(mut task) = take(&self.task) else {
            return Poll::Ready(());
        };
        let before = TURN.replace(self.gate.host);
        let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(cx)));
        if matches!(polled, Ok(Poll::Pending)) {
            put(&self.task, task);
        } else {
            // What it drops may look at the clock once more.
            drop(task);
        }
        TURN.set(before);
        match polled {
            Ok(polled) => polled,
            Err(panic) => {
                let words = Gate::words(panic.as_ref());
                self.gate.lock().panics.push(words);
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        self.gate.drop_tasks();
        let mut state = self.gate.lock();
        state.tasks.remove(&self.id);
        if state.main == Some(self.id) {
            state.main = None;
        }
    }
}

#[cfg(test)]
mod tests;
