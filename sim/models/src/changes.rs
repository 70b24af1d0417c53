//! Waiting for something to change in what several tasks share.

use std::sync::{Arc, Weak};

use swarm_core::time::Mono;
use swarm_core::watch;

use crate::Host;

/// Waits for changes; those since the last wait count.
pub(crate) struct Changes {
    host: Arc<dyn Host>,
    changed: watch::Receiver<()>,
}

impl Changes {
    pub(crate) fn new(host: Arc<dyn Host>, changed: watch::Receiver<()>) -> Self {
        Self { host, changed }
    }

    /// Completes on the next change, at the latest at `until`.
    pub(crate) async fn next(&mut self, until: Option<Mono>) {
        let Some(until) = until else {
            return self.changed().await;
        };
        let alarm = self.host.sleep(until.since(self.host.mono()));
        tokio::select! {
            biased;
            () = self.changed() => {}
            () = alarm => {}
        }
    }

    async fn changed(&mut self) {
        if self.changed.changed().await.is_err() {
            // What is shared is gone, and with it everything that could be waited for.
            std::future::pending::<()>().await;
        }
    }
}

/// Something in which things end at known times, which nobody's request need bring about.
pub(crate) trait Timed: Send + Sync + 'static {
    /// Whose clock it is.
    fn host(&self) -> &Arc<dyn Host>;
    /// Ends what is due, and tells when the next thing is.
    fn end_due(&self) -> Option<Mono>;
}

/// Ends things when it is time, for as long as they are there.
pub(crate) async fn end_in_time<T: Timed>(shared: Weak<T>, mut changes: watch::Receiver<()>) {
    loop {
        let (host, due) = {
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let due = shared.end_due();
            (Arc::clone(shared.host()), due)
        };
        let alarm = async {
            match due {
                Some(due) => host.sleep(due.since(host.mono())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            change = changes.changed() => if change.is_err() { return },
            () = alarm => {}
        }
    }
}
