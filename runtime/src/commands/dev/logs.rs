//! The folder with the managers' logs, removed at the end.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A folder may be left over from a killed process that had the same id.
const ATTEMPTS: u32 = 100;

/// A private folder of its own; removed with what is in it when dropped.
#[derive(Debug)]
pub(super) struct Logs {
    path: PathBuf,
}

impl Logs {
    pub(super) fn create() -> anyhow::Result<Self> {
        let temporary = std::env::temp_dir();
        let process = std::process::id();
        for attempt in 0..ATTEMPTS {
            let path = temporary.join(format!("swarm-dev-{process}-{attempt}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot create {}", path.display()));
                }
            }
        }
        bail!("cannot create a folder for logs in {}", temporary.display())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The log of the manager on `port`.
    pub(super) fn file(&self, port: u16) -> PathBuf {
        self.path.join(format!("manager-{port}.log"))
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        // What cannot be removed is named on the screen, and the system clears its temporary folder.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Opens a log to write behind what is there.
pub(super) fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// The last line of a log, which says why a manager ended.
pub(super) fn last_line(path: &Path) -> Option<String> {
    let text = String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned();
    text.lines().last().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_appended_to_and_gone_at_the_end() {
        use std::io::Write;

        let logs = Logs::create().unwrap();
        let other = Logs::create().unwrap();
        assert_ne!(logs.path(), other.path());
        let file = logs.file(4000);
        assert_eq!(last_line(&file), None);
        for line in ["first", "second"] {
            writeln!(append(&file).unwrap(), "{line}").unwrap();
        }
        assert_eq!(last_line(&file).as_deref(), Some("second"));
        let path = logs.path().to_owned();
        drop(logs);
        assert!(!path.exists());
    }
}
