//! `bounds`: what keeping accesses inside the memory costs, by strategy and number of threads.
//!
//! * a *setup* is a bounds strategy with a way to reset instances;
//! * a *guest* is what a request runs: a kernel of `exec`, in a memory that is large enough from the
//!   start or grows first, or something that does nothing but grow;
//! * a *side* is a guest in a setup on a number of threads; each thread makes requests, one after
//!   the other, with a pristine instance each;
//! * in a *round* every side of a guest makes its requests, one side after the other.
//!
//! Every request must return what the kernel's native build does. What `exec` measures, kernels alone
//! on all engines, is part of the run. `--write` puts all of it into `docs/bounds.md`.

mod chart;
mod figures;
mod guests;
mod instructions;
mod page;
mod row;
mod setup;
mod side;
mod summary;

pub(crate) use instructions::once;

use crate::exec::{self, kernels::KERNELS};
use crate::machine;
use anyhow::Context;
use clap::ValueEnum;
use guests::{Guest, Kind, growth, of_kernel, repetitions};
use page::Page;
use row::{NativeInstructions, Results, Row};
use setup::Setup;
use std::path::{Path, PathBuf};

/// Guests that grow have so many rounds for each of the kernels': they are few and short, and threads
/// that wait for each other do not always take the same time.
const GROWTH_ROUNDS: usize = 5;

/// Rows and rounds to measure.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only guests whose name contains this: kernels, or sizes such as "1 MiB".
    #[arg(long, default_value = "")]
    only: String,
    /// Only these setups: a strategy, and guard-discard, whose resets copy nothing back.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "none,clamp,trap,guard,guard-discard,guard-uffd"
    )]
    setups: Vec<Setup>,
    /// Numbers of threads; scaling is relative to one.
    #[arg(long, value_delimiter = ',', default_value = "1,2",
          value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: Vec<u64>,
    /// Counts instructions of kernels under valgrind too.
    #[arg(long)]
    instructions: bool,
    /// Leaves out what `exec` measures: the kernels alone, on all engines.
    #[arg(long)]
    no_engines: bool,
    /// Writes the numbers as CSV to this file too.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Draws figures into this folder too.
    #[arg(long, value_name = "FOLDER")]
    svg: Option<PathBuf>,
    /// Replaces what was measured in `bounds.md` of this folder, and in its folder `figures`.
    #[arg(long, value_name = "FOLDER")]
    write: Option<PathBuf>,
}

/// Measures, prints, and writes everything but JSON.
pub(crate) fn run(arguments: &Arguments, rounds: usize) -> anyhow::Result<Results> {
    let page = arguments.write.as_deref().map(Page::open).transpose()?;
    let results = measure_all(arguments, rounds)?;
    row::print(&results);
    if let Some(file) = &arguments.csv {
        row::write_csv(&results, file)?;
    }
    if let Some(folder) = &arguments.svg {
        figures::write(&results, folder)?;
    }
    if let Some(page) = page {
        let of_growth = rounds * GROWTH_ROUNDS;
        let rounds = format!("{rounds} rounds, {of_growth} of those that only grow");
        page.write(&results, &format!("{rounds}; {}", machine::line()))?;
    }
    Ok(results)
}

/// Measures all guests in all setups, and the engines.
fn measure_all(arguments: &Arguments, rounds: usize) -> anyhow::Result<Results> {
    if arguments.instructions {
        instructions::check_valgrind()?;
    }
    let folder = tempfile::tempdir().context("making a folder for compiled kernels")?;
    let mut results = Results { rows: Vec::new(), native_instructions: Vec::new(), engines: None };
    for kernel in KERNELS.iter().filter(|kernel| kernel.name.contains(&arguments.only)) {
        let (guests, built) = of_kernel(kernel, folder.path())?;
        for guest in guests {
            let mut rows = measure(arguments, &guest, rounds)?;
            // What grows is the same code, called from another function.
            if arguments.instructions && guest.kind == Kind::Fixed {
                count(&guest, &mut rows, folder.path())?;
            }
            results.rows.extend(rows);
        }
        if arguments.instructions {
            let instructions = instructions::of_native(&built.native, repetitions(kernel))?;
            let guest = kernel.name.to_owned();
            results.native_instructions.push(NativeInstructions { guest, instructions });
        }
    }
    for guest in growth()?.iter().filter(|guest| guest.name.contains(&arguments.only)) {
        results.rows.extend(measure(arguments, guest, rounds * GROWTH_ROUNDS)?);
    }
    anyhow::ensure!(!results.rows.is_empty(), "no guest has {:?} in its name", arguments.only);
    let kernels = KERNELS.iter().any(|kernel| kernel.name.contains(&arguments.only));
    if kernels && !arguments.no_engines {
        let engines = exec::Arguments::all_engines(&arguments.only);
        results.engines = Some(exec::run(&engines, rounds)?);
    }
    Ok(results)
}

fn measure(arguments: &Arguments, guest: &Guest, rounds: usize) -> anyhow::Result<Vec<Row>> {
    side::measure(guest, &arguments.setups, &arguments.threads, rounds)
}

/// Adds the instructions of a request to the rows of a guest.
fn count(guest: &Guest, rows: &mut [Row], folder: &Path) -> anyhow::Result<()> {
    for setup in Setup::value_variants() {
        let mut of_setup = rows.iter_mut().filter(|row| row.setup == *setup).peekable();
        if of_setup.peek().is_some() {
            let count = instructions::of_guest(guest, *setup, folder)?;
            of_setup.for_each(|row| row.instructions = count);
        }
    }
    Ok(())
}
