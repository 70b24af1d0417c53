//! Reads and blocking queries (HA.md section 2.5, developer.hashicorp.com/consul/api-docs/features/blocking).

use std::sync::Arc;
use std::time::Duration;

use swarm_core::time::Mono;

use super::Server;
use super::cluster::Inner;
use super::faults::{DefaultReads, Outage, Watches};
use super::server::Failure;
use super::state::{State, Watched};

/// How fresh an answer has to be (api-docs/features/consistency).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Consistency {
    /// What the leader believes.
    #[default]
    Default,
    /// What a leader believes that a quorum has just confirmed.
    Consistent,
    /// What any server knows.
    Stale,
}

/// A read, and for how long it may wait for something new.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub(super) watched: Watched,
    pub(super) consistency: Consistency,
    /// Answer only when the index is above this one; 0 for at once.
    pub(super) index: u64,
    /// For how long at most; zero for the default.
    pub(super) wait: Duration,
}

/// What a read sees.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) state: Arc<State>,
    pub(super) index: u64,
    pub(super) known_leader: bool,
    pub(super) last_contact: Duration,
}

const DEFAULT_WAIT: Duration = Duration::from_mins(5);
const MAX_WAIT: Duration = Duration::from_mins(10);

impl Server {
    /// Answers a query once there is something newer than its index, or when its wait is over.
    pub(super) async fn query(&self, query: &Query) -> Result<Answer, Failure> {
        let mut changes = self.cluster.changes();
        let forwarded = match query.consistency {
            Consistency::Stale => false,
            Consistency::Default | Consistency::Consistent => self.reach_leader().await?,
        };
        self.sleep(self.fault(|faults| faults.before_read)).await;
        let behind = self.behind(query.consistency);
        let mut answer = self.look(query, behind)?;
        let watch = Watch {
            watched: &query.watched,
            behind,
            forwarded,
            deadline: self.deadline(query.wait),
            generation: self.cluster.lock().store.generation(),
        };
        while query.index > 0 && answer.index <= query.index {
            let seen = answer.state.mark(&query.watched);
            match self.progress(&watch, seen)? {
                Progress::Changed => answer = self.look(query, behind)?,
                Progress::ChangedLate(by) => {
                    self.sleep(by).await;
                    answer = self.look(query, behind)?;
                }
                Progress::Replaced => return self.look(query, behind),
                Progress::Expired => break,
                Progress::Waiting(until) => changes.next(until).await,
            }
        }
        Ok(answer)
    }

    /// How old the state is that this query gets to see.
    fn behind(&self, consistency: Consistency) -> Duration {
        let mut inner = self.cluster.lock();
        let leading = inner.leader == Some(self.id);
        let Some(member) = inner.members.get_mut(self.id) else {
            return Duration::ZERO;
        };
        match consistency {
            Consistency::Consistent => Duration::ZERO,
            Consistency::Stale if leading => Duration::ZERO,
            Consistency::Stale => member.faults.stale_lag,
            Consistency::Default => {
                member.default_reads += 1;
                match member.faults.default_reads {
                    DefaultReads::Fresh => Duration::ZERO,
                    DefaultReads::Behind(time) => time,
                    DefaultReads::Regressing(time) if member.default_reads % 2 == 0 => time,
                    DefaultReads::Regressing(_) => Duration::ZERO,
                }
            }
        }
    }

    /// What the query sees now, whatever its index.
    fn look(&self, query: &Query, behind: Duration) -> Result<Answer, Failure> {
        let now = self.cluster.host.mono();
        let inner = self.cluster.lock();
        let known_leader = inner.leader.is_some();
        let last_contact = match query.consistency {
            Consistency::Consistent if !known_leader => {
                return Err(Failure::internal("node is not the leader"));
            }
            Consistency::Stale => behind,
            Consistency::Default | Consistency::Consistent => Duration::ZERO,
        };
        let state = Arc::clone(inner.store.past(now, behind));
        Ok(Answer {
            index: state.index_of(&query.watched),
            state,
            known_leader,
            last_contact,
        })
    }

    fn deadline(&self, wait: Duration) -> Mono {
        let wait = match wait {
            Duration::ZERO => DEFAULT_WAIT,
            wait => wait.min(MAX_WAIT),
        };
        let jitter = self.cluster.lock().jitter(wait);
        self.cluster.host.mono() + wait + jitter
    }

    fn progress(&self, watch: &Watch<'_>, seen: (u64, usize)) -> Result<Progress, Failure> {
        let now = self.cluster.host.mono();
        let inner = self.cluster.lock();
        if watch.forwarded && leader_is_down(&inner) {
            return Err(Failure::internal("rpc error making call: EOF"));
        }
        let member = inner.members.get(self.id);
        let watches = member.map_or(Watches::Working, |member| member.faults.watches);
        if watches == Watches::Stuck {
            return Ok(Progress::Waiting(None));
        }
        if inner.store.generation() != watch.generation {
            return Ok(Progress::Replaced);
        }
        let store = &inner.store;
        let changed = store.past(now, watch.behind).mark(watch.watched) != seen;
        Ok(match watches {
            Watches::Working if changed => Progress::Changed,
            Watches::Late(by) if changed => Progress::ChangedLate(by),
            Watches::Working | Watches::Late(_) | Watches::Dropped | Watches::Stuck => {
                let visible = store.next_visible(now, watch.behind);
                match watch.deadline {
                    deadline if now >= deadline => Progress::Expired,
                    deadline => Progress::Waiting(Some(
                        visible.map_or(deadline, |visible| visible.min(deadline)),
                    )),
                }
            }
        })
    }
}

fn leader_is_down(inner: &Inner) -> bool {
    let outage = inner.leader.map(|leader| inner.outage(leader));
    outage == Some(Outage::Down)
}

/// What a blocked query waits for.
struct Watch<'a> {
    watched: &'a Watched,
    behind: Duration,
    /// Whether another server answers on behalf of this one.
    forwarded: bool,
    deadline: Mono,
    generation: u64,
}

/// How a blocked query goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// What it watches was written.
    Changed,
    /// So it was, but it learns that only after this time.
    ChangedLate(Duration),
    /// The whole state was replaced: it answers, whatever the index.
    Replaced,
    /// Its time is over: it answers with what it saw last.
    Expired,
    /// Nothing happens before this time, unless something changes.
    Waiting(Option<Mono>),
}
