//! Pools under limits: slots, memory, and faaslets that nobody uses.

mod common;
use common::module;
use wfaas_vm::{Config, Engine, Error, Linker, Module, Pool};

fn engine(config: Config) -> Engine {
    Engine::new(config).unwrap()
}

/// A pool of modules whose `run` dirties `pages` pages of 4 KiB.
fn pool(engine: &Engine, pages: u32) -> Pool<()> {
    let stores: String = (0..pages)
        .map(|page| format!("(i32.store (i32.const {}) (i32.const 7))", page * 4096))
        .collect();
    let text = format!("(module (memory 16) (func (export \"run\") {stores}))");
    Pool::new(&Linker::new(engine), &module(engine, &text)).unwrap()
}

/// Serves a request.
fn serve(pool: &Pool<()>) {
    let run = pool.typed_func::<(), ()>("run").unwrap();
    pool.acquire(()).unwrap().call(&run, ()).unwrap();
}

#[test]
fn an_idle_faaslet_of_another_pool_gives_up_its_slot() {
    let engine = engine(Config { max_slots: 3, ..Config::default() });
    let pools: Vec<Pool<()>> = (0..10).map(|_| pool(&engine, 1)).collect();
    pools.iter().for_each(serve);
    pools.iter().rev().for_each(serve);
}

#[test]
fn a_module_of_many_small_segments_can_be_pooled() {
    let engine = engine(Config::default());
    let segment = |index: u32| format!("(data (i32.const {index}) \"x\")");
    let segments: String = (0..65_536).chain(0..5_000).map(segment).collect();
    let text = format!(
        "(module (memory 1) {segments} (func (export \"run\")
            (if (i32.ne (i32.load8_u (i32.const 65535)) (i32.const 120)) (then unreachable))))"
    );
    serve(&Pool::new(&Linker::new(&engine), &module(&engine, &text)).unwrap());
}

#[test]
fn there_are_no_more_slots_than_configured() {
    let engine = engine(Config { max_slots: 3, ..Config::default() });
    let pool = pool(&engine, 1);
    let mut live: Vec<_> = (0..3).map(|_| pool.acquire(()).unwrap()).collect();
    assert!(matches!(pool.acquire(()), Err(Error::NoSlot { max: 3 })));
    live.pop();
    pool.acquire(()).unwrap();
}

#[test]
fn idle_faaslets_are_given_back_if_unused_since_the_last_time() {
    let engine = engine(Config::default());
    let (used, unused) = (pool(&engine, 1), pool(&engine, 1));
    assert_eq!(engine.give_back_idle(), 0, "both are new");
    serve(&used);
    assert_eq!(engine.give_back_idle(), 1);
    assert_eq!(engine.give_back_idle(), 1);
    assert_eq!(engine.give_back_idle(), 0);
    serve(&used);
    serve(&unused);
}

#[test]
fn faaslets_keep_no_more_memory_than_configured() {
    let idle_after = |max_resident_bytes| {
        let engine = engine(Config { max_resident_bytes, ..Config::default() });
        let pool = pool(&engine, 16);
        let live: Vec<_> = (0..4).map(|_| pool.acquire(()).unwrap()).collect();
        let run = pool.typed_func::<(), ()>("run").unwrap();
        for mut faaslet in live {
            faaslet.call(&run, ()).unwrap();
        }
        engine.give_back_idle();
        engine.give_back_idle()
    };
    // One more was used to look up the function, and keeps nothing.
    assert_eq!(idle_after(Some((2 * 16 + 1) * 4096)), 2 + 1);
    assert_eq!(idle_after(None), 4 + 1);
}

#[test]
#[should_panic(expected = "a function of another module")]
fn a_function_of_a_dropped_pool_is_none_of_the_next() {
    let engine = engine(Config::default());
    let pool = |wat| Pool::<()>::new(&Linker::new(&engine), &module(&engine, wat)).unwrap();
    let first = pool(r#"(module (func (export "f") (param i32) (result i32) (local.get 0)))"#);
    let f = first.typed_func::<i32, i32>("f").unwrap();
    drop(first);
    // Its text is likely to be where that of the first one was.
    let second = pool(r#"(module (func (export "g") (param i64) (result i64) (local.get 0)))"#);
    let _ = second.acquire(()).unwrap().call(&f, 1);
}

/// Runs the test `name` again in a process of its own, of a single thread, where `TEST_ARTIFACT` is a
/// file with one.
fn in_a_child(name: &str, artifact: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, artifact).unwrap();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    let output = child.env("TEST_ARTIFACT", file.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn slots_that_could_not_be_bound_are_not_lost() {
    let Some(file) = std::env::var_os("TEST_ARTIFACT") else {
        // The compiler has threads. One that has just started may allocate when nothing can be.
        let wasm = b"(module (memory 16) (func (export \"run\")))";
        let compiled = wfaas_compiler::compile(wasm, &Default::default()).unwrap();
        return in_a_child("slots_that_could_not_be_bound_are_not_lost", &compiled.artifact);
    };
    let engine = engine(Config { max_slots: 8, ..Config::default() });
    let module = Module::from_bytes(&engine, &std::fs::read(file).unwrap()).unwrap();
    let pool = Pool::<()>::new(&Linker::new(&engine), &module).unwrap();
    let held = pool.acquire(()).unwrap();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Data);
    let none = rustix::process::Rlimit { current: Some(1), ..limit };
    // Nothing can be mapped for the heap either: what errors need is to be free in it. The last of
    // these lies behind the others, which are therefore not given back to the kernel.
    let mut room: Vec<Box<[u8; 4096]>> = (0..64).map(|_| Box::new([1; 4096])).collect();
    let last = room.pop();
    drop(room);
    rustix::process::setrlimit(rustix::process::Resource::Data, none).unwrap();
    let refused = (0..20).filter(|_| matches!(pool.acquire(()), Err(Error::Slot(_)))).count();
    rustix::process::setrlimit(rustix::process::Resource::Data, limit).unwrap();
    assert_eq!(refused, 20);
    drop((held, last));
    let all: Vec<_> = (0..8).map(|_| pool.acquire(()).unwrap()).collect();
    assert_eq!(all.len(), 8);
}

#[test]
fn a_faaslet_says_whether_its_reset_may_be_long() {
    let engine = common::engine();
    let wat = r#"(module (memory 1) (func (export "grow") (param i32) (result i32)
            (memory.grow (local.get 0)))
        (func (export "fill") (param i32)
            (memory.fill (i32.const 0) (i32.const 1) (local.get 0))))"#;
    let pool = Pool::<()>::new(&Linker::new(&engine), &module(&engine, wat)).unwrap();
    let (grow, fill) = (pool.typed_func("grow").unwrap(), pool.typed_func("fill").unwrap());
    assert!(pool.has_idle());
    let mut faaslet = pool.acquire(()).unwrap();
    assert!(!pool.has_idle());
    assert!(!faaslet.reset_is_long(), "64 KiB");
    faaslet.store().count_cpu_time(true);
    assert_eq!(faaslet.call::<i32, i32>(&grow, 4096).unwrap(), 1);
    assert!(!faaslet.reset_is_long(), "nothing was written to, and it knows that");
    faaslet.call::<i32, ()>(&fill, 256 << 20).unwrap();
    assert!(faaslet.reset_is_long());
    drop(faaslet);
    assert!(pool.has_idle());
    let mut faaslet = pool.acquire(()).unwrap();
    assert_eq!(faaslet.call::<i32, i32>(&grow, 4096).unwrap(), 1);
    assert!(faaslet.reset_is_long(), "nobody counted: it may be");
}

#[test]
fn a_faaslet_may_be_reset_on_another_thread() {
    let engine = common::engine();
    let wat = r#"(module (memory 4) (global $g (mut i32) (i32.const 1))
        (func (export "change") (param i32) (result i32)
            (memory.fill (i32.const 0) (i32.const 7) (i32.const 0x30000))
            (global.set $g (local.get 0))
            (i32.load (i32.const 0x2fff0)))
        (func (export "look") (result i32)
            (i32.add (global.get $g) (i32.load (i32.const 0x2fff0)))))"#;
    let pool = Pool::<Vec<u8>>::new(&Linker::new(&engine), &module(&engine, wat)).unwrap();
    let change = pool.typed_func::<i32, i32>("change").unwrap();
    let look = pool.typed_func::<(), i32>("look").unwrap();
    let mut faaslet = pool.acquire(vec![1]).unwrap();
    assert_eq!(faaslet.call(&change, 5).unwrap(), 0x0707_0707);
    let reset = faaslet.end();
    assert!(!pool.has_idle(), "it is not reset yet");
    std::thread::spawn(move || drop(reset)).join().unwrap();
    assert!(pool.has_idle());
    let mut again = pool.acquire(vec![2]).unwrap();
    assert_eq!((again.call(&look, ()).unwrap(), again.store().data().len()), (1, 1));
}
