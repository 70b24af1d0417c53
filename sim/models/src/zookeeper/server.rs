//! One server of a cluster: how it does what it is asked, and how it fails.

use std::sync::Arc;
use std::time::Duration;

use swarm_core::time::Mono;

use super::Cluster;
use super::connection;
use super::faults::{Ambiguous, Faults, Outage};
use super::inner::Inner;
use super::jute::Code;
use crate::connection::detached;
use crate::{BoxFuture, BoxIo, Service};

/// A server of a [`Cluster`]: what its port is to a client.
#[derive(Clone)]
pub struct Server {
    pub(super) cluster: Arc<Cluster>,
    pub(super) id: usize,
}

/// Why a request has no ordinary answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// An error answer.
    Code(Code),
    /// The connection ends without one.
    Cut,
    /// No answer for as long as the client waits.
    Silence,
}

impl Service for Server {
    fn serve(&self, io: BoxIo) -> BoxFuture<()> {
        Box::pin(connection::serve(self.clone(), io))
    }
}

impl Server {
    pub(super) fn new(cluster: Arc<Cluster>, id: usize) -> Self {
        Self { cluster, id }
    }

    /// Changes what this server does wrong, with effect on requests that already wait.
    pub fn faults(&self, set: impl FnOnce(&mut Faults)) {
        self.cluster.set_faults(self.id, set);
    }

    pub(super) fn fault<T>(&self, read: impl FnOnce(&Faults) -> T) -> T {
        read(&self.cluster.lock().faults(self.id))
    }

    pub(super) fn now(&self) -> Mono {
        self.cluster.host.mono()
    }

    /// How long it serves without a majority (`syncLimit`).
    pub(super) fn patience(&self) -> Duration {
        self.cluster.options.tick * self.cluster.options.sync_limit
    }

    /// Completes when the server stops serving: its process ends, or its place in the ensemble.
    pub(super) async fn ended(&self) {
        let mut changes = self.cluster.changes();
        let generation = self.cluster.lock().generation;
        loop {
            let until = {
                let inner = self.cluster.lock();
                let serves = inner.serves(self.id, self.now(), self.patience());
                let hangs = inner.faults(self.id).outage == Outage::Hung;
                let is_over = !serves || inner.generation != generation;
                // One that stands still notices nothing.
                if is_over && !hangs {
                    return;
                }
                inner.gives_up(self.id, self.patience()).filter(|_| !hangs)
            };
            changes.next(until).await;
        }
    }

    /// Completes when the server is not paused.
    pub(super) async fn awake(&self) {
        let mut changes = self.cluster.changes();
        while self.fault(|faults| faults.outage) == Outage::Hung {
            changes.next(None).await;
        }
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        if !duration.is_zero() {
            self.cluster.host.sleep(duration).await;
        }
    }

    /// Waits until the leader hears of something. Nobody is told that it takes long: the connection ends some time.
    pub(super) async fn reach_leader(&self) {
        let mut changes = self.cluster.changes();
        while self.cluster.lock().reachable_leader(self.id).is_none() {
            changes.next(None).await;
        }
    }

    /// Waits until the server has applied so many transactions.
    async fn applied(&self, transactions: u64) {
        let mut changes = self.cluster.changes();
        loop {
            let next = {
                let inner = self.cluster.lock();
                if inner.applied(self.id) >= transactions {
                    return;
                }
                inner.applies_next(self.id)
            };
            changes.next(next).await;
        }
    }

    /// Lets the leader commit something for a session, a change or not. It does so even when the client goes away
    /// meanwhile.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        session: i64,
        is_change: bool,
        change: impl FnOnce(&mut Inner, Mono) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let server = self.clone();
        let writing = async move { server.write_through(session, is_change, change).await };
        let written = detached(self.cluster.host.as_ref(), writing).await;
        written.unwrap_or(Err(Failure::Cut))
    }

    async fn write_through<T>(
        &self,
        session: i64,
        is_change: bool,
        change: impl FnOnce(&mut Inner, Mono) -> T,
    ) -> Result<T, Failure> {
        let generation = self.cluster.lock().generation;
        self.reach_leader().await;
        self.sleep(self.fault(|faults| faults.before_apply)).await;
        self.awake().await;
        self.reach_leader().await;
        let now = self.now();
        let (result, ambiguous, transactions) = self.cluster.change(|inner| {
            // Who forwarded it to a leader that is no more has forgotten it.
            if inner.generation != generation {
                return (Err(Failure::Cut), None, 0);
            }
            if let Err(code) = inner.check_session(session, self.id) {
                return (Err(Failure::Code(code)), None, 0);
            }
            let (is_applied, answer) = match is_change {
                true => Ambiguous::next(&mut inner.ambiguous),
                false => (true, None),
            };
            let result = is_applied.then(|| change(inner, now));
            (result.ok_or(Failure::Cut), answer, inner.transactions())
        });
        if let Some(answer) = ambiguous {
            return Err(answer.into());
        }
        let result = result?;
        self.applied(transactions).await;
        self.sleep(self.fault(|faults| faults.before_reply)).await;
        Ok(result)
    }
}
