//! The code that all releases of wasmtime share, with the crate as a parameter.

/// A module `$name` that speaks to the release in the crate `$krate`.
macro_rules! release {
    ($name:ident, $krate:ident, $version:literal) => {
        #[allow(dead_code, reason = "not every bench measures every release")]
        pub(crate) mod $name {
            use super::{Calls, Named, Requests, TUNED, Tuning};
            use crate::executor::{block_on, yield_now};
            use std::path::Path;
            use $krate::{
                Config, Enabled, Engine, Instance, InstanceAllocationStrategy, InstancePre, Linker,
                Module, PoolingAllocationConfig, Store, TypedFunc,
            };

            /// With room for that many pooled instances of one memory each.
            pub(crate) fn pooling_engine(slots: u32) -> anyhow::Result<Engine> {
                engine(slots, TUNED)
            }

            fn engine(slots: u32, tuning: Tuning) -> anyhow::Result<Engine> {
                let mut pool = PoolingAllocationConfig::default();
                pool.total_core_instances(slots)
                    .total_memories(slots)
                    .total_tables(slots)
                    .max_memory_size(32 << 20)
                    .linear_memory_keep_resident(tuning.resident)
                    .table_keep_resident(tuning.resident.min(1 << 20))
                    .pagemap_scan(if tuning.scan { Enabled::Yes } else { Enabled::No });
                let mut config = Config::new();
                config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
                Ok(Engine::new(&config)?)
            }

            /// The defaults.
            pub(crate) fn default_engine() -> anyhow::Result<Engine> {
                Ok(Engine::new(&Config::new())?)
            }

            /// For a process that runs one instance once: no pool to set up, and no unwind tables
            /// to register, which takes time in proportion to the code.
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

            /// This release with a tuning.
            pub(super) fn requests(
                tuning: Tuning,
                wasm: &[u8],
            ) -> anyhow::Result<Named<Box<dyn Requests>>> {
                let name = format!("{}, {tuning}", $version);
                Ok(Named { name, peer: Box::new(Peer::new(engine(64, tuning)?, wasm)?) })
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
            }

            impl Requests for Peer {
                fn request(&self, argument: i32) -> anyhow::Result<i32> {
                    Ok(self.live(argument)?.1)
                }

                fn requests(&self, first: u64, count: u64) -> anyhow::Result<()> {
                    for argument in first..first + count {
                        self.request(argument as i32)?;
                    }
                    Ok(())
                }
            }

            struct Caller {
                store: Store<()>,
                instance: Instance,
            }

            /// An instance of a module that imports `host.nop` and the exports of the module `other`.
            pub(super) fn calls(
                wasm: &[u8],
                other: Option<&[u8]>,
            ) -> anyhow::Result<Named<Box<dyn Calls>>> {
                let engine = pooling_engine(64)?;
                let module = Module::new(&engine, wasm)?;
                let mut linker = Linker::new(&engine);
                linker.func_wrap("host", "nop", |value: i32| value - 1)?;
                let mut store = Store::new(&engine, ());
                if let Some(other) = other {
                    let other = linker.instantiate(&mut store, &Module::new(&engine, other)?)?;
                    linker.instance(&mut store, "other", other)?;
                }
                let instance = linker.instantiate(&mut store, &module)?;
                Ok(Named { name: $version.into(), peer: Box::new(Caller { store, instance }) })
            }

            /// An instance of a module that imports `host.ready` and `host.pending`.
            pub(super) fn async_calls(wasm: &[u8]) -> anyhow::Result<Named<Box<dyn Calls>>> {
                let engine = pooling_engine(64)?;
                let module = Module::new(&engine, wasm)?;
                let mut linker = Linker::<()>::new(&engine);
                linker.func_wrap_async("host", "ready", |_, (value,): (i32,)| {
                    Box::new(async move { value - 1 })
                })?;
                linker.func_wrap_async("host", "pending", |_, (value,): (i32,)| {
                    Box::new(async move {
                        yield_now().await;
                        value - 1
                    })
                })?;
                let mut store = Store::new(&engine, ());
                let instance = block_on(linker.instantiate_async(&mut store, &module))?;
                Ok(Named { name: $version.into(), peer: Box::new(AsyncCaller { store, instance }) })
            }

            struct AsyncCaller {
                store: Store<()>,
                instance: Instance,
            }

            impl Calls for AsyncCaller {
                fn empty(&mut self, count: u64) -> anyhow::Result<()> {
                    let empty = self.instance.get_typed_func::<(), ()>(&mut self.store, "empty")?;
                    for _ in 0..count {
                        block_on(empty.call_async(&mut self.store, ()))?;
                    }
                    Ok(())
                }

                fn repeat(&mut self, export: &str, count: u64) -> anyhow::Result<()> {
                    let repeat =
                        self.instance.get_typed_func::<i32, ()>(&mut self.store, export)?;
                    Ok(block_on(repeat.call_async(&mut self.store, count as i32))?)
                }

                fn trap(&mut self, depth: i32, count: u64) -> anyhow::Result<()> {
                    let trap = self.instance.get_typed_func::<i32, ()>(&mut self.store, "trap")?;
                    for _ in 0..count {
                        let trapped = block_on(trap.call_async(&mut self.store, depth)).is_err();
                        anyhow::ensure!(trapped, "did not trap");
                    }
                    Ok(())
                }
            }

            impl Calls for Caller {
                fn empty(&mut self, count: u64) -> anyhow::Result<()> {
                    let empty = self.instance.get_typed_func::<(), ()>(&mut self.store, "empty")?;
                    for _ in 0..count {
                        empty.call(&mut self.store, ())?;
                    }
                    Ok(())
                }

                fn repeat(&mut self, export: &str, count: u64) -> anyhow::Result<()> {
                    let repeat =
                        self.instance.get_typed_func::<i32, ()>(&mut self.store, export)?;
                    Ok(repeat.call(&mut self.store, count as i32)?)
                }

                fn trap(&mut self, depth: i32, count: u64) -> anyhow::Result<()> {
                    let trap = self.instance.get_typed_func::<i32, ()>(&mut self.store, "trap")?;
                    for _ in 0..count {
                        anyhow::ensure!(trap.call(&mut self.store, depth).is_err(), "did not trap");
                    }
                    Ok(())
                }
            }
        }
    };
}
