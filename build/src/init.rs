//! Initialisation: runs the part of a module that is done once, and keeps the image that it leaves behind.
//!
//! [`initialise`] puts the image into the artifact, [`snapshot`] into a `.proto` file beside it.
//! Both instantiate the module with WASI, call `_initialize` if it is exported and has not run
//! yet, then the init export, and capture state and memory. A program's own entry point is not run.
//!
//! The guest finds the trees that it will find when it answers requests, under the same numbers:
//! directories of the host as far as [`AtInit`](wfaas_function::AtInit) says. None that it has opened may be
//! open at the end.
//!
//! Everything that the guest has learned by then is the same in every faaslet: random seeds and times too.

use crate::uniqueness::{ReseedRange, Uniqueness};
use crate::until::Until;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wfaas_abi::artifact::replace_image;
use wfaas_abi::checkpoint::CheckpointTooLarge;
use wfaas_abi::{ArtifactError, FuncType, untrusted};
use wfaas_function::{AbiError, AllowedDirs, InvokeError, Protocols, Spec, SpecError, State};
use wfaas_function::{run::exported_functions, trees, trees_at_init};
use wfaas_vm::component::Resource;
use wfaas_vm::{Capture, Engine, ExternType, Instance, Linker, Module, Store};
use wfaas_wasi::files::Files;
use wfaas_wasi::{EnvironmentError, Exit, HasWasi, INITIALIZE, Output, Unsaved, Wasi};

/// The init export that runs if no other one is asked for.
pub const DEFAULT_INIT: &str = "wizer.initialize";

/// How to initialise, besides the function's [`Spec`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Init {
    /// The guest's argument 0, if that is not the function's name.
    pub program: Option<String>,
    /// The init export; `None` for [`DEFAULT_INIT`] if it is there.
    pub export: Option<String>,
    /// Capture the program where it waits, instead: its own entry point is run until then.
    pub until: Option<Until>,
    /// How to treat memory of such a program that would be the same in all instances, but depends on random bytes or
    /// the time.
    pub uniqueness: Uniqueness,
    /// Memory of such a program that is filled with random bytes in each instance.
    pub reseed: Vec<ReseedRange>,
    /// Longest time it may take; `None` for no limit.
    pub time: Option<Duration>,
}

/// An artifact after initialisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Initialised {
    /// The artifact with the image of the initialised instance.
    Artifact(Vec<u8>),
    /// The artifact stays as it is: every instance runs its start function and `_initialize` itself.
    /// There is no init export.
    Kept {
        /// Why, for the user.
        reason: String,
    },
}

/// Why initialisation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The artifact, or the image, cannot be used.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The module cannot be loaded or instantiated.
    #[error(transparent)]
    Vm(#[from] wfaas_vm::Error),
    /// The arguments or variables do not fit.
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    /// A directory cannot be opened.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The guest has files or directories of the host open: an image has no descriptors of the host.
    #[error(
        "after initialisation the guest still has open: {open}; it has to close what it opens there"
    )]
    Open {
        /// Their numbers and paths.
        open: String,
    },
    /// The init export asked for is not there.
    #[error("there is no export {name:?} to initialise with; functions exported: {exports}")]
    NoExport {
        /// The name asked for.
        name: String,
        /// The functions there are.
        exports: String,
    },
    /// The init export is something else than a function without parameters and results.
    #[error("the init export {name:?} is {found}, it has to be a function () -> ()")]
    ExportType {
        /// Its name.
        name: String,
        /// What it is.
        found: String,
    },
    /// The guest trapped; the message has its backtrace.
    #[error("{step} failed: {error}")]
    Failed {
        /// What was run.
        step: String,
        /// The trap.
        error: wfaas_vm::Error,
    },
    /// The guest exited with another code than 0.
    #[error("{step} exited with code {code}")]
    Exit {
        /// What was run.
        step: String,
        /// The exit code.
        code: u32,
    },
    /// There is an init export and no image to keep its work in. Instances never run it.
    #[error("the work of the init export {export:?} cannot be kept: {reason}")]
    Lost {
        /// Its name.
        export: String,
        /// Why there is no image.
        reason: String,
    },
    /// The program ended before it waited.
    #[error("the program ended without waiting: it was to be captured there")]
    NeverWaits,
    /// The program does not wait again, as one with sessions has to.
    #[error("with a warm-up request once more, as in a session: {0}")]
    Again(Box<InitError>),
    /// The module is no function.
    #[error(transparent)]
    Abi(AbiError),
    /// A guest of this kind is called for each request.
    #[error("a {0} has no entry point to run until it waits: it is called for each request")]
    NoProgram(&'static str),
    /// A warm-up request is no request.
    #[error("a warm-up request is none: {0}")]
    Request(http::Error),
    /// A warm-up request cannot be told to the program.
    #[error("a warm-up request cannot be told: {0}")]
    Record(InvokeError),
    /// The program has something where it waits that an artifact cannot have.
    #[error("where the program waits, {0}")]
    Unsaved(#[from] Unsaved),
    /// The program has more outside of its memory than an artifact may have.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointTooLarge),
    /// The program has read its environment, where requests would be.
    #[error(
        "the program has read its environment before it waits, where a {0} finds requests: choose an ABI with requests on standard input"
    )]
    HasVariables(&'static str),
    /// The program wrote to standard output before it waited.
    #[error(
        "the program wrote {0} bytes to standard output before it waits: no answer would have them"
    )]
    Wrote(usize),
    /// The import to wait for is not there.
    #[error("there is no imported function {module:?} {name:?} to wait for")]
    NoImport {
        /// Module name asked for.
        module: String,
        /// Field name asked for.
        name: String,
    },
    /// A range to reseed is none.
    #[error("cannot reseed {at}: {reason}")]
    Reseed {
        /// Its symbol or address.
        at: String,
        /// Why.
        reason: &'static str,
    },
    /// Memory depends on random bytes or the time.
    #[error(
        "memory of the program would be the same in all instances, and no `reseed` has it: {0}"
    )]
    NotUnique(String),
    /// The program cannot be run again to compare its memory.
    #[error(
        "to see whether its memory is unique the program would be run again, and a directory has init = \"write\": set `uniqueness = \"off\"`"
    )]
    OnceOnly,
    /// The program asks for too many times.
    #[error(
        "to see whether its memory is unique the program would be run again, and it has asked for the time too often to note: set `uniqueness = \"off\"`"
    )]
    ManyTimes,
    /// The host has no random bytes.
    #[error(transparent)]
    Random(std::io::Error),
    /// There is no image for a snapshot.
    #[error("the module cannot be initialised in advance: {0}")]
    Impossible(String),
}

/// Runs a module's initialisation and puts the image into its artifact.
///
/// A module that cannot be initialised in advance (it imports what only its embedder has, holds an
/// exception, or exits) is kept as it is, unless it has an init export.
///
/// # Errors
/// [`InitError`]: no such export, work that cannot be kept, a trap or a non-zero exit of the guest,
/// or a bad artifact.
pub fn initialise(
    engine: &Engine,
    artifact: &[u8],
    spec: &Spec,
    init: &Init,
) -> Result<Initialised, InitError> {
    initialise_module(engine, &Module::from_bytes(engine, artifact)?, spec, init)
}

/// The same of a module that is loaded.
pub(crate) fn initialise_module(
    engine: &Engine,
    module: &Module,
    spec: &Spec,
    init: &Init,
) -> Result<Initialised, InitError> {
    match capture(engine, module, spec, init)? {
        Ok(capture) => {
            let artifact = module.artifact();
            let file = replace_image(&artifact, &capture.image, &capture.memory_pages)?;
            Ok(Initialised::Artifact(file))
        }
        Err(reason) => match init_export(module, init) {
            None => Ok(Initialised::Kept { reason }),
            Some(export) => Err(InitError::Lost { export: export.to_owned(), reason }),
        },
    }
}

/// Runs a module's initialisation and gives the bytes of a `.proto` file for its artifact.
///
/// # Errors
/// [`InitError`], also for modules that cannot be initialised in advance.
pub fn snapshot(
    engine: &Engine,
    artifact: &[u8],
    spec: &Spec,
    init: &Init,
) -> Result<Vec<u8>, InitError> {
    let module = Module::from_bytes(engine, artifact)?;
    let capture = capture(engine, &module, spec, init)?.map_err(InitError::Impossible)?;
    Ok(capture.to_proto(&module))
}

/// Whether the guest runs and finds directories of the host: the image depends on them then.
pub(crate) fn sees_dirs(module: &Module, spec: &Spec, init: &Init) -> bool {
    crate::has_dirs(spec) && runs(module, &steps(module, init).unwrap_or_default())
}

/// Whether anything of the guest runs while it is initialised.
fn runs(module: &Module, steps: &[&str]) -> bool {
    !steps.is_empty() || module.artifact().start().is_some()
}

/// The trees that the guest finds. Where nothing of it runs, no directory has to be there.
fn files(module: &Module, spec: &Spec, steps: &[&str]) -> Result<Files, SpecError> {
    match runs(module, steps) {
        true => trees_at_init(module, spec, AllowedDirs::Any),
        false => Ok(trees(module, spec)),
    }
}

/// Checks that no descriptor of the host is open which the guest could remember.
fn check_closed(store: &mut Store<State>) -> Result<(), InitError> {
    let opened = store.data_mut().wasi().opened_on_host();
    if opened.is_empty() {
        return Ok(());
    }
    let named = opened.into_iter().map(|(number, path)| match path {
        Some(path) => format!("descriptor {number}, {}", untrusted::text(&path.to_string_lossy())),
        None => format!("descriptor {number}, a file over a directory of the host"),
    });
    Err(InitError::Open { open: named.collect::<Vec<_>>().join("; ") })
}

/// The image after initialisation, or why there cannot be one.
fn capture(
    engine: &Engine,
    module: &Module,
    spec: &Spec,
    init: &Init,
) -> Result<Result<Capture, String>, InitError> {
    let mut linker = Linker::new(engine);
    wfaas_wasi::add_to_linker(&mut linker);
    Protocols::default().link(&mut linker, module);
    if let Some(reason) = foreign_import(module, &linker) {
        return Ok(Err(reason));
    }
    let steps = steps(module, init)?;
    let files = files(module, spec, &steps)?;
    let mut store = store(engine, files, spec, init)?;
    let instance = match linker.instantiate(&mut store, module) {
        Ok(instance) => instance,
        Err(error) => return ended(failed("instantiation", error)),
    };
    for step in steps {
        match run_step(&mut store, instance, step) {
            // It belongs to every instance, as a start function does.
            Err(error) if step == INITIALIZE => return ended(error),
            Err(InitError::Exit { code: 0, .. }) | Ok(()) => {}
            Err(error) => return Err(error),
        }
    }
    if let Some(reason) = live_handle(module, &mut store)? {
        return Ok(Err(reason));
    }
    check_closed(&mut store)?;
    match instance.capture(&mut store) {
        Ok(capture) => Ok(Ok(capture)),
        Err(wfaas_vm::Error::Capture(reason)) => Ok(Err(reason)),
        Err(error) => Err(error.into()),
    }
}

/// A handle that a component holds: the table that it is in is not in the image.
fn live_handle(module: &Module, store: &mut Store<State>) -> Result<Option<String>, InitError> {
    let held = store.data_mut().wasi().resources().types();
    let Some(component) = module.component()? else { return Ok(None) };
    Ok(held.first().map(|held| match component.resources.get(held.index()) {
        Some(Resource::Imported { interface, name }) => {
            let [interface, name] = [interface, name].map(|text| untrusted::name(text).to_string());
            format!("it holds a handle of {interface} {name}, which no image can have")
        }
        _ => "it holds a handle of a resource of its own, which no image can have".to_owned(),
    }))
}

/// An import that is not there at build time.
fn foreign_import(module: &Module, linker: &Linker<State>) -> Option<String> {
    let foreign = module.imports().find(|(namespace, name, ty)| {
        !matches!(ty, ExternType::Func(_)) || !linker.has(namespace, name)
    });
    foreign.map(|(namespace, name, ty)| {
        let [namespace, name, ty] =
            [namespace, name, &ty.to_string()].map(|text| untrusted::name(text).to_string());
        format!("it imports \"{namespace}\" \"{name}\" ({ty}), which is not there at build time")
    })
}

/// Why there is no image if the instance has exited with code 0: so does every other one, and what
/// comes after is not reached.
fn ended<T>(error: InitError) -> Result<Result<T, String>, InitError> {
    match error {
        InitError::Exit { step, code: 0 } => Ok(Err(format!("{step} exits with code 0"))),
        error => Err(error),
    }
}

/// The init export: asked for by name, or there by convention.
fn init_export<'a>(module: &Module, init: &'a Init) -> Option<&'a str> {
    let by_convention = || module.get_export(DEFAULT_INIT).map(|_| DEFAULT_INIT);
    init.export.as_deref().or_else(by_convention)
}

/// The exports to call, in order.
fn steps<'a>(module: &Module, init: &'a Init) -> Result<Vec<&'a str>, InitError> {
    let mut steps = Vec::new();
    if !module.is_initialised() && module.get_export(INITIALIZE).is_some() {
        steps.push(INITIALIZE);
    }
    let init_export = init_export(module, init).filter(|name| !steps.contains(name));
    steps.extend(init_export);
    for name in &steps {
        check_step(module, name)?;
    }
    Ok(steps)
}

fn check_step(module: &Module, name: &str) -> Result<(), InitError> {
    match module.get_export(name) {
        Some(ExternType::Func(ty)) if ty == FuncType::new([], []) => Ok(()),
        Some(found) => {
            Err(InitError::ExportType { name: name.to_owned(), found: found.to_string() })
        }
        None => {
            Err(InitError::NoExport { name: name.to_owned(), exports: exported_functions(module) })
        }
    }
}

fn store(
    engine: &Engine,
    files: Files,
    spec: &Spec,
    init: &Init,
) -> Result<Store<State>, InitError> {
    // Standard output is for the result of whoever builds; what the guest says goes beside it.
    let wasi = Wasi::builder()
        .args(spec.guest_args(init.program.as_deref()))
        .envs(&spec.env)
        .files(Arc::new(files))
        .stdout(Output::process_stderr())
        .stderr(Output::process_stderr());
    let mut store = Store::new(engine, State::of_wasi(wasi.build()?));
    store.set_deadline(init.time.and_then(|time| Instant::now().checked_add(time)));
    store.set_memory_limit(spec.limits.memory.map(|size| size.0));
    Ok(store)
}

fn run_step(store: &mut Store<State>, instance: Instance, export: &str) -> Result<(), InitError> {
    let function = instance.get_typed_func::<(), ()>(store, export)?;
    let called = if export == INITIALIZE { "" } else { "the init export " };
    function.call(store, ()).map_err(|error| failed(&format!("{called}{export:?}"), error))
}

pub(crate) fn failed(step: &str, error: wfaas_vm::Error) -> InitError {
    if let Some(Exit { code }) = error.downcast_ref() {
        return InitError::Exit { step: step.to_owned(), code: *code };
    }
    match error {
        error @ (wfaas_vm::Error::Trap(_)
        | wfaas_vm::Error::Exception(_)
        | wfaas_vm::Error::Host(_)) => InitError::Failed { step: step.to_owned(), error },
        error => error.into(),
    }
}
