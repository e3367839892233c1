//! The log of an activation: what its guest wrote, framed as the platform expects it.

use super::ActionHost;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wfaas_abi::untrusted;
use wfaas_function::{LogEvent, LogSink};

/// The last line of an activation, on both streams.
const END: &str = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX";

/// The two streams of an activation, as far as they are complete. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Activation(Arc<Mutex<Streams>>);

#[derive(Debug, Default)]
struct Streams {
    stdout: String,
    stderr: String,
}

impl Activation {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message of the gateway's to stderr, which may hold text of a guest.
    pub(super) fn say(&self, message: impl std::fmt::Display) {
        let _ = writeln!(self.streams().stderr, "{}", untrusted::text(message));
    }

    /// Writes both streams, and that they have ended.
    pub(super) fn end(&self, host: &dyn ActionHost) {
        let Streams { mut stdout, mut stderr } = std::mem::take(&mut *self.streams());
        for stream in [&mut stdout, &mut stderr] {
            stream.push_str(END);
            stream.push('\n');
        }
        host.log(&stdout, &stderr);
    }
}

impl LogSink for Activation {
    fn take(&self, event: LogEvent) {
        let line = match &event {
            LogEvent::Line(line) => line,
            LogEvent::Limit => LogEvent::LIMIT,
        };
        let mut streams = self.streams();
        streams.stderr.push_str(line);
        streams.stderr.push('\n');
    }

    fn stdout(&self, bytes: &[u8]) {
        let mut streams = self.streams();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let _ = writeln!(streams.stdout, "{}", untrusted::line(String::from_utf8_lossy(line)));
        }
    }
}
