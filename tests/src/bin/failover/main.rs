//! Measures failover on real processes, as a client of a surviving replica sees it.
//!
//! ```text
//! cargo run --release -p swarm-tests --bin failover -- [--rounds 20] [--lease 2s] [--fault NAME]… [--json] [--logs]
//!     [--store consul|etcd|zk] [--members 3] [--tls]
//! ```
//!
//! Three managers, a store (a double of Consul, or a real one where `SWARM_TEST_CONSUL` names it; real etcd or ZooKeeper,
//! of one server unless `--members` says more) and three modelled engines; with `--tls` nobody speaks without certificates. Each round
//! hits the primary or the store while two clients read through a replica that survives, one on a connection it keeps, one on a new
//! connection each time, and a third creates containers. The gap is the longest time without a successful answer to a
//! reader, counted from the fault; a mutation's gap likewise. Ends with 1 when a read failed, a create was lost or done
//! twice, or a median is over its budget.
#![expect(
    clippy::disallowed_methods,
    reason = "real processes live in real time and outside any Platform"
)]

mod clients;
mod options;
mod report;
mod rounds;

use std::process::ExitCode;

use anyhow::Result;

use options::Options;
use report::Report;
use rounds::Bench;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut bench = Bench::start(&options).await?;
    let mut report = Report::new(&options);
    for round in 1..=options.rounds {
        for &fault in &options.faults {
            let outcome = bench.round(fault).await?;
            eprintln!("round {round}/{}: {outcome}", options.rounds);
            if options.logs && outcome.is_over(fault.budget(options.lease)) {
                eprintln!("{}", outcome.story);
            }
            report.add(fault, outcome);
        }
    }
    report.creates = bench.check_creates();
    if options.json {
        println!("{}", report.json());
    } else {
        println!("{report}");
    }
    Ok(if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
