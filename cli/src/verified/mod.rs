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
//! Nobody can set the time of a change (ctime), and every write through the file system renews it. It
//! renews it to the clock's present tick, though, so that a write right after the check might leave it
//! as it was: a file is entered once its last change is [`SETTLED`] ago, as git does with its index.
//!
//! The cache makes starts cheaper and is never needed: where it cannot be read or written, or others
//! could write to it, every start checks every byte.

use crate::cache_folder::Folder;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
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
    let Some((cache, before)) = cache.zip(Identity::of(file)) else { return artifact.verify() };
    let (name, entry) = (before.entry_name(), before.entry(artifact));
    if cache.read(&name, entry.len()).is_some_and(|found| found == entry.as_bytes()) {
        return Ok(());
    }
    let is_settled = before.age().is_some_and(|age| age >= settled);
    artifact.verify()?;
    if is_settled && Identity::of(file).as_ref() == Some(&before) {
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

/// All by which a file is told from others, and from itself at other times.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    /// Last change of the content: seconds and nanoseconds.
    modified: (i64, i64),
    /// Last change of anything about the file.
    changed: (i64, i64),
}

impl Identity {
    fn of(file: &File) -> Option<Identity> {
        let meta = file.metadata().ok()?;
        Some(Identity {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })
    }

    /// Time since the last change; `None` if that is in the future, as after setting the clock back.
    fn age(&self) -> Option<Duration> {
        let (seconds, nanos) = self.changed;
        let since_epoch = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
        let changed = since_epoch.map(|(secs, nanos)| UNIX_EPOCH + Duration::new(secs, nanos));
        SystemTime::now().duration_since(changed?).ok()
    }

    fn entry_name(&self) -> String {
        format!("{:x}-{:x}", self.device, self.inode)
    }

    fn entry(&self, artifact: &Artifact<'_>) -> String {
        let Identity { device: _, inode: _, size, modified, changed } = self; // those are the name
        format!(
            "faascli {} {size} {}.{:09} {}.{:09} {}\n",
            env!("CARGO_PKG_VERSION"),
            modified.0,
            modified.1,
            changed.0,
            changed.1,
            artifact.content_hash_hex()
        )
    }
}

#[cfg(test)]
mod tests;
