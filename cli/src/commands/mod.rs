//! The commands, one a file.

mod build;
mod clients;
mod deploy;
mod doctor;
mod guest;
mod inspect;
mod run;
mod serve;
mod snapshot;
mod token;
mod verify;

use crate::failure::Failure;

/// Build, run, serve and deploy WebAssembly functions
#[derive(Debug, clap::Parser)]
#[command(name = "faascli", version, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 something around faascli failed, 2 a mistake in \
    what was asked for, 134 the guest trapped. `run` passes the guest's own code through.")]
pub(crate) struct Faascli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Build(build::Args),
    Run(run::Args),
    Serve(serve::Args),
    Deploy(deploy::Args),
    Snapshot(snapshot::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
    Doctor(doctor::Args),
}

impl Faascli {
    /// Runs the command; its exit code.
    pub(crate) fn run(&self) -> Result<u8, Failure> {
        match &self.command {
            Command::Build(args) => build::run(args),
            Command::Run(args) => run::run(args),
            Command::Serve(args) => serve::run(args),
            Command::Deploy(args) => deploy::run(args),
            Command::Snapshot(args) => snapshot::run(args),
            Command::Inspect(args) => inspect::run(args),
            Command::Verify(args) => verify::run(args),
            Command::Doctor(args) => doctor::run(args),
        }
    }
}

/// Shows what the server logs from level `info` on, unless `RUST_LOG` says otherwise.
fn log_to_stderr() {
    use tracing_subscriber::filter::{EnvFilter, LevelFilter};
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours);
    log.with_writer(std::io::stderr).init();
}
