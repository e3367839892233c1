//! Values that cross to host functions and back, however their types make them pass.

mod common;
use common::{engine, module};
use wfaas_abi::{FuncType, ValType};
use wfaas_vm::{Caller, Instance, Linker, Store, Val};

/// For each list of parameter types a host function that returns its last argument, called by an
/// export with the arguments given, directly and through a table.
fn echo(params: &[ValType], dynamic: bool, args: &[Val]) -> Vec<Val> {
    let list: Vec<String> = params.iter().map(ValType::to_string).collect();
    let (list, result) = (list.join(" "), params[params.len() - 1]);
    let gets: String = (0..params.len()).map(|at| format!("(local.get {at})")).collect();
    let text = format!(
        "(module (type $t (func (param {list}) (result {result})))
            (import \"host\" \"f\" (func $f (type $t)))
            (table funcref (elem $f))
            (func (export \"direct\") (type $t) (call $f {gets}))
            (func (export \"indirect\") (type $t)
                (call_indirect (type $t) {gets} (i32.const 0))))"
    );
    let engine = engine();
    let mut linker = Linker::<()>::new(&engine);
    let mut store = Store::new(&engine, ());
    let ty = FuncType::new(params.to_vec(), vec![result]);
    if dynamic {
        let func = wfaas_vm::Func::new(&mut store, ty, |_, args, results| {
            results[0] = args[args.len() - 1].clone();
            Ok(())
        });
        linker.define("host", "f", wfaas_vm::Extern::Func(func));
    } else {
        define_typed(&mut linker, params);
    }
    let instance = linker.instantiate(&mut store, &module(&engine, &text)).unwrap();
    let direct = call(&mut store, instance, "direct", args);
    let indirect = call(&mut store, instance, "indirect", args);
    assert_eq!(bits(&direct), bits(&indirect));
    direct
}

fn define_typed(linker: &mut Linker<()>, params: &[ValType]) {
    match params {
        [ValType::I32] => linker.func_wrap("host", "f", |_: Caller<'_, ()>, a: i32| a),
        [ValType::I64] => linker.func_wrap("host", "f", |_: Caller<'_, ()>, a: i64| a),
        [ValType::F32] => linker.func_wrap("host", "f", |_: Caller<'_, ()>, a: f32| a),
        [ValType::F64] => linker.func_wrap("host", "f", |_: Caller<'_, ()>, a: f64| a),
        [ValType::F32, ValType::I64, ValType::F64, ValType::I32] => {
            linker.func_wrap("host", "f", |_: Caller<'_, ()>, a: f32, b: i64, c: f64, d: i32| {
                assert_eq!((a, b, c), (1.5, -1 << 40, -0.25));
                d
            })
        }
        [ValType::F32, ValType::I64, ValType::F64, ValType::I32, ValType::F64] => linker.func_wrap(
            "host",
            "f",
            |_: Caller<'_, ()>, a: f32, b: i64, c: f64, d: i32, e: f64| {
                assert_eq!((a, b, c, d), (1.5, -1 << 40, -0.25, -7));
                e
            },
        ),
        other => panic!("no typed function for {other:?}"),
    };
}

fn call(store: &mut Store<()>, instance: Instance, name: &str, args: &[Val]) -> Vec<Val> {
    instance.get_func(store, name).unwrap().call(store, args).unwrap()
}

/// Values compared by their bits: not every float is equal to itself.
fn bits(values: &[Val]) -> String {
    format!("{values:?}")
}

#[test]
fn every_bit_of_a_scalar_arrives_and_comes_back() {
    for value in [
        Val::I32(0),
        Val::I32(-1),
        Val::I32(i32::MIN),
        Val::I64(-2),
        Val::I64(i64::MIN),
        Val::F32(1.5f32.to_bits()),
        Val::F32(0xffff_ffff),
        Val::F32(0x7fa0_0001),
        Val::F64((-1.5f64).to_bits()),
        Val::F64(0x7ff4_0000_0000_0001),
    ] {
        for dynamic in [false, true] {
            let came_back = echo(&[value.ty()], dynamic, std::slice::from_ref(&value));
            assert_eq!(bits(&came_back), bits(std::slice::from_ref(&value)), "dynamic: {dynamic}");
        }
    }
}

#[test]
fn as_many_as_fit_into_registers_and_one_more() {
    let mut types = vec![ValType::F32, ValType::I64, ValType::F64, ValType::I32];
    let mut args = vec![
        Val::F32(1.5f32.to_bits()),
        Val::I64(-1 << 40),
        Val::F64((-0.25f64).to_bits()),
        Val::I32(-7),
    ];
    for dynamic in [false, true] {
        assert_eq!(bits(&echo(&types, dynamic, &args)), "[I32(-7)]");
    }
    types.push(ValType::F64);
    args.push(Val::F64(7));
    for dynamic in [false, true] {
        assert_eq!(bits(&echo(&types, dynamic, &args)), "[F64(7)]");
    }
}

#[test]
fn a_vector_is_passed_in_memory() {
    let vector = Val::V128(0x0123_4567_89ab_cdef_1122_3344_5566_7788);
    let came_back = echo(&[ValType::I32, ValType::V128], true, &[Val::I32(1), vector.clone()]);
    assert_eq!(bits(&came_back), bits(&[vector]));
}

#[test]
fn functions_without_results_and_with_two() {
    let text = "(module (import \"host\" \"none\" (func $none (param i32)))
        (import \"host\" \"two\" (func $two (param i32) (result i32 i64)))
        (func (export \"run\") (param i32) (result i32 i64)
            (call $none (local.get 0)) (call $two (local.get 0))))";
    let engine = engine();
    let mut linker = Linker::<i32>::new(&engine);
    linker.func_wrap("host", "none", |mut caller: Caller<'_, i32>, a: i32| {
        *caller.data_mut() = a;
    });
    linker.func_wrap("host", "two", |_: Caller<'_, i32>, a: i32| (a + 1, i64::from(a) << 33));
    let mut store = Store::new(&engine, 0);
    let instance = linker.instantiate(&mut store, &module(&engine, text)).unwrap();
    let run = instance.get_typed_func::<i32, (i32, i64)>(&mut store, "run").unwrap();
    assert_eq!(run.call(&mut store, 5).unwrap(), (6, 5 << 33));
    assert_eq!(*store.data(), 5);
}
