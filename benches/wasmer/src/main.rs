//! Runs a kernel in wasmer, like `../kernels/native.c` by itself: reads how often, prints
//! nanoseconds and checksum.

use std::error::Error;
use std::time::Instant;
use wasmer::sys::{Cranelift, CraneliftOptLevel, EngineBuilder};
use wasmer::{Instance, Module, Store, TypedFunction, imports};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: wasmer-kernel FILE.wasm")?;
    let mut compiler = Cranelift::default();
    compiler.opt_level(CraneliftOptLevel::Speed);
    let mut store = Store::new(EngineBuilder::new(compiler));
    let module = Module::new(&store, std::fs::read(path)?)?;
    let instance = Instance::new(&mut store, &module, &imports! {})?;
    let run: TypedFunction<u32, u64> = instance.exports.get_typed_function(&store, "run")?;
    for line in std::io::stdin().lines() {
        let repetitions = line?.trim().parse()?;
        let start = Instant::now();
        let sum = run.call(&mut store, repetitions)?;
        println!("{} {sum}", start.elapsed().as_nanos());
    }
    Ok(())
}
