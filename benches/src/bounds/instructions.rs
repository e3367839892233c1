//! Instructions, counted by callgrind, where the machine has no counters that `perf` could read.
//!
//! A child runs a guest once under valgrind, and again with nothing to do; what the second run takes
//! less is the guest's. The child resets nothing, since valgrind knows neither userfaultfd nor
//! faults that a handler makes good.

use super::guests::Guest;
use super::setup::Setup;
use super::side;
use anyhow::Context;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use wfaas_vm::{Config, Engine, Linker, Module, Store};

/// Fails if valgrind is not there.
pub(super) fn check_valgrind() -> anyhow::Result<()> {
    let version = Command::new("valgrind").arg("--version").output();
    version.context("starting valgrind, which counts instructions; leave out --instructions")?;
    Ok(())
}

/// Instructions of a request of a guest; `None` for a setup whose code is that of `guard`.
pub(super) fn of_guest(guest: &Guest, setup: Setup, folder: &Path) -> anyhow::Result<Option<u64>> {
    if matches!(setup, Setup::GuardDiscard | Setup::GuardUffd) {
        return Ok(None);
    }
    let file = folder.join(format!("{}.{}.faas", guest.name, setup.name()));
    std::fs::write(&file, side::compile(guest, setup)?)
        .with_context(|| format!("writing {}", file.display()))?;
    let executable = std::env::current_exe().context("the path of this executable")?;
    let count = |argument: i32| {
        let argument = argument.to_string();
        let command = [
            executable.as_os_str(),
            OsStr::new("bounds-once"),
            file.as_os_str(),
            OsStr::new(guest.entry),
            OsStr::new(&argument),
        ];
        callgrind(&command, "")
    };
    Ok(Some(count(guest.argument)?.saturating_sub(count(0)?)))
}

/// Instructions of a native build for that many repetitions.
pub(super) fn of_native(program: &Path, repetitions: u32) -> anyhow::Result<u64> {
    let count = |repetitions: u32| callgrind(&[program.as_os_str()], &format!("{repetitions}\n"));
    Ok(count(repetitions)?.saturating_sub(count(0)?))
}

/// Runs a command under callgrind, with `input`.
fn callgrind(command: &[&OsStr], input: &str) -> anyhow::Result<u64> {
    let mut child = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting valgrind")?;
    child.stdin.take().expect("piped").write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{command:?} under valgrind: {said}");
    collected(&said).with_context(|| format!("callgrind collected nothing: {said}"))
}

/// The number in callgrind's last words.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected :"))?;
    line.1.trim().parse().ok()
}

/// The hidden command: calls a function of an artifact once.
pub(crate) fn once(file: &Path, entry: &str, argument: i32) -> anyhow::Result<()> {
    let artifact = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let engine = Engine::new(Config::default())?;
    let module = Module::from_bytes(&engine, &artifact)?;
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module)?;
    let run = instance.get_typed_func::<i32, i64>(&mut store, entry)?;
    println!("{}", run.call(&mut store, argument)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_in_callgrinds_last_words() {
        let said = "==7== \n==7== Events    : Ir\n==7== Collected : 8364622\n==7== \n";
        assert_eq!(collected(said), Some(8_364_622));
        assert_eq!(collected("==7== Events    : Ir"), None);
    }
}
