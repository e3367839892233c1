//! The log of a command, on standard error. `RUST_LOG` chooses its levels.

use crate::output;
use anyhow::Context;
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use wfaas_log::Log;

/// How long the end of a command waits for its log to be written.
const FLUSH_TIME: Duration = Duration::from_secs(1);

/// The log of a command, which is written to its end, or nearly so, when it is dropped.
#[derive(Debug)]
pub(crate) struct Guard(Log);

impl Guard {
    /// The number of records that were dropped, as it is at any time.
    pub(crate) fn dropped(&self) -> Arc<AtomicU64> {
        self.0.dropped()
    }
}

/// Starts the log of the process. It shows records from `level` on, unless `RUST_LOG` says otherwise.
///
/// # Errors
/// If there is no thread or descriptor for it.
pub(crate) fn start(level: LevelFilter) -> anyhow::Result<Guard> {
    let stderr = std::io::stderr();
    let colours = stderr.is_terminal();
    // A descriptor of its own: whoever prints does not wait behind the log.
    let sink = stderr.as_fd().try_clone_to_owned().context("cannot open the log")?;
    let log = Log::start(File::from(sink), colours).context("cannot start the log")?;
    let subscriber = tracing_subscriber::registry().with(filter(level)).with(log.layer());
    tracing::subscriber::set_global_default(subscriber).context("there is a log already")?;
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(target: "wfaas::bug", "{}", output::describe_panic(panic));
    }));
    Ok(Guard(log))
}

/// Whether `RUST_LOG` asks for a log, where there is none otherwise.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os(EnvFilter::DEFAULT_ENV).is_some_and(|text| !text.is_empty())
}

fn filter(level: LevelFilter) -> EnvFilter {
    let builder = || EnvFilter::builder().with_default_directive(level.into());
    builder().try_from_env().unwrap_or_else(|error| {
        if is_asked_for() {
            output::note(format_args!("warning: {}: {error}", EnvFilter::DEFAULT_ENV));
        }
        builder().parse_lossy("")
    })
}

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.0.flush(FLUSH_TIME) {
            // Nobody reads standard error: nothing that is said there is heard, or ever done.
            output::fall_silent();
        }
        output::report_panics();
    }
}
