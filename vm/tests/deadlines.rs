//! Calls end at their deadline or when they are cancelled, wherever they are, and the store goes on.

mod common;
use common::{LOOP, engine, instance, module, trap_of};
use std::time::{Duration, Instant};
use wfaas_vm::{Caller, Linker, Store, TrapCode};

#[test]
fn a_deadline_holds_after_a_panic_too() {
    let engine = engine();
    let wat = r#"(module (import "host" "panic" (func $panic (result i32))) (export "panic" (func $f))
        (func $f (drop (call $panic))) (func (export "loop") (loop $l (br $l))))"#;
    let module = module(&engine, wat);
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "panic", |_: Caller<'_, ()>| -> i32 { panic!("on purpose") });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let panics = instance.get_typed_func::<(), ()>(&mut store, "panic").unwrap();
    let call = std::panic::AssertUnwindSafe(|| panics.call(&mut store, ()));
    std::panic::catch_unwind(call).unwrap_err();
    let endless = instance.get_typed_func::<(), ()>(&mut store, "loop").unwrap();
    store.set_deadline(Some(Instant::now() + Duration::from_millis(5)));
    let trap = trap_of(endless.call(&mut store, ()).unwrap_err());
    assert_eq!(trap.code, TrapCode::DeadlineExceeded);
}

#[test]
fn a_deadline_ends_an_endless_loop_soon_and_the_store_goes_on() {
    let (mut store, instance) = instance(LOOP);
    let endless = instance.get_typed_func::<(), ()>(&mut store, "loop").unwrap();
    let busy = instance.get_typed_func::<i32, i32>(&mut store, "busy").unwrap();
    for _ in 0..5 {
        let start = Instant::now();
        store.set_deadline(Some(start + Duration::from_millis(20)));
        let trap = trap_of(endless.call(&mut store, ()).unwrap_err());
        assert_eq!(trap.code, TrapCode::DeadlineExceeded);
        assert!(start.elapsed() >= Duration::from_millis(20));
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        store.set_deadline(None);
        assert_eq!(busy.call(&mut store, 1000).unwrap(), 1000);
    }
}

#[test]
fn a_deadline_ends_a_blocked_host_function() {
    let engine = engine();
    let wat = r#"(module (import "host" "block" (func $block))
        (func (export "f") (loop $l (call $block) (br $l))))"#;
    let module = module(&engine, wat);
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "block", |caller: Caller<'_, ()>| {
        while caller.interrupted().is_none() {
            // The signal ends the wait; a minute stands for ever.
            let minute = rustix::time::Timespec { tv_sec: 60, tv_nsec: 0 };
            let _ = rustix::thread::nanosleep(&minute);
        }
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    let f = instance.get_typed_func::<(), ()>(&mut store, "f").unwrap();
    let start = Instant::now();
    store.set_deadline(Some(start + Duration::from_millis(20)));
    let trap = trap_of(f.call(&mut store, ()).unwrap_err());
    assert_eq!(trap.code, TrapCode::DeadlineExceeded);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn a_call_can_be_cancelled_from_another_thread() {
    let (mut store, instance) = instance(LOOP);
    let endless = instance.get_typed_func::<(), ()>(&mut store, "loop").unwrap();
    let busy = instance.get_typed_func::<i32, i32>(&mut store, "busy").unwrap();
    let handle = store.cancel_handle();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        handle.cancel();
    });
    let trap = trap_of(endless.call(&mut store, ()).unwrap_err());
    assert_eq!(trap.code, TrapCode::Cancelled);
    canceller.join().unwrap();
    assert_eq!(busy.call(&mut store, 10).unwrap(), 10);
}

#[test]
fn a_deadline_ends_bulk_operations_too() {
    let (mut store, instance) = instance(
        r#"(module (memory 32768)
            (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x7fffffff)))
            (func (export "copy") (memory.copy (i32.const 1) (i32.const 0) (i32.const 0x7ffffff0)))
            (func (export "last") (result i32) (i32.load8_u (i32.const 0x7ffffffe))))"#,
    );
    let last = instance.get_typed_func::<(), i32>(&mut store, "last").unwrap();
    for name in ["fill", "copy"] {
        let bulk = instance.get_typed_func::<(), ()>(&mut store, name).unwrap();
        store.set_deadline(Some(Instant::now() + Duration::from_millis(5)));
        let trap = trap_of(bulk.call(&mut store, ()).unwrap_err());
        assert_eq!(trap.code, TrapCode::DeadlineExceeded);
        store.set_deadline(None);
    }
    assert_eq!(last.call(&mut store, ()).unwrap(), 0, "the fill did not get to the end");
}

/// References that cross instances are translated one by one: millions of them take seconds.
#[test]
fn copying_tables_between_instances_ends_at_the_deadline() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let other = module(&engine, r#"(module (table (export "t") 1000000 funcref))"#);
    let other = linker.instantiate(&mut store, &other).unwrap();
    linker.instance(&mut store, "other", other);
    let wat = r#"(module (import "other" "t" (table $to 1 funcref)) (table $from 1000000 funcref)
        (func $f (export "fill")
            (table.fill $from (i32.const 0) (ref.func $f) (i32.const 1000000)))
        (func (export "copy")
            (table.copy $to $from (i32.const 0) (i32.const 0) (i32.const 1000000))))"#;
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    let mut call = |name| {
        let func = instance.get_typed_func::<(), ()>(&mut store, name).unwrap();
        store.set_deadline((name == "copy").then(|| Instant::now() + Duration::from_millis(20)));
        let start = Instant::now();
        (func.call(&mut store, ()), start.elapsed())
    };
    call("fill").0.unwrap();
    let (result, took) = call("copy");
    assert_eq!(result.unwrap_err().trap().unwrap().code, TrapCode::DeadlineExceeded);
    assert!(took < Duration::from_secs(2), "{took:?}");
}
