//! Tail calls across instances: they take no stack, and whoever returns or throws, the caller goes on
//! in its own instance, with references in its own terms.

mod common;
use common::{engine, module};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use wfaas_vm::{AsContextMut, Caller, Error, Instance, Linker, Store, TrapCode, Val};

/// Rounds that no stack would be enough for.
const ROUNDS: i32 = 1_000_000;

/// Functions that the members of a ring call each other by.
const RING: &str = r#"(module (type $plain (func (param i32) (result i32)))
    (table (export "plain") 4 funcref) (table (export "refs") 4 (ref null $plain))
    (table (export "wide") 4 funcref) (table (export "makers") 4 funcref)
    (table (export "throwers") 4 funcref) (table (export "ends") 4 funcref)
    (tag (export "stop") (param i32)))"#;

/// A member of the ring: each of its functions counts down and goes on in the next member. `enter`
/// and the like make an ordinary call, and return the instance's own number too.
fn member(id: usize, next: usize) -> String {
    let results = "i64 ".repeat(12);
    let numbers = "(i64.extend_i32_u (global.get $id))".repeat(12);
    let extra = "i64 ".repeat(if id == 0 { 2 } else { 14 });
    let other = if next == 0 { 2 } else { 14 };
    let (other, others) = ("i64 ".repeat(other), "(i64.const 5)".repeat(other));
    format!(
        r#"(module
        (type $plain (func (param i32) (result i32)))
        (type $wide (func (param i32 v128 {extra}) (result v128 {results})))
        (type $next_wide (func (param i32 v128 {other}) (result v128 {results})))
        (type $maker (func (param i32) (result (ref null $plain))))
        (import "ring" "plain" (table $plains 4 funcref))
        (import "ring" "refs" (table $refs 4 (ref null $plain)))
        (import "ring" "wide" (table $wides 4 funcref))
        (import "ring" "makers" (table $makers 4 funcref))
        (import "ring" "throwers" (table $throwers 4 funcref))
        (import "ring" "ends" (table $ends 4 funcref))
        (import "ring" "stop" (tag $stop (param i32)))
        (import "host" "end" (func $end (type $plain)))
        (global $id i32 (i32.const {id}))
        (elem (table $plains) (i32.const {id}) func $plain)
        (elem (table $refs) (i32.const {id}) (ref null $plain) (ref.func $by_ref))
        (elem (table $wides) (i32.const {id}) func $wide)
        (elem (table $makers) (i32.const {id}) func $maker)
        (elem (table $throwers) (i32.const {id}) func $thrower)
        (elem (table $ends) (i32.const {id}) func $ends)
        (elem declare func $own)
        (func $plain (type $plain)
            (if (i32.eqz (local.get 0)) (then (return (global.get $id))))
            (return_call_indirect $plains (type $plain)
                (i32.sub (local.get 0) (i32.const 1)) (i32.const {next})))
        (func $by_ref (type $plain)
            (if (i32.eqz (local.get 0)) (then (return (global.get $id))))
            (return_call_ref $plain
                (i32.sub (local.get 0) (i32.const 1)) (table.get $refs (i32.const {next}))))
        (func $wide (type $wide)
            (if (i32.eqz (local.get 0)) (then
                (return (i32x4.add (local.get 1) (i32x4.splat (global.get $id))) {numbers})))
            (return_call_indirect $wides (type $next_wide) (i32.sub (local.get 0) (i32.const 1))
                (i32x4.add (local.get 1) (i32x4.splat (i32.const 1))) {others} (i32.const {next})))
        (func $own (type $plain) (i32.add (local.get 0) (global.get $id)))
        (func $maker (type $maker)
            (if (i32.eqz (local.get 0)) (then (return (ref.func $own))))
            (return_call_indirect $makers (type $maker)
                (i32.sub (local.get 0) (i32.const 1)) (i32.const {next})))
        (func $thrower (type $plain)
            (if (i32.eqz (local.get 0)) (then (throw $stop (global.get $id))))
            (return_call_indirect $throwers (type $plain)
                (i32.sub (local.get 0) (i32.const 1)) (i32.const {next})))
        (func $ends (type $plain)
            (if (i32.eqz (local.get 0)) (then (return_call $end (global.get $id))))
            (return_call_indirect $ends (type $plain)
                (i32.sub (local.get 0) (i32.const 1)) (i32.const {next})))
        (func (export "enter") (param i32) (result i32 i32)
            (call_indirect $plains (type $plain) (local.get 0) (i32.const {next}))
            (global.get $id))
        (func (export "tail") (type $plain)
            (return_call_indirect $plains (type $plain) (local.get 0) (i32.const {next})))
        (func (export "by_ref") (param i32) (result i32 i32)
            (call_ref $plain (local.get 0) (table.get $refs (i32.const {next})))
            (global.get $id))
        (func (export "wide") (param i32) (result i32 i32)
            (local $vector v128) (local $sum i64)
            (call_indirect $wides (type $next_wide)
                (local.get 0) (v128.const i32x4 0 0 0 0) {others} (i32.const {next}))
            {sums}
            (local.set $vector)
            (i32.add (i32x4.extract_lane 3 (local.get $vector))
                (i32.mul (i32.const 10000000) (i32.wrap_i64 (local.get $sum))))
            (global.get $id))
        (func (export "make") (param i32) (result i32 i32)
            (call_ref $plain (i32.const 100)
                (call_indirect $makers (type $maker) (local.get 0) (i32.const {next})))
            (global.get $id))
        (func (export "catch") (param i32) (result i32 i32)
            (block $caught (result i32)
                (try_table (result i32) (catch $stop $caught)
                    (call_indirect $throwers (type $plain) (local.get 0) (i32.const {next}))
                    (return (i32.const -1))))
            (global.get $id))
        (func (export "end") (param i32) (result i32 i32)
            (call_indirect $ends (type $plain) (local.get 0) (i32.const {next}))
            (global.get $id)))"#,
        sums = "(local.set $sum (i64.add (local.get $sum)))".repeat(12),
    )
}

struct Ring {
    store: Store<()>,
    members: Vec<Instance>,
}

/// A ring; `end` is the host function that ends the way of `end`.
fn ring(
    count: usize,
    end: impl Fn(Caller<'_, ()>, i32) -> Result<i32, Error> + Send + Sync + 'static,
) -> Ring {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::<()>::new(&engine);
    linker.func_wrap("host", "end", move |caller: Caller<'_, ()>, id: i32| {
        end(caller, id).map_err(|error| -> wfaas_vm::BoxError { Box::new(error) })
    });
    let ring = linker.instantiate(&mut store, &module(&engine, RING)).unwrap();
    linker.instance(&mut store, "ring", ring);
    let members = (0..count)
        .map(|id| {
            let member = module(&engine, &member(id, (id + 1) % count));
            linker.instantiate(&mut store, &member).unwrap()
        })
        .collect();
    Ring { store, members }
}

fn call(
    store: impl AsContextMut,
    member: &Instance,
    name: &str,
    rounds: i32,
) -> Result<(i32, i32), Error> {
    let mut store = store;
    let func = member.get_typed_func::<i32, (i32, i32)>(&mut store, name)?;
    func.call(&mut store, rounds)
}

impl Ring {
    fn call(&mut self, at: usize, name: &str, rounds: i32) -> (i32, i32) {
        call(&mut self.store, &self.members[at], name, rounds).unwrap()
    }

    /// The number of the member that a way of so many rounds ends in.
    fn last(&self, at: usize, rounds: i32) -> i32 {
        (at as i32 + 1 + rounds) % self.members.len() as i32
    }
}

#[test]
fn any_number_of_rounds_ends_in_the_right_instance_and_returns_to_the_right_one() {
    for count in [2, 3] {
        let mut ring = ring(count, |_, id| Ok(id + 1000));
        for rounds in [0, 1, 2, 3, 4, 5, 30_001, ROUNDS] {
            for at in 0..if rounds < ROUNDS { count } else { 1 } {
                let (last, own) = (ring.last(at, rounds), at as i32);
                assert_eq!(ring.call(at, "enter", rounds), (last, own), "{rounds} rounds");
                let rounds = rounds.min(30_001);
                let last = ring.last(at, rounds);
                assert_eq!(ring.call(at, "by_ref", rounds), (last, own), "{rounds} rounds");
                let wide = rounds + last + 10_000_000 * 12 * last;
                assert_eq!(ring.call(at, "wide", rounds), (wide, own), "{rounds} rounds");
                assert_eq!(ring.call(at, "make", rounds), (100 + last, own), "{rounds} rounds");
                assert_eq!(ring.call(at, "catch", rounds), (last, own), "{rounds} rounds");
                assert_eq!(ring.call(at, "end", rounds), (1000 + last, own), "{rounds} rounds");
            }
        }
    }
}

/// The host enters the guest by a tail call right away, and another way around begins in the host
/// function that ends the first.
#[test]
fn ways_around_begin_at_the_host_and_inside_of_each_other() {
    let inner = Arc::new(OnceLock::<Instance>::new());
    let in_host = inner.clone();
    let mut ring = ring(3, move |mut caller, id| {
        let (last, own) = call(&mut caller, in_host.get().unwrap(), "catch", 5)?;
        assert_eq!((last, own), (0, 0));
        Ok(id)
    });
    inner.set(ring.members[0]).unwrap();
    for at in 0..3 {
        let member = ring.members[at];
        let tail = member.get_typed_func::<i32, i32>(&mut ring.store, "tail").unwrap();
        let last = ring.last(at, ROUNDS);
        assert_eq!(tail.call(&mut ring.store, ROUNDS).unwrap(), last);
        for rounds in [0, 1, 2, 3, ROUNDS] {
            assert_eq!(ring.call(at, "end", rounds), (ring.last(at, rounds), at as i32));
        }
    }
}

/// A call that is left in the middle leaves nothing that the next one would take for a bridge.
#[test]
fn calls_go_on_after_one_that_trapped_on_its_way() {
    let mut ring = ring(2, |_, id| match id {
        0 => Err(Error::Unsupported("on purpose".into())),
        _ => Ok(id),
    });
    for rounds in [1, 3, 5, ROUNDS + 1] {
        let (store, member) = (&mut ring.store, &ring.members[0]);
        call(store, member, "end", rounds).unwrap_err();
        for rounds in 0..4 {
            assert_eq!(ring.call(0, "enter", rounds), (ring.last(0, rounds), 0));
            assert_eq!(ring.call(0, "catch", rounds), (ring.last(0, rounds), 0));
        }
    }
}

#[test]
fn a_deadline_ends_a_way_without_end_and_the_backtrace_has_both_ends() {
    let mut ring = ring(2, |_, id| Ok(id));
    for round in 0..20 {
        let soon = Instant::now() + Duration::from_micros(500 + 211 * round);
        ring.store.set_deadline(Some(soon));
        let result = call(&mut ring.store, &ring.members[0], "enter", -1);
        let Err(Error::Trap(trap)) = result else { panic!("{result:?}") };
        assert_eq!(trap.code, TrapCode::DeadlineExceeded);
        let frames = trap.frames();
        assert!((1..=2).contains(&frames.len()), "{trap}");
        assert_eq!(frames.last().unwrap().func_name.as_deref(), Some("enter"), "{trap}");
        ring.store.set_deadline(None);
        assert_eq!(ring.call(1, "enter", 7), (ring.last(1, 7), 1));
    }
}

/// A reference to an imported function is one to its thunk, and native; an import is bound to the
/// thunk's function.
#[test]
fn imported_functions_are_called_directly_and_by_reference() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let a = r#"(module (type $t (func (param i32) (result i32))) (table (export "t") 1 funcref)
        (func (export "f") (param i32) (result i32)
            (if (i32.eqz (local.get 0)) (then (return (i32.const 42))))
            (return_call_indirect (type $t)
                (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))))"#;
    let a = linker.instantiate(&mut store, &module(&engine, a)).unwrap();
    linker.instance(&mut store, "a", a);
    for goes_on in [
        "(return_call $f (local.get 0))",
        "(return_call_ref $type (local.get 0) (ref.func $f))",
        "(return_call_indirect $own (type $type) (local.get 0) (i32.const 0))",
    ] {
        let b = format!(
            r#"(module (type $type (func (param i32) (result i32)))
            (import "a" "t" (table 1 funcref)) (import "a" "f" (func $f (type $type)))
            (table $own funcref (elem $f))
            (func $g (export "g") (type $type) {goes_on})
            (elem (table 0) (i32.const 0) func $g))"#
        );
        let b = linker.instantiate(&mut store, &module(&engine, &b)).unwrap();
        let g = b.get_func(&mut store, "g").unwrap();
        for rounds in [0, 1, 1000, ROUNDS] {
            let results = g.call(&mut store, &[Val::I32(rounds)]).unwrap();
            assert!(matches!(results[..], [Val::I32(42)]), "{goes_on}: {results:?}");
        }
    }
}
