//! Modules made to harm the compiler: they give errors, or compile in little memory and time.

use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use wfaas_compiler::{CompileError, Options, compile};

const EVERYTHING: &[u8] = include_bytes!("samples/everything.wat");

fn try_compile(module: &[u8]) -> Result<Vec<u8>, CompileError> {
    compile(module, &Options::default()).map(|compiled| compiled.artifact)
}

fn everything() -> Vec<u8> {
    wat::parse_bytes(EVERYTHING).unwrap().into_owned()
}

#[test]
fn truncated_modules_are_refused() {
    let module = everything();
    // Cut off before the name section, the code is all there.
    let names = module.windows(5).position(|window| window == b"\x04name").unwrap() - 3;
    let accepted: Vec<usize> =
        (0..names).filter(|len| try_compile(&module[..*len]).is_ok()).collect();
    // Valid are the bare header, and what ends with the section of types or of imports.
    assert_eq!((accepted.len(), accepted[0]), (3, 8), "{accepted:?}");
}

#[test]
fn damaged_modules_never_panic() {
    let module = everything();
    for at in 8..module.len() {
        for bit in [0, 3, 7] {
            let mut damaged = module.clone();
            damaged[at] ^= 1 << bit;
            // Some damage gives another valid module.
            let _ = try_compile(&damaged);
        }
    }
}

#[test]
fn more_memories_than_a_hundred_are_refused() {
    let module = |memories: usize| format!("(module {})", "(memory 1)".repeat(memories));
    compile(module(100).as_bytes(), &Options::default()).unwrap();
    let error = compile(module(101).as_bytes(), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("memories count exceeds limit of 100"), "{error}");
}

#[test]
fn huge_memories_and_tables_take_no_memory() {
    for module in [
        "(memory 65536)",
        "(table 10000000 funcref)",
        "(table 10000000 externref) (table 10000000 funcref)",
        "(memory 65536) (data (i32.const 0xffffffff) \"x\")",
    ] {
        let artifact = try_compile(format!("(module {module})").as_bytes()).expect(module);
        assert!(artifact.len() < 100_000, "{module}: {} bytes", artifact.len());
    }
    let tables = "(table 10000000 funcref) ".repeat(8);
    let error = try_compile(format!("(module {tables})").as_bytes()).unwrap_err();
    assert!(matches!(error, CompileError::State(_)), "{error}");
}

#[test]
fn scattered_segments_do_not_swell_the_file() {
    let segments: String =
        (0..40_000u32).map(|page| format!("(data (i32.const {}) \"x\")", page * 65536)).collect();
    let module = format!("(module (memory 65536) {segments})");
    let artifact = try_compile(module.as_bytes()).unwrap();
    assert!(artifact.len() < 80 << 20, "{} bytes", artifact.len());
}

#[test]
fn deep_nesting_compiles() {
    let deep = |depth: usize| {
        format!("(module (func {} {}))", "block ".repeat(depth), "end ".repeat(depth))
    };
    try_compile(deep(10_000).as_bytes()).unwrap();
    let dead =
        format!("(module (func unreachable {} {}))", "loop ".repeat(10_000), "end ".repeat(10_000));
    try_compile(dead.as_bytes()).unwrap();
}

#[test]
fn loops_in_one_another_are_limited() {
    // Each changes a local that the code generator would keep out of the loops, if it could.
    let start = "loop (local.set 0 (i32.add (local.get 0) (i32.const 1)))";
    let nest = |depth: usize| {
        let (start, end) = (start.repeat(depth), "(br_if 0 (local.get 0)) end ".repeat(depth));
        format!("(module (func (param i32) {start} {end}))")
    };
    try_compile(nest(1000).as_bytes()).unwrap();
    let error = try_compile(nest(1001).as_bytes()).unwrap_err();
    assert!(error.to_string().contains("more than 1000 loops in one another"), "{error}");
    // One after the other, they are no deeper than one.
    let row = format!("{start} end ").repeat(1001);
    try_compile(format!("(module (func (param i32) {row}))").as_bytes()).unwrap();
}

#[test]
fn blocks_that_catch_can_be_nested_deep() {
    let starts = "(try_table (catch $e 0) ".repeat(2_000);
    let ends = "(call 0)) ".repeat(2_000);
    let module = format!("(module (tag $e) (func) (func {starts} (call 0) {ends}))");
    let artifact = try_compile(module.as_bytes()).unwrap();
    assert!(artifact.len() < module.len() * 10, "{} bytes", artifact.len());
}

/// Blocks that only jump, in a row so long that jumps are threaded, beside others that jump in a circle.
#[test]
fn jumps_in_a_circle_compile() {
    let (starts, ends) = ("block ".repeat(2_000), "end ".repeat(2_000));
    for circle in
        ["loop loop br 1 end end", "loop loop loop br 2 end end end", "loop block br 1 end end"]
    {
        for code in [
            format!("{starts} (br_if 0 (local.get 0)) {ends} {circle}"),
            format!("{circle} {starts} (br_if 0 (local.get 0)) {ends}"),
            format!("(if (local.get 0) (then {circle})) {starts} (br_if 0 (local.get 0)) {ends}"),
        ] {
            let module = format!("(module (func (param i32) {code}))");
            try_compile(module.as_bytes()).unwrap();
        }
    }
}

#[test]
fn values_of_caught_exceptions_are_limited() {
    let values = "i32 ".repeat(1000);
    let catch = |clauses: usize| {
        format!(
            "(module (tag $e (param {values})) (func)
               (func (result {values})
                 (try_table {} (call 0)) unreachable))",
            "(catch $e 0) ".repeat(clauses)
        )
    };
    try_compile(catch(1).as_bytes()).unwrap();
    let error = try_compile(catch(100).as_bytes()).unwrap_err();
    assert!(matches!(error, CompileError::TooComplex { function: 1, .. }), "{error}");
}

#[test]
fn long_chains_of_types_compile() {
    let chain: String =
        (1..10_000).map(|last| format!("(type (func (param (ref null {})))) ", last - 1)).collect();
    try_compile(format!("(module (type (func)) {chain})").as_bytes()).unwrap();
}

#[test]
fn long_constant_expressions_compile() {
    let sum = "(i32.const 1) ".repeat(100_000) + &"i32.add ".repeat(99_999);
    let module = format!("(module (global i32 {sum}))");
    let artifact = try_compile(module.as_bytes()).unwrap();
    assert!(artifact.len() < 100_000, "{} bytes", artifact.len());
}

#[test]
fn branches_with_many_operands_are_limited() {
    let results = "i32 ".repeat(1000);
    let branches = "(br_if 0 (i32.const 1)) ".repeat(20_000);
    let module =
        format!("(module (func (result {results}) {} {branches}))", "(i32.const 1) ".repeat(1000));
    let error = try_compile(module.as_bytes()).unwrap_err();
    assert!(matches!(error, CompileError::TooComplex { function: 0, .. }), "{error}");
}

#[test]
fn small_functions_cannot_make_much_code() {
    let values = "i32 ".repeat(1000);
    let calls = "(call 0) ".repeat(12);
    let module = format!(
        "(module (func (param {values}) (result {values}) unreachable)
            (func (param {values}) (result {values}) {} {calls}))",
        (0..1000).map(|index| format!("(local.get {index}) ")).collect::<String>()
    );
    // Each value is passed on a few times for the byte that pushed it: that is let through ...
    try_compile(module.as_bytes()).unwrap();
    // ... but not thirty times.
    let module = module.replace(&calls, &"(call 0) ".repeat(40));
    let error = try_compile(module.as_bytes()).unwrap_err();
    assert!(matches!(error, CompileError::TooComplex { function: 1, .. }), "{error}");
}

#[test]
fn many_locals_over_many_blocks_compile() {
    let locals = "i32 ".repeat(40_000);
    let unused = "(if (i32.const 1) (then)) ".repeat(4_000);
    try_compile(format!("(module (func (local {locals}) {unused}))").as_bytes()).unwrap();
    let set = |local: usize| {
        format!("(if (local.get 0) (then (local.set {} (local.get {local}))))", local + 1)
    };
    let used: String = (0..8_000).map(set).collect();
    try_compile(format!("(module (func (param i32) (local {locals}) {used}))").as_bytes()).unwrap();
}

#[test]
fn long_tables_of_branches_compile() {
    let labels = "0 1 2 ".repeat(100_000);
    let results = "i32 ".repeat(100);
    let module = format!(
        "(module (type $r (func (result {results}))) (func (type $r)
           block (type $r) block (type $r) {} (br_table {labels} 0 (i32.const 1)) end end))",
        "(i32.const 1) ".repeat(100)
    );
    try_compile(module.as_bytes()).unwrap();
}

#[test]
fn functions_with_the_most_values_compile() {
    let types = "i64 ".repeat(1000);
    let module = format!(
        "(module (import \"m\" \"f\" (func $f (param {types}) (result {types})))
           (table 1 funcref) (type $t (func (param {types}) (result {types})))
           (func (type $t) {} (call $f) (call_indirect (type $t) (i32.const 0))))",
        (0..1000).map(|index| format!("(local.get {index}) ")).collect::<String>()
    );
    try_compile(module.as_bytes()).unwrap();
}

/// Passes look at what sums consist of, and what a loop's limit is computed from.
#[test]
fn sums_of_sums_compile() {
    let halves = "(i64.mul (i64.shr_u (local.get $a) (i64.const 32)) (local.get $a))";
    let upper = "(i64.mul (i64.shr_u (local.get $a) (i64.const 32)) (i64.const 5))";
    let add = "(local.set $a (i64.add (local.get $a) (i64.shr_u (local.get $b) (i64.const 32))))";
    let double = "(local.set $a (i64.add (local.get $a) (local.get $a)))";
    let sums = format!("{} {}", add.repeat(20_000), double.repeat(60));
    // Doubled sixty times, in the loop: as a tree it would have 2^60 leaves.
    let limit = "(local.set $n (i32.add (local.get $n) (local.get $n)))".repeat(60);
    let module = format!(
        "(module (memory 1) (func (export \"f\") (param $a i64) (param $b i64) (param $p i32)
            (local $i i32) (local $n i32)
            (i64.store (i32.const 0) {halves}) (i64.store (i32.const 0) {upper}) {sums}
            (i64.store (i32.const 0) (local.get $a))
            (loop
                (local.set $n (local.get $p)) {limit}
                (i32.store (i32.add (local.get $i) (i32.const 8)) (local.get $i))
                (local.set $i (i32.add (local.get $i) (i32.const 4)))
                (br_if 0 (i32.ne (local.get $i) (local.get $n))))))"
    );
    compile(module.as_bytes(), &Options::default()).unwrap();
}

/// Terms of sums can be read as products in many ways, and all of them are alike.
#[test]
fn sums_of_many_halves_compile() {
    let half = "(i64.shr_u (local.get $a) (i64.const 32))";
    let product = format!("(i64.mul {half} (i64.and (local.get $b) (i64.const 0xffffffff)))");
    let sum = |term: &str, count: usize| {
        (1..count).fold(term.to_owned(), |sum, _| format!("(i64.add {sum} {term})"))
    };
    let upper = format!("(i64.shr_u {product} (i64.const 32))");
    let (tops, highs) = (sum(&product, 4), sum(&upper, 8));
    let adds = "(drop (i64.add (local.get $s) (local.get $t)))".repeat(20_000);
    let module = format!(
        "(module (func (param $a i64) (param $b i64) (local $s i64) (local $t i64)
            (local.set $s {tops}) (local.set $t {highs}) {adds}))"
    );
    compile(module.as_bytes(), &Options::default()).unwrap();
}

/// Each way out of a loop is compared with a limit that is computed from thousands of numbers.
#[test]
fn many_exits_with_deep_limits_compile() {
    let sum = "(i32.add (i32.add (local.get $a) (local.get $b))
        (i32.add (local.get $c) (local.get $d)))";
    let deeper = |local: &str, more: u32| {
        format!("(local.set ${local} (i32.shr_u (i32.add {sum} (i32.const {more})) (i32.const 1)))")
    };
    let levels: String = (0..5)
        .flat_map(|_| [("a", 1), ("b", 2), ("c", 3), ("d", 4)])
        .map(|(l, m)| deeper(l, m))
        .collect();
    let exits = "(br_if 1 (i32.ge_u (local.get $i) (local.get $a)))".repeat(20);
    let looping = format!(
        "(local.set $i (i32.const 0)) (block (loop
            (i32.store (i32.shl (local.get $i) (i32.const 2)) (local.get $i)) {exits}
            (local.set $i (i32.add (local.get $i) (i32.const 1))) (br 0)))"
    );
    let module = format!(
        "(module (memory 1) (func (local $a i32) (local $b i32) (local $c i32) (local $d i32)
            (local $i i32)
            (local.set $a (i32.load8_u (i32.const 0))) (local.set $b (i32.load8_u (i32.const 1)))
            (local.set $c (i32.load8_u (i32.const 2))) (local.set $d (i32.load8_u (i32.const 3)))
            {levels} {}))",
        looping.repeat(200)
    );
    compile(module.as_bytes(), &Options::default()).unwrap();
}

#[test]
fn many_functions_compile() {
    let functions = "(func (result i32) (i32.const 1)) ".repeat(5_000);
    try_compile(format!("(module {functions})").as_bytes()).unwrap();
}

#[test]
fn progress_counts_all_functions() {
    let seen = std::sync::Mutex::new(Vec::new());
    let progress = |done, total| seen.lock().unwrap().push((done, total));
    let options = Options { progress: Some(&progress), ..Options::default() };
    compile(b"(module (func) (func) (func))", &options).unwrap();
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, [(1, 3), (2, 3), (3, 3)]);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = try_compile(&bytes);
        let _ = try_compile(&[&b"\0asm\x01\0\0\0"[..], &bytes].concat());
    }

    #[test]
    fn random_sections_never_panic(
        id in 0u8..14,
        bytes in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let module = [&b"\0asm\x01\0\0\0"[..], &[id, bytes.len() as u8], &bytes].concat();
        let _ = try_compile(&module);
    }
}

#[test]
fn code_that_cannot_run_is_limited_too() {
    let values = "i32 ".repeat(1000);
    for operator in ["(throw $t)", "(call $f)", "(br_if 0)", "(return_call $f)"] {
        let module = format!(
            "(module (tag $t (param {values})) (func $f (param {values}) (result {values}) unreachable)
                (func (result {values}) unreachable {}))",
            operator.repeat(20_000)
        );
        let error = try_compile(module.as_bytes()).unwrap_err();
        assert!(matches!(error, CompileError::TooComplex { function: 1, .. }), "{error}");
    }
}

#[test]
fn the_first_error_is_reported_without_compiling_the_rest() {
    let long = format!("(func (drop (i32.const 1)){})", "(drop (i64.const 2))".repeat(200));
    let good = long.repeat(2000);
    let module = format!("(module (func (result i32)) {good} (func (result f64)))");
    let done = AtomicUsize::new(0);
    let progress = |_: usize, _: usize| {
        done.fetch_add(1, Ordering::Relaxed);
    };
    let options = Options { progress: Some(&progress), ..Options::default() };
    let error = compile(module.as_bytes(), &options).unwrap_err();
    let CompileError::Invalid { message, .. } = &error else { panic!("{error}") };
    assert!(message.contains("expected i32"), "the first of two: {error}");
    assert!(done.into_inner() < 2000, "functions after the first error were compiled");
}

#[test]
fn blocks_are_limited() {
    // Each entry of each table gets a block.
    let depths = (0..1000).map(|depth| format!("{depth} ")).collect::<String>();
    let table = format!("(if (local.get 0) (then (br_table {depths} (local.get 0))))");
    let module = format!(
        "(module (func (param i32) {} {} {}))",
        "(block ".repeat(1000),
        table.repeat(600),
        ")".repeat(1000)
    );
    let error = try_compile(module.as_bytes()).unwrap_err();
    let CompileError::TooComplex { what, .. } = &error else { panic!("{error}") };
    assert_eq!(*what, "blocks");
}

/// Allocating registers well would take minutes for this.
#[test]
fn many_values_passed_on_by_many_branches_compile() {
    let (calls, locals) = (1500, 300);
    let step = |call: usize| {
        let (to, from) = (call % locals, (call + 1) % locals);
        format!("(local.set {to} (i32.add (local.get {from}) (i32.const {call}))) (call $f)")
    };
    let module = format!(
        "(module (func $f) (func $g (param i32)) (func (local {})
            (block $h (try_table (catch_all $h) {})) {}))",
        "i32 ".repeat(locals),
        (0..calls).map(step).collect::<String>(),
        (0..locals).map(|local| format!("(call $g (local.get {local}))")).collect::<String>()
    );
    try_compile(module.as_bytes()).unwrap();
}

/// Few bytes declare a function of a type with many values, each of which takes code.
#[test]
fn signatures_of_all_functions_are_limited() {
    let module = |fields: &str, count: usize| {
        let values = "i64 ".repeat(1000);
        format!("(module (type $t (func (param {values}))) {})", fields.repeat(count))
    };
    for field in ["(import \"m\" \"f\" (func (type $t)))", "(func (type $t))"] {
        try_compile(module(field, 20).as_bytes()).unwrap();
        let error = try_compile(module(field, 300).as_bytes()).unwrap_err();
        assert!(error.to_string().contains("parameters and results of all functions"), "{error}");
    }
}

/// A budget of operands for any function would be one for every few bytes.
#[test]
fn functions_share_the_operands_that_need_no_bytes() {
    let module = |functions: usize| {
        let results = "i64 ".repeat(1000);
        format!(
            "(module (import \"m\" \"f\" (func $f (result {results}))) {})",
            "(func call $f unreachable)".repeat(functions)
        )
    };
    try_compile(module(20).as_bytes()).unwrap();
    let error = try_compile(module(2000).as_bytes()).unwrap_err();
    assert!(matches!(error, CompileError::TooComplex { function: 1, .. }), "{error}");
}
