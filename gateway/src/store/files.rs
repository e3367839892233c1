//! Files that are either there as a whole, or not at all. Everything that the store does on the disk
//! is one of these steps, so that tests can have each of them fail.

use super::StoreError;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A new file in `dir`, removed when dropped.
pub(super) fn temporary(dir: &Path) -> Result<NamedTempFile, StoreError> {
    step().and_then(|()| NamedTempFile::new_in(dir)).map_err(StoreError::at(dir))
}

/// A new file in `dir` with these bytes, on disk.
pub(super) fn write_temporary(dir: &Path, bytes: &[u8]) -> Result<NamedTempFile, StoreError> {
    let mut file = temporary(dir)?;
    let written = step().and_then(|()| file.write_all(bytes));
    let synced = written.and_then(|()| step()).and_then(|()| file.as_file().sync_all());
    synced.map_err(StoreError::at(file.path()))?;
    Ok(file)
}

/// Moves a file whose content is on disk to `path`, in the place of what is there. It lasts once
/// [`sync_directory_of`] the path has succeeded.
pub(super) fn put(file: NamedTempFile, path: &Path) -> Result<(), StoreError> {
    step().map_err(StoreError::at(path))?;
    file.persist(path).map(drop).map_err(|error| StoreError::at(path)(error.error))
}

/// Removes a file; whether it was there. That lasts once [`sync_directory_of`] the path has succeeded.
pub(super) fn remove(path: &Path) -> Result<bool, StoreError> {
    match step().and_then(|()| fs::remove_file(path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::at(path)(error)),
    }
}

/// Makes renames and removals in the directory of `path` last.
pub(super) fn sync_directory_of(path: &Path) -> Result<(), StoreError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = step().and_then(|()| File::open(dir)).and_then(|dir| dir.sync_all());
    synced.map_err(StoreError::at(dir))
}

/// Makes a directory that lasts, with those above it.
pub(super) fn make_directory(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_directory(parent)?;
    }
    step().and_then(|()| fs::create_dir_all(path)).map_err(StoreError::at(path))?;
    sync_directory_of(path)
}

/// The first `limit` bytes of a file.
pub(super) fn read(path: &Path, limit: u64) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let read = step()
        .and_then(|()| File::open(path))
        .and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(StoreError::at(path))
}

/// The paths of the files in a directory, sorted.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = step().and_then(|()| fs::read_dir(dir)).map_err(StoreError::at(dir))?;
    let paths: io::Result<Vec<PathBuf>> =
        entries.map(|entry| step().and(entry).map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(StoreError::at(dir))?;
    paths.sort();
    Ok(paths)
}

/// One thing to be done by the disk.
#[cfg(not(test))]
#[inline]
fn step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(super) use steps::step;

/// A disk that can fail.
#[cfg(test)]
pub(super) mod steps {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        static DONE: Cell<usize> = const { Cell::new(0) };
        static MOST: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    /// Runs `work` on a disk that does `most` steps, and fails from then on; how many it was asked for.
    pub(in crate::store) fn at_most<R>(most: usize, work: impl FnOnce() -> R) -> (R, usize) {
        DONE.set(0);
        MOST.set(most);
        let result = work();
        MOST.set(usize::MAX);
        (result, DONE.get())
    }

    pub(in crate::store) fn step() -> io::Result<()> {
        DONE.set(DONE.get() + 1);
        if DONE.get() > MOST.get() { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }
}
