//! wfaas as an engine.

use super::runner::{Outcome, Runner};
use anyhow::Context;
use std::path::Path;
use std::time::Instant;
use wfaas_compiler::Options;
use wfaas_vm::{Config, Engine, Linker, Module, Store, TypedFunc};

struct Ours {
    store: Store<()>,
    run: TypedFunc<i32, i64>,
}

/// Compiles and instantiates a kernel. Leaves the artifact beside it, to be looked at.
pub(super) fn load(path: &Path, options: &Options<'_>) -> anyhow::Result<impl Runner + use<>> {
    let wasm = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let engine = Engine::new(Config::default())?;
    let compiled = wfaas_compiler::compile(&wasm, options)?;
    let file = path.with_extension(format!("{}.faas", options.bounds.name()));
    std::fs::write(&file, &compiled.artifact)
        .with_context(|| format!("writing {}", file.display()))?;
    let module = Module::from_bytes(&engine, &compiled.artifact)?;
    let mut store = Store::new(&engine, ());
    let instance = Linker::<()>::new(&engine).instantiate(&mut store, &module)?;
    let run = instance.get_typed_func(&mut store, "run")?;
    Ok(Ours { store, run })
}

impl Runner for Ours {
    fn run(&mut self, repetitions: u32) -> anyhow::Result<Outcome> {
        let start = Instant::now();
        let checksum = self.run.call(&mut self.store, repetitions.cast_signed())?;
        let nanos = start.elapsed().as_nanos() as f64;
        Ok(Outcome { nanos, checksum: checksum.cast_unsigned() })
    }
}
