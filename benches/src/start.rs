//! `start`: what a request costs besides its own work.

use crate::peer::{Peer, default_engine, tuned_engine};
use crate::report::{Row, measure};
use crate::workload::{self, Workload};
use wfaas_abi::artifact::replace_image;
use wfaas_vm::{Config, Engine, Linker, Module, Pool, PoolFunc, Store};

/// Measures all workloads whose name contains `filter`.
pub(crate) fn run(filter: &str, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for workload in workload::all() {
        if workload.name.contains(filter) {
            rows.push(one(&workload, rounds)?);
        }
    }
    Ok(rows)
}

fn one(workload: &Workload, rounds: usize) -> anyhow::Result<Row> {
    let wasm = wat::parse_str(&workload.wat)?;
    let pool = pool(&wasm)?;
    let run = pool.typed_func("run")?;
    let tuned = Peer::new(tuned_engine()?, &wasm)?;
    let plain = Peer::new(default_engine()?, &wasm)?;
    anyhow::ensure!(request(&pool, run, 5)? == tuned.request(5)?, "{} differs", workload.name);
    let mut seed = 0;
    let mut ours = |count| {
        for _ in 0..count {
            seed += 1;
            request(&pool, run, seed)?;
        }
        Ok(())
    };
    let repeat = |peer: &Peer, count: u64| -> anyhow::Result<()> {
        for argument in 0..count {
            peer.request(argument as i32)?;
        }
        Ok(())
    };
    let mut peer = |count| repeat(&tuned, count);
    let mut peer_default = |count| repeat(&plain, count);
    measure(workload.name, rounds, &mut ours, &mut peer, Some(&mut peer_default))
}

/// A pool of initialised instances.
fn pool(wasm: &[u8]) -> anyhow::Result<Pool<()>> {
    let engine = Engine::new(Config::default())?;
    let compiled = wfaas_compiler::compile(wasm, &Default::default())?;
    let module = Module::from_bytes(&engine, &compiled.artifact)?;
    let linker = Linker::<()>::new(&engine);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    let capture = instance.capture(&mut store)?;
    let artifact = replace_image(&module.artifact(), &capture.image, &capture.memory_pages)?;
    Ok(Pool::new(&linker, &Module::from_bytes(&engine, &artifact)?)?)
}

/// One request: a pristine faaslet, a call; reset at the end.
fn request(pool: &Pool<()>, run: PoolFunc<i32, i32>, argument: i32) -> anyhow::Result<i32> {
    Ok(pool.acquire(())?.call(&run, argument)?)
}
