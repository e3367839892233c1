//! Processor time of calls is counted and limited.

mod common;
use common::futures::{block_on, yield_now};
use common::{LOOP, engine, instance, module, trap_of};
use std::time::{Duration, Instant};
use wfaas_vm::{Caller, Linker, Pool, Store, TrapCode, TypedFunc};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A store in which a guest works, sleeps in the host, or waits, each time as many milliseconds as it is
/// told.
fn guest() -> (Store<()>, [TypedFunc<i32, ()>; 3]) {
    let engine = engine();
    let wat = r#"(module
        (import "host" "work" (func $work (param i32)))
        (import "host" "sleep" (func $sleep (param i32)))
        (import "host" "wait" (func $wait (param i32)))
        (func (export "work") (param i32) (call $work (local.get 0)))
        (func (export "sleep") (param i32) (call $sleep (local.get 0)))
        (func (export "wait") (param i32) (call $wait (local.get 0))))"#;
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "work", |_: Caller<'_, ()>, time: i32| spin(millis(time as u64)));
    linker.func_wrap("host", "sleep", |_: Caller<'_, ()>, time: i32| {
        std::thread::sleep(millis(time as u64));
    });
    linker.func_wrap_async("host", "wait", |_: Caller<'_, ()>, time: i32| {
        Box::new(async move {
            let start = Instant::now();
            while start.elapsed() < millis(time as u64) {
                yield_now().await;
            }
        })
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    let funcs = ["work", "sleep", "wait"];
    let funcs = funcs.map(|name| instance.get_typed_func(&mut store, name).unwrap());
    (store, funcs)
}

/// Uses processor time of this thread.
fn spin(time: Duration) {
    let used = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    };
    let start = used();
    while used() - start < time {
        std::hint::spin_loop();
    }
}

#[test]
fn work_is_counted_and_sleep_is_not() {
    let (mut store, [work, sleep, _]) = guest();
    work.call(&mut store, 20).unwrap();
    assert_eq!(store.cpu_time(), Duration::ZERO, "nobody asked for it");
    store.count_cpu_time(true);
    work.call(&mut store, 50).unwrap();
    let worked = store.cpu_time();
    // Another clock.
    assert!(worked >= millis(45), "{worked:?}");
    // The watchdog looks after a millisecond, or later if the machine is busy.
    sleep.call(&mut store, 300).unwrap();
    let slept = store.cpu_time() - worked;
    assert!(slept < millis(150), "{slept:?}");
    store.count_cpu_time(false);
    work.call(&mut store, 50).unwrap();
    assert_eq!(store.cpu_time() - worked, slept);
}

#[test]
fn short_calls_are_counted_too() {
    let (mut store, instance) = instance(LOOP);
    let busy = instance.get_typed_func::<i32, i32>(&mut store, "busy").unwrap();
    store.count_cpu_time(true);
    let start = Instant::now();
    for _ in 0..10_000 {
        busy.call(&mut store, 1000).unwrap();
    }
    let (counted, passed) = (store.cpu_time(), start.elapsed());
    assert!(counted <= passed, "{counted:?} of {passed:?}");
    assert!(counted >= passed / 20, "{counted:?} of {passed:?}");
}

#[test]
fn a_call_that_can_be_suspended_is_counted_while_a_thread_works_for_it() {
    let (mut store, [work, _, wait]) = guest();
    store.count_cpu_time(true);
    block_on(work.call_async(&mut store, 50)).unwrap();
    let worked = store.cpu_time();
    // Another clock.
    assert!(worked >= millis(45), "{worked:?}");
    let start = Instant::now();
    block_on(wait.call_async(&mut store, 50)).unwrap();
    assert!(store.cpu_time() - worked <= start.elapsed());
    assert!(store.cpu_time() > worked, "it was polled");
}

#[test]
fn a_call_ends_at_the_limit_and_the_next_ones_are_refused() {
    let (mut store, instance) = instance(LOOP);
    let endless = instance.get_typed_func::<(), ()>(&mut store, "loop").unwrap();
    let busy = instance.get_typed_func::<i32, i32>(&mut store, "busy").unwrap();
    store.set_cpu_limit(Some(millis(30)));
    busy.call(&mut store, 10).unwrap();
    let start = Instant::now();
    let trap = trap_of(endless.call(&mut store, ()).unwrap_err());
    assert_eq!(trap.code, TrapCode::CpuLimitExceeded);
    assert_eq!(trap.frames().len(), 1, "it was in the loop");
    assert!(start.elapsed() >= millis(29));
    assert!(store.cpu_time() >= millis(29), "{:?}", store.cpu_time());
    for _ in 0..2 {
        let trap = trap_of(busy.call(&mut store, 10).unwrap_err());
        assert_eq!((trap.code, trap.frames().len()), (TrapCode::CpuLimitExceeded, 0));
        let call = busy.call_async(&mut store, 10);
        assert_eq!(trap_of(block_on(call).unwrap_err()).code, TrapCode::CpuLimitExceeded);
    }
    store.set_cpu_limit(Some(Duration::from_secs(3600)));
    assert_eq!(busy.call(&mut store, 10).unwrap(), 10);
    store.set_cpu_limit(Some(Duration::ZERO));
    busy.call(&mut store, 10).unwrap_err();
    store.set_cpu_limit(None);
    assert_eq!(busy.call(&mut store, 10).unwrap(), 10);
}

/// Each call is shorter than the watchdog's tick.
#[test]
fn many_short_calls_end_at_the_limit_together() {
    let (mut store, instance) = instance(LOOP);
    let busy = instance.get_typed_func::<i32, i32>(&mut store, "busy").unwrap();
    store.set_cpu_limit(Some(millis(20)));
    let start = Instant::now();
    let ended = loop {
        if let Err(error) = busy.call(&mut store, 10_000) {
            break trap_of(error).code;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{:?}", store.cpu_time());
    };
    assert_eq!(ended, TrapCode::CpuLimitExceeded);
    assert!(store.cpu_time() >= millis(20));
}

/// A host function that is polled again and again uses the call's time, though its guest never runs.
#[test]
fn a_suspended_call_ends_at_the_limit() {
    let (mut store, [_, _, wait]) = guest();
    store.set_cpu_limit(Some(millis(20)));
    let call = wait.call_async(&mut store, 60_000);
    let trap = trap_of(block_on(call).unwrap_err());
    assert_eq!(trap.code, TrapCode::CpuLimitExceeded);
    assert_eq!(trap.frames().len(), 1, "it waited in the host function");
}

#[test]
fn a_faaslet_starts_without_limit_or_time() {
    let engine = engine();
    let pool = Pool::<()>::new(&Linker::new(&engine), &module(&engine, LOOP)).unwrap();
    let (busy, endless) = (pool.typed_func("busy").unwrap(), pool.typed_func("loop").unwrap());
    for _ in 0..3 {
        let mut faaslet = pool.acquire(()).unwrap();
        assert_eq!(faaslet.call::<i32, i32>(&busy, 5).unwrap(), 5);
        assert_eq!(faaslet.store().cpu_time(), Duration::ZERO);
        faaslet.store().set_cpu_limit(Some(millis(5)));
        let trap = trap_of(faaslet.call::<(), ()>(&endless, ()).unwrap_err());
        assert_eq!(trap.code, TrapCode::CpuLimitExceeded);
        assert!(faaslet.store().cpu_time() > Duration::ZERO);
    }
}
