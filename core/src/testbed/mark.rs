//! Marks: rare paths that the long runs of the testbed must reach at least once.

/// A path that is rare and matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A conflict showed a record of this manager's own: an earlier swap with a lost answer had been done.
    OwnSwapRecognised,
    /// A lapsed holder renewed its unchanged record.
    LapsedAndResumed,
    /// A holder learnt that another manager's record stands.
    TakenOver,
    /// A live record was taken over after the wait.
    TookOverLive,
    /// A released record was taken over.
    TookOverReleased,
    /// A claim that had won without its author's hearing of it was renewed.
    ClaimResumed,
    /// The record vanished after it had been seen.
    RecordVanished,
    /// The record went back.
    RecordWentBack,
    /// Something that is not a record stood under the key.
    RecordMalformed,
    /// A released lease's swap had to be sent again.
    ReleaseRepeated,
    /// A manager that had lost against its will waited before it claimed.
    BackedOff,
    /// A replica asked the store before it took over, because it had been deaf.
    ProofWanted,
    /// An answer came for an operation that nobody waited for any more.
    StaleAnswer,
    /// A mutation was refused at the gate.
    GateRefused,
    /// A mutation that had been let through was stopped by the last check.
    DispatchStopped,
    /// A forwarded request came to a manager that is not the primary.
    Misdirected,
    /// A misdirected request was sent on after a hint.
    HintFollowed,
    /// A request was held for want of a primary.
    Held,
    /// A held request was given up.
    GivenUp,
    /// What may have been carried out was sent again.
    Repeated,
    /// A request was taken from a former primary that still worked on it.
    MovedOn,
    /// An unknown outcome was told to a client.
    OutcomeUnknown,
    /// A create found what an earlier attempt had made.
    KeyFound,
    /// What a create left behind that arrived after its repetition was removed.
    DoubleRemoved,
    /// An event stream was resumed at another primary.
    StreamResumed,
    /// A container was made again because its engine failed.
    Rescheduled,
    /// A container that was made again was started.
    RescheduledRuns,
    /// A former copy of a moved container gave way.
    FormerRetired,
    /// A primary that did not hear the store went on by promises.
    FailsafeBegan,
    /// A round of promises let mutations leave.
    OpenedByPromises,
    /// A member refused its promise.
    PromiseRefused,
    /// A manager that a failsafe record does not list left the lease alone.
    NotListed,
}

impl Mark {
    /// Every mark.
    pub const ALL: [Self; 32] = [
        Self::OwnSwapRecognised,
        Self::LapsedAndResumed,
        Self::TakenOver,
        Self::TookOverLive,
        Self::TookOverReleased,
        Self::ClaimResumed,
        Self::RecordVanished,
        Self::RecordWentBack,
        Self::RecordMalformed,
        Self::ReleaseRepeated,
        Self::BackedOff,
        Self::ProofWanted,
        Self::StaleAnswer,
        Self::GateRefused,
        Self::DispatchStopped,
        Self::Misdirected,
        Self::HintFollowed,
        Self::Held,
        Self::GivenUp,
        Self::Repeated,
        Self::MovedOn,
        Self::OutcomeUnknown,
        Self::KeyFound,
        Self::DoubleRemoved,
        Self::StreamResumed,
        Self::Rescheduled,
        Self::RescheduledRuns,
        Self::FormerRetired,
        Self::FailsafeBegan,
        Self::OpenedByPromises,
        Self::PromiseRefused,
        Self::NotListed,
    ];
}

/// Counts that `mark` was reached.
#[cfg(any(test, feature = "testbed"))]
pub fn reach(mark: Mark) {
    active::reach(mark);
}

/// Nothing: marks count in test builds only.
#[cfg(not(any(test, feature = "testbed")))]
pub const fn reach(_mark: Mark) {}

#[cfg(any(test, feature = "testbed"))]
mod active {
    use std::cell::RefCell;

    use super::Mark;

    thread_local! {
        static REACHED: RefCell<[u64; Mark::ALL.len()]> = const { RefCell::new([0; Mark::ALL.len()]) };
    }

    pub(super) fn reach(mark: Mark) {
        REACHED.with_borrow_mut(|counts| {
            if let Some(count) = counts.get_mut(mark as usize) {
                *count += 1;
            }
        });
    }

    /// How often each mark was reached on this thread since [`reset_marks`], in the order of [`Mark::ALL`].
    #[must_use]
    pub fn reached_marks() -> [u64; Mark::ALL.len()] {
        REACHED.with_borrow(|counts| *counts)
    }

    /// Starts to count anew on this thread.
    pub fn reset_marks() {
        REACHED.with_borrow_mut(|counts| counts.fill(0));
    }
}

#[cfg(any(test, feature = "testbed"))]
pub use active::{reached_marks, reset_marks};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_listed_in_the_order_they_are_counted_in() {
        for (at, mark) in Mark::ALL.into_iter().enumerate() {
            assert_eq!(mark as usize, at, "{mark:?}");
        }
    }

    #[test]
    fn a_mark_counts_until_it_is_reset() {
        reset_marks();
        reach(Mark::Held);
        reach(Mark::Held);
        assert_eq!(reached_marks()[Mark::Held as usize], 2);
        reset_marks();
        assert_eq!(reached_marks(), [0; Mark::ALL.len()]);
    }
}
