//! Functions: detection, reactors, isolation, limits.

mod common;

use common::{answer, build, compile, engine, function, handle, spec, try_function};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use wfaas_function::protocols::reactor::{BadAnswer, NoRoom};
use wfaas_function::{
    Abi, Body, ByteSize, Exchange, Function, FunctionError, InvokeError, Reset, Span,
};
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
    let reverse = function(REVERSE, spec());
    assert_eq!(reverse.abi().name, "reactor");
    assert_eq!(handle(&reverse, "stressed").unwrap(), b"desserts");
    assert_eq!(handle(&reverse, "").unwrap(), b"");
    assert_eq!(handle(&reverse, "ab").unwrap(), b"ba");
}

#[test]
fn functions_answer_from_many_threads() {
    let reverse = function(REVERSE, spec());
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let reverse = &reverse;
            scope.spawn(move || {
                for n in 0..200u8 {
                    let answer = handle(reverse, [n, thread]).unwrap();
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
    let bad = BadAnswer { ptr: u32::MAX, len: 16 };
    assert_eq!(error.downcast_ref(), Some(&bad), "{error}");
    let edge = reactor("i32.const 8", "i64.const 0x0000_ffff_0000_0002");
    assert!(answer(&edge, b"x").unwrap_err().downcast_ref::<BadAnswer>().is_some());
    let last = reactor("i32.const 8", "i64.const 0x0000_ffff_0000_0001");
    assert_eq!(answer(&last, b"x").unwrap(), [0]);
    let huge = reactor("i32.const 8", "i64.const 0x0000_0000_ffff_ffff");
    assert!(matches!(answer(&huge, b"x"), Err(InvokeError::OutputLimit(_))));
    for alloc in ["i32.const 0", "i32.const -1", "i32.const 65535"] {
        let error = answer(&reactor(alloc, "i64.const 0"), b"xy").unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(NoRoom { bytes: 2, .. })), "{alloc}: {error}");
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
    let sometimes = function(wat, spec());
    for _ in 0..5 {
        assert!(matches!(handle(&sometimes, "x"), Err(InvokeError::Trap(_))));
        assert_eq!(handle(&sometimes, "").unwrap(), [1]);
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
    let mut limited = spec();
    limited.limits.time = Some(Span(Duration::from_millis(100)));
    let forever = function(r#"(module (func (export "_start") (loop br 0)))"#, limited);
    let began = Instant::now();
    assert!(matches!(handle(&forever, ""), Err(InvokeError::Deadline(_))));
    assert!(began.elapsed() < Duration::from_secs(5));
    // A deadline that has passed already.
    let exchange = Exchange { deadline: Some(Instant::now()), ..Exchange::default() };
    assert!(matches!(forever.handle(exchange), Err(InvokeError::Deadline(_))));
}

#[test]
fn processor_time_is_limited_if_the_specification_says_so() {
    let mut limited = spec();
    limited.limits.cpu = Some(Span(Duration::from_millis(50)));
    let forever = function(r#"(module (func (export "_start") (loop br 0)))"#, limited.clone());
    let error = handle(&forever, "").unwrap_err();
    assert!(matches!(error, InvokeError::CpuLimit(_)), "{error}");
    assert!(error.to_string().contains("processor time limit exceeded"), "{error}");
    limited.limits.cpu = None;
    limited.limits.time = Some(Span(Duration::from_millis(50)));
    let forever = function(r#"(module (func (export "_start") (loop br 0)))"#, limited);
    assert!(matches!(handle(&forever, ""), Err(InvokeError::Deadline(_))));
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
    let mut limited = spec();
    limited.limits.memory = Some(ByteSize(10 * 65536));
    let grow = function(wat, limited);
    for _ in 0..2 {
        assert_eq!(handle(&grow, "").unwrap(), [10, 0, 0, 0]);
    }
    let mut limited = spec();
    limited.limits.memory = Some(ByteSize(65535));
    let error = try_function(wat, limited).unwrap_err();
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
        let error = try_function(wat, spec()).unwrap_err();
        assert!(matches!(error, FunctionError::Abi(_)), "{wat}: {error}");
        assert!(error.to_string().contains(reason), "{wat}: {error}");
    }
}

#[test]
fn the_abi_can_be_chosen_if_a_module_is_both() {
    let both = REVERSE.replacen("(module", r#"(module (func (export "_start"))"#, 1);
    assert_eq!(function(&both, spec()).abi().name, "reactor");
    let mut limited = spec();
    limited.abi = Some(Abi::new("wasi"));
    let command = function(&both, limited.clone());
    assert_eq!(command.abi().name, "wasi");
    assert_eq!(handle(&command, "ab").unwrap(), b"");
    assert!(try_function(REVERSE, limited).is_err());
}

#[test]
fn imports_that_nobody_defines_are_named() {
    let engine = engine();
    let wat = r#"(module (import "env" "clock" (func)) (func (export "_start")))"#;
    let module = Module::from_bytes(&engine, &compile(wat)).unwrap();
    let error = Function::new(&engine, &module, spec()).unwrap_err().to_string();
    assert!(error.contains("env") && error.contains("clock"), "{error}");
}

/// It has no image if that could not be captured, or nobody tried.
#[test]
fn instances_without_an_image_run_initialize_for_each_request() {
    let engine = engine();
    let wat = |body: &str| {
        format!(
            r#"(module (tag $e) (memory (export "memory") 1)
              (global $g (mut exnref) (ref.null exn))
              (func (export "_initialize")
                (i32.store8 (i32.const 8) (i32.add (i32.load8_u (i32.const 8)) (i32.const 65)))
                {body})
              (func (export "faas_alloc") (param i32) (result i32) (i32.const 64))
              (func (export "faas_handle") (param i32 i32) (result i64)
                (i64.const 0x800000001)))"#
        )
    };
    let exception = "(block $h (result exnref) (try_table (catch_all_ref $h) (throw $e))
        (unreachable)) (global.set $g)";
    for artifact in [build(&wat(exception)), compile(&wat("")), build(&wat(""))] {
        let module = Module::from_bytes(&engine, &artifact).unwrap();
        let function = Function::new(&engine, &module, spec()).unwrap();
        for _ in 0..3 {
            assert_eq!(handle(&function, "").unwrap(), b"A");
        }
    }
    let module = Module::from_bytes(&engine, &compile(&wat("unreachable"))).unwrap();
    let function = Function::new(&engine, &module, spec()).unwrap();
    assert!(matches!(handle(&function, ""), Err(InvokeError::Trap(_))));
}

#[test]
fn a_start_function_that_each_instance_has_to_run_is_refused() {
    let engine = engine();
    let wat = "(module (func $f) (start $f) (func (export \"_start\")))";
    let module = Module::from_bytes(&engine, &compile(wat)).unwrap();
    let error = Function::new(&engine, &module, spec()).unwrap_err();
    assert!(matches!(error, FunctionError::NotInitialised), "{error}");
    let module = Module::from_bytes(&engine, &build(wat)).unwrap();
    assert!(Function::new(&engine, &module, spec()).is_ok());
}

#[test]
fn a_guest_reads_the_request_in_its_environment() {
    // Answers 200 bytes of what `environ_get` gives.
    let wat = r#"(module
      (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\00\01\00\00\c8\00\00\00")
      (func (export "_start")
        (if (call $get (i32.const 1024) (i32.const 256)) (then unreachable))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    let mut configured = spec();
    let env = [("KEY", "value"), ("PATH_INFO", "hidden")];
    configured.env = env.map(|(name, value)| (name.into(), value.into())).into();
    let get = function(wat, configured);
    let request = http::Request::get("/f/x?a=b").body(Body::default()).unwrap();
    let exchange = Exchange { id: "id-1".into(), route_bytes: 2, ..Exchange::new(request) };
    let text = String::from_utf8(get.handle(exchange).unwrap().into_body().into_bytes()).unwrap();
    let expected =
        "REQUEST_METHOD=GET\0PATH_INFO=/x\0QUERY_STRING=a=b\0REQUEST_ID=id-1\0KEY=value\0\0";
    assert!(text.starts_with(expected), "{text:?}");
    // Without a request there is only the configuration, also in a used slot.
    let text = String::from_utf8(handle(&get, "").unwrap()).unwrap();
    assert!(text.starts_with("KEY=value\0PATH_INFO=hidden\0\0"), "{text:?}");
}

#[test]
fn mistakes_in_a_specification_name_the_field() {
    let mut wrong = spec();
    wrong.env = [("A=B".into(), "c".into())].into();
    let error = try_function(REVERSE, wrong).unwrap_err().to_string();
    assert!(error.starts_with("env: ") && error.contains("A=B"), "{error}");
    let mut wrong = spec();
    wrong.args = vec!["a\0b".into()];
    let error = try_function(REVERSE, wrong).unwrap_err().to_string();
    assert!(error.starts_with("args: "), "{error}");
    let mut wrong = spec();
    wrong.limits.output = Some(ByteSize(0));
    let error = try_function(REVERSE, wrong).unwrap_err().to_string();
    assert!(error.starts_with("limits.output: "), "{error}");
}

#[test]
fn a_stream_that_a_request_closed_is_open_for_the_next() {
    let wat = r#"(module
      (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\10\00\00\00\02\00\00\00") (data (i32.const 16) "ok")
      (func (export "_start")
        (if (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))
          (then unreachable))
        (if (call $close (i32.const 1)) (then unreachable))))"#;
    let closing = function(wat, spec());
    for _ in 0..3 {
        assert_eq!(handle(&closing, "").unwrap(), b"ok");
    }
}

fn handle_async(function: &Function, body: &str) {
    let mut handled = pin!(function.handle_async(Exchange::with_body(body)));
    let mut context = Context::from_waker(Waker::noop());
    while handled.as_mut().poll(&mut context).map(Result::unwrap).is_pending() {}
}

/// What is left is known from the slots, which learn the pages of requests that repeat themselves.
#[test]
fn resets_of_many_pages_are_left_to_the_background() {
    // Writes to a page of 4 KiB for each byte of the body.
    let wat = r#"(module (memory (export "memory") 16)
      (func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
      (func (export "faas_handle") (param i32 i32) (result i64)
        (loop $next
          (if (local.get 1) (then
            (i32.store8 (i32.shl (local.get 1) (i32.const 12)) (i32.const 1))
            (local.set 1 (i32.sub (local.get 1) (i32.const 1)))
            (br $next))))
        (i64.const 0)))"#;
    let left = |pages: usize| {
        let (mut function, left) = (function(wat, spec()), Arc::new(Mutex::new(Vec::new())));
        let background = left.clone();
        function.set_background(Box::new(move |work| background.lock().unwrap().push(work)));
        for _ in 0..8 {
            left.lock().unwrap().clear();
            handle_async(&function, &"x".repeat(pages));
        }
        let last = std::mem::take(&mut *left.lock().unwrap());
        assert!(last.iter().all(|reset| matches!(reset, Reset::Short(_))));
        assert_eq!(function.pool().has_idle(), last.is_empty());
        let count = last.len();
        drop(last);
        assert!(function.pool().has_idle(), "it is back in the pool");
        count
    };
    assert_eq!((left(4), left(200)), (0, 1));
}

#[test]
fn long_resets_are_left_to_the_background() {
    // 64 MiB, of which a request writes to all or to nothing.
    let wat = r#"(module (memory (export "memory") 1024)
      (func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
      (func (export "faas_handle") (param i32 i32) (result i64)
        (memory.fill (i32.const 65536) (i32.const 1) (i32.shl (local.get 1) (i32.const 25)))
        (i64.const 0)))"#;
    let mut function = function(wat, spec());
    let left = Arc::new(Mutex::new(Vec::new()));
    let background = left.clone();
    function.set_background(Box::new(move |work| background.lock().unwrap().push(work)));
    let handle = |body: &str| {
        handle_async(&function, body);
        left.lock().unwrap().len()
    };
    assert_eq!(handle(""), 0, "nothing was written to");
    assert_eq!(handle("x"), 1);
    let Some(Reset::Long(mut reset)) = left.lock().unwrap().pop() else { panic!("it is long") };
    while reset() {}
    assert!(!function.pool().has_idle(), "it is not done yet");
    drop(reset);
    assert!(function.pool().has_idle(), "it is back in the pool");
}
