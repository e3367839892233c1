//! Families of hostile modules: of each there is one for any size, and none may take more than
//! proportionally long to compile.

/// A family of modules.
pub(crate) struct Family {
    /// Its name.
    pub(crate) name: &'static str,
    /// The smallest size that is measured.
    pub(crate) size: usize,
    /// The text of the module of a size.
    pub(crate) module: fn(usize) -> String,
}

/// All of them.
pub(crate) const FAMILIES: &[Family] = &[
    family("nested-blocks", 4_000, |n| func("", &wrap("(block ", "(call $f)", n))),
    family("blocks-in-a-row", 4_000, |n| {
        func("", &"(block (local.set 0 (i32.add (i32.const 1) (local.get 0))))".repeat(n))
    }),
    family("table-of-one-target", 6_000, |n| {
        func("", &format!("(block (br_table {} 0 (local.get 0)))", "0 ".repeat(n)))
    }),
    family("table-of-two-targets", 6_000, |n| {
        func(
            "",
            &format!(
                "(block (block (br_table {} 0 (local.get 0))) (call $f))",
                "0 1 ".repeat(n / 2)
            ),
        )
    }),
    family("many-tables", 80, |n| {
        let table = format!("(block (br_table {} 0 (local.get 0)))", "0 1 ".repeat(10));
        func("", &format!("(block {} )", table.repeat(n)))
    }),
    family("unused-locals", 200, unused_locals),
    family("values-alive", 1_000, |n| {
        func(
            "",
            &format!(
                "{} {}",
                "(call $g) ".repeat(n),
                "drop (call $h) ".repeat(n / 2 - 1) + "drop drop"
            ),
        )
    }),
    family("right-deep-sums", 500, |n| {
        let loads = "(i32.load (local.get 0))".repeat(n);
        func("", &format!("{loads} {} (call $h)", "i32.add ".repeat(n - 1)))
    }),
    family("chain-of-one-local", 500, |n| {
        func(
            "",
            &"(local.set 0 (i32.mul (local.get 0) (i32.add (local.get 0) (i32.const 7))))"
                .repeat(n),
        )
    }),
    family("chain-of-selects", 400, |n| {
        let select = "(local.set 0 (select (local.get 0) (i32.const 3) (i32.eqz (local.get 0))))";
        func("", &select.repeat(n))
    }),
    family("constants", 500, |n| {
        let store = |n: usize| format!("(i64.store (local.get 0) (i64.const 0x12345678{n:08}))");
        func("", &(0..n).map(store).collect::<String>())
    }),
    family("vector-constants", 300, |n| {
        let store = |n: usize| format!("(v128.store (local.get 0) (v128.const i64x2 1 {n}))");
        func("", &(0..n).map(store).collect::<String>())
    }),
    family("loads-and-stores", 200, |n| {
        let copy = |n: usize| {
            format!(
                "(i32.store offset={} (local.get 0) (i32.load offset={n} (local.get 0)))",
                n * 4
            )
        };
        func("", &(0..n).map(copy).collect::<String>())
    }),
    family("data-segments", 1_000, |n| {
        let segment = |n: usize| format!("(data (i32.const {}) \"x\")", n % 60_000);
        format!("(module (memory 1) {})", (0..n).map(segment).collect::<String>())
    }),
    family("exports", 1_000, |n| {
        let export = |n: usize| format!("(export \"e{n}\" (func 0))");
        format!("(module (func) {})", (0..n).map(export).collect::<String>())
    }),
    family("types", 1_000, |n| {
        let ty = |n: usize| format!("(type (func (param {})))", bits(n, "i32 ", "i64 "));
        format!("(module {})", (0..n).map(ty).collect::<String>())
    }),
    family("chain-of-types", 1_000, |n| {
        let ty = |n: usize| format!("(type (func (param (ref null {n}) (ref null {n}))))");
        format!("(module (type (func)) {})", (0..n).map(ty).collect::<String>())
    }),
    family("types-of-one-group", 1_000, |n| {
        format!("(module (rec {}))", "(type (func (param (ref null 0))))".repeat(n))
    }),
    family("indirect-calls-by-type", 50, |n| {
        let ty = |n: usize| {
            let (params, arguments) =
                (bits(n, "i32 ", "i64 "), bits(n, "(i32.const 0)", "(i64.const 0)"));
            format!("(func (call_indirect (param {params}) {arguments} (i32.const 0)))")
        };
        format!("(module (table 1 funcref) {})", (0..n).map(ty).collect::<String>())
    }),
    family("globals", 1_000, |n| {
        let global = |n: usize| format!("(global (mut i64) (i64.const {n}))");
        format!("(module {})", (0..n).map(global).collect::<String>())
    }),
];

/// The lowest 16 bits of a number: `one` or `zero` for each.
fn bits(number: usize, one: &str, zero: &str) -> String {
    (0..16).map(|at| if number >> at & 1_usize == 1 { one } else { zero }).collect()
}

/// Functions that declare 50 000 locals each; as text, that would be long.
fn unused_locals(n: usize) -> String {
    let count = |n: usize| [n as u8 | 0x80, (n >> 7) as u8 | 0x80, (n >> 14) as u8];
    let section = |id: u8, items: &[u8]| {
        let len = 3 + items.len() * n;
        [&[id][..], &count(len), &count(n), &items.repeat(n)].concat()
    };
    let body = [6, 1, 0xd0, 0x86, 3, 0x7f, 0xb];
    let types = [1, 4, 1, 0x60, 0, 0];
    let module = [&b"\0asm\x01\0\0\0"[..], &types, &section(3, &[0]), &section(10, &body)].concat();
    let escaped: String = module.iter().map(|byte| format!("\\{byte:02x}")).collect();
    format!("(module binary \"{escaped}\")")
}

const fn family(name: &'static str, size: usize, module: fn(usize) -> String) -> Family {
    Family { name, size, module }
}

/// A function with one parameter, and locals of these types.
fn func(locals: &str, body: &str) -> String {
    format!(
        "(module (memory 1) (table 1 funcref) (import \"m\" \"f\" (func $f))
            (import \"m\" \"g\" (func $g (result i32))) (import \"m\" \"h\" (func $h (param i32)))
            (func (param i32) (local {locals}) {body}))"
    )
    .replace("(memory 1) (table 1 funcref)", "")
    .replace("(func (param i32) (local", "(memory 1) (table 1 funcref) (func (param i32) (local")
}

fn wrap(start: &str, inner: &str, times: usize) -> String {
    format!("{}{inner}{}", start.repeat(times), ")".repeat(times))
}
