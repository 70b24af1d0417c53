//! scratch
use swarm_sim::plan::{Plan, Profile, Tier};
use swarm_sim::run::run;
use swarm_sim::trace::Keep;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let seed: u64 = args[1].parse().unwrap();
    let tail: usize = args[2].parse().unwrap();
    let plan = Plan::draw(Tier::Lab, seed, Profile::Pr);
    println!("{:?} {:?} {:?} within {}", plan.topology, plan.knobs, plan.phases, plan.within_model());
    for f in &plan.faults { println!("{f}"); }
    println!("drill {:?}", plan.drill);
    let run = run(&plan, Keep::All, None);
    println!("{:?}", run.violation);
    let ev = run.trace.events();
    for e in &ev[ev.len().saturating_sub(tail)..] {
        println!("{:6} {:>9.4} {:4} {:?} a={} b={} <- {} {}", e.seq, e.at as f64/1e9, run.trace.host(e.host), e.kind, e.a, e.b as i64, e.cause, e.text);
    }
}
