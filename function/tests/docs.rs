//! The examples in the documentation work, with the compilers it names.

mod common;

use common::{engine, handle, spec};
use http::Request;
use std::process::Command;
use wfaas_function::{Abi, Body, Exchange, Function, Spec};
use wfaas_vm::Module;

/// Example `index` of a language in the documentation.
fn example(language: &str, index: usize) -> &'static str {
    let document = include_str!("../../docs/guest-abi.md");
    let start = format!("```{language}\n");
    let rest = document.split(&start).nth(index + 1).expect("there is an example");
    rest.split("```").next().expect("it ends")
}

/// What the program `compiler` makes of `source`.
fn compiled(compiler: &str, args: &[&str], source: &str, extension: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join(format!("guest.{extension}")), dir.path().join("guest"));
    std::fs::write(&input, source).unwrap();
    let made = Command::new(compiler).args(args).arg("-o").arg(&output).arg(&input).output();
    let made = made.unwrap_or_else(|error| panic!("{compiler}: {error}; ./test installs it"));
    let messages = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{compiler}: {messages}; ./test installs what it needs");
    std::fs::read(output).unwrap()
}

fn c(index: usize, args: &[&str]) -> Vec<u8> {
    let args = [&["--target=wasm32-wasi", "-O2"], args].concat();
    compiled("clang", &args, example("c", index), "c")
}

fn rust(index: usize, crate_type: &str) -> Vec<u8> {
    let args = ["--edition=2024", "--target=wasm32-wasip1", "-O", "--crate-type", crate_type];
    compiled("rustc", &args, example("rust", index), "rs")
}

fn function(wasm: &[u8], abi: &str) -> Function {
    function_of(wasm, abi, spec())
}

fn function_of(wasm: &[u8], abi: &str, spec: Spec) -> Function {
    let engine = engine();
    let built = wfaas_build::build(wasm, &spec, &wfaas_build::Options::default(), &()).unwrap();
    let module = Module::from_bytes(&engine, &built.artifact).unwrap();
    assert!(module.is_initialised(), "{:?}", built.report.notes);
    let function = Function::new(&engine, &module, spec).unwrap();
    assert_eq!(function.abi().name, abi);
    function
}

/// Asks twice: every request is the first.
fn answer(function: &Function, body: &str) -> String {
    let first = handle(function, body).unwrap();
    assert_eq!(handle(function, body).unwrap(), first);
    String::from_utf8(first).unwrap()
}

#[test]
fn the_reactor_in_wat_greets() {
    let greet = function(example("wat", 0).as_bytes(), "reactor");
    assert_eq!(answer(&greet, "world"), "hello, world");
    assert_eq!(handle(&greet, [b'x'; 130_041]).unwrap().len(), 130_048);
    assert!(handle(&greet, [b'x'; 130_042]).is_err());
}

#[test]
fn the_command_in_c_shouts() {
    let shout = function(&c(0, &[]), "wasi");
    assert_eq!(answer(&shout, "a Zebra\n"), "A ZEBRA\n");
    assert_eq!(answer(&shout, &"x".repeat(300_000)), "X".repeat(300_000));
}

#[test]
fn the_command_in_rust_counts() {
    let count = function(&rust(0, "bin"), "wasi");
    assert_eq!(answer(&count, "one two\nthree"), "3 words\n");
    // Not UTF-8: a panic in the guest, whose message goes to the log.
    assert!(handle(&count, [0xff]).is_err());
    assert_eq!(answer(&count, ""), "0 words\n");
}

#[test]
fn the_reactor_in_c_reverses() {
    let reverse = function(&c(2, &["-mexec-model=reactor"]), "reactor");
    assert_eq!(answer(&reverse, "stressed"), "desserts");
    assert_eq!(answer(&reverse, ""), "");
}

#[test]
fn the_cgi_program_in_c_finds_nothing() {
    let spec = Spec { abi: Some(Abi::new("cgi")), ..spec() };
    let nothing = function_of(&c(1, &[]), "cgi", spec);
    let request = Request::get("/f/a%20b").body(Body::default()).unwrap();
    let answer = nothing.handle(Exchange { route_bytes: 2, ..Exchange::new(request) }).unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers().len()), (404, 1));
    assert_eq!(answer.body().as_bytes(), b"there is nothing at /a b\n");
}

#[test]
fn the_handler_in_c_answers_201() {
    let sdk = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/../sdk/c");
    let args = ["-mexec-model=reactor", "-Wall", "-Wextra", "-Werror", sdk];
    let hello = function(&c(3, &args), "reactor");
    let answer = hello.handle(Exchange::with_body("a body")).unwrap();
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["content-type"], "text/plain");
    assert_eq!(answer.body().as_bytes(), b"you sent: a body");
}

#[test]
fn the_reactor_in_rust_shouts() {
    let shout = function(&rust(1, "cdylib"), "reactor");
    assert_eq!(answer(&shout, "ein Maß"), "EIN MASS");
    assert_eq!(answer(&shout, ""), "");
}
