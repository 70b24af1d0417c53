//! Engines are taken in some at a time: each needs a few connections and much reading at first, and thousands of engines
//! that begin together would only keep one another waiting, with all their connections open.

use std::sync::Arc;
use std::time::Duration;

use swarm_core::watch;
use tokio::sync::{Semaphore, oneshot};

use crate::platform::SharedPlatform;

/// After this a slow engine no longer keeps others waiting.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where engines line up.
pub(super) struct Starts(Arc<Semaphore>);

impl Starts {
    /// Takes in `at_once` engines at the same time.
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(
            at_once.min(Semaphore::MAX_PERMITS),
        )))
    }

    /// A place in the line: completes when it is this engine's turn, which lasts until the sender is dropped.
    pub(super) fn line_up(
        &self,
        platform: &SharedPlatform,
    ) -> (impl Future<Output = ()> + Send + use<>, watch::Sender<()>) {
        let (line, timer) = (Arc::clone(&self.0), Arc::clone(platform));
        let (begin, turn) = oneshot::channel();
        let (turn_over, mut over) = watch::channel(());
        let task = async move {
            // The line is never closed.
            let _place = line.acquire().await;
            if begin.send(()).is_err() {
                return;
            }
            let late = timer.sleep_until(timer.mono() + PATIENCE);
            tokio::select! {
                biased;
                _ = over.changed() => {}
                () = late => {}
            }
        };
        platform.spawn("engine-starts", Box::pin(task));
        let turn = async move {
            // Sent in any case.
            let _ = turn.await;
        };
        (turn, turn_over)
    }
}
