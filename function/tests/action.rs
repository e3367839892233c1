//! OpenWhisk actions: commands and guests with a buffer.

mod common;

use common::{spec, try_function};
use http::StatusCode;
use std::sync::{Arc, Mutex};
use wfaas_function::protocols::action::{self, BadBuffer};
use wfaas_function::{Abi, Body, Exchange, Function, InvokeError, LogEvent, LogSink, Spec};

fn action(wat: &str, export: Option<&str>) -> Function {
    let (abi, export) = (Some(Abi::new(action::NAME)), export.map(str::to_owned));
    try_function(wat, Spec { abi, export, ..spec() }).unwrap()
}

/// What an activation wrote: stdout, and lines for stderr.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<(String, Vec<String>)>>);

impl LogSink for Log {
    fn take(&self, event: LogEvent) {
        let LogEvent::Line(line) = event else { panic!("the log is full") };
        self.0.lock().unwrap().1.push(line);
    }

    fn stdout(&self, bytes: &[u8]) {
        self.0.lock().unwrap().0 += std::str::from_utf8(bytes).unwrap();
    }
}

/// Status, answer and stdout of an activation.
fn run(action: &Function, parameters: &str) -> (StatusCode, String, String) {
    let log = Log::default();
    let exchange = Exchange::with_body(parameters);
    let answer = action.handle(Exchange { log: Some(Box::new(log.clone())), ..exchange }).unwrap();
    let (status, body) = (answer.status(), answer.into_body().into_bytes());
    let stdout = log.0.lock().unwrap().0.clone();
    (status, String::from_utf8(body).unwrap(), stdout)
}

/// Text in a module: every byte in hexadecimal.
fn in_wat(text: &str) -> String {
    text.bytes().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A command that writes `before`, then its stdin, then ends as `end` says. `other` writes `before` only.
fn command(before: &str, end: &str) -> String {
    let (text, len) = (in_wat(before), before.len());
    format!(
        r#"(module
        (import "wasi_snapshot_preview1" "fd_read"
            (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 1024) "{text}")
        (func $print (param $ptr i32) (param $len i32)
            (i32.store (i32.const 0) (local.get $ptr))
            (i32.store (i32.const 4) (local.get $len))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
        (func (export "_start")
            (call $print (i32.const 1024) (i32.const {len}))
            (i32.store (i32.const 0) (i32.const 2048))
            (i32.store (i32.const 4) (i32.const 60000))
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (call $print (i32.const 2048) (i32.load (i32.const 8)))
            {end})
        (func (export "other") (call $print (i32.const 1024) (i32.const {len})))
        (func (export "typed") (param i32)))"#,
    )
}

#[test]
fn the_last_line_is_the_result_and_others_are_logs() {
    let echo = action(&command("one\ntwo\n", ""), None);
    assert_eq!(echo.abi().name, "action");
    for _ in 0..2 {
        let (status, result, stdout) = run(&echo, r#"{"a": "☃"}"#);
        assert_eq!((status, &result[..]), (StatusCode::OK, r#"{"a": "☃"}"#));
        assert_eq!(stdout, "one\ntwo\n");
    }
    assert_eq!(run(&echo, "[1, 2]").1, "[1, 2]");
    let (status, result, _) = run(&echo, "17");
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert_eq!(result, r#"{"error":"The action did not return a dictionary or array."}"#);
}

#[test]
fn exits_are_failures_unless_they_are_with_zero() {
    let (status, result, _) = run(&action(&command("", "(call $exit (i32.const 0))"), None), "{}");
    assert_eq!((status, &result[..]), (StatusCode::OK, "{}"));
    let (status, result, stdout) =
        run(&action(&command("log\n", "(call $exit (i32.const 3))"), None), "{}");
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(result.contains("exited with code 3"), "{result}");
    assert_eq!(stdout, "log\n{}\n");
}

#[test]
fn a_trap_keeps_what_was_written() {
    let log = Log::default();
    let exchange = Exchange { log: Some(Box::new(log.clone())), ..Exchange::with_body("{}") };
    let error = action(&command("log\n", "unreachable"), None).handle(exchange).unwrap_err();
    assert!(matches!(error, InvokeError::Trap(_)), "{error:?}");
    assert_eq!(log.0.lock().unwrap().0, "log\n{}\n");
}

#[test]
fn an_export_is_the_program_if_it_is_one() {
    let wat = command("{\"a\": 1}", "");
    assert_eq!(run(&action(&wat, Some("other")), "{}").1, r#"{"a": 1}"#);
    for no_program in ["missing", "typed", "memory"] {
        assert_eq!(run(&action(&wat, Some(no_program)), "").1, "{\"a\": 1}", "{no_program}");
    }
    let (abi, library) = (Some(Abi::new(action::NAME)), r#"(module (memory (export "memory") 1))"#);
    let error = try_function(library, Spec { abi, ..spec() }).unwrap_err().to_string();
    assert!(error.contains("_start"), "{error}");
}

/// Writes its last argument as its result.
const ARGUMENTS: &str = r#"(module
    (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 4)
    (func (export "_start") (local $last i32)
        (drop (call $sizes (i32.const 0) (i32.const 4)))
        (drop (call $args (i32.const 16) (i32.const 1024)))
        (local.set $last (i32.load (i32.add (i32.const 12)
            (i32.mul (i32.const 4) (i32.load (i32.const 0))))))
        (i32.store (i32.const 8) (local.get $last))
        (i32.store (i32.const 12) (i32.sub
            (i32.add (i32.const 1023) (i32.load (i32.const 4))) (local.get $last)))
        (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 0)))))"#;

#[test]
fn short_parameters_are_an_argument_too() {
    let arguments = action(ARGUMENTS, None);
    assert_eq!(run(&arguments, r#"{"a": [1, "é"]}"#).1, r#"{"a": [1, "é"]}"#);
    // Too long: its last argument is its name.
    let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(70_000));
    assert_eq!(run(&arguments, &long).0, StatusCode::BAD_GATEWAY);
}

/// A guest with a buffer at 1024, which `program` fills. `$len` is what it was given.
fn buffered(program: &str) -> String {
    format!(
        r#"(module
        (memory (export "memory") 1)
        (global $len (mut i32) (i32.const 0)) (global $ptr (mut i32) (i32.const 1024))
        (data (i32.const 0) "{{\22Ok\22: [") (data (i32.const 8) "]}}")
        (data (i32.const 16) "{{\22Err\22: 1}}")
        (func (export "wasm_memory_buffer_allocate_space") (param i32)
            (global.set $len (local.get 0)))
        (func (export "get_wasm_memory_buffer_pointer") (result i32) (global.get $ptr))
        (func (export "get_wasm_memory_buffer_len") (result i32) (global.get $len))
        (func (export "_start") {program}))"#
    )
}

#[test]
fn a_buffer_has_parameters_and_result() {
    let wrap = action(
        &buffered(
            "(memory.copy (i32.const 2048) (i32.const 0) (i32.const 8))
            (memory.copy (i32.const 2056) (i32.const 1024) (global.get $len))
            (memory.copy (i32.add (i32.const 2056) (global.get $len)) (i32.const 8) (i32.const 2))
            (global.set $ptr (i32.const 2048))
            (global.set $len (i32.add (global.get $len) (i32.const 10)))",
        ),
        None,
    );
    for _ in 0..2 {
        let (status, result, _) = run(&wrap, r#"{"a": 1}"#);
        assert_eq!((status, &result[..]), (StatusCode::OK, r#"[{"a": 1}]"#));
    }
    let fails = action(
        &buffered("(global.set $ptr (i32.const 16)) (global.set $len (i32.const 10))"),
        None,
    );
    assert_eq!(run(&fails, "{}").1, r#"{"error":1}"#);
    let (status, result, _) = run(&action(&buffered(""), None), "{}");
    assert_eq!(status, StatusCode::BAD_GATEWAY, "{result}");
}

#[test]
fn a_buffer_outside_is_an_error() {
    let outside = action(&buffered("(global.set $ptr (i32.const -4))"), None);
    let error = outside.handle(Exchange::new(http::Request::new(Body::complete("{}"))));
    let bad = BadBuffer { ptr: 0xffff_fffc, bytes: 2 };
    assert_eq!(error.unwrap_err().downcast_ref::<BadBuffer>(), Some(&bad));
}
