//! The commands, one a file.

mod build;
mod cache;
mod clients;
mod deploy;
mod dev;
mod disassemble;
mod doctor;
mod guest;
mod inspect;
mod new;
mod run;
mod serve;
mod snapshot;
mod stores;
mod tenants;
mod token;
mod verify;

use crate::failure::Failure;
use crate::log;
use tracing_subscriber::filter::LevelFilter;

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
    New(new::Args),
    Dev(dev::Args),
    Build(build::Args),
    Cache(cache::Args),
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
        let log = log_level(&self.command).map(log::start).transpose()?;
        match &self.command {
            Command::New(args) => new::run(args),
            Command::Dev(args) => dev::run(args, log.as_ref()),
            Command::Build(args) => build::run(args),
            Command::Cache(args) => cache::run(args),
            Command::Run(args) => run::run(args),
            Command::Serve(args) => serve::run(args, log.as_ref()),
            Command::Deploy(args) => deploy::run(args),
            Command::Snapshot(args) => snapshot::run(args),
            Command::Inspect(args) => inspect::run(args),
            Command::Verify(args) => verify::run(args),
            Command::Doctor(args) => doctor::run(args),
        }
    }
}

/// The least level of records in the log, unless `RUST_LOG` says otherwise; none where nobody wants a log,
/// which takes a thread.
fn log_level(command: &Command) -> Option<LevelFilter> {
    match command {
        Command::Serve(args) if args.is_container() => Some(LevelFilter::WARN),
        Command::Serve(_) | Command::Dev(_) => Some(LevelFilter::INFO),
        Command::Run(args) if args.is_verbose() => Some(LevelFilter::DEBUG),
        _ => log::is_asked_for().then_some(LevelFilter::ERROR),
    }
}
