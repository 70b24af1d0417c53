//! The hunt: every planted bug must be noticed within a stated number of seeds, or the checks are not worth their name.

use swarm_core::testbed::Mutant;

use crate::parallel;
use crate::plan::{Plan, Tier};
use crate::report::MutantLine;
use crate::run::run;
use crate::trace::Keep;

mod failsafe;
mod quarries;

pub use quarries::QUARRIES;

/// Where a planted bug is hunted, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Quarry {
    /// The bug.
    pub mutant: Mutant,
    /// The tier that has to notice it.
    pub tier: Tier,
    /// The plan of each seed.
    pub ground: fn(u64) -> Plan,
    /// Within so many seeds, counted from 0.
    pub seeds_max: u64,
    /// What it does, in words.
    pub words: &'static str,
}

/// Hunts all of `quarries` with `jobs` threads. `watch` is called after each.
pub fn hunt(
    quarries: &[Quarry],
    jobs: usize,
    watch: impl Fn(&MutantLine) + Sync,
) -> Vec<MutantLine> {
    parallel::map(quarries, jobs, |quarry| {
        let line = one(quarry);
        watch(&line);
        line
    })
}

/// Runs seeds until the bug is noticed.
fn one(quarry: &Quarry) -> MutantLine {
    let noticed = (0..quarry.seeds_max).find_map(|seed| {
        let plan = (quarry.ground)(seed);
        let violation = run(&plan, Keep::Hash, Some(quarry.mutant)).violation?;
        Some((seed + 1, violation.signature()))
    });
    MutantLine {
        name: quarry.mutant.name(),
        words: quarry.words.to_owned(),
        tier: quarry.tier.name().to_owned(),
        seeds_max: quarry.seeds_max,
        killed_after: noticed.as_ref().map(|(after, _)| *after),
        signature: noticed.map(|(_, signature)| signature).unwrap_or_default(),
    }
}
