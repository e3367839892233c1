//! Threads, stores and suspended calls come and go while the watchdog looks at them, and each call ends
//! at its deadline.

mod common;
use common::{LOOP, engine, instance, module, trap_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use wfaas_vm::{Caller, Engine, Linker, Module, Store, TrapCode, TypedFunc};

/// More than any call of these tests takes.
const LONG: Duration = Duration::from_secs(3600);

fn after(time: Duration) -> Option<Instant> {
    Some(Instant::now() + time)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A store with an instance of a module, and its functions `loop` and `busy`.
struct Guest {
    store: Store<()>,
    endless: TypedFunc<(), ()>,
    busy: TypedFunc<i32, i32>,
}

impl Guest {
    fn new(engine: &Engine, module: &Module) -> Guest {
        let mut store = Store::new(engine, ());
        let instance = Linker::new(engine).instantiate(&mut store, module).unwrap();
        let endless = instance.get_typed_func(&mut store, "loop").unwrap();
        let busy = instance.get_typed_func(&mut store, "busy").unwrap();
        Guest { store, endless, busy }
    }

    /// Ends an endless call by a deadline.
    fn end(&mut self, time: Duration) {
        self.store.set_deadline(after(time));
        let trap = trap_of(self.endless.call(&mut self.store, ()).unwrap_err());
        assert_eq!(trap.code, TrapCode::DeadlineExceeded);
    }

    /// Makes a call that returns long before its deadline.
    fn return_in_time(&mut self) {
        self.store.set_deadline(after(LONG));
        assert_eq!(self.busy.call(&mut self.store, 100).unwrap(), 100);
    }
}

#[test]
fn thousands_of_threads_come_and_go() {
    let engine = engine();
    let module = module(&engine, LOOP);
    for _ in 0..250 {
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (engine, module) = (&engine, &module);
                scope.spawn(move || {
                    let mut guest = Guest::new(engine, module);
                    guest.return_in_time();
                    if thread == 0 {
                        guest.end(millis(1));
                    }
                });
            }
        });
    }
}

#[test]
fn stores_are_dropped_while_the_watchdog_looks_and_calls_end_beside_them() {
    let engine = engine();
    let module = module(&engine, LOOP);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    let mut guest = Guest::new(&engine, &module);
                    guest.return_in_time();
                    guest.store.cancel_handle().cancel();
                }
            });
        }
        let mut guest = Guest::new(&engine, &module);
        for _ in 0..100 {
            guest.end(millis(2));
            guest.return_in_time();
        }
        stop.store(true, SeqCst);
    });
}

#[test]
fn the_watchdog_wakes_up_for_calls_and_for_suspended_ones() {
    let (engine, pending) = (engine(), Pending::default());
    let module = module(&engine, LOOP);
    let mut guest = Guest::new(&engine, &module);
    guest.end(millis(5));
    // It goes on looking for a second.
    std::thread::sleep(millis(1500));
    guest.end(millis(5));
    std::thread::sleep(millis(1500));
    pending.suspend(&engine, millis(5), 1);
    std::thread::sleep(millis(1500));
    guest.store.set_deadline(None);
    let handle = guest.store.cancel_handle();
    let canceller = std::thread::spawn(move || handle.cancel());
    let trap = trap_of(guest.endless.call(&mut guest.store, ()).unwrap_err());
    assert_eq!(trap.code, TrapCode::Cancelled);
    canceller.join().unwrap();
}

/// A call that is nested in another store's call ends at its own deadline or at that of the call around
/// it, and then the deadline of the call around it counts as before.
#[test]
fn deadlines_of_nested_calls_of_other_stores_count() {
    let engine = engine();
    let inner = module(&engine, LOOP);
    let wat = r#"(module (import "host" "inner" (func $inner (param i32) (result i32)))
        (func (export "loop") (loop $l (br $l)))
        (func (export "f") (param i32) (result i32)
            (local.set 0 (call $inner (local.get 0)))
            (loop $l (br $l)) unreachable))"#;
    let outer = module(&engine, wat);
    let ended = Arc::new(AtomicU32::new(0));
    let mut linker = Linker::<()>::new(&engine);
    let (inner_engine, counter) = (engine.clone(), ended.clone());
    linker.func_wrap("host", "inner", move |_: Caller<'_, ()>, time: i32| {
        let mut guest = Guest::new(&inner_engine, &inner);
        guest.store.set_deadline((time > 0).then(|| Instant::now() + millis(time as u64)));
        let trap = trap_of(guest.endless.call(&mut guest.store, ()).unwrap_err());
        assert_eq!(trap.code, TrapCode::DeadlineExceeded);
        counter.fetch_add(1, SeqCst);
        time
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &outer).unwrap();
    let f = instance.get_typed_func::<i32, i32>(&mut store, "f").unwrap();
    for (count, inner) in (1..).zip([5, 0, 3_600_000]) {
        let start = Instant::now();
        store.set_deadline(Some(start + millis(40)));
        let trap = trap_of(f.call(&mut store, inner).unwrap_err());
        assert_eq!(trap.code, TrapCode::DeadlineExceeded);
        assert!(start.elapsed() >= millis(40));
        assert_eq!(ended.load(SeqCst), count);
    }
}

/// Suspends calls of a host function that is never ready.
#[derive(Default)]
struct Pending {
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Pending {
    /// Suspends `count` calls for ever, and waits until they have all ended by their deadline.
    fn suspend(&self, engine: &Engine, time: Duration, count: u32) {
        let wat =
            r#"(module (import "host" "wait" (func $wait)) (func (export "f") (call $wait)))"#;
        let module = module(engine, wat);
        let mut linker = Linker::<()>::new(engine);
        linker.func_wrap_async("host", "wait", |_: Caller<'_, ()>, (): ()| {
            Box::new(std::future::pending::<()>())
        });
        let mut stores: Vec<_> = (0..count).map(|_| Store::new(engine, ())).collect();
        let waker = Waker::from(self.woken.clone());
        let mut context = Context::from_waker(&waker);
        let mut calls = Vec::new();
        let start = Instant::now();
        for store in &mut stores {
            let instance = linker.instantiate(store, &module).unwrap();
            let f = instance.get_typed_func::<(), ()>(store, "f").unwrap();
            store.set_deadline(Some(start + time));
            let mut call = Box::pin(f.call_async(store, ()));
            assert!(call.as_mut().poll(&mut context).is_pending());
            calls.push(call);
        }
        while self.woken.0.load(SeqCst) < count {
            assert!(start.elapsed() < Duration::from_secs(60), "they are all woken");
            std::thread::sleep(millis(1));
        }
        assert!(start.elapsed() >= time);
        for mut call in calls {
            let Poll::Ready(ended) = call.as_mut().poll(&mut context) else { panic!("not ended") };
            assert_eq!(trap_of(ended.unwrap_err()).code, TrapCode::DeadlineExceeded);
        }
    }
}

#[test]
fn suspended_calls_are_woken_at_their_deadlines_while_others_sleep() {
    let engine = engine();
    let far = Pending::default();
    std::thread::scope(|scope| {
        scope.spawn(|| far.suspend(&engine, millis(3000), 500));
        for _ in 0..10 {
            Pending::default().suspend(&engine, millis(100), 20);
        }
        assert_eq!(far.woken.0.load(SeqCst), 0, "nobody woke them in vain");
    });
}

#[test]
fn a_time_slice_ends_no_call() {
    let (mut store, instance) = instance(LOOP);
    let busy = instance.get_typed_func::<i32, i32>(&mut store, "busy").unwrap();
    store.set_time_slice(Some(millis(1)));
    assert_eq!(busy.call(&mut store, 30_000_000).unwrap(), 30_000_000, "nor suspends a sync one");
}
