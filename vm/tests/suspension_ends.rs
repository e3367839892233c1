//! How calls end that are suspended: dropped, leaked, due, cancelled, by an error, or at the end of their
//! stack.

mod common;
use common::futures::{Gate, block_on, poll, yield_now};
use common::waiting::{GUEST, expected, guest};
use common::{LOOP, engine, module, trap_of};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use wfaas_vm::{BoxError, Caller, Config, Engine, Error, Instance, Linker, Store, TrapCode};

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
        store.set_deadline(Some(Instant::now() + Duration::from_millis(500)));
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

#[test]
fn a_cancellation_ends_one_suspended_call_and_not_the_next() {
    let gate = Gate::default();
    let (mut store, instance) = guest(&engine(), &gate);
    let once = instance.get_typed_func::<i32, i32>(&mut store, "once").unwrap();
    let handle = store.cancel_handle();
    let mut call = Box::pin(once.call_async(&mut store, 1));
    assert!(poll(call.as_mut()).is_pending());
    handle.cancel();
    assert_eq!(trap_of(block_on(&mut call).unwrap_err()).code, TrapCode::Cancelled);
    drop(call);
    let mut call = Box::pin(once.call_async(&mut store, 1));
    assert!(poll(call.as_mut()).is_pending());
    assert!(poll(call.as_mut()).is_pending());
    gate.open(5);
    assert_eq!(block_on(call).unwrap(), 6);
}
