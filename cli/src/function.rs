//! A function: an artifact with its name, route, environment and limits.

use crate::bounds;
use crate::failure::{Blame, Failure};
use crate::identity::Identity;
use crate::manifest::{self, Manifest};
use crate::output;
use crate::recipe::{Made, Recipe};
use crate::subject::{self, Subject};
use crate::toolchain::TOOLS;
use anyhow::{Context, anyhow};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;
use wfaas_function::{FunctionName, Spec};

/// What a server needs to answer requests.
pub(crate) struct Function {
    /// Its name on the server.
    pub(crate) name: FunctionName,
    /// Everything else but its code.
    pub(crate) spec: Spec,
    /// The bytes of its artifact.
    pub(crate) artifact: Vec<u8>,
}

impl Function {
    /// The function that `path` names, built if it is not built yet or has changed since, with
    /// `layer` over what its folder says.
    ///
    /// # Errors
    /// As those of reading and building; a user's mistake if nothing keeps the guest inside its
    /// memory.
    pub(crate) fn load(path: &Path, layer: Spec) -> Result<Function, Failure> {
        let function = Function::read(path, layer)?;
        bounds::check_servable(&function.artifact, path.display())?;
        Ok(function)
    }

    /// The function that `path` names, built by this recipe whether it is or not, without warm-up. The
    /// artifact is not kept.
    ///
    /// # Errors
    /// As [`Function::load`].
    pub(crate) fn build(path: &Path, layer: Spec, recipe: &Recipe) -> Result<Function, Failure> {
        let mut function = match Subject::at(path)? {
            Subject::Folder(mut manifest) => {
                manifest.warmup.clear();
                let artifact = build_folder(&manifest, recipe)?.built.artifact;
                Function { artifact, spec: manifest.spec, name: manifest.name }
            }
            Subject::Module(path) => {
                let name = name_of_file(&path)?;
                let spec = Spec::named(name.clone());
                let artifact = recipe.make(&path, &layer.clone().over(spec.clone()), &[])?;
                Function { name, spec, artifact: artifact.built.artifact }
            }
            Subject::Artifact(_) => return Function::load(path, layer),
        };
        bounds::check_servable(&function.artifact, path.display())?;
        function.spec = layer.over(function.spec);
        Ok(function)
    }

    fn read(path: &Path, layer: Spec) -> Result<Function, Failure> {
        match Subject::at(path)? {
            Subject::Folder(manifest) => Ok(Function {
                artifact: current_artifact(&manifest)?,
                spec: layer.over(manifest.spec),
                name: manifest.name,
            }),
            Subject::Module(path) => {
                let name = name_of_file(&path)?;
                let spec = layer.over(Spec::named(name.clone()));
                let artifact = Recipe::default().make(&path, &spec, &[])?.built.artifact;
                Ok(Function { name, spec, artifact })
            }
            Subject::Artifact(path) => {
                let name = name_of_file(&path)?;
                let artifact = subject::read_artifact(&path)?;
                Ok(Function { spec: layer.over(Spec::named(name.clone())), name, artifact })
            }
        }
    }
}

/// `hello` for `some/hello.faas`.
fn name_of_file(path: &Path) -> Result<FunctionName, Failure> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.parse()
        .with_context(|| format!("{} names no function; rename the file", path.display()))
        .user_error()
}

/// Where a folder's artifact is kept.
pub(crate) fn artifact_path(manifest: &Manifest) -> PathBuf {
    manifest.folder.join("target").join(format!("{}.faas", manifest.name))
}

/// The folder's artifact, built again if anything in the folder is newer.
fn current_artifact(manifest: &Manifest) -> Result<Vec<u8>, Failure> {
    match current_file(manifest).map(|path| subject::read_artifact(&path)) {
        Some(Ok(bytes)) => Ok(bytes),
        _ => rebuild(manifest),
    }
}

/// The file with the folder's artifact, unless anything in the folder is newer. It may be damaged.
pub(crate) fn current_file(manifest: &Manifest) -> Option<PathBuf> {
    let path = artifact_path(manifest);
    is_current(manifest, &path).then_some(path)
}

/// Builds the folder's artifact and keeps it.
pub(crate) fn rebuild(manifest: &Manifest) -> Result<Vec<u8>, Failure> {
    let path = artifact_path(manifest);
    output::note(format_args!("building {}", manifest.name));
    let built = build_folder(manifest, &Recipe::default())?.built;
    subject::write_built(&path, &built)?;
    Ok(built.artifact)
}

/// Runs the folder's build command and makes the artifact of what it leaves.
pub(crate) fn build_folder(manifest: &Manifest, recipe: &Recipe) -> Result<Made, Failure> {
    if let Some(words) = &manifest.build {
        run_build_command(manifest, words).user_error()?;
    }
    if !manifest.wasm.exists() {
        let after = if manifest.build.is_some() { " after the build command" } else { "" };
        return Err(Failure::user(format_args!(
            "there is no {}{after}; key `wasm` in {} names the module",
            manifest.wasm.display(),
            manifest.folder.join(manifest::FILE_NAME).display(),
        )));
    }
    recipe.with_manifest(manifest).make(&manifest.wasm, &manifest.spec, &manifest.warmup)
}

/// What the command prints goes to standard error: standard output is for results.
fn run_build_command(manifest: &Manifest, words: &[String]) -> anyhow::Result<()> {
    let status = Command::new(&words[0])
        .args(&words[1..])
        .current_dir(&manifest.folder)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status();
    let command = words.join(" ");
    let status = status.with_context(|| format!("cannot run `{command}`{}", missing_tools()))?;
    if status.success() {
        return Ok(());
    }
    Err(anyhow!("the build command `{command}` failed: {status}{}", missing_tools()))
}

/// What a failed build may have been looking for in vain.
fn missing_tools() -> String {
    let missing = TOOLS.iter().filter(|tool| !tool.is_there());
    missing
        .map(|tool| {
            format!("\n  {} is not installed here; install it: {}", tool.name, tool.install)
        })
        .collect()
}

/// Whether the artifact is newer than everything it was made from, and than this program.
fn is_current(manifest: &Manifest, artifact: &Path) -> bool {
    let Some(built) = modified(artifact) else { return false };
    let older = |time: Option<SystemTime>| time.is_some_and(|time| time < built);
    // A program may be installed with the time of its build.
    let program = Identity::of_program().and_then(|file| file.last_change());
    older(program)
        && older(modified(&manifest.wasm))
        && all_older(&manifest.folder, built, is_input)
        && manifest.files.iter().all(|tree| all_older(&tree.host, built, |_| true))
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|what| what.modified()).ok()
}

/// Whether the folder and everything below that is an input is older.
/// Symbolic links count as what they are, so there are no loops.
fn all_older(folder: &Path, built: SystemTime, is_input: fn(&OsStr) -> bool) -> bool {
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        let Ok(what) = std::fs::symlink_metadata(&path) else { return false };
        let Ok(time) = what.modified() else { return false };
        // Clocks of file systems tick slowly: making `target` for the artifact may have changed
        // the folder in the same tick, which means nothing; a file written then may be newer.
        if time > built || time == built && !what.is_dir() {
            return false;
        }
        if what.is_dir() {
            let Ok(entries) = std::fs::read_dir(&path) else { return false };
            let inputs = entries.flatten().filter(|entry| is_input(&entry.file_name()));
            waiting.extend(inputs.map(|entry| entry.path()));
        }
    }
    true
}

/// Whether a file of this name in a function's folder may be something that it is made from.
pub(crate) fn is_input(name: &OsStr) -> bool {
    name != "target" && !name.as_encoded_bytes().starts_with(b".")
}
