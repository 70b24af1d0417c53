//! The `swarm` command.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use swarm::cli::{self, Env};

/// A manager's view is millions of small pieces that come and go: glibc's heap grew half as large again as what it held.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), &Env::of_process())
}
