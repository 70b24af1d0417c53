//! Whether tests against real Docker Engines and a real browser run here.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// `1`: tests against real parts must run (`tests/run`); `0`: they must not (`tests/run quick`); absent: where they can.
const SWITCH: &str = "SWARM_TEST_REAL";

/// Whether real engines can and shall run here. Prints the reason when not.
///
/// # Errors
/// When `SWARM_TEST_REAL=1` demands them and something is missing; the message says what.
pub fn engines() -> Result<bool> {
    demanded(missing_for_engines())
}

/// The browser that can and shall show pages here. Prints the reason when there is none.
///
/// # Errors
/// When `SWARM_TEST_REAL=1` demands it and it is missing.
pub fn browser() -> Result<Option<PathBuf>> {
    let browser = find_program("chromium");
    let missing = browser.is_none();
    let reason = missing.then(|| "chromium is not installed (tests/run installs it)".to_owned());
    Ok(if demanded(reason)? { browser } else { None })
}

/// Whether `program`, a server that `tests/run` installs, can and shall run here. Prints the reason when not.
///
/// # Errors
/// When `SWARM_TEST_REAL=1` demands it and it is missing.
pub fn program(program: &str) -> Result<bool> {
    match find_program(program) {
        Some(_) => demanded(None),
        None => missing(program),
    }
}

/// `what` is not there, which `tests/run` installs: false, after the reason was printed.
///
/// # Errors
/// When `SWARM_TEST_REAL=1` demands it.
pub fn missing(what: &str) -> Result<bool> {
    demanded(Some(format!(
        "{what} is not installed (tests/run installs it)"
    )))
}

/// Whether a test runs, from what it misses.
fn demanded(missing: Option<String>) -> Result<bool> {
    let switch = std::env::var(SWITCH);
    match (switch.as_deref(), missing) {
        (Ok("0"), _) => {
            println!("skipped: {SWITCH}=0");
            Ok(false)
        }
        (_, None) => Ok(true),
        (Ok("1"), Some(reason)) => bail!("{SWITCH}=1, but {reason}"),
        (_, Some(reason)) => {
            println!("skipped: {reason}");
            Ok(false)
        }
    }
}

/// Where `program` is, by `PATH`.
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn missing_for_engines() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("real engines need root".to_owned());
    }
    ["dockerd", "docker", "busybox", "unshare", "tar"]
        .into_iter()
        .find(|program| find_program(program).is_none())
        .map(|program| format!("{program} is not installed (tests/run installs it)"))
}
