//! From a module to an artifact: compile, initialise.

use crate::bounds::{self, listed, switch};
use crate::failure::{Blame, Failure, Kind};
use crate::manifest::{Manifest, Span};
use crate::progress::Progress;
use crate::subject;
use anyhow::Context;
use clap::Parser;
use std::path::Path;
use std::time::{Duration, Instant};
use wfaas_abi::cpu::CpuFeatures;
use wfaas_compiler::{OptLevel, Options, Proposal, Proposals};
use wfaas_host::InvokeError;
use wfaas_host::init::{InitConfig, InitError, Initialised, initialise};
use wfaas_host::warm_up::{WarmUpError, WarmedUp, warm_up};
use wfaas_vm::{Config, Engine};

/// How an artifact is made.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Recipe {
    /// Run this export after `_initialize` and keep the memory it leaves [default:
    /// wizer.initialize, if exported]
    #[arg(long, value_name = "EXPORT")]
    init: Option<String>,

    /// Do not run anything now: every instance starts from the module's data segments
    #[arg(long, conflicts_with = "init")]
    no_init: bool,

    /// Longest time initialisation may take
    #[arg(long, value_name = "TIME", default_value = INIT_TIME)]
    init_time: Span,

    /// Spend time on fast code, or as little as possible
    #[arg(long, value_enum, default_value = "speed")]
    opt: Opt,

    /// The CPU the code is for: x86-64-v2, x86-64-v3, native, or a level with features added,
    /// as in x86-64-v3+avx512f
    #[arg(long, default_value = "x86-64-v3", value_parser = parse_cpu)]
    cpu: CpuFeatures,

    #[arg(long, value_name = "PROPOSAL", value_delimiter = ',', value_parser = switch::<Proposal>,
        help = listed::<Proposal>("Refuse modules that use this WebAssembly proposal"))]
    disable: Vec<String>,

    #[command(flatten)]
    bounds: bounds::Choice,
}

/// How long an initialisation may take unless the command line says otherwise.
pub(crate) const INIT_TIME: &str = "60s";

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Opt {
    Speed,
    Fast,
}

/// The recipe of a command line without options.
#[derive(clap::Parser)]
struct Defaults {
    #[command(flatten)]
    recipe: Recipe,
}

impl Default for Recipe {
    fn default() -> Recipe {
        Defaults::parse_from(["faascli"]).recipe
    }
}

fn parse_cpu(names: &str) -> Result<CpuFeatures, String> {
    match names {
        "native" => Ok(wfaas_vm::available_cpu_features()),
        _ => wfaas_compiler::parse_cpu(names).map_err(|error| error.to_string()),
    }
}

/// A finished artifact and how it came to be.
pub(crate) struct Made {
    /// The bytes of the file.
    pub(crate) artifact: Vec<u8>,
    /// Time the compiler took.
    pub(crate) compile: Duration,
    /// Time the guest took to initialise, if it ran.
    pub(crate) init: Option<Duration>,
    /// Time the warm-up requests took, if there were any.
    pub(crate) warm_up: Option<Duration>,
    /// What the user should know about the image, if anything.
    pub(crate) note: Option<String>,
}

impl Recipe {
    /// The recipe with the init export and the bounds strategy of a `faas.toml`, unless the command
    /// line says otherwise.
    pub(crate) fn with_manifest(&self, manifest: &Manifest) -> Recipe {
        let init = self.init.clone().or_else(|| manifest.init.clone().filter(|_| !self.no_init));
        let bounds = self.bounds.clone().or(manifest.bounds);
        Recipe { init, bounds, ..self.clone() }
    }

    /// Makes the artifact of the module in the file `wasm`. Its initialisation sees the arguments
    /// and variables of `guest`.
    ///
    /// # Errors
    /// A user's mistake if the module does not compile, a trap if it traps in its initialisation.
    pub(crate) fn make(&self, wasm: &Path, guest: InitConfig) -> Result<Made, Failure> {
        let (artifact, compile) = self.compile(wasm)?;
        if self.no_init {
            return Ok(Made { artifact, compile, init: None, warm_up: None, note: None });
        }
        let started = Instant::now();
        let guest = InitConfig { export: self.init.clone(), time: Some(self.init_time.0), ..guest };
        let engine = Engine::new(Config::default())?;
        let initialised = initialise(&engine, &artifact, &guest)
            .map_err(|error| init_failure(error, &format!("initialise {}", wasm.display())))?;
        let (artifact, note) = match initialised {
            Initialised::Artifact(initialised) => (initialised, None),
            Initialised::Kept { reason } => {
                (artifact, Some(format!("every instance initialises itself: {reason}")))
            }
        };
        Ok(Made { artifact, compile, init: Some(started.elapsed()), warm_up: None, note })
    }

    /// Makes the warm-up requests of a `faas.toml`, and puts what they write to into the artifact.
    /// Nothing happens if nothing is to be run.
    ///
    /// # Errors
    /// A user's mistake if the module answers no requests, a trap if it traps in one.
    pub(crate) fn warm_up(&self, made: Made, manifest: &Manifest) -> Result<Made, Failure> {
        if manifest.warmup.is_empty() || self.no_init {
            return Ok(made);
        }
        let started = Instant::now();
        let requests = manifest.warmup.iter().enumerate();
        let requests = requests.map(|(index, warm_up)| warm_up.request(index + 1)).collect();
        let warmed_up = warm_up(&made.artifact, manifest.function_config(), requests)
            .map_err(|error| warm_up_failure(error, manifest))?;
        let reason = warmed_up.reason();
        let artifact = match warmed_up {
            WarmedUp::Artifact(artifact, _) => artifact,
            WarmedUp::TooLarge => made.artifact,
        };
        let note = made.note.or(reason);
        Ok(Made { artifact, warm_up: Some(started.elapsed()), note, ..made })
    }

    fn proposals(&self) -> Result<Proposals, wfaas_compiler::CompileError> {
        Proposals::ALL.without_each(&self.disable)
    }

    fn compile(&self, wasm: &Path) -> Result<(Vec<u8>, Duration), Failure> {
        let module = subject::read(wasm)?;
        let progress = Progress::start();
        let report = |done, total| progress.update(done, total);
        let opt = match self.opt {
            Opt::Speed => OptLevel::Speed,
            Opt::Fast => OptLevel::Fast,
        };
        let proposals = self.proposals().user_error()?;
        let options = Options {
            opt,
            cpu: self.cpu,
            proposals,
            progress: Some(&report),
            ..self.bounds.apply(Options::default())?
        };
        let compiled = wfaas_compiler::compile(&module, &options);
        let time = progress.finish();
        let compiled =
            compiled.with_context(|| format!("cannot compile {}", wasm.display())).user_error()?;
        Ok((compiled.artifact, time))
    }
}

/// Whose failure one of the warm-up requests is.
fn warm_up_failure(error: WarmUpError, manifest: &Manifest) -> Failure {
    let kind = match &error {
        WarmUpError::Vm(error) => vm_kind(error),
        WarmUpError::Request { error: InvokeError::Vm(error), .. } => vm_kind(error),
        WarmUpError::Request { .. } => Kind::Trap,
        _ => Kind::User,
    };
    let what = format!("cannot warm up {}", manifest.name);
    Failure::new(kind, anyhow::Error::new(error).context(what))
}

/// Whose failure an initialisation's is.
pub(crate) fn init_failure(error: InitError, what: &str) -> Failure {
    let kind = match &error {
        InitError::Failed { .. } => Kind::Trap,
        InitError::Vm(error) => vm_kind(error),
        _ => Kind::User,
    };
    Failure::new(kind, anyhow::Error::new(error).context(format!("cannot {what}")))
}

/// Whose failure one of the VM is.
pub(crate) fn vm_kind(error: &wfaas_vm::Error) -> Kind {
    use wfaas_vm::Error;
    match error {
        Error::Trap(_) | Error::Exception(_) => Kind::Trap,
        Error::Os { .. } | Error::Slot(_) | Error::Host(_) | Error::Poisoned => Kind::Host,
        _ => Kind::User,
    }
}
