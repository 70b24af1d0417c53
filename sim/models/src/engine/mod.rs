//! A double of the Docker Engine.
//!
//! [`Engine`] answers the Engine API well enough for the `docker` command line, `swarm manage` and the simulation.
//! Containers run nothing: their command line is read as a small program (`echo`, `sleep`, `cat`, `sh -c …`;
//! what is not known runs until it is stopped) that goes on with the host's clock. `chatter N MS` writes N numbered
//! lines (0: without end), one each MS milliseconds.
//!
//! The state is a plain synchronous core that is told the time; HTTP is a layer on top. Everything an engine
//! invents (IDs, names, addresses) follows from its ID and the order of requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use swarm_core::time::Mono;
use tokio::sync::Notify;

use crate::{BoxFuture, BoxIo, Host, Service};

mod clock;
mod console;
mod container;
mod creation;
mod events;
mod execs;
mod files;
mod filters;
mod http;
mod image;
mod image_store;
mod lifecycle;
mod list;
mod mutations;
mod network;
mod network_store;
mod options;
mod process;
mod program;
mod refusal;
mod spec;
mod state;
pub mod tar;
#[cfg(test)]
mod tests;
mod view;
mod volume;
mod volume_store;

pub use container::{Health, Phase};
pub use mutations::{Change, Mutation};
pub use options::{ApiVersion, Faults, Options};
pub use state::Created;

use state::State;

/// A modelled Docker Engine. Serve it with [`Service::serve`] or [`crate::tokio_host::serve_tcp`].
pub struct Engine {
    host: Arc<dyn Host>,
    state: Mutex<State>,
    /// Told after every change.
    changed: Notify,
    /// When the running alarm rings.
    alarm: Mutex<Option<Mono>>,
    me: Weak<Self>,
}

/// One container, as tests want to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerInfo {
    /// Full ID.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Image as it was asked for.
    pub image: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Exit code of the last run.
    pub exit_code: i64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Engine")
            .field("name", &state.options.name)
            .field("containers", &state.containers.len())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine without containers, its clock starting now.
    #[must_use]
    pub fn new(host: Arc<dyn Host>, options: Options) -> Arc<Self> {
        let state = State::new(options, host.mono());
        Arc::new_cyclic(|me| Self {
            host,
            state: Mutex::new(state),
            changed: Notify::new(),
            alarm: Mutex::new(None),
            me: Weak::clone(me),
        })
    }

    /// The daemon's ID.
    #[must_use]
    pub fn id(&self) -> String {
        self.lock().options.id.clone()
    }

    /// The engine's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.lock().options.name.clone()
    }

    /// The current misbehaviour.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.lock().faults.clone()
    }

    /// Changes how the engine misbehaves from now on.
    pub fn set_faults(&self, change: impl FnOnce(&mut Faults)) {
        self.edit(|state| change(&mut state.faults));
    }

    /// The daemon's process is a new one: what was to happen at some time is planned anew, because the tasks of the old
    /// process are gone. To be called on the host.
    pub fn restarted(&self) {
        *self.alarm.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.edit(|_| ());
    }

    /// Ends all event streams that are open now.
    pub fn cut_event_streams(&self) {
        self.edit(|state| state.event_cuts += 1);
    }

    /// Lets a running container's health check report; nothing happens if there is no such container.
    pub fn report_health(&self, container: &str, health: Health) {
        self.edit(|state| {
            if let Ok(id) = state.resolve(container) {
                state.report_health(&id, health);
            }
        });
    }

    /// All containers, oldest first.
    #[must_use]
    pub fn containers(&self) -> Vec<ContainerInfo> {
        let state = self.current();
        let mut found: Vec<ContainerInfo> = state
            .newest_first()
            .map(|container| ContainerInfo {
                id: container.id.to_string(),
                name: container.name.clone(),
                image: container.spec.image.clone(),
                phase: container.phase,
                labels: Arc::clone(&container.spec.labels),
                exit_code: container.exit_code,
            })
            .collect();
        found.reverse();
        found
    }

    /// The creates this engine did, oldest first, also of containers that are gone. The last 10,000 are kept.
    #[must_use]
    pub fn creates(&self) -> Vec<Created> {
        self.lock().creates.iter().cloned().collect()
    }

    /// The creates whose container had the label `key` with this value.
    #[must_use]
    pub fn creates_labelled(&self, key: &str, value: &str) -> Vec<Created> {
        let state = self.lock();
        let labelled = |created: &&Created| created.labels.get(key).is_some_and(|v| v == value);
        state.creates.iter().filter(labelled).cloned().collect()
    }

    /// The changes carried out since `position`, oldest first, and moves it on. Of those, the last 10,000 are kept.
    #[must_use]
    pub fn mutations(&self, position: &mut u64) -> Vec<Mutation> {
        self.lock().mutations.read(position)
    }

    /// The times of the events since `position` in their order, each of its own on this engine's clock (ns); moves
    /// `position` on. Of those, the last 1,024 are kept.
    #[must_use]
    pub fn events(&self, position: &mut u64) -> Vec<u64> {
        let state = self.lock();
        let next = || state.events.read(position);
        std::iter::from_fn(next).map(|event| event.at.0).collect()
    }

    /// Requests so far by method and route, names replaced: `POST /containers/{}/start`.
    #[must_use]
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state as of now.
    fn current(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        state.advance(self.host.mono());
        state
    }

    /// Changes the state, wakes those who wait, and sets the alarm for what is due next.
    fn edit<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let (result, due) = {
            let mut state = self.current();
            let result = act(&mut state);
            (result, state.due())
        };
        self.changed.notify_waiters();
        self.set_alarm(due);
        result
    }

    fn set_alarm(&self, due: Option<Mono>) {
        let Some(due) = due else {
            return;
        };
        {
            let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
            if alarm.is_some_and(|at| at <= due) {
                return;
            }
            *alarm = Some(due);
        }
        let me = Weak::clone(&self.me);
        let wait = self.host.sleep(due.since(self.host.mono()));
        self.host.spawn(Box::pin(async move {
            wait.await;
            if let Some(engine) = me.upgrade() {
                engine.ring(due);
            }
        }));
    }

    fn ring(&self, due: Mono) {
        {
            let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
            if *alarm == Some(due) {
                *alarm = None;
            }
        }
        self.edit(|_| ());
    }

    /// Waits until `look` finds what it looks for. A frozen engine finds nothing.
    async fn until<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let found = {
                let mut state = self.current();
                if state.faults.hung {
                    None
                } else {
                    look(&mut state)
                }
            };
            match found {
                Some(found) => return found,
                None => changed.await,
            }
        }
    }

    /// Waits until the daemon is down.
    async fn stopped(&self) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.lock().faults.stopped {
                return;
            }
            changed.await;
        }
    }
}

impl Service for Engine {
    fn serve(&self, io: BoxIo) -> BoxFuture<()> {
        let Some(engine) = self.me.upgrade() else {
            return Box::pin(async {});
        };
        Box::pin(async move {
            tokio::select! {
                biased;
                () = engine.stopped() => {}
                () = http::serve(&engine, io) => {}
            }
        })
    }
}
