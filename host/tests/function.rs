//! Functions: detection, reactors, isolation, limits.

mod common;

use common::{answer, build, compile, engine, function, named, try_function};
use std::time::{Duration, Instant};
use wfaas_host::{Function, FunctionError, GuestAbi, InvokeError, Request};
use wfaas_vm::Module;

/// A reactor that answers its body, reversed, and counts its requests in a global and in memory.
const REVERSE: &str = r#"(module
  (memory (export "memory") 2)
  (global $requests (mut i32) (i32.const 0))
  (func (export "faas_alloc") (param $len i32) (result i32) (i32.const 1024))
  (func (export "faas_handle") (param $ptr i32) (param $len i32) (result i64)
    (local $i i32)
    (global.set $requests (i32.add (global.get $requests) (i32.const 1)))
    (i32.store (i32.const 16) (i32.add (i32.load (i32.const 16)) (i32.const 1)))
    (if (i32.ne (global.get $requests) (i32.const 1)) (then unreachable))
    (if (i32.ne (i32.load (i32.const 16)) (i32.const 1)) (then unreachable))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (local.get $len)))
        (i32.store8 (i32.add (i32.const 65536) (local.get $i))
          (i32.load8_u (i32.add (local.get $ptr)
            (i32.sub (i32.sub (local.get $len) (local.get $i)) (i32.const 1)))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (i64.or (i64.shl (i64.const 65536) (i64.const 32)) (i64.extend_i32_u (local.get $len)))))"#;

#[test]
fn a_reactor_answers_and_every_request_is_its_first() {
    let reverse = function(REVERSE, named());
    assert_eq!(reverse.abi(), GuestAbi::Reactor);
    assert_eq!(reverse.handle(Request::with_body("stressed")).unwrap(), b"desserts");
    assert_eq!(reverse.handle(Request::with_body("")).unwrap(), b"");
    assert_eq!(reverse.handle(Request::with_body("ab")).unwrap(), b"ba");
}

#[test]
fn functions_answer_from_many_threads() {
    let reverse = function(REVERSE, named());
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let reverse = &reverse;
            scope.spawn(move || {
                for n in 0..200u8 {
                    let answer = reverse.handle(Request::with_body([n, thread])).unwrap();
                    assert_eq!(answer, [thread, n]);
                }
            });
        }
    });
}

/// A reactor with these two bodies.
fn reactor(alloc: &str, handle: &str) -> String {
    format!(
        r#"(module (memory (export "memory") 1)
          (func (export "faas_alloc") (param i32) (result i32) {alloc})
          (func (export "faas_handle") (param i32 i32) (result i64) {handle}))"#
    )
}

#[test]
fn a_reactors_pointers_are_checked() {
    let outside = reactor("i32.const 8", "i64.const 0xffff_ffff_0000_0010");
    let error = answer(&outside, b"x").unwrap_err();
    assert!(matches!(error, InvokeError::BadAnswer { ptr: u32::MAX, len: 16 }), "{error}");
    let edge = reactor("i32.const 8", "i64.const 0x0000_ffff_0000_0002");
    assert!(matches!(answer(&edge, b"x"), Err(InvokeError::BadAnswer { .. })));
    let last = reactor("i32.const 8", "i64.const 0x0000_ffff_0000_0001");
    assert_eq!(answer(&last, b"x").unwrap(), [0]);
    let huge = reactor("i32.const 8", "i64.const 0x0000_0000_ffff_ffff");
    assert!(matches!(answer(&huge, b"x"), Err(InvokeError::OutputLimit(_))));
    for alloc in ["i32.const 0", "i32.const -1", "i32.const 65535"] {
        let error = answer(&reactor(alloc, "i64.const 0"), b"xy").unwrap_err();
        assert!(matches!(error, InvokeError::Alloc { bytes: 2, .. }), "{alloc}: {error}");
    }
}

#[test]
fn a_failed_request_leaves_nothing_behind() {
    // Traps half way if the body is not empty, after a store and a grow.
    let wat = r#"(module (memory (export "memory") 1 10)
      (func (export "faas_alloc") (param i32) (result i32) i32.const 8)
      (func (export "faas_handle") (param i32 i32) (result i64)
        (if (i32.load (i32.const 1024)) (then unreachable))
        (if (i32.ne (memory.size) (i32.const 1)) (then unreachable))
        (i32.store (i32.const 1024) (i32.const 1))
        (drop (memory.grow (i32.const 2)))
        (if (local.get 1) (then unreachable))
        (i64.const 0x0000_0400_0000_0001)))"#;
    let sometimes = function(wat, named());
    for _ in 0..5 {
        assert!(matches!(sometimes.handle(Request::with_body("x")), Err(InvokeError::Trap(_))));
        assert_eq!(sometimes.handle(Request::with_body("")).unwrap(), [1]);
    }
}

#[test]
fn a_trap_tells_where() {
    let wat = r#"(module (memory (export "memory") 1)
      (func $inner unreachable)
      (func $outer (export "_start") call $inner))"#;
    let error = answer(wat, b"").unwrap_err().to_string();
    assert!(error.contains("unreachable") && error.contains("inner") && error.contains("outer"));
}

#[test]
fn recursion_and_loops_end() {
    let recursion = r#"(module (func $f (export "_start") call $f))"#;
    let error = answer(recursion, b"").unwrap_err();
    assert!(error.to_string().contains("call stack exhausted"), "{error}");
    let mut config = named();
    config.limits.time = Duration::from_millis(100);
    let forever = function(r#"(module (func (export "_start") (loop br 0)))"#, config);
    let began = Instant::now();
    assert!(matches!(forever.handle(Request::default()), Err(InvokeError::Deadline(_))));
    assert!(began.elapsed() < Duration::from_secs(5));
    // A deadline that has passed already.
    let request = Request { deadline: Some(Instant::now()), ..Request::default() };
    assert!(matches!(forever.handle(request), Err(InvokeError::Deadline(_))));
}

#[test]
fn memory_stops_growing_at_the_limit() {
    // Answers how many pages it has after growing one by one until that fails.
    let wat = r#"(module (memory (export "memory") 1)
      (func (export "faas_alloc") (param i32) (result i32) i32.const 8)
      (func (export "faas_handle") (param i32 i32) (result i64)
        (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        (i32.store (i32.const 0) (memory.size))
        (i64.const 4)))"#;
    let mut config = named();
    config.limits.memory_bytes = 10 * 65536;
    let grow = function(wat, config);
    for _ in 0..2 {
        assert_eq!(grow.handle(Request::default()).unwrap(), [10, 0, 0, 0]);
    }
    let mut config = named();
    config.limits.memory_bytes = 65535;
    let error = try_function(wat, config).unwrap_err();
    assert!(matches!(error, FunctionError::Memory { bytes: 65536, limit: 65535 }), "{error}");
}

#[test]
fn modules_that_are_no_functions_are_told_why() {
    for (wat, reason) in [
        ("(module)", "neither `_start`"),
        (r#"(module (func (export "_start") (param i32)))"#, "`_start` is"),
        (r#"(module (memory (export "_start") 1))"#, "`_start` is"),
        (
            r#"(module (func (export "faas_alloc") (param i32) (result i32) i32.const 0))"#,
            "faas_handle",
        ),
        (
            r#"(module (memory (export "memory") 1)
              (func (export "faas_alloc") (param i32) (result i32) i32.const 0)
              (func (export "faas_handle") (param i32) (result i64) i64.const 0))"#,
            "`faas_handle` is",
        ),
        (
            r#"(module
              (func (export "faas_alloc") (param i32) (result i32) i32.const 0)
              (func (export "faas_handle") (param i32 i32) (result i64) i64.const 0))"#,
            "`memory`",
        ),
    ] {
        let error = try_function(wat, named()).unwrap_err();
        assert!(matches!(error, FunctionError::Abi(_)), "{wat}: {error}");
        assert!(error.to_string().contains(reason), "{wat}: {error}");
    }
}

#[test]
fn the_abi_can_be_chosen_if_a_module_is_both() {
    let both = REVERSE.replacen("(module", r#"(module (func (export "_start"))"#, 1);
    assert_eq!(function(&both, named()).abi(), GuestAbi::Reactor);
    let mut config = named();
    config.abi = Some(GuestAbi::WasiCommand);
    let command = function(&both, config.clone());
    assert_eq!(command.abi(), GuestAbi::WasiCommand);
    assert_eq!(command.handle(Request::with_body("ab")).unwrap(), b"");
    assert!(try_function(REVERSE, config).is_err());
}

#[test]
fn imports_that_nobody_defines_are_named() {
    let engine = engine();
    let wat = r#"(module (import "env" "clock" (func)) (func (export "_start")))"#;
    let module = Module::from_bytes(&engine, &compile(wat)).unwrap();
    let error = Function::new(&engine, &module, named()).unwrap_err().to_string();
    assert!(error.contains("env") && error.contains("clock"), "{error}");
}

#[test]
fn an_image_from_before_initialize_is_refused() {
    let engine = engine();
    let wat = r#"(module (func (export "_initialize")) (func (export "_start")))"#;
    let module = Module::from_bytes(&engine, &compile(wat)).unwrap();
    let error = Function::new(&engine, &module, named()).unwrap_err();
    assert!(matches!(error, FunctionError::NotInitialised), "{error}");
    let module = Module::from_bytes(&engine, &build(&engine, wat)).unwrap();
    assert!(Function::new(&engine, &module, named()).is_ok());
}
