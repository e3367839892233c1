//! wfaas as an engine for programs.

use super::engine::{Compiled, Outcome, Runner, parse};
use anyhow::Context;
use std::path::Path;
use wfaas_compiler::{Options, Passes};
use wfaas_vm::{Config, Engine, Linker, Module, Store};
use wfaas_wasi::{Output, Wasi};

/// More than a program prints.
const OUTPUT_BYTES: u64 = 4096;

struct Ours {
    engine: Engine,
    linker: Linker<Wasi>,
    module: Module,
}

/// Compiles a program with these passes; leaves the artifact beside `wasm`.
pub(super) fn compile(wasm: &Path, passes: Passes) -> anyhow::Result<Vec<u8>> {
    let bytes = std::fs::read(wasm).with_context(|| format!("reading {}", wasm.display()))?;
    let options = Options { passes, ..Options::default() };
    let artifact = wfaas_compiler::compile(&bytes, &options)?.artifact;
    let file = wasm.with_extension("faas");
    std::fs::write(&file, &artifact).with_context(|| format!("writing {}", file.display()))?;
    Ok(artifact)
}

/// Loads a program.
pub(super) fn load(artifact: Compiled<'_>) -> anyhow::Result<Box<dyn Runner>> {
    let engine = Engine::new(Config::default())?;
    let module = Module::from_bytes(&engine, artifact.0)?;
    let mut linker = Linker::new(&engine);
    wfaas_wasi::add_to_linker(&mut linker);
    Ok(Box::new(Ours { engine, linker, module }))
}

impl Runner for Ours {
    fn run(&mut self, calls: u32) -> anyhow::Result<Outcome> {
        let wasi = Wasi::builder().args(["program".to_owned(), calls.to_string()]);
        let wasi = wasi.stdout(Output::capture(OUTPUT_BYTES)).build()?;
        let mut store = Store::new(&self.engine, wasi);
        let instance = self.linker.instantiate(&mut store, &self.module)?;
        instance.get_typed_func::<(), ()>(&mut store, "_start")?.call(&mut store, ())?;
        parse(&String::from_utf8_lossy(&store.data_mut().take_captured()))
    }
}
