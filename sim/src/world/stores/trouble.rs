//! What each fault means for the modelled servers.

use std::sync::Arc;
use std::time::Duration;

use swarm_core::address::HostPort;
use swarm_core::election::Record;
use swarm_models::consul::faults::{
    Ambiguous, AmbiguousAnswer, DefaultReads, Outage, Refusal, Refuse, Watches, Which,
};
use swarm_models::consul::{Cluster, Faults};

use super::Stores;
use crate::plan::{Op, RefuseWhich};
use crate::world::managers::MANAGER_PORT;

impl Stores {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other kinds last for a while or do not concern the store"
    )]
    pub(super) fn at_once(&mut self, cluster: &Arc<Cluster>, now: u64, id: u32, op: &Op) {
        match op {
            Op::NewStoreLeader => {
                let old = cluster.leader();
                let next = self.fit().find(|server| Some(*server) != old).or(old);
                cluster.set_leader(next);
            }
            Op::LostReplies { count, applied } => {
                let answer = self.ambiguous_answer(id);
                let hit = Ambiguous {
                    skip: 0,
                    count: *count,
                    applied: *applied,
                    answer,
                };
                cluster.lose_replies(hit);
            }
            Op::Wipe => {
                cluster.wipe();
                self.register(cluster);
            }
            Op::Rollback { ms } => {
                let then = now.saturating_sub(ms.saturating_mul(1_000_000));
                let found = self.snapshots.iter().rev().find(|(at, _)| *at <= then);
                if let Some((_, snapshot)) = found.or_else(|| self.snapshots.front()) {
                    cluster.rollback(snapshot);
                }
                self.register(cluster);
            }
            Op::Renumber => cluster.renumber(),
            Op::DeleteRecord => cluster.delete(self.layout.lease()),
            Op::Usurp => self.usurp(cluster, id),
            Op::Scribble => cluster.put(self.layout.lease(), "not a lease record"),
            _ => {}
        }
    }

    /// Engines that an operator put into the store are put there again.
    fn register(&self, cluster: &Arc<Cluster>) {
        for engine in &self.registered {
            let key = format!("{}{engine}", self.layout.nodes_prefix());
            if cluster.get(&key).is_none() {
                cluster.put(&key, engine.clone());
            }
        }
    }

    fn usurp(&self, cluster: &Arc<Cluster>, id: u32) {
        let mut random = self.random.fork(&format!("usurp/{id}"));
        let found = cluster.get(self.layout.lease());
        let Some(mut record) = found.and_then(|entry| Record::parse(&entry.value).ok()) else {
            return;
        };
        record.epoch += random.between(1, 3);
        record.holder = HostPort::new("x", MANAGER_PORT).unwrap_or(record.holder);
        record.instance = random.hex(16);
        record.nonce = random.hex(8);
        record.beat = 1;
        record.released = false;
        record.members = Vec::new();
        cluster.put(self.layout.lease(), record.to_bytes());
    }

    fn ambiguous_answer(&self, id: u32) -> AmbiguousAnswer {
        let mut draw = self.random.fork(&format!("ambiguous/{id}"));
        match draw.below(5) {
            0 => AmbiguousAnswer::Eof,
            1 => AmbiguousAnswer::LeadershipLost,
            2 => AmbiguousAnswer::SnapshotRestored,
            3 => AmbiguousAnswer::Cut,
            _ => AmbiguousAnswer::Silence,
        }
    }

    fn refusal(&self, id: u32) -> Refusal {
        let mut draw = self.random.fork(&format!("refusal/{id}"));
        match draw.below(6) {
            0 => Refusal::NoLeader,
            1 => Refusal::EnqueueTimeout,
            2 => Refusal::NotLeader,
            3 => Refusal::RateLimited,
            4 => Refusal::Unavailable,
            _ => Refusal::PermissionDenied,
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other kinds happen at once or do not concern the store"
    )]
    pub(super) fn wanted(&self, server: usize) -> Faults {
        let mut faults = Faults::default();
        let away = self.away.get(server).into_iter().flatten();
        for (_, outage) in away {
            if faults.outage != Outage::Down {
                faults.outage = *outage;
            }
        }
        if self.servers > 1 && faults.outage == Outage::None && !self.is_fit(server) {
            faults.refuse = Some(Refuse {
                which: Which::All,
                with: Refusal::NoLeader,
            });
        }
        for (id, op) in &self.faults {
            match op {
                Op::StoreRefuses { which } => {
                    let which = match which {
                        RefuseWhich::All => Which::All,
                        RefuseWhich::Writes => Which::Writes,
                        RefuseWhich::Reads => Which::Reads,
                    };
                    let with = self.refusal(*id);
                    faults.refuse = Some(Refuse { which, with });
                }
                Op::SlowWrites { ms } => faults.before_apply = longer(faults.before_apply, *ms),
                Op::SlowReplies { ms } => faults.before_reply = longer(faults.before_reply, *ms),
                Op::SlowReads { ms } => faults.before_read = longer(faults.before_read, *ms),
                Op::StaleReads { ms } => {
                    faults.default_reads = DefaultReads::Behind(Duration::from_millis(*ms));
                }
                Op::RegressingReads { ms } => {
                    faults.default_reads = DefaultReads::Regressing(Duration::from_millis(*ms));
                }
                Op::DeafWatches => faults.watches = Watches::Dropped,
                Op::LateWatches { ms } => {
                    faults.watches = Watches::Late(Duration::from_millis(*ms));
                }
                Op::StuckWatches => faults.watches = Watches::Stuck,
                _ => {}
            }
        }
        faults
    }
}

fn longer(present: Duration, ms: u64) -> Duration {
    present.max(Duration::from_millis(ms))
}
