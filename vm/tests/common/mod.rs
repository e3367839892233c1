//! Parts that the tests of this crate share: from text to a module.
#![allow(dead_code)] // each test binary uses a part

use wfaas_compiler::Options;
use wfaas_vm::{Config, Engine, Instance, Linker, Module, Store};

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
