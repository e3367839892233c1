//! Whatever a guest or a host function does wrong becomes a trap, and the process goes on.

mod common;
use common::{LOOP, engine, instance, module, trap_of};
use std::time::{Duration, Instant};
use wfaas_abi::TrapCode;
use wfaas_vm::{BoxError, Caller, Config, Engine, Error, Linker, Module, Store};

#[test]
fn every_trap_has_its_code_and_place() {
    let (mut store, instance) = instance(
        r#"(module
            (memory 1) (table 2 funcref) (elem (i32.const 0) $outer)
            (func $outer (export "outer") (param i32) (call $inner (local.get 0)))
            (func $inner (param i32)
                (block $div (block $over (block $rem (block $oob (block $oob_big (block $undef
                (block $null (block $type (block $nan (block $big (block $table
                (br_table $div $over $rem $oob $oob_big $undef $null $type $nan $big $table
                    (local.get 0)))
                (drop (table.get 0 (i32.const 2))) return)
                (drop (i32.trunc_f32_s (f32.const 3e9))) return)
                (drop (i32.trunc_f64_u (f64.const nan))) return)
                (call_indirect (i32.const 0)) return)
                (call_indirect (i32.const 1)) return)
                (call_indirect (i32.const 9)) return)
                (drop (i32.load offset=0xffffffff (i32.const 1))) return)
                (drop (i64.load (i32.const 65529))) return)
                (drop (i32.rem_u (i32.const 1) (i32.const 0))) return)
                (drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1))) return)
                (drop (i32.div_s (i32.const 1) (i32.const 0)))))"#,
    );
    let outer = instance.get_typed_func::<i32, ()>(&mut store, "outer").unwrap();
    let expected = [
        TrapCode::IntegerDivideByZero,
        TrapCode::IntegerOverflow,
        TrapCode::IntegerDivideByZero,
        TrapCode::MemoryOutOfBounds,
        TrapCode::MemoryOutOfBounds,
        TrapCode::UndefinedElement,
        TrapCode::UninitializedElement,
        TrapCode::IndirectCallTypeMismatch,
        TrapCode::InvalidConversionToInteger,
        TrapCode::IntegerOverflow,
        TrapCode::TableOutOfBounds,
    ];
    let mut offsets = Vec::new();
    for (number, code) in expected.into_iter().enumerate() {
        let trap = trap_of(outer.call(&mut store, number as i32).unwrap_err());
        assert_eq!(trap.code, code, "case {number}");
        let frames = trap.frames();
        let names: Vec<_> = frames.iter().map(|frame| frame.func_name.as_deref()).collect();
        assert_eq!(names, [Some("inner"), Some("outer")], "case {number}");
        offsets.push(frames[0].wasm_offset.expect("every trap has a place"));
    }
    offsets.reverse(); // the last case comes first in the module
    assert!(offsets.is_sorted(), "places are distinct and in order: {offsets:?}");
    offsets.dedup();
    assert_eq!(offsets.len(), 11);
    assert_eq!(
        outer.call(&mut store, 0).unwrap_err().to_string().lines().next().unwrap(),
        "trap: integer divide by zero"
    );
}

#[test]
fn unreachable_names_the_function_and_the_offset() {
    let wat = r#"(module (func $f (export "f") nop nop unreachable))"#;
    let (mut store, instance) = instance(wat);
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    let trap = trap_of(f.call(&mut store, ()).unwrap_err());
    // \0asm + version 8, type section 2+4, function 2+2, export 2+5, code: id, size, count,
    // body size, locals count, nop, nop, unreachable
    let place = 8 + 6 + 4 + 7 + 5 + 2;
    assert_eq!(trap.frames()[0].wasm_offset, Some(place), "{trap}");
}

#[test]
fn endless_recursion_is_a_trap_again_and_again() {
    let (mut store, instance) = instance(
        r#"(module
            (func $f (export "small") (call $f))
            (func $g (export "large") (param i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i64)
                (i64.add (local.get 8) (call $g (local.get 8) (local.get 7) (local.get 6)
                    (local.get 5) (local.get 4) (local.get 3) (local.get 2) (local.get 1)
                    (local.get 0))))
            (func (export "run_large") (drop (call $g (i64.const 0) (i64.const 0) (i64.const 0)
                (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)
                (i64.const 0)))))"#,
    );
    for name in ["small", "run_large", "small"] {
        let function = instance.get_typed_func::<(), ()>(&mut store, name).unwrap();
        let trap = trap_of(function.call(&mut store, ()).unwrap_err());
        assert_eq!(trap.code, TrapCode::StackOverflow);
        assert_eq!(trap.frames().len(), wfaas_vm::MAX_FRAMES);
    }
}

#[test]
fn recursion_through_the_host_is_a_trap() {
    let engine = engine();
    let wat = r#"(module (import "host" "again" (func $again))
        (func (export "f") (call $again)))"#;
    let module = module(&engine, wat);
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "again", |mut caller: Caller<'_, ()>| {
        let f = caller.get_export("f").unwrap().into_func().unwrap();
        f.call(&mut caller, &[])?;
        Ok::<(), BoxError>(())
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    let error = f.call(&mut store, ()).unwrap_err();
    // The innermost call traps; each host function passes the error on.
    assert!(error.to_string().contains("call stack exhausted"), "{error}");
}

#[test]
fn errors_of_host_functions_come_back_with_the_frames() {
    #[derive(Debug, thiserror::Error)]
    #[error("exit {0}")]
    struct Exit(i32);
    let engine = engine();
    let wat = r#"(module (import "host" "exit" (func $exit (param i32)))
        (func $main (export "main") (call $exit (i32.const 3)) unreachable))"#;
    let module = module(&engine, wat);
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "exit", |_: Caller<'_, ()>, code: i32| {
        Err::<(), BoxError>(Box::new(Exit(code)))
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let main = instance.get_typed_func::<(), ()>(&mut store, "main").unwrap();
    let error = main.call(&mut store, ()).unwrap_err();
    assert_eq!(error.downcast_ref::<Exit>().unwrap().0, 3);
    let Error::Host(host) = error else { panic!("not a host error") };
    assert_eq!(host.frames()[0].func_name.as_deref(), Some("main"));
}

#[test]
fn a_panic_in_a_host_function_reaches_the_caller() {
    let engine = engine();
    let wat = r#"(module (import "host" "panic" (func $panic (result i32)))
        (func (export "f") (drop (call $panic))))"#;
    let module = module(&engine, wat);
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "panic", |_: Caller<'_, ()>| -> i32 { panic!("on purpose") });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    for _ in 0..2 {
        let call = std::panic::AssertUnwindSafe(|| f.call(&mut store, ()));
        let panic = std::panic::catch_unwind(call).unwrap_err();
        assert_eq!(panic.downcast_ref::<&str>(), Some(&"on purpose"));
    }
}

#[test]
fn a_host_function_cannot_call_back_from_another_thread() {
    let engine = engine();
    let wat = r#"(module (import "host" "back" (func $back (result i32)))
        (func (export "f") (param i32) (result i32) (i32.add (call $back) (local.get 0)))
        (func (export "g") (result i32) (i32.const 3)))"#;
    let module = module(&engine, wat);
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "back", |mut caller: Caller<'_, ()>| -> Result<i32, BoxError> {
        // The guest's stack is in use: that thread would write over this function's frame.
        let call = || {
            let g = caller.get_export("g").unwrap().into_func().unwrap();
            g.typed::<(), i32>(&mut caller)?.call(&mut caller, ())
        };
        let refused = std::thread::scope(|scope| scope.spawn(call).join().unwrap());
        assert!(matches!(refused, Err(Error::Unsupported(_))), "{refused:?}");
        let g = caller.get_export("g").unwrap().into_func().unwrap();
        Ok(g.typed::<(), i32>(&mut caller)?.call(&mut caller, ())?)
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f").unwrap();
    assert_eq!(f.call(&mut store, 4).unwrap(), 7);
}

#[test]
fn a_fault_in_a_host_function_is_a_trap_and_poisons_the_store() {
    let engine = engine();
    let wat =
        r#"(module (import "host" "fault" (func $fault)) (func $f (export "f") (call $fault)))"#;
    let module = module(&engine, wat);
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "fault", |_: Caller<'_, ()>| {
        // SAFETY: none; that is the test.
        unsafe { std::ptr::without_provenance_mut::<u8>(64).write_volatile(1) };
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    let trap = trap_of(f.call(&mut store, ()).unwrap_err());
    assert_eq!(trap.code, TrapCode::HostFault);
    assert_eq!(trap.frames()[0].func_name.as_deref(), Some("f"));
    assert!(matches!(f.call(&mut store, ()), Err(Error::Poisoned)));
}

#[test]
fn a_stack_overflow_in_a_host_function_is_a_trap() {
    #[inline(never)]
    fn deep(n: u64) -> u64 {
        let mut block = [n; 512];
        std::hint::black_box(&mut block);
        if n == u64::MAX { 0 } else { deep(n + 1) + block[7] }
    }
    let engine = engine();
    let wat = r#"(module (import "host" "deep" (func $deep)) (func (export "f") (call $deep)))"#;
    let module = module(&engine, wat);
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "deep", |_: Caller<'_, ()>| {
        std::hint::black_box(deep(0));
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    let trap = trap_of(f.call(&mut store, ()).unwrap_err());
    assert_eq!(trap.code, TrapCode::StackOverflow);
}

#[test]
fn host_functions_always_have_room() {
    // A guest that uses nearly all of its stack before it calls the host.
    let engine = Engine::new(Config { stack_bytes: 64 << 10, ..Config::default() }).unwrap();
    let wat = r#"(module (import "host" "work" (func $work))
        (func $f (export "f") (param i32) (result i32)
            (call $work)
            (i32.add (i32.const 1) (call $f (local.get 0)))))"#;
    let module = module(&engine, wat);
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "work", |_: Caller<'_, ()>| {
        std::hint::black_box([1u8; 100 << 10]);
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f").unwrap();
    for _ in 0..3 {
        let trap = trap_of(f.call(&mut store, 0).unwrap_err());
        assert_eq!(trap.code, TrapCode::StackOverflow);
    }
}

#[test]
fn a_trap_in_the_start_function_fails_the_instantiation() {
    let engine = engine();
    let module = module(&engine, "(module (func $s unreachable) (start $s))");
    let mut store = Store::new(&engine, ());
    let error = Linker::new(&engine).instantiate(&mut store, &module).unwrap_err();
    assert_eq!(trap_of(error).code, TrapCode::Unreachable);
}

#[test]
fn threads_trap_independently() {
    let engine = engine();
    let module = module(&engine, LOOP);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (engine, module) = (engine.clone(), module.clone());
            std::thread::spawn(move || {
                for _ in 0..5 {
                    let mut store = Store::new(&engine, ());
                    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
                    let endless = instance.get_typed_func::<(), ()>(&mut store, "loop").unwrap();
                    store.set_deadline(Some(Instant::now() + Duration::from_millis(5)));
                    let trap = trap_of(endless.call(&mut store, ()).unwrap_err());
                    assert_eq!(trap.code, TrapCode::DeadlineExceeded);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn traps_are_traps_while_other_modules_come_and_go() {
    let engine = engine();
    let wat = "(module (memory 1) (func (export \"f\") (drop (i32.load (i32.const -4)))))";
    let artifact = wfaas_compiler::compile(wat.as_bytes(), &Default::default()).unwrap().artifact;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..300 {
                    let module = Module::from_bytes(&engine, &artifact).unwrap();
                    let mut store = Store::new(&engine, ());
                    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
                    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
                    let trap = trap_of(f.call(&mut store, ()).unwrap_err());
                    assert_eq!(trap.code, TrapCode::MemoryOutOfBounds);
                }
            });
        }
    });
}
