//! Several memories: each is itself and nobody else, and all of them are restored.

mod common;
use common::{engine, instance, module};
use wfaas_abi::TrapCode;
use wfaas_abi::artifact::replace_image;
use wfaas_abi::memories::image_offset;
use wfaas_abi::state::MEMORY_PAGES_OFFSET;
use wfaas_vm::{Config, Engine, Error, Faaslet, Instance, Linker, Memory, Module, Pool, Store};

/// Three memories, of which the second has 64-bit indices, and data in each.
const THREE: &str = r#"(module
    (memory $a (export "a") 1 3) (memory $b (export "b") i64 1 4) (memory $c (export "c") 2 5)
    (data (memory $a) (i32.const 0) "aaaa")
    (data (memory $b) (i64.const 65532) "bbbb")
    (data (memory $c) (i32.const 65534) "cccc")
    (func (export "set_a") (param i32 i32) (i32.store $a (local.get 0) (local.get 1)))
    (func (export "set_b") (param i64 i32) (i32.store $b (local.get 0) (local.get 1)))
    (func (export "set_c") (param i32 i32) (i32.store $c (local.get 0) (local.get 1)))
    (func (export "far_c") (param i32 i32)
        (i32.store $c offset=0xfffffff0 (local.get 0) (local.get 1)))
    (func (export "grow_a") (param i32) (result i32) (memory.grow $a (local.get 0)))
    (func (export "grow_b") (param i64) (result i64) (memory.grow $b (local.get 0)))
    (func (export "grow_c") (param i32) (result i32) (memory.grow $c (local.get 0)))
    (func (export "sizes") (result i32 i64 i32)
        (memory.size $a) (memory.size $b) (memory.size $c))
    (func (export "copy") (param i32 i64 i32)
        (memory.copy $a $b (local.get 0) (local.get 1) (local.get 2)))
    (func (export "fill_b") (param i64 i64)
        (memory.fill $b (local.get 0) (i32.const 9) (local.get 1))))"#;

fn memories(store: &mut Store<()>, instance: Instance) -> [Memory; 3] {
    ["a", "b", "c"].map(|name| instance.get_memory(store, name).unwrap())
}

fn code(error: Error) -> TrapCode {
    error.trap().unwrap_or_else(|| panic!("{error}")).code
}

/// What the module's text says the memories are like: sizes in bytes, and what is not zero.
fn assert_pristine(store: &mut Store<()>, instance: Instance) {
    let [a, b, c] = memories(store, instance);
    for (memory, bytes, at, text) in
        [(a, 65536, 0, b"aaaa"), (b, 65536, 65532, b"bbbb"), (c, 131_072, 65534, b"cccc")]
    {
        let data = memory.data(store);
        assert_eq!(data.len(), bytes);
        assert_eq!(&data[at..at + 4], text);
        assert_eq!(data.iter().filter(|byte| **byte != 0).count(), 4);
    }
    let sizes = instance.get_typed_func::<(), (i32, i64, i32)>(store, "sizes").unwrap();
    assert_eq!(sizes.call(store, ()).unwrap(), (1, 1, 2));
}

#[test]
fn a_guest_cannot_reach_one_memory_through_another() {
    let (mut store, instance) = instance(THREE);
    assert_pristine(&mut store, instance);
    let outside = Err(TrapCode::MemoryOutOfBounds);
    for name in ["set_a", "set_c", "far_c"] {
        let set = instance.get_typed_func::<(i32, i32), ()>(&mut store, name).unwrap();
        for index in [131_069, 0x7fff_ffff, -16, -8, -4096, i32::MIN, -1] {
            assert_eq!(set.call(&mut store, (index, -1)).map_err(code), outside, "{name} {index}");
        }
    }
    let set = instance.get_typed_func::<(i64, i32), ()>(&mut store, "set_b").unwrap();
    let slot = 13i64 << 29; // 6.5 GiB
    for index in [65533, 1 << 32, slot, -slot, 2 * slot, -2 * slot, -8, -16, -4096, i64::MIN] {
        assert_eq!(set.call(&mut store, (index, -1)).map_err(code), outside, "{index}");
    }
    assert_pristine(&mut store, instance);
}

#[test]
fn each_memory_has_its_own_bytes_and_size() {
    let (mut store, instance) = instance(THREE);
    for (name, delta, old) in [("grow_a", 1, 1), ("grow_c", 3, 2), ("grow_a", 2, -1)] {
        let grow = instance.get_typed_func::<i32, i32>(&mut store, name).unwrap();
        assert_eq!(grow.call(&mut store, delta).unwrap(), old, "{name} {delta}");
    }
    let grow = instance.get_typed_func::<i64, i64>(&mut store, "grow_b").unwrap();
    assert_eq!(grow.call(&mut store, 2).unwrap(), 1);
    let sizes = instance.get_typed_func::<(), (i32, i64, i32)>(&mut store, "sizes").unwrap();
    assert_eq!(sizes.call(&mut store, ()).unwrap(), (2, 3, 5));
    let set = instance.get_typed_func::<(i64, i32), ()>(&mut store, "set_b").unwrap();
    set.call(&mut store, (3 * 65536 - 4, 0x0403_0201)).unwrap();
    let copy = instance.get_typed_func::<(i32, i64, i32), ()>(&mut store, "copy").unwrap();
    copy.call(&mut store, (100, 3 * 65536 - 3, 3)).unwrap();
    assert_eq!(
        copy.call(&mut store, (0, 3 * 65536, 1)).map_err(code),
        Err(TrapCode::MemoryOutOfBounds)
    );
    assert_eq!(
        copy.call(&mut store, (2 * 65536, 0, 1)).map_err(code),
        Err(TrapCode::MemoryOutOfBounds)
    );
    let [a, b, c] = memories(&mut store, instance);
    assert_eq!(a.data(&store)[100..104], [2, 3, 4, 0]);
    assert_eq!(b.data(&store)[3 * 65536 - 4..], [1, 2, 3, 4]);
    assert_eq!(c.data(&store).len(), 5 * 65536);
    assert!(c.data(&store)[65538..].iter().all(|byte| *byte == 0));
}

/// Leaves a trace in every memory.
fn disturb(store: &mut Store<()>, instance: Instance) {
    for (name, index) in [("set_a", 65532), ("set_c", 131_068), ("set_c", 0)] {
        let set = instance.get_typed_func::<(i32, i32), ()>(store, name).unwrap();
        set.call(store, (index, -1)).unwrap();
    }
    let fill = instance.get_typed_func::<(i64, i64), ()>(store, "fill_b").unwrap();
    fill.call(store, (0, 65536)).unwrap();
    for name in ["grow_a", "grow_c"] {
        let grow = instance.get_typed_func::<i32, i32>(store, name).unwrap();
        assert_ne!(grow.call(store, 1).unwrap(), -1);
    }
    let grow = instance.get_typed_func::<i64, i64>(store, "grow_b").unwrap();
    assert_eq!(grow.call(store, 3).unwrap(), 1);
    fill.call(store, (3 * 65536, 65536)).unwrap();
}

#[test]
fn a_reset_restores_all_memories() {
    let engine = engine();
    let pool = Pool::<()>::new(&Linker::new(&engine), &module(&engine, THREE)).unwrap();
    let mut first = None;
    for _ in 0..5 {
        let mut faaslet = pool.acquire(()).unwrap();
        let instance = faaslet.instance();
        assert_eq!(*first.get_or_insert(instance), instance, "the store is used again");
        assert_pristine(faaslet.store(), instance);
        disturb(faaslet.store(), instance);
    }
}

/// Checks that an instance is as [`disturb`] left the one that was captured.
fn assert_disturbed(faaslet: &mut Faaslet<()>) {
    let instance = faaslet.instance();
    let store = faaslet.store();
    let [a, b, c] = memories(store, instance);
    assert_eq!(a.data(store).len(), 2 * 65536);
    assert_eq!(a.data(store)[..4], *b"aaaa");
    assert_eq!(a.data(store)[65532..65536], [0xff; 4]);
    assert_eq!(b.data(store).len(), 4 * 65536);
    assert!(b.data(store)[..65536].iter().all(|byte| *byte == 9));
    assert!(b.data(store)[65536..3 * 65536].iter().all(|byte| *byte == 0));
    assert!(b.data(store)[3 * 65536..].iter().all(|byte| *byte == 9));
    assert_eq!(c.data(store).len(), 3 * 65536);
    assert_eq!(c.data(store)[65534..65538], *b"cccc");
    assert_eq!(c.data(store)[131_068..131_072], [0xff; 4]);
    let sizes = instance.get_typed_func::<(), (i32, i64, i32)>(store, "sizes").unwrap();
    assert_eq!(sizes.call(store, ()).unwrap(), (2, 4, 3));
}

#[test]
fn a_snapshot_holds_all_memories() {
    let engine = engine();
    let raw = module(&engine, THREE);
    let linker = Linker::<()>::new(&engine);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &raw).unwrap();
    disturb(&mut store, instance);
    let capture = instance.capture(&mut store).unwrap();
    assert_eq!(capture.memory_pages, [2, 4, 3]);
    let file = replace_image(&raw.artifact(), &capture.image, &capture.memory_pages).unwrap();
    wfaas_abi::Artifact::parse(&file).unwrap().verify().unwrap();
    let proto = capture.to_proto(&raw);
    let on_disk = std::env::temp_dir().join(format!("wfaas-memories-{}.faas", std::process::id()));
    std::fs::write(&on_disk, &file).unwrap();
    for restored in [
        Module::from_bytes(&engine, &file).unwrap(),
        Module::from_file(&engine, &on_disk).unwrap(),
        raw.with_proto(&proto).unwrap(),
    ] {
        assert_eq!(restored.initial_memory_bytes(), 9 * 65536);
        let pool = Pool::new(&linker, &restored).unwrap();
        for _ in 0..3 {
            let mut faaslet = pool.acquire(()).unwrap();
            assert_disturbed(&mut faaslet);
            let instance = faaslet.instance();
            let fill = instance.get_typed_func::<(i64, i64), ()>(faaslet.store(), "fill_b");
            fill.unwrap().call(faaslet.store(), (0, 4 * 65536)).unwrap();
        }
    }
    std::fs::remove_file(on_disk).unwrap();
    replace_image(&raw.artifact(), &capture.image, &[2, 4]).expect_err("one size is missing");
}

#[test]
fn imported_and_own_memories_can_be_mixed() {
    let engine = engine();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    let exporter = linker.instantiate(&mut store, &module(&engine, THREE)).unwrap();
    linker.instance(&mut store, "three", exporter);
    let importer = module(
        &engine,
        r#"(module
        (import "three" "c" (memory $c 1)) (import "three" "b" (memory $b i64 1))
        (memory $own 1) (memory $more 1)
        (data (memory $own) (i32.const 0) "own") (data (memory $more) (i32.const 0) "more")
        (data (memory $c) (i32.const 0) "from outside")
        (export "again" (memory $b)) (export "more" (memory $more))
        (func (export "load") (param i32) (result i32 i32 i32 i32)
            (i32.load8_u $c (local.get 0)) (i32.load8_u $b (i64.extend_i32_u (local.get 0)))
            (i32.load8_u $own (local.get 0)) (i32.load8_u $more (local.get 0)))
        (func (export "copy") (memory.copy $more $c (i32.const 1) (i32.const 0) (i32.const 4))))"#,
    );
    let importer = linker.instantiate(&mut store, &importer).unwrap();
    let load = importer.get_typed_func::<i32, (i32, i32, i32, i32)>(&mut store, "load").unwrap();
    let bytes = |text: &[u8; 4]| text.map(i32::from).into();
    assert_eq!(load.call(&mut store, 0).unwrap(), bytes(b"f\0om"));
    assert_eq!(load.call(&mut store, 65535).unwrap(), bytes(b"cb\0\0"));
    importer.get_typed_func::<(), ()>(&mut store, "copy").unwrap().call(&mut store, ()).unwrap();
    let more = importer.get_memory(&mut store, "more").unwrap();
    assert_eq!(more.data(&store)[..6], *b"mfrom\0");
    let [_, b, _] = memories(&mut store, exporter);
    assert_eq!(importer.get_memory(&mut store, "again").unwrap(), b);
}

#[test]
fn limits_are_for_all_memories_of_an_instance_together() {
    let engine = Engine::new(Config { max_memory_bytes: 6 * 65536, ..Config::default() }).unwrap();
    let three = module(&engine, THREE);
    let linker = Linker::new(&engine);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &three).unwrap();
    let grow_a = instance.get_typed_func::<i32, i32>(&mut store, "grow_a").unwrap();
    let grow_b = instance.get_typed_func::<i64, i64>(&mut store, "grow_b").unwrap();
    assert_eq!(grow_b.call(&mut store, 3).unwrap(), -1);
    store.set_memory_limit(Some(5 * 65536));
    assert_eq!(grow_b.call(&mut store, 2).unwrap(), -1);
    assert_eq!(grow_b.call(&mut store, 1).unwrap(), 1);
    assert_eq!(grow_a.call(&mut store, 1).unwrap(), -1);
    assert_eq!(grow_a.call(&mut store, 0).unwrap(), 1);
    store.set_memory_limit(None);
    assert_eq!(grow_a.call(&mut store, 1).unwrap(), 1);
    assert_eq!(grow_a.call(&mut store, 1).unwrap(), -1);
    let engine = Engine::new(Config { max_memory_bytes: 3 * 65536, ..Config::default() }).unwrap();
    let error = linker.instantiate(&mut Store::new(&engine, ()), &module(&engine, THREE));
    assert_eq!(error.unwrap_err().to_string(), "a memory of 262144 bytes: too much here");
}

#[test]
fn a_hundred_memories_work_and_are_not_hoarded() {
    let engine = engine();
    let memories: String = (0..100).map(|_| "(memory 1)").collect();
    let wat = format!(
        r#"(module {memories}
        (func (export "f") (param i32) (result i32)
            (i32.store8 99 (local.get 0) (i32.const 7)) (i32.load8_u 98 (local.get 0))))"#
    );
    let pool = Pool::<()>::new(&Linker::new(&engine), &module(&engine, &wat)).unwrap();
    let f = pool.typed_func::<i32, i32>("f").unwrap();
    let mut faaslets: Vec<Faaslet<()>> = (0..3).map(|_| pool.acquire(()).unwrap()).collect();
    for faaslet in &mut faaslets {
        assert_eq!(faaslet.call(&f, 65535).unwrap(), 0);
    }
}

/// Checks of accesses far beyond the guard rely on the size in the image.
#[test]
fn a_size_that_is_not_that_of_the_image_is_refused() {
    for (memories, place) in
        [("(memory 1)", 0), ("(memory 1) (memory 1)", 1), ("(memory 1 2 shared)", 1)]
    {
        let engine = engine();
        let raw = module(&engine, &format!("(module {memories})"));
        let mut store = Store::new(&engine, ());
        let instance = Linker::new(&engine).instantiate(&mut store, &raw).unwrap();
        let mut capture = instance.capture(&mut store).unwrap();
        let size_at = image_offset(place) + i64::from(MEMORY_PAGES_OFFSET);
        for (size, fits) in [(1u64, true), (0, false), (2, false), (1 << 40, false)] {
            capture.image.write(size_at, &size.to_le_bytes());
            let proto = capture.to_proto(&raw);
            let result = raw.with_proto(&proto);
            assert_eq!(result.is_ok(), fits, "{memories}: {size}: {result:?}");
        }
    }
}
