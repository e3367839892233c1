//! Stores without a stack of their own: calls nested in one another, on several threads.

mod common;
use common::module;
use std::sync::Mutex;
use wfaas_abi::TrapCode;
use wfaas_vm::{Caller, Config, Engine, Error, Instance, Linker, Store};

/// `sum(n)` = n + host(n - 1), `deep(n)` recurses n times.
const GUEST: &str = r#"(module
    (import "host" "next" (func $next (param i32) (result i32)))
    (func (export "sum") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (local.get 0) (call $next (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0))))
    (func $deep (export "deep") (param i32) (result i32)
        (if (result i32) (local.get 0)
            (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
            (else (i32.const 0)))))"#;

type Guest = (Store<()>, Instance);

fn engine(stack_bytes: usize) -> Engine {
    Engine::new(Config { stack_bytes, ..Config::default() }).unwrap()
}

fn guest(
    engine: &Engine,
    next: impl Fn(i32) -> Result<i32, Error> + Send + Sync + 'static,
) -> Guest {
    let mut linker = Linker::<()>::new(engine);
    linker.func_wrap("host", "next", move |_: Caller<'_, ()>, n: i32| {
        next(n).map_err(|error| -> wfaas_vm::BoxError { Box::new(error) })
    });
    let mut store = Store::new(engine, ());
    let instance = linker.instantiate(&mut store, &module(engine, GUEST)).unwrap();
    (store, instance)
}

fn call((store, instance): &mut Guest, name: &str, n: i32) -> Result<i32, Error> {
    instance.get_typed_func::<i32, i32>(store, name)?.call(store, n)
}

/// A guest that calls a guest of another store, that calls ..., `depth` times.
fn chain(engine: &Engine, depth: usize, last: fn(&mut Guest, i32) -> Result<i32, Error>) -> Guest {
    if depth == 0 {
        return guest(engine, Ok);
    }
    let inner = Mutex::new(chain(engine, depth - 1, last));
    guest(engine, move |n| {
        let mut inner = inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if depth == 1 { last(&mut inner, n) } else { call(&mut inner, "sum", n) }
    })
}

#[test]
fn calls_of_many_stores_can_be_nested() {
    let mut outermost = chain(&engine(64 << 10), 20, |guest, n| call(guest, "sum", n));
    for _ in 0..3 {
        // 20 calls add the numbers down to n - 19, and the last adds nothing more.
        let expected: i32 = (0..20).map(|index| 50 - index).sum();
        let result = call(&mut outermost, "sum", 50).unwrap();
        assert_eq!(result, expected + 30 + 29);
    }
}

#[test]
fn a_nested_store_has_a_stack_as_large_as_any() {
    let deep = |guest: &mut Guest, n: i32| {
        assert_eq!(call(guest, "deep", 10_000).unwrap(), 10_000);
        let error = call(guest, "deep", 100_000_000).unwrap_err();
        assert_eq!(error.trap().unwrap().code, TrapCode::StackOverflow);
        assert_eq!(call(guest, "deep", 10_000).unwrap(), 10_000);
        Ok(n)
    };
    let mut outermost = chain(&engine(1 << 20), 3, deep);
    assert_eq!(call(&mut outermost, "sum", 10).unwrap(), 10 + 9 + 8 + 7);
    assert_eq!(call(&mut outermost, "deep", 10_000).unwrap(), 10_000);
}

#[test]
fn engines_with_other_stacks_take_turns_on_a_thread() {
    let mut guests = [64 << 10, 1 << 20, 256 << 10].map(|bytes| guest(&engine(bytes), Ok));
    let deepest = |guest: &mut Guest| {
        let (mut works, mut overflows) = (0, 1 << 20);
        while overflows - works > 64 {
            let middle = (works + overflows) / 2;
            match call(guest, "deep", middle) {
                Ok(_) => works = middle,
                Err(_) => overflows = middle,
            }
        }
        works
    };
    for _ in 0..2 {
        let [small, large, medium] = guests.each_mut().map(deepest);
        assert!(small < medium && medium < large, "{small} {medium} {large}");
    }
}

#[test]
fn a_store_moves_from_a_thread_that_ended_to_another() {
    let mut guest = guest(&engine(64 << 10), Ok);
    for _ in 0..10 {
        guest = std::thread::spawn(move || {
            assert_eq!(call(&mut guest, "sum", 5).unwrap(), 5 + 4);
            guest
        })
        .join()
        .unwrap();
        assert_eq!(call(&mut guest, "sum", 5).unwrap(), 5 + 4);
    }
}

/// A guest whose host function is `host`.
fn guest_of(engine: &Engine, host: fn(i32) -> i32) -> Guest {
    guest(engine, move |n| Ok(host(n)))
}

#[test]
fn a_host_function_may_end_the_process() {
    if std::env::var_os("TEST_CHILD").is_some() {
        let mut guest = guest_of(&engine(1 << 20), |_| std::process::exit(42));
        let _ = call(&mut guest, "sum", 1);
    }
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let child = child.args(["--exact", "a_host_function_may_end_the_process"]);
    assert_eq!(child.env("TEST_CHILD", "1").status().unwrap().code(), Some(42));
}

/// The address of a local of a host function.
fn here(_: i32) -> i32 {
    let local = 0u8;
    (std::hint::black_box(&raw const local) as usize >> 12) as i32
}

#[expect(unconditional_recursion)]
fn overflow(n: i32) -> i32 {
    let large = std::hint::black_box([n; 1000]);
    overflow(large[7] + 1) + large[8]
}

/// Frames of the host function that was left may still be referred to, by other threads say.
#[test]
fn a_stack_that_a_host_function_was_left_on_is_not_lent_again() {
    let engine = engine(256 << 10);
    let mut second = guest_of(&engine, here);
    let before = call(&mut second, "sum", 1).unwrap();
    assert_eq!(call(&mut second, "sum", 1).unwrap(), before);
    let error = call(&mut guest_of(&engine, overflow), "sum", 1).unwrap_err();
    assert_eq!(error.trap().unwrap().code, TrapCode::StackOverflow);
    let after = call(&mut second, "sum", 1).unwrap();
    assert!(before.abs_diff(after) > (256 << 10 >> 12), "{before:#x} {after:#x}");
}
