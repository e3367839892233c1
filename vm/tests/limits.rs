//! Everything that a guest can make grow is inside the limit of its memory.

mod common;
use common::module;
use wfaas_vm::{
    Config, Engine, Error, ExternType, Instance, Limits, Linker, Module, Pool, Store, Table,
    TableType, TrapCode, Val, ValType,
};

const MEGABYTE: u64 = 1 << 20;

fn engine(max_memory_bytes: u64) -> Engine {
    Engine::new(Config { max_memory_bytes, ..Config::default() }).unwrap()
}

/// A memory of a page and `count` tables, and a function that lets each table grow in steps of 1000
/// elements until it cannot; the number of steps that worked.
fn growing_tables(engine: &Engine, count: u32) -> Module {
    let tables: String = (0..count).map(|n| format!("(table $t{n} 0 1048576 funcref)")).collect();
    let grow: String = (0..count)
        .map(|n| {
            format!(
                "(block $full{n} (loop $more{n}
                    (br_if $full{n} (i32.eq (i32.const -1)
                        (table.grow $t{n} (ref.null func) (i32.const 1000))))
                    (local.set $steps (i32.add (local.get $steps) (i32.const 1)))
                    (br $more{n})))"
            )
        })
        .collect();
    let text = format!(
        r#"(module (memory (export "memory") 1 100) {tables}
            (func (export "grow") (result i32) (local $steps i32) {grow} (local.get $steps))
            (func (export "sizes") (result i32) (table.size $t0))
            (func (export "none") (result i32) (table.grow $t0 (ref.null func) (i32.const 0)))
            (func (export "memory_grow") (result i32) (memory.grow (i32.const 1))))"#
    );
    module(engine, &text)
}

fn instantiate(engine: &Engine, module: &Module) -> (Store<()>, Instance) {
    let mut store = Store::new(engine, ());
    let instance = Linker::new(engine).instantiate(&mut store, module).unwrap();
    (store, instance)
}

fn run(store: &mut Store<()>, instance: Instance, name: &str) -> Result<i32, Error> {
    instance.get_typed_func::<(), i32>(store, name).unwrap().call(store, ())
}

#[test]
fn tables_do_not_grow_beyond_the_limit_of_a_store() {
    let engine = engine(4 << 30);
    let (mut store, instance) = instantiate(&engine, &growing_tables(&engine, 60));
    store.set_memory_limit(Some(MEGABYTE));
    let steps = run(&mut store, instance, "grow").unwrap() as u64;
    assert_eq!(steps, (MEGABYTE - 65536) / 8000);
    assert_eq!(run(&mut store, instance, "memory_grow").unwrap(), -1, "tables have the room");
    assert_eq!(run(&mut store, instance, "none").unwrap(), steps as i32 * 1000);
    store.set_memory_limit(None);
    assert_eq!(run(&mut store, instance, "memory_grow").unwrap(), 1);
    assert_eq!(run(&mut store, instance, "grow").unwrap() as u64, 1048 * 60 - steps);
}

#[test]
fn tables_and_memories_of_an_instance_share_its_limit() {
    let engine = engine(MEGABYTE);
    let (mut store, instance) = instantiate(&engine, &growing_tables(&engine, 2));
    while run(&mut store, instance, "memory_grow").unwrap() < 7 {}
    assert_eq!(run(&mut store, instance, "grow").unwrap(), (8 * 65536) / 8000);
    assert_eq!(run(&mut store, instance, "memory_grow").unwrap(), -1);
}

#[test]
fn the_limit_is_for_one_request_and_growth_too() {
    let engine = engine(4 << 30);
    let pool = Pool::<()>::new(&Linker::new(&engine), &growing_tables(&engine, 2)).unwrap();
    let grow = pool.typed_func::<(), i32>("grow").unwrap();
    for limit in [MEGABYTE, 2 * MEGABYTE, MEGABYTE] {
        let mut faaslet = pool.acquire(()).unwrap();
        faaslet.store().set_memory_limit(Some(limit));
        assert_eq!(faaslet.call(&grow, ()).unwrap() as u64, (limit - 65536) / 8000);
    }
    assert_eq!(pool.acquire(()).unwrap().call(&grow, ()).unwrap(), 2 * 1048);
}

#[test]
fn an_instance_that_starts_with_too_much_is_refused_by_name() {
    let text = "(module (memory 1) (table 100000 funcref) (table 50000 externref))";
    let bytes = 65536 + 8 * 150_000;
    let (large, small) = (engine(bytes), engine(bytes - 1));
    assert_eq!(module(&large, text).initial_memory_bytes(), bytes);
    instantiate(&large, &module(&large, text));
    let refused = |store: &mut Store<()>, engine: &Engine| {
        Linker::new(engine).instantiate(store, &module(engine, text)).unwrap_err()
    };
    let error = refused(&mut Store::new(&small, ()), &small);
    assert_eq!(error.to_string(), "tables of 1200000 bytes: too much here");
    assert!(matches!(error, Error::MemoryLimit { what: "tables", bytes: 1_200_000 }));
    let mut store = Store::new(&large, ());
    store.set_memory_limit(Some(MEGABYTE));
    assert!(matches!(refused(&mut store, &large), Error::MemoryLimit { what: "tables", .. }));
    store.set_memory_limit(Some(65535));
    assert!(matches!(refused(&mut store, &large), Error::MemoryLimit { what: "a memory", .. }));
    let ty = TableType {
        element: ValType::FUNCREF,
        limits: Limits { minimum: 10_000, maximum: None },
        index64: false,
    };
    let error = Table::new(&mut store, ty, Val::FuncRef(None)).unwrap_err();
    assert!(matches!(error, Error::MemoryLimit { what: "a table", bytes: 80_000 }), "{error}");
}

/// An initialised image has the tables as they were captured.
#[test]
fn tables_that_grew_before_a_capture_count_from_the_start() {
    let engine = engine(4 << 30);
    let compiled = wfaas_compiler::compile(
        br#"(module (memory 1) (table $a 10 funcref) (table $b 5 1000000 externref)
            (func (export "init") (result i32)
                (table.grow $b (ref.null extern) (i32.const 100000))))"#,
        &Default::default(),
    );
    let module = Module::from_bytes(&engine, &compiled.unwrap().artifact).unwrap();
    let (mut store, instance) = instantiate(&engine, &module);
    assert_eq!(module.initial_memory_bytes(), 65536 + 8 * 15);
    run(&mut store, instance, "init").unwrap();
    let capture = instance.capture(&mut store).unwrap();
    let proto =
        wfaas_abi::artifact::write_proto(&module.artifact(), &capture.image, &capture.memory_pages);
    let restored = module.with_proto(&proto).unwrap();
    assert_eq!(restored.initial_memory_bytes(), 65536 + 8 * 100_015);
    let mut store = Store::new(&engine, ());
    store.set_memory_limit(Some(8 * 100_000));
    Linker::new(&engine).instantiate(&mut store, &restored).unwrap_err();
}

/// Exceptions that a table refers to, with `values` values each.
const EXCEPTIONS: &str = r#"(module
    (tag $e (param i64 i64 i64 i64))
    (memory 1 1000)
    (table $kept 0 1000000 exnref)
    (func $throw (throw $e (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)))
    (func $catch (result exnref)
        (block $h (result i64 i64 i64 i64 exnref)
            (try_table (catch_ref $e $h) (call $throw)) (unreachable))
        (return))
    (func (export "keep") (result i32)
        (loop $more
            (drop (table.grow $kept (call $catch) (i32.const 1)))
            (br $more))
        (unreachable))
    (func (export "forget") (result i32) (local $n i32)
        (loop $more
            (drop (call $catch))
            (br_if $more (i32.lt_u
                (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100000))))
        (local.get $n))
    (func (export "size") (result i32) (table.size $kept))
    (func (export "memory_grow") (result i32) (memory.grow (i32.const 1))))"#;

#[test]
fn exceptions_share_the_limit() {
    let engine = engine(4 << 30);
    let (mut store, instance) = instantiate(&engine, &module(&engine, EXCEPTIONS));
    store.set_memory_limit(Some(MEGABYTE));
    assert_eq!(run(&mut store, instance, "forget").unwrap(), 100_000);
    let error = run(&mut store, instance, "keep").unwrap_err();
    assert_eq!(error.trap().unwrap().code, TrapCode::TooManyExceptions);
    // Each takes 32 bytes of values, more than as many for itself, and 8 in the table.
    let kept = run(&mut store, instance, "size").unwrap() as u64;
    assert!((1000..(MEGABYTE - 65536) / 72).contains(&kept), "{kept}");
    assert_eq!(run(&mut store, instance, "memory_grow").unwrap(), -1);
    run(&mut store, instance, "forget").unwrap_err();
    store.set_memory_limit(Some(2 * MEGABYTE));
    assert_eq!(run(&mut store, instance, "memory_grow").unwrap(), 1);
    run(&mut store, instance, "keep").unwrap_err();
    let more = run(&mut store, instance, "size").unwrap() as u64;
    assert!(more > kept + 4000 && more < 2 * MEGABYTE / 72, "{more}");
}

/// What has grown in between leaves no room that exceptions were told of before.
#[test]
fn exceptions_have_no_room_that_a_memory_took() {
    let engine = engine(4 << 30);
    let (mut store, instance) = instantiate(&engine, &module(&engine, EXCEPTIONS));
    store.set_memory_limit(Some(MEGABYTE));
    assert_eq!(run(&mut store, instance, "forget").unwrap(), 100_000);
    while run(&mut store, instance, "memory_grow").unwrap() != -1 {}
    run(&mut store, instance, "keep").unwrap_err();
    let kept = run(&mut store, instance, "size").unwrap() as u64;
    assert!(kept <= 65536 / 72, "{kept}");
}

#[test]
fn references_to_functions_of_other_instances_share_the_limit() {
    const FUNCTIONS: usize = 5000;
    let engine = engine(4 << 30);
    let owner = module(
        &engine,
        &format!(r#"(module (memory 1) (table (export "table") {FUNCTIONS} funcref))"#),
    );
    let functions: String = (0..FUNCTIONS).map(|n| format!("(func $f{n})")).collect();
    let names: String = (0..FUNCTIONS).map(|n| format!(" $f{n}")).collect();
    let user = module(
        &engine,
        &format!(
            r#"(module (import "owner" "table" (table $theirs {FUNCTIONS} funcref))
                {functions} (elem $all func {names})
                (func (export "share") (result i32)
                    (table.init $theirs $all
                        (i32.const 0) (i32.const 0) (i32.const {FUNCTIONS}))
                    (i32.const 0)))"#
        ),
    );
    for (limit, fits) in [(MEGABYTE, true), (MEGABYTE / 2, false)] {
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        let owner = linker.instantiate(&mut store, &owner).unwrap();
        linker.instance(&mut store, "owner", owner);
        let user = linker.instantiate(&mut store, &user).unwrap();
        store.set_memory_limit(Some(limit));
        let result = run(&mut store, user, "share");
        assert_eq!(result.is_ok(), fits, "{result:?}");
        if let Err(error) = result {
            let text = error.to_string();
            assert!(text.starts_with("references to functions of other instances"), "{text}");
        }
        let table = owner.get_table(&mut store, "table").unwrap();
        assert!(matches!(table.get(&store, 0).unwrap(), Some(Val::FuncRef(Some(_)))));
    }
    assert!(matches!(owner.get_export("table"), Some(ExternType::Table(_))));
}
