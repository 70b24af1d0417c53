//! Half an hour of a cluster's life: real engines, clients that count, and a failover every minute.
//!
//! ```text
//! cargo run --release -p swarm-tests --bin soak -- [--minutes 30] [--every 60s] [--workers 3] [--engines 2]
//!     [--store consul|etcd|zk] [--members 1]
//! ```
//!
//! Three managers and agents, real Docker Engines, and the store that is named. Workers create, start, await and remove
//! containers, each of which writes a line into a ledger when it runs. At the end every engine and the ledger are held
//! against what the workers were told: nothing acknowledged may be lost, and nothing may have run twice. One manager, the
//! veteran, only ever steps down: its memory and open files are followed from beginning to end. Ends with 1 when a
//! promise was broken.
#![expect(
    clippy::disallowed_methods,
    reason = "real processes live in real time and outside any Platform"
)]

mod fleet;
mod options;
mod stories;
mod veteran;
mod workers;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use swarm_tests::fault::Fault;

use fleet::Fleet;
use options::Options;
use veteran::Veteran;
use workers::Workers;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut fleet = Fleet::start(&options).await?;
    let workers = Workers::start(options.workers, &fleet);
    let mut veteran = Veteran::new();
    let (began, mut next_fault) = (Instant::now(), 0);
    let mut faults = Fault::OF_PRIMARY.into_iter().cycle();
    while began.elapsed() < options.length {
        tokio::time::sleep(veteran::EVERY).await;
        veteran.look(fleet.veteran()?)?;
        let due = options.every.saturating_mul(next_fault + 1);
        if began.elapsed() >= due && began.elapsed() < options.length {
            next_fault += 1;
            if let Some(fault) = faults.next() {
                let told = fleet.strike(fault).await?;
                println!("{:5} s  {told}", began.elapsed().as_secs());
            }
        }
    }
    let stories = workers.finish().await?;
    fleet.settle().await?;
    let verdict = stories::judge(&stories, &fleet).await?;
    println!("{verdict}{veteran}");
    Ok(match verdict.is_good() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
