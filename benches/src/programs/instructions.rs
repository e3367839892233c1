//! Instructions of one call of a program, counted by callgrind: where others use the machine, they
//! say more than times do.
//!
//! A child runs the program with three calls, and again with two; the difference is one call.

use super::build::Built;
use super::engine::{Compiled, Engine};
use super::{ours, wasmtime};
use crate::bounds::callgrind;
use anyhow::Context;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use wfaas_compiler::Passes;

/// Instructions of one call on an engine; `None` for V8.
pub(super) fn of(engine: Engine, built: &Built, passes: Passes) -> anyhow::Result<Option<u64>> {
    let executable = std::env::current_exe().context("the path of this executable")?;
    let (program, file): (PathBuf, Option<PathBuf>) = match engine {
        Engine::V8 => return Ok(None),
        Engine::Native => (built.native.clone(), None),
        Engine::Wfaas => {
            ours::compile(&built.wasm, passes)?;
            (executable, Some(built.wasm.with_extension("faas")))
        }
        Engine::Wasmtime => {
            wasmtime::compile(&built.wasm, true)?;
            (executable, Some(built.wasm.with_extension("cwasm")))
        }
    };
    let count = |calls: &str| {
        let mut command = vec![program.as_os_str()];
        if let Some(file) = &file {
            command.extend([
                OsStr::new("program-once"),
                OsStr::new(engine.name()),
                file.as_os_str(),
            ]);
        }
        command.push(OsStr::new(calls));
        callgrind(&command, "")
    };
    Ok(Some(count("3")?.saturating_sub(count("2")?)))
}

/// The hidden command: runs compiled code once.
pub(crate) fn once(engine: Engine, file: &Path, calls: u32) -> anyhow::Result<()> {
    let code = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let mut runner = match engine {
        Engine::Wfaas => ours::load(Compiled(&code))?,
        Engine::Wasmtime => wasmtime::load(Compiled(&code), true)?,
        Engine::V8 | Engine::Native => anyhow::bail!("these are processes of their own"),
    };
    println!("{:x}", runner.run(calls)?.checksum);
    Ok(())
}
