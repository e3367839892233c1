//! The things that a PATH on the command line may name: a function's folder, a module, or an artifact.

use crate::failure::{Blame, Failure};
use crate::manifest::Manifest;
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use wfaas_abi::Artifact;
use wfaas_build::Built;

/// Larger files are refused before they are read, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// What a PATH names.
#[derive(Debug)]
pub(crate) enum Subject {
    /// A folder with a `faas.toml`.
    Folder(Box<Manifest>),
    /// A `.wasm` or `.wat` file.
    Module(PathBuf),
    /// A `.faas` file.
    Artifact(PathBuf),
}

impl Subject {
    /// Looks what is at `path`. A file is an artifact if it is called `.faas` or is an ELF file.
    ///
    /// # Errors
    /// A user's mistake if there is nothing, or nothing of the three.
    pub(crate) fn at(path: &Path) -> Result<Subject, Failure> {
        let what = std::fs::metadata(path)
            .with_context(|| format!("cannot find {}", path.display()))
            .user_error()?;
        if what.is_dir() {
            return Ok(Subject::Folder(Box::new(Manifest::read(path).user_error()?)));
        }
        let called_faas = path.extension().is_some_and(|extension| extension == "faas");
        if called_faas || starts_as_elf(path).user_error()? {
            Ok(Subject::Artifact(path.to_owned()))
        } else {
            Ok(Subject::Module(path.to_owned()))
        }
    }
}

/// A file's name without its extension: a program's argument 0 if nothing names it otherwise.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn starts_as_elf(path: &Path) -> anyhow::Result<bool> {
    use std::io::Read;
    check_file(path)?;
    let mut start = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(4).read_to_end(&mut start))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(start == *b"\x7fELF")
}

/// Refuses what cannot be read as a whole: devices, pipes, files that are out of proportion.
///
/// # Errors
/// What is wrong with it, with its path.
pub(crate) fn check_file(path: &Path) -> anyhow::Result<()> {
    let what =
        std::fs::metadata(path).with_context(|| format!("cannot find {}", path.display()))?;
    if !what.is_file() {
        bail!("{} is not a regular file", path.display());
    }
    if what.len() > MAX_FILE_BYTES {
        bail!("{} has {} bytes, at most {MAX_FILE_BYTES} are read", path.display(), what.len());
    }
    Ok(())
}

/// The bytes of a file a user named.
///
/// # Errors
/// A user's mistake if it cannot be read.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    check_file(path).user_error()?;
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display())).user_error()
}

/// The bytes of an artifact a user named, checked against their content hash.
///
/// # Errors
/// A user's mistake if they cannot be read or are not what was built.
pub(crate) fn read_artifact(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = read(path)?;
    Artifact::parse(&bytes)
        .and_then(|artifact| artifact.verify())
        .with_context(|| format!("{} cannot be run", path.display()))
        .user_error()?;
    Ok(bytes)
}

/// Where the debug file of an artifact is: beside it.
pub(crate) fn debug_path(artifact: &Path) -> PathBuf {
    let mut path = artifact.as_os_str().to_owned();
    path.push(".debug");
    path.into()
}

/// The bytes of an artifact's debug file, if there is one that can be read.
pub(crate) fn read_debug_file(artifact: &Path) -> Option<Vec<u8>> {
    let path = debug_path(artifact);
    check_file(&path).ok()?;
    std::fs::read(path).ok()
}

/// Writes an artifact, and its debug file beside it.
///
/// # Errors
/// As [`write_atomically`].
pub(crate) fn write_built(path: &Path, built: &Built) -> Result<(), Failure> {
    if let Some(debug) = &built.debug {
        write_atomically(&debug_path(path), debug)?;
    }
    write_atomically(path, &built.artifact)
}

/// Writes a file so that `path` holds either what it held before or all of `bytes`.
///
/// # Errors
/// A full disk, missing rights, a missing folder.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        use std::io::Write;
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new().prefix(".faas-").tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        // Temporary files are private; a result has the rights of any other new file.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        file.as_file().set_permissions(mode)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    Ok(write().with_context(|| format!("cannot write {}", path.display()))?)
}
