//! Carries the election's effects out.

use std::sync::Arc;
use std::time::Duration;

use swarm_core::election::{Effect, Election, Input, Notice};
use swarm_core::time::Mono;

use super::promises::Canvasser;
use super::{Leader, Shared, notices};
use crate::driver::{Performer, WeakHandle};
use crate::platform::{SharedPlatform, sleep};
use crate::store::Store;

/// How often it is checked whether dispatched mutations have left.
const FLUSH_CHECK: Duration = Duration::from_millis(1);
/// How often the primary's address is written where scripts look for it, if the store refuses.
const ANNOUNCE_TRIES: u32 = 3;

pub(super) struct ElectionPerformer {
    platform: SharedPlatform,
    store: Arc<dyn Store>,
    shared: Arc<Shared>,
    answers: WeakHandle<Input>,
    canvasser: Canvasser,
}

impl ElectionPerformer {
    pub(super) fn new(
        store: Arc<dyn Store>,
        shared: Arc<Shared>,
        answers: WeakHandle<Input>,
        canvasser: Canvasser,
    ) -> Self {
        Self {
            platform: canvasser.platform.clone(),
            store,
            shared,
            answers,
            canvasser,
        }
    }

    /// Tells the election when every mutation that was let through has left.
    fn quiesce(&self) {
        let (platform, shared, answers) = (
            self.platform.clone(),
            self.shared.clone(),
            self.answers.clone(),
        );
        let flush = async move {
            while shared.tickets.leaving() > 0 {
                sleep(platform.as_ref(), FLUSH_CHECK).await;
            }
            answers.send(Input::Flushed).await;
        };
        self.platform.spawn("election flush", Box::pin(flush));
    }

    /// Writes the address for scripts; it is information only, so a failure is no trouble.
    fn announce(&self) {
        let (platform, store) = (self.platform.clone(), self.store.clone());
        let own = self.canvasser.own.clone();
        let announce = async move {
            for attempt in 1..=ANNOUNCE_TRIES {
                match store.announce_primary(&own).await {
                    Ok(()) => return,
                    Err(error) => tracing::debug!(%error, attempt, "Cannot write the leader key"),
                }
                sleep(platform.as_ref(), Duration::from_millis(500)).await;
            }
        };
        self.platform.spawn("announce primary", Box::pin(announce));
    }

    fn notice(&self, notice: &Notice) {
        notices::log(notice);
        match notice {
            Notice::Acquired { .. } => self.announce(),
            Notice::Resigned => self.shared.view.send_modify(|view| view.resigned = true),
            Notice::Recovered { .. }
            | Notice::Lapsed { .. }
            | Notice::Lost(_)
            | Notice::Standby
            | Notice::Leader { .. }
            | Notice::StoreTrouble(_)
            | Notice::FailsafeBegan { .. }
            | Notice::FailsafeEnded { .. }
            | Notice::NotListed { .. } => {}
        }
    }
}

impl Performer<Election> for ElectionPerformer {
    fn publish(&mut self, machine: &Election, now: Mono) {
        let authority = machine.current_authority();
        *self.shared.authority() = authority;
        let leader = machine.primary().map(|record| Leader {
            address: record.holder.clone(),
            epoch: record.epoch,
            instance: record.instance.clone(),
        });
        let members = machine
            .primary()
            .map(|record| record.members.clone())
            .unwrap_or_default();
        let epoch = machine.epoch();
        let cluster = machine.cluster().map(str::to_owned);
        let failsafe = machine.failsafe(now);
        self.shared.view.send_if_modified(|view| {
            let next = super::ElectionView {
                authority,
                leader,
                epoch,
                cluster,
                members,
                failsafe,
                resigned: view.resigned,
            };
            // A renewal moves the deadline only, which is read where it matters: nobody has to be woken for it.
            let news = (
                view.authority.map(|one| one.epoch),
                &view.leader,
                view.epoch,
                &view.members,
            ) != (
                next.authority.map(|one| one.epoch),
                &next.leader,
                next.epoch,
                &next.members,
            );
            *view = next;
            news
        });
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Swap {
                op,
                expected,
                record,
            } => {
                let (store, answers) = (self.store.clone(), self.answers.clone());
                let swap = async move {
                    let outcome = store.swap_lease(expected, &record).await;
                    answers.send(Input::Swapped(op, outcome)).await;
                };
                self.platform.spawn("election swap", Box::pin(swap));
            }
            Effect::Verify { op } => {
                let (store, answers) = (self.store.clone(), self.answers.clone());
                let verify = async move {
                    let reading = store.verify_lease().await;
                    if let Err(error) = &reading {
                        tracing::debug!(%error, "Cannot verify the lease");
                    }
                    answers.send(Input::Verified(op, reading.ok())).await;
                };
                self.platform.spawn("election verify", Box::pin(verify));
            }
            Effect::Open { tickets, epoch } => self.shared.tickets.open(&tickets, epoch),
            Effect::Refuse { tickets } => self.shared.tickets.refuse(&tickets),
            Effect::AskPromises { round, requests } => self.canvasser.ask_all(round, requests),
            Effect::Promise { asker, verdict } => self.shared.questions.answer(asker, verdict),
            Effect::Quiesce => self.quiesce(),
            Effect::Notify(notice) => self.notice(&notice),
        }
    }
}
