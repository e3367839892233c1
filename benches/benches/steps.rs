//! The single steps of a function's life, each by itself.
//!
//! `cargo bench -p wfaas-benches`
#![allow(missing_docs)] // criterion's macros make public items

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use wfaas_abi::artifact::replace_image;
use wfaas_vm::{Config, Engine, Linker, Module, Pool, Store};

const GUEST: &str = r#"(module
    (memory (export "memory") 2) (data (i32.const 100) "initialised")
    (func (export "run") (param i32) (result i32)
        (i32.store (i32.const 70000) (local.get 0)) (i32.load (i32.const 70000))))"#;

fn steps(criterion: &mut Criterion) {
    let engine = Engine::new(Config::default()).expect("an engine");
    let compiled =
        wfaas_compiler::compile(GUEST.as_bytes(), &Default::default()).expect("compiles");
    let module = Module::from_bytes(&engine, &compiled.artifact).expect("loads");
    let linker = Linker::<()>::new(&engine);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).expect("instantiates");
    let capture = instance.capture(&mut store).expect("captures");
    let artifact = replace_image(&module.artifact(), &capture.image, &capture.memory_pages)
        .expect("takes the image");
    let module = Module::from_bytes(&engine, &artifact).expect("loads");
    let pool = Pool::new(&linker, &module).expect("a pool");
    let run = pool.typed_func::<i32, i32>("run").expect("run");

    criterion.bench_function("compile", |bench| {
        bench.iter(|| wfaas_compiler::compile(black_box(GUEST.as_bytes()), &Default::default()))
    });
    criterion.bench_function("load", |bench| {
        bench.iter(|| Module::from_bytes(&engine, black_box(&artifact)))
    });
    criterion.bench_function("instantiate", |bench| {
        bench.iter(|| linker.instantiate(&mut Store::new(&engine, ()), &module))
    });
    criterion.bench_function("acquire and release", |bench| bench.iter(|| pool.acquire(())));
    criterion.bench_function("request", |bench| {
        bench.iter(|| pool.acquire(()).and_then(|mut faaslet| faaslet.call(&run, black_box(7))))
    });
}

criterion_group!(benches, steps);
criterion_main!(benches);
