//! Measures a manager of many engines, as its clients see it.
//!
//! One other process serves the engines: they answer at once and with JSON of the usual size, so what is measured is the
//! manager. `swarm-bench --help` tells the options. Nothing is asserted: the figures stand next to the aims.
#![expect(
    clippy::disallowed_methods,
    reason = "real processes live in real time and outside any Platform"
)]

mod client;
mod engines;
mod failover;
mod figures;
mod fleet;
mod load;
mod machine;
mod options;
mod phases;
mod report;
mod served;

use anyhow::Result;

use options::{Mode, Options};

#[tokio::main]
async fn main() -> Result<()> {
    machine::raise_file_limit()?;
    match Options::parse(std::env::args().skip(1))? {
        Mode::Help => print!("{}", options::HELP),
        Mode::Engines(size) => engines::serve(size).await?,
        Mode::Measure(options) => println!("{}", phases::run(&options).await?),
    }
    Ok(())
}
