//! `faascli run`

use crate::failure::{Blame, Failure, Kind};
use crate::function;
use crate::network::Network;
use crate::output::{self, OutputError};
use crate::recipe::{Recipe, vm_kind};
use crate::subject::{self, Subject};
use crate::verified;
use anyhow::Context;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use wfaas_function::run::{Outcome, RunError, RunOptions};
use wfaas_function::sockets::SocketProvider;
use wfaas_function::{ByteSize, Dir, HttpClient, Limits, ShowValue, Span, Spec};
use wfaas_vm::{Config, Engine, Module};

/// Run a function once, here, with this terminal's input and output
///
/// A WASI command gets standard input and the arguments after `--`; a reactor gets standard input
/// as the body of one request, and its answer is printed. A module or a folder is built first.
///
/// The exit code is the guest's own; 134 after a trap, with the guest's backtrace; 2 after a
/// mistake in what was asked for.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  faascli run examples/hello
  echo 'the cat the dog' | faascli run examples/rust-words --env TOP=1
  faascli run app.wasm --timeout 2s -- --verbose input
  faascli run sort.wasm --dir data --dir /usr/share/dict::/dict:ro -- data/names
  faascli run math.wat --invoke add -- 2 40")]
pub(crate) struct Args {
    /// A .faas, .wasm or .wat file, or a folder with a faas.toml
    #[arg(value_name = "APP")]
    path: PathBuf,

    /// Give the guest a directory, under another name for it after `::`, to read only with `:ro`;
    /// repeat it for several directories. They replace the directories of the faas.toml
    #[arg(long, value_name = "HOST[::GUEST][:ro]", value_parser = directory)]
    dir: Vec<Dir>,

    /// Let the guest accept connections at this address; the listener's descriptor comes after the directories'
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Vec<SocketAddr>,

    #[command(flatten)]
    guest: super::guest::Guest,

    /// Call this export with the arguments after `--` as numbers, and print what it returns
    #[arg(long, value_name = "EXPORT")]
    invoke: Option<String>,

    /// Start from the image in this file instead of the artifact's own
    #[arg(long, value_name = "FILE.proto")]
    proto: Option<PathBuf>,

    /// End the guest with a trap after this time, as in 500ms or 2s
    #[arg(long, value_name = "TIME")]
    timeout: Option<Span>,

    /// Let `memory.grow` fail beyond this size, as in 64MiB
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,

    /// Let the guest write files of at most this size in memory, in `/tmp` and over the files of its
    /// artifact; 64MiB where an artifact with files is run without its faas.toml
    #[arg(long, value_name = "SIZE")]
    tmp: Option<ByteSize>,

    /// Trust an artifact's content without checking its hash, or that it was checked before
    #[arg(long)]
    no_verify: bool,

    /// Say which functions of WASI the guest calls that are not supported
    #[arg(short, long)]
    verbose: bool,
}

impl Args {
    /// Whether the guest's doings are to be logged.
    pub(super) fn is_verbose(&self) -> bool {
        self.verbose
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let engine = Engine::new(Config::default())?;
    let limits =
        Limits { time: args.timeout, memory: args.memory, tmp: args.tmp, ..Limits::default() };
    let flags = Spec { limits, dirs: args.dir.clone(), ..args.guest.layer() };
    let (module, spec) = module(&engine, args, flags)?;
    let needs_network = !spec.allowed_hosts.is_empty()
        || !spec.allowed_sockets.is_empty()
        || !spec.stores.is_empty();
    let network = needs_network.then(Network::start).transpose()?;
    let client = network.as_ref().map(Network::client);
    let options = RunOptions {
        program: spec.name.is_none().then(|| subject::stem(&args.path)),
        invoke: args.invoke.clone(),
        listen: args.listen.clone(),
        client: client.clone().map(|client| client as Arc<dyn HttpClient>),
        sockets: client.map(|client| client as Arc<dyn SocketProvider>),
        stores: network.as_ref().map(Network::stores),
    };
    if !module.artifact().bounds().is_safe() {
        output::note("warning: built with --bounds none, the guest is not kept inside its memory");
    }
    match wfaas_function::run::run(&engine, &module, &spec, &options) {
        Ok(Outcome::Exit(code)) => Ok(exit_code(code)),
        Ok(Outcome::Results(values)) => {
            for value in values {
                output::line(ShowValue(&value))?;
            }
            Ok(0)
        }
        Err(RunError::Output(error)) => Err(OutputError(error).into()),
        Err(error) => Err(failure(error, &args.path)),
    }
}

/// Limit of files in memory for an artifact that is run without its faas.toml.
const TEMPORARY_FILES: ByteSize = ByteSize(64 << 20);

/// Reads the value of `--dir`.
fn directory(text: &str) -> Result<Dir, String> {
    let dir: Dir = text.parse()?;
    if dir.host.is_dir() { Ok(dir) } else { Err(format!("{:?} is not a directory", dir.host)) }
}

/// The module to run, and `flags` over what its folder says about it but for the time: that is a
/// request's.
fn module(engine: &Engine, args: &Args, flags: Spec) -> Result<(Module, Spec), Failure> {
    let (module, spec) = match Subject::at(&args.path)? {
        Subject::Artifact(path) => {
            let module = mapped(engine, &path, args)?;
            // The file that names a limit is not here, and nobody else's memory is at stake.
            let tmp = module.bundle().map(|_| TEMPORARY_FILES);
            (
                module,
                flags.over(Spec { limits: Limits { tmp, ..Limits::default() }, ..Spec::default() }),
            )
        }
        Subject::Module(path) => {
            let built = Recipe::default().make(&path, &flags, &[])?.built;
            let module = copied(engine, &built.artifact, args)?;
            module.set_debug_file(move || built.debug.clone());
            (module, flags)
        }
        Subject::Folder(manifest) => {
            let current = function::current_file(&manifest);
            let module = match current.map(|path| mapped(engine, &path, args)) {
                Some(Ok(module)) => module,
                _ => copied(engine, &function::rebuild(&manifest)?, args)?,
            };
            let artifact = function::artifact_path(&manifest);
            module.set_debug_file(move || subject::read_debug_file(&artifact));
            let limits = Limits { time: None, cpu: None, ..manifest.spec.limits };
            (module, flags.over(Spec { limits, ..manifest.spec }))
        }
    };
    Ok((with_proto(module, args)?, spec))
}

/// The module of an artifact that was just built.
fn copied(engine: &Engine, artifact: &[u8], args: &Args) -> Result<Module, Failure> {
    Module::from_bytes(engine, artifact).map_err(|error| vm_failure(error, args))
}

/// An artifact's pages come straight from its file.
fn mapped(engine: &Engine, path: &Path, args: &Args) -> Result<Module, Failure> {
    subject::check_file(path).user_error()?;
    let file =
        File::open(path).with_context(|| format!("cannot read {}", path.display())).user_error()?;
    let mapped = Module::from_open_file(engine, file.try_clone()?);
    let module = mapped.map_err(|error| vm_failure(error, args))?;
    let artifact = path.to_owned();
    module.set_debug_file(move || subject::read_debug_file(&artifact));
    if !args.no_verify {
        verified::verify(&file, &module.artifact())
            .with_context(|| format!("{} cannot be run", path.display()))
            .user_error()?;
    }
    Ok(module)
}

fn with_proto(module: Module, args: &Args) -> Result<Module, Failure> {
    let Some(path) = &args.proto else { return Ok(module) };
    let proto = subject::read(path)?;
    module
        .with_proto(&proto)
        .with_context(|| format!("cannot start from {}", path.display()))
        .user_error()
}

fn vm_failure(error: wfaas_vm::Error, args: &Args) -> Failure {
    let kind = vm_kind(&error);
    let context = format!("{} cannot be run", args.path.display());
    Failure::new(kind, anyhow::Error::new(error).context(context))
}

fn failure(error: RunError, path: &Path) -> Failure {
    let kind = match &error {
        RunError::Guest(_) => Kind::Trap,
        RunError::Vm(error) => vm_kind(error),
        RunError::Io(_) => Kind::Host,
        _ => Kind::User,
    };
    Failure::new(kind, anyhow::Error::new(error).context(path.display().to_string()))
}

/// A process has eight bits for its exit code; success must not come out of cutting.
fn exit_code(code: u32) -> u8 {
    match code as u8 {
        0 if code != 0 => 1,
        code => code,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn failure_stays_failure() {
        assert_eq!([0, 7, 255, 256, 257].map(super::exit_code), [0, 7, 255, 1, 1]);
    }
}
