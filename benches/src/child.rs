//! The bench as a process of its own: it starts itself again with a hidden command.

use anyhow::Context;
use clap::ValueEnum;
use std::process::{Command, Stdio};

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Who {
    /// wfaas.
    Ours,
    /// wasmtime.
    Peer,
    /// Neither: what the process itself costs.
    Nobody,
}

impl Who {
    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Who::Ours => "ours",
            Who::Peer => "peer",
            Who::Nobody => "nobody",
        }
    }
}

/// Runs this executable with other arguments until it ends; what it printed.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("/proc/self/exe")
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .context("starting this executable again")?;
    anyhow::ensure!(output.status.success(), "{arguments:?} failed: {}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
