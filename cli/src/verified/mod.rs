//! Artifacts that were checked before: a start need not compute their content hash again.
//!
//! An entry of the cache is about one file, told by device and inode. It says that every byte was
//! checked when the file had this size, these time stamps and this hash in its header:
//!
//! ```text
//! $XDG_CACHE_HOME/wfaas/verified/DEVICE-INODE      (or ~/.cache/wfaas/verified)
//!     faascli 0.1.0 SIZE MTIME CTIME HASH
//! ```
//!
//! A write renews the time of the last change to the clock's present tick, so that one right after the
//! check might leave it as it was: a file is entered once its last change is [`SETTLED`] ago, as git does with its index.
//!
//! The cache makes starts cheaper and is never needed: where it cannot be read or written, or others
//! could write to it, every start checks every byte.

use crate::cache_folder::Folder;
use crate::identity::Identity;
use std::fs::File;
use std::time::Duration;
use wfaas_abi::{Artifact, ArtifactError};

/// No file system that keeps times of changes has a clock with longer ticks.
const SETTLED: Duration = Duration::from_secs(2);

/// Checks the content hash of an artifact that is mapped from `file`, or finds that the same file was
/// checked before.
///
/// # Errors
/// [`ArtifactError`] if the file is not as it was built.
pub(crate) fn verify(file: &File, artifact: &Artifact<'_>) -> Result<(), ArtifactError> {
    verify_with(Folder::of_user(FOLDER).as_ref(), SETTLED, file, artifact)
}

fn verify_with(
    cache: Option<&Folder>,
    settled: Duration,
    file: &File,
    artifact: &Artifact<'_>,
) -> Result<(), ArtifactError> {
    let Some((cache, before)) = cache.zip(identity(file)) else { return artifact.verify() };
    let (name, entry) = (entry_name(&before), entry(&before, artifact));
    if cache.read(&name, entry.len()).is_some_and(|found| found == entry.as_bytes()) {
        return Ok(());
    }
    let is_settled = before.age().is_some_and(|age| age >= settled);
    artifact.verify()?;
    if is_settled && identity(file).as_ref() == Some(&before) {
        make_room(cache);
        cache.write(&name, &[entry.as_bytes()]);
    }
    Ok(())
}

/// The folder in the user's cache.
const FOLDER: &str = "verified";

/// Most files. At that many all are removed: they are only there to save time.
const MAX_FILES: usize = 1024;

fn make_room(cache: &Folder) {
    let entries = cache.entries();
    if entries.len() >= MAX_FILES {
        entries.iter().for_each(|entry| cache.remove(&entry.name));
    }
}

fn identity(file: &File) -> Option<Identity> {
    file.metadata().ok().map(|meta| Identity::of(&meta))
}

/// The name of the entry of a file.
fn entry_name(file: &Identity) -> String {
    format!("{:x}-{:x}", file.device, file.inode)
}

/// The text of its entry.
fn entry(file: &Identity, artifact: &Artifact<'_>) -> String {
    let Identity { device: _, inode: _, size, modified, changed } = file; // those are the name
    let version = env!("CARGO_PKG_VERSION");
    let hash = artifact.content_hash_hex();
    format!("faascli {version} {size} {modified} {changed} {hash}\n")
}

#[cfg(test)]
mod tests;
