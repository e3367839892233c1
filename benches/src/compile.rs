//! `compile`: from WebAssembly to machine code, on one thread.

use crate::exec;
use crate::report::{Row, measure_in};
use crate::timing::SINGLE;
use anyhow::Context;
use std::path::PathBuf;
use wfaas_compiler::{OptLevel, Options};

/// Measures the kernels of `exec`, all of them at once, and these files.
pub(crate) fn run(files: &[PathBuf], rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    rows.extend(measure("kernels", &exec::modules()?, rounds)?);
    for file in files {
        let wasm = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        let name = file.file_stem().unwrap_or_default().to_string_lossy();
        rows.extend(measure(&name, &[wasm], rounds)?);
    }
    Ok(rows)
}

/// Compiles modules with both sides: ours at `--opt speed`, and at `--opt fast`.
fn measure(name: &str, modules: &[Vec<u8>], rounds: usize) -> anyhow::Result<[Row; 2]> {
    let mut config = wasmtime::Config::new();
    config.parallel_compilation(false);
    let engine = wasmtime::Engine::new(&config)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    let row = |name: &str, opt| {
        let mut ours = |count| {
            for _ in 0..count {
                for module in modules {
                    let options = Options { opt, ..Options::default() };
                    pool.install(|| wfaas_compiler::compile(module, &options))?;
                }
            }
            Ok(())
        };
        let mut peer = |count| {
            for _ in 0..count {
                for module in modules {
                    engine.precompile_module(module)?;
                }
            }
            Ok(())
        };
        measure_in(SINGLE, name, rounds, &mut ours, &mut peer)
    };
    Ok([row(name, OptLevel::Speed)?, row(&format!("{name}, fast"), OptLevel::Fast)?])
}
