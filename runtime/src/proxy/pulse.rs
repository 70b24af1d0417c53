//! Whether a manager that keeps somebody waiting is alive.
//!
//! A host that vanishes closes no connection. Who waits for it long asks here; one task for each manager then sends
//! `GET /_ping` now and then, for as long as anybody waits.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Request, Uri};
use swarm_core::address::HostPort;
use swarm_core::watch;

use crate::http::client::{SendError, SendOptions};
use crate::http::{Client, body};
use crate::platform::{SharedPlatform, sleep};

/// How long an answer may take before anybody asks.
const PATIENCE: Duration = Duration::from_secs(2);

/// Time between two questions.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long an answer to a question may take.
const LIMIT: Duration = Duration::from_secs(2);

/// Unanswered questions in a row after which a manager counts as dead.
const MISSED_MAX: u32 = 3;

pub(super) struct Pulses {
    platform: SharedPlatform,
    client: Client,
    watched: Mutex<BTreeMap<HostPort, watch::Sender<bool>>>,
}

impl Pulses {
    pub(super) fn new(platform: &SharedPlatform, client: &Client) -> Arc<Self> {
        Arc::new(Self {
            platform: Arc::clone(platform),
            client: client.clone(),
            watched: Mutex::default(),
        })
    }

    /// Completes when `peer` does not answer any more; meant to be dropped before that.
    pub(super) async fn dead(self: Arc<Self>, peer: HostPort) {
        sleep(&*self.platform, PATIENCE).await;
        loop {
            let mut state = self.watch(&peer);
            match state.wait_for(|dead| *dead).await.map(drop) {
                Ok(()) => return,
                // The task saw nobody waiting and ended in this very moment.
                Err(_) => continue,
            }
        }
    }

    fn watch(self: &Arc<Self>, peer: &HostPort) -> watch::Receiver<bool> {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = watched.get(peer) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(false);
        watched.insert(peer.clone(), sender);
        let task = Arc::clone(self).ask(peer.clone());
        self.platform.spawn("proxy-pulse", Box::pin(task));
        receiver
    }

    async fn ask(self: Arc<Self>, peer: HostPort) {
        let mut missed = 0;
        while !self.forget(&peer, missed >= MISSED_MAX) {
            missed = if self.answers(&peer).await {
                0
            } else {
                missed + 1
            };
            sleep(&*self.platform, INTERVAL).await;
        }
    }

    /// Ends the watch over `peer` if it is dead or nobody waits for it. Whether it ended.
    fn forget(&self, peer: &HostPort, dead: bool) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let unwanted = watched.get(peer).is_none_or(watch::Sender::is_closed);
        if !dead && !unwanted {
            return false;
        }
        if let Some(sender) = watched.remove(peer) {
            sender.send_replace(dead);
        }
        true
    }

    async fn answers(&self, peer: &HostPort) -> bool {
        let mut request = Request::new(body::empty());
        *request.uri_mut() = Uri::from_static("/_ping");
        let options = SendOptions {
            head_timeout: Some(LIMIT),
            dedicated: false,
        };
        let sent = self
            .client
            .send_with(peer, request, options, || Ok::<(), Never>(()));
        match sent.await {
            Ok(_) => true,
            Err(failure) => match failure.error {
                // All connections in use says nothing about the other side.
                SendError::TooBusy { .. } => true,
                SendError::Connect { .. }
                | SendError::Vetoed(_)
                | SendError::NotSent { .. }
                | SendError::Broken { .. }
                | SendError::Timeout { .. } => false,
            },
        }
    }
}

type Never = std::convert::Infallible;
