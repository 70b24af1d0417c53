//! Where requests and the proxy machine meet: inputs go in under one lock, orders come out to each request's task.
//!
//! The machine runs in the tasks of the requests themselves, not in a task of its own behind a queue: that saves two
//! task switches for each request, and a client that leaves cannot be lost to a full queue. Only wakes have a task.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use swarm_core::address::HostPort;
use swarm_core::api::Class;
use swarm_core::machine::{Effects, Machine};
use swarm_core::proxy::{
    Body, Config, Effect, Input, Kind, Origin, Proxy, Refusal, RequestId, Server, Stats, View,
};
use swarm_core::time::Mono;
use swarm_core::watch;
use tokio::sync::Notify;

use crate::platform::SharedPlatform;

/// What a request's task has to do now. A newer order replaces an older one, whose attempt is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Wait.
    Hold,
    /// Try.
    Attempt(Attempt),
    /// Pass the response on.
    Relay,
    /// Answer so.
    Answer(Refusal),
    /// Break off a stream.
    Abandon,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) by: Server,
    pub(super) epoch: u64,
    pub(super) kind: Kind,
}

/// The proxy machine and everybody who waits for it.
pub(super) struct Desk {
    platform: SharedPlatform,
    inner: Mutex<Inner>,
    /// The first epoch whose tunnels may stay.
    tunnels: watch::Sender<u64>,
    clock: Arc<Notify>,
}

struct Inner {
    machine: Proxy,
    view: View,
    out: Effects<Effect>,
    next_id: u64,
    tasks: BTreeMap<RequestId, watch::Sender<Order>>,
    /// When the clock task is going to wake.
    armed: Option<Mono>,
}

impl Desk {
    pub(super) fn new(platform: &SharedPlatform, config: Config) -> Arc<Self> {
        let clock = Arc::new(Notify::new());
        let desk = Arc::new(Self {
            platform: Arc::clone(platform),
            inner: Mutex::new(Inner {
                machine: Proxy::new(config),
                view: View::Unknown,
                out: Effects::default(),
                next_id: 0,
                tasks: BTreeMap::new(),
                armed: None,
            }),
            tunnels: watch::Sender::new(0),
            clock: Arc::clone(&clock),
        });
        let task = run_clock(Arc::downgrade(&desk), Arc::clone(platform), clock);
        platform.spawn("proxy-clock", Box::pin(task));
        desk
    }

    /// The election's view changed.
    pub(super) fn view(&self, view: View) {
        let mut inner = self.lock();
        inner.view = view.clone();
        self.handle(&mut inner, Input::View(view));
    }

    /// The primary this manager knows, for peers.
    pub(super) fn primary(&self) -> Option<(HostPort, u64)> {
        match &self.lock().view {
            View::Unknown => None,
            View::Primary { address, epoch, .. } => Some((address.clone(), *epoch)),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().machine.stats()
    }

    /// Takes up a request.
    pub(super) fn arrive(self: &Arc<Self>, class: Class, origin: Origin, body: Body) -> Ticket {
        let (sender, orders) = watch::channel(Order::Hold);
        let mut inner = self.lock();
        let id = RequestId(inner.next_id);
        inner.next_id += 1;
        inner.tasks.insert(id, sender);
        self.handle(
            &mut inner,
            Input::Arrived {
                id,
                class,
                origin,
                body,
            },
        );
        drop(inner);
        Ticket {
            desk: Arc::clone(self),
            id,
            orders,
            over: false,
        }
    }

    /// Completes when tunnels opened under `epoch` are to be closed.
    pub(super) fn tunnel_end(&self, epoch: u64) -> impl Future<Output = ()> + Send + use<> {
        let mut stays = self.tunnels.subscribe();
        async move {
            let ended = stays.wait_for(|first| *first > epoch);
            // An error means that the proxy itself is gone.
            let _ = ended.await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, inner: &mut Inner, input: Input) {
        let now = self.platform.mono();
        inner.machine.handle(now, input, &mut inner.out);
        self.carry_out(inner);
        let due = inner.machine.wake_at().map(|wake| wake.at);
        let sooner = match (due, inner.armed) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(due), Some(armed)) => due < armed,
        };
        if sooner {
            inner.armed = due;
            self.clock.notify_one();
        }
    }

    fn wake(&self) -> Option<Mono> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.machine.wake(self.platform.mono(), &mut inner.out);
        self.carry_out(inner);
        inner.armed = inner.machine.wake_at().map(|wake| wake.at);
        inner.armed
    }

    fn carry_out(&self, inner: &mut Inner) {
        for effect in inner.out.drain() {
            let (id, order) = match effect {
                Effect::Attempt {
                    id,
                    attempt: number,
                    by,
                    epoch,
                    kind,
                } => {
                    let attempt = Attempt {
                        number,
                        by,
                        epoch,
                        kind,
                    };
                    (id, Order::Attempt(attempt))
                }
                Effect::Cancel { id, .. } => (id, Order::Hold),
                Effect::Relay { id, .. } => (id, Order::Relay),
                Effect::Answer { id, refusal } => (id, Order::Answer(refusal)),
                Effect::Abandon { id } => (id, Order::Abandon),
                Effect::CloseTunnels { before } => {
                    self.tunnels.send_replace(before);
                    continue;
                }
            };
            if let Some(task) = inner.tasks.get(&id) {
                task.send_replace(order);
            }
        }
    }
}

async fn run_clock(desk: Weak<Desk>, platform: SharedPlatform, clock: Arc<Notify>) {
    loop {
        let Some(due) = desk.upgrade().map(|desk| desk.wake()) else {
            return;
        };
        match due {
            None => clock.notified().await,
            Some(due) => tokio::select! {
                biased;
                () = clock.notified() => {}
                () = platform.sleep_until(due) => {}
            },
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.clock.notify_one();
    }
}

/// One request at the desk. Dropping it tells the machine that the client left.
pub(super) struct Ticket {
    desk: Arc<Desk>,
    id: RequestId,
    orders: watch::Receiver<Order>,
    over: bool,
}

impl Ticket {
    /// The next order; waits for one.
    pub(super) async fn order(&mut self) -> Order {
        // The sender lives as long as this ticket.
        let _ = self.orders.changed().await;
        self.orders.borrow_and_update().clone()
    }

    /// Completes when there is another order than the one taken last.
    pub(super) async fn superseded(&mut self) {
        let _ = self.orders.changed().await;
        self.orders.mark_changed();
    }

    /// Tells what came of an attempt.
    pub(super) fn report(&self, input: impl FnOnce(RequestId) -> Input) {
        let mut inner = self.desk.lock();
        self.desk.handle(&mut inner, input(self.id));
    }

    /// The machine has forgotten the request.
    pub(super) fn over(mut self) {
        self.over = true;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut inner = self.desk.lock();
        inner.tasks.remove(&self.id);
        if !self.over {
            self.desk.handle(&mut inner, Input::Left { id: self.id });
        }
    }
}
