//! Sessions of programs that are captured where they wait: the next request goes on from where the program waits after
//! the one before.

use super::support::{Response, Server, scratch, wait_until, write};
use std::path::{Path, PathBuf};

/// An SCGI program with its state in locals of functions that wait, in memory, and in a descriptor. Bodies are one
/// character: a digit is added to a sum, `o` opens `/letters`, `r` reads its next byte, `t` looks whether the monotonic
/// clock goes on, `e` waits for the next request elsewhere, `q` exits after the answer. Answers: the number of the
/// request, the sum as a letter, and the byte.
const PROGRAM: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $file (mut i32) (i32.const -1))
  (data (i32.const 16) "\00\02\00\00\1c\00\00\00")
  (data (i32.const 64) "letters")
  (data (i32.const 512) "content-type: text/plain\n\n")
  (func $bytes (param $fd i32) (param $frame i32) (param $at i32) (param $most i32) (result i32)
    (i32.store (local.get $frame) (local.get $at))
    (i32.store offset=4 (local.get $frame) (local.get $most))
    (drop (call $read (local.get $fd) (local.get $frame) (i32.const 1) (i32.add (local.get $frame) (i32.const 8))))
    (i32.load offset=8 (local.get $frame)))
  (func $accept (param $frame i32) (result i32)
    (i32.load8_u (i32.add (i32.const 1023)
      (call $bytes (i32.const 0) (i32.sub (local.get $frame) (i32.const 16)) (i32.const 1024) (i32.const 16384)))))
  (func $answer (param $count i32) (param $sum i64) (param $byte i32)
    (i32.store8 (i32.const 538) (i32.add (i32.const 48) (local.get $count)))
    (i32.store8 (i32.const 539) (i32.add (i32.const 65) (i32.wrap_i64 (local.get $sum))))
    (i32.store8 (i32.const 540) (local.get $byte))
    (i32.store (i32.const 20) (i32.const 29))
    (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 8))))
  (func $special (param $frame i32) (param $kind i32) (result i32)
    (if (i32.eq (local.get $kind) (i32.const 111)) (then
      (drop (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 7) (i32.const 0)
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 80)))
      (global.set $file (i32.load (i32.const 80)))))
    (if (i32.eq (local.get $kind) (i32.const 114)) (then
      (if (i32.eqz (call $bytes (global.get $file) (local.get $frame) (i32.const 96) (i32.const 1)))
        (then (return (i32.const 36))))
      (return (i32.load8_u (i32.const 96)))))
    (if (i32.eq (local.get $kind) (i32.const 116)) (then
      (drop (call $time (i32.const 1) (i64.const 1) (i32.const 104)))
      (local.set $kind (select (i32.const 62) (i32.const 60)
        (i64.gt_u (i64.load (i32.const 104)) (i64.load (i32.const 112)))))
      (i64.store (i32.const 112) (i64.load (i32.const 104)))))
    (local.get $kind))
  (func $serve (param $frame i32) (local $count i32) (local $sum i64) (local $kind i32)
    (loop $next
      (local.set $count (i32.add (local.get $count)
        (block (result i32)
          (local.set $kind (call $accept (local.get $frame)))
          (i32.const 1))))
      (if (i32.lt_u (i32.sub (local.get $kind) (i32.const 48)) (i32.const 10))
        (then (local.set $sum (i64.add (local.get $sum)
          (i64.extend_i32_u (i32.sub (local.get $kind) (i32.const 48)))))))
      (call $answer (local.get $count) (local.get $sum)
        (call $special (i32.sub (local.get $frame) (i32.const 32)) (local.get $kind)))
      (if (i32.eq (local.get $kind) (i32.const 101))
        (then (drop (call $accept (local.get $frame)))))
      (if (i32.eq (local.get $kind) (i32.const 113)) (then (call $exit (i32.const 0))))
      (br $next)))
  (func (export "_start") (call $serve (i32.const 65536))))"#;

const SETTINGS: &str = r#"name = "sums"
wasm = "sums.wat"
abi = "scgi"
init = { until = "stdin" }
warmup = [{ body = "1" }, { body = "2" }]
session = { header = "x-session", bytes = "64KiB" }

[files]
"letters" = "/letters"
"#;

fn folder(at: &Path, settings: &str) -> PathBuf {
    write(at, "sums.wat", PROGRAM);
    write(at, "letters", "abc");
    write(at, "faas.toml", settings);
    at.to_owned()
}

fn ask(server: &Server, id: Option<&str>, body: &str) -> Response {
    let headers: Vec<(&str, &str)> = id.map(|id| ("x-session", id)).into_iter().collect();
    server.request("POST", "/sums", &headers, body.as_bytes())
}

#[test]
fn a_session_goes_on_where_its_program_waits() {
    let folder_of_test = scratch();
    let source = folder(folder_of_test.path(), SETTINGS);
    let server = Server::start(&source.join("store"), &[&source]);
    // The warm-up requests were 1 and 2.
    let first = ask(&server, None, "3");
    assert_eq!((first.status, first.text().as_str()), (200, "3G3"), "{}", server.log());
    let id = first.header("x-session").expect("an id").to_owned();
    for (body, expected) in
        [("4", "4K4"), ("0", "5K0"), ("o", "6Ko"), ("r", "7Ka"), ("r", "8Kb"), ("5", "9P5")]
    {
        assert_eq!(ask(&server, Some(&id), body).text(), expected, "{body}");
    }
    assert_eq!(ask(&server, Some(&id), "r").text(), ":Pc");
    assert_eq!(ask(&server, Some(&id), "r").text(), ";P$", "the end of the file");
    for round in 0..3 {
        let clock = ask(&server, Some(&id), "t").text();
        assert!(clock.ends_with('>'), "{round}: the clock goes back: {clock}");
    }
    let other = ask(&server, None, "1");
    assert_eq!(other.text(), "3E1", "another session begins where the program was captured");
    assert_eq!(ask(&server, other.header("x-session"), "r").text(), "4E$", "and has no file");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_session_ends_with_its_program() {
    let folder_of_test = scratch();
    let source = folder(folder_of_test.path(), SETTINGS);
    let server = Server::start(&source.join("store"), &[&source]);
    let id = ask(&server, None, "3").header("x-session").expect("an id").to_owned();
    let last = ask(&server, Some(&id), "q");
    assert_eq!((last.status, last.text().as_str()), (200, "4Gq"));
    assert_eq!(last.header("x-session"), None);
    wait_until("the reason is in the log", || server.log().contains("its session ends"));
    let next = ask(&server, Some(&id), "3");
    assert_eq!(next.text(), "3G3", "a new session");
    assert_ne!(next.header("x-session"), Some(id.as_str()));
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_program_that_waits_elsewhere_leaves_the_state_as_it_was() {
    let folder_of_test = scratch();
    let source = folder(folder_of_test.path(), SETTINGS);
    let server = Server::start(&source.join("store"), &[&source]);
    let id = ask(&server, None, "3").header("x-session").expect("an id").to_owned();
    assert_eq!(ask(&server, Some(&id), "e").status, 507);
    wait_until("the reason is in the log", || server.log().contains("where it has waited before"));
    assert_eq!(ask(&server, Some(&id), "1").text(), "4H1");
    assert_eq!(server.stop(), Some(0));
    // It is no other place for a program that was warmed up there.
    let other = SETTINGS.replace(
        r#"{ body = "2" }"#,
        r#"{ body = "e" }, { body = "2" }, { body = "e" }, { body = "2" }"#,
    );
    let folder_of_test = scratch();
    let source = folder(folder_of_test.path(), &other);
    let server = Server::start(&source.join("store"), &[&source]);
    let first = ask(&server, None, "e");
    assert_eq!((first.status, first.text().as_str()), (200, "4Be"), "{}", server.log());
    let id = first.header("x-session").expect("an id").to_owned();
    assert_eq!(ask(&server, Some(&id), "9").status, 502, "a request that is read and not answered");
    assert_eq!(server.stop(), Some(0));
}

/// An ActionLoop program with a sum in a local: each line adds a digit.
const ACTION: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\00\04\00\00\00\10\00\00")
  (data (i32.const 16) "\40\00\00\00\0c\00\00\00")
  (data (i32.const 64) "{\"sum\":\"A\"}\n")
  (func (export "_start") (local $sum i32)
    (loop $next
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      ;; {"value":{"add":D}}
      (local.set $sum (i32.add (local.get $sum)
        (i32.sub (i32.load8_u (i32.const 1040)) (i32.const 48))))
      (i32.store8 (i32.const 72) (i32.add (i32.const 65) (local.get $sum)))
      (drop (call $write (i32.const 3) (i32.const 16) (i32.const 1) (i32.const 8)))
      (br $next))))"#;

#[test]
fn a_session_of_an_action_goes_on_with_its_next_line() {
    let folder_of_test = scratch();
    let source = folder_of_test.path();
    write(source, "action.wat", ACTION);
    let settings = r#"name = "sums"
wasm = "action.wat"
abi = "actionloop"
init = { until = "stdin" }
warmup = [{ body = '{"add":1}' }]
session = { header = "x-session" }
"#;
    write(source, "faas.toml", settings);
    let server = Server::start(&source.join("store"), &[source]);
    let first = ask(&server, None, r#"{"add":2}"#);
    assert_eq!((first.status, first.text().as_str()), (200, r#"{"sum":"D"}"#), "{}", server.log());
    let id = first.header("x-session").expect("an id");
    for (body, expected) in [(r#"{"add":3}"#, r#"{"sum":"G"}"#), (r#"{"add":9}"#, r#"{"sum":"P"}"#)]
    {
        assert_eq!(ask(&server, Some(id), body).text(), expected, "{body}");
    }
    assert_eq!(ask(&server, None, r#"{"add":0}"#).text(), r#"{"sum":"B"}"#, "another session");
    assert_eq!(ask(&server, Some(id), "[]").status, 400, "no line of an action");
    assert_eq!(ask(&server, Some(id), r#"{"add":1}"#).text(), r#"{"sum":"Q"}"#);
    assert_eq!(server.stop(), Some(0));
}
