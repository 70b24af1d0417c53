//! Waiting for something to change in what several tasks share.

use std::sync::Arc;

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
