//! Entries of a directory of the host.
//!
//! A cookie is the kernel's `d_off`, so that a listing goes on where it was, whatever came or went.

use crate::files::{Entry, Result};
use rustix::fs::{self, RawDir, RawDirEntry, SeekFrom};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

/// Bytes of entries that are asked for at once: some hundred.
const BUFFER: usize = 16 << 10;

/// Entries from a cookie on. The caller keeps others from moving the descriptor's position.
pub(super) fn list(descriptor: BorrowedFd<'_>, cookie: u64, most: usize) -> Result<Vec<Entry>> {
    fs::seek(descriptor, SeekFrom::Start(cookie))?;
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER];
    let mut entries = RawDir::new(descriptor, &mut buffer);
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        // A directory that was removed while it is open has no entries, as for `readdir(3)`.
        if matches!(entry, Err(Errno::NOENT)) {
            break;
        }
        found.extend(named(&entry?));
        let is_enough = found.len() == most || !found.is_empty() && entries.is_buffer_empty();
        if is_enough {
            break;
        }
    }
    Ok(found)
}

/// The entry, if a guest could name it: not `.`, `..`, or a name that is not UTF-8.
fn named(entry: &RawDirEntry<'_>) -> Option<Entry> {
    let name = entry.file_name().to_str().ok().filter(|name| !matches!(*name, "." | ".."))?;
    Some(Entry {
        name: name.to_owned(),
        inode: entry.ino(),
        kind: entry.file_type().into(),
        next: entry.next_entry_cookie(),
    })
}
