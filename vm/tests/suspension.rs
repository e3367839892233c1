//! Calls that are suspended while a host function waits, and go on on any thread.

mod common;
use common::futures::{Alarm, Gate, block_on, poll, poll_with, yield_now};
use common::waiting::{expected, guest};
use common::{engine, module, trap_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use wfaas_vm::{
    Caller, Error, Extern, ExternRef, FuncType, Linker, MaybeFuture, Store, TrapCode, Val, ValType,
};

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

/// A function of the host that waits if its argument is odd.
fn maybe_async(linker: &mut Linker<()>) {
    linker.func_wrap_maybe_async("host", "half", |caller: Caller<'_, ()>, (n,): (i32,)| {
        if n % 2 == 0 {
            return MaybeFuture::Ready(Ok(n / 2));
        }
        if n == 1 && !caller.can_wait() {
            return MaybeFuture::Ready(Ok(-1));
        }
        MaybeFuture::Future(Box::new(async move {
            yield_now().await;
            if n == 99 { Err("ninety-nine".into()) } else { Ok(n / 2) }
        }))
    });
}

#[test]
fn a_host_function_that_seldom_waits_is_reached_by_all_calls() {
    let engine = engine();
    let mut linker = Linker::new(&engine);
    maybe_async(&mut linker);
    let wat = r#"(module
        (import "host" "half" (func $half (param i32) (result i32)))
        (func (export "run") (param i32) (result i32)
            (call $half (call $half (local.get 0)))))"#;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    let run = instance.get_typed_func::<i32, i32>(&mut store, "run").unwrap();
    for (n, expected, waits) in [(12, 3, false), (14, 3, true), (7, 1, true), (4, 1, false)] {
        let mut call = pin!(run.call_async(&mut store, n));
        let first = poll(call.as_mut());
        assert_eq!(first.is_pending(), waits, "{n}");
        let result = if waits { block_on(call) } else { ready(first) };
        assert_eq!(result.unwrap(), expected, "{n}");
    }
    // Without a wait a synchronous call is as good as any.
    assert_eq!(run.call(&mut store, 12).unwrap(), 3);
    let error = run.call(&mut store, 14).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(Error::NeedsAsync)), "{error}");
    // A host function can tell: here it answers -1, whose half is waited for.
    let error = run.call(&mut store, 2).map(|half| half == -1);
    assert!(error.unwrap(), "the second one was asked for half of 1");
    let error = block_on(run.call_async(&mut store, 99)).unwrap_err();
    assert!(error.to_string().contains("ninety-nine"), "{error}");
    assert_eq!(block_on(run.call_async(&mut store, 6)).unwrap(), 1, "the store goes on");
}

fn ready<T>(poll: Poll<T>) -> T {
    let Poll::Ready(value) = poll else { panic!("it waits") };
    value
}

#[test]
fn the_host_too_can_call_a_function_that_seldom_waits() {
    let engine = engine();
    let mut linker = Linker::new(&engine);
    maybe_async(&mut linker);
    let wat = r#"(module
        (import "host" "half" (func $half (param i32) (result i32)))
        (export "half" (func $half)))"#;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    let half = instance.get_typed_func::<i32, i32>(&mut store, "half").unwrap();
    for n in [8, 9] {
        assert_eq!(block_on(half.call_async(&mut store, n)).unwrap(), 4);
    }
}

/// Halves its argument: even ones at once, others after a wait. The store counts calls of either form.
fn two_forms(linker: &mut Linker<[u32; 2]>) {
    let ty = FuncType::new([ValType::I32], [ValType::I32]);
    linker.func_new_direct(
        "host",
        "half",
        ty,
        |mut caller, cells| {
            caller.data_mut()[0] += 1;
            match cells[0] as u32 {
                13 => Err("thirteen".into()),
                15 => panic!("fifteen"),
                n if n.is_multiple_of(2) => Ok(Some((n / 2).into())),
                _ => Ok(None),
            }
        },
        |mut caller, cells| {
            caller.data_mut()[1] += 1;
            let n = cells[0] as u32;
            MaybeFuture::Future(Box::new(async move {
                yield_now().await;
                Ok((n / 2).into())
            }))
        },
    );
}

#[test]
fn a_host_function_of_two_forms_is_called_directly_unless_that_declines() {
    let engine = engine();
    let mut linker = Linker::new(&engine);
    two_forms(&mut linker);
    let wat = r#"(module
        (import "host" "half" (func $half (param i32) (result i32)))
        (export "half" (func $half))
        (func (export "run") (param i32) (result i32) (call $half (local.get 0))))"#;
    let mut store = Store::new(&engine, [0, 0]);
    let instance = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
    for name in ["run", "half"] {
        let half = instance.get_typed_func::<i32, i32>(&mut store, name).unwrap();
        for (n, counts) in [(8, [1, 0]), (9, [1, 1])] {
            *store.data_mut() = [0, 0];
            assert_eq!(block_on(half.call_async(&mut store, n)).unwrap(), 4);
            assert_eq!(*store.data(), counts, "{name} {n}");
        }
        *store.data_mut() = [0, 0];
        let error = block_on(half.call_async(&mut store, 13)).unwrap_err();
        assert!(error.to_string().contains("thirteen"), "{error}");
        let call = AssertUnwindSafe(|| block_on(half.call_async(&mut store, 15)));
        assert!(catch_unwind(call).is_err());
        assert_eq!(*store.data(), [2, 0], "what failed has not declined");
        assert_eq!(block_on(half.call_async(&mut store, 8)).unwrap(), 4, "the store goes on");
    }
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
