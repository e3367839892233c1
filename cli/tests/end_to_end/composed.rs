//! Components of several components, each with a memory of its own.

use super::support::{run, run_with_stdin, scratch, write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A component that prints a text for another one: the host finds it in the second memory.
const PRINTING: &str = r#"(component
    (import "wasi:io/error@0.2.6" (instance $error (export "error" (type (sub resource)))))
    (alias export $error "error" (type $error-type))
    (import "wasi:io/streams@0.2.6" (instance $streams
        (export "output-stream" (type $out (sub resource)))
        (alias outer 1 $error-type (type $outer))
        (export "error" (type $error (eq $outer)))
        (type $failed (variant (case "last-operation-failed" (own $error)) (case "closed")))
        (export "stream-error" (type $stream-error (eq $failed)))
        (export "[method]output-stream.blocking-write-and-flush" (func (param "self" (borrow $out))
            (param "contents" (list u8)) (result (result (error $stream-error)))))))
    (alias export $streams "output-stream" (type $out))
    (import "wasi:cli/stdout@0.2.6" (instance $stdout
        (alias outer 1 $out (type $outer))
        (export "output-stream" (type $out (eq $outer)))
        (export "get-stdout" (func (result (own $out))))))
    (import "wasi:cli/environment@0.2.6" (instance $environment
        (export "get-arguments" (func (result (list string))))))
    (component $printer
        (import "error" (type $error (sub resource)))
        (import "streams" (instance $streams
            (alias outer 1 $error (type $outer))
            (export "output-stream" (type $out (sub resource)))
            (export "error" (type $error (eq $outer)))
            (type $failed (variant (case "last-operation-failed" (own $error)) (case "closed")))
            (export "stream-error" (type $stream-error (eq $failed)))
            (export "[method]output-stream.blocking-write-and-flush" (func
                (param "self" (borrow $out)) (param "contents" (list u8))
                (result (result (error $stream-error)))))))
        (alias export $streams "output-stream" (type $out))
        (import "get-stdout" (func $stdout (result (own $out))))
        (import "get-arguments" (func $arguments (result (list string))))
        (core module $libc (memory (export "memory") 1)
            (global $end (mut i32) (i32.const 4096))
            (func (export "realloc") (param i32 i32 i32 i32) (result i32)
                (global.set $end (i32.and (i32.add (global.get $end) (i32.const 7)) (i32.const -8)))
                (global.get $end)
                (global.set $end (i32.add (global.get $end) (local.get 3)))))
        (core instance $libc (instantiate $libc))
        (alias core export $libc "memory" (core memory $memory))
        (alias core export $libc "realloc" (core func $realloc))
        (core func $stdout (canon lower (func $stdout)))
        (core func $arguments (canon lower (func $arguments) (memory $memory) (realloc $realloc)))
        (core func $write (canon lower
            (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory)))
        (core module $m
            (import "env" "memory" (memory 1))
            (import "host" "stdout" (func $stdout (result i32)))
            (import "host" "arguments" (func $arguments (param i32)))
            (import "host" "write" (func $write (param i32 i32 i32 i32)))
            (func (export "print") (param $at i32) (param $len i32) (local $out i32)
                (local.set $out (call $stdout))
                (call $write (local.get $out) (local.get $at) (local.get $len) (i32.const 64))
                ;; The last argument.
                (call $arguments (i32.const 32))
                (local.set $at (i32.sub
                    (i32.add (i32.load (i32.const 32)) (i32.shl (i32.load (i32.const 36)) (i32.const 3)))
                    (i32.const 8)))
                (call $write (local.get $out) (i32.load (local.get $at))
                    (i32.load offset=4 (local.get $at)) (i32.const 64))))
        (core instance $i (instantiate $m (with "env" (instance $libc)) (with "host" (instance
            (export "stdout" (func $stdout)) (export "arguments" (func $arguments))
            (export "write" (func $write))))))
        (func (export "print") (param "text" string) (canon lift (core func $i "print")
            (memory $memory) (realloc $realloc))))
    (component $app
        (import "print" (func $print (param "text" string)))
        (core module $libc (memory (export "memory") 1)
            (data (i32.const 0) "GARBAGE, of which the first memory is full, so that it is larger. GARBAGE GARBAGE")
            (data (i32.const 512) "GARBAGE, of which the first memory is full, so that it is larger. GARBAGE GARBAGE")
            (data (i32.const 1024) "GARBAGE, of which the first memory is full, so that it is larger. GARBAGE GARBAGE")
            (data (i32.const 2048) "GARBAGE, of which the first memory is full, so that it is larger. GARBAGE GARBAGE")
            (data (i32.const 16) "hello, ")
            (data (i32.const 4096) "GARBAGE, where the second memory has the text GARBAGE GARBAGE GARBAGE GARBAGE"))
        (core instance $libc (instantiate $libc))
        (core func $print (canon lower (func $print) (memory (core memory $libc "memory"))))
        (core module $m
            (import "" "print" (func $print (param i32 i32)))
            (func (export "run") (result i32) (call $print (i32.const 16) (i32.const 7)) (i32.const 0)))
        (core instance $i (instantiate $m (with "" (instance (export "print" (func $print))))))
        (func (export "run") (result (result)) (canon lift (core func $i "run"))))
    (instance $printer (instantiate $printer (with "error" (type $error-type))
        (with "streams" (instance $streams)) (with "get-stdout" (func $stdout "get-stdout"))
        (with "get-arguments" (func $environment "get-arguments"))))
    (instance $app (instantiate $app (with "print" (func $printer "print"))))
    (alias export $app "run" (func $run))
    (instance $cli (export "run" (func $run)))
    (export "wasi:cli/run@0.2.6" (instance $cli)))"#;

#[test]
fn the_host_finds_values_in_the_memory_of_an_inner_component() {
    let folder = scratch();
    let source = write(folder.path(), "printing.wat", PRINTING);
    let args = ["run", source.to_str().unwrap(), "--", "world"];
    assert_eq!(run(&args).expect(0, &[]).stdout, "hello, world");
}

/// A command of two components that Rust has made, and `wac` has put together.
fn composed() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/end_to_end/components/composed");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("composed");
    let cargo = |args: &[&str]| {
        let mut cargo = Command::new("cargo");
        cargo.args(args).env("CARGO_TARGET_DIR", &target).current_dir(&folder);
        let made = cargo.output().expect("cargo starts");
        let messages = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{messages}; ./test setup installs the target");
    };
    let components = ["-p", "words", "-p", "reader", "--target", "wasm32-wasip2"];
    cargo(&[&["build", "--locked", "--release"][..], &components].concat());
    let made = target.join("wasm32-wasip2/release");
    let file = |name: &str| made.join(name).display().to_string();
    let output = file("composed.wasm");
    let files = [file("reader.wasm"), file("words.wasm"), output.clone()];
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    cargo(&[&["run", "--locked", "-p", "compose", "--"][..], &files].concat());
    output.into()
}

#[test]
fn components_of_a_compiler_are_composed() {
    let folder = scratch();
    let artifact = folder.path().join("composed.faas");
    let (component, artifact) = (composed(), artifact.to_str().unwrap());
    run(&["build", component.to_str().unwrap(), "-o", artifact]).expect(0, &[]);
    // From the image, and twice: nothing is left of a run.
    for _ in 0..2 {
        let ended = run_with_stdin(&["run", artifact], "two One two ß€𝄞 two Four".as_bytes());
        let expected = "\
            Entry { word: \"two\", count: 3, share: Some(0.5), first: 't', seen: (3, true, -3) }\n\
            Entry { word: \"Four\", count: 1, share: None, first: 'F', seen: (1, true, -1) }\n\
            Entry { word: \"One\", count: 1, share: None, first: 'O', seen: (1, true, -1) }\n\
            Entry { word: \"ß€𝄞\", count: 1, share: None, first: 'ß', seen: (1, false, -1) }\n\
            two 3\nß€𝄞 1\n\
            Ok(3) Err(Problem { code: 0, name: \"empty\", message: \"\" }) \
            Err(Problem { code: 1, name: \"unknown\", message: \"\" })\n\
            [Form(LONG), Form(SHORT), Form(LOWER | SHORT), Form(LOWER | SHORT)]\n\
            2 alive\n1 alive, Ok(4) times\n0 alive\n";
        // 0 to 255 again and again, of which the last 192 are missing to a multiple.
        let sum = 11_718 * (255 * 128) + (0..192_u64).sum::<u64>();
        let expected = format!("{expected}3000000 numbers, {sum}\n");
        assert_eq!(ended.expect(0, &[]).stdout, expected);
    }
}
