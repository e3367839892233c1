//! A guest with a host function that waits.
#![allow(dead_code)] // each test binary uses a part

use super::futures::Gate;
use super::module;
use wfaas_vm::{Caller, Engine, Instance, Linker, Store};

/// `run(n)` calls `wait` n times, and adds what it gets; with numbers in many registers meanwhile.
pub(crate) const GUEST: &str = r#"(module
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

/// A store with the guest. Its host function waits for the gate, and adds what comes through.
pub(crate) fn guest(engine: &Engine, gate: &Gate) -> (Store<u32>, Instance) {
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

/// The number that `run` computes from the answers of `wait`.
pub(crate) fn expected(n: i32, wait: impl Fn(i32) -> i32) -> i64 {
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
