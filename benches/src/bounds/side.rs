//! Sides: guests in a setup on a number of threads, measured beside each other.

use super::guests::Guest;
use super::row::Row;
use super::setup::Setup;
use crate::procfs::{Counters, Usage};
use crate::timing::{REQUESTS, median_ratio, on_threads, percentile};
use anyhow::Context;
use std::time::Duration;
use wfaas_compiler::Options;
use wfaas_vm::{Config, Engine, Linker, Module, Pool, PoolFunc};

/// Requests of each thread before any is measured: slots learn in them, which takes longer.
const LEARNING: u64 = 16;

/// A guest in a setup on a number of threads.
struct Side {
    setup: Setup,
    threads: u64,
    pool: Pool<()>,
    run: PoolFunc<i32, i64>,
    argument: i32,
    expected: i64,
    /// Requests of a round.
    count: u64,
    /// Nanoseconds for one request, for each round.
    times: Vec<f64>,
    /// Of all rounds.
    counters: Counters,
    /// What the process has in memory for it.
    resident_kib: u64,
}

/// The artifact of a guest in a setup.
pub(super) fn compile(guest: &Guest, setup: Setup) -> anyhow::Result<Vec<u8>> {
    let options = Options { bounds: setup.strategy(), ..Options::default() };
    let compiled = wfaas_compiler::compile(&guest.wasm, &options);
    Ok(compiled.with_context(|| format!("compiling {}", guest.name))?.artifact)
}

/// Measures a guest in all setups on all numbers of threads, interleaved.
pub(super) fn measure(
    guest: &Guest,
    setups: &[Setup],
    threads: &[u64],
    rounds: usize,
) -> anyhow::Result<Vec<Row>> {
    let mut sides = Vec::new();
    for setup in setups {
        let artifact = compile(guest, *setup)?;
        for threads in threads {
            let side = Side::new(guest, &artifact, *setup, *threads);
            sides.push(side.with_context(|| format!("{} under {}", guest.name, setup.name()))?);
        }
    }
    for _ in 0..rounds {
        for side in &mut sides {
            side.round()?;
        }
    }
    Ok(sides.iter().map(|side| side.row(guest, &sides)).collect())
}

impl Side {
    fn new(guest: &Guest, artifact: &[u8], setup: Setup, threads: u64) -> anyhow::Result<Side> {
        let before = Usage::now()?;
        let engine = Engine::new(Config { tracking: setup.tracking(), ..Config::default() })?;
        let module = Module::from_bytes(&engine, artifact)?;
        let pool = Pool::new(&Linker::new(&engine), &module)?;
        let run = pool.typed_func(guest.entry)?;
        let mut side = Side {
            setup,
            threads,
            pool,
            run,
            argument: guest.argument,
            expected: guest.expected,
            count: 0,
            times: Vec::new(),
            counters: Counters::default(),
            resident_kib: 0,
        };
        side.requests(threads, LEARNING * threads)?;
        let count = REQUESTS.count(&mut |count| side.requests(threads, count).map(drop))?;
        side.count = count.next_multiple_of(threads);
        side.resident_kib = Usage::now()?.private_kib.saturating_sub(before.private_kib);
        Ok(side)
    }

    /// Makes requests on some threads, a pristine faaslet each, and a call; how long that took.
    fn requests(&self, threads: u64, count: u64) -> anyhow::Result<Duration> {
        on_threads(threads, count, |_, share| {
            for _ in 0..share {
                let result = self.pool.acquire(())?.call(&self.run, self.argument)?;
                let expected = self.expected;
                anyhow::ensure!(result == expected, "returned {result:x} instead of {expected:x}");
            }
            Ok(())
        })
    }

    fn round(&mut self) -> anyhow::Result<()> {
        let before = Counters::now()?;
        let elapsed = self.requests(self.threads, self.count)?;
        self.times.push(elapsed.as_nanos() as f64 / self.count as f64);
        self.counters += Counters::now()?.since(before);
        Ok(())
    }

    fn row(&self, guest: &Guest, sides: &[Side]) -> Row {
        let alone = sides.iter().find(|side| side.setup == self.setup && side.threads == 1);
        let requests = self.count * self.times.len() as u64;
        let each = |number: u64| number as f64 / requests as f64;
        let Counters { minor_faults, major_faults, user_ticks, kernel_ticks } = self.counters;
        let ticks = user_ticks + kernel_ticks;
        Row {
            guest: guest.name.clone(),
            kind: guest.kind,
            setup: self.setup,
            threads: self.threads,
            requests,
            ns: percentile(&self.times, 50),
            least_ns: percentile(&self.times, 0),
            scaling: alone.map(|alone| median_ratio(&alone.times, &self.times)),
            minor_faults: each(minor_faults),
            major_faults: each(major_faults),
            kernel_share: (ticks > 0).then(|| kernel_ticks as f64 / ticks as f64),
            resident_kib: self.resident_kib,
            instructions: None,
        }
    }
}
