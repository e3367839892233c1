//! Random programs that are preempted at random points, and faaslets that wander between threads: results
//! and memories are those of uninterrupted ones.

mod common;
use common::futures::poll;
use common::program::{Program, host, many};
use common::ticker::Ticker;
use common::{engine, module};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;
use wfaas_vm::{
    Caller, CancelHandle, Config, Engine, Faaslet, Instance, Linker, Pool, Store, Tracking,
};

/// A store's data: its handle, if its slices end.
type Handle = Option<CancelHandle>;

/// A guest with the program's host functions. Every third call of one ends the slice.
fn guest(engine: &Engine, wat: &str, preempted: bool) -> (Store<Handle>, Instance) {
    let mut linker = Linker::<Handle>::new(engine);
    linker.func_wrap("host", "host", |caller: Caller<'_, Handle>, n: i64| {
        if n % 3 == 0
            && let Some(handle) = caller.data()
        {
            handle.end_slice();
        }
        host(n)
    });
    linker.func_wrap(
        "host",
        "many",
        |_: Caller<'_, Handle>, f: f64, a: i64, b: i64, v: u128, c: i64| many(f, a, b, v, c),
    );
    let mut store = Store::new(engine, None);
    if preempted {
        *store.data_mut() = Some(store.cancel_handle());
    }
    let instance = linker.instantiate(&mut store, &module(engine, wat)).unwrap();
    (store, instance)
}

/// How often each program is run.
const RUNS: i64 = 100;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]

    #[test]
    fn random_programs_compute_the_same_when_they_are_preempted(seed in any::<u64>()) {
        let (engine, wat) = (engine(), Program::wat(seed));
        let (mut plain, instance) = guest(&engine, &wat, false);
        let run = instance.get_typed_func::<i64, i64>(&mut plain, "run").unwrap();
        let memory = instance.get_memory(&mut plain, "memory").unwrap();
        let expected: Vec<i64> =
            (0..RUNS).map(|n| run.call(&mut plain, n).unwrap()).collect();

        let (mut store, instance) = guest(&engine, &wat, true);
        let run = instance.get_typed_func::<i64, i64>(&mut store, "run").unwrap();
        let same_memory = instance.get_memory(&mut store, "memory").unwrap();
        let ticker = Ticker::start(store.cancel_handle());
        let mut results = Vec::new();
        for n in 0..RUNS {
            let mut call = Box::pin(run.call_async(&mut store, n));
            results.push(loop {
                if let Poll::Ready(result) = poll(call.as_mut()) {
                    break result.unwrap();
                }
            });
        }
        drop(ticker);
        prop_assert!(results == expected, "{wat}");
        prop_assert!(same_memory.data(&store) == memory.data(&plain), "{wat}");
    }
}

/// Writes all over its memory, table and globals, from its seed on.
const GUEST: &str = r#"(module
    (memory (export "memory") 3 40)
    (table $t (export "t") 10 200 funcref)
    (global $a (mut i32) (i32.const 11))
    (data (i32.const 100) "some data at the start")
    (elem (i32.const 2) $scribble)
    (func $scribble (param i32)
        (i32.store (i32.and (i32.mul (local.get 0) (i32.const 4099)) (i32.const 0x1fffc))
            (local.get 0)))
    (func (export "run") (param $seed i32) (result i32) (local $n i32) (local $v v128)
        (local.set $n (i32.const 60000))
        (local.set $v (i32x4.splat (local.get $seed)))
        (loop $again
            (call $scribble (i32.add (local.get $n) (local.get $seed)))
            (local.set $v (i32x4.add (i32x4.mul (local.get $v) (i32x4.splat (i32.const 31)))
                (i32x4.splat (local.get $n))))
            (global.set $a (i32x4.extract_lane 3 (local.get $v)))
            (if (i32.eqz (i32.and (local.get $n) (i32.const 255))) (then
                (memory.fill (i32.and (local.get $seed) (i32.const 0xffff)) (local.get $n)
                    (i32.const 70000))
                (drop (memory.grow (i32.const 1)))
                (table.fill $t (i32.const 0) (ref.null func) (i32.const 7))
                (drop (table.grow $t (ref.func $scribble) (i32.const 1)))))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (i32.add (global.get $a) (i32x4.extract_lane 0 (local.get $v)))))"#;

fn expected(seed: i32) -> i32 {
    (1..=60_000).rev().fold(seed, |v, n| v.wrapping_mul(31).wrapping_add(n)).wrapping_mul(2)
}

type Snapshot = (Vec<(u32, Vec<u8>)>, Vec<u64>);

fn snapshot(faaslet: &mut Faaslet<'_, ()>) -> Snapshot {
    let instance = faaslet.instance();
    let capture = instance.capture(faaslet.store()).unwrap();
    let pages = capture.image.stored().map(|(at, page)| (at, page.to_vec())).collect();
    (pages, capture.memory_pages)
}

/// Calls wait in one list, and threads that come and go resume whichever is next. Some are dropped in the
/// middle. Nobody sees anything of another, and each faaslet is the image afterwards.
#[test]
fn preempted_faaslets_wander_between_threads_and_leave_nothing() {
    let suspensions = AtomicUsize::new(0);
    for tracking in [Tracking::Pages, Tracking::Granules, Tracking::Discard] {
        let engine = Engine::new(Config { tracking, ..Config::default() }).unwrap();
        let pool = Pool::new(&Linker::<()>::new(&engine), &module(&engine, GUEST)).unwrap();
        let run = pool.typed_func::<i32, i32>("run").unwrap();
        let pristine = snapshot(&mut pool.acquire(()).unwrap());
        let serve = |index: i32| {
            let (pool, run) = (&pool, &run);
            Box::pin(async move {
                for life in 0..20 {
                    let mut faaslet = pool.acquire(()).unwrap();
                    let seed = index * 7919 + life;
                    let _ticker = Ticker::start(faaslet.store().cancel_handle());
                    let sum = faaslet.call_async(run, seed).await.unwrap();
                    assert_eq!(sum, expected(seed));
                }
            })
        };
        let ready = Mutex::new((0..12).map(serve).collect::<VecDeque<_>>());
        for round in 0.. {
            assert!(round < 100_000, "they go on");
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        for _ in 0..3 {
                            let Some(mut task) = ready.lock().unwrap().pop_front() else { return };
                            if poll(task.as_mut()).is_pending() {
                                suspensions.fetch_add(1, Relaxed);
                                ready.lock().unwrap().push_back(task);
                            }
                        }
                    });
                }
            });
            let mut ready = ready.lock().unwrap();
            if round % 50 == 49 {
                drop(ready.pop_front());
            }
            if ready.is_empty() {
                break;
            }
        }
        for _ in 0..12 {
            let mut faaslet = pool.acquire(()).unwrap();
            assert!(snapshot(&mut faaslet) == pristine, "{tracking:?}");
            assert_eq!(faaslet.call(&run, 5).unwrap(), expected(5));
        }
    }
    let suspensions = suspensions.into_inner();
    assert!(suspensions > 1000, "{suspensions}");
}
