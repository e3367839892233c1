//! Whatever the previous guest did, the next one sees the image, byte for byte.

mod common;
use common::{engine, module};
use proptest::prelude::*;
use std::time::{Duration, Instant};
use wfaas_abi::image::SparseImage;
use wfaas_vm::{Faaslet, Linker, Module, Pool, Store};

/// A guest that does to itself whatever its caller asks for.
const GUEST: &str = r#"(module
    (memory (export "memory") 3 40) (memory $m i64 1 20) (memory $s 2 6 shared)
    (table $t (export "t") 10 200 funcref)
    (table $u 5 50 funcref)
    (global $a (mut i32) (i32.const 11)) (global $b (mut i64) (i64.const 22))
    (global $c (mut f64) (f64.const 3.5)) (global $d (mut funcref) (ref.func $noop))
    (data (i32.const 100) "some data at the start")
    (data (i32.const 70000) "and some on another page")
    (data (memory $m) (i64.const 5000) "in the second memory")
    (data (memory $s) (i32.const 100) "in the shared memory")
    (data $passive "passive")
    (elem (i32.const 2) $noop $store $noop)
    (elem $e func $noop $grow)
    (func $noop (export "noop"))
    (func $store (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "store_others") (param i32 i32)
        (i32.store $m (i64.rem_u (i64.extend_i32_u (local.get 0)) (i64.const 66000))
            (local.get 1))
        (i32.store $s (local.get 0) (local.get 1)))
    (func (export "atomics") (param i32 i32)
        (drop (i32.atomic.rmw.add (i32.and (local.get 0) (i32.const -4)) (local.get 1)))
        (drop (i64.atomic.rmw.xchg $s (i32.and (local.get 0) (i32.const 0x1fff8)) (i64.const 3)))
        (i32.atomic.store8 $m (i64.const 4096) (local.get 0)))
    (func (export "fill") (param i32 i32)
        (memory.fill (local.get 0) (local.get 1) (i32.const 20000))
        (memory.fill $m (i64.const 30000) (local.get 1) (i64.const 20000))
        (memory.copy $s $m (i32.const 50000) (i64.const 20000) (i32.const 20000)))
    (func $grow (export "grow") (param i32 i32)
        (drop (memory.grow $m (i64.extend_i32_u (local.get 0))))
        (drop (memory.grow $s (local.get 1)))
        (drop (memory.grow (local.get 0)))
        (i32.store8 $m (i64.sub (i64.mul (memory.size $m) (i64.const 65536)) (i64.const 1))
            (local.get 1))
        (i32.store8 $s (i32.sub (i32.mul (memory.size $s) (i32.const 65536)) (i32.const 1))
            (local.get 1))
        (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (local.get 1)))
    (func (export "table_set") (param i32 i32)
        (table.set $t (local.get 0) (ref.null func))
        (table.set $u (local.get 1) (ref.func $store)))
    (func (export "table_grow") (param i32 i32)
        (drop (table.grow $t (ref.func $grow) (local.get 0)))
        (drop (table.grow $u (ref.null func) (local.get 1))))
    (func (export "globals") (param i32 i32)
        (global.set $a (local.get 0)) (global.set $b (i64.extend_i32_u (local.get 1)))
        (global.set $c (f64.const 0)) (global.set $d (ref.null func)))
    (func (export "segments") (param i32 i32)
        (memory.init $passive (local.get 0) (i32.const 0) (i32.const 7))
        (data.drop $passive)
        (table.init $t $e (local.get 1) (i32.const 0) (i32.const 2))
        (elem.drop $e))
    (func (export "trap") (param i32 i32)
        (i32.store (local.get 0) (i32.const -1))
        (global.set $a (i32.const 1))
        (drop (i32.div_u (local.get 1) (i32.const 0))))
    (func (export "loop") (param i32 i32)
        (loop $l
            (i32.store (i32.and (local.get 0) (i32.const 0x1fffc)) (local.get 1))
            (local.set 0 (i32.add (local.get 0) (i32.const 4)))
            (global.set $a (local.get 0))
            (br $l))))"#;

const ACTIONS: [&str; 11] = [
    "store",
    "fill",
    "grow",
    "table_set",
    "table_grow",
    "globals",
    "segments",
    "trap",
    "loop",
    "store_others",
    "atomics",
];

fn snapshot(faaslet: &mut Faaslet<()>) -> (Vec<(u32, Vec<u8>)>, Vec<u64>) {
    let instance = faaslet.instance();
    let capture = instance.capture(faaslet.store()).unwrap();
    let pages =
        |image: &SparseImage| image.stored().map(|(at, page)| (at, page.to_vec())).collect();
    (pages(&capture.image), capture.memory_pages)
}

fn pool() -> Pool<()> {
    let engine = engine();
    let raw = module(&engine, GUEST);
    let linker = Linker::<()>::new(&engine);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &raw).unwrap();
    let capture = instance.capture(&mut store).unwrap();
    let artifact =
        wfaas_abi::artifact::replace_image(&raw.artifact(), &capture.image, &capture.memory_pages)
            .unwrap();
    Pool::new(&linker, &Module::from_bytes(&engine, &artifact).unwrap()).unwrap()
}

fn act(faaslet: &mut Faaslet<()>, action: usize, a: i32, b: i32) {
    let (name, instance) = (ACTIONS[action], faaslet.instance());
    let store = faaslet.store();
    if name == "loop" {
        let micros = 200 + u64::from(a.unsigned_abs()) % 3000;
        store.set_deadline(Some(Instant::now() + Duration::from_micros(micros)));
    }
    let function = instance.get_typed_func::<(i32, i32), ()>(store, name).unwrap();
    // It may trap; that is part of what is tested.
    let _ = function.call(store, (a, b));
}

fn argument() -> impl Strategy<Value = i32> {
    prop_oneof![0..300_000i32, 0..50i32, any::<i32>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn the_next_guest_sees_the_image(
        lives in prop::collection::vec(
            prop::collection::vec((0..ACTIONS.len(), argument(), argument()), 1..8), 1..6),
    ) {
        let pool = pool();
        let pristine = snapshot(&mut pool.acquire(()).unwrap());
        for life in lives {
            let mut faaslet = pool.acquire(()).unwrap();
            for (action, a, b) in life {
                act(&mut faaslet, action, a, b);
            }
            drop(faaslet);
            prop_assert!(snapshot(&mut pool.acquire(()).unwrap()) == pristine);
        }
    }
}

#[test]
fn the_test_above_would_notice() {
    let pool = pool();
    let mut faaslet = pool.acquire(()).unwrap();
    let pristine = snapshot(&mut faaslet);
    for (action, a, b) in
        [(0, 0, 1), (2, 1, 1), (3, 0, 0), (4, 1, 0), (5, 1, 2), (6, 0, 0), (9, 0, 1), (10, 0, 1)]
    {
        act(&mut faaslet, action, a, b);
        assert!(snapshot(&mut faaslet) != pristine, "{} left no trace", ACTIONS[action]);
        faaslet = {
            drop(faaslet);
            pool.acquire(()).unwrap()
        };
        assert!(snapshot(&mut faaslet) == pristine);
    }
}

#[test]
fn faaslets_in_use_at_the_same_time_do_not_see_each_other() {
    let pool = pool();
    let (mut first, mut second) = (pool.acquire(()).unwrap(), pool.acquire(()).unwrap());
    let pristine = snapshot(&mut second);
    for (action, a) in [(0, 0), (2, 1), (5, 7)] {
        act(&mut first, action, a, 1);
    }
    assert!(snapshot(&mut second) == pristine);
    assert!(snapshot(&mut first) != pristine);
}

#[test]
fn a_proto_file_is_the_same_as_an_image_in_the_artifact() {
    let engine = engine();
    let raw = module(&engine, GUEST);
    let linker = Linker::<()>::new(&engine);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &raw).unwrap();
    let store_word = instance.get_typed_func::<(i32, i32), ()>(&mut store, "store").unwrap();
    store_word.call(&mut store, (4096, 77)).unwrap();
    let capture = instance.capture(&mut store).unwrap();
    let proto =
        wfaas_abi::artifact::write_proto(&raw.artifact(), &capture.image, &capture.memory_pages);
    let pool = Pool::new(&linker, &raw.with_proto(&proto).unwrap()).unwrap();
    let mut faaslet = pool.acquire(()).unwrap();
    let instance = faaslet.instance();
    let memory = instance.get_memory(faaslet.store(), "memory").unwrap();
    assert_eq!(memory.data(faaslet.store())[4096], 77);
    let mut damaged = proto.clone();
    damaged[200] ^= 1;
    raw.with_proto(&damaged).expect_err("the hash does not fit");
}

#[test]
fn what_an_embedder_adds_to_a_store_is_gone_with_the_faaslet() {
    let pool = pool();
    let engine = engine();
    let mut faaslet = pool.acquire(()).unwrap();
    let first = faaslet.instance();
    act(&mut faaslet, 0, 0, 1);
    drop(faaslet);
    let mut faaslet = pool.acquire(()).unwrap();
    assert_eq!(faaslet.instance(), first, "the store is used again");
    let other = module(&engine, "(module (memory 1))");
    Linker::new(&engine).instantiate(faaslet.store(), &other).unwrap();
    drop(faaslet);
    assert_ne!(pool.acquire(()).unwrap().instance(), first, "it is not the pool's any more");
}

#[test]
#[should_panic(expected = "a function of another module")]
fn a_function_of_a_dropped_pool_is_none_of_the_next() {
    let engine = engine();
    let pool = |wat| Pool::<()>::new(&Linker::new(&engine), &module(&engine, wat)).unwrap();
    let first = pool(r#"(module (func (export "f") (param i32) (result i32) (local.get 0)))"#);
    let f = first.typed_func::<i32, i32>("f").unwrap();
    drop(first);
    // Its text is likely to be where that of the first one was.
    let second = pool(r#"(module (func (export "g") (param i64) (result i64) (local.get 0)))"#);
    let _ = second.acquire(()).unwrap().call(&f, 1);
}
