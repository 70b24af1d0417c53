//! A child process in a process group of its own, its output kept line by line with the time each line came.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustix::param::page_size;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr};

use crate::scratch::GroupNote;
use crate::wait;

const FREEZE_LIMIT: Duration = Duration::from_secs(10);

/// What the standard streams of a process are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// Pipes and an empty input, as under a service manager.
    Pipes,
    /// One terminal of 80 columns, as at a shell prompt.
    Terminal,
}

/// One line of output.
#[derive(Clone, Debug)]
pub struct Line {
    /// When the newline was read.
    pub at: Instant,
    /// The line without its newline.
    pub text: String,
}

/// A process. Dropping it ends its whole process group.
///
/// It is not reaped before it is dropped, so its id and that of its group stay its own.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    pid: Pid,
    lines: Arc<Mutex<Vec<Line>>>,
    terminal: Option<File>,
    note: Option<GroupNote>,
    started: Instant,
}

impl Process {
    /// Starts `command`; `name` is for messages.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(name: &str, mut command: Command, streams: Streams) -> Result<Self> {
        command.process_group(0);
        let terminal = match streams {
            Streams::Pipes => {
                command
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped());
                None
            }
            Streams::Terminal => {
                let (controller, terminal) = open_terminal()?;
                command
                    .stdin(terminal.try_clone()?)
                    .stdout(terminal.try_clone()?)
                    .stderr(terminal);
                Some(controller)
            }
        };
        let started = Instant::now();
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        // It holds our copies of the terminal: while those are open, reading never sees the end.
        drop(command);
        let note = GroupNote::new(child.id())?;
        let pid = i32::try_from(child.id())
            .ok()
            .and_then(Pid::from_raw)
            .context("process id")?;
        let lines = Arc::default();
        collect(terminal.as_ref().map(File::try_clone).transpose()?, &lines);
        collect(child.stdout.take(), &lines);
        collect(child.stderr.take(), &lines);
        Ok(Self {
            name: name.to_owned(),
            child,
            pid,
            lines,
            terminal,
            note: Some(note),
            started,
        })
    }

    /// Its process id, which is also the id of its process group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its memory that is resident, in bytes.
    ///
    /// # Errors
    /// When it is gone.
    pub fn resident(&self) -> Result<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.id()))?;
        let pages: u64 = statm
            .split_whitespace()
            .nth(1)
            .and_then(|field| field.parse().ok())
            .context("statm without a second field")?;
        Ok(pages * u64::try_from(page_size())?)
    }

    /// How many files it has open.
    ///
    /// # Errors
    /// When it is gone.
    pub fn open_files(&self) -> Result<usize> {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.id()))?;
        Ok(files.count())
    }

    /// When it was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Sends `signal` to the process alone.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid, signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Sends `signal` to its whole process group, as a terminal does on Ctrl-C.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub fn signal_group(&self, signal: Signal) -> Result<()> {
        kill_process_group(self.pid, signal)
            .with_context(|| format!("signalling the group of {}", self.name))
    }

    /// Stops it (SIGSTOP) and waits until every thread of it stands still. `SIGCONT` lets it go on.
    ///
    /// # Errors
    /// When it does not stand still soon.
    pub async fn freeze(&self) -> Result<()> {
        freeze(&self.name, self.pid).await
    }

    /// Types `text` at its terminal.
    ///
    /// # Errors
    /// When it has no terminal, or nobody holds it open any more.
    pub fn type_in(&self, text: &str) -> Result<()> {
        let mut terminal = self
            .terminal
            .as_ref()
            .with_context(|| format!("{} has no terminal", self.name))?;
        terminal
            .write_all(text.as_bytes())
            .with_context(|| format!("typing at the terminal of {}", self.name))
    }

    /// All lines so far, standard output and error in the order they were read.
    pub fn lines(&self) -> Vec<Line> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many lines there are so far; a mark for [`Self::wait_line_after`].
    pub fn mark(&self) -> usize {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// All lines so far as one text.
    pub fn text(&self) -> String {
        let lines = self.lines();
        lines
            .iter()
            .map(|line| line.text.as_str())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Waits for a line that contains `part`, among those there already or to come.
    ///
    /// # Errors
    /// When none came within `limit`; the message holds the whole output.
    pub async fn wait_line(&self, part: &str, limit: Duration) -> Result<Line> {
        self.wait_line_after(0, part, limit).await
    }

    /// Like [`Self::wait_line`], but only among the lines after the first `mark`.
    ///
    /// # Errors
    /// When none came within `limit`; the message holds the whole output.
    pub async fn wait_line_after(&self, mark: usize, part: &str, limit: Duration) -> Result<Line> {
        let what = format!("{} prints {part:?}", self.name);
        let found = wait::until(&what, limit, async || {
            let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines
                .iter()
                .skip(mark)
                .find(|line| line.text.contains(part))
                .cloned()
        });
        found
            .await
            .map_err(|error| anyhow!("{error}; it printed:\n{}", self.text()))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn is_running(&self) -> Result<bool> {
        Ok(self.exit()?.is_none())
    }

    /// Waits for the process to end.
    ///
    /// # Errors
    /// When it still runs after `limit`; the message holds its output.
    pub async fn wait_exit(&self, limit: Duration) -> Result<ExitStatus> {
        let ended = wait::until(&format!("{} ends", self.name), limit, async || {
            self.exit().transpose()
        })
        .await;
        ended.map_err(|error| anyhow!("{error}; it printed:\n{}", self.text()))?
    }

    fn exit(&self) -> Result<Option<ExitStatus>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.pid), options)
            .with_context(|| format!("asking how {} is", self.name))?;
        Ok(status.map(
            |status| match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => ExitStatus::from_raw(code << 8),
                (None, signal) => ExitStatus::from_raw(signal.unwrap_or_default()),
            },
        ))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.signal_group(Signal::KILL);
        // Before reaping: afterwards the number could become somebody else's.
        self.note = None;
        let _ = self.child.wait();
    }
}

/// Stops `pid` and waits until it stands still: on a busy machine a thread can still run for a while after the signal.
pub(crate) async fn freeze(name: &str, pid: Pid) -> Result<()> {
    kill_process(pid, Signal::STOP).with_context(|| format!("freezing {name}"))?;
    wait::until(&format!("{name} stands still"), FREEZE_LIMIT, async || {
        stands_still(pid).unwrap_or(false).then_some(())
    })
    .await
}

fn stands_still(pid: Pid) -> std::io::Result<bool> {
    for thread in std::fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero()))? {
        let stat = std::fs::read_to_string(thread?.path().join("stat"))?;
        // The name, second field, may hold anything; the state follows the last parenthesis.
        if !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('T'))
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reads `source` to its end on a thread of its own.
fn collect<R: Read + Send + 'static>(source: Option<R>, lines: &Arc<Mutex<Vec<Line>>>) {
    let Some(source) = source else { return };
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(source);
        let mut raw = Vec::new();
        // A terminal reports an error, not an end of file, when its last user is gone.
        while matches!(reader.read_until(b'\n', &mut raw), Ok(1..)) {
            let at = Instant::now();
            let text = String::from_utf8_lossy(&raw)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Line { at, text });
            raw.clear();
        }
    });
}

/// A terminal: the side to read from, and the side a process gets.
fn open_terminal() -> Result<(File, OwnedFd)> {
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
        .context("opening a terminal")?;
    grantpt(&controller).context("granting a terminal")?;
    unlockpt(&controller).context("unlocking a terminal")?;
    let name = ptsname(&controller, Vec::new()).context("naming a terminal")?;
    let terminal = File::options()
        .read(true)
        .write(true)
        .open(name.to_str()?)
        .context("opening a terminal")?;
    let mut modes = tcgetattr(&terminal).context("reading the modes of a terminal")?;
    modes.output_modes.remove(OutputModes::ONLCR);
    tcsetattr(&terminal, OptionalActions::Now, &modes)
        .context("setting the modes of a terminal")?;
    let size = rustix::termios::Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(&terminal, size).context("setting the size of a terminal")?;
    Ok((File::from(controller), OwnedFd::from(terminal)))
}
