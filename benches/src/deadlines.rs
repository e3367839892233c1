//! `deadlines`: how late a request ends that would never end by itself.

use crate::timing::percentile;
use anyhow::{Context, bail};
use serde::Serialize;
use std::time::{Duration, Instant};
use wfaas_function::{Exchange, Function, InvokeError, Spec};
use wfaas_vm::{Config, Engine, Module};

/// Time of a request until its deadline: not a multiple of anything.
const TIME: Duration = Duration::from_micros(5300);

/// What a guest does until its deadline. `$wait` is a WASI call that takes an hour, `$yield` one
/// that takes no time.
const GUESTS: [(&str, &str); 4] = [
    ("guest code", "(loop $forever (br $forever))"),
    ("calls of the host", "(loop $forever (drop (call $yield)) (br $forever))"),
    (
        "blocked WASI call",
        "(drop (call $wait (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))",
    ),
    (
        "filling memory",
        "(loop $forever (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x4000000)) (br $forever))",
    ),
];

/// How late requests of one kind ended, in nanoseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Lateness {
    name: &'static str,
    p50_ns: f64,
    p99_ns: f64,
    max_ns: f64,
}

/// Measures each guest so many times.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Lateness>> {
    let engine = Engine::new(Config::default())?;
    GUESTS.iter().map(|(name, body)| one(&engine, name, body, rounds)).collect()
}

fn one(engine: &Engine, name: &'static str, body: &str, rounds: usize) -> anyhow::Result<Lateness> {
    let function = function(engine, body)?;
    let mut late = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let deadline = Instant::now() + TIME;
        let exchange = Exchange { deadline: Some(deadline), ..Exchange::default() };
        let ended = function.handle(exchange);
        late.push(deadline.elapsed().as_nanos() as f64);
        match ended {
            Err(InvokeError::Deadline(_)) => {}
            other => bail!("{name}: a deadline was expected, {other:?} came"),
        }
    }
    let max_ns = late.iter().copied().fold(0.0, f64::max);
    Ok(Lateness { name, p50_ns: percentile(&late, 50), p99_ns: percentile(&late, 99), max_ns })
}

/// A WASI command. At 0 there is a subscription to the clock for in an hour.
fn function(engine: &Engine, body: &str) -> anyhow::Result<Function> {
    let hour: String = 3_600_000_000_000u64.to_le_bytes().map(|b| format!("\\{b:02x}")).concat();
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "poll_oneoff"
                (func $wait (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
            (memory (export "memory") 1025)
            (data (i32.const 16) "\01") (data (i32.const 24) "{hour}")
            (func (export "_start") {body}))"#
    );
    let compiled = wfaas_compiler::compile(text.as_bytes(), &Default::default())?;
    let module = Module::from_bytes(engine, &compiled.artifact)?;
    Function::new(engine, &module, Spec::named("runaway".parse()?)).context("a function")
}

/// Prints a table a person can read.
pub(crate) fn print(rows: &[Lateness]) {
    println!("{:<20} {:>12} {:>12} {:>12}", "late by", "p50", "p99", "most");
    for Lateness { name, p50_ns, p99_ns, max_ns } in rows {
        let [p50, p99, most] = [p50_ns, p99_ns, max_ns].map(|ns| format!("{:.2} ms", ns / 1e6));
        println!("{name:<20} {p50:>12} {p99:>12} {most:>12}");
    }
}
