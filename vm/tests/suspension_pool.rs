//! Faaslets that are suspended, resumed on threads that come and go, dropped anywhere: the next one
//! sees the image. And random programs: they compute the same whether or not their host functions wait.

mod common;
use common::futures::{Gate, block_on, poll, yield_now};
use common::program::{Program, host, many};
use common::{engine, module, trap_of};
use proptest::prelude::*;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::time::{Duration, Instant};
use wfaas_vm::{
    Caller, Config, Engine, Error, Faaslet, Instance, Linker, Pool, PoolFunc, Store, Tracking,
    TrapCode,
};

/// Writes all over its memory, table and globals, and waits in between.
const GUEST: &str = r#"(module
    (import "host" "wait" (func $wait (param i32) (result i32)))
    (memory (export "memory") 3 40)
    (table $t (export "t") 10 200 funcref)
    (global $a (mut i32) (i32.const 11)) (global $b (mut i64) (i64.const 22))
    (data (i32.const 100) "some data at the start")
    (data (i32.const 140000) "and some on another page")
    (elem (i32.const 2) $scribble)
    (func $scribble (param i32)
        (i32.store (i32.and (i32.mul (local.get 0) (i32.const 4099)) (i32.const 0x1fffc))
            (local.get 0)))
    (func (export "run") (param $n i32) (param $seed i32) (result i32) (local $sum i32)
        (loop $again
            (call $scribble (i32.add (local.get $n) (local.get $seed)))
            (local.set $sum (i32.add (local.get $sum) (call $wait (local.get $n))))
            (memory.fill (i32.and (local.get $seed) (i32.const 0xffff)) (local.get $n)
                (i32.const 3000))
            (global.set $a (local.get $sum)) (global.set $b (i64.const 0))
            (table.set $t (i32.rem_u (local.get $n) (i32.const 10)) (ref.null func))
            (if (i32.eqz (i32.and (local.get $n) (i32.const 15))) (then
                (drop (memory.grow (i32.const 1)))
                (drop (table.grow $t (ref.func $scribble) (i32.const 1)))))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        local.get $sum)
    (func (export "spin") (param i32 i32) (result i32)
        (drop (call $wait (i32.const 1)))
        (loop $l (call $scribble (local.get 0))
            (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br $l))
        unreachable))"#;

type Snapshot = (Vec<(u32, Vec<u8>)>, Vec<u64>);

fn snapshot(faaslet: &mut Faaslet<'_, Gate>) -> Snapshot {
    let instance = faaslet.instance();
    let capture = instance.capture(faaslet.store()).unwrap();
    let pages = capture.image.stored().map(|(at, page)| (at, page.to_vec())).collect();
    (pages, capture.memory_pages)
}

fn pool(config: Config) -> Pool<Gate> {
    let engine = Engine::new(config).unwrap();
    let mut linker = Linker::<Gate>::new(&engine);
    linker.func_wrap_async("host", "wait", |caller: Caller<'_, Gate>, n: i32| {
        Box::new(async move { caller.data().wait().await + n })
    });
    Pool::new(&linker, &module(&engine, GUEST)).unwrap()
}

type Run = PoolFunc<(i32, i32), i32>;

fn run(pool: &Pool<Gate>, name: &str) -> Run {
    pool.typed_func(name).unwrap()
}

/// Polls on a thread of its own.
fn poll_elsewhere<F: Future + Send>(mut future: Pin<&mut F>) -> Poll<F::Output>
where
    F::Output: Send,
{
    std::thread::scope(|scope| scope.spawn(|| poll(future.as_mut())).join().unwrap())
}

#[test]
fn the_next_guest_sees_the_image_after_thousands_of_suspensions_on_many_threads() {
    let mut suspensions = 0;
    for tracking in [Tracking::Pages, Tracking::Granules, Tracking::Discard, Tracking::Auto] {
        let pool = pool(Config { tracking, ..Config::default() });
        let run = run(&pool, "run");
        let pristine = snapshot(&mut pool.acquire(Gate::default()).unwrap());
        for life in 0..25u32 {
            let gate = Gate::default();
            let mut faaslet = pool.acquire(gate.clone()).unwrap();
            let seed = (life * 7919) as i32;
            let mut call = Box::pin(faaslet.call_async(&run, (40, seed)));
            // Every other one is dropped in the middle.
            let waits = if life % 2 == 0 { 40 } else { life };
            for _ in 0..waits {
                assert!(poll_elsewhere(call.as_mut()).is_pending());
                suspensions += 1;
                gate.open(1);
            }
            if life % 2 == 0 {
                let Poll::Ready(Ok(sum)) = poll_elsewhere(call.as_mut()) else { panic!("a sum") };
                assert_eq!(sum, (1..=40).sum::<i32>() + 40);
            }
            drop(call);
            assert!(life == 1 || snapshot(&mut faaslet) != pristine);
            drop(faaslet);
            assert!(snapshot(&mut pool.acquire(Gate::default()).unwrap()) == pristine);
        }
    }
    assert!(suspensions > 2500, "{suspensions}");
}

/// Calls wait in one list, and whichever thread is free goes on with any of them.
#[test]
fn faaslets_wander_between_threads_and_do_not_see_each_other() {
    let pool = pool(Config::default());
    let (run, gates) = (run(&pool, "run"), Mutex::new(Vec::new()));
    let pristine = snapshot(&mut pool.acquire(Gate::default()).unwrap());
    let serve = |index: i32| {
        let (pool, gates, run) = (&pool, &gates, &run);
        Box::pin(async move {
            for life in 0..4 {
                let gate = Gate::default();
                gates.lock().unwrap().push(gate.clone());
                let mut faaslet = pool.acquire(gate).unwrap();
                let n = 10 + (index + life) % 7;
                let sum = faaslet.call_async(run, (n, index)).await.unwrap();
                assert_eq!(sum, (1..=n).sum::<i32>() + n);
            }
        })
    };
    let ready = Mutex::new((0..30).map(serve).collect::<Vec<_>>());
    let threads = |_| {
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let Some(mut task) = ready.lock().unwrap().pop() else { return };
                        if poll(task.as_mut()).is_pending() {
                            ready.lock().unwrap().insert(0, task);
                        }
                        gates.lock().unwrap().iter().for_each(|gate| gate.open(1));
                    }
                });
            }
        });
        ready.lock().unwrap().is_empty()
    };
    assert!((0..1000).any(threads), "all were served");
    assert!(snapshot(&mut pool.acquire(Gate::default()).unwrap()) == pristine);
}

#[test]
fn a_faaslet_that_is_killed_after_it_was_resumed_elsewhere_leaves_nothing() {
    for tracking in [Tracking::Pages, Tracking::Granules, Tracking::Discard] {
        let pool = pool(Config { tracking, ..Config::default() });
        let (run, spin) = (run(&pool, "run"), run(&pool, "spin"));
        let pristine = snapshot(&mut pool.acquire(Gate::default()).unwrap());
        for round in 0..10u64 {
            let gate = Gate::default();
            let mut faaslet = pool.acquire(gate.clone()).unwrap();
            let due = Duration::from_micros(round * 397 % 2000);
            faaslet.store().set_deadline(Some(Instant::now() + due));
            let mut call = Box::pin(faaslet.call_async(&spin, (round as i32, 0)));
            let mut polled = poll(call.as_mut());
            if polled.is_pending() {
                gate.open(1);
                polled = poll_elsewhere(call.as_mut());
            }
            let Poll::Ready(result) = polled else { panic!("it has to end") };
            assert_eq!(trap_of(result.unwrap_err()).code, TrapCode::DeadlineExceeded);
            drop(call);
            drop(faaslet);
            let mut next = pool.acquire(gate.clone()).unwrap();
            assert!(snapshot(&mut next) == pristine, "round {round}, {tracking:?}");
            gate.open(1);
            assert_eq!(block_on(next.call_async(&run, (1, 1))).unwrap(), 2);
        }
    }
}

#[test]
fn a_faaslet_with_a_leaked_call_is_not_used_again() {
    let pool = pool(Config { max_suspended: 1, ..Config::default() });
    let run = run(&pool, "run");
    for _ in 0..3 {
        let gate = Gate::default();
        let mut faaslet = pool.acquire(gate.clone()).unwrap();
        let mut call = Box::pin(faaslet.call_async(&run, (1, 0)));
        assert!(poll(call.as_mut()).is_pending());
        std::mem::forget(call);
        assert!(matches!(faaslet.call(&run, (1, 0)), Err(Error::Leaked)));
        drop(faaslet);
        let mut faaslet = pool.acquire(gate.clone()).unwrap();
        gate.open(5);
        assert_eq!(block_on(faaslet.call_async(&run, (1, 0))).unwrap(), 6);
    }
}

#[test]
fn suspended_calls_hold_no_thread() {
    let pool = pool(Config::default());
    let (run, gate) = (run(&pool, "run"), Gate::default());
    let mut faaslets: Vec<_> = (0..1000).map(|_| pool.acquire(gate.clone()).unwrap()).collect();
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let mut calls: Vec<_> =
        faaslets.iter_mut().map(|faaslet| Box::pin(faaslet.call_async(&run, (1, 3)))).collect();
    assert!(calls.iter_mut().all(|call| poll(call.as_mut()).is_pending()));
    // Other tests of this file have threads too, but not a thousand.
    assert!(threads() < before + 100);
    (0..1000).for_each(|_| gate.open(1));
    for call in &mut calls {
        assert!(matches!(poll(call.as_mut()), Poll::Ready(Ok(2))));
    }
}

fn outcome(mut store: Store<AtomicU64>, instance: Instance, result: i64) -> (i64, Vec<u8>) {
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    (result, memory.data(&store).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25))]

    #[test]
    fn random_programs_compute_the_same_with_host_functions_that_wait(seed in any::<u64>()) {
        let (engine, wat) = (engine(), Program::wat(seed));
        let module = module(&engine, &wat);
        let mut sync = Linker::<AtomicU64>::new(&engine);
        sync.func_wrap("host", "host", |_: Caller<'_, AtomicU64>, n: i64| host(n));
        sync.func_wrap("host", "many",
            |_: Caller<'_, AtomicU64>, f: f64, a: i64, b: i64, v: u128, c: i64| many(f, a, b, v, c));
        let mut store = Store::new(&engine, AtomicU64::new(0));
        let instance = sync.instantiate(&mut store, &module).unwrap();
        let run = instance.get_typed_func::<i64, i64>(&mut store, "run").unwrap();
        let result = run.call(&mut store, 12345).unwrap();
        let expected = outcome(store, instance, result);

        let mut waiting = Linker::<AtomicU64>::new(&engine);
        // Two of three calls wait.
        let waits = |caller: &Caller<'_, AtomicU64>| !caller.data().fetch_add(1, Relaxed).is_multiple_of(3);
        waiting.func_wrap_async("host", "host", move |caller: Caller<'_, AtomicU64>, n: i64| {
            Box::new(async move {
                if waits(&caller) {
                    yield_now().await;
                }
                host(n)
            })
        });
        waiting.func_wrap_async("host", "many",
            move |caller: Caller<'_, AtomicU64>, (f, a, b, v, c): (f64, i64, i64, u128, i64)| {
                Box::new(async move {
                    if waits(&caller) {
                        yield_now().await;
                    }
                    many(f, a, b, v, c)
                })
            });
        let mut store = Store::new(&engine, AtomicU64::new(0));
        let instance = waiting.instantiate(&mut store, &module).unwrap();
        let run = instance.get_typed_func::<i64, i64>(&mut store, "run").unwrap();
        let mut call = Box::pin(run.call_async(&mut store, 12345));
        let mut polls = 0;
        let result = loop {
            polls += 1;
            let polled = if polls % 4 == 0 { poll_elsewhere(call.as_mut()) } else { poll(call.as_mut()) };
            if let Poll::Ready(result) = polled {
                break result.unwrap();
            }
        };
        drop(call);
        prop_assert!(outcome(store, instance, result) == expected, "{wat}");
    }
}

#[test]
fn functions_are_called_by_the_bits_of_their_numbers() {
    let engine = engine();
    let text = r#"(module
        (func (export "sum") (param i32 i64 f32 f64) (result i64 f64)
            (i64.add (i64.extend_i32_s (local.get 0)) (local.get 1))
            (f64.add (f64.promote_f32 (local.get 2)) (local.get 3)))
        (func (export "reference") (param funcref))
        (func (export "five") (param i32 i32 i32 i32 i32)))"#;
    let pool = Pool::<()>::new(&Linker::new(&engine), &module(&engine, text)).unwrap();
    let sum = pool.typed_func::<(i32, i64, f32, f64), (i64, f64)>("sum").unwrap();
    let sum = sum.with_cells().unwrap();
    let cells = [u64::from(-5_i32 as u32), 7, u64::from(1.5_f32.to_bits()), 2.25_f64.to_bits()];
    let mut faaslet = pool.acquire(()).unwrap();
    let results = faaslet.call_cells(&sum, cells).unwrap();
    assert_eq!(results[..2], [2, 3.75_f64.to_bits()]);
    assert_eq!(block_on(faaslet.call_cells_async(&sum, cells)).unwrap()[..2], results[..2]);
    let reference = pool.typed_func::<Option<wfaas_vm::Func>, ()>("reference").unwrap();
    assert!(reference.with_cells().is_none(), "bits would be a forged reference");
    let five = pool.typed_func::<(i32, i32, i32, i32, i32), ()>("five").unwrap();
    assert!(five.with_cells().is_none());
}
