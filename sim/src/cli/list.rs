//! `list`: what there is.

use swarm_core::testbed::Mark;

use super::Library;
use crate::hunt::QUARRIES;
use crate::property::Property;

pub(super) fn run(library: &dyn Library) -> anyhow::Result<u8> {
    say!("scenarios:");
    for line in library.scenarios() {
        say!("  {:<44} {}", line.name, line.story);
    }
    say!("\ncorpus:");
    for (line, _) in library.corpus()? {
        say!("  {:<44} {}", line.file, line.why);
    }
    say!("\nmutants:");
    for quarry in &QUARRIES {
        say!(
            "  {:<28} {:<5} within {:>4} seeds: {}",
            quarry.mutant.name(),
            quarry.tier.name(),
            quarry.seeds_max,
            quarry.words
        );
    }
    say!("\npromises:");
    for property in Property::ALL {
        say!("  {:<20} {}", property.name(), property.words());
    }
    say!("\nmarks:");
    for mark in Mark::ALL {
        say!("  {mark:?}");
    }
    Ok(0)
}
