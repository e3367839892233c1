//! Exceptions: who catches them, with what, and what is left of them.

use std::time::{Duration, Instant};
use wfaas_abi::{FuncType, TrapCode, ValType};
use wfaas_vm::{
    BoxError, Caller, Config, Engine, Error, Exception, Extern, Instance, Linker, Module, Pool,
    Store, Tag, Val,
};

fn engine() -> Engine {
    Engine::new(Config::default()).unwrap()
}

fn module(engine: &Engine, wat: &str) -> Module {
    let compiled = wfaas_compiler::compile(wat.as_bytes(), &Default::default()).unwrap();
    Module::from_bytes(engine, &compiled.artifact).unwrap()
}

fn instance(wat: &str) -> (Store<()>, Instance) {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let module = module(&engine, wat);
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn call(store: &mut Store<()>, instance: Instance, name: &str, arg: i32) -> Result<i32, Error> {
    let func = instance.get_typed_func::<i32, i32>(store, name).unwrap();
    func.call(store, arg)
}

/// Throws from some frames down; the caller has more live values than there are registers.
const DEEP: &str = r#"(module
    (tag $t (param i64 f64))
    (global $caught (mut i64) (i64.const 0))
    (func $down (param i32)
        (if (i32.eqz (local.get 0)) (then (throw $t (i64.const 7) (f64.const 0.5))))
        (call $down (i32.sub (local.get 0) (i32.const 1))))
    (func (export "run") (param $n i32) (result i32)
        (local $a i32) (local $b i32) (local $c i32) (local $d i32) (local $e i32) (local $f i32)
        (local $g i32) (local $h i32) (local $i i32) (local $j i32) (local $x f64)
        (local.set $a (i32.mul (local.get $n) (i32.const 1)))
        (local.set $b (i32.mul (local.get $n) (i32.const 2)))
        (local.set $c (i32.mul (local.get $n) (i32.const 3)))
        (local.set $d (i32.mul (local.get $n) (i32.const 4)))
        (local.set $e (i32.mul (local.get $n) (i32.const 5)))
        (local.set $f (i32.mul (local.get $n) (i32.const 6)))
        (local.set $g (i32.mul (local.get $n) (i32.const 7)))
        (local.set $h (i32.mul (local.get $n) (i32.const 8)))
        (local.set $i (i32.mul (local.get $n) (i32.const 9)))
        (local.set $j (i32.mul (local.get $n) (i32.const 10)))
        (block $handler (result i64 f64)
            (try_table (catch $t $handler) (call $down (local.get $n)))
            (unreachable))
        (local.set $x)
        (global.set $caught)
        (if (i64.ne (global.get $caught) (i64.const 7)) (then (unreachable)))
        (if (f64.ne (local.get $x) (f64.const 0.5)) (then (unreachable)))
        (i32.add (local.get $a) (i32.add (local.get $b) (i32.add (local.get $c)
        (i32.add (local.get $d) (i32.add (local.get $e) (i32.add (local.get $f)
        (i32.add (local.get $g) (i32.add (local.get $h) (i32.add (local.get $i)
        (local.get $j))))))))))))"#;

#[test]
fn values_and_locals_survive() {
    let (mut store, instance) = instance(DEEP);
    for depth in [0, 1, 100] {
        assert_eq!(call(&mut store, instance, "run", depth).unwrap(), 55 * depth);
    }
}

#[test]
fn clauses_are_tried_in_order_and_outwards() {
    let (mut store, instance) = instance(
        r#"(module
        (tag $a) (tag $b (param i32)) (tag $c)
        (func $throw (param i32)
            (if (i32.eq (local.get 0) (i32.const 0)) (then (throw $a)))
            (if (i32.eq (local.get 0) (i32.const 1)) (then (throw $b (i32.const 42))))
            (if (i32.eq (local.get 0) (i32.const 2)) (then (throw $c))))
        (func (export "run") (param i32) (result i32)
            (block $outer
              (block $is_b (result i32)
                (try_table (catch_all $outer)
                  (block $is_a
                    (try_table (catch $a $is_a) (catch $b $is_b)
                      (call $throw (local.get 0)))
                    (return (i32.const -1)))
                  (return (i32.const 100)))
                (return (i32.const -2)))
              (return))
            (i32.const 300)))"#,
    );
    let results: Vec<i32> =
        (0..4).map(|which| call(&mut store, instance, "run", which).unwrap()).collect();
    assert_eq!(results, [100, 42, 300, -1]);
}

#[test]
fn an_uncaught_exception_is_an_error_with_frames() {
    let (mut store, instance) = instance(
        r#"(module (tag $t (export "t") (param i32))
        (func $inner (param i32) (throw $t (local.get 0)))
        (func (export "run") (param i32) (result i32) (call $inner (local.get 0)) (i32.const 0)))"#,
    );
    let error = call(&mut store, instance, "run", 9).unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("uncaught exception\nguest backtrace:\n   0: "), "{text}");
    let Error::Exception(uncaught) = error else { panic!("{text}") };
    let names: Vec<_> = uncaught.frames().into_iter().map(|frame| frame.func_name).collect();
    assert_eq!(names, [Some("inner".to_owned()), Some("run".to_owned())]);
    assert!(matches!(uncaught.exception.values(&store).unwrap()[..], [Val::I32(9)]));
    let tag = instance.get_export(&mut store, "t").and_then(Extern::into_tag).unwrap();
    assert_eq!(uncaught.exception.tag(), tag);
    assert_eq!(tag.ty(&store), FuncType::new([ValType::I32], []));
    let again = call(&mut store, instance, "run", 10);
    assert!(matches!(again, Err(Error::Exception(_))), "the store goes on");
}

#[test]
fn throwing_null_is_a_trap() {
    let (mut store, instance) = instance(
        r#"(module (func (export "run") (param i32) (result i32)
            (block $h (try_table (catch_all $h) (throw_ref (ref.null exn))))
            (i32.const 1)))"#,
    );
    let error = call(&mut store, instance, "run", 0).unwrap_err();
    assert_eq!(error.trap().unwrap().code, TrapCode::NullExceptionReference);
}

/// The thrower has a memory and a global of its own, so that a wrong BASE would show.
#[test]
fn exceptions_cross_instances() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let thrower = module(
        &engine,
        r#"(module (tag $t (export "t") (param funcref)) (memory 1) (global $g (mut i32) (i32.const 5))
        (elem declare func $mine)
        (func $mine (result i32) (i32.add (global.get $g) (i32.load8_u (i32.const 0))))
        (func (export "throw") (i32.store8 (i32.const 0) (i32.const 30)) (throw $t (ref.func $mine))))"#,
    );
    let mut linker = Linker::new(&engine);
    let other = linker.instantiate(&mut store, &thrower).unwrap();
    linker.instance(&mut store, "other", other);
    let catcher = module(
        &engine,
        r#"(module (type $f (func (result i32)))
        (import "other" "t" (tag $t (param funcref))) (import "other" "throw" (func $throw))
        (tag $own (param funcref))
        (memory 1) (data (i32.const 0) "\07") (global $g (mut i32) (i32.const 1000)) (table 1 funcref)
        (func (export "run") (param i32) (result i32) (local $r funcref)
            (block $h (result funcref)
                (try_table (catch $own $h) (catch $t $h) (call $throw))
                (unreachable))
            (local.set $r)
            (table.set (i32.const 0) (local.get $r))
            (i32.add (call_indirect (type $f) (i32.const 0))
                (i32.add (global.get $g) (i32.load8_u (i32.const 0))))))"#,
    );
    let instance = linker.instantiate(&mut store, &catcher).unwrap();
    assert_eq!(call(&mut store, instance, "run", 0).unwrap(), 35 + 1007);
    assert_eq!(call(&mut store, instance, "run", 0).unwrap(), 35 + 1007);
}

#[test]
fn host_functions_throw_and_pass_on() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let tag = Tag::new(&mut store, [ValType::I32]);
    linker.define("host", "t", Extern::Tag(tag));
    linker.func_wrap("host", "throw", move |mut caller: Caller<'_, ()>, value: i32| {
        let exception = Exception::new(&mut caller, tag, &[Val::I32(value + 1)])?;
        Err::<(), BoxError>(Box::new(Error::from(exception)))
    });
    linker.func_wrap("host", "back", |mut caller: Caller<'_, ()>| {
        let again = caller.get_export("again").and_then(Extern::into_func).unwrap();
        Ok::<(), BoxError>(again.call(&mut caller, &[]).map(drop)?)
    });
    let wat = r#"(module
        (import "host" "t" (tag $t (param i32)))
        (import "host" "throw" (func $throw (param i32))) (import "host" "back" (func $back))
        (func (export "again") (throw $t (i32.const 500)))
        (func (export "run") (param i32) (result i32)
            (block $h (result i32)
                (try_table (catch $t $h)
                    (if (local.get 0) (then (call $throw (local.get 0))) (else (call $back))))
                (unreachable))))"#;
    let module = module(&engine, wat);
    let instance = linker.instantiate(&mut store, &module).unwrap();
    assert_eq!(call(&mut store, instance, "run", 20).unwrap(), 21, "thrown by the host");
    assert_eq!(call(&mut store, instance, "run", 0).unwrap(), 500, "through the host");
    let wrong = Exception::new(&mut store, tag, &[Val::I64(1)]);
    assert!(matches!(wrong, Err(Error::TypeMismatch { .. })));
}

/// A list of exceptions in a global, and garbage in between: `run(n)` throws and catches n times.
const MANY: &str = r#"(module
    (tag $list (param i32 exnref)) (tag $t (param i64))
    (global $head (mut exnref) (ref.null exn))
    (func (export "push") (param i32) (result i32)
        (block $h (result i32 exnref exnref)
            (try_table (catch_ref $list $h) (throw $list (local.get 0) (global.get $head)))
            (unreachable))
        (global.set $head) (drop) (drop)
        (local.get 0))
    (func (export "pop") (param i32) (result i32)
        (block $h (result i32 exnref)
            (try_table (catch $list $h) (throw_ref (global.get $head)))
            (unreachable))
        (global.set $head))
    (func (export "run") (param $n i32) (result i32) (local $kept exnref)
        (loop $again
            (block $h (result i64 exnref)
                (try_table (catch_ref $t $h) (throw $t (i64.const 3)))
                (unreachable))
            (local.set $kept) (drop)
            (local.set $n (i32.sub (local.get $n) (i32.const 1)))
            (br_if $again (local.get $n)))
        (block $h (result i64)
            (try_table (catch $t $h) (throw_ref (local.get $kept)))
            (unreachable))
        (i32.wrap_i64)))"#;

#[test]
fn exceptions_that_nobody_needs_are_forgotten() {
    let (mut store, instance) = instance(MANY);
    for item in 0..100 {
        call(&mut store, instance, "push", item).unwrap();
    }
    // All of them together would be far above what a store keeps.
    assert_eq!(call(&mut store, instance, "run", 1_000_000).unwrap(), 3);
    for item in (0..100).rev() {
        assert_eq!(call(&mut store, instance, "pop", 0).unwrap(), item);
    }
}

#[test]
fn exceptions_that_are_needed_are_limited() {
    let (mut store, instance) = instance(
        r#"(module
        (tag $list (param exnref))
        (func (export "push") (param $n i32) (result i32) (local $head exnref)
            (loop $again
                (block $h (result exnref exnref)
                    (try_table (catch_ref $list $h) (throw $list (local.get $head)))
                    (unreachable))
                (local.set $head) (drop)
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (br_if $again (local.get $n)))
            (i32.const 0)))"#,
    );
    let error = call(&mut store, instance, "push", 2_000_000).unwrap_err();
    assert_eq!(error.trap().unwrap().code, TrapCode::TooManyExceptions);
}

#[test]
fn a_reset_forgets_exceptions_and_a_capture_refuses_them() {
    let engine = engine();
    let module = module(&engine, MANY);
    let pool = Pool::<()>::new(&Linker::new(&engine), &module).unwrap();
    for _ in 0..3 {
        let mut faaslet = pool.acquire(()).unwrap();
        let instance = faaslet.instance();
        let empty = call(faaslet.store(), instance, "pop", 0).unwrap_err();
        assert_eq!(empty.trap().unwrap().code, TrapCode::NullExceptionReference);
        call(faaslet.store(), instance, "push", 4).unwrap();
        let error = instance.capture(faaslet.store()).unwrap_err().to_string();
        assert!(error.contains("global 0 holds an exception"), "{error}");
    }
}

#[test]
fn throwing_forever_ends_at_the_deadline() {
    let (mut store, instance) = instance(MANY);
    store.set_deadline(Some(Instant::now() + Duration::from_millis(30)));
    let error = call(&mut store, instance, "run", -1).unwrap_err();
    assert_eq!(error.trap().unwrap().code, TrapCode::DeadlineExceeded);
    store.set_deadline(None);
    assert_eq!(call(&mut store, instance, "run", 5).unwrap(), 3);
}

/// Keeps 40 MB of exceptions, then throws 64 MB that nobody needs.
#[test]
fn garbage_is_found_near_the_limit() {
    let (types, values) = ("i64 ".repeat(500), "(i64.const 1) ".repeat(500));
    let (mut store, instance) = instance(&format!(
        r#"(module
        (tag $large (param {types})) (table $kept 10000 exnref)
        (func $one (result exnref)
            (block $h (result exnref)
                (try_table (catch_all_ref $h) (throw $large {values}))
                (unreachable)))
        (func (export "keep") (param $n i32) (result i32)
            (loop $again
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (table.set $kept (local.get $n) (call $one))
                (br_if $again (local.get $n)))
            (i32.const 0))
        (func (export "drop") (param $n i32) (result i32)
            (loop $again
                (drop (call $one))
                (local.set $n (i32.sub (local.get $n) (i32.const 1)))
                (br_if $again (local.get $n)))
            (i32.const 0)))"#,
    ));
    call(&mut store, instance, "keep", 10_000).unwrap();
    call(&mut store, instance, "drop", 16_000).unwrap();
}
