//! Waiting host functions that call back into their store, on stacks of their own; exceptions and
//! backtraces across suspended stacks.

mod common;
use common::futures::{Gate, block_on, poll, yield_now};
use common::{engine, module, trap_of};
use std::task::Poll;
use std::time::{Duration, Instant};
use wfaas_vm::{
    BoxError, Caller, Config, Engine, Error, Instance, Linker, Store, TrapCode, TypedFunc,
};

/// `tree(n)` is 1 + its host function's answer for n - 1, which calls `tree` again.
const TREE: &str = r#"(module
    (import "host" "next" (func $next (param i32) (result i32)))
    (func $tree (export "tree") (param $n i32) (result i32)
        (if (result i32) (local.get $n)
            (then (i32.add (i32.const 1) (call $next (i32.sub (local.get $n) (i32.const 1)))))
            (else (i32.const 0))))
    (func (export "trap") (param i32) (result i32) unreachable)
    (func (export "loop") (param i32) (result i32) (loop $l (br $l)) unreachable)
    (func (export "twice") (param i32) (result i32)
        (i32.add (call $tree (local.get 0)) (call $tree (local.get 0)))))"#;

fn export(caller: &mut Caller<'_, Mode>, name: &str) -> Result<TypedFunc<i32, i32>, Error> {
    let func = caller.get_export(name).and_then(|export| export.into_func());
    func.expect("an exported function").typed(caller)
}

/// How the host function calls back.
#[derive(Clone)]
struct Mode {
    gate: Gate,
    /// Whether it waits before it calls.
    before: bool,
    /// Whether it waits after it has called.
    after: bool,
    sync: bool,
    /// The export that is called last.
    last: &'static str,
}

impl Mode {
    fn new(before: bool, after: bool, sync: bool) -> Mode {
        Mode { gate: Gate::default(), before, after, sync, last: "tree" }
    }
}

async fn next(mut caller: Caller<'_, Mode>, n: i32) -> Result<i32, BoxError> {
    let mode = caller.data().clone();
    if mode.before {
        mode.gate.wait().await;
    }
    let tree = export(&mut caller, if n == 0 { mode.last } else { "tree" })?;
    let result = if mode.sync {
        tree.call(&mut caller, n)?
    } else {
        tree.call_async(&mut caller, n).await?
    };
    if mode.after {
        mode.gate.wait().await;
    }
    Ok(result)
}

fn tree(engine: &Engine, mode: Mode) -> (Store<Mode>, Instance) {
    let mut linker = Linker::<Mode>::new(engine);
    linker.func_wrap_async("host", "next", |caller: Caller<'_, Mode>, n: i32| {
        Box::new(next(caller, n))
    });
    let mut store = Store::new(engine, mode);
    let instance = linker.instantiate(&mut store, &module(engine, TREE)).unwrap();
    (store, instance)
}

fn func((store, instance): &mut (Store<Mode>, Instance), name: &str) -> TypedFunc<i32, i32> {
    instance.get_typed_func(store, name).unwrap()
}

/// Each way of waiting around the inner calls.
const WAYS: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

#[test]
fn a_waiting_host_function_calls_back_and_the_inner_call_waits_too() {
    let engine = engine();
    for (before, after) in WAYS {
        let mode = Mode::new(before, after, false);
        let mut guest = tree(&engine, mode.clone());
        let twice = func(&mut guest, "twice");
        let mut call = Box::pin(twice.call_async(&mut guest.0, 8));
        let waits = (usize::from(before) + usize::from(after)) * 2 * 8;
        for wait in 0..waits {
            // Each on a thread of its own.
            let elsewhere = || assert!(poll(call.as_mut()).is_pending(), "{wait}");
            std::thread::scope(|scope| scope.spawn(elsewhere).join().unwrap());
            mode.gate.open(0);
        }
        let Poll::Ready(result) = poll(call.as_mut()) else { panic!("it waits for nothing") };
        assert_eq!(result.unwrap(), 16);
    }
}

#[test]
fn dropping_a_call_with_inner_calls_frees_all_stacks_at_every_point() {
    let engine = Engine::new(Config { max_suspended: 8, ..Config::default() }).unwrap();
    let mode = Mode::new(true, true, false);
    let mut guest = tree(&engine, mode.clone());
    let tree = func(&mut guest, "tree");
    for steps in 0..14 {
        let mut call = Box::pin(tree.call_async(&mut guest.0, 7));
        assert!(poll(call.as_mut()).is_pending());
        for _ in 0..steps {
            assert!(poll(call.as_mut()).is_pending());
            mode.gate.open(0);
        }
        drop(call);
        // Nothing of it goes on.
        while poll(std::pin::pin!(mode.gate.wait())).is_ready() {}
    }
    (0..14).for_each(|_| mode.gate.open(0));
    assert_eq!(block_on(tree.call_async(&mut guest.0, 7)).unwrap(), 7);
}

#[test]
fn a_synchronous_inner_call_after_a_wait_has_a_stack_but_must_not_wait() {
    let engine = engine();
    for before in [false, true] {
        let mode = Mode::new(before, false, true);
        let mut guest = tree(&engine, mode.clone());
        let tree = func(&mut guest, "tree");
        mode.gate.open(0);
        assert_eq!(block_on(tree.call_async(&mut guest.0, 1)).unwrap(), 1);
        // Now the inner call reaches the async host function.
        mode.gate.open(0);
        let error = block_on(tree.call_async(&mut guest.0, 2)).unwrap_err();
        assert!(error.to_string().contains("inside of a synchronous call"), "{error}");
    }
}

/// The frames of the trap behind the errors of host functions.
fn innermost_frames(error: &Error) -> Vec<wfaas_vm::Frame> {
    match error {
        Error::Host(host) => innermost_frames(host.source.downcast_ref().expect("an inner call's")),
        Error::Trap(trap) => trap.frames(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_backtrace_covers_the_suspended_stacks() {
    let engine = engine();
    for (before, sync) in [(false, false), (true, false), (false, true), (true, true)] {
        let mode = Mode { last: "trap", ..Mode::new(before, false, sync) };
        let mut guest = tree(&engine, mode.clone());
        let twice = func(&mut guest, "twice");
        (0..3).for_each(|_| mode.gate.open(0));
        let depth = if sync { 1 } else { 3 };
        let error = block_on(twice.call_async(&mut guest.0, depth)).unwrap_err();
        let frames = innermost_frames(&error);
        let names = frames.into_iter().map(|frame| frame.func_name.unwrap());
        let mut expected = vec!["trap"];
        expected.extend(vec!["tree"; depth as usize]);
        expected.push("twice");
        assert_eq!(names.collect::<Vec<_>>(), expected, "before {before}, sync {sync}");
    }
}

#[test]
fn a_deadline_while_an_inner_call_is_suspended_has_the_frames_of_all() {
    let engine = engine();
    for (before, after) in [(true, false), (false, true)] {
        let mode = Mode::new(before, after, false);
        let mut guest = tree(&engine, mode.clone());
        let tree = func(&mut guest, "tree");
        if before {
            (0..2).for_each(|_| mode.gate.open(0));
        }
        guest.0.set_deadline(Some(Instant::now() + Duration::from_millis(10)));
        let trap = trap_of(block_on(tree.call_async(&mut guest.0, 3)).unwrap_err());
        assert_eq!((trap.code, trap.frames().len()), (TrapCode::DeadlineExceeded, 3));
        guest.0.set_deadline(None);
        (0..6).for_each(|_| mode.gate.open(0));
        assert_eq!(block_on(tree.call_async(&mut guest.0, 3)).unwrap(), 3);
    }
}

/// Each inner call has a stack, so a guest must not have any number of them.
#[test]
fn inner_calls_without_end_are_a_stack_overflow() {
    let engine = Engine::new(Config { stack_bytes: 64 << 10, ..Config::default() }).unwrap();
    for before in [false, true] {
        let mode = Mode::new(before, false, false);
        let mut guest = tree(&engine, mode.clone());
        let tree = func(&mut guest, "tree");
        (0..200).for_each(|_| mode.gate.open(0));
        assert_eq!(block_on(tree.call_async(&mut guest.0, 90)).unwrap(), 90);
        (0..200).for_each(|_| mode.gate.open(0));
        let mut error = &block_on(tree.call_async(&mut guest.0, 1 << 20)).unwrap_err();
        while let Error::Host(host) = error {
            error = host.source.downcast_ref().expect("an inner call's");
        }
        assert_eq!(error.trap().unwrap().code, TrapCode::StackOverflow);
    }
}

/// A guest with a synchronous host function `next`, and an async one, `wait`.
const MIXED: &str = r#"(module
    (import "host" "next" (func $next (param i32) (result i32)))
    (import "host" "wait" (func $wait (param i32) (result i32)))
    (func (export "wait") (param i32) (result i32) (call $wait (local.get 0)))
    (func (export "next") (param i32) (result i32)
        (i32.add (call $next (local.get 0)) (call $wait (i32.const 1)))))"#;

fn mixed(
    next: impl Fn(&mut Caller<'_, Mode>, i32) -> Result<i32, Error> + Send + Sync + 'static,
) -> (Store<Mode>, Instance) {
    let engine = engine();
    let mut linker = Linker::<Mode>::new(&engine);
    linker.func_wrap("host", "next", move |mut caller: Caller<'_, Mode>, n: i32| {
        next(&mut caller, n).map_err(BoxError::from)
    });
    linker.func_wrap_async("host", "wait", |_: Caller<'_, Mode>, n: i32| {
        Box::new(async move {
            yield_now().await;
            n
        })
    });
    let mut store = Store::new(&engine, Mode::new(false, false, false));
    let instance = linker.instantiate(&mut store, &module(&engine, MIXED)).unwrap();
    (store, instance)
}

#[test]
fn nothing_is_suspended_below_a_synchronous_host_function() {
    let mut guest = mixed(|caller, n| export(caller, "wait")?.call(caller, n));
    let next = func(&mut guest, "next");
    let error = block_on(next.call_async(&mut guest.0, 5)).unwrap_err();
    assert!(error.to_string().contains("inside of a synchronous call"), "{error}");
    let wait = func(&mut guest, "wait");
    assert_eq!(block_on(wait.call_async(&mut guest.0, 5)).unwrap(), 5, "the store goes on");
}

#[test]
fn a_synchronous_host_function_may_wait_for_an_inner_call_by_itself() {
    let mut guest = mixed(|caller, n| block_on(export(caller, "wait")?.call_async(caller, n)));
    let next = func(&mut guest, "next");
    assert_eq!(block_on(next.call_async(&mut guest.0, 5)).unwrap(), 6);
    // Inside of a call that cannot be suspended, no other can.
    let error = next.call(&mut guest.0, 5).unwrap_err();
    assert!(error.to_string().contains("inside of a synchronous call"), "{error}");
}

#[test]
fn a_leaked_inner_call_is_given_up_when_the_outer_one_goes_on() {
    let engine = Engine::new(Config { max_suspended: 2, ..Config::default() }).unwrap();
    let mut linker = Linker::<Mode>::new(&engine);
    linker.func_wrap_async("host", "next", |mut caller: Caller<'_, Mode>, n: i32| {
        Box::new(async move {
            if n == 0 {
                std::future::pending::<()>().await;
            }
            let tree = export(&mut caller, "tree")?;
            let mut inner = Box::pin(tree.call_async(&mut caller, 1));
            assert!(poll(inner.as_mut()).is_pending());
            std::mem::forget(inner);
            let refused = [tree.call(&mut caller, 0), tree.call_async(&mut caller, 0).await];
            let leaked = refused.iter().all(|result| matches!(result, Err(Error::Leaked)));
            if n == 2 {
                yield_now().await;
            }
            Ok::<i32, BoxError>(i32::from(leaked))
        })
    });
    let mut store = Store::new(&engine, Mode::new(false, false, false));
    let instance = linker.instantiate(&mut store, &module(&engine, TREE)).unwrap();
    let mut guest = (store, instance);
    let tree = func(&mut guest, "tree");
    for _ in 0..3 {
        // Its host function is ready at its first poll, or waits once more.
        assert_eq!(block_on(tree.call_async(&mut guest.0, 2)).unwrap(), 2);
        assert_eq!(block_on(tree.call_async(&mut guest.0, 3)).unwrap(), 2);
        let trap = func(&mut guest, "trap").call(&mut guest.0, 1).unwrap_err();
        assert_eq!(trap_of(trap).code, TrapCode::Unreachable, "the store goes on");
    }
}

/// The watchdog finds the thread on which the inner call runs, wherever the outer one was begun.
#[test]
fn a_deadline_ends_an_inner_call_that_loops() {
    let engine = engine();
    for (before, sync) in [(false, false), (true, false), (false, true), (true, true)] {
        let mode = Mode { last: "loop", ..Mode::new(before, false, sync) };
        let mut guest = tree(&engine, mode.clone());
        let tree = func(&mut guest, "tree");
        guest.0.set_deadline(Some(Instant::now() + Duration::from_millis(10)));
        let mut call = Box::pin(tree.call_async(&mut guest.0, 1));
        let mut polled = if before { poll(call.as_mut()) } else { Poll::Pending };
        if polled.is_pending() {
            mode.gate.open(0);
            let elsewhere = || poll(call.as_mut());
            polled = std::thread::scope(|scope| scope.spawn(elsewhere).join().unwrap());
        }
        let Poll::Ready(result) = polled else { panic!("it has to end") };
        let mut error = &result.unwrap_err();
        while let Error::Host(host) = error {
            error = host.source.downcast_ref().expect("an inner call's");
        }
        assert_eq!(error.trap().unwrap().code, TrapCode::DeadlineExceeded, "{before} {sync}");
        drop(call);
        guest.0.set_deadline(None);
        let once = func(&mut guest, "trap").call(&mut guest.0, 0).unwrap_err();
        assert_eq!(trap_of(once).code, TrapCode::Unreachable, "the store goes on");
    }
}
