//! Engines in a process of their own, which reads how many repetitions to run and prints the
//! nanoseconds they took and their checksum, again and again.

use super::runner::{Outcome, Runner};
use anyhow::Context;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Starts a program.
pub(crate) fn start(program: &Path, arguments: &[&OsStr]) -> anyhow::Result<impl Runner + use<>> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| {
            format!("starting {}; without it, leave it out of --engines", program.display())
        })?;
    let input = child.stdin.take().expect("piped");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    Ok(Process { child, input, output })
}

impl Runner for Process {
    fn run(&mut self, repetitions: u32) -> anyhow::Result<Outcome> {
        writeln!(self.input, "{repetitions}")?;
        self.input.flush()?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let parsed = line.trim().split_once(' ').and_then(|(nanos, checksum)| {
            Some(Outcome { nanos: nanos.parse().ok()?, checksum: checksum.parse().ok()? })
        });
        parsed.with_context(|| format!("expected nanoseconds and a checksum, got {line:?}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
