//! Expectations as words, for scripts.

use std::time::Duration;

use swarm_core::testbed::Mark;

use super::{Expect, Who};

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// See [`Expect::TookOverWithinBudget`].
#[must_use]
pub const fn took_over_within_budget() -> Expect {
    Expect::TookOverWithinBudget
}

/// See [`Expect::TookOverWithin`].
#[must_use]
pub fn took_over_within(fault: u32, time: Duration) -> Expect {
    let ms = millis(time);
    Expect::TookOverWithin { fault, ms }
}

/// See [`Expect::Terms`].
#[must_use]
pub const fn terms(exactly: usize) -> Expect {
    Expect::Terms { exactly }
}

/// See [`Expect::TermsAtLeast`].
#[must_use]
pub const fn terms_at_least(count: usize) -> Expect {
    Expect::TermsAtLeast { count }
}

/// See [`Expect::KeepsItsEpoch`].
#[must_use]
pub const fn keeps_its_epoch() -> Expect {
    Expect::KeepsItsEpoch
}

/// See [`Expect::LastPrimary`].
#[must_use]
pub const fn last_primary_is(who: Who) -> Expect {
    Expect::LastPrimary { who }
}

/// See [`Expect::EpochsIncrease`].
#[must_use]
pub const fn epochs_increase() -> Expect {
    Expect::EpochsIncrease
}

/// See [`Expect::OldPrimaryIsReplica`].
#[must_use]
pub const fn old_primary_is_replica() -> Expect {
    Expect::OldPrimaryIsReplica
}

/// See [`Expect::StopsWithin`].
#[must_use]
pub fn stops_within(fault: u32, time: Duration) -> Expect {
    let ms = millis(time);
    Expect::StopsWithin { fault, ms }
}

/// See [`Expect::ActsWithin`].
#[must_use]
pub fn acts_within(fault: u32, time: Duration) -> Expect {
    let ms = millis(time);
    Expect::ActsWithin { fault, ms }
}

/// See [`Expect::NobodyActsFor`].
#[must_use]
pub fn nobody_acts_for(time: Duration) -> Expect {
    Expect::NobodyActsFor { ms: millis(time) }
}

/// See [`Expect::NeverWithoutPrimaryFor`].
#[must_use]
pub fn never_without_primary_for(time: Duration) -> Expect {
    Expect::NeverWithoutPrimaryFor { ms: millis(time) }
}

/// See [`Expect::TwoBelieveForAtMost`].
#[must_use]
pub fn two_believe_for_at_most(time: Duration) -> Expect {
    Expect::TwoBelieveForAtMost { ms: millis(time) }
}

/// See [`Expect::Logs`].
#[must_use]
pub fn logs(who: Who, text: &str) -> Expect {
    let text = text.to_owned();
    Expect::Logs { who, text }
}

/// See [`Expect::LogsWithin`].
#[must_use]
pub fn logs_within(who: Who, text: &str, fault: u32, time: Duration) -> Expect {
    Expect::LogsWithin {
        who,
        text: text.to_owned(),
        fault,
        ms: millis(time),
    }
}

/// See [`Expect::LogsTimes`].
#[must_use]
pub fn logs_times(who: Who, text: &str, exactly: usize) -> Expect {
    let text = text.to_owned();
    Expect::LogsTimes { who, text, exactly }
}

/// [`Expect::LogsTimes`] with none.
#[must_use]
pub fn never_logs(who: Who, text: &str) -> Expect {
    logs_times(who, text, 0)
}

/// See [`Expect::NoRequestFailed`].
#[must_use]
pub const fn no_request_failed() -> Expect {
    Expect::NoRequestFailed
}

/// See [`Expect::DoneAtLeast`].
#[must_use]
pub const fn done_at_least(count: u64) -> Expect {
    Expect::DoneAtLeast { count }
}

/// See [`Expect::RefusedAtMost`].
#[must_use]
pub const fn refused_at_most(count: u64) -> Expect {
    Expect::RefusedAtMost { count }
}

/// See [`Expect::RefusedAtLeast`].
#[must_use]
pub const fn refused_at_least(count: u64) -> Expect {
    Expect::RefusedAtLeast { count }
}

/// See [`Expect::UnknownAtMost`].
#[must_use]
pub const fn unknown_at_most(count: u64) -> Expect {
    Expect::UnknownAtMost { count }
}

/// See [`Expect::ToldUnknown`].
#[must_use]
pub const fn told_unknown() -> Expect {
    Expect::ToldUnknown
}

/// See [`Expect::AnsweredWithin`].
#[must_use]
pub fn answered_within(time: Duration) -> Expect {
    Expect::AnsweredWithin { ms: millis(time) }
}

/// See [`Expect::SlowestTakes`].
#[must_use]
pub fn slowest_takes(time: Duration) -> Expect {
    Expect::SlowestTakes { ms: millis(time) }
}

/// A request succeeds within `time` after the fault began.
#[must_use]
pub fn serves_within(fault: u32, time: Duration) -> Expect {
    let (ended, ms) = (false, millis(time));
    Expect::ServesWithin { fault, ended, ms }
}

/// A request succeeds within `time` after the fault ended.
#[must_use]
pub fn serves_again_within(fault: u32, time: Duration) -> Expect {
    let (ended, ms) = (true, millis(time));
    Expect::ServesWithin { fault, ended, ms }
}

/// See [`Expect::DispatchesAtLeast`].
#[must_use]
pub const fn dispatches_at_least(count: u64) -> Expect {
    Expect::DispatchesAtLeast { count }
}

/// See [`Expect::Reaches`].
#[must_use]
pub fn reaches(mark: Mark) -> Expect {
    let mark = format!("{mark:?}");
    Expect::Reaches { mark, count: 1 }
}

/// See [`Expect::NeverReaches`].
#[must_use]
pub fn never_reaches(mark: Mark) -> Expect {
    let mark = format!("{mark:?}");
    Expect::NeverReaches { mark }
}

/// See [`Expect::Meets`].
#[must_use]
pub fn meets(cell: &str) -> Expect {
    let cell = cell.to_owned();
    Expect::Meets { cell }
}

/// See [`Expect::StartsAtLeast`].
#[must_use]
pub const fn starts_at_least(count: usize) -> Expect {
    Expect::StartsAtLeast { count }
}

/// See [`Expect::SameTermsWithout`].
#[must_use]
pub fn same_terms_without(kinds: &[&str]) -> Expect {
    let kinds = kinds.iter().map(|&kind| kind.to_owned()).collect();
    Expect::SameTermsWithout { kinds }
}

/// See [`Expect::Breaks`].
#[must_use]
pub fn breaks(signature: &str) -> Expect {
    let signature = signature.to_owned();
    Expect::Breaks { signature }
}
