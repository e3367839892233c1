//! Programs that are captured where they wait.

mod common;

use common::{engine, handle, spec};
use wfaas_build::{BuildError, Init, InitError, Options, Spec, Until, WarmUp, build};
use wfaas_function::{Abi, Function};
use wfaas_vm::Module;

/// Reads standard input twice, two calls deep, and answers a count made before, and what it read.
const READER: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $count (mut i32) (i32.const 0))
  (func $fill (param $at i32) (result i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (i32.const 100))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.load (i32.const 8)))
  (func (export "_start") (local $len i32) (local $end i32)
    (loop $prepare
      (global.set $count (i32.add (global.get $count) (i32.const 1)))
      (br_if $prepare (i32.lt_u (global.get $count) (i32.const 7))))
    (i32.store8 (i32.const 1024) (i32.add (i32.const 48) (global.get $count)))
    (local.set $end (i32.const 1025))
    (loop $more
      (local.set $len (call $fill (local.get $end)))
      (local.set $end (i32.add (local.get $end) (local.get $len)))
      (br_if $more (local.get $len)))
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.sub (local.get $end) (i32.const 1024)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;

fn options(until: Until) -> Options {
    let init = Some(Init { until: Some(until), ..Init::default() });
    Options { init, ..Options::default() }
}

fn answers(artifact: &[u8], body: &str) -> Vec<String> {
    let engine = engine();
    let module = Module::from_bytes(&engine, artifact).unwrap();
    let function = Function::new(&engine, &module, spec()).unwrap();
    let answer = |_| String::from_utf8(handle(&function, body).unwrap()).unwrap();
    (0..3).map(answer).collect()
}

#[test]
fn a_program_goes_on_where_it_reads() {
    let until = build(READER.as_bytes(), &spec(), &options(Until::Stdin), &()).unwrap();
    let plain = build(READER.as_bytes(), &spec(), &Options::default(), &()).unwrap();
    assert_eq!(answers(&plain.artifact, "hello"), ["7hello"; 3]);
    assert_eq!(answers(&until.artifact, "hello"), ["7hello"; 3]);
    assert_eq!(answers(&until.artifact, ""), ["7"; 3]);
}

#[test]
fn an_import_can_be_waited_for() {
    let name = |name: &str| Until::Import {
        module: "wasi_snapshot_preview1".to_owned(),
        name: name.to_owned(),
    };
    // Standard input is at its end here for nobody: it is not read before.
    let error = build(READER.as_bytes(), &spec(), &options(name("nothing")), &()).unwrap_err();
    assert!(matches!(error, BuildError::Init(InitError::NoImport { .. })), "{error}");
    let until = build(READER.as_bytes(), &spec(), &options(name("fd_read")), &()).unwrap();
    assert_eq!(answers(&until.artifact, "abc"), ["7abc"; 3]);
}

#[test]
fn what_an_image_cannot_keep_is_refused() {
    let program = |before: &str| {
        format!(
            r#"(module
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
          (import "wasi_snapshot_preview1" "environ_get" (func $env (param i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\00\01\00\00\05\00\00\00")
          (func (export "_start") {before}
            (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
        )
    };
    let refusal = |before| {
        let built = build(program(before).as_bytes(), &spec(), &options(Until::Stdin), &());
        built.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!(refusal(""), Ok(()));
    assert_eq!(refusal("(drop (call $close (i32.const 1)))"), Ok(()));
    let written =
        refusal("(drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))");
    let written = written.unwrap_err();
    assert!(written.contains("wrote 5 bytes"), "{written}");
    let reads = program("(drop (call $env (i32.const 64) (i32.const 128)))");
    let cgi = Spec { abi: Some(Abi::new("cgi")), ..spec() };
    let error = build(reads.as_bytes(), &cgi, &options(Until::Stdin), &()).unwrap_err();
    assert!(matches!(error, BuildError::Init(InitError::HasVariables(_))), "{error}");
    build(program("").as_bytes(), &cgi, &options(Until::Stdin), &()).unwrap();
    build(reads.as_bytes(), &spec(), &options(Until::Stdin), &()).unwrap();
}

/// Answers SCGI requests: the number of the request and its last byte.
const SCGI: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\00\04\00\00\00\40\00\00")
  (data (i32.const 16) "\20\00\00\00\1c\00\00\00")
  (data (i32.const 32) "content-type: text/plain\n\n\00\00")
  (func (export "_start") (local i32)
    (loop $next
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set 0 (i32.add (local.get 0) (i32.const 1)))
      (i32.store8 (i32.const 58) (i32.add (i32.const 48) (local.get 0)))
      (i32.store8 (i32.const 59)
        (i32.load8_u (i32.add (i32.const 1023) (i32.load (i32.const 8)))))
      (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8)))
      (br $next))))"#;

#[test]
fn warm_up_requests_are_answered_before() {
    let spec = Spec { abi: Some(Abi::new("scgi")), ..spec() };
    let warm_up = ["a", "b"].map(WarmUp::with_body).to_vec();
    let options = Options { warm_up, ..options(Until::Stdin) };
    let built = build(SCGI.as_bytes(), &spec, &options, &()).unwrap();
    let engine = engine();
    let module = Module::from_bytes(&engine, &built.artifact).unwrap();
    let function = Function::new(&engine, &module, spec.clone()).unwrap();
    for _ in 0..3 {
        // The third request of the program is the first of each faaslet.
        assert_eq!(handle(&function, "xyz").unwrap(), b"3z");
    }
    let plain = build(SCGI.as_bytes(), &spec, &Options::default(), &()).unwrap();
    let module = Module::from_bytes(&engine, &plain.artifact).unwrap();
    let function = Function::new(&engine, &module, spec).unwrap();
    assert_eq!(handle(&function, "xyz").unwrap(), b"1z");
}

#[test]
fn a_program_that_never_waits_is_refused() {
    let module = r#"(module (func (export "_start")))"#;
    let error = build(module.as_bytes(), &spec(), &options(Until::Stdin), &()).unwrap_err();
    assert!(matches!(error, BuildError::Init(InitError::NeverWaits)), "{error}");
}

/// A session needs frames of the next wait, of which only a program that was built for sessions has maps.
#[test]
fn a_program_has_sessions_if_it_was_built_with_them() {
    let engine = engine();
    let plain = Spec { abi: Some(Abi::new("scgi")), ..spec() };
    let with_sessions = Spec::from_json(r#"{"session": {"header": "x-session"}}"#).unwrap();
    let with_sessions = with_sessions.over(plain.clone());
    let try_sessions = |built_with: &Spec, served_with: &Spec| {
        let built = build(SCGI.as_bytes(), built_with, &options(Until::Stdin), &()).unwrap();
        let module = Module::from_bytes(&engine, &built.artifact).unwrap();
        let function = Function::new(&engine, &module, served_with.clone());
        function
            .map(|function| handle(&function, "xyz").unwrap())
            .map_err(|error| error.to_string())
    };
    let error = try_sessions(&plain, &with_sessions).unwrap_err();
    assert!(error.contains("session") && error.contains("without sessions"), "{error}");
    assert_eq!(try_sessions(&with_sessions, &with_sessions), Ok(b"1z".to_vec()));
    assert_eq!(try_sessions(&with_sessions, &plain), Ok(b"1z".to_vec()));
    let wasi = Spec { abi: Some(Abi::new("wasi")), ..with_sessions };
    let built = build(READER.as_bytes(), &wasi, &options(Until::Stdin), &()).unwrap();
    let module = Module::from_bytes(&engine, &built.artifact).unwrap();
    let error = Function::new(&engine, &module, wasi).unwrap_err().to_string();
    assert!(error.contains("one request after another"), "{error}");
}
