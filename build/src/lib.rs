//! From the bytes of a module or a component to a finished artifact: fuse, compile, initialise, warm up.
//!
//! Plain data goes in, an [`Options`] and a [`Spec`], and comes out, a [`Built`] with a [`Report`]. A
//! [`Progress`] sees it happen; `()` is one that does not look. Nothing here reads or writes files.
//!
//! ```
//! use wfaas_build::{Options, build};
//!
//! let module = br#"(module (memory (export "memory") 1)
//!     (func (export "wizer.initialize") (i32.store (i32.const 0) (i32.const 1)))
//!     (func (export "_start")))"#;
//! let built = build(module, &Default::default(), &Options::default(), &())?;
//! assert!(wfaas_abi::Artifact::parse(&built.artifact)?.is_initialised());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

/// The README, for the program in it.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

mod component;
mod init;
mod uniqueness;
mod until;
mod warm_up;

pub use component::core_module;
pub use init::{DEFAULT_INIT, Init, InitError, Initialised, initialise, snapshot};
pub use uniqueness::{ReseedAt, ReseedRange, Uniqueness};
pub use until::Until;
pub use warm_up::{MAX_REQUESTS, WarmUp, WarmUpError, WarmedUp, warm_up};
pub use {wfaas_compiler as compiler, wfaas_function::Spec};

use component::Core;
use std::time::{Duration, Instant};
use wfaas_abi::artifact::bundle::set_bundle;
use wfaas_compiler::CompileError;
use wfaas_component::ComponentError;
use wfaas_function::AtInit;
use wfaas_symbolize::DebugFile;
use wfaas_vm::{Artifact, Config, Engine, Module};

/// How an artifact is made.
#[derive(Clone)]
pub struct Options {
    /// How to compile.
    pub compile: wfaas_compiler::Options<'static>,
    /// Files for the artifact: a whole [bundle](wfaas_abi::artifact::bundle). The guest reads them while it
    /// is initialised, too.
    pub bundle: Option<Vec<u8>>,
    /// How to initialise; `None` to run nothing at all: every instance starts from the module's data
    /// segments, and there is no warm-up.
    pub init: Option<Init>,
    /// Requests to make, in order.
    pub warm_up: Vec<WarmUp>,
}

impl Default for Options {
    fn default() -> Options {
        let init = Some(Init::default());
        let compile = wfaas_compiler::Options::default();
        Options { compile, bundle: None, init, warm_up: Vec::new() }
    }
}

/// Sees how a build goes on. `()` does not look.
pub trait Progress: Sync {
    /// So many functions of all of them are compiled. Called from any thread.
    fn compiled(&self, _done: usize, _total: usize) {}
    /// The code is done: what follows is the guest's own work.
    fn linked(&self) {}
}

impl Progress for () {}

/// An artifact and how it came to be.
#[derive(Debug, Clone)]
pub struct Built {
    /// The artifact, a whole file.
    pub artifact: Vec<u8>,
    /// The debug file, if the module has DWARF: with it, backtraces show files and lines.
    pub debug: Option<Vec<u8>>,
    /// How it came to be.
    pub report: Report,
}

/// How an artifact came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Time the compiler took.
    pub compile: Duration,
    /// Time the guest took to initialise, if it ran.
    pub init: Option<Duration>,
    /// Time the warm-up requests took, if there were any.
    pub warm_up: Option<Duration>,
    /// What people should know about the image.
    pub notes: Vec<String>,
    /// Whether the guest has run and found directories of the host: another build may give something else.
    pub saw_dirs: bool,
}

/// Why there is no artifact.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The component cannot be made one module.
    #[error("cannot compile: {0}")]
    Component(#[from] ComponentError),
    /// The module does not compile.
    #[error("cannot compile: {0}")]
    Compile(#[from] CompileError),
    /// The module cannot be initialised.
    #[error("cannot initialise: {0}")]
    Init(#[from] InitError),
    /// A warm-up request failed.
    #[error("cannot warm up: {0}")]
    WarmUp(#[from] WarmUpError),
    /// There is no engine to run the guest.
    #[error(transparent)]
    Vm(#[from] wfaas_vm::Error),
}

/// Makes the artifact of a module or a component, given as a binary or as text. While it is initialised and warmed
/// up, the guest has the environment and the limits of `spec`.
///
/// # Errors
/// [`BuildError`]: the module does not compile, the component is not supported, or fails while it is run.
pub fn build(
    module: &[u8],
    spec: &Spec,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Built, BuildError> {
    let started = Instant::now();
    let core = Core::of(module)?;
    let mut report = Report { notes: core.note().into_iter().collect(), ..Report::default() };
    let until = options.init.as_ref().and_then(|init| Some((init, init.until.as_ref()?)));
    let mut artifact = match until {
        Some(until) => {
            let continued = until::build(&core, spec, options, until, progress)?;
            report.notes.extend(continued.notes);
            continued.artifact
        }
        None => compile(&core, options, progress)?,
    };
    let code_hash = Artifact::parse(&artifact).map_err(wfaas_vm::Error::from)?.code_hash();
    let debug = DebugFile::write(&core.module, code_hash);
    report.compile = started.elapsed();
    progress.linked();
    let Some(init) = &options.init else { return Ok(Built { artifact, debug, report }) };

    let started = Instant::now();
    if until.is_some() {
        report.saw_dirs = has_dirs(spec);
    } else {
        let engine = Engine::new(Config::default())?;
        let module = Module::from_bytes(&engine, &artifact)?;
        report.saw_dirs = init::sees_dirs(&module, spec, init);
        match init::initialise_module(&engine, &module, spec, init)? {
            Initialised::Artifact(initialised) => artifact = initialised,
            Initialised::Kept { reason } => {
                report.notes.push(format!("every instance initialises itself: {reason}"));
            }
        }
    }
    report.init = Some(started.elapsed());
    if options.warm_up.is_empty() {
        return Ok(Built { artifact, debug, report });
    }

    let started = Instant::now();
    report.saw_dirs |= has_dirs(spec);
    let warmed_up = warm_up(&artifact, spec.clone(), options.warm_up.clone())?;
    report.notes.extend(warmed_up.reason());
    if let WarmedUp::Artifact(with_profile, _) = warmed_up {
        artifact = with_profile;
    }
    report.warm_up = Some(started.elapsed());
    Ok(Built { artifact, debug, report })
}

/// Whether a guest finds directories of the host before there are requests.
fn has_dirs(spec: &Spec) -> bool {
    spec.dirs.iter().any(|dir| dir.init != AtInit::None)
}

/// The artifact of a module that has not run, with its files.
fn compile(
    core: &Core<'_>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Vec<u8>, BuildError> {
    let compiled = |done, total| progress.compiled(done, total);
    let compile = core.compiler_options(options, &compiled);
    let artifact = wfaas_compiler::compile(&core.module, &compile)?.artifact;
    with_bundle(artifact, options.bundle.as_ref())
}

/// The artifact with these files.
fn with_bundle(artifact: Vec<u8>, bundle: Option<&Vec<u8>>) -> Result<Vec<u8>, BuildError> {
    let Some(bundle) = bundle else { return Ok(artifact) };
    let without = Artifact::parse(&artifact).map_err(wfaas_vm::Error::from)?;
    Ok(set_bundle(&without, bundle).map_err(wfaas_vm::Error::from)?)
}
