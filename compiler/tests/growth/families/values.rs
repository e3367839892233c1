//! Locals, operands and calculations.

use super::{Family, binary, each, family, func, section, wrap};

pub(super) const FAMILIES: &[Family] = &[
    family("unused-locals", 100, unused_locals),
    family("locals-over-ifs", 300, |n| over(n, "(if (local.get 0) (then ", "))")),
    family("locals-over-loops", 300, |n| over(n, "(loop (br_if 0 (local.get 0)) ", ")")),
    family("locals-over-blocks", 300, |n| over(n, "(block (br_if 0 (local.get 0)) ", ")")),
    family("locals-over-one-loop", 4_000, |n| {
        let body = format!("(loop {} (br_if 0 (local.get 0)))", each(n, pass));
        func(n, &format!("{}{body}{}", each(n, set), each(n, pass)))
    }),
    family("locals-over-nested-loops", 200, |n| {
        let nest = wrap("(loop (br_if 0 (call $g)) ", &each(n, pass), n.min(900));
        func(n, &format!("{}{nest}{}", each(n, set), each(n, pass)))
    }),
    family("locals-over-tries", 1_200, |n| {
        let sets = each(n, set);
        func(n, &format!("(block $h (try_table (catch_all $h) {sets})) {}", each(n, pass)))
    }),
    family("locals-over-tables", 200, |n| {
        let table = |n: usize| format!("(block (block (br_table 0 1 0 (local.get 0))) {})", set(n));
        func(n, &format!("{}{}", each(n, table), each(n, pass)))
    }),
    family("locals-changed-in-one-block", 1_000, |n| {
        let branch = |n: usize| format!("(br_if 0 (local.get 0)) {}", set(n));
        func(n, &format!("(block {}) {}", each(n, branch), each(n, pass)))
    }),
    family("few-locals-over-ifs", 12_000, |n| {
        let step = |n: usize| format!("(if (local.get 0) (then {}))", set(n % 30));
        func(30, &format!("{}{}", each(n, step), each(30, pass)))
    }),
    family("chain-of-loads", 1_000, |n| {
        let step = "(local.set 1 (i32.add (local.get 1) (i32.load (local.get 1))))";
        func(1, &step.repeat(n))
    }),
    // Functions with half as many values have their registers allocated well, in the time that this may take at most.
    family("values-alive", 2_500, |n| {
        let drops = "drop (call $h) ".repeat(n / 2 - 1) + "drop drop";
        func(0, &format!("{} {drops}", "(call $g) ".repeat(n)))
    }),
    family("values-alive-over-ifs", 500, |n| alive(n, "(if (call $g) (then (call $f)))")),
    family("values-alive-over-loops", 500, |n| alive(n, "(loop (br_if 0 (call $g)))")),
    family("values-alive-over-blocks", 500, |n| alive(n, "(block (br_if 0 (call $g)) (call $f))")),
    family("values-alive-over-tries", 500, |n| {
        alive(n, "(block $h (try_table (catch_all $h) (call $f)))")
    }),
    family("values-alive-over-checks", 500, |n| alive(n, "(call_indirect (local.get 0))")),
    family("values-alive-over-divisions", 500, |n| {
        alive(n, "(local.set 0 (i32.div_s (local.get 0) (call $g)))")
    }),
    family("values-alive-in-a-loop", 1_000, |n| {
        let body = format!("{} {}", "(call $g) ".repeat(n), "(call $h) ".repeat(n));
        func(0, &format!("(loop {body} (br_if 0 (call $g)))"))
    }),
    family("values-computed-and-alive", 1_000, |n| {
        let value = |n: usize| format!("(i32.mul (local.get 0) (i32.const {n}))");
        func(0, &format!("{} {}", each(n, value), "(call $h)".repeat(n)))
    }),
    family("sums-kept-over-blocks", 400, |n| {
        let step = |n: usize| {
            let sum = format!("(i32.add (local.get {n}) (i32.const 7))");
            format!("(local.set {} {sum}) (if (call $g) (then (call $f)))", n + 1)
        };
        func(n, &format!("{}{}", each(n, step), each(n, pass)))
    }),
    family("left-deep-sums", 1_000, |n| {
        func(0, &format!("(call $g) {} (call $h)", "(i32.add (call $g))".repeat(n)))
    }),
    family("right-deep-sums", 1_000, |n| {
        let loads = "(i32.load (local.get 0))".repeat(n);
        func(0, &format!("{loads} {} (call $h)", "i32.add ".repeat(n - 1)))
    }),
    family("chain-of-one-local", 1_000, |n| {
        let step = "(local.set 0 (i32.mul (local.get 0) (i32.add (local.get 0) (i32.const 7))))";
        func(0, &step.repeat(n))
    }),
    family("chain-of-selects", 400, |n| {
        let select = "(local.set 0 (select (local.get 0) (i32.const 3) (i32.eqz (local.get 0))))";
        func(0, &select.repeat(n))
    }),
    family("chain-of-additions", 500, |n| {
        let step = |n: usize| format!("(local.set 0 (i32.add (local.get 0) (i32.const {n})))");
        func(0, &format!("{} (call $h (local.get 0))", each(n, step)))
    }),
    family("chain-of-extensions", 500, |n| {
        let step = "(i32.wrap_i64 (i64.add (i64.extend_i32_u (local.get 0)) (i64.const 1)))";
        func(0, &format!("(local.set 0 {step})").repeat(n))
    }),
    family("compared-carries", 200, |n| {
        let upper = "(i64.shr_u (local.get 0) (i64.const 32))";
        let joined = format!("(i64.or (i64.shl {upper} (i64.const 32)) {upper})");
        let product = format!("(i64.mul {upper} {upper})");
        let sum = (0..5).fold(product, |sum, _| format!("(i64.add {sum} {joined})"));
        let add = "(local.set 0 (i64.add (local.get 0) (local.get 1)))";
        format!(
            "(module (func (param i64 i64) (result i64) (local.set 1 {sum}) {} (local.get 0)))",
            add.repeat(n)
        )
    }),
    family("byte-swaps", 200, |n| {
        let swap = "(local.set 0 (i32.xor
            (i32.shr_u (i32.and (i32.xor (local.get 0) (i32.rotl (local.get 0) (i32.const 16)))
                (i32.const 0xff00ff00)) (i32.const 8))
            (i32.add (local.get 1) (i32.rotr (local.get 0) (i32.const 8)))))";
        format!("(module (func (param i32 i32) (result i32) {} (local.get 0)))", swap.repeat(n))
    }),
    family("masks", 400, |n| {
        let mask = "(local.set 0 (i64.add (local.get 0) (i64.extend_i32_u
            (i32.and (i32.wrap_i64 (local.get 0)) (i32.const 255)))))";
        format!("(module (func (param i64) (result i64) {} (local.get 0)))", mask.repeat(n))
    }),
    family("wide-products", 200, |n| {
        let high = "(i64.mul (i64.shr_u (local.get 1) (i64.const 32)) (local.get 1))";
        let step = format!("(local.set 1 (i64.add (local.get 1) {high}))");
        format!("(module (func (param i32 i64) (result i64) {} (local.get 1)))", step.repeat(n))
    }),
    family("pure-calculations-alike", 500, |n| {
        let sum = |n: usize| format!("(i32.xor (local.get 0) (i32.const {}))", n % 7);
        func(0, &each(n, |n| format!("(call $h {})", sum(n))))
    }),
    family("constants", 500, |n| {
        let store = |n: usize| format!("(i64.store (local.get 0) (i64.const 0x12345678{n:08}))");
        func(0, &each(n, store))
    }),
    family("vector-constants", 300, |n| {
        let store = |n: usize| format!("(v128.store (local.get 0) (v128.const i64x2 1 {n}))");
        func(0, &each(n, store))
    }),
    family("vectors-alive", 500, |n| {
        let load = |n: usize| format!("(v128.load offset={} (local.get 0))", n * 16);
        func(0, &format!("{} {} drop", each(n, load), "i32x4.add ".repeat(n - 1)))
    }),
    family("loads-and-stores", 200, |n| {
        let (to, from) = ("(local.get 0)", "(local.get 0)");
        let copy =
            |n: usize| format!("(i32.store offset={} {to} (i32.load offset={n} {from}))", n * 4);
        func(0, &each(n, copy))
    }),
    // What proofs look at: sums of one number, comparisons of them, and differences that are remainders.
    family("fields", 400, |n| {
        let at =
            |n: usize| format!("(i32.add (i32.shl (local.get 0) (i32.const 3)) (i32.const {n}))");
        func(
            0,
            &each(n, |n| format!("(i32.store8 {} (i32.load8_u {}))", at(n * 5), at(n * 9 % 64))),
        )
    }),
    family("compared-sums", 300, |n| {
        let sum = |n: usize| format!("(i32.add (local.get 0) (i32.const {n}))");
        let starts = each(n, |n| {
            let compared = format!("(i32.lt_u {} (i32.const {}))", sum(n), 70_000 - n);
            format!("(if {compared} (then (call $h (i32.load8_u {}))", sum(n * 3))
        });
        func(0, &format!("{starts}{}", "))".repeat(n)))
    }),
    family("chain-of-remainders", 300, |n| {
        let quotient = "(i32.mul (i32.div_u (local.get 0) (i32.const 90)) (i32.const 360))";
        let step = format!(
            "(local.set 0 (i32.sub (i32.mul (local.get 0) (i32.const 4)) {quotient}))
             (call $h (i32.load (local.get 0)))"
        );
        func(0, &format!("(loop {} (br_if 0 (call $g)))", step.repeat(n)))
    }),
    family("loads-in-blocks", 300, |n| {
        let load = |n: usize| format!("(call $h (i32.load offset={n} (local.get 0)))");
        func(0, &each(n, |n| format!("(if (call $g) (then {}))", load(n))))
    }),
    family("indirect-calls", 200, |n| func(0, &"(call_indirect (local.get 0))".repeat(n))),
    family("calls-with-many-arguments", 20, |n| passing(n, 1, 0)),
    family("calls-with-many-results", 20, |n| passing(n, 0, 1)),
    family("calls-that-pass-on", 10, |n| passing(n, 1, 1)),
    family("imports-of-one-large-type", 50, |n| {
        let ty = format!("(type $t (func (param {})))", "i64 ".repeat(500));
        format!("(module {ty} {})", "(import \"m\" \"f\" (func (type $t)))".repeat(n))
    }),
    family("functions-of-one-large-type", 50, |n| {
        let ty = format!("(type $t (func (param {})))", "i64 ".repeat(500));
        format!("(module {ty} {})", "(func (type $t))".repeat(n))
    }),
    family("calls-of-one-large-type", 20, |n| {
        let ty = format!("(type $t (func (result {})))", "i64 ".repeat(100));
        let calls = "(func call $f unreachable)".repeat(n);
        format!("(module {ty} (import \"m\" \"f\" (func $f (type $t))) {calls})")
    }),
    family("many-params", 20, |n| {
        let types = "i64 ".repeat(200);
        let func = format!("(func (param {types}) (result i64) (local.get 199))");
        format!("(module {})", func.repeat(n))
    }),
];

fn set(local: usize) -> String {
    format!("(local.set {} (call $g))", local + 1)
}

fn pass(local: usize) -> String {
    format!("(call $h (local.get {}))", local + 1)
}

/// Locals that are set in a block each, and used after all of them.
fn over(n: usize, start: &str, end: &str) -> String {
    let step = |n: usize| format!("{start}{}{end}", set(n));
    func(n, &format!("{}{}", each(n, step), each(n, pass)))
}

/// Operands below these operators, so many of both.
fn alive(n: usize, operators: &str) -> String {
    let over = operators.repeat(n);
    func(0, &format!("{} {over} {}", "(call $g) ".repeat(n), "(call $h)".repeat(n)))
}

/// Calls of a function with 50 parameters and results, or none.
fn passing(n: usize, params: usize, results: usize) -> String {
    let types = "i64 ".repeat(50);
    let list = |word: &str, times| format!("({word} {})", types.repeat(times));
    let ty = format!("{} {}", list("param", params), list("result", results));
    let arguments = each(50 * params, |local| format!("(local.get {local})"));
    let call = format!("{arguments} (call $f) {}", "drop ".repeat(50 * results));
    let calls = call.repeat(n);
    format!("(module (import \"m\" \"f\" (func $f {ty})) (func (param {types}) {calls}))")
}

/// Functions that declare 50 000 locals each; as text, that would be long.
fn unused_locals(n: usize) -> String {
    let types = section(1, 1, &[0x60, 0, 0]);
    let functions = section(3, n, &vec![0; n]);
    let body = [6, 1, 0xd0, 0x86, 3, 0x7f, 0xb];
    binary(&[&types, &functions, &section(10, n, &body.repeat(n))])
}
