//! Programs run and give the results the specification says.

mod common;
use common::{engine, instance, module};
use wfaas_vm::{
    Caller, Config, Engine, Error, Extern, ExternRef, Func, Limits, Linker, MemoryType,
    SharedMemory, Store, Val,
};

#[test]
fn arithmetic_control_and_calls() {
    let (mut store, instance) = instance(
        r#"(module
            (func $fib (export "fib") (param i32) (result i64)
                (if (result i64) (i32.lt_s (local.get 0) (i32.const 2))
                    (then (i64.extend_i32_s (local.get 0)))
                    (else (i64.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                                   (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
            (func (export "swap") (param i32 f64) (result f64 i32) local.get 1 local.get 0)
            (func (export "many") (result i32 i64 f32 f64 i32 i64 f32 f64)
                i32.const 1 i64.const 2 f32.const 3 f64.const 4
                i32.const 5 i64.const 6 f32.const 7 f64.const 8)
            (func (export "many_params") (param i32 i64 f32 f64 i32 i64 f32 f64 i32 i64) (result i64)
                (i64.add (local.get 9) (i64.extend_i32_s (local.get 8)))))"#,
    );
    let fib = instance.get_typed_func::<i32, i64>(&mut store, "fib").unwrap();
    assert_eq!(fib.call(&mut store, 20).unwrap(), 6765);
    let swap = instance.get_typed_func::<(i32, f64), (f64, i32)>(&mut store, "swap").unwrap();
    assert_eq!(swap.call(&mut store, (7, 2.5)).unwrap(), (2.5, 7));
    type Many = (i32, i64, f32, f64, i32, i64, f32, f64);
    let many = instance.get_typed_func::<(), Many>(&mut store, "many").unwrap();
    assert_eq!(many.call(&mut store, ()).unwrap(), (1, 2, 3.0, 4.0, 5, 6, 7.0, 8.0));
    type ManyParams = (i32, i64, f32, f64, i32, i64, f32, f64, i32, i64);
    let many = instance.get_typed_func::<ManyParams, i64>(&mut store, "many_params").unwrap();
    let arguments = (0, 0, 0.0, 0.0, 0, 0, 0.0, 0.0, -5, 47);
    assert_eq!(many.call(&mut store, arguments).unwrap(), 42);
}

#[test]
fn eqz_of_a_comparison_is_its_complement_also_of_numbers_that_are_none() {
    let compares = |ty: &str, name: &str| {
        format!(
            r#"(func (export "{ty}.{name}") (param {ty} {ty}) (result i32)
                (if (result i32) (i32.eqz ({ty}.{name} (local.get 0) (local.get 1)))
                    (then (i32.eqz ({ty}.{name} (local.get 0) (local.get 1)))) (else (i32.const 0))))"#
        )
    };
    let floats = ["eq", "ne", "lt", "gt", "le", "ge"];
    let functions = floats.map(|name| compares("f64", name) + &compares("f32", name)).concat();
    let (mut store, instance) = instance(&format!("(module {functions})"));
    let numbers = [f64::NAN, -1.0, -0.0, 0.0, 1.5, f64::INFINITY];
    for (name, holds) in floats.into_iter().zip([
        (|a, b| a == b) as fn(f64, f64) -> bool,
        |a, b| a != b,
        |a, b| a < b,
        |a, b| a > b,
        |a, b| a <= b,
        |a, b| a >= b,
    ]) {
        let wide = instance.get_typed_func::<(f64, f64), i32>(&mut store, &format!("f64.{name}"));
        let narrow = instance.get_typed_func::<(f32, f32), i32>(&mut store, &format!("f32.{name}"));
        let (wide, narrow) = (wide.unwrap(), narrow.unwrap());
        for a in numbers {
            for b in numbers {
                let expected = i32::from(!holds(a, b));
                assert_eq!(wide.call(&mut store, (a, b)).unwrap(), expected, "{a} {name} {b}");
                let narrow = narrow.call(&mut store, (a as f32, b as f32)).unwrap();
                assert_eq!(narrow, expected, "f32: {a} {name} {b}");
            }
        }
    }
}

#[test]
fn a_wrong_type_is_an_error() {
    let (mut store, instance) = instance(r#"(module (func (export "f") (param i32)))"#);
    let error = instance.get_typed_func::<i64, ()>(&mut store, "f").unwrap_err();
    assert_eq!(error.to_string(), "type mismatch: expected (i64) -> (), found (i32) -> ()");
    let error = instance.get_func(&mut store, "f").unwrap().call(&mut store, &[]).unwrap_err();
    assert!(matches!(error, Error::TypeMismatch { .. }), "{error}");
}

#[test]
fn memory_globals_and_tables() {
    let (mut store, instance) = instance(
        r#"(module
            (memory (export "memory") 1 3)
            (global $g (export "g") (mut i64) (i64.const 40))
            (table (export "t") 4 8 funcref)
            (elem (i32.const 1) $one $two)
            (data (i32.const 65530) "abcdef")
            (func $one (result i32) i32.const 1)
            (func $two (result i32) i32.const 2)
            (func (export "bump") (result i64)
                (global.set $g (i64.add (global.get $g) (i64.const 2))) global.get $g)
            (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
            (func (export "size") (result i32) memory.size)
            (func (export "via") (param i32) (result i32)
                (call_indirect (result i32) (local.get 0)))
            (func (export "table_grow") (param i32) (result i32)
                (table.grow 0 (ref.func $two) (local.get 0)))
            (func (export "fill") (memory.fill (i32.const 10) (i32.const 0x5a) (i32.const 4)))
            (func (export "copy") (memory.copy (i32.const 20) (i32.const 65530) (i32.const 6))))"#,
    );
    let call = |store: &mut Store<()>, name: &str, argument: i32| {
        let function = instance.get_typed_func::<i32, i32>(store, name).unwrap();
        function.call(store, argument).unwrap()
    };
    assert_eq!(call(&mut store, "load", 65535), i32::from(b'f'));
    assert_eq!(call(&mut store, "via", 2), 2);
    assert_eq!(call(&mut store, "grow", 1), 1);
    assert_eq!(call(&mut store, "grow", 2), -1);
    assert_eq!(call(&mut store, "load", 2 * 65536 - 1), 0);
    assert_eq!(call(&mut store, "table_grow", 4), 4);
    assert_eq!(call(&mut store, "table_grow", 1), -1);
    assert_eq!(call(&mut store, "via", 7), 2);
    let bump = instance.get_typed_func::<(), i64>(&mut store, "bump").unwrap();
    assert_eq!(bump.call(&mut store, ()).unwrap(), 42);
    let global = instance.get_global(&mut store, "g").unwrap();
    assert!(matches!(global.get(&store).unwrap(), Val::I64(42)));
    for name in ["fill", "copy"] {
        instance.get_typed_func::<(), ()>(&mut store, name).unwrap().call(&mut store, ()).unwrap();
    }
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    assert_eq!(&memory.data(&store)[9..15], b"\0ZZZZ\0");
    assert_eq!(&memory.data(&store)[20..26], b"abcdef");
    assert_eq!(memory.size(&store), 2);
    memory.read(&store, 2 * 65536 - 1, &mut [0; 2]).expect_err("one byte outside");
}

#[test]
fn a_memory_limit_stops_growth() {
    let (mut store, instance) = instance(
        r#"(module (memory 1) (func (export "grow") (param i32) (result i32)
            (memory.grow (local.get 0))))"#,
    );
    store.set_memory_limit(Some(3 * 65536));
    let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow").unwrap();
    assert_eq!(grow.call(&mut store, 3).unwrap(), -1);
    assert_eq!(grow.call(&mut store, 2).unwrap(), 1);
    assert_eq!(grow.call(&mut store, 1).unwrap(), -1);
    assert_eq!(grow.call(&mut store, 0).unwrap(), 3);
}

#[test]
fn a_module_that_starts_beyond_the_engines_limit_is_refused() {
    let engine = Engine::new(Config { max_memory_bytes: 1 << 20, ..Config::default() }).unwrap();
    let mut store = Store::new(&engine, ());
    let linker = Linker::new(&engine);
    linker.instantiate(&mut store, &module(&engine, "(module (memory 16 17))")).unwrap();
    let error = linker.instantiate(&mut store, &module(&engine, "(module (memory 17))"));
    assert!(matches!(error, Err(Error::MemoryLimit { what: "a memory", .. })), "{error:?}");
}

#[test]
fn host_functions_see_the_caller() {
    let engine = engine();
    let module = module(
        &engine,
        r#"(module
            (import "host" "log" (func $log (param i32 i32) (result i32)))
            (import "host" "pair" (func $pair (param f32) (result f64 i32)))
            (memory (export "memory") 1)
            (data (i32.const 8) "hello")
            (func (export "run") (result i32) (call $log (i32.const 8) (i32.const 5)))
            (func (export "pair") (param f32) (result f64 i32) (call $pair (local.get 0))))"#,
    );
    let mut linker = Linker::<String>::new(&engine);
    linker.func_wrap("host", "log", |mut caller: Caller<'_, String>, at: u32, len: u32| {
        let memory = caller.memory().unwrap();
        let (bytes, data) = caller.memory_and_data(memory);
        data.push_str(std::str::from_utf8(&bytes[at as usize..(at + len) as usize]).unwrap());
        data.len() as u32
    });
    linker.func_wrap("host", "pair", |_: Caller<'_, String>, value: f32| (f64::from(value), 3));
    let mut store = Store::new(&engine, "> ".to_owned());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = instance.get_typed_func::<(), i32>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, ()).unwrap(), 7);
    assert_eq!(store.data(), "> hello");
    let pair = instance.get_typed_func::<f32, (f64, i32)>(&mut store, "pair").unwrap();
    assert_eq!(pair.call(&mut store, 1.5).unwrap(), (1.5, 3));
}

#[test]
fn host_functions_see_memories_of_the_caller_by_number() {
    let engine = engine();
    let module = module(
        &engine,
        r#"(module
            (import "host" "get" (func $get (param i32) (result i32)))
            (import "host" "shared" (memory 1 1 shared))
            (memory 1) (data (memory 1) (i32.const 0) "a")
            (memory 2) (data (memory 2) (i32.const 0) "b")
            (func (export "run") (param i32) (result i32) (call $get (local.get 0))))"#,
    );
    let mut linker = Linker::<u32>::new(&engine);
    linker.func_wrap("host", "get", |mut caller: Caller<'_, u32>, memory: u32| {
        let (bytes, data) = caller.memory_at_and_data(memory);
        *data += bytes.len() as u32;
        bytes.first().copied().map_or(0, u32::from)
    });
    let mut store = Store::new(&engine, 0);
    let limits = Limits { minimum: 1, maximum: Some(1) };
    let ty = MemoryType { limits, index64: false, shared: true };
    let shared = SharedMemory::new(&engine, ty).unwrap();
    linker.define("host", "shared", Extern::SharedMemory(shared));
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let run = instance.get_typed_func::<u32, u32>(&mut store, "run").unwrap();
    let seen = [0, 1, 2, 3].map(|memory| run.call(&mut store, memory).unwrap());
    assert_eq!(seen, [0, u32::from(b'a'), u32::from(b'b'), 0]);
    assert_eq!(
        *store.data(),
        3 << 16,
        "neither a shared memory nor one that is not there has bytes"
    );
}

#[test]
fn missing_and_wrong_imports_are_named() {
    let engine = engine();
    let one = module(&engine, r#"(module (import "env" "f" (func (param i32))))"#);
    let mut linker = Linker::<()>::new(&engine);
    let mut store = Store::new(&engine, ());
    let error = linker.instantiate(&mut store, &one).unwrap_err().to_string();
    assert!(error.contains("unknown import: \"env\" \"f\" (function (i32) -> ())"), "{error}");
    assert!(!error.contains("nor"), "{error}");
    let several = r#"(module (import "env" "f" (func)) (import "env" "g" (func)) (import "x" "\1bh" (func)))"#;
    let several = module(&engine, several);
    linker.func_wrap("env", "g", |_: Caller<'_, ()>| ());
    let error = linker.instantiate(&mut store, &several).unwrap_err().to_string();
    assert!(error.ends_with("has not been defined, nor have \"x\" \"\\u{1b}h\""), "{error}");
    linker.func_wrap("env", "f", |_: Caller<'_, ()>| 1i32);
    let error = linker.instantiate(&mut store, &one).unwrap_err().to_string();
    assert!(error.contains("incompatible import type"), "{error}");
}

/// Exports one of each, and looks at them.
const OWNER: &str = r#"(module
    (memory (export "m") 1) (table (export "t") 4 funcref)
    (global (export "g") (mut i32) (i32.const 5))
    (global (export "r") (mut funcref) (ref.null func))
    (type $f (func (param i32) (result i32)))
    (func $double (export "double") (type $f) (i32.mul (local.get 0) (i32.const 2)))
    (func (export "peek") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "via") (param i32 i32) (result i32)
        (call_indirect (type $f) (local.get 0) (local.get 1)))
    (elem (i32.const 0) $double))"#;

/// Imports all of them, and changes them.
const USER: &str = r#"(module
    (import "o" "m" (memory 1)) (import "o" "t" (table 4 funcref))
    (import "o" "g" (global $g (mut i32))) (import "o" "r" (global $r (mut funcref)))
    (type $f (func (param i32) (result i32)))
    (import "o" "double" (func $double (type $f)))
    (global $mine (mut i32) (i32.const 100))
    (func $add_mine (type $f) (i32.add (local.get 0) (global.get $mine)))
    (elem (i32.const 1) $add_mine)
    (elem declare func $add_mine $double)
    (func (export "poke") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "size") (result i32) memory.size)
    (func (export "quadruple") (param i32) (result i32) (call $double (call $double (local.get 0))))
    (func (export "via") (param i32 i32) (result i32)
        (call_indirect (type $f) (local.get 0) (local.get 1)))
    (func (export "put") (table.set (i32.const 2) (ref.func $double)))
    (func (export "set") (global.set $g (i32.const 77)) (global.set $r (ref.func $add_mine)))
    (func (export "from_global") (result i32)
        (table.set (i32.const 3) (global.get $r))
        (call_indirect (type $f) (i32.const 1) (i32.const 3))))"#;

#[test]
fn instances_share_functions_memories_tables_and_globals() {
    let engine = engine();
    let (owner, user) = (module(&engine, OWNER), module(&engine, USER));
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let owner = linker.instantiate(&mut store, &owner).unwrap();
    linker.instance(&mut store, "o", owner);
    let user = linker.instantiate(&mut store, &user).unwrap();
    let call2 =
        |store: &mut Store<()>, instance: wfaas_vm::Instance, name: &str, a: i32, b: i32| {
            let function = instance.get_typed_func::<(i32, i32), i32>(store, name).unwrap();
            function.call(store, (a, b)).unwrap()
        };
    let poke = user.get_typed_func::<(i32, i32), ()>(&mut store, "poke").unwrap();
    poke.call(&mut store, (16, 1234)).unwrap();
    let peek = owner.get_typed_func::<i32, i32>(&mut store, "peek").unwrap();
    assert_eq!(peek.call(&mut store, 16).unwrap(), 1234);
    let quadruple = user.get_typed_func::<i32, i32>(&mut store, "quadruple").unwrap();
    assert_eq!(quadruple.call(&mut store, 5).unwrap(), 20);
    for instance in [owner, user] {
        assert_eq!(call2(&mut store, instance, "via", 21, 0), 42);
        assert_eq!(call2(&mut store, instance, "via", 21, 1), 121);
    }
    let unit = |store: &mut Store<()>, name: &str| {
        user.get_typed_func::<(), ()>(store, name).unwrap().call(store, ()).unwrap();
    };
    unit(&mut store, "put");
    assert_eq!(call2(&mut store, owner, "via", 4, 2), 8);
    unit(&mut store, "set");
    let global = owner.get_global(&mut store, "g").unwrap();
    assert!(matches!(global.get(&store).unwrap(), Val::I32(77)));
    let from_global = user.get_typed_func::<(), i32>(&mut store, "from_global").unwrap();
    assert_eq!(from_global.call(&mut store, ()).unwrap(), 101);
    assert_eq!(call2(&mut store, owner, "via", 2, 3), 102);
}

#[test]
fn references_pass_through_host_and_guest() {
    let engine = engine();
    let module = module(
        &engine,
        r#"(module
            (import "host" "make" (func $make (result externref)))
            (import "host" "id" (func $id (param funcref) (result funcref)))
            (table $t 1 externref)
            (table $f 1 funcref)
            (func $seven (export "seven") (result i32) i32.const 7)
            (func (export "keep") (table.set $t (i32.const 0) (call $make)))
            (func (export "kept") (result externref) (table.get $t (i32.const 0)))
            (func (export "round") (result i32)
                (table.set $f (i32.const 0) (call $id (ref.func $seven)))
                (call_indirect $f (result i32) (i32.const 0))))"#,
    );
    let mut linker = Linker::<()>::new(&engine);
    let ty = wfaas_abi::FuncType::new([], [wfaas_abi::ValType::EXTERNREF]);
    linker.func_new("host", "make", ty, |_, _, results| {
        results[0] = Val::ExternRef(Some(ExternRef::new(99u8)));
        Ok(())
    });
    let func_ref = wfaas_abi::ValType::FUNCREF;
    let ty = wfaas_abi::FuncType::new([func_ref], [func_ref]);
    linker.func_new("host", "id", ty, |_, params, results| {
        results[0] = params[0].clone();
        Ok(())
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let call = |store: &mut Store<()>, name: &str| {
        instance.get_func(store, name).unwrap().call(store, &[]).unwrap()
    };
    assert!(matches!(call(&mut store, "kept")[..], [Val::ExternRef(None)]));
    call(&mut store, "keep");
    let Val::ExternRef(Some(object)) = &call(&mut store, "kept")[0] else { panic!("null") };
    assert_eq!(object.downcast_ref::<u8>(), Some(&99));
    assert!(matches!(call(&mut store, "round")[..], [Val::I32(7)]));
}

#[test]
fn the_host_can_call_back_into_the_guest() {
    let engine = engine();
    let module = module(
        &engine,
        r#"(module
            (import "host" "down" (func $down (param i32) (result i32)))
            (func (export "count") (param i32) (result i32)
                (if (result i32) (local.get 0)
                    (then (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
                    (else (i32.const 0)))))"#,
    );
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "down", |mut caller: Caller<'_, ()>, n: i32| {
        let count: Func = caller.get_export("count").unwrap().into_func().unwrap();
        let count = count.typed::<i32, i32>(&mut caller)?;
        Ok::<i32, wfaas_vm::BoxError>(count.call(&mut caller, n)?)
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let count = instance.get_typed_func::<i32, i32>(&mut store, "count").unwrap();
    assert_eq!(count.call(&mut store, 20).unwrap(), 20);
}

#[test]
fn long_copies_may_overlap_either_way() {
    let (mut store, instance) = instance(
        r#"(module (memory (export "memory") 100)
            (func (export "copy") (param i32 i32 i32)
                (memory.copy (local.get 0) (local.get 1) (local.get 2))))"#,
    );
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    let copy = instance.get_typed_func::<(i32, i32, i32), ()>(&mut store, "copy").unwrap();
    let mut expected: Vec<u8> = (0..100 * 65536u32).map(|at| (at % 251) as u8).collect();
    memory.data_mut(&mut store).copy_from_slice(&expected);
    let len = 3_000_001;
    for (to, from) in [(70_001, 5), (5, 70_001), (3_200_000, 100), (9, 9)] {
        copy.call(&mut store, (to, from, len)).unwrap();
        let (to, from, len) = (to as usize, from as usize, len as usize);
        expected.copy_within(from..from + len, to);
        assert!(memory.data(&store) == expected, "from {from} to {to}");
    }
}

#[test]
fn a_table_larger_than_its_room_has_no_instance() {
    let engine = Engine::new(Config::default()).unwrap();
    for size in ["0xffff_ffff", "10_000_001"] {
        let wat = format!("(module (table {size} funcref))");
        let compiled = wfaas_compiler::compile(wat.as_bytes(), &Default::default()).unwrap();
        let module = wfaas_vm::Module::from_bytes(&engine, &compiled.artifact).unwrap();
        let mut store = Store::new(&engine, ());
        let error = Linker::new(&engine).instantiate(&mut store, &module).unwrap_err().to_string();
        assert!(error.ends_with("there is room for 10000000"), "{error}");
    }
}

/// So many that registers are allocated in the other way.
#[test]
fn a_function_with_very_many_blocks_runs() {
    let one = "(if (local.get 0) (then (local.set 0 (i32.add (local.get 0) (i32.const 1)))))";
    let module = format!(
        r#"(module (func (export "count") (param i32) (result i32) {} (local.get 0)))"#,
        one.repeat(17_000)
    );
    let engine = Engine::new(Config::default()).unwrap();
    let compiled = wfaas_compiler::compile(module.as_bytes(), &Default::default()).unwrap();
    let module = wfaas_vm::Module::from_bytes(&engine, &compiled.artifact).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    let count = instance.get_typed_func::<i32, i32>(&mut store, "count").unwrap();
    assert_eq!(count.call(&mut store, 5).unwrap(), 17_005);
    assert_eq!(count.call(&mut store, 0).unwrap(), 0);
}
