//! Scratch directories, and the sweeper that clears up after a test process that could not do so itself.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context, Result};

/// The first argument is the scratch root of the test process, the second its control group.
///
/// `cat` ends when the test process is gone. Only process groups that are still noted are ended: a note is removed
/// before its group can be reaped, so the number cannot belong to somebody else by then. (dash takes no `--` after
/// `-KILL`.)
const SWEEPER: &str = r#"
cat >/dev/null
for note in "$1"/groups/*; do
    [ -e "$note" ] && kill -s KILL -- "-${note##*/}" 2>/dev/null
done
for attempt in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$1" 2>/dev/null && break
    sleep 0.5
done
find /sys/fs/cgroup/*/"$2" /sys/fs/cgroup/"$2" -depth -type d -exec rmdir {} + 2>/dev/null
exit 0
"#;

static SWEEPING: Mutex<Option<Child>> = Mutex::new(None);
static NEXT: AtomicU32 = AtomicU32::new(1);

/// A directory that is removed with everything in it when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new empty directory; `name` shows up in its path.
    ///
    /// # Errors
    /// When the directory cannot be created.
    pub fn new(name: &str) -> Result<Self> {
        let path = root()?.join(format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes everything in it, but not the directory itself.
    ///
    /// # Errors
    /// When something in it cannot be removed.
    pub fn clear(&self) -> Result<()> {
        fs::remove_dir_all(&self.path)
            .with_context(|| format!("clearing {}", self.path.display()))?;
        fs::create_dir_all(&self.path).with_context(|| format!("creating {}", self.path.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A process that was just ended may still be writing its last file.
        for _ in 0..10 {
            match fs::remove_dir_all(&self.path) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

/// A note that a process group runs, for the sweeper. Removed when dropped, which must be before its leader is reaped.
#[derive(Debug)]
pub(crate) struct GroupNote {
    path: PathBuf,
}

impl GroupNote {
    pub(crate) fn new(leader: u32) -> Result<Self> {
        let path = root()?.join("groups").join(leader.to_string());
        fs::write(&path, "").with_context(|| format!("noting {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for GroupNote {
    fn drop(&mut self) {
        // A note that stays would only matter to a sweeper whose root is gone as well.
        let _ = fs::remove_file(&self.path);
    }
}

/// The control group under which this test process puts containers, relative to each hierarchy.
pub(crate) fn control_group() -> String {
    format!("swarm-test-{}", std::process::id())
}

/// The scratch root of this test process, with its sweeper on duty.
fn root() -> Result<PathBuf> {
    let root = std::env::temp_dir().join(format!("swarm-test-{}", std::process::id()));
    let mut sweeper = SWEEPING.lock().unwrap_or_else(PoisonError::into_inner);
    if sweeper.is_none() {
        // A directory of that name can only be left over from a process that had this number before.
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("groups"))
            .with_context(|| format!("creating {}", root.display()))?;
        let child = Command::new("sh")
            .args(["-c", SWEEPER, "sweeper"])
            .arg(&root)
            .arg(control_group())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C at the terminal is for the test process, not for its sweeper.
            .process_group(0)
            .spawn()
            .context("starting the sweeper")?;
        *sweeper = Some(child);
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn the_sweeper_ends_groups_that_are_noted() -> Result<()> {
        let scratch = Scratch::new("swept")?;
        fs::create_dir_all(scratch.path().join("groups"))?;
        let mut group = Command::new("sh")
            .args(["-c", "sleep 3600; true"])
            .process_group(0)
            .spawn()?;
        let note = scratch.path().join("groups").join(group.id().to_string());
        fs::write(note, "")?;
        let swept = Command::new("sh")
            .args(["-c", SWEEPER, "sweeper"])
            .arg(scratch.path())
            .arg("swarm-test-of-the-sweeper")
            .stdin(Stdio::null())
            .status()?;
        let ended = group.try_wait()?.map(|status| status.signal());
        // Whatever came of it, nothing may be left.
        let _ = group.kill();
        let _ = group.wait();
        assert!(swept.success() && !scratch.path().exists());
        assert_eq!(ended, Some(Some(9)));
        Ok(())
    }
}
