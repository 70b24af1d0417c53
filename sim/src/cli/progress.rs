//! The progress bar: rate, simulated time, failures.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::campaign::Progress;

/// Shows how far a campaign is, on a terminal; nothing elsewhere.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(name: &str, runs: u64) -> Self {
        let bar = ProgressBar::new(runs);
        let template = "{prefix:>9} {wide_bar} {pos}/{len} {per_sec:>9} {elapsed} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(name.to_owned());
        bar.enable_steady_tick(Duration::from_millis(250));
        Self(bar)
    }

    pub(super) fn show(&self, progress: &Progress) {
        self.0.set_position(progress.runs);
        let hours = Duration::from_nanos(progress.simulated).as_secs_f64() / 3_600.0;
        let failed = progress.failed;
        self.0
            .set_message(format!("{hours:.1} h simulated, {failed} failed"));
    }

    /// Counts one more of something that is no campaign.
    pub(super) fn step(&self, message: String) {
        self.0.inc(1);
        self.0.set_message(message);
    }

    /// Prints a line above the bar.
    pub(super) fn say(&self, line: &str) {
        if self.0.is_hidden() {
            say!("{line}");
        } else {
            self.0.println(line);
        }
    }

    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}
