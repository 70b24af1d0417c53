//! Runs one plan in the world and says how fast that went: `pace [PLAN.json] [REPEAT]`.
#![expect(
    clippy::disallowed_methods,
    reason = "it measures how long runs take on this machine"
)]

use std::time::{Duration, Instant};

use swarm_sim::plan::Plan;
use swarm_sim::run;
use swarm_sim::trace::{Keep, Kind};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let plan = match arguments.next() {
        Some(file) => Plan::parse(&std::fs::read_to_string(file)?)?,
        None => Plan::default(),
    };
    let repeat: u32 = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let keep = if repeat == 1 { Keep::Story } else { Keep::Hash };
    for _ in 0..repeat {
        let began = Instant::now();
        let run = run::run(&plan, keep, None);
        let took = began.elapsed();
        let simulated = Duration::from_nanos(run.simulated);
        for event in run.trace.events() {
            if !matches!(event.kind, Kind::Asked | Kind::Answered) {
                println!(
                    "{:>10.3} {:<4} {:?} {} {} {}",
                    Duration::from_nanos(event.at).as_secs_f64(),
                    run.trace.host(event.host),
                    event.kind,
                    event.a,
                    event.b,
                    event.text
                );
            }
        }
        println!(
            "{} events {} simulated {simulated:?} in {took:?}: {:.0} x; {:?} dispatched {} terms {} failovers {:?}",
            run.hash,
            run.trace.len(),
            simulated.as_secs_f64() / took.as_secs_f64(),
            run.answers,
            run.dispatched,
            run.terms.len(),
            run.failovers
        );
        if let Some(violation) = &run.violation {
            println!("{}: {violation}", violation.signature());
            run.pending.iter().for_each(|line| println!("  {line}"));
        }
    }
    Ok(())
}
