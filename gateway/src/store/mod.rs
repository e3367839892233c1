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
mod index;
mod layout;

pub(crate) use entry::Entry;
pub(crate) use layout::Layout;

use index::{Before, Index};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
use wfaas_function::FunctionName;
use wfaas_vm::Fault;

/// A directory of deployed functions.
#[derive(Debug)]
pub(crate) struct Store {
    layout: Layout,
    /// Locked as long as it is open, and by the kernel's hand unlocked when the process dies.
    _lock: File,
    index: Index,
}

/// A stored function, or the reason why its file cannot be read.
pub(crate) type Stored = (FunctionName, Result<Entry, StoreError>);

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
    /// A change that was made, and may not last.
    #[error(
        "the store: {path} was changed, but the change may be lost if the machine loses power: \
         {source}; make it again"
    )]
    Unsynced {
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

    /// Whether the change was made, and may not last.
    pub(crate) fn is_unsynced(&self) -> bool {
        matches!(self, StoreError::Unsynced { .. })
    }

    /// The side to blame, which is never the module's.
    pub(crate) fn fault(&self) -> Fault {
        match self {
            StoreError::Full { .. } => Fault::Exhausted,
            StoreError::Io { source, .. } => Fault::of_os(source),
            StoreError::Unsynced { .. } | StoreError::InUse(_) | StoreError::Damaged { .. } => {
                Fault::Host
            }
        }
    }

    /// Turns an error of the last step into one of a change that has been made.
    fn unsynced(self) -> StoreError {
        match self {
            StoreError::Io { path, source } | StoreError::Full { path, source } => {
                StoreError::Unsynced { path, source }
            }
            other => other,
        }
    }
}

impl Store {
    /// Opens a store, or makes one, and removes what interrupted deployments left behind. Its
    /// functions come from [`Store::read_all`].
    ///
    /// # Errors
    /// [`StoreError::InUse`] if another process has it open.
    pub(crate) fn open(dir: &Path) -> Result<Store, StoreError> {
        let layout = Layout::of(dir);
        for part in [layout.blobs(), layout.functions(), layout.tmp()] {
            files::make_directory(&part)?;
        }
        let path = layout.lock();
        // Whoever made the directories may have died before they were sure to last.
        files::sync_directory_of(&path)?;
        let lock = File::create(&path).map_err(StoreError::at(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(StoreError::InUse(dir.to_owned())),
            Err(error) => return Err(StoreError::at(&path)(error.into())),
        }
        for path in files::list(&layout.tmp())? {
            fs::remove_file(&path).map_err(StoreError::at(&path))?;
        }
        Ok(Store { layout, _lock: lock, index: Index::default() })
    }

    /// Where things lie.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Reads all functions, by name, and removes the artifacts that none of them uses. To be called
    /// once, before anything is changed.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(crate) fn read_all(&mut self) -> Result<Vec<Stored>, StoreError> {
        let mut all = Vec::new();
        for path in files::list(&self.layout.functions())? {
            let name = path.file_stem().and_then(|name| name.to_str()?.parse().ok());
            match name.filter(|name| self.layout.function(name) == path) {
                Some(name) => all.push((name, Entry::read(&path))),
                None => {
                    tracing::warn!("the store: {} is no function's file", path.display());
                    self.index.add_stranger();
                }
            }
        }
        for (name, entry) in &all {
            let artifact = entry.as_ref().ok().map(|entry| entry.artifact.clone());
            self.index.set(name.clone(), artifact);
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.collect_garbage();
        Ok(all)
    }

    /// Reads a function's file again.
    ///
    /// # Errors
    /// [`StoreError`] says what is wrong with it.
    pub(crate) fn read(&mut self, name: &FunctionName) -> Result<Entry, StoreError> {
        let entry = Entry::read(&self.layout.function(name))?;
        self.index.set(name.clone(), Some(entry.artifact.clone()));
        Ok(entry)
    }

    /// Makes `entry` the function of its name, with the staged file (synced by the caller) as its
    /// artifact.
    ///
    /// # Errors
    /// [`StoreError::Unsynced`] if the function is there, but may not last. After any other error,
    /// the function that was there before is untouched.
    pub(crate) fn commit(
        &mut self,
        staged: NamedTempFile,
        entry: &Entry,
    ) -> Result<(), StoreError> {
        let path = self.layout.function(&entry.name);
        if let Err(error) = self.place(staged, entry, &path) {
            self.drop_unused(Before::Artifact(entry.artifact.clone()));
            return Err(error);
        }
        let old = self.index.set(entry.name.clone(), Some(entry.artifact.clone()));
        files::sync_directory_of(&path).map_err(StoreError::unsynced)?;
        self.drop_unused(old);
        Ok(())
    }

    /// Puts the artifact into its place, and then the function's file.
    fn place(&self, staged: NamedTempFile, entry: &Entry, path: &Path) -> Result<(), StoreError> {
        let blob = self.layout.blob(&entry.artifact);
        files::put(staged, &blob)?;
        files::sync_directory_of(&blob)?;
        let staged = files::write_temporary(&self.layout.tmp(), &entry.to_json())?;
        files::put(staged, path)
    }

    /// Removes a function; whether there was one.
    ///
    /// # Errors
    /// [`StoreError::Unsynced`] if it is gone, but may come back. After any other error, it is there.
    pub(crate) fn remove(&mut self, name: &FunctionName) -> Result<bool, StoreError> {
        let path = self.layout.function(name);
        let was_there = files::remove(&path)?;
        let old = self.index.remove(name);
        if was_there {
            files::sync_directory_of(&path).map_err(StoreError::unsynced)?;
        }
        self.drop_unused(old);
        Ok(was_there)
    }

    /// Removes an artifact if no function uses it any more. That this fails is no reason to fail what
    /// was done before: the next start tries again.
    fn drop_unused(&self, before: Before) {
        let hash = match before {
            Before::Nothing => return,
            Before::Artifact(hash) => hash,
            // This may have been the last function with an unknown artifact.
            Before::Unknown => return self.collect_garbage(),
        };
        if self.index.is_complete()
            && !self.index.is_used(&hash)
            && let Err(error) = files::remove(&self.layout.blob(&hash))
        {
            tracing::warn!("cannot remove an unused artifact: {error}");
        }
    }

    /// Removes the artifacts that no function uses. Does nothing if a function's artifact is not
    /// known.
    fn collect_garbage(&self) {
        if !self.index.is_complete() {
            return;
        }
        let is_used = |path: &PathBuf| {
            let hash = path.file_stem().and_then(|hash| hash.to_str());
            hash.is_some_and(|hash| self.index.is_used(hash))
        };
        let blobs = files::list(&self.layout.blobs());
        let removed = blobs.and_then(|blobs| {
            let unused = blobs.iter().filter(|path| !is_used(path));
            unused.map(|path| files::remove(path)).collect::<Result<Vec<_>, _>>()
        });
        match removed {
            Ok(removed) if removed.is_empty() => {}
            Ok(removed) => {
                tracing::info!("removed {} artifacts that no function uses", removed.len())
            }
            Err(error) => tracing::warn!("cannot remove unused artifacts: {error}"),
        }
    }
}

#[cfg(test)]
mod tests;
