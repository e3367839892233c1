//! Inlining: which calls are, which are not, and how much of them.

use std::collections::BTreeSet;
use wfaas_abi::Artifact;
use wfaas_compiler::{Compiled, Options, Passes, assembly, compile, optimised};

fn calls(wat: &str, function: u32) -> usize {
    let code = assembly(wat.as_bytes(), function, &Options::default()).unwrap();
    code.lines().filter(|line| line.trim_start().starts_with("call ")).count()
}

fn compiled(wat: &str, passes: Passes) -> Compiled {
    compile(wat.as_bytes(), &Options { passes, ..Options::default() }).unwrap()
}

fn without() -> Passes {
    Passes::ALL.without("inline").unwrap()
}

#[test]
fn small_functions_are_inlined_and_stay() {
    let wat = r#"(module
        (func $add (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (func $twice (param i32) (result i32) (call $add (local.get 0) (local.get 0)))
        (func (export "f") (param i32) (result i32) (call $twice (call $twice (local.get 0)))))"#;
    assert_eq!([calls(wat, 1), calls(wat, 2)], [0, 0]);
    let options = Options { passes: without(), ..Options::default() };
    let plain = assembly(wat.as_bytes(), 2, &options).unwrap();
    assert_eq!(plain.lines().filter(|line| line.trim_start().starts_with("call ")).count(), 2);
    let compiled = compiled(wat, Passes::ALL);
    let artifact = Artifact::parse(&compiled.artifact).unwrap();
    assert!(artifact.functions().iter().all(|function| function.text_size.get() > 0));
}

#[test]
fn copies_are_part_of_the_block_that_calls() {
    let call = "(local.set 0 (call $callee (local.get 0) (local.get 1)))".repeat(10);
    let wat = format!(
        "(module
            (func $callee (param i64 i64) (result i64) (i64.rotl (local.get 0) (local.get 1)))
            (func (param i64 i64) (result i64) {call} (local.get 0)))"
    );
    assert_eq!(calls(&wat, 1), 0);
    let code = optimised(wat.as_bytes(), 1, &Options::default()).unwrap();
    assert!(code.lines().filter(|line| line.trim_start().starts_with("block")).count() < 5);
}

#[test]
fn cycles_keep_a_call() {
    // Of itself, of each other, and in a ring.
    let itself = "(module (func $f (param i32) (call $f (local.get 0))))";
    assert_eq!(calls(itself, 0), 1);
    let ring = "(module
        (func $a (param i32) (if (local.get 0) (then (call $b (local.get 0)))))
        (func $b (param i32) (if (local.get 0) (then (call $c (local.get 0)))))
        (func $c (param i32) (if (local.get 0) (then (call $a (local.get 0))))))";
    for function in 0..3 {
        assert_eq!(calls(ring, function), 1, "{function}");
    }
}

#[test]
fn landings_tail_calls_and_large_functions_are_left() {
    let landing = "(module (tag $t)
        (func $leaf (result i32) (i32.const 7))
        (func (result i32) (block $h (return (try_table (result i32) (catch $t $h) (call $leaf))))
            (i32.const 1)))";
    // And one that throws further what the clause does not catch.
    assert_eq!(calls(landing, 1), 2);
    let catches = "(module (import \"\" \"f\" (func $f)) (tag $t)
        (func $g (block $h (try_table (catch $t $h) (call $f))))
        (func (call $g)))";
    assert_eq!(calls(catches, 2), 1);
    let tail = "(module (import \"\" \"f\" (func $f (result i32)))
        (func $g (result i32) (return_call $f))
        (func (result i32) (call $g))
        (func (result i32) (return_call $g)))";
    assert_eq!([calls(tail, 2), calls(tail, 3)], [1, 0]);
    let large = format!(
        "(module (memory 1) (func $g {}) (func (call $g)))",
        "(i32.store (i32.const 0) (i32.load (i32.const 8)))".repeat(12)
    );
    assert_eq!(calls(&large, 1), 1);
}

#[test]
fn cold_calls_are_left() {
    let wat = |hint: &str| {
        format!(
            r#"(module (memory 1)
                (func $store (i32.store (i32.const 0) (i32.const 1)))
                (func (param i32)
                    (local.get 0) {hint} (if (then (call $store)))))"#
        )
    };
    assert_eq!(calls(&wat(""), 1), 0);
    assert_eq!(calls(&wat(r#"(@metadata.code.branch_hint "\00")"#), 1), 1);
}

/// Functions each of which calls the next one three times.
fn chain() -> String {
    let function = |index| {
        let calls = format!("(call $f{})", index + 1).repeat(3);
        format!("(func $f{index} (param i32) (result i32) (local.get 0) {calls})")
    };
    let functions: String = (0..400).map(function).collect();
    let last = "(func $f400 (param i32) (result i32) (i32.mul (local.get 0) (i32.const 5)))";
    format!("(module {functions} {last})")
}

#[test]
fn threads_do_not_show() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let build = || compiled(&chain(), Passes::ALL).artifact;
    let one = pool(1).install(build);
    for threads in [2, 4, 4] {
        assert!(pool(threads).install(build) == one, "{threads} threads");
    }
}

#[test]
fn code_grows_in_proportion_to_the_module() {
    // Without limits, exponential.
    let wat = chain();
    let (with, plain) = (compiled(&wat, Passes::ALL), compiled(&wat, without()));
    assert!(with.text_bytes < 10 * plain.text_bytes, "{} {}", with.text_bytes, plain.text_bytes);
    // One function with many calls is bounded too.
    let calls = "(call $g)".repeat(20_000);
    let wat = format!(
        "(module (memory 1) (func $g (i32.store (i32.const 0) (i32.const 1))) (func {calls}))"
    );
    let (with, plain) = (compiled(&wat, Passes::ALL), compiled(&wat, without()));
    assert!(with.text_bytes < 2 * plain.text_bytes, "{} {}", with.text_bytes, plain.text_bytes);
}

#[test]
fn what_takes_many_values_is_left() {
    // Limits on compiling them are by the bytes of a body, and a copy has none.
    let many = "i32 ".repeat(200);
    let wat = format!(
        r#"(module
            (import "" "p" (func $p (result {many})))
            (import "" "q" (func $q (param {many})))
            (func $between (call $q (call $p)))
            (func $wide (param {many}))
            (func (call $between) (call $wide (call $p))))"#
    );
    assert_eq!(calls(&wat, 4), 3);
}

#[test]
fn inlined_code_comes_from_the_callee_and_the_call() {
    let wat = r#"(module (memory 1)
        (func $load (param i32) (result i32) (i32.load (local.get 0)))
        (func $next (param i32) (result i32) (call $load (i32.add (local.get 0) (i32.const 4))))
        (func (export "f") (param i32) (result i32) (call $next (local.get 0))))"#;
    let compiled = compiled(wat, Passes::ALL);
    let artifact = Artifact::parse(&compiled.artifact).unwrap();
    let outer = &artifact.functions()[2];
    let inside = |offset: u32| offset.wrapping_sub(outer.text_offset.get()) < outer.text_size.get();
    let faults = artifact.sites().iter().filter(|site| site.trap.is_some());
    let places: BTreeSet<Vec<u32>> = faults
        .filter(|site| inside(site.text_offset))
        .map(|site| {
            let places = site.places().iter();
            places.map(|place| artifact.function_with(*place).unwrap().0).collect()
        })
        .collect();
    assert_eq!(places, BTreeSet::from([vec![2, 1, 0]]));
}

#[test]
fn an_error_is_that_of_the_first_function() {
    // The second one is small, so it is looked at before the first.
    let large = "(drop (i32.const 1))".repeat(200);
    let wat = format!("(module (func {large} (i32.add)) (func (i32.sub)))");
    let wat = wat.replace("(i32.add)", "i32.add drop").replace("(i32.sub)", "i32.sub drop");
    let error = compile(wat.as_bytes(), &Options::default()).unwrap_err().to_string();
    let first = compile(wat.as_bytes(), &Options { passes: without(), ..Options::default() });
    assert_eq!(error, first.unwrap_err().to_string());
}
