//! ActionLoop programs: a line of JSON in, a line of JSON out; and programs that end by closing stdout.

mod common;

use common::{build, engine, spec};
use http::StatusCode;
use wfaas_function::{
    Abi, AllowedDirs, Body, ByteSize, Exchange, Function, InvokeError, Limits, Spec,
};
use wfaas_vm::Module;

/// Copies its first line to descriptor `fd`, with `before` and `after` around it, and never ends.
fn copies(fd: u32, before: &str, after: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\00\04\00\00\00\10\00\00")
          (data (i32.const 64) "log")
          (func $put (param i32 i32 i32)
            (i32.store (i32.const 0) (local.get 1)) (i32.store (i32.const 4) (local.get 2))
            (if (call $write (local.get 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable)))
          (func (export "_start") (local i32)
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (local.set 0 (i32.load (i32.const 8)))
            {before}
            (call $put (i32.const {fd}) (i32.const 1024) (local.get 0))
            {after}))"#
    )
}

fn function(abi: &str, wat: &str, spec: Spec) -> Function {
    let engine = engine();
    let module = Module::from_bytes(&engine, &build(wat)).unwrap();
    Function::new(&engine, &module, Spec { abi: Some(Abi::new(abi)), ..spec }).unwrap()
}

fn ask(function: &Function, body: &str) -> Result<(StatusCode, String), InvokeError> {
    let answer = function.handle(Exchange::with_body(body))?;
    let (status, body) = (answer.status(), answer.into_body());
    Ok((status, String::from_utf8(body.into_bytes()).unwrap()))
}

/// Never ends by itself.
const FOREVER: &str = "(loop $forever (br $forever))";

#[test]
fn an_answer_is_the_line_on_descriptor_3() {
    let log = "(call $put (i32.const 1) (i32.const 64) (i32.const 3))";
    let echo = function("actionloop", &copies(3, log, FOREVER), spec());
    let answer = ask(&echo, "{\n \"a\": 1 }").unwrap();
    assert_eq!(answer, (StatusCode::OK, "{\"value\":{  \"a\": 1 }}".to_owned()));
    assert_eq!(ask(&echo, "").unwrap().1, "{\"value\":{}}");
    let refused = ask(&echo, "[1]").unwrap_err();
    assert!(matches!(refused, InvokeError::Request(_)), "{refused}");
}

#[test]
fn where_there_are_directories_it_is_the_line_on_stdout() {
    let limits = Limits { tmp: Some(ByteSize(1 << 16)), ..Limits::default() };
    let mut echo = function("actionloop", &copies(1, "", FOREVER), Spec { limits, ..spec() });
    echo.open_dirs(AllowedDirs::Any, None).unwrap();
    assert_eq!(ask(&echo, "{}").unwrap().1, "{\"value\":{}}");
}

#[test]
fn what_is_no_answer_fails() {
    let silent = "(call $exit (i32.const 0))";
    for (before, part) in [(silent, "dictionary"), ("(call $exit (i32.const 7))", "code 7")] {
        let (status, body) =
            ask(&function("actionloop", &copies(3, before, ""), spec()), "{}").unwrap();
        assert_eq!(status, StatusCode::BAD_GATEWAY);
        assert!(body.contains(part), "{body}");
    }
    let limits = Limits { output: Some(ByteSize(8)), ..Limits::default() };
    let short = function("actionloop", &copies(3, "", ""), Spec { limits, ..spec() });
    assert!(matches!(ask(&short, "{}"), Err(InvokeError::OutputLimit(_))));
}

#[test]
fn an_scgi_program_is_not_run_on_once_it_has_closed_stdout() {
    let wat = copies(1, "", &format!("(drop (call $close (i32.const 1))) {FOREVER}"))
        .replace("(local.set 0 (i32.load (i32.const 8)))", "(local.set 0 (i32.const 27))")
        .replace(
            "(data (i32.const 64) \"log\")",
            "(data (i32.const 96) \"content-type: text/plain\\n\\nx\")",
        )
        .replace("(i32.const 1024) (local.get 0)", "(i32.const 96) (local.get 0)");
    let page = function("scgi", &wat, spec());
    let answer = page.handle(Exchange::new(http::Request::new(Body::default()))).unwrap();
    assert_eq!(answer.into_body().into_bytes(), b"x");
}
