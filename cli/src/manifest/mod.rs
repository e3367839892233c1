//! `faas.toml`: the description of a function in its folder.
//!
//! ```toml
//! name = "resize"                    # default: the folder's name
//! build = ["make", "resize.wasm"]    # or one line for `sh -c`; nothing if the file is there
//! wasm = "resize.wasm"               # or a `.wat`; relative to the folder, in it or not
//! abi = "reactor"                    # a guest ABI; default: the one of the exports
//! init = "prepare"                   # the export that prepares the image at build time
//! # init = { until = "stdin" }       # or the program is captured where it waits
//! warmup = ["a body", { path = "/x", body = "another" }]    # requests made at build time
//! uniqueness = "report"              # or "off", or "strict": memory that depends on random bytes or the time
//! reseed = [["state", 2500], [1024, 8]]    # memory that is random in each instance: symbol or address, bytes
//! bounds = "guard"                   # how accesses are kept inside the memory; see docs/bounds.md
//! route = "/img/resize"              # default: "/" and the name
//!
//! [env]
//! QUALITY = "80"
//!
//! [files]                            # the artifact takes them along, for guests to read
//! "lib" = "/usr/lib"                 # a file or a folder, relative to the folder, and the guest's path
//!
//! [[dirs]]                           # as often as there are directories
//! host = "pictures"                  # relative to the folder
//! guest = "/pictures"
//! read_only = true                   # default: false
//! overlay = false                    # whether changes stay in memory, and are gone after the request
//! init = "read"                      # access at build time: "read", "write" or "none"
//!
//! [limits]
//! memory = "64MiB"
//! time = "2s"
//! output = "1MiB"
//! tmp = "64MiB"                      # memory for files that a guest writes; default: none
//! ```
//!
//! Unknown keys and wrong types are errors that name file, line and key.

mod values;

use crate::files::Bundled;
use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
pub(crate) use values::InitKey;
use values::{
    Bounds, Command, FilePath, FilesAt, FilesFrom, Reseed, UniquenessWord, WarmUpRequest,
};
use wfaas_abi::BoundsStrategy;
use wfaas_build::{ReseedRange, Uniqueness, WarmUp};
use wfaas_function::{Dir, Fields, FunctionName, Key, Spec};

/// The name of the file in a function's folder.
pub(crate) const FILE_NAME: &str = "faas.toml";

/// Larger files are not read: no sensible configuration comes near.
const MAX_BYTES: u64 = 1 << 20;

/// A function's folder, as its `faas.toml` describes it. Paths are complete.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    /// The folder: working directory of the build command.
    pub(crate) folder: PathBuf,
    /// Name under which the function is deployed.
    pub(crate) name: FunctionName,
    /// Everything else but the code: the file's layer, which has the name too.
    pub(crate) spec: Spec,
    /// Program and arguments that produce [`Manifest::wasm`], if it has to be produced.
    pub(crate) build: Option<Vec<String>>,
    /// The `.wasm` or `.wat` file.
    pub(crate) wasm: PathBuf,
    /// How the image is prepared.
    pub(crate) init: Option<InitKey>,
    /// Requests that are made at build time, to learn what they write to.
    pub(crate) warmup: Vec<WarmUp>,
    /// What to do about memory of a captured program that is not unique.
    pub(crate) uniqueness: Option<Uniqueness>,
    /// Memory of a captured program that is random in each instance.
    pub(crate) reseed: Vec<ReseedRange>,
    /// How accesses are kept inside the memory.
    pub(crate) bounds: Option<BoundsStrategy>,
    /// Files that the artifact takes along.
    pub(crate) files: Vec<Bundled>,
}

/// The file as it is written: how to build the function, and its specification.
#[derive(Default)]
struct File {
    build: Option<Command>,
    wasm: Option<FilePath>,
    init: Option<InitKey>,
    warmup: Vec<WarmUpRequest>,
    uniqueness: Option<UniquenessWord>,
    reseed: Vec<Reseed>,
    bounds: Option<Bounds>,
    files: BTreeMap<FilesFrom, FilesAt>,
    spec: Spec,
}

/// The keys about building.
const BUILD_KEYS: [&str; 8] =
    ["build", "wasm", "init", "warmup", "uniqueness", "reseed", "bounds", "files"];

/// All keys.
const KEYS: [&str; BUILD_KEYS.len() + Spec::KEYS.len()] = {
    let mut keys = [""; BUILD_KEYS.len() + Spec::KEYS.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = match at.checked_sub(BUILD_KEYS.len()) {
            None => BUILD_KEYS[at],
            Some(at) => Spec::KEYS[at],
        };
        at += 1;
    }
    keys
};

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<File, D::Error> {
        from.deserialize_map(FileVisitor)
    }
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = File;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the keys of a faas.toml")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<File, A::Error> {
        let (mut file, mut seen) = (File::default(), Vec::new());
        let (prefix, known) = ("", &KEYS);
        while let Some(key) = map.next_key_seed(Key { prefix, known, seen: &mut seen })? {
            match key {
                "build" => file.build = Some(map.next_value()?),
                "wasm" => file.wasm = Some(map.next_value()?),
                "init" => file.init = Some(map.next_value()?),
                "warmup" => file.warmup = map.next_value()?,
                "uniqueness" => file.uniqueness = Some(map.next_value()?),
                "reseed" => file.reseed = map.next_value()?,
                "bounds" => file.bounds = Some(map.next_value()?),
                "files" => file.files = map.next_value()?,
                of_spec => file.spec.read(of_spec, &mut map)?,
            }
        }
        if file.wasm.is_none() {
            return Err(A::Error::missing_field("wasm"));
        }
        Ok(file)
    }
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
        let name = match file.spec.name {
            Some(name) => name,
            None => folder_name(folder)?,
        };
        Ok(Manifest {
            wasm: folder.join(file.wasm.map_or(PathBuf::new(), |path| path.0)),
            folder: folder.to_owned(),
            spec: Spec {
                name: Some(name.clone()),
                dirs: complete(folder, file.spec.dirs),
                ..file.spec
            },
            name,
            build: file.build.map(|command| command.0),
            init: file.init,
            warmup: file.warmup.into_iter().map(|request| request.0).collect(),
            uniqueness: file.uniqueness.map(|word| word.0),
            reseed: file.reseed.into_iter().map(|range| range.0).collect(),
            bounds: file.bounds.map(|bounds| bounds.0),
            files: file.files.into_iter().map(|tree| bundled(folder, tree)).collect(),
        })
    }
}

fn bundled(folder: &Path, (from, at): (FilesFrom, FilesAt)) -> Bundled {
    Bundled { host: folder.join(from.0), guest: at.0 }
}

/// Directories with complete paths: a relative one begins at the function's folder.
fn complete(folder: &Path, dirs: Vec<Dir>) -> Vec<Dir> {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    dirs.into_iter().map(|dir| Dir { host: folder.join(&dir.host), ..dir }).collect()
}

/// The folder's own name as the function's.
fn folder_name(folder: &Path) -> anyhow::Result<FunctionName> {
    let folder = folder.canonicalize()?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    name.parse().map_err(|error| anyhow!("{error}; set the key `name`"))
}

#[cfg(test)]
mod tests;
