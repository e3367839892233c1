//! The host of OpenWhisk's actions: compiles each in a process of its own, within limits, and writes
//! their logs to the streams of this one.

use crate::output;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use wfaas_abi::untrusted;
use wfaas_function::Spec;
use wfaas_gateway::ActionHost;

/// Longest time that a compilation may take, and the processor time it may use.
const COMPILE_TIME: Duration = Duration::from_secs(60);

/// Most bytes of memory that a compilation may write to.
const COMPILE_MEMORY: u64 = 2 << 30;

/// Most bytes of a file that a compilation may write.
const COMPILE_FILE: u64 = 1 << 30;

/// Most bytes of a compilation's messages that the action's author is shown.
const MESSAGE_BYTES: u64 = 4 << 10;

/// How long to wait between two looks at a compilation.
const PAUSE: Duration = Duration::from_millis(5);

/// The host.
#[derive(Debug)]
pub(crate) struct Actions {
    /// Whether native artifacts are taken.
    pub(crate) allow_native: bool,
}

impl ActionHost for Actions {
    fn compile(&self, module: &[u8], _spec: &Spec) -> Result<Vec<u8>, String> {
        let failed = |error: io::Error| format!("the code cannot be compiled here: {error}");
        let folder = tempfile::tempdir().map_err(failed)?;
        let folder = folder.path();
        std::fs::write(folder.join("action.wasm"), module).map_err(failed)?;
        let mut child = start(folder).map_err(failed)?;
        let limited = limit(&child);
        let ended = limited.and_then(|()| wait(&mut child)).map_err(|error| {
            end(&mut child);
            failed(error)
        })?;
        match ended {
            Some(status) if status.success() => {
                std::fs::read(folder.join("action.faas")).map_err(failed)
            }
            Some(_) => Err(messages(folder)),
            None => Err(format!("it took longer than {COMPILE_TIME:?} to compile the code")),
        }
    }

    fn takes_native(&self) -> bool {
        self.allow_native
    }

    fn log(&self, stdout: &str, stderr: &str) {
        output::streams(stdout, stderr);
    }
}

/// Starts a compilation in a folder.
fn start(folder: &Path) -> io::Result<Child> {
    let messages = File::create(folder.join("messages"))?;
    Command::new(std::env::current_exe()?)
        .args(["build", "action.wasm", "--output", "action.faas", "--init-time", "10s"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(messages)
        .spawn()
}

/// Limits a compilation, which has hardly begun.
fn limit(child: &Child) -> io::Result<()> {
    let pid = Pid::from_child(child);
    let limits = [
        (Resource::Cpu, COMPILE_TIME.as_secs()),
        (Resource::Data, COMPILE_MEMORY),
        (Resource::Fsize, COMPILE_FILE),
        (Resource::Core, 0),
    ];
    for (resource, most) in limits {
        let most = Rlimit { current: Some(most), maximum: Some(most) };
        match prlimit(Some(pid), resource, most) {
            // It has ended already.
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            limited => limited?,
        };
    }
    Ok(())
}

/// Waits for a compilation; nothing if it takes too long, when it is ended.
fn wait(child: &mut Child) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    while started.elapsed() < COMPILE_TIME {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(PAUSE);
    }
    end(child);
    Ok(None)
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The messages of a compilation, from their beginning.
fn messages(folder: &Path) -> String {
    let mut bytes = Vec::new();
    let file = File::open(folder.join("messages"));
    let read = file.and_then(|file| file.take(MESSAGE_BYTES).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim().trim_start_matches("error: ");
    if read.is_err() || text.is_empty() {
        return "the compilation was ended: it used too much time or memory".to_owned();
    }
    untrusted::text(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compilation_has_the_limits() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        limit(&child).unwrap();
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
        end(&mut child);
        for (name, most) in [("Max cpu time", "60"), ("Max data size", "2147483648")] {
            let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
            assert_eq!(line.split_whitespace().filter(|word| *word == most).count(), 2, "{line}");
        }
    }
}
