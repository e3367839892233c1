//! Preempted calls that end in all other ways than by returning, that are nested, that run where nothing
//! can be suspended, or on a stack that is full.

mod common;
use common::futures::{Alarm, Gate, block_on, poll, poll_with};
use common::ticker::Ticker;
use common::{engine, module, trap_of};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::task::Poll;
use std::time::{Duration, Instant};
use wfaas_vm::{
    BoxError, Caller, CancelHandle, Config, Engine, Error, Instance, Linker, Store, TrapCode,
};

const GUEST: &str = r#"(module
    (import "host" "call" (func $call (param i32) (result i32)))
    (memory 1)
    (func $spin (export "spin") (param i32) (result i32) (loop $l (br $l)) unreachable)
    (func $outer (export "outer") (param i32) (result i32)
        (i32.add (call $spin (local.get 0)) (i32.const 1)))
    (func $sum (export "sum") (param $n i32) (result i32) (local $s i32)
        (loop $l
            (local.set $s (i32.add (i32.mul (local.get $s) (i32.const 31)) (local.get $n)))
            (memory.fill (i32.const 0) (local.get $s) (i32.const 10))
            (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        local.get $s)
    (func $deep (export "deep") (param $n i32) (result i32)
        (if (i32.eqz (local.get $n)) (then (return (call $last))))
        (i32.add (i32.const 1) (call $deep (i32.sub (local.get $n) (i32.const 1)))))
    (func $last (result i32) (local $i i32)
        (loop $l (br_if $l
            (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 3000000))))
        local.get $i)
    (func (export "calls") (param i32) (result i32)
        (i32.add (call $call (local.get 0)) (i32.const 1))))"#;

/// A store's data: its handle, once there is one, and what its host function does.
#[derive(Default)]
struct Host {
    handle: Option<CancelHandle>,
    gate: Gate,
    /// How often the host function has returned.
    returned: Arc<AtomicU32>,
}

fn instantiate(engine: &Engine, linker: &Linker<Host>, host: Host) -> (Store<Host>, Instance) {
    let mut store = Store::new(engine, host);
    store.data_mut().handle = Some(store.cancel_handle());
    let instance = linker.instantiate(&mut store, &module(engine, GUEST)).unwrap();
    (store, instance)
}

/// A guest with a host function that does nothing.
fn guest(engine: &Engine) -> (Store<Host>, Instance) {
    let mut linker = Linker::<Host>::new(engine);
    linker.func_wrap("host", "call", |_: Caller<'_, Host>, n: i32| n);
    instantiate(engine, &linker, Host::default())
}

/// The result of `sum`.
fn sum(n: i32) -> i32 {
    (1..=n).rev().fold(0i32, |sum, n| sum.wrapping_mul(31).wrapping_add(n))
}

#[test]
fn a_preempted_call_wakes_its_future_and_goes_on_when_it_is_polled() {
    let (mut store, instance) = guest(&engine());
    let sum_of = instance.get_typed_func::<i32, i32>(&mut store, "sum").unwrap();
    let _ticker = Ticker::start(store.cancel_handle());
    let (mut suspensions, mut rounds) = (0, 0);
    while suspensions < 200 {
        let alarm = Alarm::new();
        let mut call = pin!(sum_of.call_async(&mut store, 100_000));
        let before = suspensions;
        let result = loop {
            match poll_with(call.as_mut(), &alarm) {
                Poll::Ready(result) => break result,
                Poll::Pending => suspensions += 1,
            }
            assert_eq!(alarm.rings(), suspensions - before);
        };
        assert_eq!(result.unwrap(), sum(100_000));
        rounds += 1;
        assert!(rounds < 100_000, "nothing is preempted");
    }
}

/// With one stack for suspended calls, one that is not given back would be missed.
#[test]
fn dropped_and_cancelled_and_late_calls_give_everything_back() {
    let engine = Engine::new(Config { max_suspended: 1, ..Config::default() }).unwrap();
    let (mut store, instance) = guest(&engine);
    let outer = instance.get_typed_func::<i32, i32>(&mut store, "outer").unwrap();
    let sum_of = instance.get_typed_func::<i32, i32>(&mut store, "sum").unwrap();
    for round in 0..60 {
        let handle = store.cancel_handle();
        let ticker = Ticker::start(handle.clone());
        if round % 3 == 2 {
            store.set_deadline(Some(Instant::now() + Duration::from_millis(20)));
        }
        let mut call = Box::pin(outer.call_async(&mut store, 1));
        assert!(poll(call.as_mut()).is_pending());
        assert!(poll(call.as_mut()).is_pending());
        if round % 3 == 0 {
            drop(call);
        } else {
            if round % 3 == 1 {
                handle.cancel();
            }
            let trap = trap_of(block_on(&mut call).unwrap_err());
            let code = [TrapCode::Cancelled, TrapCode::DeadlineExceeded][round % 3 - 1];
            assert_eq!(trap.code, code);
            let names: Vec<_> = trap.frames().into_iter().map(|f| f.func_name.unwrap()).collect();
            assert!(names == ["spin", "outer"] || names == ["outer"], "{names:?}");
            drop(call);
        }
        store.set_deadline(None);
        drop(ticker);
        assert_eq!(block_on(sum_of.call_async(&mut store, 10)).unwrap(), sum(10), "round {round}");
        assert_eq!(sum_of.call(&mut store, 10).unwrap(), sum(10), "round {round}");
    }
}

#[test]
fn a_leaked_call_keeps_the_store_from_being_used() {
    let engine = Engine::new(Config { max_suspended: 1, ..Config::default() }).unwrap();
    for _ in 0..10 {
        let (mut store, instance) = guest(&engine);
        // Neither has called the host: no exit frame says that a call is under way.
        let spin = instance.get_typed_func::<i32, i32>(&mut store, "spin").unwrap();
        let ticker = Ticker::start(store.cancel_handle());
        let mut call = Box::pin(spin.call_async(&mut store, 1));
        assert!(poll(call.as_mut()).is_pending());
        drop(ticker);
        std::mem::forget(call);
        assert!(matches!(spin.call(&mut store, 1), Err(Error::Leaked)));
        assert!(matches!(block_on(spin.call_async(&mut store, 1)), Err(Error::NoStack { .. })));
    }
}

#[test]
fn a_guest_at_the_end_of_its_stack_is_preempted() {
    let engine = Engine::new(Config { stack_bytes: 16 << 10, ..Config::default() }).unwrap();
    let (mut store, instance) = guest(&engine);
    let deep = instance.get_typed_func::<i32, i32>(&mut store, "deep").unwrap();
    let overflows = |store: &mut Store<Host>, depth| match deep.call(store, depth) {
        Ok(result) => {
            assert_eq!(result, 3_000_000 + depth);
            false
        }
        Err(error) => trap_of(error).code == TrapCode::StackOverflow,
    };
    let (mut fits, mut deepest) = (0, 1 << 20);
    while deepest - fits > 1 {
        let depth = fits + (deepest - fits) / 2;
        *if overflows(&mut store, depth) { &mut deepest } else { &mut fits } = depth;
    }
    let _ticker = Ticker::start(store.cancel_handle());
    let mut suspensions = 0;
    for _ in 0..100_000 {
        let mut call = Box::pin(deep.call_async(&mut store, fits));
        let result = loop {
            match poll(call.as_mut()) {
                Poll::Ready(result) => break result,
                Poll::Pending => suspensions += 1,
            }
        };
        assert_eq!(result.unwrap(), 3_000_000 + fits);
        drop(call);
        let overflow = block_on(deep.call_async(&mut store, deepest)).unwrap_err();
        assert_eq!(trap_of(overflow).code, TrapCode::StackOverflow);
        if suspensions >= 100 {
            return;
        }
    }
    panic!("nothing is preempted");
}

fn call_export(caller: &mut Caller<'_, Host>, name: &str, n: i32) -> Result<i32, Error> {
    let func = caller.get_export(name).and_then(|export| export.into_func()).unwrap();
    func.typed::<i32, i32>(caller)?.call(caller, n)
}

/// The end of a slice waits inside of a synchronous entry, until the host function around has returned.
#[test]
fn nothing_is_suspended_while_a_synchronous_host_function_calls_back() {
    let engine = engine();
    let mut linker = Linker::<Host>::new(&engine);
    linker.func_wrap("host", "call", |mut caller: Caller<'_, Host>, n: i32| {
        caller.data().handle.as_ref().unwrap().end_slice();
        let result = call_export(&mut caller, "sum", n)?;
        caller.data().handle.as_ref().unwrap().end_slice();
        caller.data().returned.fetch_add(1, SeqCst);
        Ok::<i32, BoxError>(result)
    });
    let (mut store, instance) = instantiate(&engine, &linker, Host::default());
    let returned = store.data().returned.clone();
    let calls = instance.get_typed_func::<i32, i32>(&mut store, "calls").unwrap();
    for round in 1..=20 {
        let mut call = pin!(calls.call_async(&mut store, 1000));
        assert!(poll(call.as_mut()).is_pending());
        assert_eq!(returned.load(SeqCst), round, "not before the host function has returned");
        let Poll::Ready(result) = poll(call.as_mut()) else { panic!("once is enough") };
        assert_eq!(result.unwrap(), sum(1000) + 1);
    }
    // And a call that cannot be suspended at all.
    assert_eq!(calls.call(&mut store, 1000).unwrap(), sum(1000) + 1);
}

/// The trap of the inner call, as its host function passed it on; or of the outer one.
fn inner_trap(error: &Error) -> &wfaas_vm::Trap {
    match error {
        Error::Trap(trap) => trap,
        Error::Host(host) => inner_trap(host.source.downcast_ref().expect("an inner call's")),
        other => panic!("{other}"),
    }
}

#[test]
fn an_inner_call_of_a_waiting_host_function_is_preempted() {
    let engine = engine();
    let mut linker = Linker::<Host>::new(&engine);
    linker.func_wrap_async("host", "call", |mut caller: Caller<'_, Host>, n: i32| {
        Box::new(async move {
            if n > 1 {
                caller.data().gate.clone().wait().await;
            }
            let name = if n & 1 == 0 { "sum" } else { "outer" };
            let func = caller.get_export(name).and_then(|export| export.into_func()).unwrap();
            let func = func.typed::<i32, i32>(&mut caller)?;
            Ok::<i32, BoxError>(func.call_async(&mut caller, 100_000).await?)
        })
    });
    let (mut store, instance) = instantiate(&engine, &linker, Host::default());
    let gate = store.data().gate.clone();
    let calls = instance.get_typed_func::<i32, i32>(&mut store, "calls").unwrap();
    let ticker = Ticker::start(store.cancel_handle());
    for n in [0, 2, 0, 2] {
        let mut suspensions = 0;
        while suspensions < 20 {
            gate.open(0);
            let mut call = pin!(calls.call_async(&mut store, n));
            let result = loop {
                match poll(call.as_mut()) {
                    Poll::Ready(result) => break result,
                    Poll::Pending => suspensions += 1,
                }
            };
            assert_eq!(result.unwrap(), sum(100_000) + 1);
        }
    }
    // One that does not end is given up, by its deadline and by being dropped.
    for n in [1, 3] {
        gate.open(0);
        store.set_deadline(Some(Instant::now() + Duration::from_millis(50)));
        let error = block_on(calls.call_async(&mut store, n)).unwrap_err();
        let trap = inner_trap(&error);
        assert_eq!(trap.code, TrapCode::DeadlineExceeded);
        let names: Vec<_> = trap.frames().into_iter().map(|f| f.func_name.unwrap()).collect();
        assert_eq!(names.last().unwrap(), "calls");
        assert!(names.len() > 1, "{names:?}");
        store.set_deadline(None);
        gate.open(0);
        let mut call = Box::pin(calls.call_async(&mut store, n));
        (0..3).for_each(|_| assert!(poll(call.as_mut()).is_pending()));
        drop(call);
    }
    drop(ticker);
    gate.open(0);
    assert_eq!(block_on(calls.call_async(&mut store, 0)).unwrap(), sum(100_000) + 1);
}

/// There is no stack for one more suspended call, so it goes on.
#[test]
fn a_call_is_not_ended_because_others_are_suspended() {
    let engine = Engine::new(Config { max_suspended: 1, ..Config::default() }).unwrap();
    let ready = Arc::new(AtomicBool::new(false));
    let mut linker = Linker::<Host>::new(&engine);
    let taken = ready.clone();
    linker.func_wrap("host", "call", move |caller: Caller<'_, Host>, n: i32| {
        while !taken.load(SeqCst) {
            std::thread::yield_now();
        }
        caller.data().handle.as_ref().unwrap().end_slice();
        n
    });
    let (mut other, instance) = instantiate(&engine, &linker, Host::default());
    let spin = instance.get_typed_func::<i32, i32>(&mut other, "spin").unwrap();
    let (mut store, instance) = instantiate(&engine, &linker, Host::default());
    let calls = instance.get_typed_func::<i32, i32>(&mut store, "calls").unwrap();
    std::thread::scope(|scope| {
        let both = Arc::new(std::sync::Barrier::new(2));
        let begun = both.clone();
        let goes_on = scope.spawn(move || {
            let mut call = pin!(calls.call_async(&mut store, 5));
            begun.wait();
            poll(call.as_mut()).map(Result::unwrap)
        });
        both.wait();
        std::thread::sleep(Duration::from_millis(100)); // until the call above has begun
        let ticker = Ticker::start(other.cancel_handle());
        let mut call = pin!(spin.call_async(&mut other, 1));
        assert!(poll(call.as_mut()).is_pending());
        drop(ticker);
        ready.store(true, SeqCst);
        assert_eq!(goes_on.join().unwrap(), Poll::Ready(6));
    });
}
