//! wasmtime, tuned as well as it can be, and as it comes.

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Store, TypedFunc,
};

/// Pooled memories, kept resident as far as any workload needs, reset by asking the kernel which
/// pages were written to.
pub(crate) fn tuned_engine() -> anyhow::Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(64)
        .total_memories(64)
        .total_tables(64)
        .max_memory_size(32 << 20)
        .linear_memory_keep_resident(32 << 20)
        .table_keep_resident(1 << 20)
        .pagemap_scan(Enabled::Yes);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}

/// The defaults.
pub(crate) fn default_engine() -> anyhow::Result<Engine> {
    Ok(Engine::new(&Config::new())?)
}

/// A compiled module with its imports resolved.
pub(crate) struct Peer {
    engine: Engine,
    pre: InstancePre<()>,
}

impl Peer {
    pub(crate) fn new(engine: Engine, wasm: &[u8]) -> anyhow::Result<Peer> {
        let module = Module::new(&engine, wasm)?;
        let pre = Linker::new(&engine).instantiate_pre(&module)?;
        Ok(Peer { engine, pre })
    }

    /// One request: a store, an instance, a call; dropped at the end.
    pub(crate) fn request(&self, argument: i32) -> anyhow::Result<i32> {
        let mut store = Store::new(&self.engine, ());
        let instance = self.pre.instantiate(&mut store)?;
        let run: TypedFunc<i32, i32> = instance.get_typed_func(&mut store, "run")?;
        Ok(run.call(&mut store, argument)?)
    }
}
