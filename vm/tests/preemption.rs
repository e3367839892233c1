//! Calls that are preempted at each of their instructions in turn, and wherever they call the host.

mod common;
use common::engine;
use common::module;
use common::stepping::{Each, Stepped, step};
use std::collections::BTreeSet;
use wfaas_vm::{Caller, Error, Linker, Store, TypedFunc};

/// A guest in a store, and its function `run`.
struct Guest {
    store: Store<()>,
    run: TypedFunc<i64, i64>,
    memory: Option<wfaas_vm::Memory>,
}

/// Instances of these modules, each of which can import from those before it as from `m0`, `m1` ...
fn guest(modules: &[&str]) -> Guest {
    let engine = engine();
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "add", |_: Caller<'_, ()>, a: i64, b: i64| a.wrapping_add(b));
    let many = |_: Caller<'_, ()>, a: i64, b: f64, c: i32, d: i64, e: f32, f: i64| {
        (a + d, b * 2.0, c - 1, f64::from(e) as i64 + f)
    };
    linker.func_wrap("host", "many", many);
    linker.func_wrap_async("host", "ready", |_: Caller<'_, ()>, n: i64| {
        Box::new(async move { n + 1 })
    });
    let mut store = Store::new(&engine, ());
    let mut instance = None;
    for (at, wat) in modules.iter().enumerate() {
        let new = linker.instantiate(&mut store, &module(&engine, wat)).unwrap();
        linker.instance(&mut store, &format!("m{at}"), new);
        instance = Some(new);
    }
    let instance = instance.unwrap();
    let run = instance.get_typed_func(&mut store, "run").unwrap();
    let memory = instance.get_memory(&mut store, "memory");
    Guest { store, run, memory }
}

impl Guest {
    fn step(&mut self, each: Each, n: i64) -> Stepped<Result<i64, Error>> {
        let handle = self.store.cancel_handle();
        step(each, handle, self.run.call_async(&mut self.store, n), || {})
    }

    fn bytes(&self) -> Vec<u8> {
        self.memory.map_or_else(Vec::new, |memory| memory.data(&self.store).to_vec())
    }
}

/// Runs the guest with `n` as it is, preempted at each instruction, and at each call of the host:
/// everything is the same.
fn check(modules: &[&str], n: i64) -> i64 {
    let mut plain = guest(modules);
    let counted = plain.step(Each::Count, n);
    assert_eq!(counted.suspensions, 0);
    let expected = counted.output.unwrap();
    let calls = guest(modules).step(Each::PreemptHost, n);
    for each in [Each::Preempt, Each::PreemptHost] {
        let mut preempted = guest(modules);
        let stepped = preempted.step(each, n);
        assert_eq!(stepped.output.unwrap(), expected);
        assert_eq!(preempted.bytes(), plain.bytes());
        let least = if each == Each::Preempt { counted.instructions } else { calls.suspensions };
        assert!(stepped.suspensions >= least, "{} of {least}", stepped.suspensions);
        assert_eq!(preempted.step(Each::Count, n).suspensions, 0, "nothing is left behind");
    }
    expected
}

/// Compares the backtraces at each instruction of a call that is cancelled there with those of one
/// that is cancelled after it was preempted there; or at so many of them that the rest takes no longer.
/// The names that were met.
fn check_backtraces(modules: &[&str], n: i64, most: usize) -> BTreeSet<Vec<String>> {
    let frames = |error: Error| -> Vec<(String, u32)> {
        let Error::Trap(trap) = error else { panic!("{error}") };
        let name = |frame: wfaas_vm::Frame| (frame.func_name.unwrap_or_default(), frame.func_index);
        trap.frames().into_iter().map(name).collect()
    };
    let mut guest = guest(modules);
    let instructions = guest.step(Each::Count, n).instructions;
    assert!(instructions > 20);
    let mut met = BTreeSet::new();
    for at in (1..=instructions).step_by(instructions.div_ceil(most)) {
        let cancelled = guest.step(Each::CancelAt(at), n);
        let Err(error) = cancelled.output else { continue }; // it has returned before the signal
        let handle = guest.store.cancel_handle();
        let call = guest.run.call_async(&mut guest.store, n);
        let stepped = step(Each::PreemptAt(at), handle.clone(), call, || handle.cancel());
        assert_eq!(stepped.suspensions, 1, "instruction {at}");
        let (right, found) = (frames(error), frames(stepped.output.unwrap_err()));
        assert_eq!(found, right, "instruction {at}");
        met.insert(found.into_iter().map(|(name, _)| name).collect());
    }
    met
}

/// `count` times `text`.
fn times(count: usize, text: &str) -> String {
    [text].repeat(count).join(" ")
}

const SUM: &str = r#"(module
    (func $add (export "add") (param i64 i64) (result i64)
        (if (i64.eqz (i64.rem_s (local.get 0) (i64.const 1000))) (then (return (local.get 1))))
        (i64.add (call $more (local.get 0)) (local.get 1)))
    (func $more (param i64) (result i64) (if (result i64) (i64.eqz (local.get 0))
        (then (i64.const 0)) (else (i64.add (local.get 0) (i64.const 0)))))
    (func (export "run") (param $n i64) (result i64) (local $sum i64)
        (loop $again
            (local.set $sum (call $add (local.get $sum) (i64.mul (local.get $n) (local.get $n))))
            (br_if $again (i32.wrap_i64 (local.tee $n (i64.sub (local.get $n) (i64.const 1))))))
        (local.get $sum)))"#;

#[test]
fn loops_and_calls_go_on_at_each_instruction() {
    assert_eq!(check(&[SUM], 10), 385);
    assert!(!check_backtraces(&[SUM], 3, 1000).is_empty());
}

/// `$grow` makes room for a tail call with `count` more arguments than it has itself, where
/// `$spray` has left numbers that are no addresses; `$shrink` has them and needs none.
fn growing(count: usize) -> String {
    let params = times(count, "i64");
    let numbers = times(count, "(i64.const 0x5555555555555550)");
    format!(
        r#"(module
        (table funcref (elem $take $shrink $end $grow))
        (type $many (func (param {params}) (result i64)))
        (type $none (func (result i64)))
        (func $take (type $many) local.get {last})
        (func $end (type $none) i64.const 7)
        (func $spray (result i64) {numbers} i32.const 0 call_indirect (type $many))
        (func $grow (type $none) {numbers} i32.const 1 return_call_indirect (type $many))
        (func $shrink (type $many) i32.const 2 return_call_indirect (type $none))
        (func $outer (result i64) (i64.add (call $spray) (i32.const 3) (call_indirect (type $none))))
        (func (export "run") (param i64) (result i64) (i64.add (local.get 0) (call $outer))))"#,
        last = count - 1,
    )
}

#[test]
fn functions_that_move_their_frame_go_on_at_each_instruction() {
    for count in [9, 24] {
        let wat = growing(count);
        assert_eq!(check(&[&wat], 1), 0x5555555555555550 + 8);
        let met = check_backtraces(&[&wat], 1, 1000);
        for names in [&["shrink", "outer", "run"][..], &["take", "spray", "outer", "run"]] {
            assert!(met.iter().any(|met| met == names), "{names:?} in {met:?}");
        }
    }
}

const HOST: &str = r#"(module
    (import "host" "add" (func $add (param i64 i64) (result i64)))
    (import "host" "many" (func $many
        (param i64 f64 i32 i64 f32 i64) (result i64 f64 i32 i64)))
    (import "host" "ready" (func $ready (param i64) (result i64)))
    (memory (export "memory") 1)
    (table $t 10 externref)
    (func (export "run") (param $n i64) (result i64) (local $i i32) (local $l i64) (local $f f64)
        (local.set $n (call $ready (call $add (local.get $n) (i64.const 5))))
        (call $many (local.get $n) (f64.const 1.5) (i32.const 9) (i64.const 3) (f32.const 2.5)
            (i64.const 1))
        local.set $l local.set $i local.set $f
        (i64.add (local.get $l))
        (i64.add (i64.extend_i32_s (local.get $i)))
        (i64.add (i64.trunc_f64_s (local.get $f)))
        (i64.add (i64.extend_i32_s (memory.grow (i32.const 1))))
        (memory.fill (i32.const 100) (i32.const 7) (i32.const 66000))
        (memory.copy (i32.const 50) (i32.const 60) (i32.const 66000))
        (memory.copy (i32.const 60) (i32.const 50) (i32.const 66000))
        (i64.add (i64.extend_i32_s (table.grow $t (ref.null extern) (i32.const 3))))
        (table.fill $t (i32.const 1) (ref.null extern) (i32.const 5))
        (i64.add (i64.extend_i32_s (table.size $t)))))"#;

#[test]
fn calls_of_the_host_are_preempted_behind_it() {
    // 10 + 5 + 1, and what `many` makes of it.
    assert_eq!(check(&[HOST], 10), 19 + 3 + 8 + 3 + 1 + 10 + 13);
    check_backtraces(&[HOST], 10, 12);
}

const VECTORS: &str = r#"(module
    (memory (export "memory") 1)
    (func $mix (param $a v128) (param $b v128) (result v128)
        (i32x4.add (i32x4.mul (local.get $a) (local.get $b)) (i8x16.shuffle
            3 7 11 15 19 23 27 31 2 6 10 14 18 22 26 30 (local.get $a) (local.get $b))))
    (func (export "run") (param $n i64) (result i64)
        (local $a v128) (local $b v128) (local $c v128) (local $d v128) (local $f f64)
        (local.set $a (i64x2.splat (local.get $n)))
        (local.set $b (v128.const i32x4 1 2 3 4))
        (local.set $c (v128.const f64x2 0.5 0.25))
        (local.set $f (f64.const 1))
        (loop $again
            (local.set $d (call $mix (local.get $a) (local.get $b)))
            (local.set $c (f64x2.add (local.get $c) (f64x2.splat (local.get $f))))
            (local.set $f (f64.div (local.get $f) (f64.const 3)))
            (local.set $a (local.get $b))
            (local.set $b (local.get $d))
            (v128.store (i32.const 16) (local.get $d))
            (br_if $again (i32.wrap_i64 (local.tee $n (i64.sub (local.get $n) (i64.const 1))))))
        (v128.store (i32.const 0) (local.get $a))
        (v128.store (i32.const 32) (local.get $c))
        (i64.xor (i64x2.extract_lane 0 (v128.xor (local.get $a) (local.get $b)))
            (i64x2.extract_lane 1 (v128.xor (local.get $c) (local.get $d))))))"#;

#[test]
fn vectors_live_across_preemptions() {
    check(&[VECTORS], 8);
}

const THROWS: &str = r#"(module
    (tag $e (export "e") (param i64 i64)) (tag $other)
    (func $throw (export "throw") (param i64)
        (if (i64.ge_s (local.get 0) (i64.const 3)) (then (throw $other)))
        (throw $e (local.get 0) (i64.const 100)))
    (func $deep (export "deep") (param i64) (result i64)
        (if (i64.eqz (local.get 0)) (then (call $throw (i64.const 2))))
        (i64.add (i64.const 1) (call $deep (i64.sub (local.get 0) (i64.const 1)))))
    (func $rethrow (param i64) (result i64)
        (block $b (result exnref)
            (try_table (catch_all_ref $b) (return (call $deep (local.get 0))))
            unreachable)
        throw_ref)
    (func $catch (export "catch") (param i64) (result i64)
        (block $b (result i64 i64)
            (try_table (catch $e $b) (return (call $rethrow (local.get 0))))
            unreachable)
        i64.add)
    (func (export "run") (param i64) (result i64)
        (i64.mul (call $catch (local.get 0)) (call $catch (i64.const 0)))))"#;

#[test]
fn exceptions_are_caught_in_preempted_guests() {
    assert_eq!(check(&[THROWS], 3), 102 * 102);
    check_backtraces(&[THROWS], 1, 12);
}

/// Calls, tail calls and exceptions across instances.
const ACROSS: &str = r#"(module
    (import "m0" "deep" (func $deep (param i64) (result i64)))
    (import "m0" "catch" (func $catch (param i64) (result i64)))
    (import "m1" "add" (func $add (param i64 i64) (result i64)))
    (import "m0" "e" (tag $e (param i64 i64)))
    (memory (export "memory") 1)
    (func $tail (param i64) (result i64)
        (return_call $add (i64.const 0) (local.get 0)))
    (func (export "run") (param i64) (result i64)
        (i64.store (i32.const 8) (call $tail (call $catch (local.get 0))))
        (block $b (result i64 i64)
            (try_table (catch $e $b) (return (call $deep (local.get 0))))
            unreachable)
        i64.sub
        (i64.add (i64.load (i32.const 8)))))"#;

#[test]
fn bridges_between_instances_go_on_at_each_instruction() {
    assert_eq!(check(&[THROWS, SUM, ACROSS], 2), 2 - 100 + 102);
    check_backtraces(&[THROWS, SUM, ACROSS], 0, 12);
}
