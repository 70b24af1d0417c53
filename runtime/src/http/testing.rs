//! A host with an in-memory network and tokio's pausable clock, for tests.
#![expect(
    clippy::disallowed_methods,
    reason = "a platform binds clocks and tasks"
)]

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use swarm_core::address::{HostPort, ListenAddress, Reach};
use swarm_core::rng::Random;
use swarm_core::time::{Mono, Wall};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::platform::{BoxFuture, BoxIo, Listener, Platform, out_of_reach};

/// Bytes each direction of a connection holds.
pub(crate) const PIPE: usize = 16 * 1024;

type Incoming = (BoxIo, String);

/// Use it under `#[tokio::test(start_paused = true)]`: time then moves only when nothing else can.
pub(crate) struct TestPlatform {
    start: Instant,
    listeners: Mutex<BTreeMap<HostPort, mpsc::UnboundedSender<Incoming>>>,
    names: Mutex<BTreeMap<String, IpAddr>>,
}

impl TestPlatform {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            listeners: Mutex::default(),
            names: Mutex::default(),
        })
    }

    /// `host`:80, the addresses of the in-memory network.
    pub(crate) fn address(host: &str) -> HostPort {
        HostPort::new(host, 80).unwrap()
    }

    /// From now on `host` is the name of `ip`; the others are names of no address in particular.
    pub(crate) fn name(&self, host: &str, ip: &str) {
        let mut names = self.names.lock().unwrap();
        names.insert(host.to_owned(), ip.parse().unwrap());
    }

    /// The connections opened to `at`, from now on. One that is not accepted stays silent.
    pub(crate) fn bind(&self, at: &HostPort) -> mpsc::UnboundedReceiver<Incoming> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.listeners.lock().unwrap().insert(at.clone(), sender);
        receiver
    }
}

impl Platform for TestPlatform {
    fn mono(&self) -> Mono {
        Mono::ZERO + self.start.elapsed()
    }

    fn wall(&self) -> Wall {
        Wall(1_700_000_000_000_000_000 + self.mono().0)
    }

    fn sleep_until(&self, at: Mono) -> BoxFuture<'static, ()> {
        let wait = at.since(self.mono());
        Box::pin(tokio::time::sleep(wait))
    }

    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn random(&self, name: &str) -> Random {
        Random::new(7).fork(name)
    }

    fn connect_within(
        &self,
        to: &HostPort,
        reach: &Reach,
    ) -> BoxFuture<'static, io::Result<BoxIo>> {
        let named = self.names.lock().unwrap().get(to.host()).copied();
        if let Some(ip) = named.or_else(|| to.ip())
            && let Err(why) = reach.check(to, ip)
        {
            let refused = out_of_reach(to, ip, why);
            return Box::pin(async { Err(refused) });
        }
        let listener = self.listeners.lock().unwrap().get(to).cloned();
        let black_hole = to.host() == BLACK_HOLE;
        Box::pin(async move {
            if black_hole {
                std::future::pending::<()>().await;
            }
            let (ours, theirs) = duplex(PIPE);
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            listener
                .ok_or_else(refused)?
                .send((Box::new(theirs), "10.0.0.9:40000".to_owned()))
                .map_err(|_| refused())?;
            Ok(Box::new(ours) as BoxIo)
        })
    }

    fn listen(&self, on: &ListenAddress) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let bound = match on {
            ListenAddress::Tcp { host, port } => {
                HostPort::new(host, *port).map_err(io::Error::other)
            }
            ListenAddress::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        };
        let listener = bound.map(|at| {
            Box::new(MemoryListener {
                incoming: self.bind(&at),
                address: on.clone(),
            }) as Box<dyn Listener>
        });
        Box::pin(async move { listener })
    }
}

struct MemoryListener {
    incoming: mpsc::UnboundedReceiver<Incoming>,
    address: ListenAddress,
}

impl Listener for MemoryListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        Box::pin(async move {
            let incoming = self.incoming.recv().await;
            incoming.ok_or_else(|| io::ErrorKind::NotConnected.into())
        })
    }

    fn local_address(&self) -> ListenAddress {
        self.address.clone()
    }
}

/// Opening a connection to this host never ends.
pub(crate) const BLACK_HOLE: &str = "black-hole";

/// Reads a message head, and no more.
pub(crate) async fn read_head(io: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// The number of bytes `write` takes before it waits.
pub(crate) async fn fill(mut write: impl AsyncWrite + Unpin) -> usize {
    let mut taken = 0;
    let piece = [b'x'; 1024];
    while let Ok(Ok(written)) =
        tokio::time::timeout(Duration::from_millis(50), write.write(&piece)).await
    {
        taken += written;
    }
    taken
}
