//! The progress bar: rate, simulated time, failures.

use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::campaign::Progress;
use crate::stopwatch::Stopwatch;

/// Between two lines where there is no terminal.
const LINES_APART: Duration = Duration::from_secs(30);

/// Shows how far a campaign is: as a bar on a terminal, elsewhere with a line on standard error now and then.
pub(super) struct Bar {
    bar: ProgressBar,
    /// Since the last line.
    quiet: Mutex<Stopwatch>,
}

impl Bar {
    pub(super) fn new(name: &str, runs: u64) -> Self {
        let bar = ProgressBar::new(runs);
        let template = "{prefix:>9} {wide_bar} {pos}/{len} {per_sec:>9} {elapsed} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        Self {
            bar,
            quiet: Mutex::new(Stopwatch::start()),
        }
    }

    pub(super) fn show(&self, progress: &Progress) {
        self.bar.set_position(progress.runs);
        let hours = Duration::from_nanos(progress.simulated).as_secs_f64() / 3_600.0;
        let failed = progress.failed;
        self.tell(format!("{hours:.1} h simulated, {failed} failed"));
    }

    /// Counts one more of something that is no campaign.
    pub(super) fn step(&self, message: String) {
        self.bar.inc(1);
        self.tell(message);
    }

    fn tell(&self, message: String) {
        let bar = &self.bar;
        if bar.is_hidden()
            && let Ok(mut quiet) = self.quiet.try_lock()
            && quiet.elapsed() > LINES_APART
        {
            *quiet = Stopwatch::start();
            let (name, position) = (bar.prefix(), bar.position());
            let whole = bar.length().unwrap_or(0);
            eprintln!("{name}: {position} of {whole}, {message}");
        }
        bar.set_message(message);
    }

    /// Prints a line above the bar.
    pub(super) fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            say!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
