//! `faascli verify`

use crate::failure::{Blame, Failure};
use crate::{output, subject};
use anyhow::Context;
use std::path::PathBuf;
use wfaas_abi::Artifact;

/// Check every byte of an artifact against its content hash
///
/// Also says whether this machine can run it. Exit code 0 if the file is as it was built, 2 if it
/// is truncated, damaged, or made for another machine or version.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  faascli verify app.faas
  faascli verify app.faas && scp app.faas server:")]
pub(crate) struct Args {
    /// The artifact
    #[arg(value_name = "APP.faas")]
    artifact: PathBuf,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let bytes = subject::read(&args.artifact)?;
    let hash = verified(&bytes)
        .with_context(|| format!("{} cannot be run", args.artifact.display()))
        .user_error()?;
    output::line(format_args!("{}: ok, {hash}", args.artifact.display()))?;
    Ok(0)
}

/// The content hash of a whole artifact that this machine can run.
fn verified(bytes: &[u8]) -> anyhow::Result<String> {
    let artifact = Artifact::parse(bytes)?;
    artifact.verify()?;
    artifact.check_cpu(wfaas_vm::available_cpu_features())?;
    Ok(artifact.content_hash_hex())
}
