//! Runs random plans in the lab: `lab FIRST COUNT [soak|mutants]`; with `mutants`, says when each is noticed.

use swarm_core::testbed::Mutant;
use swarm_sim::plan::{Plan, Profile, Tier};
use swarm_sim::run::{Coverage, run};
use swarm_sim::trace::Keep;

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = || args.next().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = (number().unwrap_or(0), number().unwrap_or(100));
    let text = args.next();
    let profile = match text.as_deref() {
        Some("soak") => Profile::Soak,
        _ => Profile::Pr,
    };
    if text.as_deref() == Some("mutants") {
        return hunt(first, count);
    }
    let mut coverage = Coverage::default();
    let (mut simulated, mut events, mut failed, mut asked) = (0, 0, 0, 0);
    for seed in first..first + count {
        let plan = Plan::draw(Tier::Lab, seed, profile);
        let run = run(&plan, Keep::Hash, None);
        simulated += run.simulated / 1_000_000;
        events += run.trace.len();
        asked += run.answers.asked;
        coverage.add(&run.coverage);
        if let Some(violation) = &run.violation {
            failed += 1;
            println!("seed {seed}: {violation} [{}]", violation.signature());
            for line in &run.pending {
                println!("    {line}");
            }
        }
    }
    println!("{:?}", coverage.marks);
    println!(
        "{count} runs, {failed} failed, {simulated} ms simulated, {events} events, {asked} requests"
    );
}

fn hunt(first: u64, count: u64) {
    for mutant in Mutant::ALL {
        let noticed = (first..first + count).find_map(|seed| {
            let plan = Plan::draw(Tier::Lab, seed, Profile::Pr);
            let violation = run(&plan, Keep::Hash, Some(mutant)).violation?;
            Some((seed - first, violation.to_string()))
        });
        println!("{mutant:?}: {noticed:?}");
    }
}
