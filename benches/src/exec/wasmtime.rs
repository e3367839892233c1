//! wasmtime as an engine.

use super::runner::{Outcome, Runner};
use anyhow::Context;
use std::path::Path;
use std::time::Instant;
use wasmtime::{Engine, Instance, Module, Store, TypedFunc};

struct Wasmtime {
    store: Store<()>,
    run: TypedFunc<u32, u64>,
}

/// How accesses are kept inside the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bounds {
    /// By guard pages.
    Guard,
    /// By comparisons, and a mask against speculation.
    Masked,
    /// By comparisons alone.
    Unmasked,
}

impl Bounds {
    fn extension(self) -> &'static str {
        match self {
            Bounds::Guard => "guard.cwasm",
            Bounds::Masked => "masked.cwasm",
            Bounds::Unmasked => "unmasked.cwasm",
        }
    }
}

/// Compiles and instantiates a kernel. Leaves the machine code beside it, to be looked at.
pub(super) fn load(wasm: &Path, bounds: Bounds) -> anyhow::Result<impl Runner + use<>> {
    let mut config = wasmtime::Config::new();
    if bounds != Bounds::Guard {
        config.memory_reservation(0).memory_guard_size(0);
    }
    if bounds == Bounds::Unmasked {
        // SAFETY: it only leaves out a mitigation; no other code of the kernels is in the process.
        unsafe { config.cranelift_flag_set("enable_heap_access_spectre_mitigation", "false") };
    }
    let engine = Engine::new(&config)?;
    let module = Module::from_file(&engine, wasm)?;
    let file = wasm.with_extension(bounds.extension());
    std::fs::write(&file, module.serialize()?)
        .with_context(|| format!("writing {}", file.display()))?;
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
