//! What each fault means for the modelled servers.

use std::time::Duration;

use swarm_core::address::HostPort;
use swarm_core::election::Record;
use swarm_models::consul::faults::DefaultReads;
use swarm_models::trouble::{Outage, Watches, Which};

use super::Stores;
use super::double::{Double, Trouble};
use crate::plan::{Op, RefuseWhich};
use crate::world::managers::MANAGER_PORT;

impl Stores {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other kinds last for a while or do not concern the store"
    )]
    pub(super) fn at_once(&mut self, double: &dyn Double, now: u64, id: u32, op: &Op) {
        match op {
            Op::NewStoreLeader => {
                let old = double.leader();
                let next = self.fit().find(|server| Some(*server) != old).or(old);
                double.set_leader(next);
            }
            Op::LostReplies { count, applied } => {
                let draw = self.random.fork(&format!("ambiguous/{id}"));
                double.lose_replies(*count, *applied, draw);
            }
            Op::Wipe => {
                double.wipe();
                self.register(double);
            }
            Op::Rollback { ms } => {
                let then = now.saturating_sub(ms.saturating_mul(1_000_000));
                let found = self.snapshots.iter().rev().find(|(at, _)| *at <= then);
                if let Some((_, way_back)) = found.or_else(|| self.snapshots.front()) {
                    way_back();
                }
                self.register(double);
            }
            Op::Renumber => double.renumber(),
            Op::DeleteRecord => double.delete(self.layout.lease()),
            Op::Usurp => self.usurp(double, id),
            Op::Scribble => double.put(self.layout.lease(), "not a lease record".into()),
            _ => {}
        }
    }

    /// Engines that an operator put into the store are put there again.
    fn register(&self, double: &dyn Double) {
        for engine in &self.registered {
            let key = format!("{}{engine}", self.layout.nodes_prefix());
            if double.value(&key).is_none() {
                double.put(&key, engine.clone().into());
            }
        }
    }

    fn usurp(&self, double: &dyn Double, id: u32) {
        let mut random = self.random.fork(&format!("usurp/{id}"));
        let found = double.value(self.layout.lease());
        let Some(mut record) = found.and_then(|value| Record::parse(&value).ok()) else {
            return;
        };
        record.epoch += random.between(1, 3);
        record.holder = HostPort::new("x", MANAGER_PORT).unwrap_or(record.holder);
        record.instance = random.hex(16);
        record.nonce = random.hex(8);
        record.beat = 1;
        record.released = false;
        record.members = Vec::new();
        double.put(self.layout.lease(), record.to_bytes().into());
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all other kinds happen at once or do not concern the store"
    )]
    pub(super) fn wanted(&self, server: usize) -> Trouble {
        let mut faults = Trouble::default();
        let away = self.away.get(server).into_iter().flatten();
        for (_, outage) in away {
            if faults.outage != Outage::Down {
                faults.outage = *outage;
            }
        }
        faults.cut_off = self.servers > 1 && faults.outage == Outage::None && !self.is_fit(server);
        for (id, op) in &self.faults {
            match op {
                Op::StoreRefuses { which } => {
                    let which = match which {
                        RefuseWhich::All => Which::All,
                        RefuseWhich::Writes => Which::Writes,
                        RefuseWhich::Reads => Which::Reads,
                    };
                    let draw = self.random.fork(&format!("refusal/{id}"));
                    faults.refuses = Some((which, draw));
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
