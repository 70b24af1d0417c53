//! What the API needs of the engines: the warm view, a way to send requests, and fresh records when it asks.

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
    /// For reading. Not to be held over an `await`.
    pub fn read(&self) -> RwLockReadGuard<'_, Cluster> {
        // A reader or writer that panicked has left data behind that the next refresh corrects.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For writing. Not to be held over an `await`.
    pub fn write(&self) -> RwLockWriteGuard<'_, Cluster> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
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

    /// Completes when the call has ended that reads a container anew, if one is under way. What it read may be older than
    /// this call.
    fn join_container<'a>(&'a self, engine: &'a HostPort, id: &'a str) -> BoxFuture<'a, ()>;

    /// Events of all engines from now on, or from `since` on as far as they are remembered.
    fn subscribe(&self, since: Option<Wall>) -> Subscription;

    /// Events of all engines from now on, for the manager itself: nobody that [`Fleet::subscribers`] counts.
    fn listen(&self) -> Subscription;

    /// How many subscriptions there are.
    fn subscribers(&self) -> usize;
}
