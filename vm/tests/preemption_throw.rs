//! A throw through a deep stack is preempted while its handler is searched for.

mod common;
use common::futures::poll;
use common::module;
use common::ticker::Ticker;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::task::Poll;
use wfaas_vm::{
    Config, Engine, Error, Extern, Limits, Linker, MemoryType, Module, SharedMemory, Store,
    TrapCode, TypedFunc,
};

/// Frames between a throw and its handler: far more than are searched in one piece.
const DEPTH: i32 = 200_000;

/// `run` goes down, throws there, and catches; `again` throws a second time what was caught below. The word
/// at 0 is 1 from the throw to the handler.
const GUEST: &str = r#"(module
    (import "host" "memory" (memory 1 1 shared))
    (tag $e (param i32))
    (func $down (param i32)
        (if (local.get 0)
            (then (call $down (i32.sub (local.get 0) (i32.const 1))))
            (else
                (i32.store (i32.const 0) (i32.const 1))
                (throw $e (i32.const 42))))
        (i32.store (i32.const 8) (local.get 0)))
    (func $down_again (param i32 exnref)
        (if (local.get 0)
            (then (call $down_again (i32.sub (local.get 0) (i32.const 1)) (local.get 1)))
            (else
                (i32.store (i32.const 0) (i32.const 1))
                (throw_ref (local.get 1))))
        (i32.store (i32.const 8) (local.get 0)))
    (func (export "run") (param i32) (result i32)
        (block $caught (result i32)
            (try_table (catch $e $caught) (call $down (local.get 0)))
            unreachable)
        (i32.store (i32.const 0) (i32.const 2)))
    (func (export "again") (param i32) (result i32) (local $held exnref)
        (block $first (result i32 exnref)
            (try_table (catch_ref $e $first) (throw $e (i32.const 43)))
            unreachable)
        local.set $held
        drop
        (block $caught (result i32)
            (try_table (catch $e $caught) (call $down_again (local.get 0) (local.get $held)))
            unreachable)
        (i32.store (i32.const 0) (i32.const 2)))
    (func (export "uncaught") (param i32) (result i32) (call $down (local.get 0)) (i32.const 0)))"#;

struct Guest {
    engine: Engine,
    module: Module,
    memory: SharedMemory,
}

impl Guest {
    fn new() -> Guest {
        let engine = Engine::new(Config { stack_bytes: 32 << 20, ..Config::default() }).unwrap();
        let module = module(&engine, GUEST);
        let limits = Limits { minimum: 1, maximum: Some(1) };
        let ty = MemoryType { limits, shared: true, index64: false };
        let memory = SharedMemory::new(&engine, ty).unwrap();
        Guest { engine, module, memory }
    }

    /// A function in a store of its own.
    fn func(&self, name: &str) -> (Store<()>, TypedFunc<i32, i32>) {
        let mut linker = Linker::<()>::new(&self.engine);
        linker.define("host", "memory", Extern::SharedMemory(self.memory.clone()));
        let mut store = Store::new(&self.engine, ());
        let instance = linker.instantiate(&mut store, &self.module).unwrap();
        let func = instance.get_typed_func(&mut store, name).unwrap();
        self.phase().store(0, SeqCst);
        (store, func)
    }

    fn phase(&self) -> &AtomicU32 {
        self.memory.atomic_u32(0).unwrap()
    }

    /// Calls a function while slices end; the result, and how often it was preempted between a throw and
    /// its handler.
    fn call(&self, name: &str) -> (Result<i32, Error>, usize) {
        let (mut store, run) = self.func(name);
        let _ticker = Ticker::start(store.cancel_handle());
        let mut call = pin!(run.call_async(&mut store, DEPTH));
        let mut middle = 0;
        loop {
            match poll(call.as_mut()) {
                Poll::Ready(result) => return (result, middle),
                Poll::Pending => middle += usize::from(self.phase().load(SeqCst) == 1),
            }
        }
    }
}

/// Without pieces a guest would be preempted at its handler, and so once at the most.
const OFTEN: usize = 3;

#[test]
fn a_throw_is_preempted_and_goes_on_to_its_handler() {
    let guest = Guest::new();
    for (name, expected) in [("run", 42), ("again", 43)] {
        let mut most = 0;
        for _ in 0..1000 {
            let (result, middle) = guest.call(name);
            assert_eq!(result.unwrap(), expected);
            most = most.max(middle);
            if most >= OFTEN {
                break;
            }
        }
        assert!(most >= OFTEN, "{name}: {most} times at the most");
    }
}

#[test]
fn one_that_nobody_catches_ends_the_call() {
    let guest = Guest::new();
    for _ in 0..20 {
        let (result, middle) = guest.call("uncaught");
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Exception(_)), "{error}");
        if middle >= OFTEN {
            return;
        }
    }
    panic!("it was never preempted often enough");
}

#[test]
fn a_cancelled_one_ends_the_call_before_its_handler() {
    let guest = Guest::new();
    let (mut store, run) = guest.func("run");
    let (handle, phase) = (store.cancel_handle(), guest.phase());
    for _ in 0..1000 {
        phase.store(0, SeqCst);
        let ticker = Ticker::start(handle.clone());
        let mut is_cancelled = false;
        let result = {
            let mut call = pin!(run.call_async(&mut store, DEPTH));
            loop {
                match poll(call.as_mut()) {
                    Poll::Ready(result) => break result,
                    Poll::Pending if phase.load(SeqCst) == 1 => {
                        is_cancelled = true;
                        handle.cancel();
                    }
                    Poll::Pending => {}
                }
            }
        };
        drop(ticker);
        match result {
            Ok(value) => assert!(value == 42 && !is_cancelled),
            Err(error) => {
                assert!(is_cancelled && phase.load(SeqCst) == 1, "{error}");
                assert_eq!(error.trap().unwrap().code, TrapCode::Cancelled);
                // The store is as good as before.
                assert_eq!(run.call(&mut store, 10).unwrap(), 42);
                return;
            }
        }
    }
    panic!("it was never preempted in the middle");
}
