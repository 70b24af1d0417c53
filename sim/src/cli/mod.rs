//! The command line `swarm-sim`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use swarm_core::testbed::Mutant;

use crate::plan::{Plan, Profile};
use crate::property::Violation;
use crate::report::{CorpusLine, ScenarioLine};
use crate::run::Run;
use crate::trace::Keep;

/// Prints a line. A reader that left early is no failure.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($part)*);
    }};
}

mod args;
mod assemble;
mod batch;
mod bench;
mod list;
mod one;
mod progress;
mod prove;

use args::{Seeds, Subject, length, mutant, profile};

/// What the command line gets from the crate that declares scenarios.
pub trait Library: Sync {
    /// The declared scenarios, in order.
    fn scenarios(&self) -> Vec<ScenarioLine>;

    /// The plan of a scenario.
    fn plan(&self, name: &str) -> Option<Plan>;

    /// Runs a scenario and judges it by what it expects.
    fn check(&self, name: &str, keep: Keep, mutant: Option<Mutant>) -> Option<(ScenarioLine, Run)>;

    /// The corpus of minimised plans, with the reason why each is there.
    ///
    /// # Errors
    /// A file that is not an entry of the corpus.
    fn corpus(&self) -> anyhow::Result<Vec<(CorpusLine, Plan)>>;

    /// Puts a minimised plan that breaks `signature` into the corpus, found at `commit`, with the reason why; where it
    /// is now.
    ///
    /// # Errors
    /// The file cannot be written.
    fn keep(
        &self,
        signature: &str,
        commit: String,
        plan: &Plan,
        why: &str,
    ) -> anyhow::Result<PathBuf>;

    /// A plan as a scenario to paste.
    fn as_code(&self, name: &str, plan: &Plan, violation: &Violation) -> String;
}

/// Proves the promises of swarm in simulated time, finds the shortest story of a failure, and shows it.
///
/// Exit codes: 0 all passed, 1 usage or input, 127 something panicked, 128 a run did not recover or not in time,
/// 129 a promise was broken, 130 a run did not repeat, 131 something was never reached.
/// The last line is "N passed, N failed".
#[derive(Parser)]
#[command(
    name = "swarm-sim",
    max_term_width = 100,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Random runs of the election and proxy machines in an event loop.
    Lab(Batch),
    /// Random runs of the shipping runtime on simulated hosts.
    World(Batch),
    /// Everything a profile asks for, in one report: scenarios, corpus, mutants, random runs of both tiers.
    Prove(Prove),
    /// Declared scenarios: all, or those whose name or family contains one of the words.
    Scenario(Scenario),
    /// Runs one plan and shows what happens.
    Replay(Replay),
    /// Finds the smallest plan that fails like the given one.
    Shrink(Shrink),
    /// Tells what led to the failure of a plan.
    Explain(One),
    /// Shows where two runs part: of two plans, or of one plan and its nearest passing neighbour.
    Diff(Diff),
    /// Lists scenarios, corpus, mutants, promises and marks.
    List,
    /// Hunts planted bugs.
    Mutants(Mutants),
    /// Measures the speed of both tiers.
    Bench(Bench),
}

#[derive(Args)]
struct Batch {
    /// The seeds, for instance 0..1000 (the end is not included), or one seed.
    #[arg(long, default_value = "0..1000")]
    seeds: Seeds,
    /// Threads; as many as there are processors by default.
    #[arg(long)]
    jobs: Option<usize>,
    /// No run begins after so much time, for instance 5m.
    #[arg(long, value_parser = length)]
    budget: Option<std::time::Duration>,
    /// How hostile: pr, nightly or soak.
    #[arg(long, value_parser = profile, default_value = "pr")]
    profile: Profile,
    /// Write a report there.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Plant a bug; see `list`.
    #[arg(long, value_parser = mutant)]
    mutant: Option<Mutant>,
    /// Print the hash of each run.
    #[arg(long)]
    hashes: bool,
    /// Runs that may be spent on shrinking each failure; 0 to leave plans as they are.
    #[arg(long, default_value_t = crate::shrink::TRIES_MAX)]
    tries: u32,
}

#[derive(Args)]
struct Prove {
    /// pr (minutes), nightly (an hour) or soak (a night).
    #[arg(long, value_parser = profile, default_value = "pr")]
    profile: Profile,
    /// Threads; as many as there are processors by default.
    #[arg(long)]
    jobs: Option<usize>,
    /// Write the report there.
    #[arg(long, default_value = "target/testbed")]
    out: PathBuf,
    /// First seed of the random runs.
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
}

#[derive(Args)]
struct Scenario {
    /// Words to select by.
    words: Vec<String>,
    /// Plant a bug; see `list`.
    #[arg(long, value_parser = mutant)]
    mutant: Option<Mutant>,
}

#[derive(Args)]
struct One {
    /// lab:SEED, world:SEED (with @nightly or @soak behind it), the name of a scenario, or a file with a plan.
    subject: Subject,
    /// Plant a bug; see `list`.
    #[arg(long, value_parser = mutant)]
    mutant: Option<Mutant>,
}

#[derive(Args)]
struct Replay {
    #[command(flatten)]
    one: One,
    /// Print every event.
    #[arg(long)]
    trace: bool,
    /// Print the plan.
    #[arg(long)]
    plan: bool,
    /// Write the picture there.
    #[arg(long)]
    svg: Option<PathBuf>,
}

#[derive(Args)]
struct Shrink {
    #[command(flatten)]
    one: One,
    /// Runs that may be spent.
    #[arg(long, default_value_t = crate::shrink::TRIES_MAX)]
    tries: u32,
    /// Write the plan there instead of to standard output.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Put the plan into the corpus, with this sentence on what went wrong.
    #[arg(long, value_name = "WHY", conflicts_with = "mutant")]
    keep: Option<String>,
}

#[derive(Args)]
struct Diff {
    #[command(flatten)]
    one: One,
    /// What to compare it with; without it, the nearest plan that passes (one fault less).
    other: Option<Subject>,
    /// Events to show before and after.
    #[arg(long, default_value_t = 20)]
    context: usize,
}

#[derive(Args)]
struct Mutants {
    /// Only these.
    #[arg(value_parser = mutant)]
    names: Vec<Mutant>,
    /// Threads; as many as there are processors by default.
    #[arg(long)]
    jobs: Option<usize>,
}

#[derive(Args)]
struct Bench {
    /// Seconds of real time for each measurement.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// Runs the command line.
#[must_use]
pub fn main(library: &dyn Library) -> ExitCode {
    quiet_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing better can be done when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    let done = match cli.command {
        Command::Lab(batch) => batch::run(library, crate::plan::Tier::Lab, &batch),
        Command::World(batch) => batch::run(library, crate::plan::Tier::World, &batch),
        Command::Prove(prove) => prove::run(library, &prove),
        Command::Scenario(scenario) => batch::scenarios(library, &scenario),
        Command::Replay(replay) => one::replay(library, &replay),
        Command::Shrink(shrink) => one::shrink(library, &shrink),
        Command::Explain(one) => one::explain(library, &one),
        Command::Diff(diff) => one::diff(library, &diff),
        Command::List => list::run(library),
        Command::Mutants(mutants) => batch::mutants(&mutants),
        Command::Bench(bench) => bench::run(&bench),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("swarm-sim: {error:#}");
            ExitCode::from(1)
        }
    }
}

/// As many threads as asked for, or as there are processors.
fn jobs(asked: Option<usize>) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    asked.unwrap_or_else(all).max(1)
}

/// A panic of a run is reported as its violation; its stack would bury everything else.
fn quiet_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !crate::run::is_running() {
            usual(info);
        }
    }));
}
