//! Blocking queries and the leader of the lab's store.

use super::event::{Event, Process, Reply};
use super::server::longest;
use super::{Lab, MS};

impl Lab<'_> {
    /// A blocking query arrives: it is answered when there is something new to show.
    pub(super) fn watch_arrives(
        &mut self,
        from: Process,
        server: usize,
        query: u64,
        known: Option<u64>,
    ) {
        let process = &self.managers[from.manager];
        if process.life != from.life || process.watch.query != query || !process.up {
            return;
        }
        self.store.reads += 1;
        let trouble = &self.store.trouble;
        let regress = longest(&trouble.regressing) * MS;
        if regress > 0 && self.store.reads.is_multiple_of(2) {
            let past = self.store.key.at(self.now.saturating_sub(regress)).clone();
            let delay = self.store.random.between(100 * MS, 300 * MS);
            return self.reply(from, server, delay, Reply::Watched(query, past));
        }
        let lag = longest(&trouble.stale) * MS;
        let shown = self.store.key.at(self.now.saturating_sub(lag)).clone();
        if known != Some(shown.version) {
            // A query that began before a change the server shows only now must not be answered with what is known.
            let pause = if lag > 0 { 20 * MS } else { 0 };
            return self.reply(from, server, pause, Reply::Watched(query, shown));
        }
        self.managers[from.manager].watch.waits_at = Some(server);
        if lag > 0 {
            self.after(lag, Event::WatchNotices(from, query));
        }
    }

    /// The key has changed: whoever waits for that hears of it, in good or bad time.
    pub(super) fn tell_watchers(&mut self) {
        for m in 0..self.managers.len() {
            let manager = &mut self.managers[m];
            manager.load.changes += 1;
            let (watch, process) = (manager.watch, manager.process(m));
            if watch.waits_at.is_none() || !manager.up {
                continue;
            }
            let trouble = &self.store.trouble;
            if trouble.deaf > 0 || trouble.stuck > 0 {
                continue;
            }
            let late = longest(&trouble.late).max(longest(&trouble.stale)) * MS;
            if late > 0 {
                self.after(late, Event::WatchNotices(process, watch.query));
            } else {
                self.answer_watch(process, watch.query, true);
            }
        }
    }

    /// Answers a query that waits, as stale as reads are.
    pub(super) fn answer_watch(&mut self, process: Process, query: u64, news_only: bool) {
        let manager = &mut self.managers[process.manager];
        if manager.life != process.life || manager.watch.query != query {
            return;
        }
        let Some(server) = manager.watch.waits_at else {
            return;
        };
        if !self.store.runs(server) {
            return;
        }
        let lag = longest(&self.store.trouble.stale) * MS;
        let slow = longest(&self.store.trouble.slow_reads) * MS;
        let shown = self.store.key.at(self.now.saturating_sub(lag)).clone();
        let watch = &mut self.managers[process.manager].watch;
        if news_only && watch.known == Some(shown.version) {
            return;
        }
        watch.waits_at = None;
        self.reply(process, server, slow, Reply::Watched(query, shown));
    }

    /// Looks who can lead the store after something has changed.
    pub(super) fn look_for_leader(&mut self) {
        let count = self.store.servers.len();
        let quorum = |lab: &Self, server: usize| {
            let near = (0..count).filter(|other| {
                let hosts = (lab.store.host(server), lab.store.host(*other));
                lab.store.runs(*other) && lab.net.connected(hosts.0, hosts.1)
            });
            lab.store.runs(server) && near.count() * 2 > count
        };
        let stays = self.store.leader.is_some_and(|leader| {
            // A single server that is stopped leads on when it goes on.
            quorum(self, leader) || (count == 1 && self.store.servers.iter().all(|s| s.downs == 0))
        });
        if stays && self.store.trouble.no_leader == 0 {
            return;
        }
        self.store.leader = None;
        self.store.elections += 1;
        let can = (0..count).any(|server| quorum(self, server));
        if can && self.store.trouble.no_leader == 0 {
            let delay = if count == 1 {
                self.store.random.between(5 * MS, 50 * MS)
            } else {
                self.store.random.between(50 * MS, 1_500 * MS)
            };
            self.after(delay, Event::StoreElects(self.store.elections));
        }
    }

    pub(super) fn store_elects(&mut self, election: u64) {
        let count = self.store.servers.len();
        if election != self.store.elections || self.store.trouble.no_leader > 0 {
            return;
        }
        let first = usize::try_from(self.store.random.below(count as u64)).unwrap_or(0);
        let candidates = (0..count).map(|n| (first + n) % count);
        let elected = candidates.into_iter().find(|server| {
            let near = (0..count).filter(|other| {
                let hosts = (self.store.host(*server), self.store.host(*other));
                self.store.runs(*other) && self.net.connected(hosts.0, hosts.1)
            });
            self.store.runs(*server) && near.count() * 2 > count
        });
        self.store.leader = elected;
        if elected.is_none() {
            self.look_for_leader();
        }
    }
}
