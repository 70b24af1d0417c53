//! `swarm-sim`. To come.
fn main() {}
