use swarm_sim::report::sample::stories;
use swarm_sim::report::svg::timeline;
fn main() {
    let d = std::env::args().nth(1).unwrap();
    for (n, (p, r)) in [
        ("kill", stories::killed_primary()),
        ("two", stories::two_primaries()),
        ("store", stories::store_away()),
        ("storm", stories::stormy()),
    ] {
        std::fs::write(format!("{d}/{n}.svg"), timeline(&p, &r)).unwrap();
        println!(
            "{}",
            swarm_sim::report::slice::slice(&r.trace, 0, 20).join("\n")
        );
    }
}
