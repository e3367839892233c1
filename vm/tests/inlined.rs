//! Backtraces have a frame for each guest function, whether it has machine code of its own there
//! or is part of its caller's.

mod common;
use common::{module, module_with};
use wfaas_abi::TrapCode;
use wfaas_compiler::{Options, Passes};
use wfaas_vm::{BoxError, Caller, Config, Engine, Error, Frame, Linker, Store};

const CALLS: &str = r#"(module
    (import "host" "fails" (func $fails (param i32)))
    (memory 1)
    (func $div (export "div") (param i32) (drop (i32.div_u (i32.const 1) (local.get 0))))
    (func $load (param i32) (drop (i32.load (local.get 0))))
    (func $stop (param i32) (unreachable))
    (func $ask (param i32) (call $fails (local.get 0)))
    (func $choose (param i32) (result i32)
        (local.get 0)
        (block $3 (block $2 (block $1 (block $0 (br_table $0 $1 $2 $3 (local.get 0)))
            (call $div (i32.const 0)) (return (i32.const 1)))
            (call $load (i32.const -8)) (return (i32.const 2)))
            (call $stop (i32.const 3)) (return (i32.const 3)))
            (call $ask (i32.const 4)))
    (func $middle (param i32) (result i32) (i32.add (i32.const 1) (call $choose (local.get 0))))
    (func (export "outer") (param i32) (result i32)
        (i32.add (i32.const 1) (call $middle (local.get 0)))))"#;

/// The frames of the error that `outer` gives.
fn frames(passes: Passes, argument: i32) -> Vec<Frame> {
    let engine = Engine::new(Config::default()).unwrap();
    let options = Options { passes, ..Options::default() };
    let module = module_with(&engine, CALLS, &options);
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "fails", |_: Caller<'_, ()>, _: i32| Err::<(), BoxError>("no".into()));
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let outer = instance.get_typed_func::<i32, i32>(&mut store, "outer").unwrap();
    match outer.call(&mut store, argument).unwrap_err() {
        Error::Trap(trap) => trap.frames(),
        Error::Host(host) => host.frames(),
        other => panic!("{other}"),
    }
}

#[test]
fn backtraces_are_as_without_inlining() {
    for (argument, innermost) in [(0, "div"), (1, "load"), (2, "stop"), (3, "ask")] {
        let with = frames(Passes::ALL, argument);
        let names: Vec<_> = with.iter().filter_map(|frame| frame.func_name.as_deref()).collect();
        assert_eq!(names, [innermost, "choose", "middle", "outer"], "case {argument}");
        assert!(with.iter().all(|frame| frame.wasm_offset.is_some()), "{with:?}");
        assert_eq!(with, frames(Passes::ALL.without("inline").unwrap(), argument));
    }
}

/// Loads of small functions that become operands of their callers' instructions.
const FOLDED: &str = r#"(module
    (memory 1)
    (func $load (param i32) (result i32) (i32.load offset=4 (local.get 0)))
    (func $long (param i32) (result i64) (i64.load (local.get 0)))
    (func $store (param i32 i64) (i64.store (local.get 0) (local.get 1)))
    (func (export "sum") (param i32) (result i32)
        (i32.mul (i32.add (call $load (local.get 0)) (i32.const 7)) (i32.const 3)))
    (func (export "extended") (param i32) (result i64) (i64.extend_i32_u (call $load (local.get 0))))
    (func (export "compared") (param i32) (result i32)
        (if (result i32) (i32.lt_u (local.get 0) (call $load (local.get 0)))
            (then (i32.const 1)) (else (i32.const 2))))
    (func (export "in place") (param i32)
        (call $store (local.get 0) (i64.add (call $long (local.get 0)) (i64.const 3))))
    (func (export "elsewhere") (param i32)
        (call $store (local.get 0) (i64.add (call $long (i32.const 8)) (i64.const 3))))
    (func (export "divided") (param i32) (result i32)
        (i32.div_u (i32.const 1000) (call $load (local.get 0)))))"#;

#[test]
fn loads_that_become_operands_fault_where_the_program_has_them() {
    let frames = |passes: Passes, export: &str| {
        let engine = common::engine();
        let module = module_with(&engine, FOLDED, &Options { passes, ..Options::default() });
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
        let function = instance.get_func(&mut store, export).unwrap();
        let arguments = [wfaas_vm::Val::I32(i32::MAX)];
        match function.call(&mut store, &arguments).unwrap_err() {
            Error::Trap(trap) => trap.frames(),
            other => panic!("{other}"),
        }
    };
    let innermost = [
        ("sum", "load"),
        ("extended", "load"),
        ("compared", "load"),
        ("in place", "long"),
        ("elsewhere", "store"),
        ("divided", "load"),
    ];
    for (export, function) in innermost {
        let with = frames(Passes::ALL, export);
        let names: Vec<_> = with.iter().filter_map(|frame| frame.func_name.as_deref()).collect();
        assert_eq!(names, [function, export]);
        assert_eq!(with, frames(Passes::ALL.without("inline").unwrap(), export), "{export}");
    }
}

#[test]
fn recursion_through_inlined_functions_overflows_the_stack() {
    let engine = common::engine();
    let module = module(
        &engine,
        r#"(module
            (func $a (export "a") (param i32) (result i32)
                (i32.add (local.get 0) (call $b (local.get 0))))
            (func $b (param i32) (result i32)
                (i32.xor (local.get 0) (call $c (i32.add (local.get 0) (i32.const 1)))))
            (func $c (param i32) (result i32) (i32.mul (i32.const 3) (call $a (local.get 0)))))"#,
    );
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    let a = instance.get_typed_func::<i32, i32>(&mut store, "a").unwrap();
    for _ in 0..3 {
        let Error::Trap(trap) = a.call(&mut store, 1).unwrap_err() else { panic!("not a trap") };
        assert_eq!(trap.code, TrapCode::StackOverflow);
        assert_eq!(trap.frames().len(), wfaas_vm::MAX_FRAMES);
    }
}

#[test]
fn exceptions_cross_inlined_functions() {
    let engine = common::engine();
    let module = module(
        &engine,
        r#"(module (tag $t (param i32))
            (func $throw (param i32) (throw $t (local.get 0)))
            (func $pass (param i32) (call $throw (local.get 0)))
            (func $further (param i32) (call $pass (i32.add (local.get 0) (i32.const 1))))
            (func (export "catch") (param i32) (result i32)
                (block $h (result i32)
                    (try_table (catch $t $h) (call $further (local.get 0)))
                    (i32.const 0))))"#,
    );
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    let catch = instance.get_typed_func::<i32, i32>(&mut store, "catch").unwrap();
    assert_eq!(catch.call(&mut store, 41).unwrap(), 42);
}
