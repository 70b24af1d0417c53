//! The manager's engines: one [`EngineMachine`] each, run on the platform, all feeding one view,
//! [`Cluster`](swarm_core::cluster::Cluster).
//!
//! [`Engines`] is what discovery and the API hold. The view is behind a lock that is held for short synchronous
//! sections only; nothing waits for the network with it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use swarm_core::address::HostPort;
use swarm_core::config::Limits;
use swarm_core::engine::{CallError, EngineMachine, EngineOptions, Failure, Input, Part};
use swarm_core::time::Wall;
use tokio::sync::oneshot;

use crate::api::{BeforeSend, Fleet, NotPrimary, SharedCluster};
use crate::driver::{self, Handle};
use crate::http::Body;
use crate::http::client::{Client, SendError, SendFailure, SendOptions};
use crate::platform::{BoxFuture, SharedPlatform, timeout};

mod calls;
mod carrier;
mod events;
mod first_look;
mod starts;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use calls::describe;
pub use events::{ClusterEvent, Subscription, SubscriptionError};

use carrier::Carrier;
use events::EventLog;
use first_look::FirstLook;
use starts::Starts;

/// How long the first look at the engines may take: as long as a call to one of them.
const FIRST_LOOK_MAX: Duration = Duration::from_secs(10);
/// How long somebody waits for a refresh at most: as long as an inspection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// All engines of a manager. Cheap to clone; clones are the same engines.
#[derive(Clone)]
pub struct Engines {
    shared: Arc<Shared>,
}

/// What the engines' tasks have in common.
struct Shared {
    platform: SharedPlatform,
    client: Client,
    options: EngineOptions,
    /// Bytes of a list that is read.
    answer_size: usize,
    view: SharedCluster,
    waiters: Waiters,
    running: Mutex<Running>,
    events: EventLog,
    first_look: FirstLook,
    starts: Starts,
}

#[derive(Default)]
struct Running {
    engines: BTreeMap<HostPort, Member>,
    generation: u64,
}

struct Member {
    handle: Handle<Input>,
    /// Tells the tasks of an engine from those of an earlier one at the same address.
    generation: u64,
    /// Whether its last calls failed, as its machine has counted so far.
    failing: Arc<AtomicBool>,
}

impl Engines {
    /// No engines yet. `client` carries all calls and event streams to them.
    #[must_use]
    pub fn new(
        platform: SharedPlatform,
        client: Client,
        options: EngineOptions,
        limits: &Limits,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                platform,
                client,
                options,
                answer_size: limits.answer_size,
                view: SharedCluster::default(),
                waiters: Waiters::default(),
                running: Mutex::default(),
                events: EventLog::default(),
                first_look: FirstLook::default(),
                starts: Starts::new(limits.engine_starts),
            }),
        }
    }

    /// Starts to look after the engine at `address`. `false` when that is done already.
    pub fn add(&self, address: &HostPort) -> bool {
        let shared = &self.shared;
        let mut running = shared.running();
        if running.engines.contains_key(address) {
            return false;
        }
        running.generation += 1;
        let generation = running.generation;
        let now = shared.platform.wall();
        {
            let mut cluster = shared.view.write();
            // An engine that was just removed may still be leaving.
            cluster.remove_engine(address, now);
            cluster.add_engine(address, now);
        }
        let machine = EngineMachine::new(
            address.clone(),
            shared.options.clone(),
            shared.platform.random(&format!("engine/{address}")),
            shared.platform.mono(),
        );
        let (turn, turn_over) = shared.starts.line_up(&shared.platform);
        let failing = Arc::new(AtomicBool::new(false));
        let handle = driver::start_after(&shared.platform, "engine", turn, machine, |handle| {
            let (shared, failing) = (Arc::clone(shared), Arc::clone(&failing));
            Carrier::new(
                shared,
                address.clone(),
                generation,
                handle,
                turn_over,
                failing,
            )
        });
        let member = Member {
            handle,
            generation,
            failing,
        };
        running.engines.insert(address.clone(), member);
        true
    }

    /// Every engine that discovery lists at first was added: the first look is over when each has been looked at.
    pub fn listed(&self) {
        self.shared.first_look.listed(&self.shared.view.read());
    }

    /// Ends the first look in ten seconds, whatever is missing by then.
    pub fn limit_first_look(&self) {
        let platform = &self.shared.platform;
        let (alarm, shared) = (
            platform.sleep_until(platform.mono() + FIRST_LOOK_MAX),
            self.shared.clone(),
        );
        let end = async move {
            alarm.await;
            shared.first_look.end();
        };
        platform.spawn("first look", Box::pin(end));
    }

    /// Stops looking after the engine at `address`; it leaves the view. `false` when it was not known.
    pub fn remove(&self, address: &HostPort) -> bool {
        let Some(member) = self.shared.running().engines.remove(address) else {
            return false;
        };
        if let Err(input) = member.handle.try_send(Input::Remove) {
            let leave = async move { member.handle.send(input).await };
            self.shared.platform.spawn("engine-leaves", Box::pin(leave));
        }
        true
    }

    /// The addresses looked after.
    #[must_use]
    pub fn addresses(&self) -> Vec<HostPort> {
        self.shared.running().engines.keys().cloned().collect()
    }

    /// The client that reaches engines.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// Tells how a request to the engine went that was sent for a client: it counts for the engine's health
    /// (spec/classic.md section 6.6).
    pub fn report<V>(&self, address: &HostPort, outcome: Result<(), &SendError<V>>) {
        let outcome = match outcome {
            // Nothing new, and each request would wake a task to be told so.
            Ok(()) if !self.is_failing(address) => return,
            Ok(()) => Ok(()),
            Err(error) => match calls::failure(address, error) {
                Some(error) => Err(error),
                None => return,
            },
        };
        self.tell(address, Input::Proxied(outcome));
    }

    fn is_failing(&self, address: &HostPort) -> bool {
        let running = self.shared.running();
        let member = running.engines.get(address);
        member.is_some_and(|member| member.failing.load(Ordering::Relaxed))
    }

    /// Completes when `part` has been read anew by a call that began after this one, or cannot be read now.
    pub async fn refresh(&self, address: &HostPort, part: Part) {
        self.answered(address, |ticket| Input::Refresh { part, ticket })
            .await;
    }

    /// Completes when the call has ended that reads the container with this full ID, if one is under way.
    pub async fn join(&self, address: &HostPort, container: &str) {
        let container = container.into();
        self.answered(address, |ticket| Input::Join { container, ticket })
            .await;
    }

    async fn answered(&self, address: &HostPort, input: impl FnOnce(u64) -> Input) {
        let (ticket, done) = self.shared.waiters.wait();
        self.tell(address, input(ticket));
        // Dropped unanswered when the engine is removed or too busy.
        let _ = timeout(&*self.shared.platform, PATIENCE, done).await;
        self.shared.waiters.done(ticket);
    }

    /// Reads everything of one engine anew, soon.
    pub fn refresh_all(&self, address: &HostPort) {
        self.tell(address, Input::RefreshAll);
    }

    /// Events of all engines from now on, or from `since` on as far as they are remembered.
    #[must_use]
    pub fn subscribe(&self, since: Option<Wall>) -> Subscription {
        self.shared.events.subscribe(since)
    }

    /// How many subscriptions there are (`NEventsListener` of `/info`).
    #[must_use]
    pub fn subscribers(&self) -> usize {
        self.shared.events.subscribers()
    }

    fn tell(&self, address: &HostPort, input: Input) {
        let running = self.shared.running();
        let left = match running.engines.get(address) {
            Some(member) => member.handle.try_send(input),
            None => Err(input),
        };
        // Nobody is there to answer, or a queue is full that leads to the same knowledge.
        if let Err(Input::Refresh { ticket, .. } | Input::Join { ticket, .. }) = left {
            self.shared.waiters.done(ticket);
        }
    }
}

impl Fleet for Engines {
    fn cluster(&self) -> &SharedCluster {
        &self.shared.view
    }

    fn first_look(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.shared.first_look.over())
    }

    fn subscribe(&self, since: Option<Wall>) -> Subscription {
        Self::subscribe(self, since)
    }

    fn listen(&self) -> Subscription {
        self.shared.events.listen(None)
    }

    fn subscribers(&self) -> usize {
        Self::subscribers(self)
    }

    fn send<'a>(
        &'a self,
        engine: &'a HostPort,
        request: Request<Body>,
        options: SendOptions,
        before_send: BeforeSend,
    ) -> BoxFuture<'a, Result<Response<Body>, SendFailure<NotPrimary>>> {
        Box::pin(async move {
            let sent = self
                .shared
                .client
                .send_with(engine, request, options, before_send)
                .await;
            self.report(
                engine,
                sent.as_ref().map(|_| ()).map_err(|failure| &failure.error),
            );
            sent
        })
    }

    fn refresh<'a>(&'a self, engine: &'a HostPort, part: Part) -> BoxFuture<'a, ()> {
        Box::pin(Self::refresh(self, engine, part))
    }

    fn join_container<'a>(&'a self, engine: &'a HostPort, id: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(Self::join(self, engine, id))
    }
}

/// Those who wait for refreshes.
#[derive(Default)]
struct Waiters {
    next: AtomicU64,
    waiting: Mutex<BTreeMap<u64, oneshot::Sender<()>>>,
}

impl Waiters {
    fn wait(&self) -> (u64, oneshot::Receiver<()>) {
        let (done, wait) = oneshot::channel();
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(ticket, done);
        (ticket, wait)
    }

    fn done(&self, ticket: u64) {
        if let Some(done) = self.lock().remove(&ticket) {
            // Whoever waited may have left.
            let _ = done.send(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `generation` is still the one at `address`, or the last one that was.
    fn is_current(&self, address: &HostPort, generation: u64) -> bool {
        self.running()
            .engines
            .get(address)
            .is_none_or(|member| member.generation == generation)
    }
}

/// A failed call as the machine counts it.
fn failed(kind: Failure, reason: String) -> CallError {
    CallError { kind, reason }
}
