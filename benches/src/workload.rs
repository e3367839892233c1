//! The guests of `start`. Each exports `run`, which takes a number and returns one.

/// A guest and its name.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) wat: String,
}

/// All workloads of `start`.
pub(crate) fn all() -> Vec<Workload> {
    vec![
        Workload { name: "hello", wat: dirty(1, &[0]) },
        Workload { name: "data1m_d8", wat: dirty(16, &spread(8, 16)) },
        Workload { name: "table64", wat: table64() },
        Workload { name: "data16m_d16", wat: dirty(256, &spread(16, 256)) },
        Workload { name: "data16m_d64", wat: dirty(256, &spread(64, 256)) },
        Workload { name: "random8", wat: random8() },
        Workload { name: "grow1m", wat: grow() },
    ]
}

/// The guest of the first workload as one of a protocol: `example` is what makes a guest of it.
pub(crate) fn hello_with(example: &str) -> String {
    format!(
        "(module (memory (export \"memory\") 1)
            (func $run (export \"run\") (param i32) (result i32)
                (i32.store (i32.const 0) (local.get 0))
                (i32.add (local.get 0) (i32.const 1)))
            {example})"
    )
}

/// `count` addresses spread evenly over `pages` WebAssembly pages.
fn spread(count: u32, pages: u32) -> Vec<u32> {
    (0..count).map(|index| index * (pages * 65536 / count) + 128).collect()
}

/// Initialised data in every host page of `pages` WebAssembly pages.
fn data(pages: u32) -> String {
    (0..pages * 16)
        .map(|page| format!("(data (i32.const {}) \"wfaas\")\n", page * 4096 + 8))
        .collect()
}

/// Writes its argument at the given addresses.
fn dirty(pages: u32, addresses: &[u32]) -> String {
    let stores: String = addresses
        .iter()
        .map(|at| format!("(i32.store (i32.const {at}) (local.get 0))\n"))
        .collect();
    let data = if pages > 1 { data(pages) } else { String::new() };
    format!(
        "(module (memory {pages}) {data}
            (func (export \"run\") (param i32) (result i32) {stores}
                (i32.add (local.get 0) (i32.const 1))))"
    )
}

/// A table of 64 functions, ten globals, an indirect call.
fn table64() -> String {
    let globals: String =
        (0..10).map(|n| format!("(global $g{n} (mut i32) (i32.const {n}))\n")).collect();
    let sets: String = (0..10).map(|n| format!("(global.set $g{n} (local.get 0))\n")).collect();
    let items = "$f ".repeat(64);
    format!(
        "(module (table 64 64 funcref) (elem (i32.const 0) {items}) {globals}
            (type $t (func (param i32) (result i32)))
            (func $f (type $t) (i32.add (local.get 0) (i32.const 1)))
            (func (export \"run\") (param i32) (result i32) {sets}
                (call_indirect (type $t) (local.get 0)
                    (i32.and (local.get 0) (i32.const 63)))))"
    )
}

/// One page of memory that grows to a megabyte more, and back.
fn grow() -> String {
    "(module (memory 1 100)
        (func (export \"run\") (param i32) (result i32)
            (i32.store (i32.mul (memory.grow (i32.const 16)) (i32.const 65536)) (local.get 0))
            (i32.add (local.get 0) (memory.size))))"
        .into()
}

/// Eight pages of 4096, others in every call.
fn random8() -> String {
    format!(
        "(module (memory 256) {}
            (func (export \"run\") (param $seed i32) (result i32) (local $i i32)
                (loop $next
                    (local.set $seed (i32.add (i32.mul (local.get $seed) (i32.const 1664525))
                        (i32.const 1013904223)))
                    (i32.store (i32.and (local.get $seed) (i32.const 0xfff000)) (local.get $seed))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if $next (i32.lt_u (local.get $i) (i32.const 8))))
                (local.get $seed)))",
        data(256)
    )
}
