//! Memories and tables with 64-bit indices: what is inside, what traps, and that nothing outside
//! of the slot can be reached.

mod common;
use common::instance;
use wfaas_abi::TrapCode;
use wfaas_vm::{Error, Val};

const TRAPS: Option<TrapCode> = Some(TrapCode::MemoryOutOfBounds);

fn code(error: Error) -> TrapCode {
    error.trap().unwrap_or_else(|| panic!("{error}")).code
}

/// One page; the offsets are those that each way of checking has at its edge.
const ACCESSES: &str = r#"(module
    (memory (export "memory") i64 1 2)
    (data (i64.const 65528) "\01\02\03\04\05\06\07\08")
    (func (export "0") (param i64) (result i64) (i64.load (local.get 0)))
    (func (export "8") (param i64) (result i64) (i64.load offset=8 (local.get 0)))
    (func (export "2G") (param i64) (result i64) (i64.load offset=0x7ffffff0 (local.get 0)))
    (func (export "4G") (param i64) (result i64) (i64.load offset=0x100000000 (local.get 0)))
    (func (export "max") (param i64) (result i64)
        (i64.load offset=0xffffffffffffffff (local.get 0)))
    (func (export "max-7") (param i64) (result i64)
        (i64.load offset=0xfffffffffffffff8 (local.get 0)))
    (func (export "set") (param i64 i64) (i64.store (local.get 0) (local.get 1))))"#;

#[test]
fn a_64_bit_index_cannot_leave_the_slot() {
    let (mut store, instance) = instance(ACCESSES);
    let last = Ok(0x0807_0605_0403_0201u64.cast_signed());
    let inside = [("0", 65528u64), ("8", 65520)];
    let indices = [
        65529u64,
        65536,
        (1 << 31) - 8,
        1 << 31,
        (1 << 32) - 8,
        (1 << 32) - 1,
        1 << 32,
        (1 << 32) + 65528,
        1 << 33,
        (1 << 33) + 65520,
        1 << 47,
        1 << 63,
        (1 << 63) + 65520,
        u64::MAX - 7,
        u64::MAX,
        // The state, the host context and the slot before are at negative distances.
        16u64.wrapping_neg(),
        4096u64.wrapping_neg(),
        (6u64 << 30).wrapping_neg(),
    ];
    for name in ["0", "8", "2G", "4G", "max", "max-7"] {
        let load = instance.get_typed_func::<i64, i64>(&mut store, name).unwrap();
        for index in [0, 8, 65520, 65528].into_iter().chain(indices) {
            let found = load.call(&mut store, index.cast_signed()).map_err(code);
            let small = matches!((name, index), ("0", 0..=65528) | ("8", 0..=65520));
            let expected = match (name, index) {
                _ if inside.contains(&(name, index)) => last,
                // Zeros before the segment, and halfway into it by eight bytes of offset.
                _ if small => Ok(0),
                _ => Err(TrapCode::MemoryOutOfBounds),
            };
            assert_eq!(found, expected, "offset {name}, index {index:#x}");
        }
    }
}

#[test]
fn stores_beyond_4_gib_change_nothing() {
    let (mut store, instance) = instance(ACCESSES);
    let set = instance.get_typed_func::<(i64, i64), ()>(&mut store, "set").unwrap();
    for index in [1i64 << 32, 1 << 33, i64::MIN, -16, -8] {
        assert_eq!(set.call(&mut store, (index, -1)).map_err(code), Err(TRAPS.unwrap()));
    }
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    assert_eq!(memory.size(&store), 1, "the size is right below the memory");
    assert!(memory.data(&store)[..65528].iter().all(|byte| *byte == 0));
    set.call(&mut store, (65528, -1)).unwrap();
    assert_eq!(memory.data(&store)[65528..], [0xff; 8]);
}

#[test]
fn sizes_and_bulk_operators_take_64_bits() {
    let (mut store, instance) = instance(
        r#"(module
        (memory $m (export "memory") i64 1 0x1000000000000)
        (data $d "abcdef")
        (func (export "size") (result i64) (memory.size))
        (func (export "grow") (param i64) (result i64) (memory.grow (local.get 0)))
        (func (export "fill") (param i64 i64)
            (memory.fill (local.get 0) (i32.const 7) (local.get 1)))
        (func (export "copy") (param i64 i64 i64)
            (memory.copy (local.get 0) (local.get 1) (local.get 2)))
        (func (export "init") (param i64) 
            (memory.init $d (local.get 0) (i32.const 1) (i32.const 3))))"#,
    );
    let size = instance.get_typed_func::<(), i64>(&mut store, "size").unwrap();
    let grow = instance.get_typed_func::<i64, i64>(&mut store, "grow").unwrap();
    assert_eq!(size.call(&mut store, ()).unwrap(), 1);
    assert_eq!(grow.call(&mut store, 1).unwrap(), 1);
    // More than a slot has, more than a 64-bit memory can have, more than 64 bits.
    for delta in [65535, 1 << 32, 1 << 48, i64::MAX, -1, -2] {
        assert_eq!(grow.call(&mut store, delta).unwrap(), -1, "{delta}");
    }
    assert_eq!(size.call(&mut store, ()).unwrap(), 2);
    let fill = instance.get_typed_func::<(i64, i64), ()>(&mut store, "fill").unwrap();
    fill.call(&mut store, (131_070, 2)).unwrap();
    for (at, len) in [(131_071, 2), (1 << 32, 0), (0, 1 << 32), (-1, 2), (-1, -1), (1 << 32, 1)] {
        assert_eq!(fill.call(&mut store, (at, len)).map_err(code), Err(TRAPS.unwrap()));
    }
    let copy = instance.get_typed_func::<(i64, i64, i64), ()>(&mut store, "copy").unwrap();
    copy.call(&mut store, (0, 131_070, 2)).unwrap();
    for range in [(0, 1 << 32, 1), (1 << 32, 0, 1), (0, 0, 1 << 32), (-1, 0, 2), (0, -2, 3)] {
        assert_eq!(copy.call(&mut store, range).map_err(code), Err(TRAPS.unwrap()));
    }
    let init = instance.get_typed_func::<i64, ()>(&mut store, "init").unwrap();
    init.call(&mut store, 2).unwrap();
    assert_eq!(init.call(&mut store, (1 << 32) + 2).map_err(code), Err(TRAPS.unwrap()));
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    assert_eq!(memory.data(&store)[..6], [7, 7, b'b', b'c', b'd', 0]);
}

#[test]
fn tables_take_64_bits() {
    let (mut store, instance) = instance(
        r#"(module
        (type $f (func (result i32)))
        (table $t (export "t") i64 3 10 funcref)
        (elem (table $t) (i64.const 1) func $a $b)
        (elem $e func $b $a)
        (func $a (result i32) (i32.const 10)) (func $b (result i32) (i32.const 20))
        (func (export "call") (param i64) (result i32)
            (call_indirect $t (type $f) (local.get 0)))
        (func (export "null") (param i64) (result i32)
            (ref.is_null (table.get $t (local.get 0))))
        (func (export "clear") (param i64) (table.set $t (local.get 0) (ref.null func)))
        (func (export "size") (result i64) (table.size $t))
        (func (export "grow") (param i64) (result i64)
            (table.grow $t (ref.func $a) (local.get 0)))
        (func (export "init") (param i64)
            (table.init $t $e (local.get 0) (i32.const 0) (i32.const 2)))
        (func (export "fill") (param i64 i64)
            (table.fill $t (local.get 0) (ref.null func) (local.get 1)))
        (func (export "copy") (param i64 i64 i64)
            (table.copy $t $t (local.get 0) (local.get 1) (local.get 2))))"#,
    );
    let call = instance.get_typed_func::<i64, i32>(&mut store, "call").unwrap();
    assert_eq!(call.call(&mut store, 1).unwrap(), 10);
    assert_eq!(call.call(&mut store, 2).unwrap(), 20);
    assert_eq!(call.call(&mut store, 0).map_err(code), Err(TrapCode::UninitializedElement));
    let null = instance.get_typed_func::<i64, i32>(&mut store, "null").unwrap();
    let clear = instance.get_typed_func::<i64, ()>(&mut store, "clear").unwrap();
    for index in [3, (1 << 32) + 1, 1 << 61, i64::MIN + 1, -1] {
        assert_eq!(call.call(&mut store, index).map_err(code), Err(TrapCode::UndefinedElement));
        assert_eq!(null.call(&mut store, index).map_err(code), Err(TrapCode::TableOutOfBounds));
        assert_eq!(clear.call(&mut store, index).map_err(code), Err(TrapCode::TableOutOfBounds));
    }
    let grow = instance.get_typed_func::<i64, i64>(&mut store, "grow").unwrap();
    assert_eq!(grow.call(&mut store, 2).unwrap(), 3);
    for delta in [6, 1 << 32, 1 << 61, -1, i64::MIN] {
        assert_eq!(grow.call(&mut store, delta).unwrap(), -1);
    }
    let size = instance.get_typed_func::<(), i64>(&mut store, "size").unwrap();
    assert_eq!(size.call(&mut store, ()).unwrap(), 5);
    let init = instance.get_typed_func::<i64, ()>(&mut store, "init").unwrap();
    init.call(&mut store, 3).unwrap();
    assert_eq!(call.call(&mut store, 3).unwrap(), 20);
    assert_eq!(init.call(&mut store, 1 << 32).map_err(code), Err(TrapCode::TableOutOfBounds));
    let copy = instance.get_typed_func::<(i64, i64, i64), ()>(&mut store, "copy").unwrap();
    copy.call(&mut store, (0, 3, 2)).unwrap();
    assert_eq!(call.call(&mut store, 0).unwrap(), 20);
    let outside = copy.call(&mut store, (0, 1 << 32, 1)).map_err(code);
    assert_eq!(outside, Err(TrapCode::TableOutOfBounds));
    let fill = instance.get_typed_func::<(i64, i64), ()>(&mut store, "fill").unwrap();
    fill.call(&mut store, (4, 1)).unwrap();
    assert_eq!(null.call(&mut store, 4).unwrap(), 1);
    let outside = fill.call(&mut store, (0, (1 << 32) + 1)).map_err(code);
    assert_eq!(outside, Err(TrapCode::TableOutOfBounds));
    let table = instance.get_table(&mut store, "t").unwrap();
    assert!(matches!(table.get(&store, 4).unwrap(), Some(Val::FuncRef(None))));
}

#[test]
fn the_index_type_is_part_of_the_type() {
    let engine = common::engine();
    let exporter = common::module(
        &engine,
        r#"(module (memory (export "m") i64 1) (table (export "t") i64 1 funcref))"#,
    );
    for (import, fits) in [
        (r#"(import "a" "m" (memory i64 1))"#, true),
        (r#"(import "a" "m" (memory 1))"#, false),
        (r#"(import "a" "t" (table i64 1 funcref))"#, true),
        (r#"(import "a" "t" (table 1 funcref))"#, false),
    ] {
        let mut store = wfaas_vm::Store::new(&engine, ());
        let mut linker = wfaas_vm::Linker::new(&engine);
        let exporter = linker.instantiate(&mut store, &exporter).unwrap();
        linker.instance(&mut store, "a", exporter);
        let importer = common::module(&engine, &format!("(module {import})"));
        let result = linker.instantiate(&mut store, &importer);
        assert_eq!(result.is_ok(), fits, "{import}");
        if let Err(error) = result {
            assert!(
                error.to_string().contains("found memory i64 1..")
                    || error.to_string().contains("found table i64 1.."),
                "{error}"
            );
        }
    }
}
