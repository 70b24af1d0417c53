//! Writes a made-up report, to look at: `cargo run -p swarm-sim --example sample_report -- DIR [good|hostile]`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use swarm_sim::report::{sample, write};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments
        .next()
        .context("which directory to write to is missing")?;
    let report = match arguments.next().as_deref() {
        None => sample::report(),
        Some("good") => sample::good(),
        Some("hostile") => sample::hostile(),
        Some(other) => bail!("{other} is no sample: good or hostile"),
    };
    write::write(&report, Path::new(&dir))?;
    println!("{}", report.last_line());
    Ok(())
}
