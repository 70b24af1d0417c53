//! What a manager needs that lives through it all.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use swarm_tests::process::Process;

/// Between two looks.
pub(crate) const EVERY: Duration = Duration::from_secs(5);
/// So long it may grow: caches, histories and the heap find their size.
const WARM: Duration = Duration::from_secs(300);

pub(crate) struct Veteran {
    began: Instant,
    looks: Vec<Look>,
}

struct Look {
    at: Duration,
    resident: u64,
    files: usize,
}

impl Veteran {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            looks: Vec::new(),
        }
    }

    pub(crate) fn look(&mut self, process: &Process) -> Result<()> {
        self.looks.push(Look {
            at: self.began.elapsed(),
            resident: process.resident()?,
            files: process.open_files()?,
        });
        Ok(())
    }
}

impl fmt::Display for Veteran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("first five minutes", Duration::ZERO, WARM),
            ("after that, first half", WARM, self.middle()),
            ("second half", self.middle(), Duration::MAX),
        ];
        for (name, from, to) in parts {
            let looks = || {
                self.looks
                    .iter()
                    .filter(|look| look.at >= from && look.at < to)
            };
            let (Some(resident), Some(files)) = (
                looks().map(|look| look.resident).max(),
                looks().map(|look| look.files).max(),
            ) else {
                continue;
            };
            let kib = resident / 1024;
            writeln!(
                f,
                "the veteran, {name}: at most {kib} KiB resident, {files} open files"
            )?;
        }
        Ok(())
    }
}

impl Veteran {
    /// Half of the time after it got warm.
    fn middle(&self) -> Duration {
        let end = self.looks.last().map_or(Duration::ZERO, |look| look.at);
        WARM + end.saturating_sub(WARM) / 2
    }
}
