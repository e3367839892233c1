//! `programs`: how fast compiled code of real programs runs, that no pass was made for.
//!
//! * a *program* is a small driver of ours around a library from the package registry, in
//!   `benches/programs/`; it times the second call of its work by itself, and prints a checksum;
//! * its *part* says what it is for: passes are developed on *tuning*, stay if *validation* gains too,
//!   and are reported on *final*;
//! * in a *round* every engine runs the program once, one after the other, in a fresh instance.
//!
//! Every checksum of every run must be the one that the native build prints.

mod build;
mod engine;
mod list;
mod ours;
mod rows;
mod wasmtime;

pub(crate) use rows::{Programs, print};

use crate::timing::{median_ratio, percentile};
use anyhow::Context;
use build::Built;
use engine::Engine;
use list::{PROGRAMS, Part, Program};
use rows::{Row, Time};
use rustix::time::{ClockId, clock_gettime};
use wfaas_compiler::Passes;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only programs of these parts; all but `final` without any.
    #[arg(long, value_delimiter = ',', default_value = "tuning,validation")]
    part: Vec<Part>,
    /// Only programs whose name contains this, of any part.
    #[arg(long)]
    only: Option<String>,
    /// Only these engines; times are those of the first over those of each.
    #[arg(long, value_delimiter = ',', default_value = "wfaas,wasmtime,v8,native")]
    engines: Vec<Engine>,
    /// Compiles without this pass of wfaas' own; may be given several times.
    #[arg(long, value_name = "PASS")]
    disable_pass: Vec<String>,
}

/// How often a program calls its work; the last call is timed.
const CALLS: u32 = 2;

/// Measures programs on engines.
pub(crate) fn run(arguments: &Arguments, rounds: usize) -> anyhow::Result<Programs> {
    let chosen = |program: &&Program| match &arguments.only {
        Some(only) => program.name.contains(only.as_str()),
        None => arguments.part.contains(&program.part),
    };
    let chosen: Vec<&Program> = PROGRAMS.iter().filter(chosen).collect();
    anyhow::ensure!(!chosen.is_empty(), "no program has {:?} in its name", arguments.only);
    let passes = Passes::ALL.without_each(&arguments.disable_pass)?;
    build::build()?;
    let mut rows = Vec::new();
    for program in chosen {
        let row = measure(program, arguments, passes, rounds);
        rows.push(row.with_context(|| format!("program {}", program.name))?);
    }
    Ok(Programs::new(rows))
}

/// Runs one program on all engines, interleaved.
fn measure(
    program: &Program,
    arguments: &Arguments,
    passes: Passes,
    rounds: usize,
) -> anyhow::Result<Row> {
    let built = build::built(program.name);
    let expected = Engine::Native.load(&built, &[])?.run(CALLS)?.checksum;
    let mut contestants = Vec::new();
    for engine in &arguments.engines {
        let contestant = Contestant::new(*engine, &built, passes);
        contestants.push(contestant.with_context(|| format!("engine {}", engine.name()))?);
    }
    // The first round warms up.
    for round in 0..=rounds {
        for contestant in &mut contestants {
            let outcome = contestant.runner.run(CALLS)?;
            anyhow::ensure!(
                outcome.checksum == expected,
                "{} has checksum {:x} instead of {expected:x}",
                contestant.engine.name(),
                outcome.checksum
            );
            if round > 0 {
                contestant.times.push(outcome.nanos);
            }
        }
    }
    let mut times = Vec::new();
    for contestant in &contestants {
        times.push(contestant.time(&contestants[0].times));
    }
    Ok(Row { program: program.name, part: program.part, language: program.language, times })
}

/// An engine with a program loaded, and its times so far.
struct Contestant {
    engine: Engine,
    runner: Box<dyn engine::Runner>,
    compile_ns: Option<f64>,
    bytes: Option<usize>,
    times: Vec<f64>,
}

impl Contestant {
    fn new(engine: Engine, built: &Built, passes: Passes) -> anyhow::Result<Contestant> {
        let start = processor_nanos();
        let code = engine.compile(&built.wasm, passes)?;
        let compile_ns = code.as_ref().map(|_| processor_nanos() - start);
        let bytes = code.as_ref().map(Vec::len);
        let runner = engine.load(built, code.as_deref().unwrap_or_default())?;
        Ok(Contestant { engine, runner, compile_ns, bytes, times: Vec::new() })
    }

    fn time(&self, first: &[f64]) -> Time {
        let least_ns = percentile(&self.times, 0);
        Time {
            engine: self.engine.name(),
            ns: percentile(&self.times, 50),
            least_ns,
            ratio: median_ratio(first, &self.times),
            least_ratio: percentile(first, 0) / least_ns,
            compile_ns: self.compile_ns,
            bytes: self.bytes,
        }
    }
}

/// Processor time of this process.
fn processor_nanos() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
