//! Vectors pass every border there is: calls in all directions, globals, blocks, images.

mod common;
use common::engine;
use wfaas_abi::{FuncType, TrapCode, ValType};
use wfaas_compiler::Options;
use wfaas_vm::{
    Caller, Engine, Error, Extern, Global, GlobalType, Instance, Linker, Module, Pool, Store, Val,
};

const A: u128 = 0x0f0e_0d0c_0b0a_0908_0706_0504_0302_0100;
const B: u128 = 0xfedc_ba98_7654_3210_0123_4567_89ab_cdef;

/// What every test runs on: instructions with 16 bytes in memory differ between these two.
const CPUS: [&str; 2] = ["x86-64-v2", "x86-64-v3"];

fn module(engine: &Engine, cpu: &str, wat: &str) -> Module {
    let cpu = wfaas_compiler::parse_cpu(cpu).unwrap();
    let options = Options { cpu, ..Options::default() };
    common::module_with(engine, wat, &options)
}

fn call(store: &mut Store<()>, instance: Instance, name: &str, args: &[Val]) -> Vec<Val> {
    instance.get_func(store, name).unwrap().call(store, args).unwrap()
}

/// `Val` has no equality, since host objects have none.
#[track_caller]
fn assert_values(found: &[Val], expected: &[Val]) {
    assert_eq!(format!("{found:x?}"), format!("{expected:x?}"));
}

fn vectors(range: std::ops::Range<u128>) -> Vec<Val> {
    range.map(|number| Val::V128(number << 64 | (number + 1))).collect()
}

#[test]
fn host_functions_take_and_return_vectors() {
    for cpu in CPUS {
        let engine = engine();
        let mut linker = Linker::new(&engine);
        let ty = FuncType::new(
            [ValType::V128, ValType::I32, ValType::V128, ValType::F64],
            [ValType::F64, ValType::V128, ValType::I32, ValType::V128],
        );
        linker.func_new("host", "reverse", ty, |_: Caller<'_, ()>, args, results| {
            results.clone_from_slice(args);
            results.reverse();
            Ok(())
        });
        let wat = r#"(module
            (type $reverse (func (param v128 i32 v128 f64) (result f64 v128 i32 v128)))
            (import "host" "reverse" (func $reverse (type $reverse)))
            (table funcref (elem $reverse))
            (func (export "direct") (type $reverse)
                (call $reverse (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
            (func (export "indirect") (type $reverse)
                (call_indirect (type $reverse)
                    (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 0)))
            (export "itself" (func $reverse)))"#;
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &module(&engine, cpu, wat)).unwrap();
        let args = [Val::V128(A), Val::I32(7), Val::V128(B), Val::F64(9)];
        let expected = [Val::F64(9), Val::V128(B), Val::I32(7), Val::V128(A)];
        for name in ["direct", "indirect", "itself"] {
            assert_values(&call(&mut store, instance, name, &args), &expected);
        }
    }
}

/// More vectors than there are registers for them, called directly, through a table, and from
/// another instance.
#[test]
fn functions_take_and_return_many_vectors() {
    let list = |text: &str, count: usize| vec![text; count].join(" ");
    let ty = format!("(param {0}) (result {0})", list("v128", 20));
    let gets = |order: &mut dyn Iterator<Item = usize>| -> String {
        order.map(|index| format!("(local.get {index})")).collect()
    };
    let straight = gets(&mut (0..20));
    let reversed = gets(&mut (0..20).rev());
    let callee = format!(
        r#"(module
            (type $many (func {ty}))
            (table (export "table") 1 funcref) (elem (i32.const 0) $many)
            (func $many (export "many") (type $many) {reversed})
            (func (export "direct") (type $many) {straight} call $many)
            (func (export "indirect") (type $many)
                {straight} i32.const 0 call_indirect (type $many)))"#
    );
    let caller = format!(
        r#"(module
            (type $many (func {ty}))
            (import "callee" "many" (func $many (type $many)))
            (import "callee" "table" (table 1 funcref))
            (func (export "direct") (type $many) {straight} call $many)
            (func (export "indirect") (type $many)
                {straight} i32.const 0 call_indirect (type $many)))"#
    );
    let mut expected = vectors(1..21);
    expected.reverse();
    for cpu in CPUS {
        let engine = engine();
        let mut linker = Linker::new(&engine);
        let mut store = Store::new(&engine, ());
        let first = linker.instantiate(&mut store, &module(&engine, cpu, &callee)).unwrap();
        linker.instance(&mut store, "callee", first);
        let second = linker.instantiate(&mut store, &module(&engine, cpu, &caller)).unwrap();
        for instance in [first, second] {
            for name in ["direct", "indirect"] {
                assert_values(&call(&mut store, instance, name, &vectors(1..21)), &expected);
            }
        }
    }
}

#[test]
fn globals_hold_vectors() {
    let exporter = r#"(module
        (global (export "a") v128 (v128.const i64x2 5 6))
        (global (export "b") (mut v128) (v128.const i64x2 7 8)))"#;
    let importer = r#"(module
        (import "host" "g" (global $host (mut v128)))
        (import "guest" "a" (global $a v128))
        (import "guest" "b" (global $b (mut v128)))
        (global $own (export "own") (mut v128) (global.get $a))
        (func (export "sums") (param v128) (result v128 v128 v128 v128)
            (global.set $b (i64x2.add (local.get 0) (global.get $b)))
            (global.set $own (i64x2.add (local.get 0) (global.get $own)))
            (global.set $host (i64x2.add (local.get 0) (global.get $host)))
            (global.get $host) (global.get $a) (global.get $b) (global.get $own)))"#;
    let pair = |low: u128, high: u128| Val::V128(high << 64 | low);
    for cpu in CPUS {
        let engine = engine();
        let mut linker = Linker::new(&engine);
        let mut store = Store::new(&engine, ());
        let ty = GlobalType { content: ValType::V128, mutable: true };
        let host = Global::new(&mut store, ty, pair(1, 2)).unwrap();
        linker.define("host", "g", Extern::Global(host));
        let guest = linker.instantiate(&mut store, &module(&engine, cpu, exporter)).unwrap();
        linker.instance(&mut store, "guest", guest);
        let instance = linker.instantiate(&mut store, &module(&engine, cpu, importer)).unwrap();
        let sums = call(&mut store, instance, "sums", &[pair(10, 20)]);
        assert_values(&sums, &[pair(11, 22), pair(5, 6), pair(17, 28), pair(15, 26)]);
        assert_values(&[host.get(&store).unwrap()], &[pair(11, 22)]);
        let own = instance.get_global(&mut store, "own").unwrap();
        own.set(&mut store, pair(1000, 2000)).unwrap();
        let sums = call(&mut store, instance, "sums", &[pair(1, 1)]);
        assert_values(&sums[3..], &[pair(1001, 2001)]);
    }
}

/// A vector that one operator made as lanes of some shape goes where the code generator needs the
/// one type for all.
#[test]
fn shapes_meet_where_control_does() {
    let wat = r#"(module
        (func (export "zero") (result v128) (local v128) (local.get 0))
        (func (export "if") (param v128 i32) (result v128)
            (if (result v128) (local.get 1)
                (then (f32x4.neg (local.get 0)))
                (else (i64x2.add (local.get 0) (local.get 0)))))
        (func (export "select") (param v128 i32) (result v128)
            (select (i16x8.neg (local.get 0)) (f64x2.neg (local.get 0)) (local.get 1)))
        (func (export "typed_select") (param v128 i32) (result v128)
            (select (result v128)
                (i8x16.neg (local.get 0)) (f64x2.neg (local.get 0)) (local.get 1)))
        (func (export "loop") (param v128 i32) (result v128)
            (i32x4.splat (i32.const 0))
            (loop $l (param v128) (result v128)
                (i32x4.add (local.get 0))
                (br_if $l (local.tee 1 (i32.sub (local.get 1) (i32.const 1))))))
        (func (export "table") (param v128 i32) (result v128)
            (block $outer (result v128)
                (block $inner (result v128)
                    (br_table $inner $outer (f32x4.abs (local.get 0)) (local.get 1)))
                (i16x8.add (local.get 0)))))"#;
    let ones = Val::V128(0x0000_0001_0000_0001_0000_0001_0000_0001);
    let cases = [
        ("if", 1, 0x8000_0001_8000_0001_8000_0001_8000_0001),
        ("if", 0, 0x0000_0002_0000_0002_0000_0002_0000_0002),
        ("select", 1, 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff),
        ("select", 0, 0x8000_0001_0000_0001_8000_0001_0000_0001),
        ("typed_select", 1, 0x0000_00ff_0000_00ff_0000_00ff_0000_00ff),
        ("typed_select", 0, 0x8000_0001_0000_0001_8000_0001_0000_0001),
        ("loop", 5, 0x0000_0005_0000_0005_0000_0005_0000_0005),
        ("table", 0, 0x0000_0002_0000_0002_0000_0002_0000_0002),
        ("table", 1, 0x0000_0001_0000_0001_0000_0001_0000_0001),
    ];
    for cpu in CPUS {
        let engine = engine();
        let mut store = Store::new(&engine, ());
        let module = module(&engine, cpu, wat);
        let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
        assert_values(&call(&mut store, instance, "zero", &[]), &[Val::V128(0)]);
        for (name, number, expected) in cases {
            let found = call(&mut store, instance, name, &[ones.clone(), Val::I32(number)]);
            assert_values(&found, &[Val::V128(expected)]);
        }
    }
}

const KEEPER: &str = r#"(module
    (memory (export "memory") 1)
    (global $g (export "g") (mut v128) (v128.const i64x2 1 2))
    (func (export "keep") (param i32 v128)
        (global.set $g (local.get 1))
        (v128.store (local.get 0) (local.get 1)))
    (func (export "kept") (param i32) (result v128 v128)
        (global.get $g) (v128.load (local.get 0))))"#;

#[test]
fn images_hold_vectors() {
    for cpu in CPUS {
        let engine = engine();
        let raw = module(&engine, cpu, KEEPER);
        let linker = Linker::new(&engine);
        let mut store = Store::new(&engine, ());
        let instance = linker.instantiate(&mut store, &raw).unwrap();
        // Half on one page, half on the next.
        let at = Val::I32(4096 - 8);
        call(&mut store, instance, "keep", &[at.clone(), Val::V128(A)]);
        let capture = instance.capture(&mut store).unwrap();
        let proto = capture.to_proto(&raw);
        let pool = Pool::new(&linker, &raw.with_proto(&proto).unwrap()).unwrap();
        for _ in 0..3 {
            let mut faaslet = pool.acquire(()).unwrap();
            let instance = faaslet.instance();
            let kept = call(faaslet.store(), instance, "kept", std::slice::from_ref(&at));
            assert_values(&kept, &[Val::V128(A), Val::V128(A)]);
            call(faaslet.store(), instance, "keep", &[at.clone(), Val::V128(B)]);
            let kept = call(faaslet.store(), instance, "kept", std::slice::from_ref(&at));
            assert_values(&kept, &[Val::V128(B), Val::V128(B)]);
        }
    }
}

#[test]
fn an_access_that_is_half_outside_traps_and_writes_nothing() {
    for cpu in CPUS {
        let engine = engine();
        let mut store = Store::new(&engine, ());
        let module = module(&engine, cpu, KEEPER);
        let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
        let at = Val::I32(65536 - 8);
        for (name, args) in [("keep", vec![at.clone(), Val::V128(A)]), ("kept", vec![at])] {
            let function = instance.get_func(&mut store, name).unwrap();
            match function.call(&mut store, &args).unwrap_err() {
                Error::Trap(trap) => assert_eq!(trap.code, TrapCode::MemoryOutOfBounds),
                other => panic!("{other}"),
            }
        }
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        assert_eq!(memory.data(&store)[65536 - 8..], [0; 8]);
    }
}

/// Lanes of 32 bits that are all the same.
const fn splat(lane: u32) -> u128 {
    lane as u128 * 0x0000_0001_0000_0001_0000_0001_0000_0001
}

#[test]
fn relaxed_operators_mean_the_same_on_every_cpu() {
    let nan = splat(f32::NAN.to_bits());
    let minimum = splat(0x8000_8000); // of 16-bit lanes
    // The square of 1 + 2^-12 is 1 + 2^-11 + 2^-24, of which the last is lost when it is rounded.
    let (factor, square) = (splat(0x3f80_0800), splat(0x3f80_1000));
    let minus_square = square ^ splat(0x8000_0000);
    let cases: [(&str, &[u128], u128); 11] = [
        ("i8x16.relaxed_swizzle", &[splat(0x0404_0404), splat(0x8f10_0f00)], splat(0x0000_0404)),
        ("i32x4.relaxed_trunc_f32x4_s", &[nan], 0),
        ("i32x4.relaxed_trunc_f32x4_u", &[splat((-1f32).to_bits())], 0),
        ("i32x4.relaxed_trunc_f32x4_s", &[splat(1e20f32.to_bits())], splat(i32::MAX as u32)),
        ("i16x8.relaxed_laneselect", &[u128::MAX, 0, splat(0x8001_7ffe)], splat(0x8001_7ffe)),
        ("f32x4.relaxed_min", &[splat(0), splat(0x8000_0000)], splat(0x8000_0000)),
        ("f32x4.relaxed_max", &[splat(0x8000_0000), splat(0)], splat(0)),
        ("i16x8.relaxed_q15mulr_s", &[minimum, minimum], splat(0x7fff_7fff)),
        ("i16x8.relaxed_dot_i8x16_i7x16_s", &[splat(0x8080_8080), splat(0x8080_8080)], minimum),
        ("f32x4.relaxed_madd", &[factor, factor, minus_square], 0),
        ("f32x4.relaxed_nmadd", &[factor, factor, square], 0),
    ];
    for cpu in CPUS {
        for (operator, operands, expected) in cases {
            let constants: String = operands
                .iter()
                .map(|bits| format!("(v128.const i64x2 {} {})", *bits as u64, bits >> 64))
                .collect();
            let wat =
                format!(r#"(module (func (export "f") (result v128) ({operator} {constants})))"#);
            let engine = engine();
            let mut store = Store::new(&engine, ());
            let module = module(&engine, cpu, &wat);
            let instance = Linker::new(&engine).instantiate(&mut store, &module).unwrap();
            match call(&mut store, instance, "f", &[])[..] {
                [Val::V128(found)] => {
                    assert_eq!(found, expected, "{operator} for {cpu}: {found:x}")
                }
                ref other => panic!("{operator}: {other:?}"),
            }
        }
    }
}
