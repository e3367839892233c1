//! `operations`: instructions on tables, globals, memories and references, each in a loop by itself, beside the peer.

use crate::peer::{Calls, Named, callers, fastest_caller};
use crate::report::{Row, measure};
use wfaas_compiler::{Options, compile};
use wfaas_vm::{Config, Engine, Instance, Linker, Module, Store};

/// The module whose exports the guest imports.
const OTHER: &str = r#"(module
    (func $f (export "f") (param i32) (result i32) (i32.sub (local.get 0) (i32.const 1)))
    (table (export "table") 16 16 funcref) (elem (i32.const 0) func $f $f $f $f $f $f $f $f $f $f)
    (memory (export "memory") 1 4)
    (global (export "number") (mut i64) (i64.const 7))
    (global (export "function") (mut funcref) (ref.func $f)))"#;

/// The guest's imports, types, tables, memories and globals.
const PARTS: &str = r#"
    (import "other" "table" (table $far 16 16 funcref))
    (import "other" "memory" (memory $far 1 4))
    (import "other" "number" (global $far (mut i64)))
    (import "other" "function" (global $far_function (mut funcref)))
    (type $step (func (param i32) (result i32)))
    (table $own 16 32 funcref) (elem $some func $f $f $f $f $f $f $f $f)
    (elem (table $own) (i32.const 0) func $f $f $f $f $f $f $f $f)
    (memory $own 1 4)
    (global $own (mut i64) (i64.const 7))
    (global $function (mut (ref null $step)) (ref.func $f))
    (func $f (type $step) (i32.sub (local.get 0) (i32.const 1)))"#;

/// Operations by name; `$n` counts rounds down.
const OPERATIONS: &[(&str, &str)] = &[
    (
        "table.get",
        "(global.set $is (ref.is_null (table.get $own (i32.and (local.get $n) (i32.const 7)))))",
    ),
    (
        "table.get, imported",
        "(global.set $is (ref.is_null (table.get $far (i32.and (local.get $n) (i32.const 7)))))",
    ),
    ("table.set", "(table.set $own (i32.and (local.get $n) (i32.const 7)) (ref.func $f))"),
    (
        "table.set, imported",
        "(table.set $far (i32.and (local.get $n) (i32.const 7)) (ref.null func))",
    ),
    ("table.size", "(global.set $is (table.size $own))"),
    ("table.grow by 0", "(drop (table.grow $own (ref.null func) (i32.const 0)))"),
    ("table.fill of 8", "(table.fill $own (i32.const 2) (ref.func $f) (i32.const 8))"),
    ("table.copy of 8", "(table.copy $own $own (i32.const 8) (i32.const 0) (i32.const 8))"),
    ("table.init of 8", "(table.init $own $some (i32.const 2) (i32.const 0) (i32.const 8))"),
    ("memory.size", "(global.set $is (memory.size $own))"),
    ("memory.grow by 0", "(drop (memory.grow $own (i32.const 0)))"),
    ("memory.size, imported", "(global.set $is (memory.size $far))"),
    (
        "load and store, imported",
        "(i32.store $far (i32.const 8) (i32.add (local.get $n) (i32.load $far (i32.const 8))))",
    ),
    ("global", "(global.set $own (i64.add (global.get $own) (i64.const 1)))"),
    ("global, imported", "(global.set $far (i64.add (global.get $far) (i64.const 1)))"),
    ("global of a function, imported", "(global.set $far_function (global.get $far_function))"),
    (
        "call_indirect",
        "(drop (call_indirect $own (type $step) (local.get $n) (i32.and (local.get $n) (i32.const 1))))",
    ),
    (
        "call_indirect, imported",
        "(drop (call_indirect $far (type $step) (local.get $n) (i32.or (i32.const 8) (i32.and (local.get $n) (i32.const 1)))))",
    ),
    ("call_ref", "(drop (call_ref $step (local.get $n) (global.get $function)))"),
];

/// A module with a function for each operation.
fn guest() -> String {
    let function = |(name, operation): &(&str, &str)| {
        format!(
            r#"(func (export "{name}") (param $n i32)
                (loop $l {operation}
                    (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))"#
        )
    };
    let functions: String = OPERATIONS.iter().map(function).collect();
    format!("(module {PARTS} (global $is (mut i32) (i32.const 0)) {functions})")
}

/// Measures all operations.
pub(crate) fn run(only: &str, rounds: usize) -> anyhow::Result<Vec<Row>> {
    let (guest, other) = (wat::parse_str(guest())?, wat::parse_str(OTHER)?);
    let mut ours = Ours::new(&guest, &other)?;
    let mut peers = callers(&guest, Some(&other))?;
    let chosen = OPERATIONS.iter().filter(|(name, _)| name.contains(only));
    chosen.map(|(name, _)| row(name, rounds, &mut ours, &mut peers)).collect()
}

fn row(
    name: &str,
    rounds: usize,
    ours: &mut Ours,
    peers: &mut [Named<Box<dyn Calls>>],
) -> anyhow::Result<Row> {
    let peer = fastest_caller(peers, |calls, count| calls.repeat(name, count))?;
    let row = measure(
        name,
        rounds,
        &mut |count| ours.repeat(name, count),
        &mut |count| peer.peer.repeat(name, count),
        None,
    )?;
    Ok(row.with_peer(&peer.name))
}

struct Ours {
    store: Store<()>,
    instance: Instance,
}

impl Ours {
    fn new(guest: &[u8], other: &[u8]) -> anyhow::Result<Ours> {
        let engine = Engine::new(Config::default())?;
        let module = |wasm: &[u8]| -> anyhow::Result<Module> {
            let compiled = compile(wasm, &Options::default())?;
            Ok(Module::from_bytes(&engine, &compiled.artifact)?)
        };
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let other = linker.instantiate(&mut store, &module(other)?)?;
        linker.instance(&mut store, "other", other);
        let instance = linker.instantiate(&mut store, &module(guest)?)?;
        Ok(Ours { store, instance })
    }

    fn repeat(&mut self, export: &str, count: u64) -> anyhow::Result<()> {
        let function = self.instance.get_typed_func::<i32, ()>(&mut self.store, export)?;
        Ok(function.call(&mut self.store, count as i32)?)
    }
}
