//! Guests that do what the bytes of a request say: hostile heads, addresses, kernel calls, results and messages.
//! Tests and a fuzz target call [`all`]; whatever the bytes are, the guest alone is to blame.

mod wild;

use std::fmt::Write;
use wfaas_function::{Abi, ByteSize, Exchange, Function, InvokeError, Limits, Spec};
use wfaas_vm::{Config, Engine, Fault, Module};

/// A command that writes its stdin to a descriptor.
fn echo(descriptor: u32) -> String {
    ECHO.replace("OUTPUT", &descriptor.to_string())
}

const ECHO: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read"
        (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (loop $more
            (i32.store (i32.const 0) (i32.const 64))
            (i32.store (i32.const 4) (i32.const 4096))
            (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))
                (then unreachable))
            (i32.store (i32.const 4) (i32.load (i32.const 8)))
            (if (i32.load (i32.const 8)) (then
                (drop (call $write (i32.const OUTPUT) (i32.const 0) (i32.const 1) (i32.const 12)))
                (br $more))))))"#;

/// A bot that replies with its message.
const BOT: &str = r#"(module
    (memory (export "memory") 16)
    (global $next (mut i32) (i32.const 1024))
    (func (export "__wbindgen_malloc") (param i32 i32) (result i32)
        (global.get $next)
        (global.set $next (i32.add (global.get $next) (local.get 0))))
    (func (export "text_received") (param i32 i32 i32 i32 i32 i32) (result i32 i32)
        (local.get 0) (local.get 1)))"#;

/// The kernel's functions: name, parameters, and results.
const KERNEL: &[(&str, &str, &str)] = &[
    ("alloc", "i64", "i64"),
    ("free", "i64", ""),
    ("length", "i64", "i64"),
    ("load_u8", "i64", "i32"),
    ("load_u64", "i64", "i64"),
    ("store_u8", "i64 i32", ""),
    ("store_u64", "i64 i64", ""),
    ("reset", "", ""),
    ("input_set", "i64 i64", ""),
    ("input_load_u64", "i64", "i64"),
    ("output_set", "i64 i64", ""),
    ("error_set", "i64", ""),
    ("config_get", "i64", "i64"),
    ("var_get", "i64", "i64"),
    ("var_set", "i64 i64", ""),
    ("http_request", "i64 i64", "i64"),
    ("http_headers", "", "i64"),
    ("log_warn", "i64", ""),
];

/// A plug-in whose input is a list of calls: five bytes each, a function and two numbers of 16 bits. The
/// upper bit of a number has it stand for the last call's result and a distance.
fn plugin() -> String {
    let mut imports = String::new();
    let mut calls = String::new();
    for (number, (name, params, results)) in KERNEL.iter().enumerate() {
        let result = if results.is_empty() { String::new() } else { format!("(result {results})") };
        let _ = writeln!(
            imports,
            r#"(import "extism:host/env" "{name}" (func ${name} (param {params}) {result}))"#
        );
        let arguments = params.split_whitespace().zip(["$a", "$b"]).map(|(ty, local)| match ty {
            "i32" => format!("(i32.wrap_i64 (local.get {local}))"),
            _ => format!("(local.get {local})"),
        });
        let call = format!("(call ${name} {})", arguments.collect::<Vec<_>>().join(" "));
        let call = match *results {
            "i64" => format!("(local.set $last {call})"),
            "i32" => format!("(drop {call})"),
            _ => call,
        };
        let _ = writeln!(
            calls,
            "(if (i32.eq (local.get $function) (i32.const {number})) (then {call}))"
        );
    }
    format!(
        r#"(module
        {imports}
        (import "extism:host/env" "input_length" (func $input_length (result i64)))
        (import "extism:host/env" "input_load_u8" (func $input (param i64) (result i32)))
        (memory (export "memory") 1)
        (func $number (param $at i64) (param $last i64) (result i64) (local $number i64)
            (local.set $number (i64.or
                (i64.extend_i32_u (call $input (local.get $at)))
                (i64.shl (i64.extend_i32_u (call $input (i64.add (local.get $at) (i64.const 1))))
                    (i64.const 8))))
            (if (i64.ge_u (local.get $number) (i64.const 0x8000)) (then
                (return (i64.add (local.get $last)
                    (i64.sub (local.get $number) (i64.const 0x8000))))))
            (local.get $number))
        (func (export "call") (result i32)
            (local $at i64) (local $a i64) (local $b i64) (local $last i64) (local $function i32)
            (block $done (loop $more
                (br_if $done (i64.ge_u (local.get $at) (call $input_length)))
                (local.set $function
                    (i32.rem_u (call $input (local.get $at)) (i32.const {count})))
                (local.set $a (call $number
                    (i64.add (local.get $at) (i64.const 1)) (local.get $last)))
                (local.set $b (call $number
                    (i64.add (local.get $at) (i64.const 3)) (local.get $last)))
                {calls}
                (local.set $at (i64.add (local.get $at) (i64.const 5)))
                (br $more)))
            (i32.const 0)))"#,
        count = KERNEL.len()
    )
}

fn function(engine: &Engine, wat: &str, abi: &str, export: Option<&str>) -> Function {
    let name = "hostile".parse().expect("a name");
    let limits = Limits { memory: Some(ByteSize(4 << 20)), ..Limits::default() };
    let allowed_hosts = vec!["*".to_owned()];
    let (abi, export) = (Some(Abi::new(abi)), export.map(str::to_owned));
    let spec = Spec { abi, export, limits, allowed_hosts, ..Spec::named(name) };
    let built = wfaas_build::build(wat.as_bytes(), &spec, &Default::default(), &());
    let module = Module::from_bytes(engine, &built.expect("it builds").artifact);
    Function::new(engine, &module.expect("it loads"), spec).expect("it is a function")
}

/// A guest of each protocol that reads bytes of a guest's.
pub(crate) struct Hostile(Vec<Function>);

impl Hostile {
    /// Builds the guests.
    pub(crate) fn new() -> Hostile {
        let engine = Engine::new(Config::default()).expect("an engine");
        let guests = [
            (echo(1), "wasi", None),
            (echo(1), "cgi", None),
            (wild::SCGI.to_owned(), "scgi", None),
            (echo(3), "actionloop", None),
            (echo(1), "action", None),
            (wild::BUFFER.to_owned(), "action", None),
            (BOT.to_owned(), "bot", None),
            (wild::strings("text_received", 3), "bot", None),
            (wild::strings("call", 1), "bindgen", Some("call")),
            (plugin(), "extism", None),
            (wild::reactor(), "reactor", None),
        ];
        let functions =
            guests.iter().map(|(wat, abi, export)| function(&engine, wat, abi, *export));
        Hostile(functions.collect())
    }

    /// Has each guest answer a request with this body, in three types of content; how many answers each gave.
    pub(crate) fn all(&self, bytes: &[u8]) -> Vec<usize> {
        let types = ["application/json", "application/x-www-form-urlencoded", "text/plain"];
        let answers = |function: &Function| {
            let mut answers = 0;
            for ty in types {
                let mut exchange = Exchange::with_body(bytes);
                exchange.request.headers_mut().insert("content-type", ty.parse().expect("a value"));
                match function.handle(exchange) {
                    Ok(_) => answers += 1,
                    Err(error) => assert!(!is_ours(&error), "{:?}: {error}", function.abi().name),
                }
            }
            answers
        };
        self.0.iter().map(answers).collect()
    }
}

/// Whether an error is not the guest's.
fn is_ours(error: &InvokeError) -> bool {
    error.fault() != Fault::Module
}
