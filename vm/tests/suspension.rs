//! Calls that are suspended while a host function waits, and go on on any thread.

mod common;
use common::futures::{Alarm, Gate, block_on, poll, poll_with, yield_now};
use common::{LOOP, engine, module, trap_of};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::{Duration, Instant};
use wfaas_vm::{
    BoxError, Caller, Config, Engine, Error, Extern, ExternRef, FuncType, Instance, Linker, Store,
    TrapCode, Val, ValType,
};

/// `run(n)` calls `wait` n times, and adds what it gets; with numbers in many registers meanwhile.
const GUEST: &str = r#"(module
    (import "host" "wait" (func $wait (param i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "once") (param i32) (result i32) (call $wait (local.get 0)))
    (func (export "run") (param $n i32) (result i64)
        (local $a i64) (local $b i64) (local $c i64) (local $d i64) (local $e i64) (local $f f64)
        (local.set $f (f64.const 0.5))
        (loop $again
            (local.set $a (i64.add (local.get $a)
                (i64.extend_i32_s (call $wait (local.get $n)))))
            (local.set $b (i64.add (local.get $b) (local.get $a)))
            (local.set $c (i64.xor (local.get $c) (i64.mul (local.get $b) (i64.const 3))))
            (local.set $d (i64.add (local.get $d) (local.get $c)))
            (local.set $e (i64.rotl (i64.add (local.get $e) (local.get $d)) (i64.const 7)))
            (local.set $f (f64.add (local.get $f) (f64.convert_i64_s (local.get $a))))
            (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (i64.add (i64.add (local.get $e) (local.get $d)) (i64.trunc_sat_f64_s (local.get $f))))
    (func $deep (export "deep") (param i32 i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1)
                (call $deep (i32.sub (local.get 0) (i32.const 1)) (local.get 1))))
            (else (call $wait (local.get 1)))))
    (func (export "wait_then_deep") (param i32) (result i32)
        (drop (call $wait (i32.const 1)))
        (call $deep (local.get 0) (i32.const 5))))"#;

/// The number that `run` computes from the answers of `wait`.
fn expected(n: i32, wait: impl Fn(i32) -> i32) -> i64 {
    let (mut a, mut b, mut c, mut d, mut e, mut f) = (0i64, 0i64, 0i64, 0i64, 0i64, 0.5f64);
    for n in (1..=n).rev() {
        a += i64::from(wait(n));
        b = b.wrapping_add(a);
        c ^= b.wrapping_mul(3);
        d = d.wrapping_add(c);
        e = e.wrapping_add(d).rotate_left(7);
        f += a as f64;
    }
    e.wrapping_add(d).wrapping_add(f as i64)
}

/// A store with the guest. Its host function waits for the gate, and adds what comes through.
fn guest(engine: &Engine, gate: &Gate) -> (Store<u32>, Instance) {
    let mut linker = Linker::<u32>::new(engine);
    let gate = gate.clone();
    linker.func_wrap_async("host", "wait", move |mut caller: Caller<'_, u32>, n: i32| {
        let gate = gate.clone();
        Box::new(async move {
            let value = gate.wait().await;
            *caller.data_mut() += 1;
            n + value
        })
    });
    let mut store = Store::new(engine, 0);
    let instance = linker.instantiate(&mut store, &module(engine, GUEST)).unwrap();
    (store, instance)
}

#[test]
fn a_call_without_waits_is_ready_at_once() {
    let gate = Gate::default();
    let (mut store, instance) = guest(&engine(), &gate);
    let run = instance.get_typed_func::<i32, i64>(&mut store, "run").unwrap();
    for n in 1..20 {
        (0..n).for_each(|value| gate.open(value));
        let result = poll(pin!(run.call_async(&mut store, n)));
        let Poll::Ready(result) = result else { panic!("it waits") };
        assert_eq!(result.unwrap(), expected(n, |left| left + n - left));
    }
}

#[test]
fn a_call_is_suspended_until_the_host_function_is_ready() {
    let gate = Gate::default();
    let (mut store, instance) = guest(&engine(), &gate);
    let run = instance.get_typed_func::<i32, i64>(&mut store, "run").unwrap();
    let alarm = Alarm::new();
    {
        let mut call = pin!(run.call_async(&mut store, 100));
        for round in 0..100 {
            assert!(poll_with(call.as_mut(), &alarm).is_pending());
            assert_eq!(alarm.rings(), round);
            gate.open(7);
            assert_eq!(alarm.rings(), round + 1, "the gate woke it");
        }
        let Poll::Ready(result) = poll(call.as_mut()) else { panic!("it waits for nothing") };
        assert_eq!(result.unwrap(), expected(100, |n| n + 7));
    }
    assert_eq!(*store.data(), 100);
}

#[test]
fn a_suspended_call_goes_on_on_other_threads_that_come_and_go() {
    let engine = engine();
    let gate = Gate::default();
    let (mut store, instance) = guest(&engine, &gate);
    let run = instance.get_typed_func::<i32, i64>(&mut store, "run").unwrap();
    let mut call = Box::pin(run.call_async(&mut store, 300));
    for _ in 0..300 {
        let elsewhere = || assert!(poll(call.as_mut()).is_pending());
        std::thread::scope(|scope| scope.spawn(elsewhere).join().unwrap());
        gate.open(3);
    }
    let Poll::Ready(result) = poll(call.as_mut()) else { panic!("it waits for nothing") };
    assert_eq!(result.unwrap(), expected(300, |n| n + 3));
}

#[test]
fn many_suspended_calls_take_turns_on_a_thread() {
    let engine = engine();
    let gates: Vec<Gate> = (0..50).map(|_| Gate::default()).collect();
    let mut guests: Vec<_> = gates.iter().map(|gate| guest(&engine, gate)).collect();
    let mut calls = Vec::new();
    for (store, instance) in &mut guests {
        let run = instance.get_typed_func::<i32, i64>(&mut *store, "run").unwrap();
        calls.push(Box::pin(run.call_async(store, 20)));
    }
    for round in 0..20 {
        for (index, call) in calls.iter_mut().enumerate() {
            assert!(poll(call.as_mut()).is_pending());
            gates[index].open(index as i32 + round);
        }
    }
    for (index, call) in calls.iter_mut().enumerate() {
        let Poll::Ready(result) = poll(call.as_mut()) else { panic!("it waits for nothing") };
        let expected = expected(20, |n| n + index as i32 + 20 - n);
        assert_eq!(result.unwrap(), expected, "call {index}");
    }
}

#[test]
fn a_synchronous_call_that_reaches_an_async_function_is_an_error() {
    let gate = Gate::default();
    let (mut store, instance) = guest(&engine(), &gate);
    let once = instance.get_typed_func::<i32, i32>(&mut store, "once").unwrap();
    let error = once.call(&mut store, 1).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Error::NeedsAsync)), "{error}");
    assert!(error.to_string().contains("inside of a synchronous call"), "{error}");
    gate.open(1);
    assert_eq!(block_on(once.call_async(&mut store, 1)).unwrap(), 2, "the store goes on");
}

#[test]
fn dropping_the_future_ends_the_call_at_every_suspension_point() {
    let engine = Engine::new(Config { max_suspended: 1, ..Config::default() }).unwrap();
    let gate = Gate::default();
    let (mut store, instance) = guest(&engine, &gate);
    let run = instance.get_typed_func::<i32, i64>(&mut store, "run").unwrap();
    for rounds in 0..10 {
        let before = gate.dropped();
        let mut call = Box::pin(run.call_async(&mut store, 10));
        assert!(poll(call.as_mut()).is_pending());
        for _ in 0..rounds {
            gate.open(1);
            let last = poll(call.as_mut());
            assert!(last.is_pending());
        }
        drop(call);
        assert_eq!(gate.dropped() - before, rounds + 1, "each host future, once");
    }
    let call = run.call_async(&mut store, 10);
    drop(call); // never begun
    (0..10).for_each(|_| gate.open(1));
    let result = block_on(run.call_async(&mut store, 10)).unwrap();
    assert_eq!(result, expected(10, |n| n + 1));
}

#[test]
fn there_are_as_many_suspended_calls_as_the_engine_allows() {
    let engine = Engine::new(Config { max_suspended: 2, ..Config::default() }).unwrap();
    let gate = Gate::default();
    let mut guests: Vec<_> = (0..3).map(|_| guest(&engine, &gate)).collect();
    let [one, two, three] = &mut guests[..] else { panic!("three guests") };
    let once = |(store, instance): &mut (Store<u32>, Instance)| {
        instance.get_typed_func::<i32, i32>(store, "once").unwrap()
    };
    let (first, second, third) = (once(one), once(two), once(three));
    let mut first = Box::pin(first.call_async(&mut one.0, 1));
    let mut second = Box::pin(second.call_async(&mut two.0, 2));
    assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
    let error = block_on(third.call_async(&mut three.0, 3)).unwrap_err();
    assert!(matches!(error, Error::NoStack { max: 2 }), "{error}");
    drop(second);
    gate.open(5);
    assert_eq!(block_on(third.call_async(&mut three.0, 3)).unwrap(), 8);
    gate.open(6);
    assert_eq!(block_on(first).unwrap(), 7);
}

#[test]
fn a_leaked_call_makes_the_store_unusable_and_dropping_it_frees_the_stack() {
    let engine = Engine::new(Config { max_suspended: 1, ..Config::default() }).unwrap();
    let gate = Gate::default();
    let (mut store, instance) = guest(&engine, &gate);
    let once = instance.get_typed_func::<i32, i32>(&mut store, "once").unwrap();
    let mut call = Box::pin(once.call_async(&mut store, 1));
    assert!(poll(call.as_mut()).is_pending());
    std::mem::forget(call);
    gate.open(1);
    assert!(matches!(once.call(&mut store, 1), Err(Error::Leaked)));
    let again = block_on(once.call_async(&mut store, 1));
    assert!(matches!(again, Err(Error::NoStack { .. } | Error::Leaked)), "{again:?}");
    assert_eq!(store.into_data(), 0);
    let (mut store, instance) = guest(&engine, &gate);
    let once = instance.get_typed_func::<i32, i32>(&mut store, "once").unwrap();
    assert_eq!(block_on(once.call_async(&mut store, 1)).unwrap(), 2, "there is a stack again");
}

#[test]
fn a_deadline_ends_a_suspended_call_and_wakes_its_future() {
    let gate = Gate::default();
    let (mut store, instance) = guest(&engine(), &gate);
    let deep = instance.get_typed_func::<(i32, i32), i32>(&mut store, "deep").unwrap();
    for _ in 0..3 {
        let start = Instant::now();
        store.set_deadline(Some(start + Duration::from_millis(10)));
        let error = block_on(deep.call_async(&mut store, (5, 1))).unwrap_err();
        assert!(start.elapsed() >= Duration::from_millis(10));
        let trap = trap_of(error);
        assert_eq!(trap.code, TrapCode::DeadlineExceeded);
        assert_eq!(trap.frames().len(), 6);
        assert_eq!(trap.frames()[0].func_name.as_deref(), Some("deep"));
        store.set_deadline(None);
        gate.open(1);
        assert_eq!(block_on(deep.call_async(&mut store, (5, 1))).unwrap(), 7);
    }
    assert_eq!(gate.dropped(), 6);
}

#[test]
fn a_suspended_call_can_be_cancelled() {
    let gate = Gate::default();
    let (mut store, instance) = guest(&engine(), &gate);
    let once = instance.get_typed_func::<i32, i32>(&mut store, "once").unwrap();
    let handle = store.cancel_handle();
    let mut call = Box::pin(once.call_async(&mut store, 1));
    assert!(poll(call.as_mut()).is_pending());
    std::thread::spawn(move || handle.cancel());
    assert_eq!(trap_of(block_on(call).unwrap_err()).code, TrapCode::Cancelled);
    gate.open(1);
    assert_eq!(block_on(once.call_async(&mut store, 1)).unwrap(), 2);
}

#[test]
fn a_deadline_ends_a_guest_that_loops_after_it_was_resumed_elsewhere() {
    let engine = engine();
    let wat = r#"(module (import "host" "wait" (func $wait))
        (func (export "loop") (call $wait) (loop $l (br $l))))"#;
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap_async("host", "wait", |_: Caller<'_, ()>, (): ()| Box::new(yield_now()));
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    let endless = instance.get_typed_func::<(), ()>(&mut store, "loop").unwrap();
    for _ in 0..3 {
        store.set_deadline(Some(Instant::now() + Duration::from_millis(10)));
        let mut call = Box::pin(endless.call_async(&mut store, ()));
        assert!(poll(call.as_mut()).is_pending());
        let error = std::thread::scope(|scope| {
            let elsewhere = scope.spawn(move || block_on(call).unwrap_err());
            elsewhere.join().unwrap()
        });
        assert_eq!(trap_of(error).code, TrapCode::DeadlineExceeded);
    }
}

#[test]
fn a_guest_that_was_resumed_may_overflow_its_stack() {
    let gate = Gate::default();
    let (mut store, instance) = guest(&engine(), &gate);
    let deep = instance.get_typed_func::<i32, i32>(&mut store, "wait_then_deep").unwrap();
    for _ in 0..3 {
        let mut call = Box::pin(deep.call_async(&mut store, i32::MAX));
        assert!(poll(call.as_mut()).is_pending());
        gate.open(1);
        let error = std::thread::scope(|scope| {
            scope.spawn(move || block_on(call).unwrap_err()).join().unwrap()
        });
        assert_eq!(trap_of(error).code, TrapCode::StackOverflow);
        gate.open(1);
        gate.open(1);
        assert_eq!(block_on(deep.call_async(&mut store, 100)).unwrap(), 106);
    }
}

#[test]
fn a_waiting_host_function_may_return_an_error_or_panic() {
    let engine = engine();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap_async("host", "wait", |_: Caller<'_, ()>, n: i32| {
        Box::new(async move {
            if n & 1 == 1 {
                yield_now().await;
            }
            match n {
                2 | 3 => Err::<i32, BoxError>("refused".into()),
                4 | 5 => panic!("on purpose"),
                n => Ok(n),
            }
        })
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, GUEST)).unwrap();
    let once = instance.get_typed_func::<i32, i32>(&mut store, "once").unwrap();
    for waits in 0..2 {
        assert_eq!(block_on(once.call_async(&mut store, waits)).unwrap(), waits);
        match block_on(once.call_async(&mut store, 2 + waits)) {
            Err(Error::Host(error)) => {
                assert_eq!(error.source.to_string(), "refused");
                assert_eq!(error.frames()[0].func_name.as_deref(), Some("once"));
            }
            other => panic!("{other:?}"),
        }
        let call = || block_on(once.call_async(&mut store, 4 + waits));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"on purpose"));
    }
    assert_eq!(block_on(once.call_async(&mut store, 7)).unwrap(), 7);
}

/// Types at run time, more values than there are registers, vectors and references.
#[test]
fn values_of_all_types_go_through_a_wait() {
    let engine = engine();
    let wat = r#"(module
        (import "host" "many" (func $many
            (param i32 i64 f32 f64 v128 externref) (result externref v128 f64 f32 i64 i32)))
        (func (export "run")
            (param i32 i64 f32 f64 v128 externref) (result externref v128 f64 f32 i64 i32)
            (call $many (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4)
                (local.get 5))))"#;
    let params = [ValType::I32, ValType::I64, ValType::F32, ValType::F64, ValType::V128];
    let params: Vec<ValType> = params.into_iter().chain([ValType::EXTERNREF]).collect();
    let ty = FuncType::new(params.clone(), params.iter().rev().copied().collect::<Vec<_>>());
    let mut linker = Linker::<()>::new(&engine);
    linker.func_new_async("host", "many", ty, |_: Caller<'_, ()>, mut values: Vec<Val>| {
        Box::new(async move {
            yield_now().await;
            values.reverse();
            Ok(values)
        })
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    let run = instance.get_func(&mut store, "run").unwrap();
    let reference = Val::ExternRef(Some(ExternRef::new(77u8)));
    let args = [
        Val::I32(-1),
        Val::I64(1 << 40),
        Val::F32(1.5f32.to_bits()),
        Val::F64(2.5f64.to_bits()),
        Val::V128(3 << 100 | 4),
        reference,
    ];
    let results = block_on(run.call_async(&mut store, &args)).unwrap();
    let [
        Val::ExternRef(Some(object)),
        Val::V128(v),
        Val::F64(d),
        Val::F32(s),
        Val::I64(l),
        Val::I32(-1),
    ] = &results[..]
    else {
        panic!("{results:?}")
    };
    assert_eq!(object.downcast_ref(), Some(&77u8));
    assert_eq!((*v, f64::from_bits(*d), f32::from_bits(*s), *l), (3 << 100 | 4, 2.5, 1.5, 1 << 40));
    let error = block_on(run.call_async(&mut store, &[Val::I32(1)])).unwrap_err();
    assert!(matches!(error, Error::TypeMismatch { .. }), "{error}");
}

#[test]
fn the_host_can_await_an_async_function_without_a_guest() {
    let engine = engine();
    let gate = Gate::default();
    let mut linker = Linker::<u32>::new(&engine);
    let waits = gate.clone();
    linker.func_wrap_async("host", "wait", move |mut caller: Caller<'_, u32>, n: i32| {
        let gate = waits.clone();
        Box::new(async move {
            *caller.data_mut() += 1;
            gate.wait().await + n
        })
    });
    let wat = r#"(module (import "host" "wait" (func $wait (param i32) (result i32)))
        (export "wait" (func $wait)))"#;
    let mut store = Store::new(&engine, 0);
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    let wait = instance.get_typed_func::<i32, i32>(&mut store, "wait").unwrap();
    assert!(matches!(wait.call(&mut store, 1), Err(Error::NeedsAsync)));
    {
        let mut call = pin!(wait.call_async(&mut store, 1));
        assert!(poll(call.as_mut()).is_pending());
        gate.open(41);
        assert!(matches!(poll(call.as_mut()), Poll::Ready(Ok(42))));
    }
    assert_eq!(*store.data(), 1);
    let Some(Extern::Func(func)) = instance.get_export(&mut store, "wait") else {
        panic!("a function")
    };
    gate.open(1);
    let results = block_on(func.call_async(&mut store, &[Val::I32(1)])).unwrap();
    assert!(matches!(results[..], [Val::I32(2)]));
}

/// Reads and sets the control bits of floating point operations.
fn rounding(set: Option<u32>) -> u32 {
    let mut bits = 0u32;
    // SAFETY: stores the register.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut bits) };
    if let Some(bits) = set {
        // SAFETY: another rounding mode, until it is set back.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const bits) };
    }
    bits
}

/// A thread that rounds upwards resumes a guest, which rounds as it did, and so does the thread after.
#[test]
fn a_guest_keeps_its_rounding_mode_and_so_does_the_thread() {
    let engine = engine();
    let wat = r#"(module (import "host" "wait" (func $wait))
        (func (export "third") (result f64)
            (call $wait) (f64.div (f64.const 1) (f64.const 3)))
        (func (export "trap") (result f64) (call $wait) unreachable))"#;
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap_async("host", "wait", |_: Caller<'_, ()>, (): ()| Box::new(yield_now()));
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    let upwards = rounding(None) & !0x6000 | 0x4000;
    for name in ["third", "trap", "third"] {
        let third = instance.get_typed_func::<(), f64>(&mut store, name).unwrap();
        let mut call = Box::pin(third.call_async(&mut store, ()));
        assert!(poll(call.as_mut()).is_pending());
        let before = rounding(Some(upwards));
        let result = poll(call.as_mut());
        let after = rounding(Some(before));
        assert_eq!(after & 0x6000, 0x4000);
        match result {
            Poll::Ready(Ok(third)) => assert_eq!(third.to_bits(), 0x3fd5_5555_5555_5555),
            Poll::Ready(Err(error)) => assert_eq!(trap_of(error).code, TrapCode::Unreachable),
            Poll::Pending => panic!("it waits for nothing"),
        }
    }
}

/// The guest of `LOOP` never calls the host: a call of it is ended by a signal.
#[test]
fn an_async_call_that_never_waits_has_a_deadline_too() {
    let (mut store, instance) = common::instance(LOOP);
    let endless = instance.get_typed_func::<(), ()>(&mut store, "loop").unwrap();
    store.set_deadline(Some(Instant::now() + Duration::from_millis(10)));
    let error = block_on(endless.call_async(&mut store, ())).unwrap_err();
    assert_eq!(trap_of(error).code, TrapCode::DeadlineExceeded);
}

#[test]
fn the_store_has_its_data_until_the_host_future_is_dropped() {
    struct Notes(Arc<AtomicUsize>);
    impl Drop for Notes {
        fn drop(&mut self) {
            self.0.store(2, SeqCst);
        }
    }
    struct Guard<'a>(Caller<'a, Notes>);
    impl Drop for Guard<'_> {
        fn drop(&mut self) {
            assert_eq!(self.0.data().0.swap(1, SeqCst), 0, "the data are there");
        }
    }
    let engine = engine();
    let mut linker = Linker::<Notes>::new(&engine);
    linker.func_wrap_async("host", "wait", |caller: Caller<'_, Notes>, n: i32| {
        Box::new(async move {
            let _guard = Guard(caller);
            std::future::pending::<()>().await;
            n
        })
    });
    let noted = Arc::new(AtomicUsize::new(0));
    let mut store = Store::new(&engine, Notes(noted.clone()));
    let instance = linker.instantiate(&mut store, &module(&engine, GUEST)).unwrap();
    let once = instance.get_typed_func::<i32, i32>(&mut store, "once").unwrap();
    let mut owner = Box::pin(async move { once.call_async(&mut store, 1).await });
    assert!(poll(owner.as_mut()).is_pending());
    drop(owner);
    assert_eq!(noted.load(SeqCst), 2);
}

/// A host function that computes while it is polled asks whether the call is due.
#[test]
fn a_host_function_sees_the_deadline_while_it_is_polled() {
    let engine = engine();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap_async("host", "wait", |caller: Caller<'_, ()>, waits: i32| {
        Box::new(async move {
            if waits == 1 {
                yield_now().await;
            }
            while caller.interrupted().is_none() {
                std::thread::yield_now();
            }
            waits
        })
    });
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, GUEST)).unwrap();
    let once = instance.get_typed_func::<i32, i32>(&mut store, "once").unwrap();
    for waits in [0, 1] {
        store.set_deadline(Some(Instant::now() + Duration::from_millis(5)));
        let error = block_on(once.call_async(&mut store, waits)).unwrap_err();
        assert_eq!(trap_of(error).code, TrapCode::DeadlineExceeded);
    }
}
