//! Running a module once, with the streams of the process: what `faascli run` does.

use crate::captured::Captured;
use crate::driver::drive;
use crate::exchange::{Body, Exchange};
use crate::function::first_export;
use crate::invoke::InvokeError;
use crate::numbers::{self, ArgumentError};
use crate::outgoing::{HttpClient, Outgoing};
use crate::protocol::{AbiError, Conversation, Protocols, Streams};
use crate::resolver::Resolver;
use crate::sockets::{SocketCount, SocketProvider, Sockets};
use crate::spec::{AllowedDirs, Span, Spec, SpecError};
use crate::state::State;
use crate::stores::{StoreBackend, Stores};
use crate::target::{StoreTarget, Target};
use crate::trees::{self, Base};
use http::Request;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Instant;
use wfaas_vm::{Engine, ExternType, Instance, Linker, Module, Store, Val, untrusted};
use wfaas_wasi::files::Files;
use wfaas_wasi::{EnvironmentError, Input, Output, Wasi, WasiBuilder};

/// Most bytes of stdin that a guest gets as a body.
const MAX_BODY: u64 = 1 << 30;

/// How to run a module, besides its [`Spec`].
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The guest's argument 0, if that is not the function's name.
    pub program: Option<String>,
    /// Call this export with the arguments of the [`Spec`], as numbers.
    pub invoke: Option<String>,
    /// Addresses at which the guest can accept connections; their descriptors come after those of the
    /// directories.
    pub listen: Vec<SocketAddr>,
    /// Sends the guest's requests to the hosts of the [`Spec`]; without one, none are sent.
    pub client: Option<Arc<dyn HttpClient>>,
    /// Opens sockets to the addresses of the [`Spec`]; without one, the guest has none.
    pub sockets: Option<Arc<dyn SocketProvider>>,
    /// Keeps the values of the stores of the [`Spec`]; without one, no operation on them succeeds.
    pub stores: Option<Arc<dyn StoreBackend>>,
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
    #[error("{error} (functions exported: {exports})")]
    NothingToRun {
        /// What is missing.
        error: AbiError,
        /// The functions there are.
        exports: String,
    },
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
    /// A directory is none; the message names it.
    #[error(transparent)]
    Directory(#[from] SpecError),
    /// Nobody can listen at an address.
    #[error("cannot listen at {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        error: String,
    },
    /// The guest failed: trap, deadline, a limit.
    #[error(transparent)]
    Guest(InvokeError),
    /// The module could not be instantiated.
    #[error(transparent)]
    Vm(wfaas_vm::Error),
    /// The stdin of this process.
    #[error("cannot read standard input: {0}")]
    Io(std::io::Error),
    /// The stdout of this process did not take the answer.
    #[error("cannot write to standard output: {0}")]
    Output(std::io::Error),
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

/// Runs a module: the export to invoke, else one exchange by its protocol, with stdin as the body.
/// `_initialize` runs before, if the image is not that of an initialised instance. Limits that
/// `spec` leaves open are none.
///
/// # Errors
/// [`RunError`]: nothing to run, bad arguments, or a guest that failed. A guest's exit is no
/// error, whatever its code.
pub fn run(
    engine: &Engine,
    module: &Module,
    spec: &Spec,
    options: &RunOptions,
) -> Result<Outcome, RunError> {
    let mut captured = Captured::of(module)?;
    let spec = &match &captured {
        Some(captured) => captured.complete(spec.clone())?,
        None => spec.clone(),
    };
    let invocation = options.invoke.as_deref().map(|name| invocation(module, name, spec));
    let invocation = invocation.transpose()?;
    let mut linker = Linker::new(engine);
    wfaas_wasi::add_to_linker(&mut linker);
    Protocols::default().link(&mut linker, module);
    let mut store = store(engine, module, spec, options)?;
    if let Some(captured) = &mut captured {
        captured.open(store.data_mut().live().wasi.files().map(|files| &**files))?;
        captured.restore(&mut store.data_mut().live().wasi)?;
    }
    let outcome = linker.instantiate(&mut store, module).map_err(RunError::from);
    let outcome = outcome.and_then(|instance| {
        let mut store = match &mut captured {
            Some(captured) => reseed(captured, store, instance, spec)?,
            None => store,
        };
        initialise(&mut store, instance, module)?;
        match invocation {
            Some(Invocation { export, args }) => call(store, instance, module, export, &args),
            None => exchange(store, instance, (module, captured.as_ref()), spec, options),
        }
    });
    match outcome {
        Err(RunError::Guest(InvokeError::Exit(code))) => Ok(Outcome::Exit(code)),
        outcome => outcome,
    }
}

/// The functions a module exports, for messages.
pub fn exported_functions(module: &Module) -> String {
    let functions =
        module.exports().filter(|(_, ty)| matches!(ty, ExternType::Func(_))).map(|(name, _)| name);
    let names = functions.map(|name| untrusted::name(name).to_string());
    let list = names.take(50).collect::<Vec<_>>().join(", ");
    if list.is_empty() { "none".to_owned() } else { list }
}

/// Directories of the specification, and listeners.
fn files(module: &Module, spec: &Spec, options: &RunOptions) -> Result<Files, RunError> {
    let mut files = Files::default();
    AllowedDirs::Any.open(&spec.dirs, &spec.limits, &mut files)?;
    trees::add(Base::of(module), &spec.limits, &mut files);
    for address in &options.listen {
        let refused = |error: String| RunError::Listen { address: *address, error };
        let listener = TcpListener::bind(address).map_err(|error| refused(error.to_string()))?;
        files.add_listener(listener).map_err(|error| refused(error.to_string()))?;
    }
    Ok(files)
}

/// Arguments and variables of a guest.
fn wasi(spec: &Spec, options: &RunOptions) -> WasiBuilder {
    Wasi::builder().args(spec.guest_args(options.program.as_deref())).envs(&spec.env)
}

fn store(
    engine: &Engine,
    module: &Module,
    spec: &Spec,
    options: &RunOptions,
) -> Result<Store<State>, RunError> {
    let wasi = wasi(spec, options)
        .stdin(Input::process_stdin())
        .stdout(Output::process_stdout())
        .stderr(Output::process_stderr())
        .files(Arc::new(files(module, spec, options)?))
        .build()?;
    let mut state = State::of_wasi(wasi);
    state.live().outgoing = Outgoing::new(options.client.clone(), &spec.allowed_hosts);
    let (provider, count) = (options.sockets.clone(), SocketCount::default());
    if let Some(network) = Sockets::new(provider, count, &spec.allowed_sockets).network() {
        state.live().wasi.set_network(network);
    }
    state.live().stores = Stores::new(options.stores.clone(), spec);
    let mut store = Store::new(engine, state);
    let time = spec.limits.time;
    store.set_deadline(time.and_then(|Span(time)| Instant::now().checked_add(time)));
    store.set_cpu_limit(spec.limits.cpu.map(|Span(cpu)| cpu));
    store.set_memory_limit(spec.limits.memory.map(|size| size.0));
    Ok(store)
}

/// An export and the arguments for it.
struct Invocation<'a> {
    export: &'a str,
    args: Vec<Val>,
}

fn invocation<'a>(module: &Module, name: &'a str, spec: &Spec) -> Result<Invocation<'a>, RunError> {
    let Some(ExternType::Func(ty)) = module.get_export(name) else {
        return Err(no_export(module, name));
    };
    let args = numbers::parse_arguments(ty.params(), &spec.args)
        .map_err(|error| RunError::Arguments { name: name.to_owned(), error })?;
    Ok(Invocation { export: name, args })
}

fn no_export(module: &Module, name: &str) -> RunError {
    RunError::NoExport { name: name.to_owned(), exports: exported_functions(module) }
}

/// Fills the ranges to reseed of a captured program with random bytes.
fn reseed(
    captured: &mut Captured,
    store: Store<State>,
    instance: Instance,
    spec: &Spec,
) -> Result<Store<State>, RunError> {
    let mut target = StoreTarget::new(store, instance);
    captured.resolve(&mut Resolver::of_store(&mut target, spec))?;
    captured.reseed(&mut target)?;
    Ok(target.store)
}

fn initialise(
    store: &mut Store<State>,
    instance: Instance,
    module: &Module,
) -> Result<(), RunError> {
    if let Some(name) = first_export(module) {
        instance.get_typed_func::<(), ()>(store, name)?.call(store, ())?;
    }
    Ok(())
}

fn call(
    mut store: Store<State>,
    instance: Instance,
    module: &Module,
    export: &str,
    args: &[Val],
) -> Result<Outcome, RunError> {
    let function = instance.get_func(&mut store, export);
    let function = function.ok_or_else(|| no_export(module, export))?;
    Ok(Outcome::Results(function.call(&mut store, args)?))
}

/// Has the guest take part in one exchange, and prints the answer. A guest that takes part by its
/// standard streams has those of the process, whose body is never in memory.
fn exchange(
    store: Store<State>,
    instance: Instance,
    (module, captured): (&Module, Option<&Captured>),
    spec: &Spec,
    options: &RunOptions,
) -> Result<Outcome, RunError> {
    let protocol = Protocols::default().choose(spec.abi.as_ref(), module);
    let protocol = protocol
        .map_err(|error| RunError::NothingToRun { error, exports: exported_functions(module) })?;
    let mut target = StoreTarget::new(store, instance);
    let conversation = protocol.prepare(&mut Resolver::of_store(&mut target, spec))?;
    match conversation.streams() {
        Streams::Exchange => {}
        Streams::Line => begin_line(&*conversation, &mut target)?,
        Streams::Opened => conversation.begin(&mut target.state().live().exchange)?,
        Streams::Captured | Streams::Log => {
            begin(&*conversation, &mut target, spec, options)?;
            if let Some(captured) = captured {
                captured.restore(&mut target.state().live().wasi)?;
            }
        }
    }
    _ = drive(&*conversation, &mut target, u64::MAX)?;
    let answer = target.state().live().exchange.take_answer().map_err(InvokeError::Head)?;
    let answer = answer.into_body().into_bytes();
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&answer).and_then(|()| stdout.flush()).map_err(RunError::Output)?;
    Ok(Outcome::Exit(0))
}

/// Reads requests from the process's stdin as they are, and writes results to its stdout.
fn begin_line(conversation: &dyn Conversation, target: &mut StoreTarget) -> Result<(), RunError> {
    let live = target.state().live();
    if live.wasi.files().is_none_or(|files| files.directories().is_empty()) {
        live.wasi.set_result(Output::process_stdout());
    }
    Ok(conversation.begin(&mut live.exchange)?)
}

/// Puts an exchange with stdin as its body into the state of a guest.
fn begin(
    conversation: &dyn Conversation,
    target: &mut StoreTarget,
    spec: &Spec,
    options: &RunOptions,
) -> Result<(), RunError> {
    let mut body = Vec::new();
    let read = std::io::stdin().lock().take(MAX_BODY).read_to_end(&mut body);
    read.map_err(RunError::Io)?;
    let mut exchange = Exchange::new(Request::new(Body::complete(body)));
    conversation.begin(&mut exchange)?;
    let is_captured = conversation.streams() == Streams::Captured;
    let live = target.state().live();
    if is_captured || !exchange.arguments.is_empty() {
        let wasi = wasi(spec, options).args(&exchange.arguments).stderr(Output::process_stderr());
        let wasi = match is_captured {
            true => {
                let stdin = exchange.request.body_mut().take_input();
                wasi.stdin(stdin).stdout(Output::capture(u64::MAX))
            }
            false => wasi.stdout(Output::process_stdout()),
        };
        let files = live.wasi.files().cloned();
        live.wasi = wasi.build()?;
        if let Some(files) = files {
            live.wasi.set_files(files);
        }
    }
    *live.exchange = exchange;
    Ok(())
}
