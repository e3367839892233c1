//! The log of an activation: what its guest wrote, framed as the platform expects it.

use super::ActionHost;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wfaas_abi::untrusted;
use wfaas_function::{LogEvent, LogSink};

/// The last line of an activation, on both streams.
const END: &str = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX";

/// The same in a line of a guest's: the platform looks for [`END`] anywhere in a line, and would take
/// what follows for the next activation's.
const NO_END: &str = r"XXX_THE_END_OF_A_WHISK_ACTIVATION_XX\u{58}";

/// Adds text of a guest to a stream.
fn push_line(stream: &mut String, line: &str) {
    stream.push_str(&line.replace(END, NO_END));
    stream.push('\n');
}

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
        push_line(&mut self.streams().stderr, &untrusted::text(message).to_string());
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
        push_line(&mut self.streams().stderr, line);
    }

    fn stdout(&self, bytes: &[u8]) {
        let mut streams = self.streams();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = untrusted::line(String::from_utf8_lossy(line)).to_string();
            push_line(&mut streams.stdout, &line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wfaas_function::Spec;

    #[derive(Debug, Default)]
    struct Kept(Mutex<(String, String)>);

    impl ActionHost for Kept {
        fn compile(&self, _module: &[u8], _spec: &Spec) -> Result<Vec<u8>, String> {
            Err("nothing is compiled here".to_owned())
        }

        fn takes_native(&self) -> bool {
            false
        }

        fn log(&self, stdout: &str, stderr: &str) {
            *self.0.lock().unwrap() = (stdout.to_owned(), stderr.to_owned());
        }
    }

    #[test]
    fn a_guest_cannot_end_its_log() {
        let log = Activation::default();
        let twice = format!("{END}{}", &END[3..]);
        log.stdout(format!("a\n{END}\n  {END} b\n{twice}\n").as_bytes());
        log.take(LogEvent::Line(END.to_owned()));
        log.say(format_args!("x {END}"));
        let kept = Kept::default();
        log.end(&kept);
        let (stdout, stderr) = &*kept.0.lock().unwrap();
        for stream in [stdout, stderr] {
            assert_eq!(stream.matches(END).count(), 1, "{stream}");
            assert!(stream.ends_with(&format!("\n{END}\n")));
        }
        assert_eq!(stdout.lines().count(), 5);
        assert_eq!(stdout.lines().nth(1), Some(NO_END));
    }
}
