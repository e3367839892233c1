//! The memory of images: one file for all of an engine's modules, and everything that it has is
//! counted. Each test has the process for itself, since it looks at all of it.

mod common;
use common::module;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use wfaas_vm::{Config, Engine, Error, Linker, Module, Pool, Tracking};

/// Lets one test run at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The process's open files, after those that a process opens once, with its first pool
/// (`userfaultfd`).
fn descriptors() -> usize {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| {
        let engine = Engine::new(Config::default()).unwrap();
        let pool = Pool::<()>::new(&Linker::new(&engine), &module(&engine, "(module (memory 1))"));
        drop(pool.unwrap().acquire(()).unwrap());
    });
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Bytes of memory in files for images.
fn taken() -> u64 {
    let files = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let of_images = |path: &std::path::PathBuf| {
        fs::read_link(path).is_ok_and(|to| to.to_string_lossy().contains("memfd:wfaas-images"))
    };
    files.filter(of_images).map(|path| fs::metadata(path).unwrap().blocks() * 512).sum()
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap() * 1024
}

fn artifact(wat: &str) -> Vec<u8> {
    wfaas_compiler::compile(wat.as_bytes(), &Default::default()).unwrap().artifact
}

/// Sets the number after `marker` wherever an artifact has it.
fn renumber(artifact: &mut [u8], marker: &[u8], number: u32) {
    let places = artifact.windows(marker.len()).enumerate();
    let places: Vec<usize> =
        places.filter(|(_, bytes)| *bytes == marker).map(|(at, _)| at + marker.len()).collect();
    assert!(!places.is_empty());
    for at in places {
        artifact[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
}

/// Ends with the number of files that the process may open as it was.
struct FewFiles(rustix::process::Rlimit);

impl FewFiles {
    fn new(most: u64) -> FewFiles {
        let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let few = rustix::process::Rlimit { current: Some(most), ..before };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
        FewFiles(before)
    }
}

impl Drop for FewFiles {
    fn drop(&mut self) {
        rustix::process::setrlimit(rustix::process::Resource::Nofile, self.0).unwrap();
    }
}

#[test]
fn thousands_of_modules_need_no_descriptors() {
    let _alone = alone();
    let text = r#"(module (memory 1) (memory $more 1) (data (i32.const 64) "the number:    ")
        (data (memory $more) (i32.const 64) "the number:    ")
        (func (export "sum") (result i32)
            (i32.add (i32.load (i32.const 75)) (i32.load $more (i32.const 75)))))"#;
    let mut artifact = artifact(text);
    let engine = Engine::new(Config::default()).unwrap();
    let _few = FewFiles::new(256);
    let folder = tempfile::tempdir().unwrap();
    let (files, before) = (descriptors(), taken());
    let pools: Vec<Pool<()>> = (0..2000)
        .map(|number| {
            renumber(&mut artifact, b"the number:", number);
            let module = if number % 2 == 0 {
                Module::from_bytes(&engine, &artifact).unwrap()
            } else {
                let path = folder.path().join("module");
                fs::write(&path, &artifact).unwrap();
                let module = Module::from_file(&engine, &path).unwrap();
                fs::remove_file(path).unwrap();
                module
            };
            Pool::new(&Linker::new(&engine), &module).unwrap()
        })
        .collect();
    assert_eq!(descriptors(), files);
    assert!(taken() - before <= engine.image_bytes());
    // The kernel's limit on mappings is for all of them; a few of the slots are enough.
    for (number, pool) in pools.iter().enumerate().step_by(7) {
        let sum = pool.typed_func::<(), i32>("sum").unwrap();
        assert_eq!(pool.acquire(()).unwrap().call(&sum, ()).unwrap(), 2 * number as i32);
    }
    drop(pools);
    assert_eq!((descriptors(), taken(), engine.image_bytes()), (files, before, 0));
}

#[test]
fn further_memories_need_no_descriptors() {
    let _alone = alone();
    let memories: String = (0..99).map(|_| "(memory 1 10)").collect();
    let engine = Engine::new(Config::default()).unwrap();
    let files = descriptors();
    let text = format!("(module (memory (export \"memory\") 1) {memories})");
    let pool = Pool::<()>::new(&Linker::new(&engine), &module(&engine, &text)).unwrap();
    let faaslet = pool.acquire(()).unwrap();
    assert_eq!(descriptors(), files);
    drop(faaslet);
}

#[test]
fn an_image_under_several_names_is_counted_once() {
    let _alone = alone();
    let text = r#"(module (memory 16) (data (i32.const 100000) "some bytes")
        (func (export "run") (i64.store (i32.const 100000) (i64.const 0))))"#;
    let (artifact, engine) = (artifact(text), Engine::new(Config::default()).unwrap());
    let pool = || {
        let module = Module::from_bytes(&engine, &artifact).unwrap();
        Pool::<()>::new(&Linker::new(&engine), &module).unwrap()
    };
    let first = pool();
    let (bytes, before) = (engine.image_bytes(), taken());
    assert!(bytes > 0);
    let others: Vec<Pool<()>> = (0..50).map(|_| pool()).collect();
    for other in &others {
        let run = other.typed_func::<(), ()>("run").unwrap();
        other.acquire(()).unwrap().call(&run, ()).unwrap();
    }
    assert_eq!((engine.image_bytes(), taken()), (bytes, before));
    drop(first);
    assert_eq!(engine.image_bytes(), bytes, "others have it");
    drop(others);
    assert_eq!(engine.image_bytes(), 0);
}

#[test]
fn more_images_than_configured_are_refused() {
    let _alone = alone();
    let config = Config { max_image_bytes: Some(100 << 10), ..Config::default() };
    let engine = Engine::new(config).unwrap();
    let bytes = "x".repeat(40 << 10);
    let text = |name| format!("(module (memory 1) (data (i32.const 0) \"{name}{bytes}\"))");
    let pool = |name| Pool::<()>::new(&Linker::new(&engine), &module(&engine, &text(name)));
    let first = pool("a").unwrap();
    let error = pool("b").unwrap_err();
    assert!(matches!(error, Error::Slot(wfaas_vm::SlotError::ImageMemory { .. })), "{error}");
    drop(first);
    pool("b").unwrap();
}

/// A module whose memory of 250 MiB has a few bytes each 5 MiB, and a request that only reads.
#[test]
fn looking_at_every_page_of_a_sparse_image_takes_page_tables_only() {
    let _alone = alone();
    const PAGES: u32 = 4000;
    let data: String =
        (0..50).map(|n| format!("(data (i32.const {}) \"x\")", n * 5_242_880 + 64)).collect();
    let text = format!(
        r#"(module (memory {PAGES}) {data}
            (func (export "read") (result i32) (local $at i32) (local $sum i32)
                (loop $next
                    (local.set $sum (i32.add (local.get $sum) (i32.load8_u offset=64 (local.get $at))))
                    (local.set $at (i32.add (local.get $at) (i32.const 4096)))
                    (br_if $next (i32.lt_u (local.get $at) (i32.const {}))))
                (local.get $sum)))"#,
        PAGES * 65536
    );
    let artifact = artifact(&text);
    for tracking in [Tracking::Discard, Tracking::Pages, Tracking::Granules] {
        let engine = Engine::new(Config { tracking, ..Config::default() }).unwrap();
        let module = Module::from_bytes(&engine, &artifact).unwrap();
        let pool = Pool::<()>::new(&Linker::new(&engine), &module).unwrap();
        let read = pool.typed_func::<(), i32>("read").unwrap();
        let (files, resident) = (taken(), status("VmRSS:"));
        for _ in 0..2 {
            assert_eq!(pool.acquire(()).unwrap().call(&read, ()).unwrap(), 50 * i32::from(b'x'));
        }
        let more = (taken() - files, status("VmRSS:").saturating_sub(resident));
        assert!(more.0 <= 64 << 10 && more.1 <= 8 << 20, "{tracking:?}: {more:?}");
        assert!(engine.image_bytes() <= 1 << 20, "{}", engine.image_bytes());
    }
}
