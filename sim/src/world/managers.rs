//! Managers, each with its guard.

use std::sync::{Arc, Mutex, PoisonError};

use swarm::guard::{self, Order};
use swarm::manager::Manager;
use swarm::platform::{BoxFuture, SharedPlatform, sleep};
use swarm_core::address::HostPort;
use swarm_core::cluster::HostInfo;
use swarm_core::config::{Manage, RawDiscovery, RawManage};
use swarm_core::watch;
use turmoil::Sim;

use super::hosts::{Over, Slot, settle};
use super::pipe::{Pipe, pipe};
use super::platform::SimPlatform;
use super::tap::Seat;
use super::witness::SharedWitness;
use crate::plan::Plan;
use crate::trace::HostId;

/// Where managers listen.
pub(crate) const MANAGER_PORT: u16 = 4_000;

/// One manager as the world sees it.
pub(crate) struct ManagerHost {
    pub(crate) id: HostId,
    pub(crate) seat: Seat,
    pub(crate) stop: watch::Sender<bool>,
    /// The process itself, while there is one.
    pub(crate) manager: Running,
    /// The host of its guard.
    pub(crate) guard: HostId,
    /// What its guard waits for.
    pub(crate) post: Post,
}

/// A guard that waits at its pipe does nothing at all, so it is given a host only when the pipe ends.
#[derive(Clone, Default)]
pub(crate) struct Post(Arc<Mutex<Option<(SharedPlatform, Pipe)>>>);

impl Post {
    fn set(&self, platform: SharedPlatform, pipe: Pipe) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((platform, pipe));
    }

    /// The guard dies with its machine.
    pub(crate) fn abandon(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// What the guard does, once.
    pub(crate) fn take(&self) -> Option<BoxFuture<'static, ()>> {
        let (platform, pipe) = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()?;
        Some(watch_over(platform, pipe))
    }
}

/// A running manager.
pub(crate) type Running = Arc<Mutex<Option<Arc<Manager>>>>;

impl ManagerHost {
    /// The process is gone.
    pub(crate) fn clear(&self) {
        let elector = self
            .seat
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let manager = self
            .manager
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // Whoever is dropped must not find the locks held.
        drop((elector, manager));
        self.stop.send_replace(false);
    }
}

/// What each life of a manager starts from.
#[derive(Clone)]
struct Start {
    config: Arc<Manage>,
    seat: Seat,
    running: Running,
    stopping: watch::Receiver<bool>,
    over: Over,
    post: Post,
    guard_platform: SimPlatform,
}

/// Puts a manager on `slot`, and its guard on `guard`.
pub(crate) fn add(
    sim: &mut Sim<'static>,
    (slot, guard): (&Slot, &Slot),
    seat: Seat,
    config: Manage,
    witness: &SharedWitness,
) -> ManagerHost {
    let (stop, stopping) = watch::channel(false);
    let host = ManagerHost {
        id: slot.id,
        seat: seat.clone(),
        stop,
        manager: Running::default(),
        guard: guard.id,
        post: Post::default(),
    };
    let start = Start {
        config: Arc::new(config),
        seat,
        running: host.manager.clone(),
        stopping,
        over: slot.over.clone(),
        post: host.post.clone(),
        guard_platform: guard.platform.clone(),
    };
    settle(sim, slot, witness, move |life, platform| {
        Box::pin(manage(start.clone(), life, platform))
    });
    // What it does is given to it when there is something to do.
    settle(sim, guard, witness, |_life, _platform| {
        Box::pin(std::future::pending())
    });
    host
}

/// What `swarm manage` does.
async fn manage(start: Start, life: u32, platform: SimPlatform) {
    let platform: SharedPlatform = Arc::new(platform);
    let instance = platform.random("instance").hex(16);
    // Held as long as the process lives.
    let _pipe = Order::of(&start.config, &instance)
        .and_then(|order| order.to_line().ok())
        .map(|line| {
            let (end, pipe) = pipe(line);
            let guard: SharedPlatform = Arc::new(start.guard_platform.life(life));
            start.post.set(guard, pipe);
            end
        });
    let started = Manager::start(&platform, &start.config, &instance, HostInfo::default()).await;
    let manager = match started {
        Ok(manager) => Arc::new(manager),
        Err(error) => return start.over.tell(Err(format!("{error:#}"))),
    };
    let set = |manager: Option<Arc<Manager>>| {
        let elector = manager.as_ref().and_then(|one| one.elector().cloned());
        *start.seat.lock().unwrap_or_else(PoisonError::into_inner) = elector;
        *start.running.lock().unwrap_or_else(PoisonError::into_inner) = manager;
    };
    set(Some(manager.clone()));
    let mut stopping = start.stopping.clone();
    // The world lives longer than its processes.
    let _ = stopping.wait_for(|stop| *stop).await;
    manager.stop().await;
    start.over.tell(Ok(()));
    std::future::pending::<()>().await;
}

/// What [`guard::keep`] does with processes: a guard that ends before its manager is followed by another.
fn watch_over(platform: SharedPlatform, pipe: Pipe) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        loop {
            // That the store did not answer in time is the end of what a guard can do.
            let _ = guard::attend(&platform, pipe.reader()).await;
            if pipe.is_closed() {
                return;
            }
            sleep(platform.as_ref(), guard::RESTART).await;
        }
    })
}

/// The address of manager `n`.
pub(crate) fn address(n: u8) -> HostPort {
    HostPort::new(&format!("m{n}"), MANAGER_PORT).unwrap_or_else(|_| HostPort::localhost())
}

/// The configuration of manager `n`; goes through the same parsing as the command line.
///
/// # Errors
/// What the command line would say.
pub(crate) fn config(plan: &Plan, n: u8, discovery: &RawDiscovery) -> Result<Manage, String> {
    let millis = |ms: u64| format!("{ms}ms");
    let raw = RawManage {
        hosts: vec![format!(":{MANAGER_PORT}")],
        replication: true,
        replication_ttl: millis(plan.knobs.lease_ms),
        primary_wait: millis(plan.knobs.primary_wait_ms),
        fence: if plan.knobs.verify { "verify" } else { "lease" }.to_owned(),
        failsafe: plan.knobs.failsafe,
        advertise: Some(address(n).to_string()),
        engine_refresh_min: millis(plan.knobs.refresh_ms),
        engine_refresh_max: millis(plan.knobs.refresh_ms.saturating_mul(2)),
        cluster_options: vec![format!(
            "swarm.reschedule.grace={}",
            millis(plan.knobs.reschedule_grace_ms)
        )],
        discovery: discovery.clone(),
        ..RawManage::default()
    };
    Manage::try_from(raw).map_err(|error| error.to_string())
}
