//! The dispatch gate on the election's side: mutations wait here for the lease to be confirmed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swarm_core::election::{Input, Ticket};
use swarm_core::testbed::{Mark, Mutant, planted, reach};
use tokio::sync::oneshot;

use super::{Elector, Shared};
use crate::api::{Gate, NotPrimary, Pass, SharedPass};
use crate::platform::{BoxFuture, SharedPlatform, timeout};

/// Mutations that wait, and those let through whose bytes have not left yet.
#[derive(Default)]
pub(super) struct Tickets {
    next: AtomicU64,
    waiting: Mutex<Waiting>,
    leaving: Arc<AtomicU64>,
}

type Waiting = BTreeMap<Ticket, oneshot::Sender<Option<Admission>>>;

/// A mutation that was let through; it counts as leaving until it is dropped.
struct Admission {
    epoch: u64,
    leaving: Arc<AtomicU64>,
}

impl Admission {
    fn new(epoch: u64, leaving: &Arc<AtomicU64>) -> Self {
        leaving.fetch_add(1, Ordering::AcqRel);
        Self {
            epoch,
            leaving: leaving.clone(),
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.leaving.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Tickets {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self) -> (Ticket, oneshot::Receiver<Option<Admission>>) {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.waiting().insert(ticket, sender);
        (ticket, receiver)
    }

    pub(super) fn open(&self, tickets: &[Ticket], epoch: u64) {
        self.answer(tickets, Some(epoch));
    }

    pub(super) fn refuse(&self, tickets: &[Ticket]) {
        self.answer(tickets, None);
    }

    fn answer(&self, tickets: &[Ticket], verdict: Option<u64>) {
        let mut waiting = self.waiting();
        for sender in tickets.iter().filter_map(|ticket| waiting.remove(ticket)) {
            // Whoever does not wait any more drops its admission.
            let _ = sender.send(verdict.map(|epoch| Admission::new(epoch, &self.leaving)));
        }
    }

    /// How many were let through and have neither left nor been dropped.
    pub(super) fn leaving(&self) -> u64 {
        self.leaving.load(Ordering::Acquire)
    }
}

/// The gate of a manager that takes part in the election.
#[derive(Clone)]
pub struct LeaseGate {
    elector: Arc<Elector>,
    patience: Duration,
}

impl LeaseGate {
    pub(super) fn new(elector: Arc<Elector>, patience: Duration) -> Self {
        Self { elector, patience }
    }

    async fn admission(&self) -> Option<Admission> {
        let (ticket, verdict) = self.elector.shared.tickets.draw();
        let mut place = Place {
            gate: self,
            ticket,
            answered: false,
        };
        if self
            .elector
            .handle
            .try_send(Input::Arrived(ticket))
            .is_err()
        {
            return None;
        }
        let verdict = timeout(self.elector.platform.as_ref(), self.patience, verdict).await;
        place.answered = verdict.is_ok();
        verdict.ok()?.ok()?
    }
}

/// A place in the queue: given back when its client leaves or its time is over.
struct Place<'a> {
    gate: &'a LeaseGate,
    ticket: Ticket,
    answered: bool,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.gate
                .elector
                .shared
                .tickets
                .waiting()
                .remove(&self.ticket);
            // If the queue is full the machine answers a ticket that nobody holds any more, which is harmless.
            let _ = self.gate.elector.handle.try_send(Input::Left(self.ticket));
        }
    }
}

impl Gate for LeaseGate {
    fn pass(&self, epoch: Option<u64>) -> BoxFuture<'_, Result<SharedPass, NotPrimary>> {
        Box::pin(async move {
            let admission = self.admission().await.ok_or(NotPrimary)?;
            if epoch.is_some_and(|wanted| wanted != admission.epoch) {
                return Err(NotPrimary);
            }
            let (platform, shared) = (self.elector.platform.clone(), self.elector.shared.clone());
            let pass = LeasePass {
                platform,
                shared,
                epoch: admission.epoch,
                admission: Mutex::new(Some(admission)),
            };
            Ok(Arc::new(pass) as SharedPass)
        })
    }
}

/// One mutation's permission.
struct LeasePass {
    platform: SharedPlatform,
    shared: Arc<Shared>,
    epoch: u64,
    /// Given back at the check: the bytes leave right after it.
    admission: Mutex<Option<Admission>>,
}

impl Pass for LeasePass {
    fn check(&self) -> Result<(), NotPrimary> {
        let now = self.platform.mono();
        let authority = self
            .shared
            .authority()
            .filter(|authority| authority.epoch == self.epoch);
        self.admission
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match authority {
            Some(authority) if authority.may_dispatch(now) => Ok(()),
            Some(_) | None if planted(Mutant::SkipsDispatchCheck) => Ok(()),
            Some(_) | None => {
                reach(Mark::DispatchStopped);
                Err(NotPrimary)
            }
        }
    }
}
