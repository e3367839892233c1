//! WASI as guests see it.

mod common;

use common::{answer, exit_code, program};
use std::time::Duration;
use wfaas_wasi::preview1::FUNCTIONS;
use wfaas_wasi::{Environment, Wasi};

/// Preview1 as its specification has it: name, parameters, result.
const PREVIEW1: &[(&str, &str, &str)] = &[
    ("args_get", "i32 i32", "i32"),
    ("args_sizes_get", "i32 i32", "i32"),
    ("clock_res_get", "i32 i32", "i32"),
    ("clock_time_get", "i32 i64 i32", "i32"),
    ("environ_get", "i32 i32", "i32"),
    ("environ_sizes_get", "i32 i32", "i32"),
    ("fd_advise", "i32 i64 i64 i32", "i32"),
    ("fd_allocate", "i32 i64 i64", "i32"),
    ("fd_close", "i32", "i32"),
    ("fd_datasync", "i32", "i32"),
    ("fd_fdstat_get", "i32 i32", "i32"),
    ("fd_fdstat_set_flags", "i32 i32", "i32"),
    ("fd_fdstat_set_rights", "i32 i64 i64", "i32"),
    ("fd_filestat_get", "i32 i32", "i32"),
    ("fd_filestat_set_size", "i32 i64", "i32"),
    ("fd_filestat_set_times", "i32 i64 i64 i32", "i32"),
    ("fd_pread", "i32 i32 i32 i64 i32", "i32"),
    ("fd_prestat_dir_name", "i32 i32 i32", "i32"),
    ("fd_prestat_get", "i32 i32", "i32"),
    ("fd_pwrite", "i32 i32 i32 i64 i32", "i32"),
    ("fd_read", "i32 i32 i32 i32", "i32"),
    ("fd_readdir", "i32 i32 i32 i64 i32", "i32"),
    ("fd_renumber", "i32 i32", "i32"),
    ("fd_seek", "i32 i64 i32 i32", "i32"),
    ("fd_sync", "i32", "i32"),
    ("fd_tell", "i32 i32", "i32"),
    ("fd_write", "i32 i32 i32 i32", "i32"),
    ("path_create_directory", "i32 i32 i32", "i32"),
    ("path_filestat_get", "i32 i32 i32 i32 i32", "i32"),
    ("path_filestat_set_times", "i32 i32 i32 i32 i64 i64 i32", "i32"),
    ("path_link", "i32 i32 i32 i32 i32 i32 i32", "i32"),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32", "i32"),
    ("path_readlink", "i32 i32 i32 i32 i32 i32", "i32"),
    ("path_remove_directory", "i32 i32 i32", "i32"),
    ("path_rename", "i32 i32 i32 i32 i32 i32", "i32"),
    ("path_symlink", "i32 i32 i32 i32 i32", "i32"),
    ("path_unlink_file", "i32 i32 i32", "i32"),
    ("poll_oneoff", "i32 i32 i32 i32", "i32"),
    ("proc_exit", "i32", ""),
    ("proc_raise", "i32", "i32"),
    ("random_get", "i32 i32", "i32"),
    ("sched_yield", "", "i32"),
    ("sock_accept", "i32 i32 i32", "i32"),
    ("sock_recv", "i32 i32 i32 i32 i32 i32", "i32"),
    ("sock_send", "i32 i32 i32 i32 i32", "i32"),
    ("sock_shutdown", "i32 i32", "i32"),
];

/// A command that calls one function of preview1 with `args` and answers the error number as two
/// bytes.
fn command(name: &str, args: &str) -> String {
    let (_, params, _) = PREVIEW1.iter().find(|function| function.0 == name).unwrap();
    // Every guest has fd_write besides; the memory is one page.
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "{name}" (func $f (param {params}) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (data (i32.const 0) "\10\00\00\00\02\00\00\00")
          (func (export "_start")
            (i32.store16 (i32.const 16) (call $f {args}))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    )
}

fn errno(name: &str, args: &str) -> u16 {
    let bytes = answer(&command(name, args), b"").unwrap();
    u16::from_le_bytes(bytes.try_into().unwrap())
}

/// Zeros for all parameters of a function.
fn zeros(params: &str) -> String {
    params.split_whitespace().map(|ty| format!("({ty}.const 0)")).collect()
}

#[test]
fn the_list_is_preview1() {
    let mut listed: Vec<(&str, String)> = FUNCTIONS
        .iter()
        .map(|function| {
            let params: Vec<String> = function.params.iter().map(ToString::to_string).collect();
            (function.name, params.join(" "))
        })
        .collect();
    listed.push(("proc_exit", "i32".to_owned()));
    listed.sort();
    let expected: Vec<(&str, String)> =
        PREVIEW1.iter().map(|(name, params, _)| (*name, (*params).to_owned())).collect();
    assert_eq!(listed, expected);
}

#[test]
fn a_guest_can_import_all_of_it() {
    let imports: String = PREVIEW1
        .iter()
        .map(|(name, params, result)| {
            format!(
                r#"(import "wasi_snapshot_preview1" "{name}"
                    (func (param {params}) (result {result})))"#
            )
        })
        .collect();
    let wat =
        format!(r#"(module {imports} (memory (export "memory") 1) (func (export "_start")))"#);
    assert_eq!(answer(&wat, b"").unwrap(), b"");
}

#[test]
fn what_is_not_there_says_so() {
    let missing = FUNCTIONS.iter().filter(|function| !function.implemented);
    for function in missing.clone() {
        let (_, params, _) = PREVIEW1.iter().find(|known| known.0 == function.name).unwrap();
        assert_eq!(errno(function.name, &zeros(params)), 52, "{}", function.name);
    }
    let names: Vec<_> = missing.map(|function| function.name).collect();
    assert_eq!(names, ["proc_raise"], "the specification does not have it any more");
}

#[test]
fn bad_pointers_are_an_error_number() {
    let (end, last) = ("(i32.const 65536)", "(i32.const -1)");
    for bad in [end, last, "(i32.const 65533)"] {
        for (name, args) in [
            ("args_sizes_get", format!("{bad} (i32.const 32)")),
            ("args_sizes_get", format!("(i32.const 32) {bad}")),
            ("args_get", format!("{bad} (i32.const 32)")),
            ("args_get", format!("(i32.const 32) {bad}")),
            ("environ_sizes_get", format!("{bad} (i32.const 32)")),
            ("environ_sizes_get", format!("(i32.const 32) {bad}")),
            ("clock_res_get", format!("(i32.const 0) {bad}")),
            ("clock_time_get", format!("(i32.const 1) (i64.const 0) {bad}")),
            ("fd_fdstat_get", format!("(i32.const 1) {bad}")),
            ("fd_filestat_get", format!("(i32.const 0) {bad}")),
            ("fd_read", format!("(i32.const 0) {bad} (i32.const 1) (i32.const 64)")),
            ("fd_read", format!("(i32.const 0) (i32.const 0) (i32.const 1) {bad}")),
            ("fd_write", format!("(i32.const 1) {bad} (i32.const 1) (i32.const 64)")),
            ("fd_write", format!("(i32.const 2) (i32.const 0) (i32.const 1) {bad}")),
            ("random_get", format!("{bad} (i32.const 4)")),
            ("random_get", "(i32.const 32) (i32.const -1)".to_owned()),
            ("poll_oneoff", format!("{bad} (i32.const 128) (i32.const 1) (i32.const 64)")),
            ("poll_oneoff", format!("(i32.const 128) {bad} (i32.const 1) (i32.const 64)")),
            ("poll_oneoff", format!("(i32.const 128) (i32.const 512) (i32.const 1) {bad}")),
        ] {
            // `errno` wants two bytes of output, so that a failed write must not have written.
            assert_eq!(errno(name, &args), 21, "{name} {args}");
        }
    }
}

#[test]
fn bad_pointers_inside_of_iovecs_are_an_error_number_too() {
    let wat = r#"(module
      (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 0) "\10\00\00\00\02\00\00\00")
      (data (i32.const 32) "\00\00\00\00\01\00\00\00" "\ff\ff\00\00\02\00\00\00")
      (func (export "_start")
        (i32.store16 (i32.const 16)
          (call $write (i32.const 1) (i32.const 32) (i32.const 2) (i32.const 8)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    assert_eq!(answer(wat, b"").unwrap(), [21, 0], "and nothing of the good iovec");
}

#[test]
fn a_guest_without_memory_gets_an_error_number() {
    let wat = r#"(module
      (import "wasi_snapshot_preview1" "random_get" (func $f (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (func (export "_start") (call $exit (call $f (i32.const 0) (i32.const 8)))))"#;
    assert_eq!(exit_code(&answer(wat, b"").unwrap_err()), Some(21));
}

#[test]
fn impossible_arguments_are_named() {
    for (name, args, expected) in [
        ("clock_time_get", "(i32.const 9) (i64.const 0) (i32.const 32)", 28),
        ("clock_res_get", "(i32.const 2) (i32.const 32)", 28),
        ("fd_read", "(i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)", 8),
        ("fd_read", "(i32.const 0) (i32.const 0) (i32.const 1025) (i32.const 32)", 28),
        ("fd_write", "(i32.const 0) (i32.const 0) (i32.const 1) (i32.const 32)", 8),
        ("fd_write", "(i32.const 3) (i32.const 0) (i32.const 1) (i32.const 32)", 8),
        ("fd_write", "(i32.const 1) (i32.const 0) (i32.const -1) (i32.const 32)", 28),
        ("fd_seek", "(i32.const 1) (i64.const 0) (i32.const 1) (i32.const 32)", 70),
        ("fd_tell", "(i32.const 0) (i32.const 32)", 70),
        ("fd_seek", "(i32.const 4) (i64.const 0) (i32.const 1) (i32.const 32)", 8),
        ("fd_close", "(i32.const 3)", 8),
        ("fd_close", "(i32.const 0)", 0),
        ("fd_prestat_get", "(i32.const 0) (i32.const 32)", 8),
        ("fd_prestat_get", "(i32.const 3) (i32.const 32)", 8),
        ("fd_prestat_dir_name", "(i32.const 3) (i32.const 32) (i32.const 4)", 8),
        ("fd_fdstat_get", "(i32.const 3) (i32.const 32)", 8),
        ("fd_filestat_get", "(i32.const 3) (i32.const 64)", 8),
        ("poll_oneoff", "(i32.const 64) (i32.const 128) (i32.const 0) (i32.const 32)", 28),
        ("poll_oneoff", "(i32.const 64) (i32.const 128) (i32.const 2000) (i32.const 32)", 28),
        ("sched_yield", "", 0),
    ] {
        assert_eq!(errno(name, args), expected, "{name} {args}");
    }
}

/// Calls a function, then answers `len` bytes from address 256.
fn reading(name: &str, args: &str, len: u32) -> String {
    let (_, params, _) = PREVIEW1.iter().find(|function| function.0 == name).unwrap();
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "{name}" (func $f (param {params}) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write"
            (func $write (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 1)
          (func (export "_start")
            (if (call $f {args}) (then unreachable))
            (i32.store (i32.const 0) (i32.const 256))
            (i32.store (i32.const 4) (i32.const {len}))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    )
}

#[test]
fn arguments_arrive_as_c_strings() {
    let run = |wat: &str| program(wat).with(|wasi| wasi.args(["one", "zwei ü"])).run().unwrap();
    let bytes = run(&reading("args_sizes_get", "(i32.const 256) (i32.const 260)", 8));
    assert_eq!(bytes, [3, 0, 0, 0, 5 + 4 + 8, 0, 0, 0]);
    let bytes = run(&reading("args_get", "(i32.const 256) (i32.const 300)", 61));
    assert_eq!(bytes[..12], [44, 1, 0, 0, 49, 1, 0, 0, 53, 1, 0, 0]);
    assert_eq!(&bytes[44..], "test\0one\0zwei ü\0".as_bytes());
}

#[test]
fn the_environment_has_the_call_first_and_no_name_twice() {
    let get = reading("environ_get", "(i32.const 1024) (i32.const 256)", 200);
    let run = |variables| {
        let mut program = program(&get).with(|wasi| wasi.env("KEY", "a").envs([("KEY", "value")]));
        program = program.with(|wasi| wasi.env("PATH_INFO", "configured"));
        program.variables = variables;
        String::from_utf8(program.run().unwrap()).unwrap()
    };
    let text = run(&[("REQUEST_METHOD", "GET"), ("PATH_INFO", "/x")]);
    assert!(text.starts_with("REQUEST_METHOD=GET\0PATH_INFO=/x\0KEY=value\0\0"), "{text:?}");
    // Without a call's own there is only the configuration.
    let text = run(&[]);
    assert!(text.starts_with("KEY=value\0PATH_INFO=configured\0\0"), "{text:?}");
}

#[test]
fn clocks_tell_the_time() {
    let time = reading("clock_time_get", "(i32.const 0) (i64.const 1) (i32.const 256)", 8);
    let bytes = answer(&time, b"").unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let told = Duration::from_nanos(u64::from_le_bytes(bytes.try_into().unwrap()));
    assert!(now.abs_diff(told) < Duration::from_secs(60), "{told:?} at {now:?}");
    let resolution = reading("clock_res_get", "(i32.const 1) (i32.const 256)", 8);
    let bytes = answer(&resolution, b"").unwrap();
    let resolution = u64::from_le_bytes(bytes.try_into().unwrap());
    assert!((1..1_000_000_000).contains(&resolution), "{resolution}");
}

#[test]
fn random_bytes_differ() {
    let random = reading("random_get", "(i32.const 256) (i32.const 9000)", 9000);
    let (first, second) = (answer(&random, b"").unwrap(), answer(&random, b"").unwrap());
    assert_ne!(first, second);
    // In 9000 random bytes, no 32 are equal to the next 32, and the last ones are written too.
    assert!(first.chunks(32).zip(first.chunks(32).skip(1)).all(|(a, b)| a != b));
}

#[test]
fn stdout_is_no_terminal_and_can_be_written() {
    let bytes =
        answer(&reading("fd_fdstat_get", "(i32.const 1) (i32.const 256)", 24), b"").unwrap();
    assert_eq!(bytes[..4], [0; 4], "file type unknown, no flags");
    let rights = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
    assert_eq!(rights & (1 << 6), 1 << 6, "fd_write");
    assert_eq!(rights & (1 << 1 | 1 << 2 | 1 << 5), 0, "no fd_read, fd_seek, fd_tell");
    assert_eq!(bytes[16..24], [0; 8]);
}

/// GCC and PHP ask before they read.
#[test]
fn standard_streams_have_a_status_of_nothing_but_a_type() {
    for fd in 0..3 {
        // What was there before is overwritten.
        let status = reading("fd_filestat_get", &format!("(i32.const {fd}) (i32.const 256)"), 65);
        let status = status.replace("(memory (export \"memory\") 1)", FULL);
        let bytes = answer(&status, b"").unwrap();
        assert_eq!(bytes[..64], [0; 64], "descriptor {fd}");
        assert_eq!(bytes[64], b'x', "64 bytes are written");
    }
}

/// A memory with 65 bytes that are not zero from 256 on.
const FULL: &str = r#"(memory (export "memory") 1)
    (data (i32.const 256) "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")"#;

#[test]
fn environments_are_checked_before_any_guest_runs() {
    assert!(Environment::new(vec!["a\0b".into()], vec![]).is_err());
    let error = Wasi::builder().env("A=B", "c").build().unwrap_err();
    assert!(error.to_string().contains("A=B"), "{error}");
}
