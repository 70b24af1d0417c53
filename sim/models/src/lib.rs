//! Doubles of the systems a manager talks to, as plain HTTP services over any byte stream.
//!
//! They keep no clock and start no task of their own: both come from a [`Host`], so the same double runs under
//! tokio, inside `swarm dev` and inside the simulation.

use std::pin::Pin;
use std::time::Duration;

use swarm_core::time::Mono;
use tokio::io::{AsyncRead, AsyncWrite};

mod changes;
mod connection;
pub mod consul;
pub mod engine;
pub mod etcd;
pub mod tokio_host;
pub mod trouble;
mod unfold;
pub mod zookeeper;

/// A boxed future, as [`Host`] returns and takes them.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What a double needs from the machine it runs on.
pub trait Host: Send + Sync + 'static {
    /// Time since an arbitrary start.
    fn mono(&self) -> Mono;
    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> BoxFuture<()>;
    /// Runs `task` until it ends.
    fn spawn(&self, task: BoxFuture<()>);
}

/// A byte stream: TCP, in memory or simulated.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A byte stream whose transport does not matter.
pub type BoxIo = Box<dyn Io>;

/// A double that answers on any accepted connection.
pub trait Service: Send + Sync + 'static {
    /// Serves one connection until either side ends it. Dropping the future cuts the connection off.
    fn serve(&self, io: BoxIo) -> BoxFuture<()>;
}
