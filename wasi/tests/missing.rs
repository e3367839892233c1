//! Functions of WASI that do nothing here: guests are told so each time, and the host once.

use std::cell::RefCell;
use std::sync::Arc;
use wfaas_vm::{Caller, Config, Engine, FuncType, Linker, Module, Store, ValType};
use wfaas_wasi::preview1::{FUNCTIONS, MODULE, Support, support};
use wfaas_wasi::{Environment, HasWasi, Input, Output, Wasi, add_to_linker};

/// Data that take note of functions.
struct Data {
    wasi: Wasi,
    missing: RefCell<Vec<&'static str>>,
}

impl HasWasi for Data {
    fn wasi(&mut self) -> &mut Wasi {
        &mut self.wasi
    }

    fn missing(&self, function: &'static str) {
        self.missing.borrow_mut().push(function);
    }
}

/// Calls a function that answers `ENOSYS`, 52, twice. `sched_yield` works.
const CALLS: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_raise" (func $raise (param i32) (result i32)))
    (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
    (memory (export "memory") 1)
    (func (export "run") (result i32)
        (i32.add (call $raise (i32.const 0))
            (i32.add (call $raise (i32.const 0)) (call $yield)))))"#;

/// The functions that one more guest in this environment is the first to miss.
fn missed(environment: &Arc<Environment>) -> Vec<&'static str> {
    let compiled = wfaas_compiler::compile(CALLS.as_bytes(), &Default::default()).unwrap();
    let engine = Engine::new(Config::default()).unwrap();
    let module = Module::from_bytes(&engine, &compiled.artifact).unwrap();
    let mut linker = Linker::new(&engine);
    add_to_linker(&mut linker);
    let output = || Output::capture(0);
    let wasi = Wasi::new(environment.clone(), Input::default(), output(), output());
    let mut store = Store::new(&engine, Data { wasi, missing: RefCell::default() });
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, ()).unwrap(), 2 * 52);
    store.data_mut().missing.take()
}

#[test]
fn a_missing_function_is_told_of_once_in_an_environment() {
    let environment = || Arc::new(Environment::new(vec!["test".into()], []).unwrap());
    let (one, other) = (environment(), environment());
    assert_eq!(missed(&one), ["proc_raise"]);
    assert_eq!(missed(&one), [""; 0]);
    assert_eq!(missed(&other), ["proc_raise"]);
}

#[test]
fn support_is_what_the_linker_has() {
    let engine = Engine::new(Config::default()).unwrap();
    let mut linker = Linker::<Wasi>::new(&engine);
    add_to_linker(&mut linker);
    for function in FUNCTIONS {
        let ty = FuncType::new(function.params.iter().copied(), [ValType::I32]);
        let expected = if function.implemented { Support::Works } else { Support::Enosys };
        assert_eq!(support(MODULE, function.name, &ty), expected, "{}", function.name);
        assert!(linker.has(MODULE, function.name));
        let no_result = FuncType::new(function.params.iter().copied(), []);
        assert_eq!(support(MODULE, function.name, &no_result), Support::Missing);
        assert_eq!(support("env", function.name, &ty), Support::Missing);
    }
    let exit = FuncType::new([ValType::I32], []);
    assert_eq!(support(MODULE, "proc_exit", &exit), Support::Works);
    assert_eq!(support(MODULE, "sock_open", &exit), Support::Missing);
    assert!(!linker.has(MODULE, "sock_open"));
    linker.func_wrap("env", "host", |_: Caller<'_, Wasi>| ());
    assert_eq!(support("env", "host", &FuncType::new([], [])), Support::Missing, "only WASI is");
}
