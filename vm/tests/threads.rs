//! Shared memories: atomics, waiting and notifying, growth, and what ends a wait.

mod common;
use common::{engine, instance, module};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};
use wfaas_abi::TrapCode;
use wfaas_abi::artifact::replace_image;
use wfaas_vm::{
    Engine, Error, Extern, Instance, Limits, Linker, MemoryType, Module, Pool, SharedMemory, Store,
};

/// A lock at 0 (0 free, 1 taken, 2 taken and awaited), a counter at 8, a flag at 16.
const GUEST: &str = r#"(module
    (import "env" "memory" (memory 1 10 shared))
    (func $lock
        (if (i32.atomic.rmw.cmpxchg (i32.const 0) (i32.const 0) (i32.const 1))
            (then (loop $again
                (if (i32.atomic.rmw.xchg (i32.const 0) (i32.const 2))
                    (then
                        (drop (memory.atomic.wait32 (i32.const 0) (i32.const 2) (i64.const -1)))
                        (br $again)))))))
    (func $unlock
        (if (i32.eq (i32.atomic.rmw.xchg (i32.const 0) (i32.const 0)) (i32.const 2))
            (then (drop (memory.atomic.notify (i32.const 0) (i32.const 1))))))
    (func (export "count") (param $times i32)
        (loop $again
            (call $lock)
            ;; Not atomic: the lock has to make it so.
            (i64.store (i32.const 8) (i64.add (i64.load (i32.const 8)) (i64.const 1)))
            (call $unlock)
            (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1))))))
    (func (export "add") (param $times i32)
        (loop $again
            (drop (i64.atomic.rmw.add (i32.const 8) (i64.const 1)))
            (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1))))))
    (func (export "wait") (param i32 i64) (result i32)
        (memory.atomic.wait32 offset=16 (i32.const 0) (local.get 0) (local.get 1)))
    (func (export "wait64") (param i64 i64) (result i32)
        (memory.atomic.wait64 (i32.const 16) (local.get 0) (local.get 1)))
    (func (export "notify") (param i32) (result i32)
        (memory.atomic.notify offset=8 (i32.const 8) (local.get 0)))
    (func (export "size") (result i32) (memory.size))
    (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
    (func (export "await_size") (param i32)
        (loop $again (br_if $again (i32.lt_u (memory.size) (local.get 0)))))
    (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export "fill") (param i32 i32 i32)
        (memory.fill (local.get 0) (local.get 1) (local.get 2))))"#;

fn shared_type(minimum: u64, maximum: u64) -> MemoryType {
    let limits = Limits { minimum, maximum: Some(maximum) };
    MemoryType { limits, index64: false, shared: true }
}

/// A store of its own with an instance that uses `memory`.
fn guest(engine: &Engine, guest: &Module, memory: &SharedMemory) -> (Store<()>, Instance) {
    let mut linker = Linker::new(engine);
    linker.define("env", "memory", Extern::SharedMemory(memory.clone()));
    let mut store = Store::new(engine, ());
    let instance = linker.instantiate(&mut store, guest).unwrap();
    (store, instance)
}

fn code(error: Error) -> TrapCode {
    error.trap().unwrap_or_else(|| panic!("{error}")).code
}

/// Processor time this thread has used.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn setup() -> (Engine, Module, SharedMemory) {
    let engine = engine();
    let guest = module(&engine, GUEST);
    let memory = SharedMemory::new(&engine, shared_type(1, 10)).unwrap();
    (engine, guest, memory)
}

#[test]
fn threads_count_together() {
    let (engine, module, memory) = setup();
    for (name, times) in [("count", 20_000), ("add", 100_000)] {
        memory.atomic_u64(8).unwrap().store(0, SeqCst);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let (mut store, instance) = guest(&engine, &module, &memory);
                    let f = instance.get_typed_func::<i32, ()>(&mut store, name).unwrap();
                    f.call(&mut store, times).unwrap();
                });
            }
        });
        assert_eq!(memory.atomic_u64(8).unwrap().load(SeqCst), 3 * times as u64, "{name}");
    }
    assert_eq!(memory.atomic_u32(0).unwrap().load(SeqCst), 0, "the lock is free");
}

#[test]
fn a_wait_ends_with_a_notification_and_takes_no_processor_time() {
    let (engine, module, memory) = setup();
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let (mut store, instance) = guest(&engine, &module, &memory);
                    let wait =
                        instance.get_typed_func::<(i32, i64), i32>(&mut store, "wait").unwrap();
                    let before = thread_time();
                    let outcome = wait.call(&mut store, (0, -1)).unwrap();
                    (outcome, thread_time() - before)
                })
            })
            .collect();
        let (mut store, instance) = guest(&engine, &module, &memory);
        let notify = instance.get_typed_func::<i32, i32>(&mut store, "notify").unwrap();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(memory.notify(0, 10), 0, "nobody waits there");
        let mut woken = 0;
        while woken < 3 {
            let now = notify.call(&mut store, 2).unwrap();
            assert!(now <= 2);
            woken += now;
        }
        for waiter in waiters {
            let (outcome, time) = waiter.join().unwrap();
            assert_eq!(outcome, 0);
            assert!(time < Duration::from_millis(100), "{time:?} of 300 ms");
        }
        assert_eq!(notify.call(&mut store, -1).unwrap(), 0);
    });
}

#[test]
fn a_wait_ends_when_its_time_is_over_or_the_value_is_another() {
    let (engine, module, memory) = setup();
    memory.atomic_u64(16).unwrap().store(7 | 9 << 32, SeqCst);
    let (mut store, instance) = guest(&engine, &module, &memory);
    let wait = instance.get_typed_func::<(i32, i64), i32>(&mut store, "wait").unwrap();
    let wait64 = instance.get_typed_func::<(i64, i64), i32>(&mut store, "wait64").unwrap();
    assert_eq!(wait.call(&mut store, (8, -1)).unwrap(), 1);
    assert_eq!(wait64.call(&mut store, (7, -1)).unwrap(), 1);
    assert_eq!(wait.call(&mut store, (7, 0)).unwrap(), 2);
    let start = Instant::now();
    assert_eq!(wait.call(&mut store, (7, 20_000_000)).unwrap(), 2);
    assert_eq!(wait64.call(&mut store, (7 | 9 << 32, 20_000_000)).unwrap(), 2);
    assert!(start.elapsed() >= Duration::from_millis(40));
}

#[test]
fn a_waiting_guest_ends_at_its_deadline_or_when_cancelled() {
    let (engine, module, memory) = setup();
    let (mut store, instance) = guest(&engine, &module, &memory);
    let wait = instance.get_typed_func::<(i32, i64), i32>(&mut store, "wait").unwrap();
    let start = Instant::now();
    store.set_deadline(Some(start + Duration::from_millis(50)));
    let result = wait.call(&mut store, (0, -1)).map_err(code);
    assert_eq!(result, Err(TrapCode::DeadlineExceeded));
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    store.set_deadline(None);
    let handle = store.cancel_handle();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            handle.cancel();
        });
        let result = wait.call(&mut store, (0, i64::MAX)).map_err(code);
        assert_eq!(result, Err(TrapCode::Cancelled));
    });
    assert_eq!(memory.notify(16, 10), 0, "nobody waits any more");
    assert_eq!(wait.call(&mut store, (0, 0)).unwrap(), 2, "the store can be used again");
}

#[test]
fn growth_is_seen_by_the_others() {
    let (engine, module, memory) = setup();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let (mut store, instance) = guest(&engine, &module, &memory);
            store.set_deadline(Some(Instant::now() + Duration::from_secs(20)));
            // A loop without a call: the size has to be read anew each time.
            let await_size = instance.get_typed_func::<i32, ()>(&mut store, "await_size").unwrap();
            await_size.call(&mut store, 4).unwrap();
            let load = instance.get_typed_func::<i32, i32>(&mut store, "load").unwrap();
            assert_eq!(load.call(&mut store, 4 * 65536).map_err(code).unwrap_err(), OUTSIDE);
            load.call(&mut store, 4 * 65536 - 1).unwrap()
        });
        let (mut store, instance) = guest(&engine, &module, &memory);
        let grow = instance.get_typed_func::<i32, i32>(&mut store, "grow").unwrap();
        assert_eq!(grow.call(&mut store, 2).unwrap(), 1);
        let fill = instance.get_typed_func::<(i32, i32, i32), ()>(&mut store, "fill").unwrap();
        fill.call(&mut store, (3 * 65536 - 5, 1, 5)).unwrap();
        assert_eq!(memory.grow(1), Some(3));
        assert_eq!(other.join().unwrap(), 0);
        assert_eq!(grow.call(&mut store, 7).unwrap(), -1, "the maximum is 10");
        assert_eq!(memory.grow(7), None);
        let size = instance.get_typed_func::<(), i32>(&mut store, "size").unwrap();
        assert_eq!(size.call(&mut store, ()).unwrap(), 4);
        let mut bytes = [0; 6];
        memory.read(3 * 65536 - 6, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 1, 1, 1, 1, 1]);
    });
}

const OUTSIDE: TrapCode = TrapCode::MemoryOutOfBounds;

#[test]
fn the_hosts_accesses_stay_inside() {
    let (_, _, memory) = setup();
    assert_eq!(memory.size(), 1);
    memory.write(65530, b"inside").unwrap();
    memory.write(65531, b"beyond").unwrap_err();
    let mut bytes = [0; 6];
    memory.read(65530, &mut bytes).unwrap();
    assert_eq!(bytes, *b"inside");
    memory.read(usize::MAX, &mut bytes).unwrap_err();
    memory.read(65536, &mut []).unwrap();
    memory.atomic_u32(65532).unwrap();
    memory.atomic_u32(65536).unwrap_err();
    memory.atomic_u32(2).unwrap_err();
    memory.atomic_u64(65532).unwrap_err();
    memory.atomic_u64(usize::MAX - 7).unwrap_err();
}

#[test]
fn sharing_is_part_of_the_type() {
    let (engine, guest, memory) = setup();
    let unshared = MemoryType { shared: false, ..shared_type(1, 10) };
    SharedMemory::new(&engine, unshared).unwrap_err();
    let endless = Limits { minimum: 1, maximum: None };
    SharedMemory::new(&engine, MemoryType { limits: endless, ..shared_type(1, 1) }).unwrap_err();
    let mut store = Store::new(&engine, ());
    let mut linker = Linker::new(&engine);
    wfaas_vm::Memory::new(&mut store, shared_type(1, 10)).unwrap_err();
    let own = wfaas_vm::Memory::new(&mut store, unshared).unwrap();
    linker.define("env", "memory", Extern::Memory(own));
    let error = linker.instantiate(&mut store, &guest).unwrap_err().to_string();
    assert!(error.ends_with("expected memory 1..=10 pages, shared, found memory 1..=10 pages"));
    linker.define("env", "memory", Extern::SharedMemory(memory));
    let other = module(&engine, r#"(module (import "env" "memory" (memory 1 10)))"#);
    linker.instantiate(&mut store, &other).unwrap_err();
    let larger = module(&engine, r#"(module (import "env" "memory" (memory 1 9 shared)))"#);
    linker.instantiate(&mut store, &larger).unwrap_err();
}

#[test]
fn atomics_trap_where_they_have_to() {
    let (mut store, instance) = instance(
        r#"(module (memory 1 2) (memory $s 1 2 shared)
        (func (export "load") (param i32) (result i32) (i32.atomic.load (local.get 0)))
        (func (export "far") (param i32) (result i32)
            (i32.atomic.load offset=0xfffffffc (local.get 0)))
        (func (export "store") (param i32) (i32.atomic.store16 $s (local.get 0) (i32.const 1)))
        (func (export "add") (param i32) (result i32)
            (i32.atomic.rmw.add offset=2 (local.get 0) (i32.const 1)))
        (func (export "byte") (param i32) (result i32)
            (i32.atomic.rmw8.add_u $s (local.get 0) (i32.const 0x1ff)))
        (func (export "swap") (param i32) (result i64)
            (i64.atomic.rmw.cmpxchg (local.get 0) (i64.const 0) (i64.const 1)))
        (func (export "fence") (param i32) (atomic.fence))
        (func (export "wait") (param i32) (result i32)
            (memory.atomic.wait32 (local.get 0) (i32.const 0) (i64.const 0)))
        (func (export "wait_s") (param i32) (result i32)
            (memory.atomic.wait64 $s (local.get 0) (i64.const 1) (i64.const -1)))
        (func (export "notify") (param i32) (result i32)
            (memory.atomic.notify (local.get 0) (i32.const 1))))"#,
    );
    let mut call = |name: &str, at: i32| {
        let func = instance.get_func(&mut store, name).unwrap();
        let results = func.call(&mut store, &[wfaas_vm::Val::I32(at)]);
        results.map(|results| results.first().map(|value| format!("{value:?}"))).map_err(code)
    };
    let value = |text: &str| Ok(Some(text.to_owned()));
    let unaligned = Err(TrapCode::UnalignedAtomic);
    assert_eq!(call("load", 65532), value("I32(0)"));
    assert_eq!(call("load", 65534), unaligned);
    assert_eq!(call("load", 65536), Err(OUTSIDE));
    assert_eq!(call("load", -4), Err(OUTSIDE));
    assert_eq!(call("far", 4), Err(OUTSIDE));
    assert_eq!(call("store", 65534), Ok(None));
    assert_eq!(call("store", 1), unaligned);
    assert_eq!(call("store", 65536), Err(OUTSIDE));
    assert_eq!(call("add", 0), unaligned);
    assert_eq!(call("add", 65530), value("I32(0)"));
    assert_eq!(call("add", 65534), Err(OUTSIDE));
    assert_eq!(call("byte", 65535), value("I32(0)"));
    assert_eq!(call("byte", 65535), value("I32(255)"));
    assert_eq!(call("byte", 65536), Err(OUTSIDE));
    assert_eq!(call("swap", 65520), value("I64(0)"));
    assert_eq!(call("swap", 65532), unaligned);
    assert_eq!(call("swap", -8), Err(OUTSIDE));
    assert_eq!(call("fence", 0), Ok(None));
    assert_eq!(call("wait", 0), Err(TrapCode::ExpectedSharedMemory));
    assert_eq!(call("wait", 2), unaligned);
    assert_eq!(call("wait", 65536), Err(OUTSIDE));
    assert_eq!(call("wait_s", 8), value("I32(1)"));
    assert_eq!(call("wait_s", 4), unaligned);
    assert_eq!(call("wait_s", -8), Err(OUTSIDE));
    assert_eq!(call("notify", 0), value("I32(0)"));
    assert_eq!(call("notify", 1), unaligned);
    assert_eq!(call("notify", 65536), Err(OUTSIDE));
}

/// A shared memory before an unshared one.
const OWN: &str = r#"(module
    (memory $s (export "shared") 1 4 shared) (memory $u (export "own") 1 4)
    (data (memory $s) (i32.const 3) "shared") (data (memory $u) (i32.const 3) "own")
    (func (export "disturb")
        (memory.fill $s (i32.const 0) (i32.const 9) (i32.const 65536))
        (drop (memory.grow $s (i32.const 1)))
        (i32.atomic.store $s (i32.const 131068) (i32.const -1))
        (i32.store $u (i32.const 0) (i32.const -1))))"#;

#[test]
fn a_shared_memory_is_captured_and_reset_like_the_others() {
    let engine = engine();
    let raw = module(&engine, OWN);
    let linker = Linker::<()>::new(&engine);
    let pool = Pool::<()>::new(&linker, &raw).unwrap();
    let mut first = None;
    for _ in 0..3 {
        let mut faaslet = pool.acquire(()).unwrap();
        let instance = faaslet.instance();
        assert_eq!(*first.get_or_insert(instance), instance, "the store is used again");
        let store = faaslet.store();
        let shared = instance.get_export(store, "shared").unwrap().into_shared_memory().unwrap();
        let mut bytes = [0; 10];
        shared.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, *b"\0\0\0shared\0");
        assert_eq!(shared.size(), 1);
        let own = instance.get_memory(store, "own").unwrap();
        assert_eq!(own.data(store)[..7], *b"\0\0\0own\0");
        assert!(instance.get_memory(store, "shared").is_none());
        drop(shared);
        let disturb = instance.get_typed_func::<(), ()>(store, "disturb").unwrap();
        disturb.call(store, ()).unwrap();
    }
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &raw).unwrap();
    let disturb = instance.get_typed_func::<(), ()>(&mut store, "disturb").unwrap();
    disturb.call(&mut store, ()).unwrap();
    let capture = instance.capture(&mut store).unwrap();
    assert_eq!(capture.memory_pages, [1, 2]);
    let file = replace_image(&raw.artifact(), &capture.image, &capture.memory_pages).unwrap();
    let restored = Module::from_bytes(&engine, &file).unwrap();
    let instance = linker.instantiate(&mut store, &restored).unwrap();
    let shared = instance.get_export(&mut store, "shared").unwrap().into_shared_memory().unwrap();
    assert_eq!(shared.size(), 2);
    assert_eq!(shared.atomic_u32(131_068).unwrap().load(SeqCst), u32::MAX);
    assert_eq!(shared.atomic_u32(65532).unwrap().load(SeqCst), 0x0909_0909);
    assert_eq!(shared.atomic_u32(65536).unwrap().load(SeqCst), 0);
}

#[test]
fn a_faaslet_whose_shared_memory_is_still_referred_to_is_not_used_again() {
    let engine = engine();
    let pool = Pool::<()>::new(&Linker::new(&engine), &module(&engine, OWN)).unwrap();
    let mut faaslet = pool.acquire(()).unwrap();
    let instance = faaslet.instance();
    let kept = instance.get_export(faaslet.store(), "shared").unwrap();
    let kept = kept.into_shared_memory().unwrap();
    kept.write(0, b"kept").unwrap();
    drop(faaslet);
    let mut faaslet = pool.acquire(()).unwrap();
    let instance = faaslet.instance();
    let other = instance.get_export(faaslet.store(), "shared").unwrap();
    let other = other.into_shared_memory().unwrap();
    assert_ne!(kept, other);
    let mut bytes = [0; 4];
    other.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, *b"\0\0\0s");
    kept.read(0, &mut bytes).unwrap();
    assert_eq!(bytes, *b"kept");
}
