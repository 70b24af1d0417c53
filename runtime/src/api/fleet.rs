//! What the API needs of the engines: the warm view, a way to send requests, and fresh records when it asks.

use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use http::{Request, Response};
use swarm_core::address::HostPort;
use swarm_core::cluster::Cluster;
use swarm_core::engine::Part;
use swarm_core::time::Wall;

use super::gate::NotPrimary;
use crate::engine::Subscription;
use crate::http::Body;
use crate::http::client::{SendFailure, SendOptions};
use crate::platform::BoxFuture;

/// The warm view, shared by those who keep it up to date and those who read it. Locked for moments only.
#[derive(Clone, Debug, Default)]
pub struct SharedCluster(Arc<RwLock<Cluster>>);

impl SharedCluster {
    /// For reading. Not to be held over an `await`, nor while reading once more: who reads again waits for a writer that
    /// came in between, and that waits for the first look to end.
    ///
    /// # Panics
    /// In debug builds, when this thread is reading already.
    pub fn read(&self) -> Look<'_> {
        #[cfg(debug_assertions)]
        let only = only::Only::look();
        Look {
            // A reader or writer that panicked has left data behind that the next refresh corrects.
            cluster: self.0.read().unwrap_or_else(PoisonError::into_inner),
            #[cfg(debug_assertions)]
            _only: only,
        }
    }

    /// For writing. Not to be held over an `await`.
    pub fn write(&self) -> RwLockWriteGuard<'_, Cluster> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look at the view, which does not change meanwhile.
#[derive(Debug)]
pub struct Look<'a> {
    cluster: RwLockReadGuard<'a, Cluster>,
    #[cfg(debug_assertions)]
    _only: only::Only,
}

impl Deref for Look<'_> {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

#[cfg(debug_assertions)]
mod only {
    use std::cell::Cell;

    thread_local! {
        static LOOKING: Cell<bool> = const { Cell::new(false) };
    }

    /// While it is there, this thread looks at the view.
    #[derive(Debug)]
    pub(super) struct Only(());

    impl Only {
        pub(super) fn look() -> Self {
            let before = LOOKING.replace(true);
            assert!(
                !before,
                "the view is read by a thread that is reading it already"
            );
            Self(())
        }
    }

    impl Drop for Only {
        fn drop(&mut self) {
            LOOKING.set(false);
        }
    }
}

/// Runs at the last instant before a request is written.
pub type BeforeSend = Box<dyn FnMut() -> Result<(), NotPrimary> + Send>;

/// The engines, as the API sees them.
pub trait Fleet: Send + Sync + 'static {
    /// The warm view.
    fn cluster(&self) -> &SharedCluster;

    /// Completes when the engines that were there when this manager began have been looked at: before that, what the
    /// view does not have may be there all the same.
    fn first_look(&self) -> BoxFuture<'_, ()>;

    /// Sends a request to an engine if `before_send` agrees at the last instant, and counts the outcome for the
    /// engine's health.
    fn send<'a>(
        &'a self,
        engine: &'a HostPort,
        request: Request<Body>,
        options: SendOptions,
        before_send: BeforeSend,
    ) -> BoxFuture<'a, Result<Response<Body>, SendFailure<NotPrimary>>>;

    /// Reads a part of the view of an engine anew; completes when the view has it, or it is known to be gone, or the
    /// engine does not answer in time.
    fn refresh<'a>(&'a self, engine: &'a HostPort, part: Part) -> BoxFuture<'a, ()>;

    /// [`Fleet::refresh`] for one container.
    fn refresh_container<'a>(&'a self, engine: &'a HostPort, id: &str) -> BoxFuture<'a, ()> {
        self.refresh(engine, Part::Container(id.into()))
    }

    /// Completes when the call has ended that reads a container anew because of an event, whether it is under way or the
    /// event is still to come; without an event it begins soon. What it read may be older than this call.
    fn join_container<'a>(&'a self, engine: &'a HostPort, id: &'a str) -> BoxFuture<'a, ()>;

    /// Events of all engines from now on, or from `since` on as far as they are remembered.
    fn subscribe(&self, since: Option<Wall>) -> Subscription;

    /// Events of all engines from now on, for the manager itself: nobody that [`Fleet::subscribers`] counts.
    fn listen(&self) -> Subscription;

    /// How many subscriptions there are.
    fn subscribers(&self) -> usize;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "is reading it already")]
    fn a_second_look_under_the_first_is_a_defect() {
        let view = SharedCluster::default();
        drop(view.read());
        let first = view.read();
        let _second = view.read();
        drop(first);
    }
}
