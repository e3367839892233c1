//! Time slices as embedders set them: the watchdog ends them, and whoever polls goes on.

mod common;
use common::engine;
use common::futures::{Alarm, block_on, poll_with};
use common::module;
use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};
use wfaas_vm::{Caller, Linker, Store, TrapCode, TypedFunc};

const SLICE: Duration = Duration::from_millis(1);

/// `spin` counts down; `fill` fills 64 MiB as often as it is told, and counts the bytes of one page.
const GUEST: &str = r#"(module (memory 1024)
    (func (export "spin") (param i64) (result i64) (local i64)
        (loop $l
            (local.set 1 (i64.add (local.get 1) (i64.const 3)))
            (local.set 0 (i64.sub (local.get 0) (i64.const 1)))
            (br_if $l (i64.ne (local.get 0) (i64.const 0))))
        (local.get 1))
    (func (export "fill") (param i64) (result i64)
        (loop $l
            (memory.fill (i32.const 0) (i32.wrap_i64 (local.get 0)) (i32.const 0x4000000))
            (local.set 0 (i64.sub (local.get 0) (i64.const 1)))
            (br_if $l (i64.ne (local.get 0) (i64.const 0))))
        (i64.load (i32.const 0x3fffff8))))"#;

fn guest(name: &str) -> (Store<()>, TypedFunc<i64, i64>) {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module(&engine, GUEST)).unwrap();
    store.set_time_slice(Some(SLICE));
    let func = instance.get_typed_func(&mut store, name).unwrap();
    (store, func)
}

/// The result of a call, and how often it was suspended. Each time it has woken its future.
fn counted(mut store: Store<()>, func: &TypedFunc<i64, i64>, n: i64) -> (i64, usize) {
    let alarm = Alarm::new();
    let mut call = Box::pin(func.call_async(&mut store, n));
    let mut suspended = 0;
    loop {
        match poll_with(call.as_mut(), &alarm) {
            Poll::Ready(result) => return (result.unwrap(), suspended),
            Poll::Pending => suspended += 1,
        }
        assert_eq!(alarm.rings(), suspended);
    }
}

#[test]
fn a_guest_that_computes_is_suspended_again_and_again() {
    let (store, spin) = guest("spin");
    // More than a tenth of a second on any machine: a hundred slices, of which most are noticed.
    let (result, suspended) = counted(store, &spin, 400_000_000);
    assert_eq!(result, 1_200_000_000);
    assert!(suspended >= 10, "{suspended}");
}

/// Waits for the host, then counts down.
const WAITER: &str = r#"(module (import "host" "wait" (func $wait))
    (func (export "wait_and_spin") (param i64) (result i64)
        (call $wait)
        (loop $l
            (local.set 0 (i64.sub (local.get 0) (i64.const 1)))
            (br_if $l (i64.ne (local.get 0) (i64.const 0))))
        (i64.const 7)))"#;

#[test]
fn a_guest_is_suspended_in_the_poll_in_which_it_stops_to_wait() {
    let engine = engine();
    let mut linker = Linker::new(&engine);
    linker.func_wrap_async("host", "wait", |_: Caller<'_, ()>, (): ()| {
        let mut is_ready = false;
        Box::new(poll_fn(move |context| {
            context.waker().wake_by_ref();
            match std::mem::replace(&mut is_ready, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        }))
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, WAITER)).unwrap();
    store.set_time_slice(Some(SLICE));
    let func = instance.get_typed_func::<i64, i64>(&mut store, "wait_and_spin").unwrap();
    let alarm = Alarm::new();
    let mut call = Box::pin(func.call_async(&mut store, 400_000_000));
    let mut suspended = 0;
    let result = loop {
        match poll_with(call.as_mut(), &alarm) {
            Poll::Ready(result) => break result.unwrap(),
            Poll::Pending => suspended += 1,
        }
    };
    assert_eq!(result, 7);
    assert!(suspended >= 10, "{suspended}");
}

#[test]
fn a_guest_in_bulk_operations_is_suspended_again_and_again() {
    let (store, fill) = guest("fill");
    let (result, suspended) = counted(store, &fill, 30);
    assert_eq!(result, 0x0101_0101_0101_0101);
    assert!(suspended >= 5, "{suspended}");
}

#[test]
fn a_deadline_ends_a_guest_between_its_slices() {
    for name in ["spin", "fill"] {
        let (mut store, func) = guest(name);
        store.set_deadline(Some(Instant::now() + Duration::from_millis(100)));
        let error = block_on(func.call_async(&mut store, i64::MAX)).unwrap_err();
        assert_eq!(error.trap().unwrap().code, TrapCode::DeadlineExceeded);
    }
}

#[test]
fn a_synchronous_call_is_not_suspended() {
    let (mut store, spin) = guest("spin");
    assert_eq!(spin.call(&mut store, 50_000_000).unwrap(), 150_000_000);
}
