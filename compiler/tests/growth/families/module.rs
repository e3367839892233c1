//! Everything around code: many of one kind of definition, and calls between functions.

use super::{Family, binary, each, family, number, section, wrap};

pub(super) const FAMILIES: &[Family] = &[
    family("functions", 100, |n| module(n, |_| "(func (result i32) (i32.const 1))".to_owned())),
    family("functions-in-a-chain", 100, |n| {
        module(n, |n| format!("(func (call {}))", n.saturating_sub(1)))
    }),
    family("functions-that-call-two", 100, |n| {
        module(n, |n| format!("(func (call {}) (call {}))", n.saturating_sub(1), n / 2))
    }),
    family("functions-that-call-one-large", 100, |n| {
        let large = "(i32.store (i32.const 0) (i32.const 1))".repeat(10);
        let calls = "(call 0)".repeat(20);
        module(n, |n| format!("(func {})", if n == 0 { &large } else { &calls }))
            .replace("(module", "(module (memory 1)")
    }),
    family("one-function-that-calls-a-small-one", 4_000, |n| {
        let calls = "(call $s (i32.const 3))".repeat(n);
        format!("(module (func $s (param i32)) (func {calls}))")
    }),
    family("functions-with-long-names", 50, |n| {
        module(n, |n| format!("(func ${}{n})", "name".repeat(50)))
    }),
    family("names-of-one-function", 2_000, |n| {
        let names = section(1, n, &[&[0u8][..], &[4], b"name"].concat().repeat(n));
        let custom = [&[4][..], b"name", &names].concat();
        binary(&[&[&[0][..], &number(custom.len()), &custom].concat()])
    }),
    family("types", 500, |n| {
        let param = |n: usize, bit: usize| if n >> bit & 1 == 1 { "i32 " } else { "i64 " };
        module(n, |n| format!("(type (func (param {})))", each(17, |bit| param(n, bit).to_owned())))
    }),
    family("types-in-one-group", 500, |n| {
        let group = each(n, |n| format!("(type $t{n} (func (param (ref null $t{}))))", n / 2));
        format!("(module (rec {group}))")
    }),
    family("types-that-refer-to-the-last", 500, |n| {
        let first = "(type $t0 (func))".to_owned();
        let next = |n: usize| format!("(type $t{} (func (param (ref null $t{n}))))", n + 1);
        format!("(module {first}{})", each(n, next))
    }),
    family("types-that-refer-twice", 1_000, |n| {
        let ty = |n: usize| format!("(type (func (param (ref null {n}) (ref null {n}))))");
        format!("(module (type (func)) {})", each(n, ty))
    }),
    family("types-of-one-group", 1_000, |n| {
        format!("(module (rec {}))", "(type (func (param (ref null 0))))".repeat(n))
    }),
    family("indirect-calls-by-type", 50, |n| {
        let bits = |n: usize, one: &str, zero: &str| {
            each(16, |bit| if n >> bit & 1 == 1 { one } else { zero }.to_owned())
        };
        let call = |n: usize| {
            let params = bits(n, "i32 ", "i64 ");
            let arguments = bits(n, "(i32.const 0)", "(i64.const 0)");
            format!("(func (call_indirect (param {params}) {arguments} (i32.const 0)))")
        };
        format!("(module (table 1 funcref) {})", each(n, call))
    }),
    family("equal-types", 1_000, |n| module(n, |_| "(type (func (param i32)))".to_owned())),
    family("imports", 100, |n| {
        module(n, |n| format!("(import \"m\" \"f{n}\" (func (param i32)))"))
    }),
    family("imports-of-many-types", 20, |n| {
        let param = |n: usize, bit: usize| if n >> bit & 1 == 1 { "i32 " } else { "i64 " };
        let params = |n| each(9, |bit| param(n, bit).to_owned());
        module(n, |n| format!("(import \"m\" \"f\" (func (param {})))", params(n)))
    }),
    family("imported-globals", 1_000, |n| {
        let import = |n: usize| format!("(import \"m\" \"g{n}\" (global i32))");
        let global = |n: usize| format!("(global i32 (global.get {n}))");
        format!("(module {}{})", each(n, import), each(n, global))
    }),
    family("exports", 1_000, |n| {
        format!("(module (func) {})", each(n, |n| format!("(export \"e{n}\" (func 0))")))
    }),
    family("globals", 1_000, |n| module(n, |n| format!("(global (mut i64) (i64.const {n}))"))),
    family("globals-of-globals", 1_000, |n| {
        let next = |n: usize| format!("(global i32 (i32.add (global.get {n}) (i32.const 1)))");
        format!("(module (global i32 (i32.const 0)) {})", each(n, next))
    }),
    family("one-long-constant-expression", 2_000, |n| {
        let sums = "(i32.const 1) i32.add ".repeat(n);
        format!("(module (global i32 (i32.const 1) {sums}))")
    }),
    family("tags", 1_000, |n| module(n, |_| "(tag)".to_owned())),
    family("tables", 4, |n| module(n, |_| "(table 10 funcref)".to_owned())),
    family("memories", 20, |n| module(n, |_| "(memory 1)".to_owned())),
    family("data-segments", 1_000, |n| {
        let segment = |n: usize| format!("(data (i32.const {}) \"x\")", n % 60_000);
        format!("(module (memory 1) {})", each(n, segment))
    }),
    family("data-segments-far-apart", 2_000, |n| {
        let segment = |n: usize| format!("(data (i32.const {}) \"x\")", n << 16);
        format!("(module (memory 65536) {})", each(n, segment))
    }),
    family("data-segments-in-steps", 1_000, |n| {
        let segment = |n: usize| format!("(data (global.get 0) \"{n}\")");
        format!("(module (import \"m\" \"g\" (global i32)) (memory 1) {})", each(n, segment))
    }),
    family("passive-data-segments", 1_000, |n| {
        format!("(module (memory 1) {})", each(n, |n| format!("(data \"{n}\")")))
    }),
    family("element-segments", 1_000, |n| {
        let segment = |n: usize| format!("(elem (i32.const {}) $f)", n % 1_000);
        format!("(module (table 1000 funcref) (func $f) {})", each(n, segment))
    }),
    family("passive-element-segments", 1_000, |n| {
        format!("(module (func $f) {})", each(n, |_| "(elem func $f)".to_owned()))
    }),
    family("elements-of-one-segment", 2_000, |n| {
        let elements = "$f ".repeat(n);
        format!("(module (table {n} funcref) (func $f) (elem (i32.const 0) {elements}))")
    }),
    family("element-expressions", 1_000, |n| {
        let elements = "(ref.func $f) ".repeat(n);
        format!("(module (table {n} funcref) (func $f) (elem (i32.const 0) funcref {elements}))")
    }),
    family("custom-sections", 500, |n| {
        module(n, |n| format!("(@custom \"section {n}\" \"contents\")"))
    }),
    family("small-functions-in-loops", 50, |n| {
        let sum = "(i32.add (local.get 0) (i32.const 1))";
        let small = format!("(func $s (param i32) (result i32) {sum})");
        let caller = wrap("(loop ", "(local.set 0 (call $s (local.get 0)))", 3);
        let callers = format!("(func (param i32) {caller})").repeat(n);
        format!("(module {small} {callers})")
    }),
];

fn module(n: usize, field: impl Fn(usize) -> String) -> String {
    format!("(module {})", each(n, field))
}
