//! The standard streams, waiting for them, and how a command ends.

mod common;

use common::{answer, exit_code, is_late, program};
use std::time::{Duration, Instant};
use wfaas_wasi::{Input, Output, OutputLimit};

/// Copies stdin to stdout, through two buffers of three and five bytes.
const CAT: &str = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\00\01\00\00\03\00\00\00\03\01\00\00\05\00\00\00")
  (func (export "_start")
    (loop $more
      (if (call $read (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 64))
        (then unreachable))
      (if (i32.load (i32.const 64))
        (then
          (i32.store (i32.const 32) (i32.const 256))
          (i32.store (i32.const 36) (i32.load (i32.const 64)))
          (if (call $write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 68))
            (then unreachable))
          (if (i32.ne (i32.load (i32.const 64)) (i32.load (i32.const 68))) (then unreachable))
          (br $more))))))"#;

#[test]
fn stdin_arrives_and_stdout_is_the_answer() {
    for len in [0, 1, 3, 8, 9, 1000] {
        let body: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
        assert_eq!(answer(CAT, &body).unwrap(), body, "{len} bytes");
    }
}

#[test]
fn too_much_output_ends_the_call() {
    let cat = |bytes: usize| {
        let body = vec![7; bytes];
        let cat = program(CAT).with(|wasi| wasi.stdin(Input::bytes(body)));
        cat.with(|wasi| wasi.stdout(Output::capture(1000))).run()
    };
    assert_eq!(cat(1000).unwrap(), [7; 1000]);
    let error = cat(1001).unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&OutputLimit { bytes: 1000 }), "{error}");
    assert!(error.to_string().starts_with("output limit exceeded"), "{error}");
}

#[test]
fn gigabytes_of_output_are_not_kept() {
    let wat = r#"(module
      (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1024)
      (func (export "_start")
        (i32.store (i32.const 4) (i32.const 67108864))
        (loop $more
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
          (br $more))))"#;
    assert!(answer(wat, b"").unwrap_err().downcast_ref::<OutputLimit>().is_some());
    // The log does not end a call, it stops listening: here the deadline ends it.
    let mut log = program(&wat.replace("$write (i32.const 1)", "$write (i32.const 2)"));
    log.time = Duration::from_millis(200);
    assert!(is_late(&log.run().unwrap_err()));
}

#[test]
fn the_exit_code_decides() {
    let exit = |code: &str| {
        format!(
            r#"(module
              (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
              (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
              (memory (export "memory") 1)
              (data (i32.const 0) "\10\00\00\00\02\00\00\00") (data (i32.const 16) "ok")
              (func (export "_start")
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                (call $exit (i32.const {code}))
                unreachable))"#
        )
    };
    assert_eq!(answer(&exit("0"), b"").unwrap(), b"ok");
    assert_eq!(exit_code(&answer(&exit("3"), b"").unwrap_err()), Some(3));
    assert_eq!(exit_code(&answer(&exit("-1"), b"").unwrap_err()), Some(u32::MAX));
}

#[test]
fn a_closed_stream_keeps_what_was_written() {
    let wat = r#"(module
      (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\10\00\00\00\02\00\00\00") (data (i32.const 16) "ok")
      (func $out (result i32)
        (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
      (func (export "_start")
        (if (call $out) (then (call $exit (i32.const 1))))
        (if (call $close (i32.const 1)) (then (call $exit (i32.const 2))))
        (if (i32.ne (call $out) (i32.const 8)) (then (call $exit (i32.const 3))))
        (if (i32.ne (call $close (i32.const 1)) (i32.const 8)) (then (call $exit (i32.const 4))))))"#;
    assert_eq!(answer(wat, b"").unwrap(), b"ok");
}

/// Waits with `poll_oneoff` for `subscriptions` (WAT data, 48 bytes each), and answers the number
/// of events and 96 bytes of them.
fn poll(subscriptions: &str, count: u32) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "poll_oneoff"
            (func $poll (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\00\10\00\00\64\00\00\00")
          {subscriptions}
          (func (export "_start")
            (if (call $poll (i32.const 512) (i32.const 4100) (i32.const {count}) (i32.const 4096))
              (then unreachable))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    )
}

#[test]
fn poll_sleeps_until_the_first_clock() {
    // Subscription 0: an hour on the monotonic clock; 1: 50 ms (0x02faf080 ns), relative.
    let wat = poll(
        r#"(data (i32.const 512) "\01") (data (i32.const 528) "\01")
           (data (i32.const 536) "\00\a0\b8\30\46\03\00\00")
           (data (i32.const 560) "\02") (data (i32.const 576) "\01")
           (data (i32.const 584) "\80\f0\fa\02\00\00\00\00")"#,
        2,
    );
    let began = Instant::now();
    let bytes = answer(&wat, b"").unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(50) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(bytes[..4], [1, 0, 0, 0], "one event");
    assert_eq!(bytes[4..12], [2, 0, 0, 0, 0, 0, 0, 0], "of subscription 1");
    assert_eq!(bytes[12..15], [0, 0, 0], "no error, a clock");
}

#[test]
fn poll_tells_of_streams_and_errors_at_once() {
    // 0: an hour; 1: stdin; 2: descriptor 9.
    let wat = poll(
        r#"(data (i32.const 512) "\01") (data (i32.const 528) "\01")
           (data (i32.const 536) "\00\a0\b8\30\46\03\00\00")
           (data (i32.const 560) "\02\00\00\00\00\00\00\00\01")
           (data (i32.const 608) "\03\00\00\00\00\00\00\00\02") (data (i32.const 624) "\09")"#,
        3,
    );
    let bytes = answer(&wat, b"12345").unwrap();
    assert_eq!(bytes[..4], [2, 0, 0, 0], "two events");
    assert_eq!(bytes[4..12], [2, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[12..15], [0, 0, 1], "stdin");
    assert_eq!(bytes[20..28], [5, 0, 0, 0, 0, 0, 0, 0], "five bytes to read");
    assert_eq!(bytes[36..44], [3, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[44..47], [8, 0, 2], "EBADF, a write");
}

#[test]
fn a_deadline_ends_a_sleep() {
    let wat = poll(
        r#"(data (i32.const 512) "\01") (data (i32.const 528) "\01")
           (data (i32.const 536) "\00\a0\b8\30\46\03\00\00")"#,
        1,
    );
    for _ in 0..3 {
        let mut sleep = program(&wat);
        sleep.time = Duration::from_millis(100);
        let began = Instant::now();
        assert!(is_late(&sleep.run().unwrap_err()));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}
