//! The same plans are the same runs: in two processes whose surroundings differ in everything a program can notice, on
//! one thread or two, and in another kind of build.
#![expect(
    clippy::disallowed_methods,
    reason = "where another build lies is told by the environment"
)]
#![expect(
    clippy::unwrap_used,
    reason = "a program that cannot be started fails the test"
)]

use std::fs::File;
use std::path::Path;
use std::process::Command;

/// Lab seeds compared.
const LAB: &str = "0..40";
/// World seeds compared.
const WORLD: &str = "0..4";

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_swarm-sim"))
}

/// `seed hash` for each run of a tier.
fn hashes(command: &mut Command, tier: &str, seeds: &str, jobs: &str) -> Vec<String> {
    let arguments = [tier, "--seeds", seeds, "--jobs", jobs, "--hashes"];
    let output = command.args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let prefix = format!("{tier}:");
    let lines = text.lines().filter(|line| line.starts_with(&prefix));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!lines.is_empty(), "{tier} printed no hash: {text}{errors}");
    lines
}

/// Hardly any environment, and nothing to write to but a pipe.
fn bare(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().current_dir("/");
    command
}

/// Another place, language, time zone and size of everything.
fn disturbed(program: &Path) -> Command {
    let mut command = Command::new("nice");
    command.arg(program);
    command.current_dir(std::env::temp_dir());
    command
        .env("TZ", "Asia/Kathmandu")
        .env("LANG", "tr_TR.UTF-8");
    command.env("HOME", "/nowhere").env("RUST_LOG", "trace");
    command.env("COLUMNS", "37").env("TERM", "dumb");
    for filler in 0..200 {
        command.env(format!("FILLER_{filler}"), "x".repeat(filler));
    }
    command.stderr(File::create("/dev/null").unwrap());
    command
}

fn compare(tier: &str, seeds: &str) {
    let first = hashes(&mut bare(program()), tier, seeds, "1");
    let second = hashes(&mut disturbed(program()), tier, seeds, "2");
    assert_eq!(first, second, "{tier} runs depend on their surroundings");
    // tests/run builds it; a plain `cargo test` compares what is there.
    if let Some(other) = std::env::var_os("SWARM_SIM_OTHER") {
        let third = hashes(&mut bare(Path::new(&other)), tier, seeds, "2");
        assert_eq!(first, third, "{tier} runs depend on the kind of build");
    }
}

#[test]
fn lab_runs_depend_on_their_plans_alone() {
    compare("lab", LAB);
}

#[test]
fn world_runs_depend_on_their_plans_alone() {
    compare("world", WORLD);
}
