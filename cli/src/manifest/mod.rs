//! `faas.toml`: what a function's folder says about the function.
//!
//! ```toml
//! name = "resize"                    # default: the folder's name
//! build = ["make", "resize.wasm"]    # or one line for `sh -c`; nothing if the file is there
//! wasm = "resize.wasm"               # or a `.wat`; relative to the folder
//! abi = "reactor"                    # or "wasi"; default: what the exports say
//! init = "prepare"                   # the export that prepares the image at build time
//! warmup = ["a body", { path = "/x", body = "another" }]    # requests made at build time
//! bounds = "guard"                   # how accesses are kept inside the memory; see docs/bounds.md
//! route = "/img/resize"              # default: "/" and the name
//!
//! [env]
//! QUALITY = "80"
//!
//! [limits]
//! memory = "64MiB"
//! time = "2s"
//! output = "1MiB"
//! ```
//!
//! Unknown keys and wrong types are errors that name file, line and key.

mod quantity;
mod values;

pub(crate) use quantity::{ByteSize, Span};

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
pub(crate) use values::WarmUp;
use values::{Bounds, Command, InsidePath};
use wfaas_abi::BoundsStrategy;
use wfaas_gateway::{DeployConfig, DeployLimits, FunctionName, Route};
use wfaas_host::init::InitConfig;
use wfaas_host::{FunctionConfig, GuestAbi};

/// The name of the file in a function's folder.
pub(crate) const FILE_NAME: &str = "faas.toml";

/// Larger files are not read: no sensible configuration comes near.
const MAX_BYTES: u64 = 1 << 20;

/// A function's folder, as its `faas.toml` describes it. Paths are complete, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    /// The folder: working directory of the build command.
    pub(crate) folder: PathBuf,
    /// Name under which the function is deployed.
    pub(crate) name: FunctionName,
    /// Program and arguments that produce [`Manifest::wasm`], if it has to be produced.
    pub(crate) build: Option<Vec<String>>,
    /// The `.wasm` or `.wat` file.
    pub(crate) wasm: PathBuf,
    /// Which guest ABI it says it has.
    pub(crate) abi: Option<Abi>,
    /// The export that prepares the image.
    pub(crate) init: Option<String>,
    /// Requests that are made at build time, to learn what they write to.
    pub(crate) warmup: Vec<WarmUp>,
    /// The guest's environment, at build time and for requests.
    pub(crate) env: BTreeMap<String, String>,
    /// Limits of one request.
    pub(crate) limits: Limits,
    /// How accesses are kept inside the memory.
    pub(crate) bounds: Option<BoundsStrategy>,
    /// Path under which it is served; `None` for "/" and the name.
    pub(crate) route: Option<Route>,
}

/// A guest ABI by its name in `faas.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Abi {
    /// A WASI command: `_start`, body on standard input, answer on standard output.
    Wasi,
    /// A reactor: `faas_alloc` and `faas_handle`.
    Reactor,
}

impl Abi {
    /// The word a server knows it by.
    fn name(self) -> &'static str {
        match self {
            Abi::Wasi => GuestAbi::WasiCommand.name(),
            Abi::Reactor => GuestAbi::Reactor.name(),
        }
    }
}

/// Limits of one request; what is not given is the server's default.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// Linear memory, in bytes.
    pub(crate) memory: Option<ByteSize>,
    /// Run time.
    pub(crate) time: Option<Span>,
    /// The answer, in bytes.
    pub(crate) output: Option<ByteSize>,
}

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<FunctionName>,
    build: Option<Command>,
    wasm: InsidePath,
    abi: Option<Abi>,
    init: Option<String>,
    #[serde(default)]
    warmup: Vec<WarmUp>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    limits: Limits,
    bounds: Option<Bounds>,
    route: Option<Route>,
}

impl Manifest {
    /// Reads `faas.toml` in `folder`.
    ///
    /// # Errors
    /// With file, line and key if the file is missing, too large, or says something impossible.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Manifest> {
        let path = folder.join(FILE_NAME);
        let size = std::fs::metadata(&path)
            .with_context(|| {
                format!("{} is not a function's folder: no {FILE_NAME} in it", folder.display())
            })?
            .len();
        if size > MAX_BYTES {
            bail!("{}: {size} bytes are too many, the limit is {MAX_BYTES}", path.display());
        }
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Manifest::parse(folder, &text).with_context(|| format!("{} is wrong", path.display()))
    }

    fn parse(folder: &Path, text: &str) -> anyhow::Result<Manifest> {
        // toml's message already shows line, column, key and what would have been accepted.
        let file: File = toml::from_str(text).map_err(|error| anyhow!("{error}"))?;
        let name = match file.name {
            Some(name) => name,
            None => folder_name(folder)?,
        };
        Ok(Manifest {
            wasm: folder.join(file.wasm.0),
            folder: folder.to_owned(),
            name,
            build: file.build.map(|command| command.0),
            abi: file.abi,
            init: file.init,
            warmup: file.warmup,
            env: file.env,
            limits: file.limits,
            bounds: file.bounds.map(|bounds| bounds.0),
            route: file.route,
        })
    }
}

impl Manifest {
    /// What a server needs to know besides the code.
    pub(crate) fn deploy_config(&self) -> DeployConfig {
        DeployConfig {
            route: self.route.clone().map(String::from),
            abi: self.abi.map(|abi| abi.name().to_owned()),
            env: self.env.clone(),
            limits: DeployLimits {
                memory_bytes: self.limits.memory.map(|size| size.0),
                time_ms: self.limits.time.map(|span| span.millis()),
                output_bytes: self.limits.output.map(|size| size.0),
            },
            ..DeployConfig::default()
        }
    }

    /// What warm-up requests are answered with: as on a server with the default limits.
    pub(crate) fn function_config(&self) -> FunctionConfig {
        let mut config = FunctionConfig::named(self.name.as_str());
        config.env = self.env.clone().into_iter().collect();
        config.abi = self.abi.and_then(|abi| GuestAbi::from_name(abi.name()));
        let limits = &mut config.limits;
        limits.memory_bytes = self.limits.memory.map_or(limits.memory_bytes, |size| size.0);
        limits.time = self.limits.time.map_or(limits.time, |span| span.0);
        limits.output_bytes = self.limits.output.map_or(limits.output_bytes, |size| size.0);
        config
    }

    /// What initialisation sees: the same environment as requests.
    pub(crate) fn init_config(&self) -> InitConfig {
        InitConfig {
            args: vec![self.name.to_string()],
            env: self.env.clone().into_iter().collect(),
            memory_bytes: self.limits.memory.map(|size| size.0),
            ..InitConfig::default()
        }
    }
}

/// The folder's own name as the function's.
fn folder_name(folder: &Path) -> anyhow::Result<FunctionName> {
    let folder = folder.canonicalize()?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.parse().map_err(|error| anyhow!("{error}; set the key `name`"))
}

#[cfg(test)]
mod tests;
