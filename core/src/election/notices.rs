//! What the election tells others: changes only, each once.

use super::record::Reading;
use super::{Effect, Election};
use crate::address::HostPort;
use crate::machine::Effects;
use crate::testbed::{Mark, reach};

/// Why a manager lost the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LossReason {
    /// It gave it up.
    Resigned,
    /// Another manager's record stands in the store.
    TakenOver {
        /// That manager.
        by: HostPort,
        /// Its epoch.
        epoch: u64,
    },
    /// The record says released though this manager did not release it.
    ReleasedByOther,
    /// The record is gone, or is not a record.
    RecordLost,
}

/// A change that logs, the HTTP side and tests want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// This manager is the primary from now on.
    Acquired {
        /// Its epoch.
        epoch: u64,
    },
    /// It acts again, with the same epoch, after [`Notice::Lapsed`].
    Recovered {
        /// Its epoch.
        epoch: u64,
    },
    /// The lease ended because it could not be renewed; nobody else is known to hold it.
    Lapsed {
        /// The epoch that pauses.
        epoch: u64,
    },
    /// This manager is not the primary any more.
    Lost(LossReason),
    /// This manager is a replica, decided for the first time.
    Standby,
    /// Another record holder, or another epoch, is known.
    Leader {
        /// Where the primary is reached.
        address: HostPort,
        /// Its epoch.
        epoch: u64,
    },
    /// The record is gone, went back or is malformed: everybody waits before anyone takes over.
    StoreTrouble(&'static str),
    /// A resignation is complete: the store knows, or the lease has ended.
    Resigned,
    /// The store is silent, and all members have promised: this manager acts on.
    FailsafeBegan {
        /// Its epoch.
        epoch: u64,
    },
    /// The store took a renewal again.
    FailsafeEnded {
        /// Its epoch.
        epoch: u64,
    },
    /// The lease has ended, but the record does not list this manager: it may not take over.
    NotListed {
        /// Whose record it is.
        holder: HostPort,
    },
}

/// What was announced last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Announced {
    acting: bool,
    /// The last epoch announced with [`Notice::Acquired`].
    acquired: u64,
    leader: Option<(String, u64)>,
    decided: bool,
}

impl Announced {
    pub(super) fn acting(&self) -> bool {
        self.acting
    }
}

impl Election {
    /// Says that the lease is lost, before anything else is said.
    pub(super) fn lost(&mut self, why: LossReason, out: &mut Effects<Effect>) {
        self.announced.acting = false;
        out.push(Effect::Notify(Notice::Lost(why)));
    }

    pub(super) fn notice_trouble(&self, out: &mut Effects<Effect>) {
        let Some(sighting) = self.knowledge.newest() else {
            return;
        };
        let trouble = match &sighting.reading {
            Reading::Absent if self.knowledge.ever_present() => {
                reach(Mark::RecordVanished);
                "the lease record vanished from the store"
            }
            Reading::Malformed { .. } => {
                reach(Mark::RecordMalformed);
                "the lease key holds something that is not a lease record"
            }
            Reading::Present { .. } if sighting.suspect => {
                reach(Mark::RecordWentBack);
                "the lease record went back: the store lost data"
            }
            Reading::Present { .. } | Reading::Absent => return,
        };
        out.push(Effect::Notify(Notice::StoreTrouble(trouble)));
    }

    /// Announces what changed since the last time.
    ///
    /// The order is the one the user's document shows: the very first primary first acquires and then hears of itself,
    /// a successor hears of itself first; a replica first says that it is one.
    pub(super) fn announce(&mut self, out: &mut Effects<Effect>) {
        let first = !self.announced.decided;
        let authority = self.authority(self.now);
        let leader = self.primary().map(|record| {
            let address = record.holder.clone();
            (
                record.instance.clone(),
                Notice::Leader {
                    address,
                    epoch: record.epoch,
                },
                record.epoch,
            )
        });
        let leader = leader.filter(|(instance, _, epoch)| {
            self.announced
                .leader
                .as_ref()
                .is_none_or(|(known, at)| known != instance || at != epoch)
        });
        if first && authority.is_none() && leader.is_some() && !self.claiming() {
            self.announced.decided = true;
            out.push(Effect::Notify(Notice::Standby));
        }
        let leader_first = self.announced.decided;
        let role = self.role_change(authority.map(|one| one.epoch));
        if let (Some(notice), false) = (&role, leader_first) {
            out.push(Effect::Notify(notice.clone()));
        }
        if let Some((instance, notice, epoch)) = leader
            && (leader_first || role.is_some())
        {
            self.announced.leader = Some((instance, epoch));
            out.push(Effect::Notify(notice));
        }
        if let (Some(notice), true) = (role, leader_first) {
            out.push(Effect::Notify(notice));
        }
    }

    /// Whether the record is this manager's own, with or without its knowing of the grant yet.
    fn claiming(&self) -> bool {
        self.knowledge
            .record()
            .is_some_and(|record| self.is_mine(record))
    }

    fn role_change(&mut self, acting: Option<u64>) -> Option<Notice> {
        let was = std::mem::replace(&mut self.announced.acting, acting.is_some());
        match acting {
            Some(epoch) if self.announced.acquired != epoch => {
                self.announced.acquired = epoch;
                self.announced.decided = true;
                Some(Notice::Acquired { epoch })
            }
            Some(epoch) if !was => Some(Notice::Recovered { epoch }),
            None if was => Some(Notice::Lapsed {
                epoch: self.announced.acquired,
            }),
            Some(_) | None => None,
        }
    }
}
