//! Every bounds strategy keeps its word: at the end of a memory, when it grows, when it is reset,
//! and where modules with different ones meet.

mod common;
use common::{engine, module_with};
use wfaas_abi::layout::WASM_PAGE;
use wfaas_abi::{BoundsStrategy, TrapCode};
use wfaas_compiler::{Options, Proofs};
use wfaas_vm::{Engine, Error, Instance, Linker, Module, Pool, Store};

const PAGE: i32 = WASM_PAGE as i32;

fn module(engine: &Engine, bounds: BoundsStrategy, wat: &str) -> Module {
    // Proofs have tests of their own; here every check is made.
    let options = Options { bounds, elide: Proofs::NONE, ..Options::default() };
    module_with(engine, wat, &options)
}

fn instance(bounds: BoundsStrategy, wat: &str) -> (Store<()>, Instance) {
    let engine = engine();
    let module = module(&engine, bounds, wat);
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn trap<T>(result: Result<T, Error>) -> Option<TrapCode> {
    result.err().map(|error| error.trap().unwrap_or_else(|| panic!("{error}")).code)
}

/// Stores and loads of several kinds at an address in memories of several kinds.
const ACCESSES: &str = r#"(module
    (memory (export "m") 1 3) (memory $wide i64 1 3) (memory $shared 1 3 shared)
    (global $g (mut i64) (i64.const 77))
    (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "load_far") (param i32) (result i32) (i32.load offset=65536 (local.get 0)))
    (func (export "load_farther") (param i32) (result i32)
      (i32.load offset=0xfffffff0 (local.get 0)))
    (func (export "store_wide") (param i64 i32) (i32.store $wide (local.get 0) (local.get 1)))
    (func (export "load_wide") (param i64) (result i32) (i32.load $wide (local.get 0)))
    (func (export "load_widest") (param i64) (result i32)
      (i32.load $wide offset=0xfffffffffffffff0 (local.get 0)))
    (func (export "add") (param i32 i32) (result i32)
      (i32.atomic.rmw.add $shared (local.get 0) (local.get 1)))
    (func (export "load_shared") (param i32) (result i32) (i32.load $shared (local.get 0)))
    (func (export "vector") (param i32) (result i32)
      (i32x4.extract_lane 0 (v128.load (local.get 0))))
    (func (export "grow") (result i32)
      (drop (memory.grow $wide (i64.const 1))) (drop (memory.grow $shared (i32.const 1)))
      (memory.grow (i32.const 1)))
    (func (export "fill") (param i32)
      (memory.fill (local.get 0) (i32.const 1) (i32.const 4)))
    (func (export "global") (result i64) (global.get $g)))"#;

#[test]
fn accesses_outside_trap() {
    for bounds in [BoundsStrategy::Guard, BoundsStrategy::GuardUffd, BoundsStrategy::Trap] {
        let (mut store, instance) = instance(bounds, ACCESSES);
        let mut traps = |name: &str, at: i32| {
            let load = instance.get_typed_func::<i32, i32>(&mut store, name).unwrap();
            trap(load.call(&mut store, at)) == Some(TrapCode::MemoryOutOfBounds)
        };
        for name in ["load", "load_shared"] {
            assert!(!traps(name, PAGE - 4), "{bounds:?}: {name}");
            for at in [PAGE - 3, PAGE, PAGE + 1000, i32::MAX, i32::MIN, -4, -1] {
                assert!(traps(name, at), "{bounds:?}: {name} at {at}");
            }
        }
        assert!(!traps("vector", PAGE - 16) && traps("vector", PAGE - 15), "{bounds:?}");
        assert!(traps("load_far", 0) && traps("load_far", -4), "{bounds:?}");
        assert!(traps("load_farther", 0) && traps("load_farther", 16), "{bounds:?}");
        let add = instance.get_typed_func::<(i32, i32), i32>(&mut store, "add").unwrap();
        assert_eq!(add.call(&mut store, (PAGE - 4, 1)).unwrap(), 0);
        let outside = add.call(&mut store, (PAGE, 1));
        assert_eq!(trap(outside), Some(TrapCode::MemoryOutOfBounds), "{bounds:?}");
        for name in ["load_wide", "load_widest"] {
            let load = instance.get_typed_func::<i64, i32>(&mut store, name).unwrap();
            for at in [i64::from(PAGE), 1 << 32, i64::MAX, i64::MIN, -3, -1] {
                let outside = trap(load.call(&mut store, at));
                assert_eq!(outside, Some(TrapCode::MemoryOutOfBounds), "{bounds:?}: {name} {at}");
            }
        }
    }
}

#[test]
fn clamping_goes_to_the_last_bytes() {
    let (mut store, instance) = instance(BoundsStrategy::Clamp, ACCESSES);
    let put = instance.get_typed_func::<(i32, i32), ()>(&mut store, "store").unwrap();
    let load = instance.get_typed_func::<i32, i32>(&mut store, "load").unwrap();
    for at in [PAGE - 3, PAGE, i32::MAX, -4, -1] {
        put.call(&mut store, (at, at)).unwrap();
        assert_eq!(load.call(&mut store, PAGE - 4).unwrap(), at);
    }
    put.call(&mut store, (PAGE - 4, 5)).unwrap();
    for name in ["load_far", "load_farther"] {
        let load = instance.get_typed_func::<i32, i32>(&mut store, name).unwrap();
        assert_eq!(load.call(&mut store, 0).unwrap(), 5, "{name}");
        assert_eq!(load.call(&mut store, -1).unwrap(), 5, "{name}");
    }
    let put = instance.get_typed_func::<(i64, i32), ()>(&mut store, "store_wide").unwrap();
    put.call(&mut store, (i64::from(PAGE) - 4, 6)).unwrap();
    for name in ["load_wide", "load_widest"] {
        let load = instance.get_typed_func::<i64, i32>(&mut store, name).unwrap();
        for at in [i64::from(PAGE), 1 << 32, i64::MAX, i64::MIN, -1] {
            assert_eq!(load.call(&mut store, at).unwrap(), 6, "{name} at {at}");
        }
    }
    // There is nowhere to go in an empty memory.
    let empty = "(module (memory 0) (func (export \"f\") (param i32) (result i32)
                   (i32.load8_u offset=7 (local.get 0))))";
    let (mut store, instance) = self::instance(BoundsStrategy::Clamp, empty);
    let load = instance.get_typed_func::<i32, i32>(&mut store, "f").unwrap();
    for at in [0, PAGE, -1] {
        assert_eq!(trap(load.call(&mut store, at)), Some(TrapCode::MemoryOutOfBounds));
    }
}

/// Nothing stops the guest, and nothing but its memory's reservation is reached.
#[test]
fn without_checks_nothing_but_the_reservation_is_reached() {
    let (mut store, instance) = instance(BoundsStrategy::None, ACCESSES);
    let put = instance.get_typed_func::<(i32, i32), ()>(&mut store, "store").unwrap();
    for at in [PAGE, i32::MAX, i32::MIN, -4, -1] {
        put.call(&mut store, (at, at)).unwrap();
    }
    for name in ["load", "load_far", "load_farther", "load_shared", "vector"] {
        let load = instance.get_typed_func::<i32, i32>(&mut store, name).unwrap();
        for at in [0, PAGE, i32::MAX, i32::MIN, -1] {
            load.call(&mut store, at).unwrap();
        }
    }
    for name in ["load_wide", "load_widest"] {
        let load = instance.get_typed_func::<i64, i32>(&mut store, name).unwrap();
        for at in [0, i64::from(PAGE), 1 << 32, i64::MAX, i64::MIN, -1] {
            load.call(&mut store, at).unwrap();
        }
    }
    let put = instance.get_typed_func::<(i64, i32), ()>(&mut store, "store_wide").unwrap();
    for at in [i64::from(PAGE), -16, -4, -1, i64::MIN, i64::MAX] {
        put.call(&mut store, (at, -1)).unwrap();
    }
    let global = instance.get_typed_func::<(), i64>(&mut store, "global").unwrap();
    assert_eq!(global.call(&mut store, ()).unwrap(), 77);
    let memory = instance.get_memory(&mut store, "m").unwrap();
    assert_eq!(memory.data(&store).len(), WASM_PAGE);
    assert!(memory.data(&store).iter().all(|byte| *byte == 0));
}

/// The VM checks what it does for a guest, under every strategy.
#[test]
fn bulk_operations_are_always_checked() {
    for bounds in BoundsStrategy::ALL {
        let (mut store, instance) = instance(*bounds, ACCESSES);
        let fill = instance.get_typed_func::<i32, ()>(&mut store, "fill").unwrap();
        fill.call(&mut store, PAGE - 4).unwrap();
        let outside = trap(fill.call(&mut store, PAGE - 3));
        assert_eq!(outside, Some(TrapCode::MemoryOutOfBounds), "{bounds:?}");
    }
}

#[test]
fn memories_grow_by_zeros() {
    for bounds in BoundsStrategy::ALL {
        let (mut store, instance) = instance(*bounds, ACCESSES);
        let grow = instance.get_typed_func::<(), i32>(&mut store, "grow").unwrap();
        for pages in [1, 2] {
            assert_eq!(grow.call(&mut store, ()).unwrap(), pages, "{bounds:?}");
            let last = (pages + 1) * PAGE - 4;
            for name in ["load", "load_shared"] {
                let load = instance.get_typed_func::<i32, i32>(&mut store, name).unwrap();
                assert_eq!(load.call(&mut store, last).unwrap(), 0, "{bounds:?}: {name}");
            }
            let put = instance.get_typed_func::<(i32, i32), ()>(&mut store, "store").unwrap();
            put.call(&mut store, (last, 9)).unwrap();
            let put = instance.get_typed_func::<(i64, i32), ()>(&mut store, "store_wide").unwrap();
            put.call(&mut store, (last.into(), 9)).unwrap();
            let memory = instance.get_memory(&mut store, "m").unwrap();
            assert_eq!(memory.data(&store)[last as usize..], [9, 0, 0, 0], "{bounds:?}");
        }
        assert_eq!(grow.call(&mut store, ()).unwrap(), -1, "{bounds:?}");
    }
}

/// Whatever the previous guest did, where it may and where it must not.
#[test]
fn pools_reset_what_any_strategy_lets_a_guest_write() {
    let guest = r#"(module (memory (export "m") 1 5) (data (i32.const 8) "\2a")
        (func (export "spoil") (param i32)
          (drop (memory.grow (i32.const 2)))
          (i32.store (i32.const 8) (i32.const 0))
          (i32.store (i32.const 140000) (i32.const 1))
          (i32.store (local.get 0) (i32.const -1)))
        (func (export "look") (param i32) (result i32)
          (drop (memory.grow (i32.const 3)))
          (i32.or (i32.ne (i32.load (i32.const 8)) (i32.const 42))
            (i32.or (i32.load (i32.const 140000)) (i32.load (local.get 0))))))"#;
    let engine = engine();
    for bounds in BoundsStrategy::ALL {
        let module = module(&engine, *bounds, guest);
        let pool = Pool::new(&Linker::<()>::new(&engine), &module).unwrap();
        let spoil = pool.typed_func::<i32, ()>("spoil").unwrap();
        let look = pool.typed_func::<i32, i32>("look").unwrap();
        for _ in 0..3 {
            // Outside for one of them, and inside for the other.
            let _ = pool.acquire(()).unwrap().call(&spoil, 3 * PAGE + 100);
            let found = pool.acquire(()).unwrap().call(&look, 3 * PAGE + 100).unwrap();
            assert_eq!(found, 0, "{bounds:?}");
        }
    }
}

/// Threads that touch new pages of a shared memory at the same time both get the same page.
#[test]
fn pages_on_demand_come_once() {
    let engine = engine();
    let wat = r#"(module (memory (export "m") 1 40 shared)
        (func (export "grow") (drop (memory.grow (i32.const 39))))
        (func (export "count") (param $at i32)
          (loop $l
            (drop (i32.atomic.rmw.add (local.get $at) (i32.const 1)))
            (local.set $at (i32.add (local.get $at) (i32.const 4096)))
            (br_if $l (i32.lt_u (local.get $at) (i32.const 2621440))))))"#;
    let module = module(&engine, BoundsStrategy::GuardUffd, wat);
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    let memory = instance.get_export(&mut store, "m").unwrap().into_shared_memory().unwrap();
    let grow = instance.get_typed_func::<(), ()>(&mut store, "grow").unwrap();
    grow.call(&mut store, ()).unwrap();
    let importer = wat.replace(
        "(memory (export \"m\") 1 40 shared)",
        "(memory (import \"a\" \"m\") 1 40 shared)",
    );
    let importer = self::module(&engine, BoundsStrategy::GuardUffd, &importer);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut store = Store::new(&engine, ());
                let mut linker = Linker::new(&engine);
                linker.define("a", "m", wfaas_vm::Extern::SharedMemory(memory.clone()));
                let instance = linker.instantiate(&mut store, &importer).unwrap();
                let count = instance.get_typed_func::<i32, ()>(&mut store, "count").unwrap();
                count.call(&mut store, 0).unwrap();
            });
        }
    });
    for at in (0..2_621_440).step_by(4096) {
        let mut bytes = [0; 4];
        memory.read(at, &mut bytes).unwrap();
        assert_eq!(u32::from_le_bytes(bytes), 2, "at {at}");
    }
}

/// Code that relies on the guard does not get a memory without one.
#[test]
fn memories_without_a_guard_are_not_given_to_who_needs_it() {
    let engine = engine();
    let owner = module(&engine, BoundsStrategy::None, "(module (memory (export \"m\") 1))");
    let importer = r#"(module (memory (import "a" "m") 1)
        (func (export "f") (param i32) (result i32) (i32.load (local.get 0))))"#;
    for bounds in BoundsStrategy::ALL {
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let exporting = linker.instantiate(&mut store, &owner).unwrap();
        linker.instance(&mut store, "a", exporting);
        let made = linker.instantiate(&mut store, &module(&engine, *bounds, importer));
        if bounds.relies_on_guard() {
            let message = made.unwrap_err().to_string();
            assert!(
                message.contains("strategy none") && message.contains(bounds.name()),
                "{message}"
            );
            continue;
        }
        let load = made.unwrap().get_typed_func::<i32, i32>(&mut store, "f").unwrap();
        let traps = trap(load.call(&mut store, PAGE)).is_some();
        assert_eq!(traps, *bounds == BoundsStrategy::Trap, "{bounds:?}");
    }
}
