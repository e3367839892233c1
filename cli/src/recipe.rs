//! The options for making an artifact; [`wfaas_build`] makes it.

use crate::bounds::{self, listed, switch};
use crate::build_cache::Place;
use crate::failure::{Blame, Failure, Kind};
use crate::files::{self, Bundled};
use crate::manifest::{InitKey, Manifest};
use crate::progress::Progress;
use crate::subject;
use clap::Parser;
use std::path::Path;
use wfaas_abi::cpu::CpuFeatures;
use wfaas_build::{BuildError, Built, Init, InitError, Options, ReseedAt, ReseedRange};
use wfaas_build::{Uniqueness, Until, WarmUp, WarmUpError};
use wfaas_compiler::{OptLevel, Proposal, Proposals};
use wfaas_function::{InvokeError, Span, Spec};

/// How an artifact is made.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Recipe {
    /// Run this export after `_initialize` and keep the memory it leaves [default:
    /// wizer.initialize, if exported]
    #[arg(long, value_name = "EXPORT")]
    init: Option<String>,

    /// Run the program until it waits, and go on from there for each request: `stdin` for when it
    /// reads its standard input, or an import as MODULE::NAME
    #[arg(long, value_name = "WAIT", conflicts_with_all = ["init", "no_init"], value_parser = parse_until)]
    until: Option<Until>,

    /// Fill this memory of such a program with random bytes in each instance: an exported symbol or an address, and
    /// how many bytes; several times for several
    #[arg(long, value_name = "AT:BYTES", value_parser = parse_reseed)]
    reseed: Vec<ReseedRange>,

    /// What to do about memory of such a program that depends on random bytes or the time: `off`, `report`, or
    /// `strict` to refuse what is not reseeded [default: report]
    #[arg(long, value_parser = parse_uniqueness)]
    uniqueness: Option<Uniqueness>,

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

    /// Take a file or a folder of the host into the artifact, for guests to read at this path;
    /// several times for several
    #[arg(long, value_name = "HOST::GUEST")]
    files: Vec<Bundled>,

    #[command(flatten)]
    bounds: bounds::Choice,

    /// Build anew, and leave the cache of builds alone; see `faascli cache`
    #[arg(long)]
    no_cache: bool,
}

/// An artifact and how it was come by.
pub(crate) struct Made {
    pub(crate) built: Built,
    /// Whether it is from the cache of builds.
    pub(crate) cached: bool,
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

/// A moment to wait for, as on the command line.
pub(crate) fn parse_until(text: &str) -> Result<Until, String> {
    match text.split_once("::") {
        None if text == "stdin" => Ok(Until::Stdin),
        Some((module, name)) if !name.is_empty() => {
            Ok(Until::Import { module: module.to_owned(), name: name.to_owned() })
        }
        _ => Err("expected `stdin`, or an import as MODULE::NAME".to_owned()),
    }
}

/// A way to treat memory that is not unique, by its word.
pub(crate) fn parse_uniqueness(word: &str) -> Result<Uniqueness, String> {
    match word {
        "off" => Ok(Uniqueness::Off),
        "report" => Ok(Uniqueness::Report),
        "strict" => Ok(Uniqueness::Strict),
        _ => Err("expected \"off\", \"report\" or \"strict\"".to_owned()),
    }
}

/// A range to reseed, as on the command line: `AT:BYTES`.
fn parse_reseed(text: &str) -> Result<ReseedRange, String> {
    let wrong = || "expected an exported symbol or an address, a colon, and a number".to_owned();
    let (at, bytes) = text.rsplit_once(':').ok_or_else(wrong)?;
    Ok(ReseedRange { at: reseed_at(at), bytes: bytes.parse().map_err(|_| wrong())? })
}

/// An address in decimal or hexadecimal digits, or a symbol.
pub(crate) fn reseed_at(text: &str) -> ReseedAt {
    let address = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    address.map_or_else(|_| ReseedAt::Symbol(text.to_owned()), ReseedAt::Address)
}

impl Recipe {
    /// Compiles fast rather than fast code.
    pub(crate) fn fast() -> Recipe {
        Recipe { opt: Opt::Fast, ..Recipe::default() }
    }

    /// The recipe with the files, the init export and the bounds strategy of a `faas.toml`, unless the command
    /// line says otherwise.
    pub(crate) fn with_manifest(&self, manifest: &Manifest) -> Recipe {
        let (init, until) = match (&self.init, &self.until, self.no_init) {
            (None, None, false) => match manifest.init.clone() {
                Some(InitKey::Export(export)) => (Some(export), None),
                Some(InitKey::Until(until)) => (None, Some(until)),
                None => (None, None),
            },
            (init, until, _) => (init.clone(), until.clone()),
        };
        let bounds = self.bounds.clone().or(manifest.bounds);
        let files = [&manifest.files[..], &self.files].concat();
        let mut recipe = Recipe { init, until, files, bounds, ..self.clone() };
        recipe.uniqueness = self.uniqueness.or(manifest.uniqueness);
        recipe.reseed.extend(manifest.reseed.iter().cloned());
        recipe
    }

    /// Makes the artifact of the module in the file `wasm`, and these requests while it is warmed up.
    /// Without a name in `spec`, the guest is called as the file is.
    ///
    /// # Errors
    /// A user's mistake if the module does not compile, a trap if it traps while it is run.
    pub(crate) fn make(
        &self,
        wasm: &Path,
        spec: &Spec,
        warm_up: &[WarmUp],
    ) -> Result<Made, Failure> {
        let module = subject::read(wasm)?;
        let program = spec.name.is_none().then(|| subject::stem(wasm));
        let options = self.options(program, warm_up)?;
        let place = if self.no_cache { None } else { Place::of(&module, spec, &options) };
        if let Some(built) = place.as_ref().and_then(Place::get) {
            return Ok(Made { built, cached: true });
        }
        let built = wfaas_build::build(&module, spec, &options, &Progress::start());
        let built = built.map_err(|error| build_failure(error, wasm, spec))?;
        // Contents of directories are in no key.
        if let Some(place) = place.filter(|_| !built.report.saw_dirs) {
            place.put(&built);
        }
        Ok(Made { built, cached: false })
    }

    fn options(&self, program: Option<String>, warm_up: &[WarmUp]) -> Result<Options, Failure> {
        let (export, time) = (self.init.clone(), Some(self.init_time.0));
        let init = Init {
            program,
            export,
            until: self.until.clone(),
            uniqueness: self.uniqueness.unwrap_or_default(),
            reseed: self.reseed.clone(),
            time,
        };
        Ok(Options {
            compile: self.compile_options()?,
            bundle: files::bundle(&self.files).user_error()?,
            init: (!self.no_init).then_some(init),
            warm_up: warm_up.to_vec(),
        })
    }

    /// How to compile.
    pub(crate) fn compile_options(&self) -> Result<wfaas_compiler::Options<'static>, Failure> {
        let accept = |accepted: Proposals, name: &String| accepted.without(name);
        let proposals = self.disable.iter().try_fold(Proposals::ALL, accept).user_error()?;
        let opt = match self.opt {
            Opt::Speed => OptLevel::Speed,
            Opt::Fast => OptLevel::Fast,
        };
        let compile =
            wfaas_compiler::Options { opt, cpu: self.cpu, proposals, ..Default::default() };
        self.bounds.apply(compile)
    }
}

/// Whose failure a build's is.
fn build_failure(error: BuildError, wasm: &Path, spec: &Spec) -> Failure {
    let file = wasm.display();
    match error {
        BuildError::Compile(error) => {
            let error = anyhow::Error::new(error).context(format!("cannot compile {file}"));
            Failure::new(Kind::User, error)
        }
        BuildError::Init(error) => init_failure(error, &format!("initialise {file}")),
        BuildError::WarmUp(error) => warm_up_failure(error, spec),
        error => error.into(),
    }
}

/// Whose failure one of the warm-up requests is.
fn warm_up_failure(error: WarmUpError, spec: &Spec) -> Failure {
    let kind = match &error {
        WarmUpError::Vm(error) => vm_kind(error),
        WarmUpError::Request { error: InvokeError::Vm(error), .. } => vm_kind(error),
        WarmUpError::Request { .. } => Kind::Trap,
        _ => Kind::User,
    };
    let what = format!("cannot warm up {}", spec.name());
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
