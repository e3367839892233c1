//! Bulk operations are preempted after each of their pieces.

mod common;
use common::futures::poll;
use common::ticker::Ticker;
use common::{engine, module};
use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use wfaas_vm::{
    Engine, Extern, Limits, Linker, Memory, MemoryType, Module, SharedMemory, Store, TypedFunc,
};

/// Bytes, and elements, of long operations.
const BYTES: usize = 300_000;
const ELEMENTS: usize = 30_000;
/// Elements of a segment.
const ITEMS: usize = 1_000;

/// `name` does an operation; `state` says what tables are like, as a number.
fn guest() -> String {
    let data = "0123456789abcdefghijklmnopqrstuv".repeat(BYTES / 32);
    let items = "$f $g ".repeat(ITEMS / 2);
    format!(
        r#"(module $m
        (memory (export "memory") 20)
        (table $t (export "t") {ELEMENTS} 100000 funcref)
        (table $u {ELEMENTS} funcref)
        (data $d "{data}") (elem $e func {items})
        (func $f (result i32) i32.const 1) (func $g (result i32) i32.const 2)
        (func (export "fill") (param i64) (result i64)
            (memory.fill (i32.const 5) (i32.const 77) (i32.const {BYTES})) (i64.const 0))
        (func (export "init") (param i64) (result i64)
            (memory.init $d (i32.const 9) (i32.const 64) (i32.const 250000)) (i64.const 0))
        (func (export "up") (param i64) (result i64)
            (memory.init $d (i32.const 0) (i32.const 0) (i32.const 250000))
            (memory.copy (i32.const 1000) (i32.const 7) (i32.const 240000)) (i64.const 0))
        (func (export "down") (param i64) (result i64)
            (memory.init $d (i32.const 0) (i32.const 0) (i32.const 250000))
            (memory.copy (i32.const 7) (i32.const 1000) (i32.const 240000)) (i64.const 0))
        (func (export "table_fill") (param i64) (result i64)
            (table.fill $t (i32.const 3) (ref.func $g) (i32.const 29000)) (call $state))
        (func (export "table_init") (param i64) (result i64)
            (table.init $t $e (i32.const 3) (i32.const 1) (i32.const 900)) (call $state))
        (func (export "table_grow") (param i64) (result i64)
            (i64.add (i64.extend_i32_s (table.grow $t (ref.func $f) (i32.const 40000)))
                (call $state)))
        (func (export "table_up") (param i64) (result i64)
            (table.init $t $e (i32.const 0) (i32.const 0) (i32.const {ITEMS}))
            (table.copy $t $t (i32.const 77) (i32.const 3) (i32.const 29000)) (call $state))
        (func (export "table_down") (param i64) (result i64)
            (table.init $t $e (i32.const 9000) (i32.const 0) (i32.const {ITEMS}))
            (table.copy $t $t (i32.const 3) (i32.const 77) (i32.const 29000)) (call $state))
        (func (export "table_copy") (param i64) (result i64)
            (table.init $u $e (i32.const 500) (i32.const 0) (i32.const {ITEMS}))
            (table.copy $t $u (i32.const 3) (i32.const 77) (i32.const 3000)) (call $state))
        (func $at (export "at") (param $i i32) (result i64)
            (if (ref.is_null (table.get $t (local.get $i))) (then (return (i64.const 7))))
            (i64.extend_i32_u (call_indirect $t (result i32) (local.get $i))))
        ;; Not called but by the host, since it takes long.
        (func (export "sum") (result i64) (local $i i32) (local $sum i64)
            (loop $l
                (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 3))
                    (call $at (local.get $i))))
                (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1)))
                    (table.size $t))))
            local.get $sum)
        (func $state (result i64) (i64.extend_i32_u (table.size $t))))"#
    )
}

struct Guest {
    store: Store<()>,
    operation: TypedFunc<i64, i64>,
    sum: TypedFunc<(), i64>,
    memory: Memory,
}

impl Guest {
    fn new(engine: &Engine, module: &Module, operation: &str) -> Guest {
        let mut store = Store::new(engine, ());
        let instance = Linker::new(engine).instantiate(&mut store, module).unwrap();
        Guest {
            operation: instance.get_typed_func(&mut store, operation).unwrap(),
            sum: instance.get_typed_func(&mut store, "sum").unwrap(),
            memory: instance.get_memory(&mut store, "memory").unwrap(),
            store,
        }
    }

    /// Calls the operation; the result, and how often it was preempted.
    fn call(&mut self) -> (i64, usize) {
        let mut call = pin!(self.operation.call_async(&mut self.store, 0));
        let mut suspensions = 0;
        loop {
            match poll(call.as_mut()) {
                Poll::Ready(result) => return (result.unwrap(), suspensions),
                Poll::Pending => suspensions += 1,
            }
        }
    }

    fn state(&mut self) -> (Vec<u8>, i64) {
        let sum = self.sum.call(&mut self.store, ()).unwrap();
        (self.memory.data(&self.store).to_vec(), sum)
    }
}

/// Runs an operation as it is, and again and again while slices end, until it was preempted often
/// enough: everything is the same.
fn check(operation: &str) {
    let wat = guest();
    let engine = engine();
    let module = module(&engine, &wat);
    let mut plain = Guest::new(&engine, &module, operation);
    let expected = plain.operation.call(&mut plain.store, 0).unwrap();
    let state = plain.state();
    let mut suspensions = 0;
    for _ in 0..10_000 {
        let mut preempted = Guest::new(&engine, &module, operation);
        let ticker = Ticker::start(preempted.store.cancel_handle());
        let (result, more) = preempted.call();
        drop(ticker);
        suspensions += more;
        assert_eq!(result, expected);
        assert!(preempted.state() == state, "{operation}");
        if suspensions >= 20 {
            return;
        }
    }
    panic!("{operation}: {suspensions} suspensions");
}

#[test]
fn bytes_are_written_and_copied_in_pieces_in_both_directions() {
    ["fill", "init", "up", "down"].into_iter().for_each(check);
}

#[test]
fn elements_are_written_and_copied_in_pieces_in_both_directions() {
    ["table_fill", "table_grow", "table_up", "table_down", "table_init", "table_copy"]
        .into_iter()
        .for_each(check);
}

/// A guest that asks for one long operation is preempted before that is done: a part of the memory, which
/// others see, is as it was.
#[test]
fn one_long_operation_is_preempted_in_the_middle() {
    let wat = r#"(module (import "host" "memory" (memory 2048 2048 shared))
        (func (export "fill")
            (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x8000000))))"#;
    let engine = engine();
    let limits = Limits { minimum: 2048, maximum: Some(2048) };
    let ty = MemoryType { limits, shared: true, index64: false };
    let memory = SharedMemory::new(&engine, ty).unwrap();
    let mut linker = Linker::<()>::new(&engine);
    linker.define("host", "memory", Extern::SharedMemory(memory.clone()));
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    let fill = instance.get_typed_func::<(), ()>(&mut store, "fill").unwrap();
    let _ticker = Ticker::start(store.cancel_handle());
    let mut call = pin!(fill.call_async(&mut store, ()));
    let last = || memory.atomic_u32((128 << 20) - 4).unwrap().load(SeqCst);
    let mut middle = 0;
    while poll(call.as_mut()).is_pending() {
        middle += usize::from(last() == 0 && memory.atomic_u32(0).unwrap().load(SeqCst) != 0);
    }
    assert!(middle > 10, "it was seen {middle} times");
    assert_eq!(last(), 0x0707_0707);
}
