//! The progress bar of long builds.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Shorter work shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar on standard error that appears when the work takes more than a second, if a person may
/// be watching.
pub(crate) struct Progress {
    started: Instant,
    watched: bool,
    bar: OnceLock<ProgressBar>,
}

impl Progress {
    /// Starts the clock.
    pub(crate) fn start() -> Progress {
        let watched = std::io::stderr().is_terminal();
        Progress { started: Instant::now(), watched, bar: OnceLock::new() }
    }
}

impl wfaas_build::Progress for Progress {
    fn compiled(&self, done: usize, total: usize) {
        if !self.watched || self.started.elapsed() < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_init(|| {
            let style = ProgressStyle::with_template("compiling {bar:40} {pos}/{len} functions")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total as u64).with_style(style)
        });
        bar.set_position(done as u64);
    }

    /// Removes the bar: the guest may print from here on.
    fn linked(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        wfaas_build::Progress::linked(self);
    }
}
