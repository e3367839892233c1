//! Whatever the previous guest did, the next one sees the image, byte for byte: by each way of
//! resetting, forced; for guests that were killed at any moment; on two threads; and while the
//! kernel takes pages away.

mod common;
use common::{engine, module};
use proptest::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use wfaas_abi::artifact::set_profile;
use wfaas_abi::image::SparseImage;
use wfaas_vm::{Config, Engine, Faaslet, Linker, Module, Pool, Store, Tracking};

/// A guest that does to itself whatever its caller asks for.
const GUEST: &str = r#"(module
    (memory (export "memory") 3 40) (memory $m (export "m") i64 1 20) (memory $s 2 6 shared)
    (table $t (export "t") 10 200 funcref)
    (table $u 5 50 funcref)
    (global $a (mut i32) (i32.const 11)) (global $b (mut i64) (i64.const 22))
    (global $c (mut f64) (f64.const 3.5)) (global $d (mut funcref) (ref.func $noop))
    (data (i32.const 100) "some data at the start")
    (data (i32.const 70000) "and some on another page")
    (data (memory $m) (i64.const 5000) "in the second memory")
    (data (memory $s) (i32.const 100) "in the shared memory")
    (data $passive "passive")
    (elem (i32.const 2) $noop $store $noop)
    (elem $e func $noop $grow)
    (func $noop (export "noop"))
    (func $store (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "store_others") (param i32 i32)
        (i32.store $m (i64.rem_u (i64.extend_i32_u (local.get 0)) (i64.const 66000))
            (local.get 1))
        (i32.store $s (local.get 0) (local.get 1)))
    (func (export "atomics") (param i32 i32)
        (drop (i32.atomic.rmw.add (i32.and (local.get 0) (i32.const -4)) (local.get 1)))
        (drop (i64.atomic.rmw.xchg $s (i32.and (local.get 0) (i32.const 0x1fff8)) (i64.const 3)))
        (i32.atomic.store8 $m (i64.const 4096) (local.get 0)))
    (func (export "fill") (param i32 i32)
        (memory.fill (local.get 0) (local.get 1) (i32.const 20000))
        (memory.fill $m (i64.const 30000) (local.get 1) (i64.const 20000))
        (memory.copy $s $m (i32.const 50000) (i64.const 20000) (i32.const 20000)))
    (func $grow (export "grow") (param i32 i32)
        (drop (memory.grow $m (i64.extend_i32_u (local.get 0))))
        (drop (memory.grow $s (local.get 1)))
        (drop (memory.grow (local.get 0)))
        (i32.store8 $m (i64.sub (i64.mul (memory.size $m) (i64.const 65536)) (i64.const 1))
            (local.get 1))
        (i32.store8 $s (i32.sub (i32.mul (memory.size $s) (i32.const 65536)) (i32.const 1))
            (local.get 1))
        (i32.store (i32.sub (i32.mul (memory.size) (i32.const 65536)) (i32.const 4)) (local.get 1)))
    (func (export "table_set") (param i32 i32)
        (table.set $t (local.get 0) (ref.null func))
        (table.set $u (local.get 1) (ref.func $store)))
    (func (export "table_grow") (param i32 i32)
        (drop (table.grow $t (ref.func $grow) (local.get 0)))
        (drop (table.grow $u (ref.null func) (local.get 1))))
    (func (export "globals") (param i32 i32)
        (global.set $a (local.get 0)) (global.set $b (i64.extend_i32_u (local.get 1)))
        (global.set $c (f64.const 0)) (global.set $d (ref.null func)))
    (func (export "segments") (param i32 i32)
        (memory.init $passive (local.get 0) (i32.const 0) (i32.const 7))
        (data.drop $passive)
        (table.init $t $e (local.get 1) (i32.const 0) (i32.const 2))
        (elem.drop $e))
    (func (export "trap") (param i32 i32)
        (i32.store (local.get 0) (i32.const -1))
        (global.set $a (i32.const 1))
        (drop (i32.div_u (local.get 1) (i32.const 0))))
    (func (export "loop") (param i32 i32)
        (loop $l
            (i32.store (i32.and (local.get 0) (i32.const 0x1fffc)) (local.get 1))
            (local.set 0 (i32.add (local.get 0) (i32.const 4)))
            (global.set $a (local.get 0))
            (br $l))))"#;

const ACTIONS: [&str; 11] = [
    "store",
    "fill",
    "grow",
    "table_set",
    "table_grow",
    "globals",
    "segments",
    "trap",
    "loop",
    "store_others",
    "atomics",
];

fn snapshot(faaslet: &mut Faaslet<()>) -> (Vec<(u32, Vec<u8>)>, Vec<u64>) {
    let instance = faaslet.instance();
    let capture = instance.capture(faaslet.store()).unwrap();
    let pages =
        |image: &SparseImage| image.stored().map(|(at, page)| (at, page.to_vec())).collect();
    (pages(&capture.image), capture.memory_pages)
}

/// Whether the next faaslet is as the first one was, and finds zeros where its memories grow.
fn is_pristine(pool: &Pool<()>, pristine: &(Vec<(u32, Vec<u8>)>, Vec<u64>)) -> bool {
    let mut faaslet = pool.acquire(()).unwrap();
    if snapshot(&mut faaslet) != *pristine {
        return false;
    }
    let instance = faaslet.instance();
    let store = faaslet.store();
    ["memory", "m"].iter().all(|name| {
        let memory = instance.get_memory(store, name).unwrap();
        let before = memory.data(store).len();
        memory.grow(store, 19).expect("room");
        let grown = &memory.data(store)[before..];
        grown == &vec![0; grown.len()][..]
    })
}

/// Every way of tracking, with and without a profile of what a few actions write to.
const WAYS: [(Tracking, bool); 7] = [
    (Tracking::Pages, false),
    (Tracking::Granules, false),
    (Tracking::Discard, false),
    (Tracking::Record, false),
    (Tracking::Pages, true),
    (Tracking::Granules, true),
    (Tracking::Discard, true),
];

fn pool() -> Pool<()> {
    pool_with(Tracking::Pages, false)
}

fn pool_with(tracking: Tracking, profile: bool) -> Pool<()> {
    wfaas_vm::diagnostics::userfaultfd().expect("without it these tests would test something else");
    let engine = |tracking| Engine::new(Config { tracking, ..Config::default() }).unwrap();
    let recording = engine(Tracking::Record);
    let raw = module(&recording, GUEST);
    let linker = Linker::<()>::new(&recording);
    let mut store = Store::new(&recording, ());
    let instance = linker.instantiate(&mut store, &raw).unwrap();
    let capture = instance.capture(&mut store).unwrap();
    let mut artifact =
        wfaas_abi::artifact::replace_image(&raw.artifact(), &capture.image, &capture.memory_pages)
            .unwrap();
    if profile {
        let module = Module::from_bytes(&recording, &artifact).unwrap();
        let pool = Pool::new(&linker, &module).unwrap();
        let mut faaslet = pool.acquire(()).unwrap();
        for (action, a) in [(0, 0), (1, 50_000), (2, 3), (5, 1)] {
            act(&mut faaslet, action, a, 1);
        }
        let instance = faaslet.instance();
        let profile = instance.recorded(faaslet.store()).unwrap().expect("a few pages");
        artifact = set_profile(&module.artifact(), &profile).unwrap();
    }
    let engine = engine(tracking);
    let module = Module::from_bytes(&engine, &artifact).unwrap();
    Pool::new(&Linker::new(&engine), &module).unwrap()
}

fn act(faaslet: &mut Faaslet<()>, action: usize, a: i32, b: i32) {
    let (name, instance) = (ACTIONS[action], faaslet.instance());
    let store = faaslet.store();
    if name == "loop" {
        let micros = 200 + u64::from(a.unsigned_abs()) % 3000;
        store.set_deadline(Some(Instant::now() + Duration::from_micros(micros)));
    }
    let function = instance.get_typed_func::<(i32, i32), ()>(store, name).unwrap();
    // It may trap; that is part of what is tested.
    let _ = function.call(store, (a, b));
}

fn argument() -> impl Strategy<Value = i32> {
    prop_oneof![0..300_000i32, 0..50i32, any::<i32>()]
}

/// What the guests of one slot do, one after the other.
type Lives = Vec<Vec<(usize, i32, i32)>>;

fn lives() -> impl Strategy<Value = Lives> {
    prop::collection::vec(
        prop::collection::vec((0..ACTIONS.len(), argument(), argument()), 1..8),
        1..6,
    )
}

/// Whether each life leaves the image to the next.
fn leave_nothing(pool: &Pool<()>, lives: &Lives) -> bool {
    let pristine = snapshot(&mut pool.acquire(()).unwrap());
    lives.iter().all(|life| {
        let mut faaslet = pool.acquire(()).unwrap();
        for (action, a, b) in life {
            act(&mut faaslet, *action, *a, *b);
        }
        drop(faaslet);
        is_pristine(pool, &pristine)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn the_next_guest_sees_the_image(lives in lives()) {
        for (tracking, profile) in WAYS {
            let pool = pool_with(tracking, profile);
            prop_assert!(leave_nothing(&pool, &lives), "{tracking:?}, profile: {profile}");
        }
    }

    #[test]
    fn guests_on_two_threads_leave_nothing_to_each_other(first in lives(), second in lives()) {
        for (tracking, profile) in WAYS {
            let pool = pool_with(tracking, profile);
            let (one, two) = std::thread::scope(|scope| {
                let one = scope.spawn(|| leave_nothing(&pool, &first));
                let two = scope.spawn(|| leave_nothing(&pool, &second));
                (one.join().unwrap(), two.join().unwrap())
            });
            prop_assert!(one && two, "{tracking:?}, profile: {profile}");
        }
    }
}

/// Starts with writes all over, each of which may be the first to its page: a guest that is killed
/// early is killed while the handler of a first write runs, or between it and the write.
#[test]
fn a_guest_that_is_killed_at_any_moment_leaves_nothing() {
    for (tracking, profile) in WAYS {
        let pool = pool_with(tracking, profile);
        let pristine = snapshot(&mut pool.acquire(()).unwrap());
        for round in 0..60u64 {
            let mut faaslet = pool.acquire(()).unwrap();
            let instance = faaslet.instance();
            let store = faaslet.store();
            let grow = instance.get_typed_func::<(i32, i32), ()>(store, "grow").unwrap();
            let scribble = instance.get_typed_func::<(i32, i32), ()>(store, "loop").unwrap();
            // The watchdog looks once a millisecond, so this is spread over the time after it.
            let due = Duration::from_micros(round * 211 % 2000);
            store.set_deadline(Some(Instant::now() + due));
            let _ = grow.call(store, (2, 1));
            let start = (round * 4099 % 0x1f000) as i32;
            scribble.call(store, (start, 1)).expect_err("it never ends by itself");
            drop(faaslet);
            let next = is_pristine(&pool, &pristine);
            assert!(next, "round {round}, {tracking:?}, profile: {profile}");
        }
    }
}

/// What pressure can take away: without swap, the kernel may drop or write back pages of files, and
/// unmap what it can map again, which `MADV_PAGEOUT` makes it do at once; compact memory, which
/// moves pages under their mappings. Private pages, which hold what guests wrote, it has to keep.
/// Learned sets must not rely on any page still being mapped.
#[test]
fn pages_that_the_kernel_takes_away_are_the_same_when_they_come_back() {
    for (tracking, profile) in WAYS {
        let pool = pool_with(tracking, profile);
        let pristine = snapshot(&mut pool.acquire(()).unwrap());
        let end = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !end.load(Relaxed) {
                    page_out_slots();
                }
            });
            let failed = (0..60).find(|round| {
                let mut faaslet = pool.acquire(()).unwrap();
                for (action, a) in [(0, round * 4096), (1, 50_000), (2, 2), (5, 1), (9, 0)] {
                    act(&mut faaslet, action, a, 1);
                }
                drop(faaslet);
                !is_pristine(&pool, &pristine)
            });
            end.store(true, Relaxed);
            assert_eq!(failed, None, "{tracking:?}, profile: {profile}");
        });
    }
}

/// Asks the kernel to take away all pages of this process's images.
fn page_out_slots() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    for line in maps.lines().filter(|line| line.contains("memfd:wfaas-image")) {
        let range = line.split(' ').next().unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
        // SAFETY: the advice changes no contents; a range that is not mapped any more is an error
        // that is none here.
        unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_PAGEOUT) };
    }
}

#[test]
fn the_tests_above_would_notice() {
    for (tracking, profile) in WAYS {
        let pool = pool_with(tracking, profile);
        let mut faaslet = pool.acquire(()).unwrap();
        let pristine = snapshot(&mut faaslet);
        for (action, a, b) in [
            (0, 0, 1),
            (2, 1, 1),
            (3, 0, 0),
            (4, 1, 0),
            (5, 1, 2),
            (6, 0, 0),
            (9, 0, 1),
            (10, 0, 1),
        ] {
            act(&mut faaslet, action, a, b);
            assert!(snapshot(&mut faaslet) != pristine, "{} left no trace", ACTIONS[action]);
            faaslet = {
                drop(faaslet);
                pool.acquire(()).unwrap()
            };
            assert!(snapshot(&mut faaslet) == pristine);
        }
    }
}

#[test]
fn faaslets_in_use_at_the_same_time_do_not_see_each_other() {
    let pool = pool();
    let (mut first, mut second) = (pool.acquire(()).unwrap(), pool.acquire(()).unwrap());
    let pristine = snapshot(&mut second);
    for (action, a) in [(0, 0), (2, 1), (5, 7)] {
        act(&mut first, action, a, 1);
    }
    assert!(snapshot(&mut second) == pristine);
    assert!(snapshot(&mut first) != pristine);
}

#[test]
fn a_proto_file_is_the_same_as_an_image_in_the_artifact() {
    let engine = engine();
    let raw = module(&engine, GUEST);
    let linker = Linker::<()>::new(&engine);
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &raw).unwrap();
    let store_word = instance.get_typed_func::<(i32, i32), ()>(&mut store, "store").unwrap();
    store_word.call(&mut store, (4096, 77)).unwrap();
    let capture = instance.capture(&mut store).unwrap();
    let proto = capture.to_proto(&raw);
    let pool = Pool::new(&linker, &raw.with_proto(&proto).unwrap()).unwrap();
    let mut faaslet = pool.acquire(()).unwrap();
    let instance = faaslet.instance();
    let memory = instance.get_memory(faaslet.store(), "memory").unwrap();
    assert_eq!(memory.data(faaslet.store())[4096], 77);
    let mut damaged = proto.clone();
    damaged[200] ^= 1;
    raw.with_proto(&damaged).expect_err("the hash does not fit");
}

#[test]
fn what_an_embedder_adds_to_a_store_is_gone_with_the_faaslet() {
    let pool = pool();
    let engine = engine();
    let mut faaslet = pool.acquire(()).unwrap();
    let first = faaslet.instance();
    act(&mut faaslet, 0, 0, 1);
    drop(faaslet);
    let mut faaslet = pool.acquire(()).unwrap();
    assert_eq!(faaslet.instance(), first, "the store is used again");
    let other = module(&engine, "(module (memory 1))");
    Linker::new(&engine).instantiate(faaslet.store(), &other).unwrap();
    drop(faaslet);
    assert_ne!(pool.acquire(()).unwrap().instance(), first, "it is not the pool's any more");
}

/// The host may share the guest's memory among threads: each may be the first to write to a page.
#[test]
fn what_two_threads_of_the_host_wrote_is_reset() {
    for tracking in [Tracking::Pages, Tracking::Granules] {
        let engine = Engine::new(Config { tracking, ..Config::default() }).unwrap();
        let module = module(&engine, "(module (memory (export \"memory\") 2))");
        for _ in 0..1000 {
            let pool: Pool<()> = Pool::new(&Linker::new(&engine), &module).unwrap();
            let mut faaslet = pool.acquire(()).unwrap();
            let instance = faaslet.instance();
            let memory = instance.get_memory(faaslet.store(), "memory").unwrap();
            let (low, high) = memory.data_mut(faaslet.store()).split_at_mut(65536);
            let both_here = std::sync::Barrier::new(2);
            let write = |half: &mut [u8]| {
                both_here.wait();
                half.chunks_mut(4096).take(7).for_each(|page| page[0] = 0x55);
            };
            std::thread::scope(|scope| {
                scope.spawn(|| write(low));
                write(high);
            });
            drop(faaslet);
            let mut faaslet = pool.acquire(()).unwrap();
            let instance = faaslet.instance();
            let memory = instance.get_memory(faaslet.store(), "memory").unwrap();
            assert!(memory.data(faaslet.store()).iter().all(|byte| *byte == 0), "{tracking:?}");
        }
    }
}
