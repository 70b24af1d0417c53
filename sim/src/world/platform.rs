//! [`Platform`] on turmoil: simulated sockets, a host clock, tasks on the host's own runtime.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the place that binds tasks and time to the simulation"
)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use swarm::platform::{BoxFuture, BoxIo, Listener, Platform};
use swarm_core::address::{HostPort, ListenAddress};
use swarm_core::rng::Random;
use swarm_core::time::{Mono, Wall, nanos};
use swarm_models::Host;
use turmoil::net::{TcpListener, TcpStream};

use crate::clock::HostClock;

/// True time as the world last saw it: for those who look from outside, where turmoil has no current host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outside(Arc<AtomicU64>);

impl Outside {
    pub(crate) fn set(&self, elapsed: Duration) {
        self.0.store(nanos(elapsed), Ordering::Relaxed);
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }
}

/// One simulated host's platform.
#[derive(Clone, Debug)]
pub struct SimPlatform {
    clock: HostClock,
    outside: Outside,
    random: Random,
}

impl SimPlatform {
    /// A platform with `clock`, drawing from `random`.
    pub(crate) fn new(clock: HostClock, outside: Outside, random: Random) -> Self {
        Self {
            clock,
            outside,
            random,
        }
    }

    fn elapsed(&self) -> Duration {
        turmoil::sim_elapsed().unwrap_or_else(|| self.outside.elapsed())
    }
}

impl Platform for SimPlatform {
    fn mono(&self) -> Mono {
        self.clock.mono(self.elapsed())
    }

    fn wall(&self) -> Wall {
        self.clock.wall(self.elapsed())
    }

    fn sleep_until(&self, at: Mono) -> BoxFuture<'static, ()> {
        let wait = self.clock.true_until(at, self.elapsed());
        Box::pin(tokio::time::sleep(wait))
    }

    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn random(&self, name: &str) -> Random {
        self.random.fork(name)
    }

    fn connect(&self, to: &HostPort) -> BoxFuture<'static, io::Result<BoxIo>> {
        let to = to.clone();
        Box::pin(async move {
            let stream = TcpStream::connect((to.host(), to.port())).await?;
            Ok(Box::new(stream) as BoxIo)
        })
    }

    fn listen(&self, on: &ListenAddress) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let on = on.clone();
        Box::pin(async move {
            let ListenAddress::Tcp { port, .. } = &on else {
                return Err(io::Error::other("simulated hosts have no unix sockets"));
            };
            let listener = TcpListener::bind(("0.0.0.0", *port)).await?;
            Ok(Box::new(SimListener { listener, on }) as Box<dyn Listener>)
        })
    }
}

struct SimListener {
    listener: TcpListener,
    on: ListenAddress,
}

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, String)>> {
        Box::pin(async move {
            let (stream, peer) = self.listener.accept().await?;
            Ok((Box::new(stream) as BoxIo, peer.to_string()))
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
