//! The guard of a dead process: it reads the record and releases it if it is that process's, until that is done.

use swarm_core::election::release_for;

use super::event::{Ask, Call, Event, GuardJob, Process};
use super::record::Seen;
use super::{Lab, MS};

/// Between two tries at a store that does not answer.
const RETRY: u64 = 20 * MS;

impl Lab<'_> {
    /// The guard of the process `m` has now, with a lease's time from `delay` on.
    pub(super) fn guard_job(&self, m: usize, delay: u64) -> GuardJob {
        let manager = &self.managers[m];
        GuardJob {
            manager: m,
            instance: manager.election.instance().to_owned(),
            until: self.now + delay + self.plan.knobs.lease_ms * MS,
            outages: manager.outages,
        }
    }

    pub(super) fn guard(&mut self, job: Box<GuardJob>) {
        if job.outages == self.managers[job.manager].outages && self.now <= job.until {
            self.guard_asks(Ask::GuardRead(job));
        }
    }

    fn guard_asks(&mut self, ask: Ask) {
        let (Ask::GuardRead(job) | Ask::GuardSwap { job, .. }) = &ask else {
            return;
        };
        let manager = &self.managers[job.manager];
        let (host, server) = (manager.host, manager.server);
        let from = Process {
            manager: job.manager,
            life: 0,
        };
        let call = Call {
            from,
            server,
            ask,
            tries: 0,
        };
        let to = self.store.host(server);
        if let Err(Event::Store(call)) = self.send(host, to, 0, Event::Store(call))
            && let Ask::GuardRead(job) | Ask::GuardSwap { job, .. } = call.ask
        {
            self.after(RETRY, Event::Guard(job));
        }
    }

    pub(super) fn guard_read(&mut self, job: Box<GuardJob>, seen: Option<&Seen>) {
        let Some(seen) = seen else {
            self.another_server(job.manager);
            return self.after(RETRY, Event::Guard(job));
        };
        let nonce = self.random.hex(8);
        if let Some((expected, record)) = release_for(&seen.reading(), &job.instance, nonce) {
            self.guard_asks(Ask::GuardSwap {
                job,
                expected,
                record: record.into(),
            });
        }
    }

    pub(super) fn guard_swapped(&mut self, job: Box<GuardJob>, done: bool) {
        if !done {
            self.after(RETRY, Event::Guard(job));
        }
    }
}
