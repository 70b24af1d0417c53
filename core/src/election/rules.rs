//! The rules of the election by number, so that tests can take one out and see that the checks notice.

/// A rule of HA.md section 7.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// R1: the lease counts from the sending of a swap, not from its answer.
    SendTime,
    /// R2: swaps expect the last version known to be one's own.
    OwnChain,
    /// R3: answers for a resigned or lost epoch count for nothing.
    VoidOnResign,
    /// R4: after a grant, answers for earlier epochs count for nothing.
    EpochOrder,
    /// R5: a live record is taken over only after the full wait.
    TakeoverWait,
    /// R6: an absent record that was seen before is waited for.
    AbsentWait,
    /// R7: a lapsed holder of an unchanged record goes on with the same epoch.
    Resume,
    /// R8: a record that went back is waited for, even if it says released.
    RollbackWait,
    /// R9: a holder that learns of another's record stops at once.
    StopOnConflict,
    /// R10: a new epoch exceeds every epoch ever seen.
    HighestEpoch,
    /// R11: authority comes from the answer to one's own swap, never from a read.
    AnswerOnly,
    /// R12: the lease is checked again at the last instant before a mutation leaves.
    DispatchCheck,
    /// R13: a manager that lost the lease against its will lets others go first.
    BackOff,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 13] = [
        Self::SendTime,
        Self::OwnChain,
        Self::VoidOnResign,
        Self::EpochOrder,
        Self::TakeoverWait,
        Self::AbsentWait,
        Self::Resume,
        Self::RollbackWait,
        Self::StopOnConflict,
        Self::HighestEpoch,
        Self::AnswerOnly,
        Self::DispatchCheck,
        Self::BackOff,
    ];
}

/// Which rules are in force: all of them, but in tests that plant a bug.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    #[cfg(any(test, feature = "mutants"))]
    broken: Option<Rule>,
}

impl Rules {
    #[cfg(any(test, feature = "mutants"))]
    pub(super) fn without(rule: Rule) -> Self {
        Self { broken: Some(rule) }
    }

    #[cfg(any(test, feature = "mutants"))]
    pub(super) fn keep(self, rule: Rule) -> bool {
        self.broken != Some(rule)
    }

    #[cfg(not(any(test, feature = "mutants")))]
    #[expect(
        clippy::unused_self,
        reason = "the planted bugs exist in test builds only"
    )]
    pub(super) const fn keep(self, _rule: Rule) -> bool {
        true
    }
}
