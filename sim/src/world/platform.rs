//! [`Platform`] on turmoil: simulated sockets, a host's own clock, tasks that pass the host's gate.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the place that binds tasks and time to the simulation"
)]

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use swarm::platform::{BoxFuture, BoxIo, Listener, Platform};
use swarm_core::address::{HostPort, ListenAddress, Reach};
use swarm_core::rng::Random;
use swarm_core::time::{Mono, Wall};
use swarm_models::Host;
use turmoil::net::{TcpListener, TcpStream};

use super::clock::HostClock;
use super::io::{SimIo, Wires};
use super::pause::{Gate, Gated};
use super::witness::TrueTime;

/// A timer is never set further ahead: a sleeper looks at its clock at least this often.
const TIMER_MAX_NS: u64 = 3_600_000_000_000;

/// One simulated host as its processes see it.
#[derive(Clone)]
pub(crate) struct SimPlatform {
    host: Arc<Machine>,
    random: Random,
}

/// What all processes of a host share.
struct Machine {
    clock: Mutex<HostClock>,
    gate: Arc<Gate>,
    time: TrueTime,
    wires: Arc<Wires>,
}

impl Machine {
    fn clock(&self) -> MutexGuard<'_, HostClock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SimPlatform {
    /// A platform with `clock`, drawing from `random`.
    pub(crate) fn new(
        clock: HostClock,
        gate: Arc<Gate>,
        time: TrueTime,
        wires: Arc<Wires>,
        random: Random,
    ) -> Self {
        let clock = Mutex::new(clock);
        let host = Arc::new(Machine {
            clock,
            gate,
            time,
            wires,
        });
        Self { host, random }
    }

    /// The platform of one life of a process: what it draws is new each time.
    pub(crate) fn life(&self, life: u32) -> Self {
        Self {
            host: self.host.clone(),
            random: self.random.fork(&format!("life/{life}")),
        }
    }

    /// The gate of the host's tasks.
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.host.gate
    }

    /// The host's sockets.
    pub(crate) fn wires(&self) -> &Arc<Wires> {
        &self.host.wires
    }

    /// Changes the clock, at true time `now`; every sleeper looks anew.
    pub(crate) fn change_clock(&self, change: impl FnOnce(&mut HostClock, u64)) {
        change(&mut self.host.clock(), self.host.time.now());
        self.host.gate.wake_all();
    }
}

async fn sleep_until(host: Arc<Machine>, at: Mono) {
    // Made at the first look, when the host's own runtime is there.
    let mut timer = None;
    poll_fn(move |cx| {
        loop {
            let now = host.time.now();
            let wait = {
                let clock = host.clock();
                if clock.mono(now) >= at {
                    return Poll::Ready(());
                }
                clock.true_until(at, now)
            };
            let wait = wait.unwrap_or(TIMER_MAX_NS).min(TIMER_MAX_NS);
            let due = tokio::time::Instant::now() + Duration::from_nanos(wait);
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            std::task::ready!(timer.as_mut().poll(cx));
        }
    })
    .await;
}

impl Platform for SimPlatform {
    fn mono(&self) -> Mono {
        let now = self.host.time.now();
        self.host.clock().mono(now)
    }

    fn wall(&self) -> Wall {
        let now = self.host.time.now();
        self.host.clock().wall(now)
    }

    fn sleep_until(&self, at: Mono) -> BoxFuture<'static, ()> {
        Box::pin(sleep_until(self.host.clone(), at))
    }

    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        let task = Gated::new(&self.host.gate, task);
        // What is dropped when a process dies may want to start something: nobody is there to run it.
        if tokio::runtime::Handle::try_current().is_ok() {
            tokio::spawn(task);
        }
    }

    fn random(&self, name: &str) -> Random {
        self.random.fork(name)
    }

    /// Names of the world lead to its hosts only.
    fn connect_within(
        &self,
        to: &HostPort,
        _reach: &Reach,
    ) -> BoxFuture<'static, io::Result<BoxIo>> {
        let (to, wires) = (to.clone(), self.host.wires.clone());
        Box::pin(async move {
            let stream = TcpStream::connect((to.host(), to.port())).await?;
            Ok(Box::new(SimIo::connected(stream, &wires, to.port())?) as BoxIo)
        })
    }

    fn listen(&self, on: &ListenAddress) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let (on, wires) = (on.clone(), self.host.wires.clone());
        Box::pin(async move {
            let ListenAddress::Tcp { port, .. } = &on else {
                return Err(io::Error::other("simulated hosts have no unix sockets"));
            };
            let listener = TcpListener::bind(("0.0.0.0", *port)).await?;
            Ok(Box::new(SimListener {
                listener,
                on,
                wires,
            }) as Box<dyn Listener>)
        })
    }
}

struct SimListener {
    listener: TcpListener,
    on: ListenAddress,
    wires: Arc<Wires>,
}

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, String)>> {
        Box::pin(async move {
            let (stream, peer) = self.listener.accept().await?;
            let io = SimIo::accepted(stream, &self.wires)?;
            Ok((Box::new(io) as BoxIo, peer.to_string()))
        })
    }

    fn local_address(&self) -> ListenAddress {
        self.on.clone()
    }
}

impl Host for SimPlatform {
    fn mono(&self) -> Mono {
        Platform::mono(self)
    }

    fn sleep(&self, duration: Duration) -> swarm_models::BoxFuture<()> {
        self.sleep_until(Platform::mono(self) + duration)
    }

    fn spawn(&self, task: swarm_models::BoxFuture<()>) {
        Platform::spawn(self, "model", task);
    }
}
