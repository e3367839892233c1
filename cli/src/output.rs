//! Standard output: results only. Everything said beside them goes to standard error.
//!
//! All that is printed goes through here. Names and messages may come from modules and servers, so
//! text is escaped and bounded. Standard error that cannot be written to changes nothing; standard
//! output that cannot be written to is an error, since the result is lost.

use serde::Serialize;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use wfaas_abi::untrusted;

/// Standard output did not take the result; most often its reader has gone away.
#[derive(Debug)]
pub(crate) struct OutputError(pub(crate) io::Error);

impl Display for OutputError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot write to standard output: {}", self.0)
    }
}

impl std::error::Error for OutputError {}

/// How writing a result went.
pub(crate) type Result<T = ()> = std::result::Result<T, OutputError>;

/// Writes one line.
///
/// # Errors
/// [`OutputError`], a reader that has gone away included.
pub(crate) fn line(text: impl Display) -> Result {
    write(format!("{}\n", untrusted::line(text)).as_bytes())
}

/// Writes a value as indented JSON.
///
/// # Errors
/// As [`line()`].
pub(crate) fn json(value: &impl Serialize) -> Result {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| OutputError(error.into()))?;
    text.push(b'\n');
    write(&text)
}

fn write(bytes: &[u8]) -> Result {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(OutputError)
}

/// Whether standard error takes nothing, and does not refuse it either.
static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// Says nothing on standard error any more, since nobody reads it and a write would not return.
pub(crate) fn fall_silent() {
    IS_SILENT.store(true, Ordering::Relaxed);
}

/// Tells the person at the terminal something, on standard error. Nobody may be listening there.
pub(crate) fn note(text: impl Display) {
    if IS_SILENT.load(Ordering::Relaxed) {
        return;
    }
    let text = format!("{}\n", untrusted::text(text));
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes text to standard output and to standard error, as it is: lines of guests that are escaped
/// already. Nobody may be listening.
pub(crate) fn streams(stdout: &str, stderr: &str) {
    let _ = write(stdout.as_bytes());
    let _ = io::stderr().lock().write_all(stderr.as_bytes());
}

/// Shows the answer of the parser of the command line, a mistake or the help that was asked for; the
/// exit code.
///
/// # Errors
/// As [`line()`].
pub(crate) fn usage(answer: &clap::Error) -> Result<u8> {
    let plain = answer.to_string();
    let escaped = untrusted::text(&plain).to_string();
    let result = match answer.use_stderr() {
        true if plain != escaped => {
            note(escaped.trim_end());
            Ok(())
        }
        // In colours, if it is a terminal.
        true => {
            let _ = answer.print();
            Ok(())
        }
        false => answer.print().and_then(|()| io::stdout().flush()).map_err(OutputError),
    };
    result.map(|()| u8::try_from(answer.exit_code()).unwrap_or(2))
}

/// Has panics reported like everything else.
pub(crate) fn report_panics() {
    std::panic::set_hook(Box::new(|panic| note(describe_panic(panic))));
}

/// A panic, which is a bug of ours, in words; with a backtrace if the environment asks for it.
pub(crate) fn describe_panic(panic: &PanicHookInfo<'_>) -> String {
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => format!("bug: {panic}\n{backtrace}"),
        _ => format!("bug: {panic}"),
    }
}

/// A number of bytes as people read it: `1.5 MiB`.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["bytes", "KiB", "MiB", "GiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes() {
        let human = super::human_bytes;
        assert_eq!(human(1023), "1023 bytes");
        assert_eq!(human(1536), "1.5 KiB");
        assert_eq!(human(3 << 30), "3.0 GiB");
        assert_eq!(human(5 << 40), "5120.0 GiB");
    }
}
