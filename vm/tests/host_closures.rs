//! Host functions that are made during a request: their closures are dropped when the faaslet is
//! released, do not add up, and are not reached by the next request.

mod common;
use common::{engine, module};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wfaas_abi::{FuncType, ValType};
use wfaas_vm::{Caller, Engine, Extern, Faaslet, Func, Linker, Module, Pool, Val};

/// Imports one function twice, and calls both.
const TWICE: &str = r#"(module
    (import "host" "f" (func $first (result i32)))
    (import "host" "f" (func $second (result i32)))
    (table (export "table") 2 funcref)
    (func (export "run") (result i32) (i32.add (call $first) (call $second)))
    (func (export "indirect") (result i32) (call_indirect (result i32) (i32.const 1))))"#;

/// The same without imports.
const NONE: &str = r#"(module (table (export "table") 2 funcref)
    (func (export "indirect") (result i32) (call_indirect (result i32) (i32.const 1))))"#;

fn pool(engine: &Engine, text: &str) -> Pool<()> {
    let mut linker = Linker::<()>::new(engine);
    linker.func_wrap("host", "f", |_: Caller<'_, ()>| 21);
    Pool::new(&linker, &module(engine, text)).unwrap()
}

/// A host function that returns how many there are of the object it holds.
fn holding(faaslet: &mut Faaslet<'_, ()>, object: &Arc<AtomicU32>) -> Func {
    let object = object.clone();
    let ty = FuncType::new([], [ValType::I32]);
    Func::new(faaslet.store(), ty, move |_, _, results| {
        object.fetch_add(1, Relaxed);
        results[0] = Val::I32(7);
        Ok(())
    })
}

/// What a request does with a closure of its own: the guest calls it through its table.
fn request(faaslet: &mut Faaslet<'_, ()>, object: &Arc<AtomicU32>) {
    let func = holding(faaslet, object);
    let instance = faaslet.instance();
    let table = instance.get_table(faaslet.store(), "table").unwrap();
    table.set(faaslet.store(), 1, Val::FuncRef(Some(func))).unwrap();
    let indirect = instance.get_func(faaslet.store(), "indirect").unwrap();
    assert!(matches!(indirect.call(faaslet.store(), &[]).unwrap()[..], [Val::I32(7)]));
}

#[test]
fn a_closure_is_dropped_with_its_request_though_the_module_imports_one_function_twice() {
    let engine = engine();
    let pool = pool(&engine, TWICE);
    let object = Arc::new(AtomicU32::new(0));
    let mut faaslet = pool.acquire(()).unwrap();
    request(&mut faaslet, &object);
    drop(faaslet);
    assert_eq!(object.load(Relaxed), 1, "it was called");
    assert_eq!(Arc::strong_count(&object), 1, "the closure lives on after its request");
}

#[test]
fn closures_of_many_requests_do_not_add_up_and_cost_no_slot() {
    for text in [TWICE, NONE] {
        let engine = engine();
        let pool = pool(&engine, text);
        let object = Arc::new(AtomicU32::new(0));
        let run = (text == TWICE).then(|| pool.typed_func::<(), i32>("run").unwrap());
        let is_empty = |faaslet: &mut Faaslet<'_, ()>| {
            let instance = faaslet.instance();
            let table = instance.get_table(faaslet.store(), "table").unwrap();
            table.get(faaslet.store(), 1).unwrap().unwrap().is_null()
        };
        for round in 0..10 {
            let mut faaslet = pool.acquire(()).unwrap();
            assert!(is_empty(&mut faaslet), "round {round}");
            request(&mut faaslet, &object);
            request(&mut faaslet, &object);
            if let Some(run) = &run {
                assert_eq!(faaslet.call(run, ()).unwrap(), 42);
            }
            drop(faaslet);
            assert_eq!(Arc::strong_count(&object), 1, "round {round}");
        }
        assert_eq!(object.load(Relaxed), 20);
        engine.give_back_idle();
        assert_eq!(engine.give_back_idle(), 1, "the store was kept");
    }
}

/// A handle that the embedder kept names nothing in the next request, which may have a function of
/// another type in the same place.
#[test]
#[should_panic(expected = "a handle was used with a store it does not belong to")]
fn a_handle_to_a_function_of_a_request_is_none_of_the_next() {
    let engine = engine();
    let pool = pool(&engine, TWICE);
    let object = Arc::new(AtomicU32::new(0));
    let kept = holding(&mut pool.acquire(()).unwrap(), &object);
    let mut faaslet = pool.acquire(()).unwrap();
    let ty = FuncType::new([ValType::V128; 12], []);
    Func::new(faaslet.store(), ty, |_, _, _| Ok(()));
    let _ = kept.call(faaslet.store(), &[]);
}

/// Functions of the linker are the pool's, and stay.
#[test]
fn functions_of_the_linker_stay() {
    let engine = engine();
    let object = Arc::new(AtomicU32::new(0));
    let mut linker = Linker::<()>::new(&engine);
    let held = object.clone();
    linker.func_wrap("host", "f", move |_: Caller<'_, ()>| held.fetch_add(1, Relaxed) as i32);
    let pool = Pool::new(&linker, &module(&engine, TWICE)).unwrap();
    let run = pool.typed_func::<(), i32>("run").unwrap();
    for round in 0..3 {
        let mut faaslet = pool.acquire(()).unwrap();
        assert_eq!(faaslet.call(&run, ()).unwrap(), 4 * round + 1);
    }
}

/// A module that is linked in for one request brings its functions along; all of them go.
#[test]
fn a_closure_that_a_second_instance_imports_is_dropped() {
    let engine = engine();
    let pool = pool(&engine, NONE);
    let object = Arc::new(AtomicU32::new(0));
    let other: Module = module(&engine, TWICE);
    let mut faaslet = pool.acquire(()).unwrap();
    let func = holding(&mut faaslet, &object);
    let mut linker = Linker::<()>::new(&engine);
    linker.define("host", "f", Extern::Func(func));
    let instance = linker.instantiate(faaslet.store(), &other).unwrap();
    let run = instance.get_func(faaslet.store(), "run").unwrap();
    assert!(matches!(run.call(faaslet.store(), &[]).unwrap()[..], [Val::I32(14)]));
    drop(faaslet);
    assert_eq!(Arc::strong_count(&object), 1);
}
