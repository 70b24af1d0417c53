//! Planted bugs: each takes one rule out, so that the checks can be seen to notice.

/// A bug that can be planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// R1: the lease counts from the answer to a swap, not from its sending.
    LeaseFromAnswer,
    /// R2, R9: a holder that learns of another's record goes on.
    IgnoresConflict,
    /// R3: answers that come after resigning or losing still count.
    LateAnswersCount,
    /// R4: after a grant, answers for earlier epochs still count.
    OldEpochsCount,
    /// R5: a live record is taken over after 0.7 of the wait.
    TakesOverEarly,
    /// R5: the wait makes no allowance for clock rates.
    NoClockAllowance,
    /// R5: a replica does not ask whether the store was heard before it takes over.
    TakesSilenceForDeath,
    /// R6: an absent record that was seen before is replaced at once.
    AbsentAtOnce,
    /// R7: a lapsed holder gives its epoch up.
    LapseIsLoss,
    /// R8: a record that went back is believed at once.
    TrustsRollback,
    /// R10: a new epoch follows the record's, whatever was seen before.
    ForgetsEpochs,
    /// R11: a record that names this manager makes it primary.
    BelievesReads,
    /// R12: the lease is not checked when a mutation leaves.
    SkipsDispatchCheck,
    /// R13: a manager that lost the lease claims it again at once.
    NoBackOff,
    /// A swap is a plain put, whatever version the store has.
    BlindSwap,
    /// A swap whose outcome is unknown counts as not done: its nonce is forgotten.
    ForgetsNonces,
    /// The linearizable read before a mutation is left out.
    SkipsVerify,
    /// The gate is asked only before the first step of a create.
    GateSkippedOnSecondStep,
    /// A manager told to step down competes at once.
    StepDownCompetes,
    /// The guard releases the lease of a manager that lives.
    GuardReleasesTheLiving,
    /// A forwarded request is forwarded again.
    NoHopLimit,
    /// What may have been carried out is sent again, whatever its class.
    RepeatsOnce,
    /// A create that comes again does not look for what the first attempt made.
    ForgetsKeys,
    /// What a create left behind that arrived after its repetition is not removed.
    KeepsDoubles,
    /// What an engine had is moved as soon as it does not answer.
    MovesAtOnce,
    /// A manager moves containers also when it is no longer the primary.
    ReschedulesOutsideLease,
    /// An unknown outcome is told as "not carried out".
    LiesAboutOutcome,
    /// A held request is never given up.
    HoldsForEver,
    /// A resumed event stream passes on what it passed on before.
    RepeatsEvents,
    /// A resumed event stream begins now, not where it broke off.
    SkipsEvents,
    /// Tunnels to a former primary stay open.
    KeepsTunnels,
    /// Failsafe: the lease counts from the last promise, not from the asking.
    PromiseFromAnswer,
    /// Failsafe: the promises of more than half are enough.
    QuorumOfPromises,
    /// Failsafe: promises bring back a lease that has ended.
    PromisesRevive,
    /// Failsafe: a member promises though a claim of its own may yet be carried out.
    PromisesThoughClaiming,
    /// Failsafe: a manager takes over that the record does not list.
    UnlistedTakesOver,
    /// Failsafe: whom only a swap without an answer lists is not asked.
    NewcomersNotAsked,
    /// Failsafe: a promise is forgotten before its end.
    PromiseForgotten,
    /// Random streams depend on what else the process did: no promise is broken, but a run does not repeat.
    Unrepeatable,
}

impl Mutant {
    /// Every planted bug.
    pub const ALL: [Self; 39] = [
        Self::LeaseFromAnswer,
        Self::IgnoresConflict,
        Self::LateAnswersCount,
        Self::OldEpochsCount,
        Self::TakesOverEarly,
        Self::NoClockAllowance,
        Self::TakesSilenceForDeath,
        Self::AbsentAtOnce,
        Self::LapseIsLoss,
        Self::TrustsRollback,
        Self::ForgetsEpochs,
        Self::BelievesReads,
        Self::SkipsDispatchCheck,
        Self::NoBackOff,
        Self::BlindSwap,
        Self::ForgetsNonces,
        Self::SkipsVerify,
        Self::GateSkippedOnSecondStep,
        Self::StepDownCompetes,
        Self::GuardReleasesTheLiving,
        Self::NoHopLimit,
        Self::RepeatsOnce,
        Self::ForgetsKeys,
        Self::KeepsDoubles,
        Self::MovesAtOnce,
        Self::ReschedulesOutsideLease,
        Self::LiesAboutOutcome,
        Self::HoldsForEver,
        Self::RepeatsEvents,
        Self::SkipsEvents,
        Self::KeepsTunnels,
        Self::PromiseFromAnswer,
        Self::QuorumOfPromises,
        Self::PromisesRevive,
        Self::PromisesThoughClaiming,
        Self::UnlistedTakesOver,
        Self::NewcomersNotAsked,
        Self::PromiseForgotten,
        Self::Unrepeatable,
    ];

    /// Its name in reports and on command lines, for instance `lease-from-answer`.
    #[must_use]
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}

/// Whether `mutant` is planted on this thread.
#[cfg(any(test, feature = "testbed"))]
#[must_use]
pub fn planted(mutant: Mutant) -> bool {
    active::PLANTED.get() == Some(mutant)
}

/// Never: planted bugs exist in test builds only.
#[cfg(not(any(test, feature = "testbed")))]
#[must_use]
pub const fn planted(_mutant: Mutant) -> bool {
    false
}

/// What [`Mutant::Unrepeatable`] adds to the seeds of random streams: 0 unless it is planted.
#[cfg(any(test, feature = "testbed"))]
pub(crate) fn disturbance() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static DRAWS: AtomicU64 = AtomicU64::new(0);
    if planted(Mutant::Unrepeatable) {
        DRAWS.fetch_add(1, Ordering::Relaxed)
    } else {
        0
    }
}

/// Nothing: planted bugs exist in test builds only.
#[cfg(not(any(test, feature = "testbed")))]
pub(crate) const fn disturbance() -> u64 {
    0
}

#[cfg(any(test, feature = "testbed"))]
mod active {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        pub(super) static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Plants `mutant` on this thread, or none, until the guard is dropped.
    #[must_use]
    pub fn plant(mutant: Option<Mutant>) -> Planted {
        Planted {
            before: PLANTED.replace(mutant),
        }
    }

    /// Takes the planted bug out again when dropped.
    #[derive(Debug)]
    pub struct Planted {
        before: Option<Mutant>,
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            PLANTED.set(self.before);
        }
    }
}

#[cfg(any(test, feature = "testbed"))]
pub use active::{Planted, plant};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_planted_until_its_guard_is_dropped() {
        assert!(!planted(Mutant::BlindSwap));
        {
            let _outer = plant(Some(Mutant::BlindSwap));
            assert!(planted(Mutant::BlindSwap) && !planted(Mutant::NoHopLimit));
            {
                let _inner = plant(None);
                assert!(!planted(Mutant::BlindSwap));
            }
            assert!(planted(Mutant::BlindSwap));
        }
        assert!(!planted(Mutant::BlindSwap));
    }

    #[test]
    fn each_bug_has_a_name_of_its_own() {
        assert_eq!(Mutant::LeaseFromAnswer.name(), "lease-from-answer");
        let names: std::collections::BTreeSet<String> =
            Mutant::ALL.into_iter().map(Mutant::name).collect();
        assert_eq!(names.len(), Mutant::ALL.len());
    }
}
