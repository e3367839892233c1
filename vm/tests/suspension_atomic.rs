//! `memory.atomic.wait*` in calls that can be suspended: they hold no thread.

mod common;
use common::futures::{Alarm, block_on, poll, poll_with};
use common::{engine, module, trap_of};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use wfaas_vm::{
    Engine, Extern, Instance, Limits, Linker, MemoryType, Module, SharedMemory, Store, TrapCode,
};

const GUEST: &str = r#"(module
    (import "env" "memory" (memory 1 1 shared))
    (func (export "wait") (param i32 i64) (result i32)
        (memory.atomic.wait32 offset=16 (i32.const 0) (local.get 0) (local.get 1)))
    (func (export "wait64") (param i64 i64) (result i32)
        (memory.atomic.wait64 (i32.const 16) (local.get 0) (local.get 1)))
    (func (export "unaligned") (param i32 i64) (result i32)
        (memory.atomic.wait32 (i32.const 17) (local.get 0) (local.get 1))))"#;

fn memory(engine: &Engine) -> SharedMemory {
    let limits = Limits { minimum: 1, maximum: Some(1) };
    SharedMemory::new(engine, MemoryType { limits, index64: false, shared: true }).unwrap()
}

fn guest(engine: &Engine, guest: &Module, memory: &SharedMemory) -> (Store<()>, Instance) {
    let mut linker = Linker::new(engine);
    linker.define("env", "memory", Extern::SharedMemory(memory.clone()));
    let mut store = Store::new(engine, ());
    let instance = linker.instantiate(&mut store, guest).unwrap();
    (store, instance)
}

#[test]
fn guests_on_one_thread_wait_for_each_other() {
    let engine = engine();
    let (module, memory) = (module(&engine, GUEST), memory(&engine));
    let mut guests: Vec<_> = (0..10).map(|_| guest(&engine, &module, &memory)).collect();
    let mut calls = Vec::new();
    for (store, instance) in &mut guests {
        let wait = instance.get_typed_func::<(i64, i64), i32>(&mut *store, "wait64").unwrap();
        calls.push(Box::pin(wait.call_async(store, (0, -1))));
    }
    let alarm = Alarm::new();
    assert!(calls.iter_mut().all(|call| poll_with(call.as_mut(), &alarm).is_pending()));
    assert_eq!((alarm.rings(), memory.notify(8, 1), memory.notify(16, 3)), (0, 0, 3));
    assert_eq!(alarm.rings(), 3);
    let ready = |call: &mut _| matches!(poll(std::pin::Pin::as_mut(call)), Poll::Ready(Ok(0)));
    let woken: Vec<bool> = calls.iter_mut().map(ready).collect();
    assert_eq!(woken.iter().filter(|woken| **woken).count(), 3, "first come, first served");
    assert!(woken[..3].iter().all(|woken| *woken));
    calls.drain(..3);
    calls.pop();
    assert_eq!(memory.notify(16, u32::MAX), 6, "a call that was dropped waits no more");
    for call in calls {
        assert_eq!(block_on(call).unwrap(), 0);
    }
}

#[test]
fn a_wait_ends_at_its_time_or_at_once_if_the_value_is_another() {
    let engine = engine();
    let memory = memory(&engine);
    let (mut store, instance) = guest(&engine, &module(&engine, GUEST), &memory);
    let wait = instance.get_typed_func::<(i32, i64), i32>(&mut store, "wait").unwrap();
    assert!(matches!(poll(pin!(wait.call_async(&mut store, (1, -1)))), Poll::Ready(Ok(1))));
    assert!(matches!(poll(pin!(wait.call_async(&mut store, (0, 0)))), Poll::Ready(Ok(2))));
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(block_on(wait.call_async(&mut store, (0, 5_000_000))).unwrap(), 2);
        assert!(start.elapsed() >= Duration::from_millis(5));
        assert_eq!(memory.notify(16, 1), 0, "nobody is left there");
    }
    // A notification long before the time leaves nothing behind that wakes later.
    let hour = 3_600_000_000_000;
    let mut call = Box::pin(wait.call_async(&mut store, (0, hour)));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(memory.notify(16, 1), 1);
    assert_eq!(block_on(call).unwrap(), 0);
    let unaligned = instance.get_typed_func::<(i32, i64), i32>(&mut store, "unaligned").unwrap();
    let error = block_on(unaligned.call_async(&mut store, (0, -1))).unwrap_err();
    assert_eq!(trap_of(error).code, TrapCode::UnalignedAtomic);
}

#[test]
fn a_deadline_ends_a_suspended_wait() {
    let engine = engine();
    let memory = memory(&engine);
    let (mut store, instance) = guest(&engine, &module(&engine, GUEST), &memory);
    let wait = instance.get_typed_func::<(i32, i64), i32>(&mut store, "wait").unwrap();
    store.set_deadline(Some(Instant::now() + Duration::from_millis(5)));
    let trap = trap_of(block_on(wait.call_async(&mut store, (0, -1))).unwrap_err());
    assert_eq!((trap.code, trap.frames().len()), (TrapCode::DeadlineExceeded, 1));
    assert_eq!(memory.notify(16, 1), 0, "nobody is left there");
}

#[test]
fn threads_and_suspended_calls_wait_in_one_queue() {
    let engine = engine();
    let (module, memory) = (module(&engine, GUEST), memory(&engine));
    let (mut first, mut second) =
        (guest(&engine, &module, &memory), guest(&engine, &module, &memory));
    let wait = first.1.get_typed_func::<(i32, i64), i32>(&mut first.0, "wait").unwrap();
    let mut call = Box::pin(wait.call_async(&mut first.0, (0, -1)));
    assert!(poll(call.as_mut()).is_pending());
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            let wait = second.1.get_typed_func::<(i32, i64), i32>(&mut second.0, "wait").unwrap();
            wait.call(&mut second.0, (0, -1)).unwrap()
        });
        let mut woken = 0;
        while woken < 2 {
            woken += memory.notify(16, u32::MAX);
            std::thread::yield_now();
        }
        assert_eq!(sleeper.join().unwrap(), 0);
    });
    assert_eq!(block_on(call).unwrap(), 0);
}
