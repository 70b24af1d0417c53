//! Whether tests against real Docker Engines run here.

use std::path::PathBuf;

use anyhow::{Result, bail};

/// `1`: tests against real parts must run (`tests/run`); `0`: they must not (`tests/run quick`); absent: where they can.
const SWITCH: &str = "SWARM_TEST_REAL";

/// Whether real engines can and shall run here. Prints the reason when not.
///
/// # Errors
/// When `SWARM_TEST_REAL=1` demands them and something is missing; the message says what.
pub fn engines() -> Result<bool> {
    match std::env::var(SWITCH).as_deref() {
        Ok("0") => {
            println!("skipped: {SWITCH}=0");
            Ok(false)
        }
        Ok("1") => match missing() {
            None => Ok(true),
            Some(reason) => bail!("{SWITCH}=1, but {reason}"),
        },
        Ok(_) | Err(_) => match missing() {
            None => Ok(true),
            Some(reason) => {
                println!("skipped: {reason}");
                Ok(false)
            }
        },
    }
}

/// Where `program` is, by `PATH`.
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("real engines need root".to_owned());
    }
    ["dockerd", "docker", "busybox", "unshare", "tar"]
        .into_iter()
        .find(|program| find_program(program).is_none())
        .map(|program| format!("{program} is not installed (tests/run installs it)"))
}
