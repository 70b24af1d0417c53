//! The canary: a planted nondeterminism, so that the comparison of runs is seen to work.

use swarm_core::testbed::Mutant;

use crate::campaign::difference;
use crate::plan::{Plan, Profile, Tier};
use crate::run::run;
use crate::trace::Keep;

/// Whether two runs of one plan are told apart when something in them draws from outside, and only then.
#[must_use]
pub fn caught() -> bool {
    let plan = Plan::draw(Tier::Lab, 0, Profile::Pr);
    let differ = |mutant| {
        let first = run(&plan, Keep::Hash, mutant);
        difference(&first, &run(&plan, Keep::Hash, mutant)).is_some()
    };
    differ(Some(Mutant::Unrepeatable)) && !differ(None)
}
