//! The embedding API from a host function's side, and typed functions of every type: this file needs
//! no other crate of ours but to compile text.

mod common;
use common::{engine, module};
use wfaas_vm::{
    Caller, Error, Exception, Extern, ExternRef, Func, FuncType, Global, GlobalType, Instance,
    Limits, Linker, Memory, MemoryType, Store, Table, TableType, Tag, TrapCode, Val, ValType,
};

const INNER: &str = r#"(module
    (import "env" "memory" (memory 1)) (import "env" "table" (table 1 funcref))
    (import "env" "base" (global $base i32)) (import "env" "next" (func $next (param i32) (result i32)))
    (func (export "run") (param i32) (result i32)
        (i32.store (i32.const 8) (local.get 0))
        (i32.add (global.get $base)
            (i32.add (call $next (local.get 0))
                (call_indirect (param i32) (result i32) (i32.load (i32.const 8)) (i32.const 0))))))"#;

const OUTER: &str = r#"(module (import "host" "link" (func $link (param i32) (result i32)))
    (func (export "run") (param i32) (result i32) (i32.add (call $link (local.get 0)) (i32.const 1))))"#;

/// Makes everything that `INNER` imports, links it, and calls it.
fn link_and_call(
    mut caller: Caller<'_, u32>,
    inner: &wfaas_vm::Module,
    n: i32,
) -> Result<i32, Error> {
    let one_page = Limits { minimum: 1, maximum: None };
    let memory = MemoryType { limits: one_page, index64: false, shared: false };
    let memory = Memory::new(&mut caller, memory)?;
    let next = Func::wrap(&mut caller, |mut caller: Caller<'_, u32>, n: i32| {
        *caller.data_mut() += 1;
        n + 1
    });
    let table = TableType { element: ValType::FUNCREF, limits: one_page, index64: false };
    let table = Table::new(&mut caller, table, Val::FuncRef(Some(next)))?;
    let base = GlobalType { content: ValType::I32, mutable: false };
    let base = Global::new(&mut caller, base, Val::I32(1000))?;
    let ty = FuncType::new([ValType::I32], [ValType::I32]);
    let twice = Func::new(&mut caller, ty, |_, args, results| {
        let [Val::I32(n)] = args else { return Err("another type".into()) };
        results[0] = Val::I32(n * 2);
        Ok(())
    });
    let mut linker = Linker::<u32>::new(&engine());
    linker.define("env", "memory", Extern::Memory(memory));
    linker.define("env", "table", Extern::Table(table));
    linker.define("env", "base", Extern::Global(base));
    linker.define("env", "next", Extern::Func(twice));
    let instance = linker.instantiate(&mut caller, inner)?;
    let run = instance.get_typed_func::<i32, i32>(&mut caller, "run")?;
    let result = run.call(&mut caller, n)?;
    assert_eq!(memory.data(&caller)[8], n as u8);
    Ok(result)
}

fn outer(
    link: impl Fn(Caller<'_, u32>, i32) -> Result<i32, wfaas_vm::BoxError> + Send + Sync + 'static,
) -> (Store<u32>, Instance) {
    let engine = engine();
    let mut linker = Linker::<u32>::new(&engine);
    linker.func_wrap("host", "link", link);
    let mut store = Store::new(&engine, 0);
    let instance = linker.instantiate(&mut store, &module(&engine, OUTER)).unwrap();
    (store, instance)
}

#[test]
fn a_host_function_makes_things_links_them_and_calls_them() {
    let inner = module(&engine(), INNER);
    let (mut store, instance) =
        outer(move |caller, n| link_and_call(caller, &inner, n).map_err(Into::into));
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    for (round, n) in [5, 7, 9].into_iter().enumerate() {
        assert_eq!(run.call(&mut store, n).unwrap(), 1000 + 2 * n + (n + 1) + 1);
        assert_eq!(*store.data(), round as u32 + 1, "the function in the table was called");
    }
}

#[test]
fn an_instance_whose_start_function_traps_in_a_host_function_is_its_error() {
    let broken = module(&engine(), "(module (func $start unreachable) (start $start))");
    let (mut store, instance) = outer(move |mut caller, _| {
        let error = Linker::<u32>::new(&engine()).instantiate(&mut caller, &broken).unwrap_err();
        assert_eq!(error.trap().unwrap().code, TrapCode::Unreachable);
        Ok(41)
    });
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, 0).unwrap(), 42);
}

/// One function of each shape: host functions that get and return the value, the guest between.
const TYPES: &str = r#"(module
    (import "host" "v" (func $v (param v128 i32 v128) (result v128)))
    (import "host" "f" (func $f (param funcref) (result funcref)))
    (import "host" "e" (func $e (param externref i64) (result externref i64)))
    (import "host" "x" (func $x (param exnref) (result exnref)))
    (func (export "v") (param v128 i32 v128) (result v128)
        (call $v (local.get 0) (local.get 1) (local.get 2)))
    (func (export "f") (param funcref) (result funcref) (call $f (local.get 0)))
    (func (export "e") (param externref i64) (result externref i64)
        (call $e (local.get 0) (local.get 1)))
    (func (export "x") (param exnref) (result exnref) (call $x (local.get 0)))
    (func (export "many") (param v128 v128 v128 v128 v128 v128 v128 v128 v128 v128) (result v128)
        (v128.xor (local.get 0) (local.get 9)))
    (func $seven (export "seven") (result i32) (i32.const 7)))"#;

fn types() -> (Store<()>, Instance) {
    let engine = engine();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "v", |_: Caller<'_, ()>, a: u128, n: i32, b: u128| (a << n) ^ b);
    linker.func_wrap("host", "f", |_: Caller<'_, ()>, f: Option<Func>| f);
    linker.func_wrap("host", "e", |_: Caller<'_, ()>, e: Option<ExternRef>, n: i64| (e, n + 1));
    linker.func_wrap("host", "x", |_: Caller<'_, ()>, x: Option<Exception>| x);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, TYPES)).unwrap();
    (store, instance)
}

#[test]
fn vectors_pass_through_typed_functions() {
    let (mut store, instance) = types();
    let v = instance.get_typed_func::<(u128, i32, u128), u128>(&mut store, "v").unwrap();
    let (a, b) = (0x0123_4567_89ab_cdef_1122_3344_5566_7788, 1 << 127);
    assert_eq!(v.call(&mut store, (a, 4, b)).unwrap(), (a << 4) ^ b);
    type Ten = (u128, u128, u128, u128, u128, u128, u128, u128, u128, u128);
    let many = instance.get_typed_func::<Ten, u128>(&mut store, "many").unwrap();
    assert_eq!(many.call(&mut store, (a, 1, 2, 3, 4, 5, 6, 7, 8, b)).unwrap(), a ^ b);
    instance.get_typed_func::<(u128, i32), u128>(&mut store, "v").expect_err("one is missing");
}

#[test]
fn references_pass_through_typed_functions() {
    let (mut store, instance) = types();
    let f = instance.get_typed_func::<Option<Func>, Option<Func>>(&mut store, "f").unwrap();
    let seven = instance.get_func(&mut store, "seven").unwrap();
    let host = Func::wrap(&mut store, |_: Caller<'_, ()>| 8);
    for (func, result) in [(seven, 7), (host, 8)] {
        let same = f.call(&mut store, Some(func)).unwrap().expect("a function");
        assert_eq!(same, func);
        assert!(matches!(same.call(&mut store, &[]).unwrap()[..], [Val::I32(n)] if n == result));
    }
    assert_eq!(f.call(&mut store, None).unwrap(), None);

    type Pair = (Option<ExternRef>, i64);
    let e = instance.get_typed_func::<Pair, Pair>(&mut store, "e").unwrap();
    let (object, n) = e.call(&mut store, (Some(ExternRef::new("an object")), 1)).unwrap();
    assert_eq!((object.unwrap().downcast_ref::<&str>(), n), (Some(&"an object"), 2));
    assert!(e.call(&mut store, (None, 0)).unwrap().0.is_none());

    let tag = Tag::new(&mut store, [ValType::I32]);
    let exception = Exception::new(&mut store, tag, &[Val::I32(5)]).unwrap();
    let x =
        instance.get_typed_func::<Option<Exception>, Option<Exception>>(&mut store, "x").unwrap();
    let same = x.call(&mut store, Some(exception)).unwrap().expect("an exception");
    assert_eq!(same.tag(), tag);
    assert!(matches!(same.values(&store).unwrap()[..], [Val::I32(5)]));
    assert!(x.call(&mut store, None).unwrap().is_none());
}

#[test]
fn an_exception_of_another_store_is_an_error_where_it_is_passed() {
    let (mut store, instance) = types();
    let (mut other, _) = types();
    let tag = Tag::new(&mut other, []);
    let exception = Exception::new(&mut other, tag, &[]).unwrap();
    let x =
        instance.get_typed_func::<Option<Exception>, Option<Exception>>(&mut store, "x").unwrap();
    assert!(matches!(x.call(&mut store, Some(exception)), Err(Error::Unsupported(_))));
}

/// Nested calls use the same cells as the calls they are nested in.
#[test]
fn a_nested_call_leaves_arguments_and_results_alone() {
    let (mut store, instance) = outer(|mut caller, n| {
        if n == 0 {
            return Ok(0);
        }
        let Some(Extern::Func(run)) = caller.get_export("run") else { return Err("no run".into()) };
        let inner = run.typed::<i32, i32>(&mut caller)?.call(&mut caller, n - 1)?;
        Ok(inner + n)
    });
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, 20).unwrap(), 20 * 21 / 2 + 21);
}
