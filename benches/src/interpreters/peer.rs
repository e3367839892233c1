//! The peer: wasmtime, with a precompiled module and a pool that keeps and scans pages.

use super::wasi::{self, Exit, Guest};
use std::path::Path;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Module,
    PoolingAllocationConfig, Store,
};

/// Bytes of a memory that a pool keeps and restores: more than the interpreter writes to.
const RESIDENT: usize = 32 << 20;

/// Bytes of a memory.
const MEMORY: usize = 128 << 20;

/// An interpreter with its imports resolved.
pub(super) struct Peer {
    engine: Engine,
    pre: InstancePre<Guest>,
}

impl Peer {
    /// For many instances, one after another: of [`Peer::precompile_for_pool`].
    pub(super) fn pooled(file: &Path) -> anyhow::Result<Peer> {
        let engine = pooling_engine()?;
        let module = crate::peer::deserialize(&engine, file)?;
        Peer::of_module(engine, &module)
    }

    /// The bytes for [`Peer::pooled`].
    pub(super) fn precompile_for_pool(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
        Ok(pooling_engine()?.precompile_module(wasm)?)
    }

    /// The bytes for [`Peer::of_file`].
    pub(super) fn precompile(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
        Ok(crate::peer::one_shot_engine()?.precompile_module(wasm)?)
    }

    /// For one instance in a process.
    pub(super) fn of_file(file: &Path) -> anyhow::Result<Peer> {
        let engine = crate::peer::one_shot_engine()?;
        let module = crate::peer::deserialize(&engine, file)?;
        Peer::of_module(engine, &module)
    }

    fn of_module(engine: Engine, module: &Module) -> anyhow::Result<Peer> {
        let pre = wasi::linker(&engine, module)?.instantiate_pre(module)?;
        Ok(Peer { engine, pre })
    }

    /// Runs the interpreter from its start, with this standard input; its standard output.
    pub(super) fn run(&self, input: &[u8]) -> anyhow::Result<Vec<u8>> {
        let mut store = Store::new(&self.engine, Guest::new(input, super::arguments()));
        let instance = self.pre.instantiate(&mut store)?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        match start.call(&mut store, ()) {
            Ok(()) => {}
            Err(error) if error.is::<Exit>() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(store.into_data().stdout)
    }
}

fn pooling_engine() -> anyhow::Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(4)
        .total_memories(4)
        .total_tables(4)
        .table_elements(100_000)
        .max_memory_size(MEMORY)
        .linear_memory_keep_resident(RESIDENT)
        .table_keep_resident(1 << 20)
        .pagemap_scan(Enabled::Auto);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}
