//! Folders of files in the user's cache, `$XDG_CACHE_HOME/wfaas` or `~/.cache/wfaas`, that nobody but
//! the user can write to.

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
    fstat, futimens, mkdirat, openat, renameat, statat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A folder that was found to be the user's alone. Files are reached through its descriptor, wherever
/// its path leads meanwhile.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

/// A file of a folder.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: CString,
    pub(crate) bytes: u64,
    /// When it was written or [used](Folder::read_used) last: seconds and nanoseconds.
    pub(crate) used: (i64, i64),
}

/// The path of the folder `name` in the user's cache; `None` if the environment names no cache.
pub(crate) fn path_of(name: &str) -> Option<PathBuf> {
    Some(caches()?.join(OURS).join(name))
}

/// The folder of all programs' caches.
fn caches() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let in_home = || absolute(variable("HOME")?).map(|home| home.join(".cache"));
    variable("XDG_CACHE_HOME").and_then(absolute).or_else(in_home)
}

/// The folder of wfaas there.
const OURS: &str = "wfaas";

impl Folder {
    /// The folder `name` in the user's cache; `None` if there is none, or others can write to it.
    pub(crate) fn of_user(name: &str) -> Option<Folder> {
        Folder::below(&caches()?, name)
    }

    /// The folder `name` in the user's folder of caches, `caches`. Missing folders are made, if the
    /// place is the user's.
    pub(crate) fn below(caches: &Path, folder: &str) -> Option<Folder> {
        let name = caches.file_name()?;
        let parent = openat(CWD, caches.parent()?, FOLDER, Mode::empty()).ok()?;
        // Links to a folder of caches elsewhere are common.
        let caches = open_or_make(&parent, name, FOLDER)?;
        let ours = open_or_make(&caches, OURS.as_ref(), FOLDER | OFlags::NOFOLLOW)?;
        is_private(&ours)?;
        let folder = open_or_make(&ours, folder.as_ref(), FOLDER | OFlags::NOFOLLOW)?;
        is_private(&folder)?;
        Some(Folder(folder))
    }

    /// A file and its size in bytes; `None` if it is not there, or not the user's alone.
    fn open(&self, name: &str) -> Option<(File, u64)> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, Mode::empty()).ok()?;
        let stat = is_private(&file)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        is_file.then_some((File::from(file), u64::try_from(stat.st_size).ok()?))
    }

    /// The first bytes of a file, one more than `most`; `None` if it is not there, or not the user's
    /// alone.
    pub(crate) fn read(&self, name: &str, most: usize) -> Option<Vec<u8>> {
        let (file, _) = self.open(name)?;
        let mut bytes = Vec::with_capacity(most + 1);
        file.take(most as u64 + 1).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// A whole file, which counts as used now; `None` if it is not there, not the user's alone, or
    /// larger than `most` bytes.
    pub(crate) fn read_used(&self, name: &str, most: u64) -> Option<Vec<u8>> {
        let (file, size) = self.open(name)?;
        if size > most {
            return None;
        }
        let last_modification = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let _ = futimens(&file, &Timestamps { last_access, last_modification });
        let mut bytes = Vec::with_capacity(size as usize);
        file.take(size).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Puts a file in its place, whole or not at all. That it cannot be written is no error.
    pub(crate) fn write(&self, name: &str, parts: &[&[u8]]) {
        let _ = self.try_write(name, parts);
    }

    fn try_write(&self, name: &str, parts: &[&[u8]]) -> std::io::Result<()> {
        let temporary = format!(".{name}-{}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file: File = openat(&self.0, &*temporary, flags | OFlags::CLOEXEC, mode)?.into();
        let written = parts.iter().try_for_each(|part| file.write_all(part));
        let placed = written.and_then(|()| Ok(renameat(&self.0, &*temporary, &self.0, name)?));
        if placed.is_err() {
            let _ = unlinkat(&self.0, &*temporary, AtFlags::empty());
        }
        placed
    }

    /// The files that are there, unfinished ones included. Another process may change that meanwhile.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let Ok(files) = Dir::read_from(&self.0) else { return Vec::new() };
        let entry = |file: rustix::io::Result<rustix::fs::DirEntry>| {
            let name = file.ok()?.file_name().to_owned();
            let stat = statat(&self.0, &name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
            let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            let used = (stat.st_mtime, stat.st_mtime_nsec as i64);
            is_file.then_some(Entry { name, bytes: stat.st_size as u64, used })
        };
        files.filter_map(entry).collect()
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, name: &CStr) {
        let _ = unlinkat(&self.0, name, AtFlags::empty());
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A folder in another one, made for the user alone if it is missing and the other one is the user's:
/// nothing is left in the home of somebody else.
fn open_or_make(parent: &OwnedFd, name: &OsStr, flags: OFlags) -> Option<OwnedFd> {
    match openat(parent, name, flags, Mode::empty()) {
        Err(Errno::NOENT) if is_own(&fstat(parent).ok()?) => {
            match mkdirat(parent, name, Mode::RWXU) {
                Ok(()) | Err(Errno::EXIST) => openat(parent, name, flags, Mode::empty()).ok(),
                Err(_) => None,
            }
        }
        opened => opened.ok(),
    }
}

fn is_own(stat: &Stat) -> bool {
    stat.st_uid == rustix::process::geteuid().as_raw()
}

/// The state of a file that is the user's, and that nobody else can write to.
fn is_private(file: impl AsFd) -> Option<Stat> {
    let stat = fstat(file).ok()?;
    let others = Mode::WGRP | Mode::WOTH;
    (is_own(&stat) && !Mode::from_raw_mode(stat.st_mode).intersects(others)).then_some(stat)
}
