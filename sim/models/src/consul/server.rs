//! One server of a cluster: who answers a request, and how it fails.

use std::sync::Arc;
use std::time::Duration;

use swarm_core::time::Mono;

use super::Cluster;
use super::cluster::Inner;
use super::faults::{Ambiguous, AmbiguousAnswer, Faults, Outage, Refusal};
use super::http;
use super::state::Session;
use crate::connection::detached;
use crate::{BoxFuture, BoxIo, Service};

/// A server of a [`Cluster`]: what an agent's HTTP port is to a client.
#[derive(Clone)]
pub struct Server {
    pub(super) cluster: Arc<Cluster>,
    pub(super) id: usize,
}

/// Why a request has no ordinary answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// An error answer.
    Answer(u16, String),
    /// The connection ends without one.
    Cut,
    /// No answer for as long as the client waits.
    Silence,
}

impl Failure {
    pub(super) fn internal(text: impl Into<String>) -> Self {
        Self::Answer(500, text.into())
    }

    /// As the server reports it that passed the request on to the leader.
    pub(super) fn forwarded(self, forwarded: bool) -> Self {
        match self {
            Self::Answer(status, text) if forwarded => {
                Self::Answer(status, format!("rpc error making call: {text}"))
            }
            other @ (Self::Answer(..) | Self::Cut | Self::Silence) => other,
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (status, text) = refusal.answer();
        Self::Answer(status, text.to_owned())
    }
}

impl Service for Server {
    fn serve(&self, io: BoxIo) -> BoxFuture<()> {
        Box::pin(http::serve(self.clone(), io))
    }
}

impl Server {
    pub(super) fn new(cluster: Arc<Cluster>, id: usize) -> Self {
        Self { cluster, id }
    }

    /// Changes what this server does wrong, with effect on requests that already wait.
    pub fn faults(&self, set: impl FnOnce(&mut Faults)) {
        self.cluster.change(|inner| {
            if let Some(member) = inner.members.get_mut(self.id) {
                set(&mut member.faults);
            }
        });
    }

    /// The name of its node.
    #[must_use]
    pub fn name(&self) -> &str {
        self.cluster.nodes.get(self.id).map_or("", String::as_str)
    }

    pub(super) fn fault<T>(&self, read: impl FnOnce(&Faults) -> T) -> T {
        let inner = self.cluster.lock();
        match inner.members.get(self.id) {
            Some(member) => read(&member.faults),
            None => read(&Faults::default()),
        }
    }

    /// Completes when the server is killed.
    pub(super) async fn down(&self) {
        let mut changes = self.cluster.changes();
        while self.fault(|faults| faults.outage) != Outage::Down {
            changes.next(None).await;
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

    /// Waits for the leader and says whether that is another server (HA.md section 2.6).
    pub(super) async fn reach_leader(&self) -> Result<bool, Failure> {
        let mut changes = self.cluster.changes();
        let hold = self.cluster.host.mono() + self.cluster.options.rpc_hold;
        loop {
            let (leader, outage) = {
                let inner = self.cluster.lock();
                let outage = inner.leader.map(|leader| inner.outage(leader));
                (inner.leader, outage)
            };
            match (leader, outage) {
                (Some(leader), _) if leader == self.id => return Ok(false),
                (Some(_), Some(Outage::None)) => return Ok(true),
                (Some(_), Some(Outage::Down)) => return Err(Refusal::LeaderUnreachable.into()),
                (Some(_), Some(Outage::Hung)) => changes.next(None).await,
                (None, _) | (_, None) if self.cluster.host.mono() >= hold => {
                    return Err(Refusal::NoLeader.into());
                }
                (None, _) | (_, None) => changes.next(Some(hold)).await,
            }
        }
    }

    /// Sends a change through raft. It is carried out even when the client goes away meanwhile.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Inner, Mono) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let server = self.clone();
        let writing = async move { server.write_through(change).await };
        let written = detached(self.cluster.host.as_ref(), writing).await;
        written.unwrap_or(Err(Failure::Cut))
    }

    async fn write_through<T>(
        &self,
        change: impl FnOnce(&mut Inner, Mono) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let forwarded = self.reach_leader().await?;
        self.sleep(self.fault(|faults| faults.before_apply)).await;
        self.awake().await;
        let now = self.cluster.host.mono();
        let (result, ambiguous) = self.cluster.change(|inner| {
            let (applied, answer) = Ambiguous::next(&mut inner.ambiguous);
            (applied.then(|| change(inner, now)), answer)
        });
        self.sleep(self.fault(|faults| faults.before_reply)).await;
        match (ambiguous, result) {
            (None, Some(result)) => result.map_err(|failure| failure.forwarded(forwarded)),
            (Some(AmbiguousAnswer::Silence), _) => Err(Failure::Silence),
            (Some(answer), _) => Err(answer.text().map_or(Failure::Cut, Failure::internal)),
            (None, None) => Err(Failure::Cut),
        }
    }

    /// Renews a session: a timer in the leader's memory, no raft entry. With `stale` a follower answers from its own
    /// state and resets a timer that nobody looks at (HA.md section 2.1).
    pub(super) async fn renew(
        &self,
        id: &str,
        stale: bool,
    ) -> Result<Option<Arc<Session>>, Failure> {
        if !stale {
            self.reach_leader().await?;
        }
        let now = self.cluster.host.mono();
        Ok(self.cluster.change(|inner| {
            if stale && inner.leader != Some(self.id) {
                let lag = inner
                    .members
                    .get(self.id)
                    .map_or(Duration::ZERO, |member| member.faults.stale_lag);
                return inner.store.past(now, lag).session(id).cloned();
            }
            let session = inner.store.state().session(id).cloned()?;
            inner.store.start_timer(now, &session);
            Some(session)
        }))
    }
}
