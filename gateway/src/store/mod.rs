//! Deployed functions on disk.
//!
//! ```text
//!   lock                    held by the one gateway that uses the store
//!   blobs/HASH.faas         artifacts, by content hash; never changed once they are there
//!   functions/NAME.json     a function: its configuration, and the hash of its artifact
//!   tmp/                    files being written; emptied at start
//! ```
//!
//! A deployment writes the blob, then the function's file, each to `tmp/` first: synced, renamed
//! to its place, and the directory synced. The rename of the function's file is the moment of the
//! deployment: whenever the process or the machine dies, the old or the new function is there.

mod entry;
mod files;

pub(crate) use entry::Entry;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use wfaas_function::FunctionName;

/// A directory of deployed functions.
#[derive(Debug)]
pub(crate) struct Store {
    dir: PathBuf,
    /// Locked as long as it is open, and by the kernel's hand unlocked when the process dies.
    _lock: File,
}

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk, or a quota, is full.
    #[error("the store's disk is full: {path}: {source}; free some space and deploy again")]
    Full {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Another gateway uses the directory.
    #[error("the store {0} is in use by another server")]
    InUse(PathBuf),
    /// Anything else about a file.
    #[error("the store: {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A function's file that does not hold what it should.
    #[error("the store: {path} is damaged: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl StoreError {
    /// Turns the error of an operation on `path` into one of the store.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::Full { path, source }
            }
            _ => StoreError::Io { path, source },
        }
    }
}

const BLOBS: &str = "blobs";
const FUNCTIONS: &str = "functions";
const TMP: &str = "tmp";

impl Store {
    /// Opens a store, or makes one, and removes what interrupted deployments left behind.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process has it open.
    pub(crate) fn open(dir: &Path) -> Result<Store, StoreError> {
        for part in [BLOBS, FUNCTIONS, TMP] {
            let path = dir.join(part);
            fs::create_dir_all(&path).map_err(StoreError::at(&path))?;
        }
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(StoreError::at(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(StoreError::InUse(dir.to_owned())),
            Err(error) => return Err(StoreError::at(&path)(error.into())),
        }
        let store = Store { dir: dir.to_owned(), _lock: lock };
        for path in files::list(&store.dir.join(TMP))? {
            fs::remove_file(&path).map_err(StoreError::at(&path))?;
        }
        Ok(store)
    }

    /// A new file in the store for an artifact that is being received. Gone when dropped.
    pub(crate) fn stage(&self) -> Result<NamedTempFile, StoreError> {
        files::temporary(&self.dir.join(TMP))
    }

    /// Makes `entry` the function of its name, with the staged file (synced by the caller) as its
    /// artifact.
    ///
    /// # Errors
    /// [`StoreError`]; what was deployed under the name before is untouched then.
    pub(crate) fn commit(&self, staged: NamedTempFile, entry: &Entry) -> Result<(), StoreError> {
        files::put(staged, &self.blob(&entry.artifact))?;
        let json = entry.to_json();
        let staged = files::write_temporary(&self.dir.join(TMP), &json)?;
        files::put(staged, &self.function(&entry.name))
    }

    /// Removes a function; whether there was one.
    pub(crate) fn remove(&self, name: &FunctionName) -> Result<bool, StoreError> {
        files::remove(&self.function(name))
    }

    /// The functions, or what is wrong with their files.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) fn entries(&self) -> Result<Vec<Result<Entry, StoreError>>, StoreError> {
        let paths = files::list(&self.dir.join(FUNCTIONS))?;
        Ok(paths.iter().map(|path| Entry::read(path)).collect())
    }

    /// Where the artifact with this content hash is.
    pub(crate) fn blob(&self, hash: &str) -> PathBuf {
        self.dir.join(BLOBS).join(format!("{hash}.faas"))
    }

    fn function(&self, name: &FunctionName) -> PathBuf {
        self.dir.join(FUNCTIONS).join(format!("{name}.json"))
    }

    /// Removes the artifacts that no function uses; how many. Does nothing if a function's file
    /// cannot be read, since its artifact is then unknown.
    pub(crate) fn collect_garbage(&self) -> Result<usize, StoreError> {
        let mut used = HashSet::new();
        for entry in self.entries()? {
            match entry {
                Ok(entry) => used.insert(self.blob(&entry.artifact)),
                Err(_) => return Ok(0),
            };
        }
        let mut removed = 0;
        for path in files::list(&self.dir.join(BLOBS))? {
            if !used.contains(&path) {
                removed += usize::from(files::remove(&path)?);
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests;
