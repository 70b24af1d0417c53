//! The border between swarm and the machine it runs on: clocks, tasks, sockets, entropy.
//!
//! Nothing else in this crate reads a clock, starts a task or opens a socket (clippy enforces it), which is what lets
//! the simulation put another implementation here and run everything else unchanged.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use swarm_core::address::{HostPort, ListenAddress, PeerError, Reach};
use swarm_core::rng::Random;
use swarm_core::time::{Mono, Wall};
use tokio::io::{AsyncRead, AsyncWrite};

mod tokio_platform;

pub use tokio_platform::TokioPlatform;

/// A boxed future that can move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A byte stream: TCP, unix or simulated.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A byte stream whose transport does not matter.
pub type BoxIo = Box<dyn Io>;

/// Accepts connections.
pub trait Listener: Send {
    /// The next connection and who opened it (an address, or `unix`).
    fn accept(&mut self) -> BoxFuture<'_, io::Result<(BoxIo, String)>>;
    /// The address in use, with the real port when 0 was asked for.
    fn local_address(&self) -> ListenAddress;
}

/// Clocks, tasks, sockets and entropy of one host.
pub trait Platform: Send + Sync + 'static {
    /// The clock leases are measured with: never steps, counts suspend.
    fn mono(&self) -> Mono;
    /// The calendar clock, for people and engines.
    fn wall(&self) -> Wall;
    /// Completes at `at` on [`Platform::mono`]'s clock.
    fn sleep_until(&self, at: Mono) -> BoxFuture<'static, ()>;
    /// Runs `task` until it ends. `name` is for diagnosis.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);
    /// A stream of random numbers of its own for each `name`.
    fn random(&self, name: &str) -> Random;
    /// Opens a TCP connection. The caller bounds the time with [`timeout`].
    fn connect(&self, to: &HostPort) -> BoxFuture<'static, io::Result<BoxIo>> {
        self.connect_within(to, &Reach::Anywhere)
    }
    /// As [`Platform::connect`], but only to addresses within `reach`: a name is judged by what it resolves to, at the
    /// moment it does.
    fn connect_within(&self, to: &HostPort, reach: &Reach)
    -> BoxFuture<'static, io::Result<BoxIo>>;
    /// Starts to listen.
    fn listen(&self, on: &ListenAddress) -> BoxFuture<'static, io::Result<Box<dyn Listener>>>;
}

/// A shared [`Platform`].
pub type SharedPlatform = Arc<dyn Platform>;

/// The time given to [`timeout`] has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("timed out after {0:?}")]
pub struct TimedOut(pub Duration);

/// Runs `work` for at most `limit` of the platform's monotonic time.
///
/// # Errors
/// [`TimedOut`] when the time has passed; `work` is dropped then.
pub async fn timeout<T>(
    platform: &dyn Platform,
    limit: Duration,
    work: impl Future<Output = T>,
) -> Result<T, TimedOut> {
    let alarm = platform.sleep_until(platform.mono() + limit);
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = alarm => Err(TimedOut(limit)),
    }
}

/// Why a connection is not opened.
#[must_use]
pub fn out_of_reach(to: &HostPort, ip: IpAddr, why: PeerError) -> io::Error {
    let message = match to.ip() {
        Some(_) => format!("{}: {why}", to.host()),
        None => format!("{} is at {ip}: {why}", to.host()),
    };
    io::Error::new(io::ErrorKind::PermissionDenied, message)
}

/// Completes after `duration` of the platform's monotonic time.
pub async fn sleep(platform: &dyn Platform, duration: Duration) {
    platform.sleep_until(platform.mono() + duration).await;
}
