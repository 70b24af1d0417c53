//! One member of a cluster: who answers a request, and how it fails.

use std::sync::Arc;
use std::time::Duration;

use swarm_core::time::Mono;

use super::Cluster;
use super::cluster::Inner;
use super::faults::{Ambiguous, Code, Faults, Outage, Refusal};
use super::http;
use crate::connection::detached;
use crate::{BoxFuture, BoxIo, Service};

/// A member of a [`Cluster`]: what its client URL is to a client.
#[derive(Clone)]
pub struct Server {
    pub(super) cluster: Arc<Cluster>,
    pub(super) id: usize,
}

/// Why a request has no ordinary answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// An error answer.
    Answer(Code, String),
    /// The connection ends without one.
    Cut,
    /// No answer for as long as the client waits.
    Silence,
}

impl Failure {
    pub(super) fn answer(code: Code, text: impl Into<String>) -> Self {
        Self::Answer(code, text.into())
    }
}

/// What a request needs the leader for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// That what it reads is the present.
    Confirm,
    /// To take a proposal.
    Propose,
    /// To keep a lease alive.
    KeepAlive,
}

/// What of the leader a member sees.
enum Sight {
    /// It answers.
    Reached,
    /// It is there and silent.
    Silent(usize),
    /// It is gone, and nobody has noticed yet.
    Gone(usize),
    /// There is none.
    Nobody,
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

    /// Changes what this member does wrong, with effect on requests that already wait.
    pub fn faults(&self, set: impl FnOnce(&mut Faults)) {
        self.cluster.change(|inner| {
            if let Some(faults) = inner.faults.get_mut(self.id) {
                set(faults);
            }
        });
    }

    pub(super) fn fault<T>(&self, read: impl FnOnce(&Faults) -> T) -> T {
        read(&self.cluster.lock().faults(self.id))
    }

    /// Completes when this process of the member ends.
    pub(super) async fn ended(&self) {
        let mut changes = self.cluster.changes();
        let generation = self.cluster.lock().generation;
        loop {
            {
                let inner = self.cluster.lock();
                let down = inner.faults(self.id).outage == Outage::Down;
                if down || inner.generation != generation {
                    return;
                }
            }
            changes.next(None).await;
        }
    }

    /// Completes when the member is not paused.
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

    /// How long a member tries: `ReqTimeout` in `etcdserver/config.go`, five seconds and two elections.
    fn patience(&self) -> Duration {
        Duration::from_secs(5) + 2 * self.cluster.options.election_timeout
    }

    fn sight(&self) -> Sight {
        let inner = self.cluster.lock();
        match inner.leader_of(self.id) {
            None => Sight::Nobody,
            Some(leader) if leader == self.id || inner.takes_part(leader) => Sight::Reached,
            Some(leader) if inner.faults(leader).outage == Outage::Hung => Sight::Silent(leader),
            Some(leader) => Sight::Gone(leader),
        }
    }

    /// Waits until the leader has heard of the request.
    ///
    /// A read that was waiting for a leader's word is turned down when there is another leader; a proposal that was sent
    /// to a leader that is gone is lost, and its client is told so when time is over (`etcdserver/v3_server.go`).
    pub(super) async fn reach_leader(&self, need: Need) -> Result<(), Failure> {
        let mut changes = self.cluster.changes();
        let until = self.cluster.host.mono() + self.patience();
        let mut sent_to = None;
        loop {
            let leader = self.cluster.lock().leader_of(self.id);
            let sight = self.sight();
            let another = sent_to.is_some_and(|sent_to| leader.is_some_and(|now| now != sent_to));
            match (need, sight) {
                (Need::Confirm, _) if another => return Err(Refusal::LeaderChanged.into()),
                (Need::Confirm | Need::KeepAlive, Sight::Reached) => return Ok(()),
                (Need::Propose, Sight::Reached) if !another => return Ok(()),
                (_, Sight::Silent(leader) | Sight::Gone(leader)) => {
                    sent_to.get_or_insert(leader);
                }
                // The next leader is another one to what waits for its word, whoever it is.
                (Need::Confirm, Sight::Nobody) => {
                    sent_to.get_or_insert(usize::MAX);
                }
                (_, Sight::Nobody | Sight::Reached) => {}
            }
            if self.cluster.host.mono() >= until {
                return Err(match (need, sent_to) {
                    (Need::KeepAlive, _) => Refusal::NoLeader.into(),
                    (Need::Propose, None) => {
                        Failure::answer(Code::Unknown, "context deadline exceeded")
                    }
                    (Need::Confirm, _) | (Need::Propose, Some(_)) => Refusal::TimedOut.into(),
                });
            }
            changes.next(Some(until)).await;
        }
    }

    /// A linearizable look at the present state.
    pub(super) async fn read<T>(
        &self,
        look: impl FnOnce(&Inner) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.reach_leader(Need::Confirm).await?;
        self.sleep(self.fault(|faults| faults.before_read)).await;
        self.awake().await;
        look(&self.cluster.lock())
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
        let generation = self.cluster.lock().generation;
        self.reach_leader(Need::Propose).await?;
        self.sleep(self.fault(|faults| faults.before_apply)).await;
        self.awake().await;
        let now = self.cluster.host.mono();
        let (result, ambiguous) = self.cluster.change(|inner| {
            if inner.generation != generation {
                return (None, None);
            }
            let (applied, answer) = Ambiguous::next(&mut inner.ambiguous);
            (applied.then(|| change(inner, now)), answer)
        });
        self.sleep(self.fault(|faults| faults.before_reply)).await;
        match (ambiguous, result) {
            (Some(answer), _) => Err(answer.into()),
            (None, Some(result)) => result,
            // Those who took it are gone.
            (None, None) => Err(Failure::Cut),
        }
    }
}
