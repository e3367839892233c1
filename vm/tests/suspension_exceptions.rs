//! Exceptions of host functions that wait, and of guests that are suspended.

mod common;
use common::futures::{block_on, yield_now};
use common::{engine, module};
use wfaas_vm::{BoxError, Caller, Error, Exception, Instance, Linker, Store, TypedFunc, Val};

fn func((store, instance): &mut (Store<()>, Instance), name: &str) -> TypedFunc<i32, i32> {
    instance.get_typed_func(store, name).unwrap()
}

fn export(caller: &mut Caller<'_, ()>, name: &str) -> Result<TypedFunc<i32, i32>, Error> {
    let func = caller.get_export(name).and_then(|export| export.into_func());
    func.expect("an exported function").typed(caller)
}

/// Exceptions that an async host function throws, and that suspended guests hold.
const EXCEPTIONS: &str = r#"(module
    (import "host" "throw" (func $throw (param i32)))
    (tag $e (export "e") (param i32))
    (func $outer (param i32) (call $throw (local.get 0)))
    (func (export "catch") (param i32) (result i32)
        (block $caught (result i32)
            (try_table (catch $e $caught) (call $outer (local.get 0)))
            (i32.const -1)))
    (func (export "uncaught") (param i32) (result i32) (call $outer (local.get 0)) (i32.const 0))
    ;; Throws and catches 7, holds the exception while the host function waits and others are thrown,
    ;; then throws it again.
    (func (export "hold") (param i32) (result i32) (local $held exnref)
        (block $first (result i32 exnref)
            (try_table (catch_ref $e $first) (throw $e (i32.const 7)))
            unreachable)
        local.set $held
        drop
        (block $again (result i32)
            (try_table (catch $e $again)
                (call $throw (local.get 0))
                (throw_ref (local.get $held)))
            (i32.const -1)))
    (func (export "many") (param $n i32) (result i32)
        (loop $l
            (block $c (result i32)
                (try_table (catch $e $c) (throw $e (local.get $n)))
                unreachable)
            drop
            (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        local.get $n))"#;

fn exceptions() -> (Store<()>, Instance) {
    let engine = engine();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap_async("host", "throw", |mut caller: Caller<'_, ()>, n: i32| {
        Box::new(async move {
            if n & 1 == 1 {
                yield_now().await;
            }
            if n >= 100 {
                // Enough that the store forgets those that nothing refers to.
                let many = export(&mut caller, "many")?;
                let left = if n & 2 == 2 {
                    many.call_async(&mut caller, 50_000).await?
                } else {
                    many.call(&mut caller, 50_000)?
                };
                assert_eq!(left, 0);
                yield_now().await;
                return Ok(());
            }
            let tag = caller.get_export("e").and_then(|export| export.into_tag());
            let value = [Val::I32(n)];
            let exception = Exception::new(&mut caller, tag.expect("a tag"), &value)?;
            Err::<(), BoxError>(Error::from(exception).into())
        })
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, EXCEPTIONS)).unwrap();
    (store, instance)
}

#[test]
fn an_exception_of_a_waiting_host_function_is_caught_in_the_guest() {
    let mut guest = exceptions();
    let (catch, uncaught) = (func(&mut guest, "catch"), func(&mut guest, "uncaught"));
    for n in 0..20 {
        assert_eq!(block_on(catch.call_async(&mut guest.0, n)).unwrap(), n);
        match block_on(uncaught.call_async(&mut guest.0, n)) {
            Err(Error::Exception(uncaught)) => {
                let names = uncaught.frames().into_iter().map(|frame| frame.func_name.unwrap());
                assert_eq!(names.collect::<Vec<_>>(), ["outer", "uncaught"]);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_suspended_guest_holds_its_exceptions() {
    let mut guest = exceptions();
    let hold = func(&mut guest, "hold");
    for n in 100..104 {
        assert_eq!(block_on(hold.call_async(&mut guest.0, n)).unwrap(), 7, "{n}");
    }
}

/// The exception goes through the bridge between two instances, which restores BASE.
#[test]
fn an_exception_of_a_waiting_host_function_crosses_instances() {
    let mut guest = exceptions();
    let engine = engine();
    let mut linker = Linker::<()>::new(&engine);
    linker.instance(&mut guest.0, "inner", guest.1);
    let wat = r#"(module
        (import "inner" "uncaught" (func $uncaught (param i32) (result i32)))
        (import "inner" "e" (tag $e (param i32)))
        (global $g (mut i32) (i32.const 1000))
        (func (export "catch") (param i32) (result i32)
            (i32.add (global.get $g)
                (block $caught (result i32)
                    (try_table (catch $e $caught) (drop (call $uncaught (local.get 0))))
                    (i32.const -1)))))"#;
    let outer = linker.instantiate(&mut guest.0, &module(&engine, wat)).unwrap();
    let catch = outer.get_typed_func::<i32, i32>(&mut guest.0, "catch").unwrap();
    for n in 0..20 {
        assert_eq!(block_on(catch.call_async(&mut guest.0, n)).unwrap(), 1000 + n);
    }
}
