//! `calls`: crossing the border between host and guest, and traps.

use crate::peer::{Calls, Named, callers, fastest_caller};
use crate::report::{Row, measure};
use wfaas_compiler::{Options, Passes};
use wfaas_vm::{Caller, Config, Engine, Linker, Module, Store};

const GUEST: &str = r#"(module
    (import "host" "nop" (func $nop (param i32) (result i32)))
    (type $t (func (param i32) (result i32)))
    (table 2 2 funcref) (elem (i32.const 0) $step $step)
    (func (export "empty"))
    (func (export "to_host") (param i32)
        (loop $l (local.set 0 (call $nop (local.get 0))) (br_if $l (local.get 0))))
    (func $step (type $t) (i32.sub (local.get 0) (i32.const 1)))
    (func (export "direct") (param i32)
        (loop $l (local.set 0 (call $step (local.get 0))) (br_if $l (local.get 0))))
    (func (export "indirect") (param i32)
        (loop $l
            (local.set 0 (call_indirect (type $t) (local.get 0)
                (i32.and (local.get 0) (i32.const 1))))
            (br_if $l (local.get 0))))
    (func $trap (export "trap") (param i32)
        (if (local.get 0) (then (call $trap (i32.sub (local.get 0) (i32.const 1)))) (else unreachable))))"#;

/// Measures all kinds of calls.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut ours = Ours::new()?;
    let mut peers = callers(&wat::parse_str(GUEST)?)?;
    let mut rows = vec![row("host to guest", rounds, &mut ours, &mut peers, |calls, count| {
        calls.empty(count)
    })?];
    for (name, export) in
        [("guest to host", "to_host"), ("direct call", "direct"), ("indirect call", "indirect")]
    {
        let repeat = |calls: &mut dyn Calls, count| calls.repeat(export, count);
        rows.push(row(name, rounds, &mut ours, &mut peers, repeat)?);
    }
    for (name, depth) in [("trap", 0), ("trap, 50 frames", 50)] {
        let trap = |calls: &mut dyn Calls, count| calls.trap(depth, count);
        rows.push(row(name, rounds, &mut ours, &mut peers, trap)?);
    }
    Ok(rows)
}

/// Measures an operation beside the peer that is fastest at it.
fn row(
    name: &str,
    rounds: usize,
    ours: &mut Ours,
    peers: &mut [Named<Box<dyn Calls>>],
    operation: impl Fn(&mut dyn Calls, u64) -> anyhow::Result<()>,
) -> anyhow::Result<Row> {
    let peer = fastest_caller(peers, &operation)?;
    let row = measure(
        name,
        rounds,
        &mut |count| operation(ours, count),
        &mut |count| operation(&mut *peer.peer, count),
        None,
    )?;
    Ok(row.with_peer(&peer.name))
}

struct Ours {
    store: Store<()>,
    instance: wfaas_vm::Instance,
}

impl Ours {
    fn new() -> anyhow::Result<Ours> {
        let engine = Engine::new(Config::default())?;
        // Inlined, there would be no call to measure.
        let passes = Passes::ALL.without("inline")?;
        let options = Options { passes, ..Options::default() };
        let compiled = wfaas_compiler::compile(GUEST.as_bytes(), &options)?;
        let module = Module::from_bytes(&engine, &compiled.artifact)?;
        let mut linker = Linker::<()>::new(&engine);
        linker.func_wrap("host", "nop", |_: Caller<'_, ()>, value: i32| value - 1);
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module)?;
        Ok(Ours { store, instance })
    }
}

impl Calls for Ours {
    fn empty(&mut self, count: u64) -> anyhow::Result<()> {
        let empty = self.instance.get_typed_func::<(), ()>(&mut self.store, "empty")?;
        for _ in 0..count {
            empty.call(&mut self.store, ())?;
        }
        Ok(())
    }

    fn repeat(&mut self, export: &str, count: u64) -> anyhow::Result<()> {
        let function = self.instance.get_typed_func::<i32, ()>(&mut self.store, export)?;
        Ok(function.call(&mut self.store, count as i32)?)
    }

    fn trap(&mut self, depth: i32, count: u64) -> anyhow::Result<()> {
        let trap = self.instance.get_typed_func::<i32, ()>(&mut self.store, "trap")?;
        for _ in 0..count {
            anyhow::ensure!(trap.call(&mut self.store, depth).is_err(), "did not trap");
        }
        Ok(())
    }
}
