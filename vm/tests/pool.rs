//! Pools under limits: slots, memory, and faaslets that nobody uses.

mod common;
use common::module;
use wfaas_vm::{Config, Engine, Error, Linker, Pool};

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
