//! The `swarm` command.

use std::process::ExitCode;

use swarm::cli::{self, Env};

fn main() -> ExitCode {
    cli::run(std::env::args_os(), &Env::of_process())
}
