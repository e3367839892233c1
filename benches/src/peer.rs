//! wasmtime, tuned as well as it can be, and as it comes.

use std::path::Path;
use wasmtime::{
    Config, Enabled, Engine, Instance, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, Store, TypedFunc,
};

/// Pooled memories, kept resident as far as any workload needs, reset by asking the kernel which
/// pages were written to.
pub(crate) fn tuned_engine() -> anyhow::Result<Engine> {
    pooling_engine(64)
}

/// As [`tuned_engine`], with room for that many instances of one memory each.
pub(crate) fn pooling_engine(slots: u32) -> anyhow::Result<Engine> {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_core_instances(slots)
        .total_memories(slots)
        .total_tables(slots)
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

/// For a process that runs one instance once: no pool to set up, and no unwind tables to register,
/// which takes time in proportion to the code.
pub(crate) fn one_shot_engine() -> anyhow::Result<Engine> {
    let mut config = Config::new();
    config.native_unwind_info(false);
    Ok(Engine::new(&config)?)
}

/// A module that was precompiled for an engine like this one.
pub(crate) fn deserialize(engine: &Engine, path: &Path) -> anyhow::Result<Module> {
    // SAFETY: the bench has written the file itself, with the same release of wasmtime.
    Ok(unsafe { Module::deserialize_file(engine, path)? })
}

/// A compiled module with its imports resolved.
pub(crate) struct Peer {
    engine: Engine,
    pre: InstancePre<()>,
}

impl Peer {
    pub(crate) fn new(engine: Engine, wasm: &[u8]) -> anyhow::Result<Peer> {
        let module = Module::new(&engine, wasm)?;
        Peer::of_module(engine, &module)
    }

    pub(crate) fn of_module(engine: Engine, module: &Module) -> anyhow::Result<Peer> {
        let pre = Linker::new(&engine).instantiate_pre(module)?;
        Ok(Peer { engine, pre })
    }

    /// A store with an instance, after a call; alive until the store is dropped.
    pub(crate) fn live(&self, argument: i32) -> anyhow::Result<(Store<()>, i32)> {
        let mut store = Store::new(&self.engine, ());
        let instance: Instance = self.pre.instantiate(&mut store)?;
        let run: TypedFunc<i32, i32> = instance.get_typed_func(&mut store, "run")?;
        let result = run.call(&mut store, argument)?;
        Ok((store, result))
    }

    /// One request: a store, an instance, a call; dropped at the end.
    pub(crate) fn request(&self, argument: i32) -> anyhow::Result<i32> {
        Ok(self.live(argument)?.1)
    }

    /// `count` requests with different arguments.
    pub(crate) fn requests(&self, first: u64, count: u64) -> anyhow::Result<()> {
        for argument in first..first + count {
            self.request(argument as i32)?;
        }
        Ok(())
    }
}
