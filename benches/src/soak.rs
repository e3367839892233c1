//! `soak`: resets by the million, after calls that ended in every way a call can end. Whatever one
//! of them leaves behind adds up: memory, mappings and descriptors must stay as they were.

use crate::procfs::Usage;
use anyhow::{Context, ensure};
use serde::Serialize;
use std::time::{Duration, Instant};
use wfaas_abi::TrapCode;
use wfaas_vm::{Config, Engine, Error, Linker, Module, Pool, PoolFunc};

/// Every export first adds up what it finds, then dirties it. 320 pages are more host pages than a
/// slot learns.
const GUEST: &str = r#"(module (memory 320) (global $seen (mut i32) (i32.const 7)) (tag $tag)
    (data (i32.const 128) "\01") (data (i32.const 300000) "\02")
    (data (i32.const 9000000) "\04") (data (i32.const 20000000) "\08")
    (func $run (export "run") (param i32) (result i32)
        (i32.add (i32.add (global.get $seen) (memory.size))
            (i32.add (i32.add (i32.load (i32.const 128)) (i32.load (i32.const 300000)))
                (i32.add (i32.load (i32.const 9000000)) (i32.load (i32.const 20000000)))))
        (global.set $seen (local.get 0))
        (i32.store (i32.const 128) (local.get 0)) (i32.store (i32.const 300000) (local.get 0))
        (i32.store (i32.const 9000000) (local.get 0)) (i32.store (i32.const 20000000) (local.get 0)))
    (func (export "trap") (param i32) (result i32) (call $run (local.get 0)) unreachable)
    (func (export "fault") (param i32) (result i32)
        (i32.add (call $run (local.get 0)) (i32.load (i32.const -4))))
    (func (export "throw") (param i32) (result i32) (call $run (local.get 0)) (throw $tag))
    (func (export "spin") (param i32) (result i32)
        (loop $forever (drop (call $run (local.get 0))) (br $forever)) unreachable)
    (func (export "grow") (param i32) (result i32)
        (call $run (local.get 0))
        (if (i32.ne (memory.grow (i32.const 16)) (i32.const 320)) (then unreachable))
        (i32.store (i32.const 21000000) (local.get 0)))
    (func (export "flood") (param i32) (result i32) (local $at i32)
        (call $run (local.get 0))
        (loop $next
            (i32.store (local.get $at) (local.get 0))
            (local.set $at (i32.add (local.get $at) (i32.const 4096)))
            (br_if $next (i32.lt_u (local.get $at) (i32.const 20971520))))))"#;

/// What a call returns on a pristine instance: the global, the size, the data.
const PRISTINE: i32 = 7 + 320 + (1 + 2 + 4 + 8);

/// How a call is to end.
#[derive(Debug, Clone, Copy)]
enum End {
    Returns,
    Traps(TrapCode),
    Throws,
}

/// What happens instead of `run`: every so many requests (primes, so that they do not meet always
/// the same others), a call of this export, which ends so.
const EVENTS: [(u64, &str, End); 7] = [
    (1_000_003, "flood", End::Returns),
    (20_011, "spin", End::Traps(TrapCode::DeadlineExceeded)),
    (1009, "fault", End::Traps(TrapCode::MemoryOutOfBounds)),
    (499, "grow", End::Returns),
    (307, FRESH, End::Returns),
    (211, "throw", End::Throws),
    (101, "trap", End::Traps(TrapCode::Unreachable)),
];

/// The event that a faaslet is made, calls `run`, and is dropped with its slot.
const FRESH: &str = "fresh";

/// How long `spin` may.
const DEADLINE: Duration = Duration::from_millis(1);

/// How many samples are taken, and how many of them count as warming up.
const SAMPLES: u64 = 100;
const WARM_UP: usize = 10;

/// What the allocator may have more in use than when it was warm.
const SLACK_KIB: u64 = 256;

/// The process after that many resets.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    resets: u64,
    seconds: f64,
    #[serde(flatten)]
    usage: Usage,
}

/// Makes `resets` resets and returns the samples; whether they are flat is for [`check`].
pub(crate) fn run(resets: u64) -> anyhow::Result<Vec<Sample>> {
    ensure!(resets >= SAMPLES, "a soak takes at least {SAMPLES} resets");
    let (engine, pool) = pool(Config::default())?;
    let (_, made_anew) = pool_without_idle_slots()?;
    let run = pool.typed_func("run")?;
    let mut events = Vec::with_capacity(EVENTS.len());
    for (every, name, end) in EVENTS {
        let (pool, export) = if name == FRESH { (&made_anew, "run") } else { (&pool, name) };
        let func = pool.typed_func(export)?;
        // Each once before the first sample: the first deadline starts a thread.
        request(pool, &func, name, end).context(name)?;
        events.push((every, pool, func, name, end));
    }
    let mut samples = Vec::with_capacity(SAMPLES as usize);
    let start = Instant::now();
    for sample in 0..SAMPLES {
        let (from, to) = (resets * sample / SAMPLES, resets * (sample + 1) / SAMPLES);
        for number in from..to {
            let event = events.iter().find(|event| number % event.0 == event.0 - 1);
            let (pool, func, name, end) = match event {
                Some((_, pool, func, name, end)) => (*pool, func, *name, *end),
                None => (&pool, &run, "run", End::Returns),
            };
            request(pool, func, name, end)
                .with_context(|| format!("request {number}, a call of {name:?}"))?;
        }
        engine.give_back_idle();
        let seconds = start.elapsed().as_secs_f64();
        samples.push(Sample { resets: to, seconds, usage: Usage::now()? });
        if sample % 10 == 9 {
            print(samples.last().expect("just pushed"), sample == 9);
        }
    }
    Ok(samples)
}

/// Fails if the process has grown since it was warm.
pub(crate) fn check(samples: &[Sample]) -> anyhow::Result<()> {
    let (warm, later) = samples.split_at(WARM_UP.min(samples.len()));
    let most = |samples: &[Sample], number: fn(&Usage) -> u64| {
        samples.iter().map(|sample| number(&sample.usage)).max().unwrap_or(0)
    };
    for (what, slack, number) in [
        ("resident KiB", SLACK_KIB, (|usage| usage.resident_kib) as fn(&Usage) -> u64),
        ("KiB of page tables", SLACK_KIB, |usage| usage.page_tables_kib),
        ("mappings", 0, |usage| usage.mappings),
        ("descriptors", 0, |usage| usage.descriptors),
    ] {
        let (before, after) = (most(warm, number), most(later, number));
        ensure!(after <= before + slack, "not flat: {before} {what} when warm, {after} later");
    }
    Ok(())
}

fn pool(config: Config) -> anyhow::Result<(Engine, Pool<()>)> {
    let engine = Engine::new(config)?;
    let compiled = wfaas_compiler::compile(GUEST.as_bytes(), &Default::default())?;
    let module = Module::from_bytes(&engine, &compiled.artifact)?;
    let pool = Pool::new(&Linker::new(&engine), &module)?;
    Ok((engine, pool))
}

/// A pool that makes a faaslet for each request, and drops it.
fn pool_without_idle_slots() -> anyhow::Result<(Engine, Pool<()>)> {
    pool(Config { idle_slots: 0, ..Config::default() })
}

/// A call on a pristine instance, which has to be one and to end as it should.
fn request(pool: &Pool<()>, func: &PoolFunc<i32, i32>, name: &str, end: End) -> anyhow::Result<()> {
    let mut faaslet = pool.acquire(())?;
    if name == "spin" {
        faaslet.store().set_deadline(Some(Instant::now() + DEADLINE));
    }
    let result = faaslet.call(func, -1);
    match (end, &result) {
        (End::Returns, Ok(PRISTINE)) | (End::Throws, Err(Error::Exception(_))) => Ok(()),
        (End::Traps(code), Err(Error::Trap(trap))) if trap.code == code => Ok(()),
        _ => anyhow::bail!("{end:?} was expected, {result:?} came ({PRISTINE} is pristine)"),
    }
}

fn print(sample: &Sample, first: bool) {
    if first {
        println!(
            "{:>12} {:>10} {:>14} {:>16} {:>10} {:>12}",
            "resets", "seconds", "resident KiB", "page tables KiB", "mappings", "descriptors"
        );
    }
    let Usage { resident_kib, page_tables_kib, mappings, descriptors, .. } = sample.usage;
    println!(
        "{:>12} {:>10.1} {resident_kib:>14} {page_tables_kib:>16} {mappings:>10} {descriptors:>12}",
        sample.resets, sample.seconds
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(change: impl Fn(u64, &mut Usage)) -> Vec<Sample> {
        let sample = |resets| {
            let mut usage =
                Usage { resident_kib: 9000, mappings: 50, descriptors: 8, ..Usage::default() };
            change(resets, &mut usage);
            Sample { resets, seconds: 0.0, usage }
        };
        (0..SAMPLES).map(sample).collect()
    }

    #[test]
    fn a_process_that_stays_as_it_is_passes() {
        check(&samples(|_, _| ())).unwrap();
        check(&samples(|resets, usage| usage.resident_kib += resets % 7)).unwrap();
        check(&samples(|resets, usage| usage.mappings -= resets.min(5))).unwrap();
    }

    #[test]
    fn whatever_grows_is_named() {
        let named = |change: fn(u64, &mut Usage)| check(&samples(change)).unwrap_err().to_string();
        assert!(named(|at, usage| usage.resident_kib += at * 40).contains("resident KiB"));
        assert!(named(|at, usage| usage.page_tables_kib += at * 40).contains("page tables"));
        assert!(named(|at, usage| usage.mappings += at / 50).contains("mappings"));
        assert!(named(|at, usage| usage.descriptors += at / 50).contains("descriptors"));
    }
}
