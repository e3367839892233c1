//! Running a module once, with the streams of the process: what `faascli run` does.

use crate::abi::{ALLOC, AbiError, GuestAbi, INITIALIZE, START};
use crate::config::{Environment, EnvironmentError};
use crate::invoke::InvokeError;
use crate::numbers::{self, ArgumentError};
use crate::reactor;
use crate::state::HostState;
use crate::stdio::{Input, Output};
use crate::wasi;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wfaas_vm::{Engine, ExternType, Instance, Linker, Module, Store, Val};

/// Most bytes of stdin a reactor gets as its body.
const MAX_BODY: u64 = 1 << 30;

/// How to run a module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunConfig {
    /// The guest's arguments, the program's name first.
    pub args: Vec<String>,
    /// Environment variables: name and value.
    pub env: Vec<(String, String)>,
    /// Directories the guest is told about, by its names for them. Files are not supported yet.
    pub dirs: Vec<String>,
    /// Call this export with the arguments after the program's name, as numbers.
    pub invoke: Option<String>,
    /// Longest time it may take; `None` for no limit.
    pub time: Option<Duration>,
    /// Most bytes of linear memory; `None` for the engine's limit.
    pub memory_bytes: Option<u64>,
}

/// What a run left behind.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// The guest ended with this exit code.
    Exit(u32),
    /// An export called by name returned these values.
    Results(Vec<Val>),
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The module has nothing to run.
    #[error(
        "{0}; call one of its exports with --invoke (functions exported: {exports})",
        exports = .1
    )]
    NothingToRun(AbiError, String),
    /// There is no such function.
    #[error("there is no exported function {name:?}; functions exported: {exports}")]
    NoExport {
        /// The name asked for.
        name: String,
        /// The functions there are.
        exports: String,
    },
    /// The arguments do not fit the function's parameters.
    #[error("cannot call {name:?}: {error}")]
    Arguments {
        /// Name of the function.
        name: String,
        /// What does not fit.
        error: ArgumentError,
    },
    /// The arguments or variables are no environment.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// The guest failed: trap, deadline, a limit.
    #[error(transparent)]
    Guest(InvokeError),
    /// The module could not be instantiated.
    #[error(transparent)]
    Vm(wfaas_vm::Error),
    /// stdin or stdout of this process.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl From<InvokeError> for RunError {
    fn from(error: InvokeError) -> RunError {
        match error {
            InvokeError::Vm(error @ wfaas_vm::Error::Host(_)) => {
                RunError::Guest(InvokeError::Vm(error))
            }
            InvokeError::Vm(error) => RunError::Vm(error),
            error => RunError::Guest(error),
        }
    }
}

impl From<wfaas_vm::Error> for RunError {
    fn from(error: wfaas_vm::Error) -> RunError {
        InvokeError::from(error).into()
    }
}

/// Runs a module: the export to invoke, else `_start`, else the reactor with stdin as the body of
/// its one request. `_initialize` runs before, if the image is not that of an initialised
/// instance.
///
/// # Errors
/// [`RunError`]: nothing to run, bad arguments, or a guest that failed. A guest's exit is no
/// error, whatever its code.
pub fn run(engine: &Engine, module: &Module, config: &RunConfig) -> Result<Outcome, RunError> {
    let invocation = config.invoke.as_deref().map(|name| invocation(module, name, config));
    let invocation = invocation.transpose()?;
    let mut linker = Linker::new(engine);
    wasi::add_to_linker(&mut linker);
    let mut store = store(engine, config)?;
    let outcome = linker
        .instantiate(&mut store, module)
        .map_err(RunError::from)
        .and_then(|instance| run_instance(&mut store, instance, module, invocation));
    match outcome {
        Err(RunError::Guest(InvokeError::Exit(code))) => Ok(Outcome::Exit(code)),
        outcome => outcome,
    }
}

/// The functions a module exports, for messages.
pub(crate) fn exported_functions(module: &Module) -> String {
    let functions =
        module.exports().filter(|(_, ty)| matches!(ty, ExternType::Func(_))).map(|(name, _)| name);
    let list = functions.take(50).collect::<Vec<_>>().join(", ");
    if list.is_empty() { "none".to_owned() } else { list }
}

fn store(engine: &Engine, config: &RunConfig) -> Result<Store<HostState>, RunError> {
    let environment = Environment::new(config.args.clone(), config.env.clone())?;
    let environment = Arc::new(environment.with_dirs(config.dirs.clone())?);
    let (stdout, stderr) = (Output::process_stdout(), Output::process_stderr());
    let state = HostState::new(environment, Input::process(), stdout, stderr);
    let mut store = Store::new(engine, state);
    store.set_deadline(config.time.and_then(|time| Instant::now().checked_add(time)));
    store.set_memory_limit(config.memory_bytes);
    Ok(store)
}

/// An export and the arguments for it.
struct Invocation<'a> {
    export: &'a str,
    args: Vec<Val>,
}

fn invocation<'a>(
    module: &Module,
    name: &'a str,
    config: &RunConfig,
) -> Result<Invocation<'a>, RunError> {
    let Some(ExternType::Func(ty)) = module.get_export(name) else {
        let exports = exported_functions(module);
        return Err(RunError::NoExport { name: name.to_owned(), exports });
    };
    let args = numbers::parse_arguments(ty.params(), config.args.get(1..).unwrap_or_default())
        .map_err(|error| RunError::Arguments { name: name.to_owned(), error })?;
    Ok(Invocation { export: name, args })
}

fn run_instance(
    store: &mut Store<HostState>,
    instance: Instance,
    module: &Module,
    invocation: Option<Invocation<'_>>,
) -> Result<Outcome, RunError> {
    if !module.is_initialised() && module.get_export(INITIALIZE).is_some() {
        instance.get_typed_func::<(), ()>(store, INITIALIZE)?.call(store, ())?;
    }
    if let Some(Invocation { export, args }) = invocation {
        let Some(function) = instance.get_func(store, export) else {
            let exports = exported_functions(module);
            return Err(RunError::NoExport { name: export.to_owned(), exports });
        };
        return Ok(Outcome::Results(function.call(store, &args)?));
    }
    if module.get_export(START).is_some() {
        instance.get_typed_func::<(), ()>(store, START)?.call(store, ())?;
        return Ok(Outcome::Exit(0));
    }
    if module.get_export(ALLOC).is_none() {
        return Err(RunError::NothingToRun(AbiError::Neither, exported_functions(module)));
    }
    GuestAbi::Reactor
        .check(module)
        .map_err(|error| RunError::NothingToRun(error, exported_functions(module)))?;
    answer_stdin(store, instance)
}

fn answer_stdin(store: &mut Store<HostState>, instance: Instance) -> Result<Outcome, RunError> {
    let mut body = Vec::new();
    std::io::stdin().lock().take(MAX_BODY).read_to_end(&mut body)?;
    let answer = reactor::answer(store, instance, &body, u64::MAX)?;
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&answer)?;
    stdout.flush()?;
    Ok(Outcome::Exit(0))
}
