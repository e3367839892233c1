//! Parts that the tests of this crate share: from text to a module.
#![allow(dead_code)] // each test binary uses a part

pub(crate) mod futures;
pub(crate) mod program;
pub(crate) mod stepping;
pub(crate) mod ticker;
pub(crate) mod traps;
pub(crate) mod waiting;

use wfaas_compiler::Options;
use wfaas_vm::{Config, Engine, Error, Instance, Linker, Module, Store, Trap};

/// A guest that never returns from `loop`, and writes a number of times to memory in `busy`.
pub(crate) const LOOP: &str = r#"(module (memory 1)
    (func (export "loop") (loop $l (br $l)))
    (func (export "busy") (param i32) (result i32) (local i32)
        (loop $l
            (i32.store (i32.const 0) (local.get 1))
            (local.set 1 (i32.add (local.get 1) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get 1) (local.get 0))))
        local.get 1))"#;

/// An engine with the default configuration.
pub(crate) fn engine() -> Engine {
    Engine::new(Config::default()).unwrap()
}

/// Compiles the text format.
pub(crate) fn module(engine: &Engine, wat: &str) -> Module {
    module_with(engine, wat, &Options::default())
}

/// The same with options.
pub(crate) fn module_with(engine: &Engine, wat: &str, options: &Options<'_>) -> Module {
    let compiled = wfaas_compiler::compile(wat.as_bytes(), options).unwrap();
    Module::from_bytes(engine, &compiled.artifact).unwrap()
}

/// A store with one instance without imports.
pub(crate) fn instance(wat: &str) -> (Store<()>, Instance) {
    let engine = engine();
    let module = module(&engine, wat);
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    (store, instance)
}

/// The trap that a call ended with.
pub(crate) fn trap_of(error: Error) -> Trap {
    match error {
        Error::Trap(trap) => trap,
        other => panic!("not a trap: {other}"),
    }
}
