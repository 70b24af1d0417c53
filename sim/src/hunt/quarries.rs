//! The planted bugs, where each is hunted and for how long.

use swarm_core::testbed::Mutant;

use super::Quarry;
use crate::plan::Tier;

/// Every planted bug that breaks a promise.
pub const QUARRIES: [Quarry; 28] = [
    lab(
        Mutant::LeaseFromAnswer,
        600,
        "the lease counts from the answer to a swap, not from its sending",
    ),
    lab(
        Mutant::IgnoresConflict,
        600,
        "a holder that learns of another's record goes on",
    ),
    lab(
        Mutant::LateAnswersCount,
        600,
        "answers that come after resigning or losing still count",
    ),
    lab(
        Mutant::OldEpochsCount,
        600,
        "after a grant, answers for earlier epochs still count",
    ),
    lab(
        Mutant::TakesOverEarly,
        600,
        "a live record is taken over after 0.7 of the wait",
    ),
    lab(
        Mutant::NoClockAllowance,
        600,
        "the wait before a takeover makes no allowance for clock rates",
    ),
    lab(
        Mutant::TakesSilenceForDeath,
        600,
        "a replica that did not hear the store takes over",
    ),
    lab(
        Mutant::AbsentAtOnce,
        600,
        "a record that vanished is replaced at once",
    ),
    lab(Mutant::LapseIsLoss, 600, "a store outage costs the epoch"),
    lab(
        Mutant::TrustsRollback,
        600,
        "a record that went back is believed at once",
    ),
    lab(
        Mutant::ForgetsEpochs,
        600,
        "a new epoch follows the record's, whatever was seen before",
    ),
    lab(
        Mutant::BelievesReads,
        600,
        "reading one's own name makes primary",
    ),
    lab(
        Mutant::SkipsDispatchCheck,
        600,
        "the lease is not checked when a change leaves",
    ),
    lab(
        Mutant::NoBackOff,
        600,
        "a manager that lost against its will claims again at once",
    ),
    lab(Mutant::BlindSwap, 600, "a swap is a plain put"),
    lab(
        Mutant::ForgetsNonces,
        600,
        "a swap with a lost answer counts as not done",
    ),
    lab(
        Mutant::SkipsVerify,
        600,
        "no linearizable read before a change",
    ),
    lab(
        Mutant::StepDownCompetes,
        600,
        "a manager told to step down competes at once",
    ),
    lab(
        Mutant::GuardReleasesTheLiving,
        600,
        "the guard releases the lease of a manager that lives",
    ),
    lab(
        Mutant::NoHopLimit,
        600,
        "a forwarded request is forwarded again",
    ),
    lab(
        Mutant::RepeatsOnce,
        600,
        "what may have been carried out is sent again, whatever it is",
    ),
    lab(
        Mutant::HoldsForEver,
        600,
        "a held request is never given up",
    ),
    world(
        Mutant::GateSkippedOnSecondStep,
        60,
        "the gate is asked only before the first step of a create",
    ),
    world(
        Mutant::ForgetsKeys,
        60,
        "a create that comes again does not look for what the first attempt made",
    ),
    world(
        Mutant::LiesAboutOutcome,
        60,
        "an unknown outcome is told as not carried out",
    ),
    world(
        Mutant::RepeatsEvents,
        60,
        "a resumed event stream repeats what it passed on before",
    ),
    world(
        Mutant::SkipsEvents,
        60,
        "a resumed event stream begins now, not where it broke off",
    ),
    world(
        Mutant::KeepsTunnels,
        60,
        "tunnels to a former primary stay open",
    ),
];

const fn lab(mutant: Mutant, seeds_max: u64, words: &'static str) -> Quarry {
    Quarry {
        mutant,
        tier: Tier::Lab,
        seeds_max,
        words,
    }
}

const fn world(mutant: Mutant, seeds_max: u64, words: &'static str) -> Quarry {
    Quarry {
        tier: Tier::World,
        ..lab(mutant, seeds_max, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_planted_bug_is_hunted_but_the_one_that_breaks_no_promise() {
        for mutant in Mutant::ALL {
            let hunted = QUARRIES
                .iter()
                .filter(|quarry| quarry.mutant == mutant)
                .count();
            let expected = usize::from(mutant != Mutant::Unrepeatable);
            assert_eq!(hunted, expected, "{mutant:?}");
        }
    }
}
