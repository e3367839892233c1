//! Builds that were made before: the second build of a module is a look-up.
//!
//! An entry is all that [`wfaas_build::build`] gives, under a [`key`] of all that it is given and of this
//! program. The guest's initialisation is not run again: its image keeps the time and the random numbers
//! of the first build.
//!
//! ```text
//! $XDG_CACHE_HOME/wfaas/builds/KEY      (or ~/.cache/wfaas/builds)
//!      0    8  "faas\0bld"
//!      8   32  BLAKE3 of all that follows
//!     40   24  lengths of the three parts below in bytes; of the second, 2^64 - 1 if there is none
//!     64       artifact, debug file, report as JSON
//! ```
//!
//! Entries are together at most [`MOST_BYTES`]: those that were not used for longest go first. A damaged
//! one counts as none. The cache makes builds cheaper and is never needed: where it cannot be read or
//! written, or others could write to it, every build is made.

mod entry;
mod key;

use crate::cache_folder::{self, Entry, Folder};
use std::ffi::CString;
use std::path::PathBuf;
use wfaas_build::{Built, Options, Spec};

/// The folder in the user's cache.
const FOLDER: &str = "builds";

/// Most bytes of all entries.
const MOST_BYTES: u64 = 2 << 30;

/// The cache, and the place in it of one build.
pub(crate) struct Place {
    cache: Folder,
    key: String,
    most: u64,
}

impl Place {
    /// The place for the build of `module`; `None` if there is no cache.
    pub(crate) fn of(module: &[u8], spec: &Spec, options: &Options) -> Option<Place> {
        let program = key::program()?;
        let key = key::of(&program, module, spec, options);
        Some(Place { cache: Folder::of_user(FOLDER)?, key, most: MOST_BYTES })
    }

    /// The build, if it was made before.
    pub(crate) fn get(&self) -> Option<Built> {
        let bytes = self.cache.read_used(&self.key, self.most)?;
        let built = entry::parse(bytes);
        if built.is_none() {
            // It would be read in vain each time.
            self.cache.remove(&CString::new(&*self.key).ok()?);
        }
        built
    }

    /// Keeps the build, and makes room for it.
    pub(crate) fn put(&self, built: &Built) {
        let written = entry::Written::of(built);
        let bytes = written.len();
        // One that takes half of the cache costs too many others.
        if bytes <= self.most / 2 {
            evict(&self.cache, self.most - bytes);
            self.cache.write(&self.key, &written.parts());
        }
    }
}

/// Removes entries until the rest has at most so many bytes.
fn evict(cache: &Folder, most: u64) {
    let mut entries = cache.entries();
    let mut total = bytes_of(&entries);
    entries.sort_by_key(|entry| entry.used);
    for entry in entries {
        if total <= most {
            return;
        }
        cache.remove(&entry.name);
        total = total.saturating_sub(entry.bytes);
    }
}

fn bytes_of(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| entry.bytes).sum()
}

/// Numbers about the cache.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Summary {
    /// The folder; none if the environment names none.
    pub(crate) folder: Option<PathBuf>,
    /// Whether it can be used.
    pub(crate) usable: bool,
    pub(crate) entries: usize,
    pub(crate) bytes: u64,
    pub(crate) most_bytes: u64,
}

/// The cache as it is; without entries if `clear`.
pub(crate) fn summary(clear: bool) -> Summary {
    let cache = Folder::of_user(FOLDER);
    if let Some(cache) = cache.as_ref().filter(|_| clear) {
        evict(cache, 0);
    }
    let entries = cache.as_ref().map(Folder::entries).unwrap_or_default();
    Summary {
        folder: cache_folder::path_of(FOLDER),
        usable: cache.is_some(),
        entries: entries.len(),
        bytes: bytes_of(&entries),
        most_bytes: MOST_BYTES,
    }
}

#[cfg(test)]
mod tests;
