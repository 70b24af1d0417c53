//! The image every engine gets.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;

use crate::real;
use crate::scratch::Scratch;

/// A tar archive of a root file system that is nothing but static busybox; made once per test process.
pub(super) fn archive() -> Result<Bytes> {
    static ARCHIVE: Mutex<Option<Bytes>> = Mutex::new(None);
    let mut archive = ARCHIVE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(archive) = archive.as_ref() {
        return Ok(archive.clone());
    }
    let made = make()?;
    *archive = Some(made.clone());
    Ok(made)
}

fn make() -> Result<Bytes> {
    let busybox = real::find_program("busybox")
        .context("busybox is not installed (tests/run installs it)")?;
    let root = Scratch::new("image")?;
    let bin = root.path().join("bin");
    for folder in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "var"] {
        fs::create_dir(root.path().join(folder))?;
    }
    fs::write(
        root.path().join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\n",
    )?;
    fs::copy(&busybox, bin.join("busybox"))
        .with_context(|| format!("copying {}", busybox.display()))?;
    let applets = Command::new(&busybox)
        .arg("--list")
        .output()
        .context("listing busybox's applets")?;
    for applet in String::from_utf8(applets.stdout)?
        .lines()
        .filter(|applet| *applet != "busybox")
    {
        std::os::unix::fs::symlink("busybox", bin.join(Path::new(applet)))?;
    }
    let tar = Command::new("tar")
        .arg("-C")
        .arg(root.path())
        .args(["-cf", "-", "."])
        .output()
        .context("running tar")?;
    if !tar.status.success() {
        return Err(anyhow!("tar: {}", String::from_utf8_lossy(&tar.stderr)));
    }
    Ok(Bytes::from(tar.stdout))
}
