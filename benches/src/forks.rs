//! `forks`: a second faaslet like a live one, of 64 MiB with 1000 pages that differ from the image. Resets are
//! not timed: a fork is reset like any faaslet. `copy` is what memory itself takes: a plain copy of such pages
//! to others that are there already.

use crate::report::Row;
use std::time::{Duration, Instant};
use wfaas_vm::{Config, Engine, Faaslet, Linker, Module, Pool, Snapshot};

/// A guest that writes the first `$bytes` bytes of each of `$pages` pages, 16 pages apart.
const GUEST: &str = r#"(module (memory 1024)
    (func (export "run") (param $pages i32) (param $bytes i32) (local $page i32)
        (block $done (loop $next
            (br_if $done (i32.ge_u (local.get $page) (local.get $pages)))
            (memory.fill (i32.shl (local.get $page) (i32.const 16)) (i32.const 1) (local.get $bytes))
            (local.set $page (i32.add (local.get $page) (i32.const 1)))
            (br $next)))))"#;

/// Pages that a parent has written to.
const PAGES: i32 = 1000;

/// Bytes that a parent has written in each page.
const WORD: i32 = 4;
const WHOLE: i32 = 4096;

/// Operations for each round.
const REPEAT: usize = 10;

/// Measures forks and snapshots.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let count = rounds * REPEAT;
    let mut rows = Vec::new();
    for (kind, idle_slots) in [("learned", Config::default().idle_slots), ("fresh", 0)] {
        let pool = pool(idle_slots)?;
        for (name, pages, bytes) in
            [("none", 0, 0), ("words", PAGES, WORD), ("whole", PAGES, WHOLE)]
        {
            let mut parent = parent(&pool, pages, bytes)?;
            let times = times(count, || parent.fork())?;
            rows.push(Row::alone(&format!("fork_{name}_{kind}"), &times));
        }
        let mut parent = parent(&pool, PAGES, WORD)?;
        let snapshot = snapshot(&mut parent)?;
        let from = times(count, || pool.acquire_from(&snapshot, ()))?;
        rows.push(Row::alone(&format!("acquire_from_{kind}"), &from));
    }
    let pool = pool(Config::default().idle_slots)?;
    let mut parent = parent(&pool, PAGES, WORD)?;
    rows.push(Row::alone("snapshot", &times(count, || snapshot(&mut parent))?));
    rows.push(Row::alone("copy", &copies(count)?));
    Ok(rows)
}

/// Nanoseconds of a plain copy of pages, which are as far from each other as the pages of a parent.
fn copies(count: usize) -> anyhow::Result<Vec<f64>> {
    const APART: usize = 64 << 10;
    const PAGE: usize = 4 << 10;
    // Only these pages are touched, as in a guest: in memory that is touched as a whole, pages 64 KiB from each
    // other share few sets of the caches.
    let mut memories = [(); 2].map(|()| vec![0u8; PAGES as usize * APART]);
    for page in memories.iter_mut().flat_map(|memory| memory.chunks_mut(APART)) {
        page[..PAGE].fill(1);
    }
    times(count, || {
        let [from, to] = &mut memories;
        for (from, to) in from.chunks(APART).zip(to.chunks_mut(APART)) {
            to[..PAGE].copy_from_slice(&from[..PAGE]);
        }
        std::hint::black_box(&mut memories);
        Ok(())
    })
}

fn pool(idle_slots: usize) -> anyhow::Result<Pool<()>> {
    let engine = Engine::new(Config { idle_slots, ..Config::default() })?;
    let compiled = wfaas_compiler::compile(GUEST.as_bytes(), &Default::default())?;
    let module = Module::from_bytes(&engine, &compiled.artifact)?;
    Ok(Pool::new(&Linker::new(&engine), &module)?)
}

fn parent(pool: &Pool<()>, pages: i32, bytes: i32) -> anyhow::Result<Faaslet<'_, ()>> {
    let run = pool.typed_func::<(i32, i32), ()>("run")?;
    let mut parent = pool.acquire(())?;
    parent.call(&run, (pages, bytes))?;
    Ok(parent)
}

fn snapshot(parent: &mut Faaslet<'_, ()>) -> Result<Snapshot, wfaas_vm::Error> {
    parent.instance().snapshot(parent.store(), usize::MAX)
}

/// Nanoseconds that an operation takes, `count` times, after a few that teach the slots. The operation's result is
/// dropped before the next one.
fn times<V>(
    count: usize,
    mut operation: impl FnMut() -> Result<V, wfaas_vm::Error>,
) -> anyhow::Result<Vec<f64>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count + REPEAT {
        let started = Instant::now();
        let result = operation()?;
        let taken: Duration = started.elapsed();
        drop(result);
        times.push(taken.as_nanos() as f64);
    }
    Ok(times.split_off(REPEAT))
}
