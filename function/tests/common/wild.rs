//! Guests whose addresses, lengths and numbers are the bytes of a request.

use std::fmt::Write;

/// The functions of the module `faas`, and how many numbers they take.
const FAAS: &[(&str, usize)] = &[
    ("request_method", 2),
    ("request_path", 2),
    ("request_route", 0),
    ("request_query", 2),
    ("request_header", 5),
    ("request_headers", 2),
    ("request_body_read", 2),
    ("response_status", 1),
    ("response_header", 4),
    ("response_write", 2),
];

/// A reactor whose body is a list of calls: 21 bytes each, a function and five numbers of 32 bits. Behind the
/// last one is its result.
pub(super) fn reactor() -> String {
    let (mut imports, mut calls) = (String::new(), String::new());
    for (number, (name, params)) in FAAS.iter().enumerate() {
        let types = " i32".repeat(*params);
        let _ = writeln!(
            imports,
            r#"(import "faas" "{name}" (func ${name} (param{types}) (result i32)))"#
        );
        let load = |param| format!("(i32.load offset={} (local.get $at))", 1 + 4 * param);
        let numbers = (0..*params).map(load).collect::<String>();
        let _ = writeln!(
            calls,
            "(if (i32.eq (local.get $function) (i32.const {number}))
                (then (drop (call ${name} {numbers}))))"
        );
    }
    format!(
        r#"(module
        {imports}
        (memory (export "memory") 1)
        (func (export "faas_alloc") (param i32) (result i32) (i32.const 1024))
        (func (export "faas_handle") (param i32 i32) (result i64)
            (local $at i32) (local $end i32) (local $function i32)
            (local.set $at (i32.const 1024))
            (local.set $end (i32.add (i32.const 1003)
                (call $request_body_read (i32.const 1024) (i32.const 4096))))
            (block $done (loop $more
                (br_if $done (i32.gt_s (local.get $at) (local.get $end)))
                (local.set $function
                    (i32.rem_u (i32.load8_u (local.get $at)) (i32.const {count})))
                {calls}
                (local.set $at (i32.add (local.get $at) (i32.const 21)))
                (br $more)))
            (i64.load (local.get $at))))"#,
        count = FAAS.len()
    )
}

/// A function of `strings` strings, which finds the place of its result in the first one. Its allocator has places
/// of its own for sizes that eight divides.
pub(super) fn strings(name: &str, strings: usize) -> String {
    let params = " i32 i32".repeat(strings);
    format!(
        r#"(module
        (memory (export "memory") 16)
        (global $next (mut i32) (i32.const 1024))
        (func (export "__wbindgen_malloc") (param $size i32) (param i32) (result i32)
            (if (i32.eqz (i32.and (local.get $size) (i32.const 7)))
                (then (return (i32.mul (local.get $size) (i32.const 0x9e3779b1)))))
            (global.get $next)
            (global.set $next (i32.add (global.get $next) (local.get $size))))
        (func (export "{name}") (param{params}) (result i32 i32)
            (i32.shr_u (i32.load (local.get 0)) (i32.const 10))
            (i32.shr_u (i32.load offset=4 (local.get 0)) (i32.const 14))))"#
    )
}

/// An action whose parameters say where its result is.
pub(super) const BUFFER: &str = r#"(module
    (memory (export "memory") 16)
    (global $asked (mut i32) (i32.const 0))
    (func (export "wasm_memory_buffer_allocate_space") (param i32))
    (func (export "get_wasm_memory_buffer_pointer") (result i32)
        (global.set $asked (i32.add (global.get $asked) (i32.const 1)))
        (select (i32.const 1024) (i32.shr_u (i32.load (i32.const 1024)) (i32.const 10))
            (i32.eq (global.get $asked) (i32.const 1))))
    (func (export "get_wasm_memory_buffer_len") (result i32)
        (i32.shr_u (i32.load (i32.const 1028)) (i32.const 14)))
    (func (export "_start")))"#;

/// An SCGI program whose answer is the body behind the record's headers: `LENGTH:HEADERS,BODY`.
pub(super) const SCGI: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read"
        (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start") (local $at i32) (local $len i32) (local $digit i32)
        (i32.store (i32.const 0) (i32.const 64))
        (i32.store (i32.const 4) (i32.const 8192))
        (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))
            (then unreachable))
        (local.set $at (i32.const 64))
        (block $colon (loop $more
            (local.set $digit (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
            (br_if $colon (i32.ge_u (local.get $digit) (i32.const 10)))
            (local.set $len
                (i32.add (i32.mul (local.get $len) (i32.const 10)) (local.get $digit)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $more)))
        (local.set $at (i32.add (i32.add (local.get $at) (local.get $len)) (i32.const 2)))
        (i32.store (i32.const 0) (local.get $at))
        (i32.store (i32.const 4)
            (i32.sub (i32.add (i32.const 64) (i32.load (i32.const 8))) (local.get $at)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))))"#;
