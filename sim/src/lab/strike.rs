//! What a fault does to a host, to the store's behaviour and to its content, and how that is undone.

use swarm_core::election::Record;

use super::event::{Event, Reply};
use super::faults::Part;
use super::record::Value;
use super::{Lab, MS};
use crate::plan::Op;
use crate::trace::HostId;

impl Lab<'_> {
    /// What a fault does to one of its hosts.
    pub(super) fn strike(&mut self, index: usize, op: &Op, host: HostId) {
        let now = self.now;
        match (op, self.part(host)) {
            (Op::Kill { guard, .. }, Part::Manager(m)) => {
                self.managers[m].downs += 1;
                if *guard && self.managers[m].up {
                    let job = self.guard_job(m, 3 * MS);
                    self.after(3 * MS, Event::Guard(Box::new(job)));
                }
                self.end(m, 1);
            }
            (Op::PowerLoss { .. }, Part::Manager(m)) => {
                self.managers[m].downs += 1;
                self.end(m, 2);
            }
            (Op::Terminate { .. }, Part::Manager(m)) => {
                self.managers[m].downs += 1;
                self.terminate(m);
            }
            (Op::StepDown { .. }, Part::Manager(m)) => self.step_down(m),
            (Op::Pause { .. }, Part::Manager(m)) => self.pause(m, false),
            (Op::Freeze { .. }, Part::Manager(m)) => self.pause(m, true),
            (Op::Slow { every_ms, .. }, Part::Manager(m)) => {
                self.managers[m].slow.push((index, now, every_ms * MS));
            }
            (Op::Rate { ppm, .. }, Part::Manager(m)) => {
                self.managers[m].clock.set_rate(now, Some(*ppm));
                self.clock_changed(m);
            }
            (Op::ClockJump { ms, .. }, Part::Manager(m)) => {
                self.managers[m].clock.jump(now, ms * MS);
                self.clock_changed(m);
            }
            (Op::Kill { .. } | Op::PowerLoss { .. } | Op::Terminate { .. }, Part::Server(s)) => {
                let dark = matches!(op, Op::PowerLoss { .. });
                self.server_falls(s, dark);
            }
            (Op::Pause { .. } | Op::Freeze { .. }, Part::Server(s)) => {
                if let Some(server) = self.store.servers.get_mut(s) {
                    server.pauses += 1;
                }
            }
            _ => {}
        }
    }

    pub(super) fn relieve(&mut self, index: usize, op: &Op, host: HostId) {
        let now = self.now;
        match (op, self.part(host)) {
            (Op::Kill { .. } | Op::PowerLoss { .. } | Op::Terminate { .. }, Part::Manager(m)) => {
                let manager = &mut self.managers[m];
                manager.downs = manager.downs.saturating_sub(1);
                // Whoever still drains is killed by its supervisor before it is started anew.
                if manager.stopping.is_some() {
                    self.end(m, 1);
                }
                self.start(m);
            }
            (Op::Pause { .. }, Part::Manager(m)) => self.resume(m, false),
            (Op::Freeze { .. }, Part::Manager(m)) => self.resume(m, true),
            (Op::Slow { .. }, Part::Manager(m)) => {
                self.managers[m].slow.retain(|(fault, ..)| *fault != index);
            }
            (Op::Rate { .. }, Part::Manager(m)) => {
                self.managers[m].clock.set_rate(now, None);
                self.clock_changed(m);
            }
            (Op::Kill { .. } | Op::PowerLoss { .. } | Op::Terminate { .. }, Part::Server(s)) => {
                let dark = u32::from(matches!(op, Op::PowerLoss { .. }));
                if let Some(server) = self.store.servers.get_mut(s) {
                    server.downs = server.downs.saturating_sub(1);
                    server.dark = server.dark.saturating_sub(dark);
                }
            }
            (Op::Pause { .. } | Op::Freeze { .. }, Part::Server(s)) => self.server_goes_on(s),
            _ => {}
        }
    }

    /// A server ends: queries that wait there break off.
    fn server_falls(&mut self, s: usize, dark: bool) {
        let Some(server) = self.store.servers.get_mut(s) else {
            return;
        };
        server.downs += 1;
        server.dark += u32::from(dark);
        server.stash.clear();
        for m in 0..self.managers.len() {
            let manager = &mut self.managers[m];
            if manager.watch.waits_at != Some(s) {
                continue;
            }
            manager.watch.waits_at = None;
            let (process, query, to) = (manager.process(m), manager.watch.query, manager.host);
            if !dark {
                let failed = Reply::WatchFailed(query);
                let from = self.store.host(s);
                let _ = self.send(from, to, 0, Event::StoreAnswers(process, failed));
            }
        }
    }

    fn server_goes_on(&mut self, s: usize) {
        let Some(server) = self.store.servers.get_mut(s) else {
            return;
        };
        server.pauses = server.pauses.saturating_sub(1);
        if server.pauses == 0 {
            for (cause, event) in std::mem::take(&mut server.stash) {
                self.queue.push(self.now, cause, event);
            }
        }
    }

    /// Begins or ends what a fault asks of the store.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other faults leave the store's behaviour alone"
    )]
    pub(super) fn trouble(&mut self, op: &Op, begins: bool) {
        let trouble = &mut self.store.trouble;
        let (list, ms) = match op {
            Op::NoStoreLeader if begins => return trouble.no_leader += 1,
            Op::NoStoreLeader => return trouble.no_leader = trouble.no_leader.saturating_sub(1),
            Op::DeafWatches if begins => return trouble.deaf += 1,
            Op::DeafWatches => return trouble.deaf = trouble.deaf.saturating_sub(1),
            Op::StuckWatches if begins => return trouble.stuck += 1,
            Op::StuckWatches => return trouble.stuck = trouble.stuck.saturating_sub(1),
            Op::StoreRefuses { which } => {
                let list = &mut trouble.refuses;
                if begins {
                    list.push(*which);
                } else if let Some(at) = list.iter().position(|one| one == which) {
                    list.remove(at);
                }
                return;
            }
            Op::LostReplies { count, applied } if begins => {
                return trouble.lost.push((*count, *applied));
            }
            Op::NewStoreLeader if begins => {
                // The others agree on one of them, or on the same again.
                self.store.leader = None;
                return;
            }
            Op::SlowWrites { ms } => (&mut trouble.slow_writes, *ms),
            Op::SlowReplies { ms } => (&mut trouble.slow_replies, *ms),
            Op::SlowReads { ms } => (&mut trouble.slow_reads, *ms),
            Op::StaleReads { ms } => (&mut trouble.stale, *ms),
            Op::RegressingReads { ms } => (&mut trouble.regressing, *ms),
            Op::LateWatches { ms } => (&mut trouble.late, *ms),
            _ => return,
        };
        if begins {
            list.push(ms);
        } else if let Some(at) = list.iter().position(|one| *one == ms) {
            list.remove(at);
        }
    }

    /// Faults that change what stands under the key.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other faults leave the store's content alone"
    )]
    pub(super) fn overwrite(&mut self, op: &Op) {
        let now = self.now;
        match op {
            Op::Wipe => self.store.key.wipe(now),
            Op::Rollback { ms } => {
                self.store.key.roll_back(now, now.saturating_sub(ms * MS));
            }
            Op::Renumber => self.store.key.renumber(now),
            Op::DeleteRecord => self.store.key.put(now, Value::Absent, 1),
            Op::Scribble => self.store.key.put(now, Value::Junk, 1),
            Op::Usurp => {
                let Some(record) = self.store.key.current().record() else {
                    return;
                };
                let forged = Record {
                    epoch: record.epoch + 1,
                    holder: "x:4000"
                        .parse()
                        .unwrap_or_else(|_| swarm_core::address::HostPort::localhost()),
                    instance: "x".into(),
                    nonce: "x".into(),
                    released: false,
                    ..Record::clone(record)
                };
                self.store.key.put(now, Value::Record(forged.into()), 1);
            }
            _ => return,
        }
        self.tell_watchers();
    }

    /// The usurper's record is released if it still stands.
    pub(super) fn usurper_gives_up(&mut self) {
        let current = self.store.key.current();
        let Some(record) = current.record().filter(|record| record.instance == "x") else {
            return;
        };
        let released = Record {
            released: true,
            nonce: "y".into(),
            ..Record::clone(record)
        };
        let now = self.now;
        self.store.key.put(now, Value::Record(released.into()), 1);
        self.tell_watchers();
    }
}
