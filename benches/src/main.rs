//! `wfaas-bench` measures wfaas beside wasmtime in its best tuning, in one process, interleaved.
//!
//! * a *workload* is a guest and what one request does with it;
//! * a *round* times a batch of requests of each side, one side after the other;
//! * a *row* holds medians and 99th percentiles over all rounds, and the median of the rounds'
//!   ratios: ours / peer.
#![allow(clippy::print_stdout)]

mod calls;
mod peer;
mod report;
mod start;
mod workload;

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
    /// A pristine instance, a call, and pristine again: everything included.
    Start {
        /// Only workloads whose name contains this.
        #[arg(default_value = "")]
        filter: String,
    },
    /// Calls from host to guest, from guest to host, and traps.
    Calls,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let rows = match &arguments.command {
        Command::Start { filter } => start::run(filter, arguments.rounds)?,
        Command::Calls => calls::run(arguments.rounds)?,
    };
    report::print(&rows);
    match &arguments.json {
        Some(file) => report::write_json(&rows, file),
        None => Ok(()),
    }
}
