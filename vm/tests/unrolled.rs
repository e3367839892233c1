//! Loops that the compiler makes several rounds long: however many rounds a guest asks for, the
//! results, what is used behind the loop, and where it traps are as if it had not.

mod common;
use wfaas_compiler::{Options, Passes};
use wfaas_vm::{Engine, Error, Instance, Linker, Store};

const LOOPS: &str = r#"(module (memory 1)
    ;; Two variables change places each round.
    (func (export "fibonacci") (param $n i32) (result i32) (local $a i32) (local $b i32) (local $c i32)
        (local.set $b (i32.const 1))
        (loop $l
            (local.set $c (i32.add (local.get $a) (local.get $b)))
            (local.set $a (local.get $b))
            (local.set $b (local.get $c))
            (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (local.get $a))
    ;; What is before and after counting is used behind the loop, in a block of its own.
    (func (export "both") (param $n i32) (result i32) (local $i i32) (local $before i32)
        (loop $l
            (local.set $before (local.get $i))
            (local.set $i (i32.add (local.get $i) (i32.const 3)))
            (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
        (if (result i32) (local.get $n)
            (then (i32.add (i32.mul (i32.const 1000) (local.get $before)) (local.get $i)))
            (else (i32.const -1))))
    ;; One loop uses what another one has left.
    (func (export "chained") (param $n i32) (result i32) (local $i i32) (local $j i32)
        (loop $l
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $i) (local.get $n))))
        (loop $l
            (local.set $j (i32.add (local.get $j) (local.get $i)))
            (br_if $l (i32.lt_u (local.get $j) (i32.const 100))))
        (i32.add (i32.mul (i32.const 1000) (local.get $i)) (local.get $j)))
    ;; The way back is the one that is not taken.
    (func (export "until") (param $n i32) (result i32) (local $i i32)
        (block $out
            (loop $l
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $out (i32.ge_u (local.get $i) (local.get $n)))
                (br $l)))
        (local.get $i))
    (func (export "traps") (param $n i32) (result i32) (local $i i32)
        (loop $l
            (i32.store8 (local.get $i) (i32.const 7))
            (drop (i32.div_u (i32.const 1) (i32.sub (local.get $n) (local.get $i))))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 100))))
        (local.get $i)))"#;

fn instance(passes: Passes) -> (Store<()>, Instance) {
    let engine: Engine = common::engine();
    let options = Options { passes, ..Options::default() };
    let module = common::module_with(&engine, LOOPS, &options);
    let mut store = Store::new(&engine, ());
    let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
    (store, instance)
}

fn call(of: &mut (Store<()>, Instance), name: &str, n: i32) -> Result<i32, Error> {
    let (store, instance) = of;
    let function = instance.get_typed_func::<i32, i32>(store, name).unwrap();
    function.call(store, n)
}

#[test]
fn any_number_of_rounds_gives_the_same() {
    let mut guest = instance(Passes::ALL);
    for (n, expected) in (1..).zip([1, 1, 2, 3, 5, 8, 13, 21, 34, 55]) {
        assert_eq!(call(&mut guest, "fibonacci", n).unwrap(), expected, "{n}");
    }
    let both = [-1, 3, 3, 3, 3006, 3006, 3006, 6009, 6009, 6009, 9012];
    for (n, expected) in (0..).zip(both) {
        assert_eq!(call(&mut guest, "both", n).unwrap(), expected, "{n}");
    }
    let chained = [1100, 1100, 2100, 3102, 4100, 5100, 6102, 7105];
    for (n, expected) in (0..).zip(chained) {
        assert_eq!(call(&mut guest, "chained", n).unwrap(), expected, "{n}");
    }
    for n in 1..9 {
        assert_eq!(call(&mut guest, "until", n).unwrap(), n);
    }
}

#[test]
fn traps_are_in_the_round_and_place_where_they_were() {
    let mut guest = instance(Passes::ALL);
    let mut plain = instance(Passes::ALL.without("unroll").unwrap());
    for n in 0..7 {
        let frames = |of: &mut (Store<()>, Instance)| match call(of, "traps", n).unwrap_err() {
            Error::Trap(trap) => (trap.code, trap.frames()),
            other => panic!("{other}"),
        };
        let (unrolled, expected) = (frames(&mut guest), frames(&mut plain));
        assert!(expected.1[0].wasm_offset.is_some());
        assert_eq!(unrolled, expected, "{n}");
    }
}
