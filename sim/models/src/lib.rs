//! Doubles of the systems a manager talks to, as plain HTTP services over any byte stream.
//!
//! They keep no clock and start no task of their own: both come from a [`Host`], so the same double runs under
//! tokio, inside `swarm dev` and inside the simulation.

use std::pin::Pin;
use std::time::Duration;

use swarm_core::time::Mono;

pub mod consul;
pub mod engine;

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
