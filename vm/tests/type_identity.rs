//! Types of modules that know each other: the same ones in another order, some that only one of them
//! has, and recursion groups that differ by place, size or finality only. A reference that crosses is
//! called as its own type and as no other, and is what it was when it comes back.

mod common;

use common::{engine, module, trap_of};
use wfaas_vm::{
    Engine, Error, Extern, ExternType, Func, FuncType, Global, Instance, Linker, Module, Store,
    Table, TableType, Tag, TrapCode, Val, ValType,
};

/// Recursion groups, and the numbers of their types. All types but the last call a function with one
/// number and get one, so that calling by the wrong type would work.
const GROUPS: [(&str, &[usize]); 6] = [
    ("(type $t0 (func (param i32) (result i32)))", &[0]),
    ("(type $t1 (sub (func (param i32) (result i32))))", &[1]),
    (
        "(rec (type $t2 (func (param i32) (result i32)))
              (type $t3 (func (param i32) (result i32))))",
        &[2, 3],
    ),
    (
        "(rec (type $t4 (func (param i32) (result i32)))
              (type $t5 (func (param i32) (result i32)))
              (type (func (param i32) (result i32))))",
        &[4, 5],
    ),
    (
        "(rec (type $t6 (func (param i32) (result i32)))
              (type (func (param (ref null $t6)))))",
        &[6],
    ),
    ("(type $t7 (func (param i64) (result i32)))", &[7]),
];

/// Where the modules meet.
const HUB: &str = r#"(module
    (table (export "table") 4 funcref) (global (export "global") (mut funcref) (ref.null func))
    (table (export "takers") 4 funcref) (table (export "givers") 4 funcref)
    (table (export "throwers") 4 funcref) (tag (export "tag") (param i64 funcref)))"#;

/// The place in a member's own table for the reference that it got.
const GOT: i32 = 15;

/// Ways of a reference from one member to another: the function that sends it and the one that gets
/// it, both with the other member's number.
const WAYS: [(&str, &str); 8] = [
    ("table.set", "table.get"),
    ("table.copy to", "table.copy from"),
    ("table.grow", "last element"),
    ("global.set", "global.get"),
    ("argument", "nothing"),
    ("nothing", "result"),
    ("nothing", "result of a tail call"),
    ("nothing", "exception"),
];

/// A module with the types of some groups in the order given, a function of each type, and all ways.
fn member(id: usize, groups: &[usize]) -> String {
    let (mut types, mut functions) = (String::new(), String::new());
    for group in groups {
        types += GROUPS[*group].0;
        for ty in GROUPS[*group].1 {
            let argument = if *ty == 7 { "(i64.const 1)" } else { "(i32.const 1)" };
            functions += &format!(
                r#"(func $f{ty} (export "f{ty}") (type $t{ty}) (i32.const {value}))
                (elem (table $own) (i32.const {ty}) func $f{ty})
                (func (export "call{ty}") (result i32)
                    (call_indirect $own (type $t{ty}) {argument} (i32.const {GOT})))
                (func (export "shared{ty}") (result i32)
                    (call_indirect $table (type $t{ty}) {argument} (i32.const 0)))"#,
                value = 100 * id + ty
            );
        }
    }
    let fillers: String =
        (0..3 * id).map(|n| format!("(type (func (param {})))", "f32 ".repeat(n + 1))).collect();
    format!(
        r#"(module {fillers} {types}
        (type $taker (func (param funcref))) (type $giver (func (result funcref)))
        (type $thrower (func)) (type $chooser (func (param i32)))
        (import "hub" "table" (table $table 4 funcref))
        (import "hub" "takers" (table $takers 4 funcref))
        (import "hub" "givers" (table $givers 4 funcref))
        (import "hub" "throwers" (table $throwers 4 funcref))
        (import "hub" "global" (global $global (mut funcref)))
        (import "hub" "tag" (tag $tag (param i64 funcref)))
        (table $own 16 funcref) (global $chosen (mut i32) (i32.const 0))
        (elem (table $takers) (i32.const {id}) func $take)
        (elem (table $givers) (i32.const {id}) func $give)
        (elem (table $throwers) (i32.const {id}) func $throw)
        (func (export "choose") (type $chooser) (global.set $chosen (local.get 0)))
        (func $mine (result funcref) (table.get $own (global.get $chosen)))
        (func $take (export "take") (type $taker)
            (table.set $own (i32.const {GOT}) (local.get 0)))
        (func $give (export "give") (type $giver) (call $mine))
        (func $throw (type $thrower) (throw $tag (i64.const 5) (call $mine)))
        (func (export "nothing") (param i32))
        (func (export "table.set") (param i32) (table.set $table (i32.const 0) (call $mine)))
        (func (export "table.get") (param i32)
            (call $take (table.get $table (i32.const 0))))
        (func (export "table.copy to") (param i32)
            (table.copy $table $own (i32.const 0) (global.get $chosen) (i32.const 1)))
        (func (export "table.copy from") (param i32)
            (table.copy $own $table (i32.const {GOT}) (i32.const 0) (i32.const 1)))
        (func (export "table.grow") (param i32)
            (drop (table.grow $table (call $mine) (i32.const 1))))
        (func (export "last element") (param i32)
            (call $take (table.get $table (i32.sub (table.size $table) (i32.const 1)))))
        (func (export "global.set") (param i32) (global.set $global (call $mine)))
        (func (export "global.get") (param i32) (call $take (global.get $global)))
        (func (export "argument") (param i32)
            (call_indirect $takers (type $taker) (call $mine) (local.get 0)))
        (func (export "result") (param i32)
            (call $take (call_indirect $givers (type $giver) (local.get 0))))
        (func $onward (param i32) (result funcref)
            (return_call_indirect $givers (type $giver) (local.get 0)))
        (func (export "result of a tail call") (param i32)
            (call $take (call $onward (local.get 0))))
        (func (export "exception") (param i32)
            (block $caught (result i64 funcref)
                (try_table (catch $tag $caught)
                    (call_indirect $throwers (type $thrower) (local.get 0)))
                (unreachable))
            (call $take) (drop))
        {functions})"#
    )
}

/// A member that was instantiated.
struct Member {
    id: usize,
    types: Vec<usize>,
    instance: Instance,
}

/// Some members around a hub; each has the types of these groups, in their order.
fn members(engine: &Engine, groups: &[&[usize]]) -> (Store<()>, Vec<Member>) {
    let mut store = Store::new(engine, ());
    let mut linker = Linker::new(engine);
    let hub = linker.instantiate(&mut store, &module(engine, HUB)).unwrap();
    linker.instance(&mut store, "hub", hub);
    let member = |(id, groups): (usize, &&[usize])| {
        let module = module(engine, &member(id, groups));
        let types = groups.iter().flat_map(|group| GROUPS[*group].1).copied().collect();
        Member { id, types, instance: linker.instantiate(&mut store, &module).unwrap() }
    };
    let members = groups.iter().enumerate().map(member).collect();
    (store, members)
}

impl Member {
    fn run(&self, store: &mut Store<()>, name: &str, argument: i32) {
        let func = self.instance.get_typed_func::<i32, ()>(store, name).unwrap();
        func.call(store, argument).unwrap();
    }

    /// Sends the function at `place` of its table to another member.
    fn send(&self, store: &mut Store<()>, place: i32, way: (&str, &str), to: &Member) {
        self.run(store, "choose", place);
        self.run(store, way.0, to.id as i32);
        to.run(store, way.1, self.id as i32);
    }

    fn take(&self, store: &mut Store<()>, func: Option<Func>) {
        let take = self.instance.get_typed_func::<Option<Func>, ()>(store, "take").unwrap();
        take.call(store, func).unwrap();
    }

    fn give(&self, store: &mut Store<()>, place: i32) -> Option<Func> {
        self.run(store, "choose", place);
        let give = self.instance.get_typed_func::<(), Option<Func>>(store, "give").unwrap();
        give.call(store, ()).unwrap()
    }

    /// A call of the reference that it got as each of its types gets `value` if it is type `ty`, and
    /// traps otherwise.
    fn check(&self, store: &mut Store<()>, name: &str, ty: usize, value: i32, case: &str) {
        for other in &self.types {
            let call = format!("{name}{other}");
            let call = self.instance.get_typed_func::<(), i32>(store, &call).unwrap();
            match call.call(store, ()) {
                Ok(found) => assert_eq!((*other, found), (ty, value), "{case}"),
                Err(error) => {
                    let trap = trap_of(error);
                    assert_ne!(*other, ty, "{case}: {trap}");
                    assert_eq!(trap.code, TrapCode::IndirectCallTypeMismatch, "{case}");
                }
            }
        }
    }
}

/// The first has all types; the second some, in another order; the third is like the first.
const MEMBERS: [&[usize]; 3] = [&[0, 1, 2, 3, 4, 5], &[5, 4, 2, 0], &[0, 1, 2, 3, 4, 5]];

#[test]
fn a_reference_keeps_its_type_on_every_way_and_back() {
    let (mut store, members) = members(&engine(), &MEMBERS);
    for (from, to) in [(0, 1), (1, 0), (0, 2), (2, 0)] {
        let (from, to) = (&members[from], &members[to]);
        for (way, ty) in WAYS.iter().flat_map(|way| from.types.iter().map(move |ty| (*way, *ty))) {
            let case = format!("type {ty} from {} to {} by {way:?}", from.id, to.id);
            let value = (100 * from.id + ty) as i32;
            from.send(&mut store, ty as i32, way, to);
            to.check(&mut store, "call", ty, value, &case);
            if way.0 == "table.set" {
                to.check(&mut store, "shared", ty, value, &case);
                from.check(&mut store, "shared", ty, value, &case);
            }
            to.send(&mut store, GOT, way, from);
            from.check(&mut store, "call", ty, value, &format!("{case} and back"));
        }
    }
}

#[test]
fn a_reference_keeps_its_type_through_the_host() {
    let (mut store, members) = members(&engine(), &MEMBERS);
    for (from, to) in [(0, 1), (1, 0), (0, 2)] {
        let (from, to) = (&members[from], &members[to]);
        for ty in from.types.clone() {
            let (case, value) = (format!("type {ty}"), (100 * from.id + ty) as i32);
            let func = from.give(&mut store, ty as i32);
            to.take(&mut store, func);
            to.check(&mut store, "call", ty, value, &case);
            let back = to.give(&mut store, GOT);
            assert_eq!(back, func);
            from.take(&mut store, back);
            from.check(&mut store, "call", ty, value, &case);
        }
    }
}

/// The type of function `ty` of a module with all types.
fn func_type(module: &Module, ty: usize) -> FuncType {
    module.get_export(&format!("f{ty}")).unwrap().func().unwrap().clone()
}

#[test]
fn a_host_function_is_called_as_its_own_type_only() {
    let engine = engine();
    let (mut store, members) = members(&engine, &MEMBERS);
    let types = module(&engine, &member(9, MEMBERS[0]));
    let plain = FuncType::new([ValType::I32], [ValType::I32]);
    for ty in 0..=7 {
        let known = func_type(&types, ty);
        assert_eq!(known == plain, ty == 0, "made without a module, it is type 0");
        let func = Func::new(&mut store, known, move |_, _, results| {
            results[0] = Val::I32(1000 + ty as i32);
            Ok(())
        });
        let value = 1000 + ty as i32;
        for member in &members {
            member.take(&mut store, Some(func));
            member.check(&mut store, "call", ty, value, &format!("host function of type {ty}"));
        }
        members[0].send(&mut store, GOT, WAYS[0], &members[1]);
        members[1].check(&mut store, "call", ty, value, "through both");
    }
}

/// Whether a module with these groups that imports `import` from "m" as "x" can be linked with it.
fn links(store: &mut Store<()>, engine: &Engine, item: &Extern, import: (&str, &str)) -> bool {
    let mut linker = Linker::new(engine);
    linker.define("m", "x", item.clone());
    let importer = format!(r#"(module {} (import "m" "x" {}))"#, import.0, import.1);
    match linker.instantiate(store, &module(engine, &importer)) {
        Ok(_) => true,
        Err(Error::IncompatibleImport { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

/// A global and a table of references to functions of type `ty` as the module has it, with `func`.
fn holders(store: &mut Store<()>, module: &Module, ty: usize, func: Func) -> (Extern, Extern) {
    let name = format!("g{ty}");
    let Some(ExternType::Global(ty)) = module.get_export(&name) else { panic!("no {name}") };
    let global = Global::new(store, ty, Val::FuncRef(Some(func))).unwrap();
    let limits = wfaas_vm::Limits { minimum: 1, maximum: None };
    let ty = TableType { element: ty.content, limits, index64: false };
    let table = Table::new(store, ty, Val::FuncRef(Some(func))).unwrap();
    (Extern::Global(global), Extern::Table(table))
}

#[test]
fn imports_are_of_the_very_type() {
    let engine = engine();
    let (mut store, members) = members(&engine, &MEMBERS);
    let groups: String = GROUPS.iter().rev().map(|(text, _)| *text).collect();
    let globals: String = (0..=7)
        .map(|ty| format!(r#"(global (export "g{ty}") (mut (ref null $t{ty})) (ref.null $t{ty}))"#))
        .collect();
    let types = module(&engine, &format!("(module {groups} {globals})"));
    for given in 0..=7 {
        let func = members[0].give(&mut store, given as i32).unwrap();
        let (global, table) = holders(&mut store, &types, given, func);
        for ty in 0..=7 {
            let imports = [
                (Extern::Func(func), format!("(func (type $t{ty}))")),
                (global.clone(), format!("(global (mut (ref null $t{ty})))")),
                (table.clone(), format!("(table 1 (ref null $t{ty}))")),
            ];
            for (item, import) in imports {
                let fits = links(&mut store, &engine, &item, (&groups, &import));
                assert_eq!(fits, ty == given, "{import} gets type {given}");
            }
        }
    }
    let tag = Extern::Tag(Tag::new(&mut store, [ValType::I32]));
    for (group, fits) in
        [("(type $t (func (param i32)))", true), ("(type $t (sub (func (param i32))))", false)]
    {
        assert_eq!(links(&mut store, &engine, &tag, (group, "(tag (type $t))")), fits);
    }
}

#[test]
fn a_mismatch_is_a_trap_of_the_call() {
    let (mut store, members) = members(&engine(), &MEMBERS);
    members[0].send(&mut store, 1, WAYS[0], &members[1]);
    let call = members[1].instance.get_typed_func::<(), i32>(&mut store, "call0").unwrap();
    let trap = trap_of(call.call(&mut store, ()).unwrap_err());
    let frames = trap.frames();
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert_eq!(frames[0].func_name.as_deref(), Some("call0"));
    assert!(frames[0].wasm_offset.is_some());
}

/// Their ids had been the same 31 bits of a hash, which was refused in one module and in one store.
#[test]
fn types_whose_hashes_begin_alike_are_two() {
    let of = |bits: u32| -> String {
        (0..17).map(|at| if bits >> at & 1 == 1 { "i32 " } else { "i64 " }).collect()
    };
    let pair = [of(0b0_0010_1000_0001_0101), of(0b0_1101_1001_1110_0001)];
    let zeros = |ty: &str| ty.replace("i32", "(i32.const 0)").replace("i64", "(i64.const 0)");
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let first = format!(
        r#"(module (type $a (func (param {a}))) (type $b (func (param {b})))
        (table (export "t") 2 funcref) (elem (i32.const 0) $fa $fb)
        (func $fa (type $a)) (func $fb (type $b)))"#,
        a = pair[0],
        b = pair[1],
    );
    let first = linker.instantiate(&mut store, &module(&engine, &first)).unwrap();
    linker.instance(&mut store, "first", first);
    for (own, ty) in pair.iter().enumerate() {
        let second = format!(
            r#"(module (type $t (func (param {ty}))) (import "first" "t" (table 2 funcref))
            (func (export "call") (param i32) (call_indirect (type $t) {} (local.get 0))))"#,
            zeros(ty)
        );
        let second = linker.instantiate(&mut store, &module(&engine, &second)).unwrap();
        let call = second.get_typed_func::<i32, ()>(&mut store, "call").unwrap();
        call.call(&mut store, own as i32).unwrap();
        let trap = trap_of(call.call(&mut store, 1 - own as i32).unwrap_err());
        assert_eq!(trap.code, TrapCode::IndirectCallTypeMismatch);
    }
}
