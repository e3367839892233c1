//! Running a module once.

mod common;

use common::{compile, engine};
use std::time::Duration;
use wfaas_function::run::{Outcome, RunError, RunOptions, run};
use wfaas_function::{InvokeError, Limits, ShowValue, Span, Spec};
use wfaas_vm::Module;

const EXPORTS: &str = r#"(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (func (export "add") (param i32 i64) (result i64 f64)
    (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1)) (f64.const 0.5))
  (func (export "quit") (param i32) (call $exit (local.get 0)))
  (func (export "forever") (loop br 0))
  (func (export "_start") (call $exit (i32.const 9))))"#;

fn invoking(invoke: Option<&str>) -> RunOptions {
    RunOptions { invoke: invoke.map(str::to_owned), ..RunOptions::default() }
}

fn run_with(wat: &str, invoke: Option<&str>, args: &[&str]) -> Result<Outcome, RunError> {
    let engine = engine();
    let module = Module::from_bytes(&engine, &compile(wat)).unwrap();
    let args = args.iter().copied().map(str::to_owned).collect();
    let limits = Limits { time: Some(Span(Duration::from_millis(500))), ..Limits::default() };
    let spec = Spec { args, limits, ..Spec::default() };
    run(&engine, &module, &spec, &invoking(invoke))
}

#[test]
fn start_gives_the_exit_code() {
    assert!(matches!(run_with(EXPORTS, None, &[]), Ok(Outcome::Exit(9))));
    let silent = r#"(module (func (export "_start")))"#;
    assert!(matches!(run_with(silent, None, &[]), Ok(Outcome::Exit(0))));
}

#[test]
fn an_export_gives_its_results() {
    let Ok(Outcome::Results(values)) = run_with(EXPORTS, Some("add"), &["-2", "0x10"]) else {
        panic!("no results")
    };
    let shown: Vec<String> = values.iter().map(|value| ShowValue(value).to_string()).collect();
    assert_eq!(shown, ["14", "0.5"]);
    assert!(matches!(run_with(EXPORTS, Some("quit"), &["3"]), Ok(Outcome::Exit(3))));
}

#[test]
fn mistakes_are_told_from_failures() {
    let error = run_with(EXPORTS, Some("sub"), &[]).unwrap_err();
    assert!(matches!(error, RunError::NoExport { .. }));
    assert!(error.to_string().contains("add, quit, forever, _start"), "{error}");
    let error = run_with(EXPORTS, Some("add"), &["1"]).unwrap_err();
    assert!(error.to_string().contains("takes 2 argument(s), 1 given"), "{error}");
    let error = run_with(EXPORTS, Some("add"), &["1", "x"]).unwrap_err();
    assert!(error.to_string().contains("argument 2 has to be i64"), "{error}");
    let error = run_with("(module)", None, &[]).unwrap_err();
    assert!(matches!(error, RunError::NothingToRun { .. }), "{error}");
    let error = run_with(EXPORTS, Some("forever"), &[]).unwrap_err();
    assert!(matches!(error, RunError::Guest(InvokeError::Deadline(_))), "{error}");
}

#[test]
fn initialize_runs_before_unless_the_image_has_it() {
    let wat = r#"(module (global $g (mut i32) (i32.const 0))
      (func (export "_initialize") (global.set $g (i32.add (global.get $g) (i32.const 1))))
      (func (export "get") (result i32) global.get $g))"#;
    let Ok(Outcome::Results(values)) = run_with(wat, Some("get"), &[]) else { panic!() };
    assert_eq!(ShowValue(&values[0]).to_string(), "1");
    let engine = engine();
    let module = Module::from_bytes(&engine, &common::build(wat)).unwrap();
    let ran = run(&engine, &module, &Spec::default(), &invoking(Some("get")));
    let Ok(Outcome::Results(values)) = ran else { panic!() };
    assert_eq!(ShowValue(&values[0]).to_string(), "1");
}
