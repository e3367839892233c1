//! Directories of the host.
//!
//! A path is resolved by the kernel: `openat2` with `RESOLVE_BENEATH` keeps it below its directory,
//! whoever swaps symlinks meanwhile. It covers opening only. So an operation on a name opens the name's
//! *parent* like this, and acts on the last name with a call that follows nothing; one that follows
//! opens the file itself with `O_PATH`, and acts on that descriptor.
//!
//! Calls with a slash at the end of the last name go to the kernel only where it looks up the parent
//! (`mkdir`, `rmdir`, `unlink`, `rename`, `symlink`): elsewhere the slash makes it follow a symlink,
//! unguarded.

mod directory;
mod file;
mod list;

use super::path::split;
use super::{Error, FileType, Result, SetTime, SetTimes, Stat, Timestamp};
use rustix::fs::{self, CWD, Mode, OFlags, ResolveFlags, Timespec, Timestamps};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A directory of the host.
#[derive(Debug)]
pub struct HostDirectory {
    descriptor: OwnedFd,
    read_only: bool,
    /// Held from seeking in the directory to having read its entries: the kernel keeps one position.
    position: Mutex<()>,
}

/// How often to look a path up again after the kernel could not tell whether it stays below its
/// directory, because somebody renamed a directory on the way.
const MAX_ATTEMPTS: u32 = 64;

/// Flags of every open. Without `O_NONBLOCK` a FIFO would hold the thread until its other end comes.
const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl HostDirectory {
    /// Opens a directory by its path on the host, as the root of a tree.
    ///
    /// # Errors
    /// If it cannot be opened as a directory to read.
    pub fn open(path: &Path, read_only: bool) -> std::io::Result<HostDirectory> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let descriptor = fs::openat(CWD, path, flags, Mode::empty())?;
        Ok(HostDirectory::new(descriptor, read_only))
    }

    fn new(descriptor: OwnedFd, read_only: bool) -> HostDirectory {
        HostDirectory { descriptor, read_only, position: Mutex::new(()) }
    }

    /// Opens what is at a path below this directory.
    fn beneath(&self, path: &str, flags: OFlags) -> Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let mode = if flags.contains(OFlags::CREATE) { Mode::from(0o666) } else { Mode::empty() };
        for _ in 0..MAX_ATTEMPTS {
            match fs::openat2(&self.descriptor, path, flags | OFlags::CLOEXEC, mode, resolve) {
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::XDEV) => return Err(Error::Escapes),
                result => return Ok(result?),
            }
        }
        Err(Error::Again)
    }

    /// A descriptor of what is at a path that is good for nothing but its name's business.
    fn located(&self, path: &str, follow: super::Follow) -> Result<OwnedFd> {
        let flags = match follow {
            super::Follow::Yes => OFlags::PATH,
            super::Follow::No => OFlags::PATH | OFlags::NOFOLLOW,
        };
        self.beneath(path, flags)
    }

    /// The directory that has the last name of a path in it, and that name.
    fn parent<'a>(&self, path: &'a str) -> Result<(Parent<'_>, &'a str)> {
        let split = split(path)?;
        if split.name() == ".." {
            // The kernel refuses to change it; whether it may be seen is asked here.
            self.located(path, super::Follow::No)?;
        }
        let parent = match split.parent {
            "" => Parent::Own(self.descriptor.as_fd()),
            parent => Parent::Opened(self.beneath(parent, OFlags::PATH | OFlags::DIRECTORY)?),
        };
        Ok((parent, split.last))
    }

    /// The same for a name that is going to change.
    fn changing<'a>(&self, path: &'a str) -> Result<(Parent<'_>, &'a str)> {
        let parent = self.parent(path)?;
        self.check_writable()?;
        Ok(parent)
    }

    fn check_writable(&self) -> Result<()> {
        if self.read_only { Err(Error::ReadOnly) } else { Ok(()) }
    }
}

/// The directory of a path's last name.
enum Parent<'a> {
    Own(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Parent::Own(descriptor) => descriptor.as_fd(),
            Parent::Opened(descriptor) => descriptor.as_fd(),
        }
    }
}

impl From<fs::FileType> for FileType {
    fn from(kind: fs::FileType) -> FileType {
        match kind {
            fs::FileType::RegularFile => FileType::Regular,
            fs::FileType::Directory => FileType::Directory,
            fs::FileType::Symlink => FileType::Symlink,
            fs::FileType::CharacterDevice => FileType::CharacterDevice,
            fs::FileType::BlockDevice => FileType::BlockDevice,
            fs::FileType::Socket => FileType::SocketStream,
            fs::FileType::Fifo | fs::FileType::Unknown => FileType::Unknown,
        }
    }
}

/// The path that the kernel knows of a descriptor, for messages.
fn path_of(descriptor: &OwnedFd) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", descriptor.as_raw_fd())).ok()
}

/// What the kernel says of a descriptor.
fn stat(descriptor: impl AsFd) -> Result<Stat> {
    let stat = fs::fstat(descriptor)?;
    let time = |seconds: i64, nanoseconds: u64| Timestamp::new(seconds, nanoseconds as u32);
    Ok(Stat {
        device: stat.st_dev,
        inode: stat.st_ino,
        kind: fs::FileType::from_raw_mode(stat.st_mode).into(),
        links: stat.st_nlink,
        size: stat.st_size.unsigned_abs(),
        accessed: time(stat.st_atime, stat.st_atime_nsec),
        modified: time(stat.st_mtime, stat.st_mtime_nsec),
        changed: time(stat.st_ctime, stat.st_ctime_nsec),
    })
}

/// Times as `utimensat(2)` gets them.
fn timestamps(times: SetTimes) -> Timestamps {
    let time = |time| match time {
        SetTime::Keep => Timespec { tv_sec: 0, tv_nsec: fs::UTIME_OMIT },
        SetTime::Now => Timespec { tv_sec: 0, tv_nsec: fs::UTIME_NOW },
        SetTime::To(Timestamp(since)) => Timespec {
            tv_sec: (since / 1_000_000_000) as i64,
            tv_nsec: (since % 1_000_000_000) as i64,
        },
    };
    Timestamps { last_access: time(times.accessed), last_modification: time(times.modified) }
}
