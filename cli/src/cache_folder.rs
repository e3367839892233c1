//! A folder of small files that nobody but the user can write to.

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, renameat, unlinkat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Most files. At that many all are removed: they are only there to save time.
pub(super) const MAX_FILES: usize = 1024;

/// A folder that was found to be the user's alone. Files are reached through its descriptor, wherever
/// its path leads meanwhile.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// The folder in the user's cache; `None` if there is none, or others can write to it.
    pub(super) fn of_user() -> Option<Folder> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let absolute = |path: PathBuf| path.is_absolute().then_some(path);
        let in_home = || absolute(variable("HOME")?).map(|home| home.join(".cache"));
        let caches = variable("XDG_CACHE_HOME").and_then(absolute).or_else(in_home)?;
        Folder::below(&caches)
    }

    /// The folder in the user's folder of caches, `caches`. What is missing is made, if the place is
    /// the user's.
    pub(super) fn below(caches: &Path) -> Option<Folder> {
        let name = caches.file_name()?;
        let parent = openat(CWD, caches.parent()?, FOLDER, Mode::empty()).ok()?;
        // Links to a folder of caches elsewhere are common.
        let caches = open_or_make(&parent, name, FOLDER)?;
        let ours = open_or_make(&caches, "wfaas".as_ref(), FOLDER | OFlags::NOFOLLOW)?;
        is_private(&ours)?;
        let verified = open_or_make(&ours, "verified".as_ref(), FOLDER | OFlags::NOFOLLOW)?;
        is_private(&verified)?;
        Some(Folder(verified))
    }

    /// The first bytes of a file, one more than `most`; `None` if it is not there, or not the user's
    /// alone.
    pub(super) fn read(&self, name: &str, most: usize) -> Option<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&self.0, name, flags, Mode::empty()).ok()?;
        let stat = is_private(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return None;
        }
        let mut bytes = Vec::with_capacity(most + 1);
        File::from(file).take(most as u64 + 1).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Puts a file in its place, whole or not at all. That it cannot be written is no error.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) {
        let _ = self.try_write(name, bytes);
    }

    fn try_write(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        self.make_room()?;
        let temporary = format!(".{name}-{}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = openat(&self.0, &*temporary, flags | OFlags::CLOEXEC, mode)?;
        let written = File::from(file).write_all(bytes);
        let placed = written.and_then(|()| Ok(renameat(&self.0, &*temporary, &self.0, name)?));
        if placed.is_err() {
            let _ = unlinkat(&self.0, &*temporary, AtFlags::empty());
        }
        placed
    }

    /// Removes all files if there are as many as may be. Another process may do so at the same time.
    fn make_room(&self) -> std::io::Result<()> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            names.push(entry?.file_name().to_owned());
        }
        if names.len() >= MAX_FILES {
            for name in names {
                let _ = unlinkat(&self.0, name, AtFlags::empty());
            }
        }
        Ok(())
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
