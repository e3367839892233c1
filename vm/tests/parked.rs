//! Parked faaslets: they go on as they were, with the terms of their calls, and have no slot meanwhile. What
//! is in their memories is compared in `fork.rs`.

mod common;

use common::{LOOP, engine, module, trap_of};
use std::time::{Duration, Instant};
use wfaas_vm::{Config, Engine, Error, ExternRef, Faaslet, Linker, Pool, PoolFunc, TrapCode, Val};

/// Counts its calls in a global and in memory, and may be given a reference.
const COUNTER: &str = r#"(module (memory 1 10) (global $calls (mut i32) (i32.const 0))
    (global (export "e") (mut externref) (ref.null extern))
    (func (export "count") (result i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.store (i32.const 5000) (i32.add (i32.load (i32.const 5000)) (i32.const 1)))
        (i32.add (i32.mul (global.get $calls) (i32.const 100)) (i32.load (i32.const 5000))))
    (func (export "grow") (result i32) (memory.grow (i32.const 1)))
    (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const 40000))))"#;

type Counter = (Pool<String>, PoolFunc<(), i32>);

fn counter(config: Config) -> Counter {
    let engine = Engine::new(config).unwrap();
    let pool = Pool::new(&Linker::new(&engine), &module(&engine, COUNTER)).unwrap();
    let count = pool.typed_func("count").unwrap();
    (pool, count)
}

/// Parks a faaslet and ends it.
fn park(mut faaslet: Faaslet<'_, String>) -> wfaas_vm::Parked<String> {
    let parked = faaslet.park(1 << 20).unwrap();
    assert_eq!(faaslet.store().data(), "", "it has taken the data");
    parked
}

#[test]
fn one_slot_serves_many_parked_faaslets_that_do_not_see_each_other() {
    let (pool, count) = counter(Config { max_slots: 1, ..Config::default() });
    let mut parked = Vec::new();
    for number in 0..10 {
        let mut faaslet = pool.acquire(number.to_string()).unwrap();
        for _ in 0..number {
            faaslet.call(&count, ()).unwrap();
        }
        parked.push(park(faaslet));
    }
    for round in 1..=3 {
        for (number, parked) in parked.iter_mut().enumerate() {
            assert_eq!(parked.data_mut(), &number.to_string());
            let mut faaslet = pool.unpark(parked).unwrap();
            assert_eq!(faaslet.store().data(), &number.to_string());
            assert_eq!(faaslet.call(&count, ()).unwrap(), (number + round) as i32 * 101);
            *parked = park(faaslet);
        }
    }
    let pristine = pool.acquire(String::new()).unwrap().call(&count, ()).unwrap();
    assert_eq!(pristine, 101);
}

#[test]
fn a_parked_faaslet_takes_the_memory_of_its_pages_and_waits_for_a_slot() {
    let (pool, count) = counter(Config { max_slots: 1, ..Config::default() });
    let mut faaslet = pool.acquire("mine".to_owned()).unwrap();
    faaslet.call(&count, ()).unwrap();
    let mut parked = park(faaslet);
    // A page of state, one of memory.
    assert!((8192..9000).contains(&parked.bytes()), "{}", parked.bytes());
    let other = pool.acquire(String::new()).unwrap();
    let refused = pool.unpark(&mut parked).map(drop).unwrap_err();
    assert!(matches!(refused, Error::NoSlot { max: 1 }), "{refused}");
    assert_eq!(parked.data_mut(), "mine", "it is parked as before");
    drop(other);
    assert_eq!(pool.unpark(&mut parked).unwrap().call(&count, ()).unwrap(), 202);
}

#[test]
fn a_faaslet_that_cannot_be_parked_is_as_it_was() {
    let (pool, count) = counter(Config::default());
    let fill = pool.typed_func::<(), ()>("fill").unwrap();
    let mut faaslet = pool.acquire("mine".to_owned()).unwrap();
    faaslet.call(&count, ()).unwrap();
    faaslet.call(&fill, ()).unwrap();
    let refused = faaslet.park(20_000).map(drop).unwrap_err().to_string();
    assert!(refused.contains("in more than 20000 bytes"), "{refused}");
    let instance = faaslet.instance();
    let global = instance.get_global(faaslet.store(), "e").unwrap();
    global.set(faaslet.store(), Val::ExternRef(Some(ExternRef::new(7)))).unwrap();
    let refused = faaslet.park(1 << 20).map(drop).unwrap_err().to_string();
    assert!(refused.contains("a reference to a host object"), "{refused}");
    assert_eq!(faaslet.store().data(), "mine");
    // Its second call, and the byte that `fill` has written.
    assert_eq!(faaslet.call(&count, ()).unwrap(), 200 + 0x0101_0102);
}

#[test]
fn a_faaslet_that_takes_long_to_look_through_is_not_parked() {
    let wat = r#"(module (memory 80)
        (func (export "fill") (param i32)
            (memory.fill (i32.const 0) (i32.const 1) (i32.shl (local.get 0) (i32.const 12)))))"#;
    let engine = engine();
    let pool = Pool::<String>::new(&Linker::new(&engine), &module(&engine, wat)).unwrap();
    let fill = pool.typed_func::<i32, ()>("fill").unwrap();
    for (pages, is_parked) in [(200, true), (1200, false)] {
        let mut faaslet = pool.acquire("mine".to_owned()).unwrap();
        faaslet.call(&fill, pages).unwrap();
        match faaslet.park(usize::MAX) {
            Ok(parked) => assert!(is_parked && parked.bytes() >= 200 << 12),
            Err(why) => {
                assert!(
                    !is_parked && why.to_string().contains("too many pages to look at"),
                    "{why}"
                );
                assert_eq!(faaslet.store().data(), "mine");
            }
        }
    }
}

#[test]
fn a_parked_faaslet_is_of_one_pool() {
    let ((pool, _), (other, _)) = (counter(Config::default()), counter(Config::default()));
    let mut parked = park(pool.acquire("mine".to_owned()).unwrap());
    let refused = other.unpark(&mut parked).map(drop).unwrap_err().to_string();
    assert!(refused.contains("of another module"), "{refused}");
    assert_eq!(pool.unpark(&mut parked).unwrap().release(), "mine");
}

#[test]
fn limits_of_memory_go_along() {
    let (pool, _) = counter(Config::default());
    let grow = pool.typed_func::<(), i32>("grow").unwrap();
    let mut faaslet = pool.acquire(String::new()).unwrap();
    faaslet.store().set_memory_limit(Some(2 << 16));
    assert_eq!(faaslet.call(&grow, ()).unwrap(), 1);
    let mut parked = park(faaslet);
    assert_eq!(pool.acquire(String::new()).unwrap().call(&grow, ()).unwrap(), 1);
    let mut faaslet = pool.unpark(&mut parked).unwrap();
    assert_eq!(faaslet.call(&grow, ()).unwrap(), -1, "the second page is there, and no third");
    drop(faaslet);
    let mut next = pool.acquire(String::new()).unwrap();
    assert_eq!(
        [(); 3].map(|()| next.call(&grow, ()).unwrap()),
        [1, 2, 3],
        "nobody else is limited"
    );
}

/// A pool of guests that loop, and their functions.
fn looping() -> (Pool<String>, PoolFunc<(), ()>, PoolFunc<i32, i32>) {
    let engine = engine();
    let pool = Pool::new(&Linker::new(&engine), &module(&engine, LOOP)).unwrap();
    let (ends_never, busy) = (pool.typed_func("loop").unwrap(), pool.typed_func("busy").unwrap());
    (pool, ends_never, busy)
}

#[test]
fn deadlines_and_cancellations_go_along() {
    let (pool, ends_never, busy) = looping();
    let mut faaslet = pool.acquire(String::new()).unwrap();
    let deadline = Instant::now() + Duration::from_millis(30);
    faaslet.store().set_deadline(Some(deadline));
    let mut parked = park(faaslet);
    assert_eq!(pool.acquire(String::new()).unwrap().store().deadline(), None);
    let mut faaslet = pool.unpark(&mut parked).unwrap();
    assert!(faaslet.store().deadline().is_some());
    let trap = trap_of(faaslet.call(&ends_never, ()).unwrap_err());
    assert!(trap.code == TrapCode::DeadlineExceeded && Instant::now() >= deadline, "{trap}");
    drop((faaslet, parked));

    let mut faaslet = pool.acquire(String::new()).unwrap();
    let handle = faaslet.store().cancel_handle();
    let mut parked = park(faaslet);
    handle.cancel();
    pool.acquire(String::new()).unwrap().call(&busy, 10_000_000).expect("it is another one");
    let mut faaslet = pool.unpark(&mut parked).unwrap();
    let trap = trap_of(faaslet.call(&ends_never, ()).unwrap_err());
    assert_eq!(trap.code, TrapCode::Cancelled);
}

#[test]
fn processor_time_goes_along() {
    let (pool, ends_never, busy) = looping();
    let mut faaslet = pool.acquire(String::new()).unwrap();
    faaslet.store().set_cpu_limit(Some(Duration::from_millis(50)));
    faaslet.call(&busy, 1_000_000).unwrap();
    let used = faaslet.store().cpu_time();
    assert!(!used.is_zero());
    let mut parked = park(faaslet);
    let mut other = pool.acquire(String::new()).unwrap();
    assert_eq!(other.store().cpu_time(), Duration::ZERO);
    let mut faaslet = pool.unpark(&mut parked).unwrap();
    assert_eq!(faaslet.store().cpu_time(), used);
    let trap = trap_of(faaslet.call(&ends_never, ()).unwrap_err());
    assert_eq!(trap.code, TrapCode::CpuLimitExceeded);
    let mut parked = park(faaslet);
    let mut faaslet = pool.unpark(&mut parked).unwrap();
    let trap = trap_of(faaslet.call(&busy, 1).unwrap_err());
    assert_eq!(trap.code, TrapCode::CpuLimitExceeded, "its time is over");
    other.call(&busy, 1_000_000).expect("that was another one's limit");
}
