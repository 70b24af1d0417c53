//! `swarm-sim`: random fault plans against the shipping runtime. See `swarm-sim --help`.

use std::io::Write;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use swarm_sim::{Plan, Promise, WorldConfig};

/// Faults begin within this time.
const SPAN: Duration = Duration::from_secs(40);
/// Of host clocks, in parts per million: just inside the model's 2 %.
const CLOCK_ERROR_PPM: u32 = 19_000;

/// Runs swarm's shipping runtime on simulated hosts and checks its promises.
///
/// Exit codes: 0 all passed, 1 usage, 128 a run did not recover, 129 a promise was broken.
#[derive(Parser)]
#[command(name = "swarm-sim", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Random fault plans, one for each seed.
    World {
        /// The seeds, for instance 0..100 (the end is not included), or one seed.
        #[arg(long, value_parser = seeds, default_value = "0..20")]
        seeds: Range<u64>,
        /// Managers in each world.
        #[arg(long, default_value_t = 3)]
        managers: usize,
        /// Print each seed's plan and outcome.
        #[arg(long)]
        verbose: bool,
    },
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| format!("{text:?} is not a seed"))
    };
    match text.split_once("..") {
        Some((first, end)) => Ok(number(first)?..number(end)?),
        None => number(text).map(|seed| seed..seed.saturating_add(1)),
    }
}

fn main() -> ExitCode {
    let Command::World {
        seeds,
        managers,
        verbose,
    } = Cli::parse().command;
    let mut out = std::io::stdout().lock();
    let (mut passed, mut failed, mut code) = (0_u64, 0_u64, 0_u8);
    for seed in seeds {
        let config = WorldConfig {
            seed,
            managers,
            clock_error_ppm: CLOCK_ERROR_PPM,
            ..WorldConfig::default()
        };
        let plan = Plan::draw(seed, &config, SPAN);
        let result = plan.run(&config);
        let lines = match &result {
            Ok(outcome) if verbose => format!("seed {seed}: {outcome:?}\n{}", listing(&plan)),
            Ok(_) => String::new(),
            Err(violation) => format!(
                "seed {seed} FAILED at {violation}\n{}replay: swarm-sim world --managers {managers} --seeds {seed} \
                 --verbose\n",
                listing(&plan)
            ),
        };
        match result.map_err(|violation| violation.promise) {
            Ok(_) => passed += 1,
            Err(promise) => {
                failed += 1;
                code = code.max(match promise {
                    Promise::Liveness => 128,
                    Promise::Safety => 129,
                });
            }
        }
        // A reader that left early is no failure.
        let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
    }
    let _ = writeln!(out, "{passed} passed, {failed} failed");
    ExitCode::from(code)
}

fn listing(plan: &Plan) -> String {
    plan.faults
        .iter()
        .map(|fault| format!("  {fault}\n"))
        .collect()
}
