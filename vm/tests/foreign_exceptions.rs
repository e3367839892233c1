//! Exceptions that an embedder makes or keeps where others would be mistaken for them.

mod common;

use common::{engine, module};
use wfaas_abi::ValType;
use wfaas_vm::{
    BoxError, Caller, Engine, Error, Exception, Extern, Instance, Linker, Pool, Store, Tag, Val,
};

/// Two tags, with values and without: their places are the same in each store.
const THROWER: &str = r#"(module
    (tag $none) (tag $many (param i64 i64 i64 i64))
    (func (export "none") (throw $none))
    (func (export "many")
        (throw $many (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)))
    (func (export "rethrow") (param exnref) (throw_ref (local.get 0))))"#;

/// Keeps an exception without values, and catches one with values that the host throws.
const CATCHER: &str = r#"(module
    (import "host" "throw" (func $throw))
    (tag $none) (tag $many (param i64 i64 i64 i64))
    (global $kept (mut exnref) (ref.null exn))
    (func (export "run") (result i64)
        (block $first (result exnref)
            (try_table (catch_all_ref $first) (throw $none))
            (unreachable))
        (global.set $kept)
        (block $second (result i64 i64 i64 i64)
            (try_table (catch $many $second) (call $throw))
            (return (i64.const -1)))
        (drop) (drop) (drop)))"#;

fn thrown(store: &mut Store<()>, instance: Instance, name: &str, args: &[Val]) -> Exception {
    let func = instance.get_func(store, name).unwrap();
    match func.call(store, args) {
        Err(Error::Exception(uncaught)) => uncaught.exception,
        other => panic!("{other:?}"),
    }
}

fn thrower(engine: &Engine) -> (Store<()>, Instance) {
    let mut store = Store::new(engine, ());
    let thrower = module(engine, THROWER);
    let instance = Linker::new(engine).instantiate(&mut store, &thrower).unwrap();
    (store, instance)
}

#[test]
fn a_host_function_cannot_throw_what_is_of_another_store() {
    let engine = engine();
    let (mut other, instance) = thrower(&engine);
    let exception = thrown(&mut other, instance, "many", &[]);
    let mut linker = Linker::new(&engine);
    linker.func_wrap("host", "throw", move |_: Caller<'_, ()>| {
        Err::<(), BoxError>(Box::new(Error::from(exception.clone())))
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, CATCHER)).unwrap();
    let run = instance.get_typed_func::<(), i64>(&mut store, "run").unwrap();
    let error = run.call(&mut store, ()).unwrap_err();
    assert!(matches!(error, Error::Host(_)), "{error:?}");
    assert!(error.to_string().contains("uncaught exception"), "{error}");
}

#[test]
fn an_argument_must_be_of_the_store() {
    let engine = engine();
    let (mut other, instance) = thrower(&engine);
    let exception = thrown(&mut other, instance, "many", &[]);
    let (mut store, instance) = thrower(&engine);
    let kept = thrown(&mut store, instance, "none", &[]);
    let rethrow = instance.get_func(&mut store, "rethrow").unwrap();
    let error = rethrow.call(&mut store, &[Val::ExnRef(Some(exception))]).unwrap_err();
    assert_eq!(error.to_string(), "an exception that the store does not have");
    let again = thrown(&mut store, instance, "rethrow", &[Val::ExnRef(Some(kept.clone()))]);
    assert_eq!(again.tag(), kept.tag());
}

#[test]
fn an_exception_ends_with_its_request() {
    let engine = engine();
    let pool = Pool::<()>::new(&Linker::new(&engine), &module(&engine, THROWER)).unwrap();
    let mut first = pool.acquire(()).unwrap();
    let instance = first.instance();
    let old = thrown(first.store(), instance, "many", &[]);
    drop(first);
    let mut second = pool.acquire(()).unwrap();
    let instance = second.instance();
    let _new = thrown(second.store(), instance, "none", &[]);
    let rethrow = instance.get_func(second.store(), "rethrow").unwrap();
    let error = rethrow.call(second.store(), &[Val::ExnRef(Some(old.clone()))]).unwrap_err();
    assert_eq!(error.to_string(), "an exception that the store does not have");
    old.values(second.store()).unwrap_err();
}

/// The stack with the only reference to an exception is not the one of the thread that throws more.
#[test]
fn a_host_function_may_make_exceptions_on_another_thread() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let tag = Tag::new(&mut store, [ValType::I64]);
    linker.define("host", "t", Extern::Tag(tag));
    linker.func_wrap("host", "make", move |mut caller: Caller<'_, ()>| {
        let mut make = || {
            for _ in 0..20_000 {
                Exception::new(&mut caller, tag, &[Val::I64(6)]).unwrap();
            }
        };
        std::thread::scope(|scope| scope.spawn(&mut make).join().unwrap());
    });
    let wat = r#"(module
        (import "host" "t" (tag $t (param i64))) (import "host" "make" (func $make))
        (func (export "run") (result i64) (local $kept exnref)
            (block $h (result i64 exnref)
                (try_table (catch_ref $t $h) (throw $t (i64.const 5)))
                (unreachable))
            (local.set $kept) (drop)
            (call $make)
            (block $h (result i64)
                (try_table (catch $t $h) (throw_ref (local.get $kept)))
                (unreachable))))"#;
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    let run = instance.get_typed_func::<(), i64>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, ()).unwrap(), 5);
}
