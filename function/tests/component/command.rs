//! Command components.

use crate::fused::{Fused, STUB};
use wfaas_function::{Exchange, InvokeError};
use wfaas_vm::component::Type;
use wfaas_wasi::preview2::Violation;

/// A command that has stdin, stdout and `exit`; `$run` is its text.
fn command(run: &str) -> Fused {
    let mut fused = Fused::default();
    let input = fused.resource("wasi:io/streams@0.2.6", "input-stream");
    let output = fused.resource("wasi:io/streams@0.2.6", "output-stream");
    let (own_input, own_output) = (fused.own(input), fused.own(output));
    let (borrow_input, borrow_output) = (fused.borrow(input), fused.borrow(output));
    let error = fused.stream_error();
    let (byte, long) = (fused.ty(Type::U8), fused.ty(Type::U64));
    let bytes = fused.ty(Type::List(byte));
    let done = fused.result(None, Some(error));
    let read = fused.result(Some(bytes), Some(error));
    let status = fused.result(None, None);
    fused.import(
        ("wasi:cli/stdin@0.2.6", "get-stdin"),
        ("stdin", "(result i32)"),
        &[],
        Some(own_input),
    );
    fused.import(
        ("wasi:cli/stdout@0.2.0", "get-stdout"),
        ("stdout", "(result i32)"),
        &[],
        Some(own_output),
    );
    fused.import(
        ("wasi:io/streams@0.2.6", "[method]input-stream.blocking-read"),
        ("read", "(param i32 i64 i32) (result i64)"),
        &[borrow_input, long],
        Some(read),
    );
    fused.import(
        ("wasi:io/streams@0.2.6", "[method]output-stream.blocking-write-and-flush"),
        ("write", "(param i32 i32 i32 i32)"),
        &[borrow_output, bytes],
        Some(done),
    );
    fused.import(("wasi:cli/exit@0.2.6", "exit"), ("exit", "(param i32)"), &[status], None);
    fused.import(("wasi:unheard/of@0.2.6", "thing"), ("unheard", "(param i64)"), &[long], None);
    fused.realloc_next();
    fused.resource_drop("drop_input", input);
    fused.resource_drop("drop_output", output);
    fused.body(&format!("(func (export \"run\") (result i32) (local $request i64) {run})"));
    fused.export(("wasi:cli/run@0.2.6", "run"), "run", &[], Some(status));
    fused
}

fn answer(run: &str, body: &[u8]) -> Result<Vec<u8>, InvokeError> {
    let function = command(run).try_function().expect("it is a function");
    assert_eq!(function.abi().name, "component-command");
    function.handle(Exchange::with_body(body)).map(|answer| answer.into_body().into_bytes())
}

/// Reads from stdin into memory: `result` at 16, address and length of the bytes at 20 and 24.
fn read() -> String {
    format!("(call $read (call $stdin) (i64.const 100) (i32.const 16)) {STUB}")
}

fn violation(run: &str) -> Violation {
    let error = answer(run, b"body").expect_err("it breaks a rule");
    error.downcast_ref::<Violation>().unwrap_or_else(|| panic!("{error}")).clone()
}

#[test]
fn stdin_is_the_body_and_stdout_the_answer() {
    let echo = format!(
        "{} (call $write (call $stdout) (i32.load (i32.const 20)) (i32.load (i32.const 24)) (i32.const 64))
            (i32.load8_u (i32.const 64))",
        read()
    );
    assert_eq!(answer(&echo, b"some body").unwrap(), b"some body");
    // An empty body is the end: `err(closed)`, and nothing was allocated.
    let end = format!(
        "{} (i32.or (i32.ne (i32.load8_u (i32.const 16)) (i32.const 1))
            (i32.or (i32.ne (i32.load8_u (i32.const 20)) (i32.const 1))
                (i32.ne (global.get $end) (i32.const 65536))))",
        read()
    );
    assert_eq!(answer(&end, b"").unwrap(), b"");
}

#[test]
fn the_result_of_run_and_exit_are_exit_codes() {
    assert!(matches!(answer("(i32.const 1)", b""), Err(InvokeError::Exit(1))));
    assert!(matches!(
        answer("(call $exit (i32.const 1)) (i32.const 0)", b""),
        Err(InvokeError::Exit(1))
    ));
    assert!(answer("(call $exit (i32.const 0)) unreachable", b"").is_ok());
}

#[test]
fn an_import_that_nobody_has_ends_the_guest_with_its_name() {
    let Violation::Missing(name) = violation("(call $unheard (i64.const 0)) (i32.const 0)") else {
        panic!("another violation")
    };
    assert_eq!(name, "wasi:unheard/of@0.2.6 thing");
}

#[test]
fn a_guest_that_breaks_a_rule_is_ended() {
    let write = |handle: &str, ptr: &str, len: &str, to: &str| {
        format!(
            "(call $write {handle} (i32.const {ptr}) (i32.const {len}) (i32.const {to}))
                (i32.const 0)"
        )
    };
    let stdout = "(call $stdout)";
    assert_eq!(violation(&write("(i32.const 1)", "0", "1", "64")), Violation::BadHandle(1));
    assert_eq!(violation(&write("(call $stdin)", "0", "1", "64")), Violation::BadHandle(1));
    assert_eq!(violation(&write(stdout, "131072", "1", "64")), Violation::OutOfBounds);
    assert_eq!(violation(&write(stdout, "-1", "-1", "64")), Violation::OutOfBounds);
    assert_eq!(violation(&write(stdout, "0", "1", "65")), Violation::Misaligned);
    assert_eq!(violation(&write(stdout, "0", "1", "131064")), Violation::OutOfBounds);
    let twice =
        "(call $drop_output (call $stdout)) (call $drop_output (i32.const 1)) (i32.const 0)";
    assert_eq!(violation(twice), Violation::BadHandle(1));
    let other = "(call $drop_input (call $stdout)) (i32.const 0)";
    assert_eq!(violation(other), Violation::BadHandle(1));
    assert_eq!(
        violation("(drop (call $next (i32.const 8))) (i32.const 0)"),
        Violation::NothingPending
    );
    let begun = "(drop (call $read (call $stdin) (i64.const 100) (i32.const 16)))";
    let outside = format!("{begun} (drop (call $next (i32.const 131070))) (i32.const 0)");
    assert_eq!(violation(&outside), Violation::OutOfBounds);
    let leaves = format!("{begun} (call $drop_output (i32.const 1)) (i32.const 0)");
    assert_eq!(violation(&leaves), Violation::MayNotLeave);
    let leaves = format!("{begun} (drop (call $stdout)) (i32.const 0)");
    assert_eq!(violation(&leaves), Violation::MayNotLeave);
}

#[test]
fn handles_do_not_outlive_a_request() {
    let function = command(
        "(call $write (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 64)) (i32.const 0)",
    );
    let function = function.try_function().expect("it is a function");
    let leaves = command("(drop (call $stdout)) (i32.const 0)");
    leaves.try_function().expect("it is a function").handle(Exchange::default()).unwrap();
    for _ in 0..3 {
        let error = function.handle(Exchange::default()).expect_err("there is no handle yet");
        assert_eq!(error.downcast_ref::<Violation>(), Some(&Violation::BadHandle(1)));
    }
}

#[test]
fn a_component_without_an_entry_is_no_function() {
    let mut fused = Fused::default();
    fused.body("(func (export \"_start\"))");
    let nothing = fused.ty(Type::Bool);
    fused.export(("a:b/c", "d"), "_start", &[nothing], None);
    let error = fused.try_function().expect_err("it has no entry");
    assert!(error.to_string().contains("wasi:cli/run"), "{error}");
}
