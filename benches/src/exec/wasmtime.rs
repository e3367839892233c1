//! wasmtime as an engine.

use super::runner::{Outcome, Runner};
use std::path::Path;
use std::time::Instant;
use wasmtime::{Engine, Instance, Module, Store, TypedFunc};

struct Wasmtime {
    store: Store<()>,
    run: TypedFunc<u32, u64>,
}

/// Compiles and instantiates a kernel.
pub(super) fn load(wasm: &Path) -> anyhow::Result<impl Runner + use<>> {
    let engine = Engine::new(&wasmtime::Config::new())?;
    let module = Module::from_file(&engine, wasm)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[])?;
    let run = instance.get_typed_func(&mut store, "run")?;
    Ok(Wasmtime { store, run })
}

impl Runner for Wasmtime {
    fn run(&mut self, repetitions: u32) -> anyhow::Result<Outcome> {
        let start = Instant::now();
        let checksum = self.run.call(&mut self.store, repetitions)?;
        Ok(Outcome { nanos: start.elapsed().as_nanos() as f64, checksum })
    }
}
