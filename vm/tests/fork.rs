//! Forks and snapshots of live faaslets: equal to the faaslet, then independent of it, and after a reset
//! the image. For each way of tracking writes, and each bounds strategy.

mod common;
use common::{engine, module, module_with};
use proptest::prelude::*;
use wfaas_abi::BoundsStrategy;
use wfaas_compiler::Options;
use wfaas_vm::{
    Caller, Config, Engine, ExternRef, Faaslet, Func, Linker, Module, Pool, Store, Tracking, Val,
};

/// A guest that does to itself whatever its caller asks for, and shows all that it has.
const GUEST: &str = r#"(module
    (import "host" "noop" (func $host))
    (memory (export "memory") 3 40) (memory $m (export "m") i64 1 20)
    (table $t (export "t") 10 200 funcref) (table $u 5 50 funcref)
    (global $a (export "a") (mut i32) (i32.const 11)) (global $v (mut v128) (v128.const i64x2 1 2))
    (global $d (mut funcref) (ref.func $noop))
    (data (i32.const 100) "some data at the start")
    (data (i32.const 70000) "and some on another page")
    (data (memory $m) (i64.const 5000) "in the second memory")
    (data $passive "passive")
    (elem (i32.const 2) $noop $store $noop $host)
    (elem $e func $noop $grow)
    (func $noop (export "noop"))
    (func $store (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "store_other") (param i32 i32)
        (i32.store $m (i64.rem_u (i64.extend_i32_u (local.get 0)) (i64.const 66000)) (local.get 1)))
    (func (export "read") (param i32 i32) (drop (i32.load (local.get 0))))
    (func (export "fill") (param i32 i32)
        (memory.fill (local.get 0) (local.get 1) (i32.const 20000))
        (memory.fill $m (i64.const 30000) (local.get 1) (i64.const 20000)))
    (func $grow (export "grow") (param i32 i32)
        (drop (memory.grow $m (i64.extend_i32_u (local.get 0))))
        (drop (memory.grow (local.get 0)))
        (i32.store8 $m (i64.sub (i64.mul (memory.size $m) (i64.const 65536)) (i64.const 1))
            (local.get 1))
        (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (local.get 1)))
    (func (export "table_set") (param i32 i32)
        (table.set $t (local.get 0) (ref.null func))
        (table.set $u (local.get 1) (ref.func $store)))
    (func (export "table_grow") (param i32 i32)
        (drop (table.grow $t (ref.func $grow) (local.get 0)))
        (drop (table.grow $u (ref.null func) (local.get 1))))
    (func (export "globals") (param i32 i32)
        (global.set $a (local.get 0)) (global.set $v (i32x4.splat (local.get 1)))
        (global.set $d (ref.func $store)))
    (func (export "segments") (param i32 i32)
        (memory.init $passive (local.get 0) (i32.const 0) (i32.const 7))
        (data.drop $passive)
        (table.init $t $e (local.get 1) (i32.const 0) (i32.const 2))
        (elem.drop $e))
    (func (export "trap") (param i32 i32)
        (i32.store (local.get 0) (i32.const -1))
        (drop (i32.div_u (local.get 1) (i32.const 0))))
    (func (export "host") (param i32 i32) (call_indirect $t (i32.const 5))))"#;

const ACTIONS: [&str; 11] = [
    "store",
    "store_other",
    "read",
    "fill",
    "grow",
    "table_set",
    "table_grow",
    "globals",
    "segments",
    "trap",
    "host",
];

const WAYS: [Tracking; 4] =
    [Tracking::Pages, Tracking::Granules, Tracking::Discard, Tracking::Record];

const STRATEGIES: [BoundsStrategy; 5] = [
    BoundsStrategy::Guard,
    BoundsStrategy::GuardUffd,
    BoundsStrategy::Trap,
    BoundsStrategy::Clamp,
    BoundsStrategy::None,
];

/// Pages of state and memories that are not zero, and sizes of memories.
type Contents = (Vec<(u32, Vec<u8>)>, Vec<u64>);

fn contents<T: Default + Send + 'static>(faaslet: &mut Faaslet<T>) -> Contents {
    let instance = faaslet.instance();
    let capture = instance.capture(faaslet.store()).unwrap();
    // A page of zeros may be stored, or not.
    let stored = capture.image.stored().filter(|(_, page)| page.iter().any(|byte| *byte != 0));
    (stored.map(|(at, page)| (at, page.to_vec())).collect(), capture.memory_pages)
}

fn linker(engine: &Engine) -> Linker<()> {
    let mut linker = Linker::new(engine);
    linker.func_wrap("host", "noop", |_: Caller<'_, ()>| ());
    linker
}

/// The guest's module, initialised; no page of its first memory is zero, so that snapshots become layers.
fn guest(engine: &Engine, bounds: BoundsStrategy) -> Module {
    wfaas_vm::diagnostics::userfaultfd().expect("without it these tests would test something else");
    let raw = module_with(engine, GUEST, &Options { bounds, ..Options::default() });
    let mut store = Store::new(engine, ());
    let instance = linker(engine).instantiate(&mut store, &raw).unwrap();
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    for page in 0..48 {
        memory.write(&mut store, page * 4096 + 2000, &[page as u8 + 1]).unwrap();
    }
    let proto = instance.capture(&mut store).unwrap().to_proto(&raw);
    raw.with_proto(&proto).unwrap()
}

fn pool(tracking: Tracking, bounds: BoundsStrategy) -> Pool<()> {
    let engine = Engine::new(Config { tracking, ..Config::default() }).unwrap();
    Pool::new(&linker(&engine), &guest(&engine, bounds)).unwrap()
}

fn act(faaslet: &mut Faaslet<()>, action: usize, a: i32, b: i32) {
    let instance = faaslet.instance();
    let name = ACTIONS[action];
    let function = instance.get_typed_func::<(i32, i32), ()>(faaslet.store(), name).unwrap();
    // It may trap; that is part of the test.
    let _ = function.call(faaslet.store(), (a, b));
}

type Life = Vec<(usize, i32, i32)>;

fn life() -> impl Strategy<Value = Life> {
    let argument = || prop_oneof![0..190_000i32, 0..30i32];
    prop::collection::vec((0..ACTIONS.len(), argument(), argument()), 0..8)
}

fn live(faaslet: &mut Faaslet<()>, life: &Life) {
    life.iter().for_each(|(action, a, b)| act(faaslet, *action, *a, *b));
}

fn forks_are_their_own(pool: &Pool<()>, lives: &[Life; 5]) {
    let pristine = contents(&mut pool.acquire(()).unwrap());
    // Slots with learned sets of their own.
    {
        let mut others = [pool.acquire(()).unwrap(), pool.acquire(()).unwrap()];
        others.iter_mut().zip(lives).for_each(|(other, life)| live(other, life));
    }
    let mut parent = pool.acquire(()).unwrap();
    live(&mut parent, &lives[2]);
    let before = contents(&mut parent);
    let mut child = parent.fork().unwrap();
    assert!(contents(&mut child) == before, "the fork differs");
    live(&mut child, &lives[3]);
    assert!(contents(&mut parent) == before, "the parent sees its fork's writes");
    let after = contents(&mut child);
    let mut grandchild = child.fork().unwrap();
    let snapshot = child.instance().snapshot(child.store(), usize::MAX).unwrap();
    drop(child);
    live(&mut parent, &lives[4]);
    assert!(contents(&mut grandchild) == after, "the fork of a fork sees others' writes");
    let mut parked = grandchild.park(usize::MAX).unwrap();
    drop(grandchild);
    live(&mut parent, &lives[1]);
    drop(parent);
    {
        // Whoever has the slots meanwhile, and leaves something there.
        let mut others = [pool.acquire(()).unwrap(), pool.acquire(()).unwrap()];
        others.iter_mut().zip(lives).for_each(|(other, life)| live(other, life));
    }
    assert!(contents(&mut pool.unpark(&mut parked).unwrap()) == after, "a parked one differs");
    assert!(
        contents(&mut pool.acquire_from(&snapshot, ()).unwrap()) == after,
        "the snapshot differs"
    );
    for _ in 0..4 {
        assert!(contents(&mut pool.acquire(()).unwrap()) == pristine, "a fork left something");
    }
    let mut held: Vec<_> = (0..4).map(|_| pool.acquire(()).unwrap()).collect();
    assert!(held.iter_mut().all(|faaslet| contents(faaslet) == pristine));
    let engine = engine();
    let layer = Pool::from_snapshot(&linker(&engine), &snapshot).unwrap();
    for _ in 0..2 {
        let mut faaslet = layer.acquire(()).unwrap();
        assert!(contents(&mut faaslet) == after, "the layer differs");
        live(&mut faaslet, &lives[0]);
        let expected = contents(&mut faaslet);
        assert!(contents(&mut faaslet.fork().unwrap()) == expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn forks_are_identical_and_then_independent(lives in [life(), life(), life(), life(), life()]) {
        for tracking in WAYS {
            forks_are_their_own(&pool(tracking, BoundsStrategy::Guard), &lives);
        }
        for bounds in STRATEGIES {
            forks_are_their_own(&pool(Tracking::Auto, bounds), &lives);
        }
    }
}

/// Each action changes something that a fork has to copy.
#[test]
fn the_test_above_would_notice() {
    for tracking in WAYS {
        let pool = pool(tracking, BoundsStrategy::Guard);
        let pristine = contents(&mut pool.acquire(()).unwrap());
        for (action, a, b) in
            [(0, 0, 1), (1, 0, 1), (3, 0, 1), (4, 1, 1), (5, 0, 0), (6, 1, 0), (7, 1, 2), (8, 0, 0)]
        {
            let mut parent = pool.acquire(()).unwrap();
            act(&mut parent, action, a, b);
            let changed = contents(&mut parent);
            assert!(changed != pristine, "{} left no trace", ACTIONS[action]);
            assert!(contents(&mut parent.fork().unwrap()) == changed, "{}", ACTIONS[action]);
            let snapshot = parent.instance().snapshot(parent.store(), usize::MAX).unwrap();
            assert!(snapshot.pages() > 0);
            drop(parent);
            assert!(contents(&mut pool.acquire_from(&snapshot, ()).unwrap()) == changed);
        }
    }
}

#[test]
fn a_fork_has_data_of_its_own_and_no_handles_of_the_other() {
    let engine = engine();
    let module = module(&engine, "(module (memory 1) (func (export \"f\")))");
    let pool = Pool::<Vec<u8>>::new(&Linker::new(&engine), &module).unwrap();
    let mut parent = pool.acquire(vec![1, 2]).unwrap();
    let f = parent.instance().get_func(parent.store(), "f").unwrap();
    let mut child = parent.fork().unwrap();
    child.store().data_mut().push(3);
    assert_eq!((parent.release(), child.store().data().len()), (vec![1, 2], 3));
    let other = std::panic::AssertUnwindSafe(|| f.call(child.store(), &[]).is_ok());
    std::panic::catch_unwind(other).expect_err("a handle of the parent's store");
}

/// A guest that keeps references of each kind.
const KEEPER: &str = r#"(module
    (global $e (export "e") (mut externref) (ref.null extern))
    (table $t (export "t") 3 funcref)
    (func (export "clear")
        (global.set $e (ref.null extern)) (table.fill $t (i32.const 0) (ref.null func) (i32.const 3))))"#;

fn refused(faaslet: &mut Faaslet<()>) -> String {
    let fork =
        faaslet.fork().map(drop).expect_err("it refers to something outside of it").to_string();
    let snapshot = faaslet.instance().snapshot(faaslet.store(), usize::MAX);
    assert_eq!(snapshot.expect_err("as above").to_string(), fork);
    fork
}

#[test]
fn references_to_the_outside_are_refused_by_name() {
    let engine = engine();
    let pool = Pool::<()>::new(&Linker::new(&engine), &module(&engine, KEEPER)).unwrap();
    let clear = pool.typed_func::<(), ()>("clear").unwrap();
    let mut parent = pool.acquire(()).unwrap();
    let instance = parent.instance();
    let global = instance.get_global(parent.store(), "e").unwrap();
    global.set(parent.store(), Val::ExternRef(Some(ExternRef::new(7)))).unwrap();
    assert_eq!(
        refused(&mut parent),
        "cannot capture the instance: global 0 holds a reference to a host object"
    );
    parent.call(&clear, ()).unwrap();
    parent.fork().expect("null is fine");
    let host = Func::wrap(parent.store(), |_: Caller<'_, ()>| ());
    let table = instance.get_table(parent.store(), "t").unwrap();
    table.set(parent.store(), 1, Val::FuncRef(Some(host))).unwrap();
    assert_eq!(
        refused(&mut parent),
        "cannot capture the instance: table 0 holds a reference to a function of another instance or of \
         the host"
    );
    parent.call(&clear, ()).unwrap();
    parent.fork().expect("null is fine");
}

#[test]
fn shared_memories_are_refused_by_name() {
    let engine = engine();
    let wat = "(module (memory 1) (memory 1 2 shared))";
    let pool = Pool::<()>::new(&Linker::new(&engine), &module(&engine, wat)).unwrap();
    let refused = refused(&mut pool.acquire(()).unwrap());
    assert_eq!(refused, "cannot capture the instance: a shared memory is other instances' too");
}

#[test]
fn a_call_under_way_is_refused_by_name() {
    let engine = engine();
    let mut linker = Linker::<Option<String>>::new(&engine);
    let inside = engine.clone();
    linker.func_wrap("host", "look", move |mut caller: Caller<'_, Option<String>>| {
        let mut other = Linker::<Option<String>>::new(&inside);
        other.func_wrap("host", "look", |_: Caller<'_, Option<String>>| ());
        let wat = "(module (import \"host\" \"look\" (func)) (memory 1))";
        let instance = other.instantiate(&mut caller, &module(&inside, wat)).unwrap();
        let refused = instance.snapshot(&caller, usize::MAX).unwrap_err();
        *caller.data_mut() = Some(refused.to_string());
    });
    let wat = r#"(module (import "host" "look" (func $look)) (memory 1) (func (export "f") (call $look)))"#;
    let mut store = Store::new(&engine, None);
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    f.call(&mut store, ()).unwrap();
    let refused = store.data().as_deref();
    assert!(refused.unwrap().contains("a call is under way"), "{refused:?}");
}

#[test]
fn a_suspended_call_that_was_leaked_is_refused() {
    let engine = engine();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap_async("host", "wait", |_: Caller<'_, ()>, ()| {
        Box::new(std::future::pending::<()>())
    });
    let wat = r#"(module (import "host" "wait" (func $wait)) (memory 1) (func (export "f") (call $wait)))"#;
    let pool = Pool::new(&linker, &module(&engine, wat)).unwrap();
    let f = pool.typed_func::<(), ()>("f").unwrap();
    let mut faaslet = pool.acquire(()).unwrap();
    let mut call = Box::pin(faaslet.call_async(&f, ()));
    let waker = std::task::Waker::noop();
    assert!(call.as_mut().poll(&mut std::task::Context::from_waker(waker)).is_pending());
    std::mem::forget(call);
    assert!(refused(&mut faaslet).contains("leaked while it was suspended"));
}

#[test]
fn snapshots_are_bounded_and_know_their_module() {
    let pool = pool(Tracking::Auto, BoundsStrategy::Guard);
    let mut faaslet = pool.acquire(()).unwrap();
    act(&mut faaslet, 3, 0, 7);
    let instance = faaslet.instance();
    let snapshot = instance.snapshot(faaslet.store(), 1 << 20).unwrap();
    assert!((5..40).contains(&snapshot.pages()), "{} pages", snapshot.pages());
    assert!(snapshot.bytes() < snapshot.pages() * 4200 + 1000);
    let refused = instance.snapshot(faaslet.store(), 10_000).unwrap_err().to_string();
    assert_eq!(
        refused,
        "cannot capture the instance: it differs from its image in more than 10000 bytes"
    );
    let layer = Pool::from_snapshot(&linker(&engine()), &snapshot).unwrap();
    let other = layer.acquire_from(&snapshot, ()).map(drop).unwrap_err().to_string();
    assert!(other.ends_with("of another module, or of another image of it"), "{other}");
    let mut own = layer.acquire(()).unwrap();
    let nothing = own.instance().snapshot(own.store(), 0).expect("it is as its image is");
    assert_eq!(nothing.pages(), 0);
}

#[test]
fn a_layer_takes_the_memory_of_its_own_pages() {
    let engine = engine();
    let linker = linker(&engine);
    let pool = Pool::new(&linker, &guest(&engine, BoundsStrategy::Guard)).unwrap();
    let before = engine.image_bytes();
    let mut faaslet = pool.acquire(()).unwrap();
    act(&mut faaslet, 0, 100_000, 7);
    let expected = contents(&mut faaslet);
    let instance = faaslet.instance();
    let snapshot = instance.snapshot(faaslet.store(), usize::MAX).unwrap();
    let layer = Pool::from_snapshot(&linker, &snapshot).unwrap();
    assert!(contents(&mut layer.acquire(()).unwrap()) == expected);
    let taken = engine.image_bytes() - before;
    assert!(taken <= 12 * 4096, "{taken} bytes for {} pages", snapshot.pages());
    // The image below is there as long as a layer over it is.
    drop(faaslet);
    drop((pool, snapshot));
    assert!(contents(&mut layer.acquire(()).unwrap()) == expected);
    drop(layer);
}
