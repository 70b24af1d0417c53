//! The dispatch gate: the last thing a mutation passes before its bytes leave for an engine (DESIGN section 3).

use std::sync::Arc;

use crate::platform::BoxFuture;

/// This manager may not act: nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this manager is not the acting primary; the request was not carried out")]
pub struct NotPrimary;

/// Permission to dispatch one request, good until the lease ends.
pub trait Pass: Send + Sync + 'static {
    /// Checks role, epoch and deadline once more, right before the request is written. Does not wait.
    ///
    /// # Errors
    /// [`NotPrimary`] when the permission has ended.
    fn check(&self) -> Result<(), NotPrimary>;
}

/// A shared [`Pass`].
pub type SharedPass = Arc<dyn Pass>;

/// Decides whether this manager may act on the cluster.
pub trait Gate: Send + Sync + 'static {
    /// Waits until the lease of `epoch` is confirmed for a request that is here now; `None` is the epoch in force.
    fn pass(&self, epoch: Option<u64>) -> BoxFuture<'_, Result<SharedPass, NotPrimary>>;
}

/// The gate of a manager without `--replication`: always open.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenGate;

impl Pass for OpenGate {
    fn check(&self) -> Result<(), NotPrimary> {
        Ok(())
    }
}

impl Gate for OpenGate {
    fn pass(&self, _epoch: Option<u64>) -> BoxFuture<'_, Result<SharedPass, NotPrimary>> {
        Box::pin(async { Ok(Arc::new(Self) as SharedPass) })
    }
}
