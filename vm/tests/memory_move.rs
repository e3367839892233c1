//! `memory.copy` and `memory.fill`: every size by every way of compiled code, beside the slices of Rust.

mod common;

use common::futures::poll;
use common::ticker::Ticker;
use common::{engine, instance, module_with, trap_of};
use std::pin::pin;
use std::time::{Duration, Instant};
use wfaas_abi::BoundsStrategy;
use wfaas_compiler::Options;
use wfaas_vm::{Engine, Linker, Memory, Store, TrapCode, TypedFunc};

const BYTES: usize = 2 << 16;

/// Sizes by the ways: accesses, vectors, one call of the host, pieces.
const SIZES: [usize; 11] =
    [255, 300, 511, 512, 1000, 4096, 65_535, 65_536, 65_537, 100_000, 131_072];

/// Functions with the size as an argument, and `copyN` and `fillN` with a constant.
fn guest() -> String {
    let constant = |size: usize| {
        format!(
            r#"(func (export "copy{size}") (param i32 i32)
                (memory.copy (local.get 0) (local.get 1) (i32.const {size})))
            (func (export "fill{size}") (param i32 i32)
                (memory.fill (local.get 0) (local.get 1) (i32.const {size})))"#
        )
    };
    let constants: String = (0..=140).map(constant).collect();
    format!(
        r#"(module (memory (export "memory") 2 2) {constants}
        (func (export "copy") (param i32 i32 i32)
            (memory.copy (local.get 0) (local.get 1) (local.get 2)))
        (func (export "fill") (param i32 i32 i32)
            (memory.fill (local.get 0) (local.get 1) (local.get 2))))"#
    )
}

struct Guest {
    store: Store<()>,
    memory: Memory,
    copy: TypedFunc<(i32, i32, i32), ()>,
    fill: TypedFunc<(i32, i32, i32), ()>,
    constants: Vec<[TypedFunc<(i32, i32), ()>; 2]>,
}

impl Guest {
    fn new(engine: &Engine, bounds: BoundsStrategy) -> Guest {
        let options = Options { bounds, ..Options::default() };
        let module = module_with(engine, &guest(), &options);
        let mut store = Store::new(engine, ());
        let instance = Linker::new(engine).instantiate(&mut store, &module).unwrap();
        let constant = |store: &mut Store<()>, size: usize| {
            ["copy", "fill"]
                .map(|name| instance.get_typed_func(&mut *store, &format!("{name}{size}")).unwrap())
        };
        Guest {
            memory: instance.get_memory(&mut store, "memory").unwrap(),
            copy: instance.get_typed_func(&mut store, "copy").unwrap(),
            fill: instance.get_typed_func(&mut store, "fill").unwrap(),
            constants: (0..=140).map(|size| constant(&mut store, size)).collect(),
            store,
        }
    }

    /// Does a copy or a fill by both ways, and compares with what Rust does.
    fn check(&mut self, operation: Operation, to: usize, from: usize, size: usize) {
        let before: Vec<u8> = (0..BYTES).map(|at| (at * 7 + at / 251) as u8).collect();
        let mut after = before.clone();
        let inside = match operation {
            Operation::Copy => to.max(from) + size <= BYTES,
            Operation::Fill => to + size <= BYTES,
        };
        match operation {
            Operation::Copy if inside => after.copy_within(from..from + size, to),
            Operation::Fill if inside => after[to..to + size].fill(from as u8),
            _ => {}
        }
        let (to, from) = (to as u32 as i32, from as u32 as i32);
        let constant = self.constants.get(size).cloned();
        for way in ["argument", "constant"] {
            self.memory.data_mut(&mut self.store).copy_from_slice(&before);
            let result = match (way, &constant, operation) {
                ("constant", Some([copy, _]), Operation::Copy) => {
                    copy.call(&mut self.store, (to, from))
                }
                ("constant", Some([_, fill]), Operation::Fill) => {
                    fill.call(&mut self.store, (to, from))
                }
                ("constant", None, _) => continue,
                (_, _, Operation::Copy) => self.copy.call(&mut self.store, (to, from, size as i32)),
                (_, _, Operation::Fill) => self.fill.call(&mut self.store, (to, from, size as i32)),
            };
            let trap = result.err().map(|error| trap_of(error).code);
            let expected = (!inside).then_some(TrapCode::MemoryOutOfBounds);
            assert_eq!(trap, expected, "{operation:?} {way} {to} {from} {size}");
            let data = self.memory.data(&self.store);
            assert!(data == after, "{operation:?} {way} {to} {from} {size}");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operation {
    Copy,
    Fill,
}

fn check_all(bounds: BoundsStrategy) {
    let engine = engine();
    let mut guest = Guest::new(&engine, bounds);
    for size in (0..=136).chain(SIZES) {
        let end = BYTES - size;
        // Apart, over each other from both sides, at the end, one byte beyond it, and far beyond.
        let mut pairs = vec![(5, 70_000), (end, 3), (3, end), (end + 1, 3), (3, end + 1)];
        pairs.extend([(BYTES + 9, 0), (0, BYTES + 9), (u32::MAX as usize, 0)]);
        pairs.extend([1, 7, 16, size / 2].map(|distance| (900, 900 + distance)));
        pairs.extend([1, 7, 16, size / 2].map(|distance| (900 + distance, 900)));
        for (to, from) in pairs {
            guest.check(Operation::Copy, to, from, size);
        }
        for to in [5, end, end + 1, BYTES + 9, u32::MAX as usize] {
            guest.check(Operation::Fill, to, 0xa5, size);
        }
    }
}

#[test]
fn guard() {
    check_all(BoundsStrategy::Guard);
}

#[test]
fn guard_uffd() {
    check_all(BoundsStrategy::GuardUffd);
}

#[test]
fn trap() {
    check_all(BoundsStrategy::Trap);
}

#[test]
fn clamp() {
    check_all(BoundsStrategy::Clamp);
}

#[test]
fn none() {
    check_all(BoundsStrategy::None);
}

/// Copies or fills without end, with sizes for each way.
const ENDLESS: &str = r#"(module (memory 4)
    (func (export "small") (loop $l
        (memory.copy (i32.const 8) (i32.const 99) (i32.const 40))
        (memory.fill (i32.const 8) (i32.const 99) (i32.const 40)) (br $l)))
    (func (export "stub") (param i32) (loop $l
        (memory.copy (i32.const 8) (i32.const 99) (local.get 0))
        (memory.fill (i32.const 8) (i32.const 99) (local.get 0)) (br $l))))"#;

/// Sizes for a pair of vectors, for eight, for one call of the host, and for several pieces.
const ENDLESS_SIZES: [i32; 5] = [9, 30, 120, 60_000, 150_000];

#[test]
fn a_deadline_ends_a_loop_of_copies() {
    let (mut store, instance) = instance(ENDLESS);
    let small = instance.get_typed_func::<(), ()>(&mut store, "small").unwrap();
    let stub = instance.get_typed_func::<i32, ()>(&mut store, "stub").unwrap();
    for size in ENDLESS_SIZES.into_iter().map(Some).chain([None]) {
        let start = Instant::now();
        store.set_deadline(Some(start + Duration::from_millis(10)));
        let result = match size {
            Some(size) => stub.call(&mut store, size),
            None => small.call(&mut store, ()),
        };
        let trap = trap_of(result.unwrap_err());
        assert_eq!(trap.code, TrapCode::DeadlineExceeded, "{size:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{size:?}: {:?}", start.elapsed());
        // The stub is no frame of the guest.
        assert_eq!(trap.frames().len(), 1, "{size:?}: {trap}");
    }
}

#[test]
fn a_loop_of_copies_is_preempted() {
    let (mut store, instance) = instance(ENDLESS);
    let stub = instance.get_typed_func::<i32, ()>(&mut store, "stub").unwrap();
    for size in ENDLESS_SIZES {
        let _ticker = Ticker::start(store.cancel_handle());
        let mut call = pin!(stub.call_async(&mut store, size));
        for _ in 0..20 {
            assert!(poll(call.as_mut()).is_pending(), "{size}");
        }
    }
}
