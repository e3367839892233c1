//! Engines for programs, by name.

use super::build::Built;
use super::{ours, wasmtime};
use anyhow::Context;
use clap::ValueEnum;
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use wfaas_compiler::Passes;

pub(super) use crate::exec::runner::{Outcome, Runner};

/// Machine code of an engine's own.
pub(super) struct Compiled<'c>(pub(super) &'c [u8]);

/// Engines that run programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// wfaas with its defaults.
    Wfaas,
    /// wasmtime with its defaults.
    Wasmtime,
    /// V8, in Node, which compiles with its optimising compiler before it starts (`--no-liftoff`).
    V8,
    /// Machine code of rustc and clang, for any x86-64. Some libraries have faster code for this
    /// machine's processor, and find out that they may use it.
    Native,
}

/// The program that runs others in V8.
const NODE_MAIN: &str = include_str!("../../programs/node.mjs");

impl Engine {
    /// As on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Engine::Wfaas => "wfaas",
            Engine::Wasmtime => "wasmtime",
            Engine::V8 => "v8",
            Engine::Native => "native",
        }
    }

    /// Compiles a program, if the engine does that; with these passes if it is wfaas.
    pub(super) fn compile(self, wasm: &Path, passes: Passes) -> anyhow::Result<Option<Vec<u8>>> {
        Ok(match self {
            Engine::Wfaas => Some(ours::compile(wasm, passes)?),
            Engine::Wasmtime => Some(wasmtime::compile(wasm)?),
            Engine::V8 | Engine::Native => None,
        })
    }

    /// Loads a program that [`Engine::compile`] has compiled.
    pub(super) fn load(self, built: &Built, code: &[u8]) -> anyhow::Result<Box<dyn Runner>> {
        match self {
            Engine::Wfaas => ours::load(Compiled(code)),
            Engine::Wasmtime => wasmtime::load(Compiled(code)),
            Engine::V8 => v8(&built.wasm),
            Engine::Native => Ok(Box::new(Process { command: vec![built.native.clone()] })),
        }
    }
}

/// A process for each run.
struct Process {
    command: Vec<PathBuf>,
}

fn v8(wasm: &Path) -> anyhow::Result<Box<dyn Runner>> {
    let main = wasm.with_extension("mjs");
    let mut file =
        std::fs::File::create(&main).with_context(|| format!("writing {}", main.display()))?;
    file.write_all(NODE_MAIN.as_bytes())?;
    let flags = ["node", "--no-warnings", "--no-liftoff"].map(PathBuf::from);
    let command = flags.into_iter().chain([main, wasm.to_owned()]).collect();
    Ok(Box::new(Process { command }))
}

impl Runner for Process {
    fn run(&mut self, calls: u32) -> anyhow::Result<Outcome> {
        let program = Path::new(&self.command[0]);
        let output = Command::new(program)
            .args(self.command[1..].iter().map(|argument| -> &OsStr { argument.as_os_str() }))
            .arg(calls.to_string())
            .output()
            .with_context(|| format!("starting {}", program.display()))?;
        parse(&String::from_utf8_lossy(&output.stdout))
    }
}

/// Reads what a program prints.
pub(super) fn parse(line: &str) -> anyhow::Result<Outcome> {
    let parsed = line.trim().split_once(' ').and_then(|(nanos, checksum)| {
        Some(Outcome { nanos: nanos.parse().ok()?, checksum: checksum.parse().ok()? })
    });
    parsed.with_context(|| format!("expected nanoseconds and a checksum, got {line:?}"))
}
