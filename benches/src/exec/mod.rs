//! `exec`: how fast compiled code runs. Kernels in C, built by one clang for WebAssembly and for
//! the machine, on several engines side by side.
//!
//! * a *kernel* is a C file in `benches/kernels/` that repeats some work and returns a checksum;
//! * a *variant* of it is the WebAssembly with or without vectors (`-msimd128`);
//! * an *engine* runs a variant; a *runner* is an engine with a variant loaded;
//! * in a *round* every engine runs the variant once, one after the other.
//!
//! Every checksum of every run must be the one that the native build returns.

pub(crate) mod build;
pub(crate) mod kernels;
mod ours;
pub(crate) mod process;
mod rows;
pub(crate) mod runner;
mod wasmtime;

pub(crate) use rows::{Lab, print, write_csv};

use crate::timing::{median_ratio, percentile};
use anyhow::Context;
use kernels::{KERNELS, Kernel};
use rows::{Row, Time};
use runner::{Engine, Variant};
use std::path::PathBuf;
use wfaas_compiler::Passes;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only kernels whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Only these engines; `ratio` is that of the first to wasmtime, `checks` that of wfaas-trap to
    /// wasmtime-checks. Without any, all that are installed.
    #[arg(long, value_delimiter = ',')]
    engines: Vec<Engine>,
    /// Compiles without this pass of wfaas' own; may be given several times.
    #[arg(long, value_name = "PASS")]
    disable_pass: Vec<String>,
    /// Keeps the compiled kernels in this folder.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Writes the numbers as CSV to this file too.
    #[arg(long, value_name = "FILE")]
    pub(crate) csv: Option<PathBuf>,
}

impl Arguments {
    /// All engines on the kernels whose name contains `only`.
    pub(crate) fn all_engines(only: &str) -> Arguments {
        let (only, engines, disable_pass) = (only.to_owned(), Vec::new(), Vec::new());
        Arguments { only, engines, disable_pass, keep: None, csv: None }
    }
}

/// The WebAssembly of all kernels, without and with vectors.
pub(crate) fn modules() -> anyhow::Result<Vec<Vec<u8>>> {
    let folder = tempfile::tempdir().context("making a folder for compiled kernels")?;
    let mut modules = Vec::new();
    for kernel in KERNELS {
        let built = build::build(kernel, folder.path())?;
        for file in [built.scalar, built.simd] {
            modules
                .push(std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?);
        }
    }
    Ok(modules)
}

/// Measures all kernels on all engines.
pub(crate) fn run(arguments: &Arguments, rounds: usize) -> anyhow::Result<Lab> {
    let temporary = tempfile::tempdir().context("making a folder for compiled kernels")?;
    let folder = arguments.keep.as_deref().unwrap_or(temporary.path());
    let chosen = || KERNELS.iter().filter(|kernel| kernel.name.contains(&arguments.only));
    anyhow::ensure!(chosen().count() > 0, "no kernel has {:?} in its name", arguments.only);
    let passes = Passes::ALL.without_each(&arguments.disable_pass)?;
    let all_engines = Engine::all();
    let engines = match &arguments.engines[..] {
        [] => &all_engines,
        engines => engines,
    };
    let mut rows = Vec::new();
    for kernel in chosen() {
        let built = build::build(kernel, folder)?;
        for simd in [false, true] {
            let variant = Variant { built: &built, simd, passes };
            let row = measure(kernel, &variant, engines, rounds);
            rows.push(row.with_context(|| format!("kernel {}", kernel.name))?);
        }
    }
    Ok(Lab::new(rows))
}

/// Runs one variant on all engines, interleaved.
fn measure(
    kernel: &Kernel,
    variant: &Variant<'_>,
    engines: &[Engine],
    rounds: usize,
) -> anyhow::Result<Row> {
    let expected = Engine::Native.load(variant)?.run(kernel.repetitions)?.checksum;
    let mut runners = Vec::new();
    for engine in engines {
        let runner = engine.load(variant);
        runners.push(runner.with_context(|| format!("engine {}", engine.name()))?);
    }
    let mut times = vec![Vec::with_capacity(rounds); engines.len()];
    // The first round warms up.
    for round in 0..=rounds {
        for ((runner, engine), times) in runners.iter_mut().zip(engines).zip(&mut times) {
            let outcome = runner.run(kernel.repetitions)?;
            anyhow::ensure!(
                outcome.checksum == expected,
                "{} has checksum {:x} instead of {expected:x}",
                engine.name(),
                outcome.checksum
            );
            if round > 0 {
                times.push(outcome.nanos);
            }
        }
    }
    Ok(row(kernel, variant.simd, engines, &times))
}

fn row(kernel: &Kernel, simd: bool, engines: &[Engine], times: &[Vec<f64>]) -> Row {
    let of = |wanted: Engine| {
        engines.iter().position(|engine| *engine == wanted).map(|index| &times[index])
    };
    let ratio = |above: Engine, below| {
        of(above).zip(of(below)).map(|(above, below)| median_ratio(above, below))
    };
    let times_of = |(engine, times): (&Engine, &Vec<f64>)| Time {
        engine: engine.name(),
        ns: percentile(times, 50),
        least_ns: percentile(times, 0),
        over_native: of(Engine::Native).map(|native| median_ratio(times, native)),
    };
    Row {
        kernel: kernel.name,
        group: kernel.group,
        simd,
        ratio: engines.first().and_then(|first| ratio(*first, Engine::Wasmtime)),
        checks_ratio: ratio(Engine::WfaasTrap, Engine::WasmtimeChecks),
        times: engines.iter().zip(times).map(times_of).collect(),
    }
}
