//! References that several instances pass to each other through tables and globals: each names its function, whoever reads it.

mod common;
use common::{engine, module};
use wfaas_vm::{Instance, Linker, Store};

/// An instance with a number of its own, and a table and a global of functions that tell it.
const TELLER: &str = r#"(module
    (global $number (mut i32) (i32.const 0))
    (type $tell (func (result i32)))
    (func $tell (export "tell") (type $tell) (global.get $number))
    (func $negative (type $tell) (i32.sub (i32.const 0) (global.get $number)))
    (table (export "table") 4 4 funcref) (elem (i32.const 0) func $tell $negative)
    (global (export "function") (mut funcref) (ref.func $tell))
    (func (export "number") (param i32) (global.set $number (local.get 0))))"#;

/// Reads two such tables and globals, calls what is in them, and puts functions into them.
const READER: &str = r#"(module
    (import "one" "table" (table $one 4 4 funcref))
    (import "other" "table" (table $other 4 4 funcref))
    (import "one" "function" (global $one (mut funcref)))
    (import "other" "function" (global $other (mut funcref)))
    (type $tell (func (result i32)))
    (func $own (type $tell) (i32.const 1000))
    (elem declare func $own)
    (func (export "one") (param i32) (result i32) (call_indirect $one (type $tell) (local.get 0)))
    (func (export "other") (param i32) (result i32) (call_indirect $other (type $tell) (local.get 0)))
    (func (export "move") (param i32 i32)
        (table.set $other (local.get 1) (table.get $one (local.get 0))))
    (func (export "put") (param i32) (table.set $one (local.get 0) (ref.func $own)))
    (func (export "globals")
        (table.set $one (i32.const 3) (global.get $other))
        (global.set $other (global.get $one))
        (table.set $other (i32.const 3) (global.get $other))))"#;

struct Shared {
    store: Store<()>,
    reader: Instance,
}

impl Shared {
    fn new() -> Shared {
        let engine = engine();
        let (teller, reader) = (module(&engine, TELLER), module(&engine, READER));
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        for (name, number) in [("one", 1), ("other", 20)] {
            let instance = linker.instantiate(&mut store, &teller).unwrap();
            let set = instance.get_typed_func::<i32, ()>(&mut store, "number").unwrap();
            set.call(&mut store, number).unwrap();
            linker.instance(&mut store, name, instance);
        }
        let reader = linker.instantiate(&mut store, &reader).unwrap();
        Shared { store, reader }
    }

    /// What the function at this place of a table tells.
    fn tells(&mut self, table: &str, at: i32) -> i32 {
        let call = self.reader.get_typed_func::<i32, i32>(&mut self.store, table).unwrap();
        call.call(&mut self.store, at).unwrap()
    }
}

#[test]
fn references_of_two_instances_of_one_module_stay_apart() {
    let mut shared = Shared::new();
    // The second time, how they read here is known.
    for _ in 0..2 {
        assert_eq!([shared.tells("one", 0), shared.tells("other", 0)], [1, 20]);
        assert_eq!([shared.tells("one", 1), shared.tells("other", 1)], [-1, -20]);
    }
    let moves = shared.reader.get_typed_func::<(i32, i32), ()>(&mut shared.store, "move").unwrap();
    moves.call(&mut shared.store, (1, 2)).unwrap();
    assert_eq!(shared.tells("other", 2), -1);
    let put = shared.reader.get_typed_func::<i32, ()>(&mut shared.store, "put").unwrap();
    put.call(&mut shared.store, 1).unwrap();
    assert_eq!(shared.tells("one", 1), 1000);
    moves.call(&mut shared.store, (1, 0)).unwrap();
    assert_eq!([shared.tells("other", 0), shared.tells("other", 2)], [1000, -1]);
    let globals = shared.reader.get_typed_func::<(), ()>(&mut shared.store, "globals").unwrap();
    globals.call(&mut shared.store, ()).unwrap();
    assert_eq!([shared.tells("one", 3), shared.tells("other", 3)], [20, 1]);
}
