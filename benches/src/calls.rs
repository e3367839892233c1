//! `calls`: crossing the border between host and guest, and traps.

use crate::executor::{block_on, yield_now};
use crate::peer::{Calls, Named, async_callers, callers, fastest_caller};
use crate::report::{Row, measure, measure_alone};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use wfaas_compiler::{Options, Passes};
use wfaas_vm::{Caller, CancelHandle, Config, Engine, Linker, MaybeFuture, Module, Store};

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

/// A host function that is ready when it is first asked, and one that is not.
const ASYNC_GUEST: &str = r#"(module
    (import "host" "ready" (func $ready (param i32) (result i32)))
    (import "host" "pending" (func $pending (param i32) (result i32)))
    (func (export "empty"))
    (func (export "to_ready") (param i32)
        (loop $l (local.set 0 (call $ready (local.get 0))) (br_if $l (local.get 0))))
    (func (export "to_pending") (param i32)
        (loop $l (local.set 0 (call $pending (local.get 0))) (br_if $l (local.get 0))))
    (func (export "trap") (param i32) unreachable))"#;

/// Measures all kinds of calls.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut ours = Ours::new()?;
    let mut peers = callers(&wat::parse_str(GUEST)?, None)?;
    let mut rows = vec![row("host to guest", rounds, &mut ours, &mut peers, |calls, count| {
        calls.empty(count)
    })?];
    let watches =
        [("host to guest, deadline", Watch::Deadline), ("host to guest, counted", Watch::CpuTime)];
    for (name, watch) in watches {
        rows.push(watched_row(name, watch, rounds, &mut ours, &mut peers)?);
    }
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
    rows.extend(async_rows(rounds)?);
    rows.push(preempted(rounds)?);
    Ok(rows)
}

/// A call that is preempted and resumed at once, with the signal: a host function ends its time slice.
fn preempted(rounds: usize) -> anyhow::Result<Row> {
    let handle = Arc::new(OnceLock::<CancelHandle>::new());
    let known = handle.clone();
    let (mut store, instance) = instantiate(GUEST, |linker| {
        linker.func_wrap("host", "nop", move |_: Caller<'_, ()>, value: i32| {
            known.wait().end_slice();
            value - 1
        });
    })?;
    let _ = handle.set(store.cancel_handle());
    let to_host = instance.get_typed_func::<i32, ()>(&mut store, "to_host")?;
    measure_alone("preempted and resumed", rounds, &mut |count| {
        Ok(block_on(to_host.call_async(&mut store, count as i32))?)
    })
}

/// Reasons for which calls are watched.
enum Watch {
    Deadline,
    CpuTime,
}

/// Calls that are watched, beside the peer's that are not.
fn watched_row(
    name: &str,
    watch: Watch,
    rounds: usize,
    ours: &mut Ours,
    peers: &mut [Named<Box<dyn Calls>>],
) -> anyhow::Result<Row> {
    match watch {
        Watch::Deadline => {
            let hour = Duration::from_secs(3600);
            ours.store.set_deadline(Instant::now().checked_add(hour));
        }
        Watch::CpuTime => ours.store.count_cpu_time(true),
    }
    let empty = |calls: &mut dyn Calls, count| calls.empty(count);
    empty(ours, 1)?; // the first one starts a thread
    let row = row(name, rounds, ours, peers, empty);
    ours.store.set_deadline(None);
    ours.store.count_cpu_time(false);
    row
}

/// Calls that can be suspended: without a wait, with a host function that is ready at once, and with
/// one that is pending, woken, and ready then.
fn async_rows(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let mut ours = OursAsync::new(false)?;
    let mut peers = async_callers(&wat::parse_str(ASYNC_GUEST)?)?;
    let empty = |calls: &mut dyn Calls, count| calls.empty(count);
    let mut rows = vec![row("async, host to guest", rounds, &mut ours, &mut peers, empty)?];
    for (name, export) in
        [("async, ready", "to_ready"), ("async, pending and resumed", "to_pending")]
    {
        let repeat = |calls: &mut dyn Calls, count| calls.repeat(export, count);
        rows.push(row(name, rounds, &mut ours, &mut peers, repeat)?);
    }
    let ready = |calls: &mut dyn Calls, count| calls.repeat("to_ready", count);
    let mut seldom = OursAsync::new(true)?;
    rows.push(row("async, without a future", rounds, &mut seldom, &mut peers, ready)?);
    Ok(rows)
}

/// Measures an operation beside the peer that is fastest at it.
fn row(
    name: &str,
    rounds: usize,
    ours: &mut dyn Calls,
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
        let (store, instance) = instantiate(GUEST, |linker| {
            linker.func_wrap("host", "nop", |_: Caller<'_, ()>, value: i32| value - 1);
        })?;
        Ok(Ours { store, instance })
    }
}

fn instantiate(
    wat: &str,
    define: impl FnOnce(&mut Linker<()>),
) -> anyhow::Result<(Store<()>, wfaas_vm::Instance)> {
    let engine = Engine::new(Config::default())?;
    // Inlined, there would be no call to measure.
    let passes = Passes::ALL.without("inline")?;
    let options = Options { passes, ..Options::default() };
    let compiled = wfaas_compiler::compile(wat.as_bytes(), &options)?;
    let module = Module::from_bytes(&engine, &compiled.artifact)?;
    let mut linker = Linker::<()>::new(&engine);
    define(&mut linker);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    Ok((store, instance))
}

struct OursAsync {
    store: Store<()>,
    instance: wfaas_vm::Instance,
}

impl OursAsync {
    /// `seldom`: the function that is ready returns its results without a future.
    fn new(seldom: bool) -> anyhow::Result<OursAsync> {
        let (store, instance) = instantiate(ASYNC_GUEST, |linker| {
            if seldom {
                linker.func_wrap_maybe_async("host", "ready", |_: Caller<'_, ()>, value: i32| {
                    MaybeFuture::Ready(value - 1)
                });
            } else {
                linker.func_wrap_async("host", "ready", |_: Caller<'_, ()>, value: i32| {
                    Box::new(async move { value - 1 })
                });
            };
            linker.func_wrap_async("host", "pending", |_: Caller<'_, ()>, value: i32| {
                Box::new(async move {
                    yield_now().await;
                    value - 1
                })
            });
        })?;
        Ok(OursAsync { store, instance })
    }
}

impl Calls for OursAsync {
    fn empty(&mut self, count: u64) -> anyhow::Result<()> {
        let empty = self.instance.get_typed_func::<(), ()>(&mut self.store, "empty")?;
        for _ in 0..count {
            block_on(empty.call_async(&mut self.store, ()))?;
        }
        Ok(())
    }

    fn repeat(&mut self, export: &str, count: u64) -> anyhow::Result<()> {
        let function = self.instance.get_typed_func::<i32, ()>(&mut self.store, export)?;
        Ok(block_on(function.call_async(&mut self.store, count as i32))?)
    }

    fn trap(&mut self, depth: i32, count: u64) -> anyhow::Result<()> {
        let trap = self.instance.get_typed_func::<i32, ()>(&mut self.store, "trap")?;
        for _ in 0..count {
            let trapped = block_on(trap.call_async(&mut self.store, depth)).is_err();
            anyhow::ensure!(trapped, "did not trap");
        }
        Ok(())
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
