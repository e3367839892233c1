//! Files that are either there as a whole, or not at all.

use super::StoreError;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A new file in `dir`, removed when dropped.
pub(super) fn temporary(dir: &Path) -> Result<NamedTempFile, StoreError> {
    NamedTempFile::new_in(dir).map_err(StoreError::at(dir))
}

/// A new file in `dir` with these bytes, on disk.
pub(super) fn write_temporary(dir: &Path, bytes: &[u8]) -> Result<NamedTempFile, StoreError> {
    let mut file = temporary(dir)?;
    let written = file.write_all(bytes).and_then(|()| file.as_file().sync_all());
    written.map_err(StoreError::at(file.path()))?;
    Ok(file)
}

/// Moves a file whose content is on disk to `path`, in the place of what is there.
pub(super) fn put(file: NamedTempFile, path: &Path) -> Result<(), StoreError> {
    file.persist(path).map_err(|error| StoreError::at(path)(error.error))?;
    sync_directory_of(path)
}

/// Removes a file; whether it was there.
pub(super) fn remove(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => sync_directory_of(path).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::at(path)(error)),
    }
}

/// Makes renames and removals in the directory last.
fn sync_directory_of(path: &Path) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(StoreError::at(dir))
}

/// The paths of the files in a directory, sorted.
pub(super) fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(dir).map_err(StoreError::at(dir))?;
    let paths: io::Result<Vec<PathBuf>> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(StoreError::at(dir))?;
    paths.sort();
    Ok(paths)
}
