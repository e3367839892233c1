//! Files: trees that a guest may reach, whatever keeps them.
//!
//! * a [`Directory`] is an open directory of a tree. Every path begins at one, and none leads out of
//!   it: `..` above it, absolute paths and symlinks to either are [`Error::Escapes`];
//! * a [`File`] is an open regular file. It has no position: that is the descriptor's;
//! * both are shared handles (`Arc`), and one that is open stays usable after its name is gone;
//! * [`Error`] says why an operation failed, and has one conversion to the guest's error numbers. One of
//!   them, [`Error::Unfinished`], asks for the same operation again: no call takes long;
//! * a backend keeps a tree: [`HostDirectory`] does so in a directory of the host, [`BundleDirectory`]
//!   in an artifact, [`MemoryDirectory`] in memory, by itself or over another tree;
//! * [`Files`] says which directories a guest finds open when it starts, and under which names.
//!
//! Rights, descriptors, positions and the guest's memory are the business of the functions that call
//! (`preview1/`). A backend gets paths as text that is no longer than [`MAX_PATH`] and has no NUL; all
//! else about them it checks itself, see [`path`].

mod bundle;
mod device;
mod error;
mod host;
mod memory;
mod opened;
pub mod path;
mod reopened;
mod stat;
mod walk;

pub use bundle::BundleDirectory;
pub use error::Error;
pub use host::HostDirectory;
pub use memory::{MemoryDirectory, TreeLimits};
pub use opened::{BlockingPool, Files, FilesError, Job, Preopen};
pub use path::MAX_PATH;
pub(crate) use reopened::Reopened;
pub use stat::{FileType, SetTime, SetTimes, Stat, Timestamp};

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Result of an operation on files.
pub type Result<T> = std::result::Result<T, Error>;

/// Whether a symlink at the last name of a path is followed. Those before it always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// The operation is on the file that the symlink leads to.
    Yes,
    /// The operation is on the symlink.
    No,
}

/// How to open what is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenOptions {
    /// To read.
    pub read: bool,
    /// To write. A directory is [`Error::IsDirectory`] then.
    pub write: bool,
    /// Makes a regular file if there is nothing.
    pub create: bool,
    /// With `create`: anything that is there, a symlink too, is [`Error::Exists`].
    pub exclusive: bool,
    /// Makes a regular file empty.
    pub truncate: bool,
    /// Anything but a directory is [`Error::NotDirectory`]; with `create` the options are
    /// [`Error::Invalid`].
    pub directory: bool,
    /// With [`Follow::No`] a symlink is [`Error::Loop`].
    pub follow: Follow,
}

impl OpenOptions {
    /// To read whatever is there, symlinks followed.
    pub const READ: OpenOptions = OpenOptions {
        read: true,
        write: false,
        create: false,
        exclusive: false,
        truncate: false,
        directory: false,
        follow: Follow::Yes,
    };
}

/// What was opened.
#[derive(Debug, Clone)]
pub enum Node {
    /// A regular file.
    File(Arc<dyn File>),
    /// A directory.
    Directory(Arc<dyn Directory>),
}

/// Where a write goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteAt {
    /// So many bytes from the beginning. A gap before it reads as zeros.
    Offset(u64),
    /// Behind the last byte, wherever that is by then.
    End,
}

/// What has to be on the disk before a write or a sync returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Nothing.
    None,
    /// The bytes, and what it takes to read them back.
    Data,
    /// All that is known of the file.
    File,
}

/// How much a write took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Bytes. They may be fewer than were given, but not none of some.
    pub bytes: usize,
    /// The offset behind the last of them.
    pub end: u64,
}

/// How a range of a file is going to be used (`posix_fadvise`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Nothing is known.
    Normal,
    /// From lower to higher offsets.
    Sequential,
    /// In any order.
    Random,
    /// Soon.
    WillNeed,
    /// Not soon.
    DontNeed,
    /// Once.
    NoReuse,
}

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name, never `.` or `..`.
    pub name: String,
    /// Number of the file, as in [`Stat`]; 0 if it takes more work to know it.
    pub inode: u64,
    /// Type of the file; a symlink's own.
    pub kind: FileType,
    /// Cookie of the entry that comes after it.
    pub next: u64,
}

/// An open regular file.
pub trait File: Any + fmt::Debug + Send + Sync {
    /// Whether operations ask the kernel. They may block then, are done on a [`BlockingPool`], and get
    /// buffers of the host. A file that answers from memory gets the guest's own memory.
    fn blocks(&self) -> bool;

    /// Whether dropping the last handle may block, or take long: it is done on a [`BlockingPool`] then.
    fn closes_slowly(&self) -> bool {
        self.blocks()
    }

    /// Reads from `offset` on; how many bytes. None is the end, or a `target` of none.
    ///
    /// # Errors
    /// [`Error::BadDescriptor`] if it is not open to read.
    fn read(&self, target: &mut [u8], offset: u64) -> Result<usize>;

    /// Writes.
    ///
    /// # Errors
    /// [`Error::BadDescriptor`] if it is not open to write; [`Error::NoSpace`], [`Error::TooBig`].
    fn write(&self, bytes: &[u8], at: WriteAt, durability: Durability) -> Result<Written>;

    /// Type, size, times.
    ///
    /// # Errors
    /// Of the host.
    fn stat(&self) -> Result<Stat>;

    /// Cuts it, or fills it up with zeros.
    ///
    /// # Errors
    /// [`Error::Invalid`] if it is not open to write; [`Error::NoSpace`], [`Error::TooBig`].
    fn set_size(&self, size: u64) -> Result<()>;

    /// Sets times.
    ///
    /// # Errors
    /// [`Error::ReadOnly`].
    fn set_times(&self, times: SetTimes) -> Result<()>;

    /// Sees to it that there is room for bytes from `offset` on, which read as zeros if they are new; how
    /// many of `len`. `len` is not 0, nor is the answer: the caller goes on behind them.
    ///
    /// # Errors
    /// As [`File::write`], and [`Error::NotSupported`].
    fn allocate(&self, offset: u64, len: u64) -> Result<u64>;

    /// Takes note of a future use; 0 as `len` means up to the end.
    ///
    /// # Errors
    /// Of the host.
    fn advise(&self, _offset: u64, _len: u64, _advice: Advice) -> Result<()> {
        Ok(())
    }

    /// Its path on the host, for messages.
    fn host_path(&self) -> Option<PathBuf> {
        None
    }

    /// Waits until what was written is on the disk, if there is one.
    ///
    /// # Errors
    /// Of the host.
    fn sync(&self, _durability: Durability) -> Result<()> {
        Ok(())
    }
}

/// An open directory, where paths begin.
pub trait Directory: Any + fmt::Debug + Send + Sync {
    /// Whether operations ask the kernel, see [`File::blocks`].
    fn blocks(&self) -> bool;

    /// Whether dropping the last handle may block, or take long, see [`File::closes_slowly`].
    fn closes_slowly(&self) -> bool {
        self.blocks()
    }

    /// Opens what is at a path.
    ///
    /// # Errors
    /// See [`OpenOptions`]. [`Error::Access`] for anything but a regular file, a directory or a symlink.
    fn open(&self, path: &str, options: OpenOptions) -> Result<Node>;

    /// Type, size, times of this directory.
    ///
    /// # Errors
    /// Of the host.
    fn stat(&self) -> Result<Stat>;

    /// The same of what is at a path.
    ///
    /// # Errors
    /// [`Error::NotFound`] and those of paths.
    fn stat_at(&self, path: &str, follow: Follow) -> Result<Stat>;

    /// Sets times of this directory.
    ///
    /// # Errors
    /// [`Error::ReadOnly`].
    fn set_times(&self, times: SetTimes) -> Result<()>;

    /// The same of what is at a path.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::NotFound`] and those of paths.
    fn set_times_at(&self, path: &str, follow: Follow, times: SetTimes) -> Result<()>;

    /// Entries from `cookie` on, at most `most` (which is not 0); none at the end. The first one has the
    /// cookie 0. Cookies are less than 2^64 - 2, and stay good while other entries come and go: an entry
    /// that is there all the time is listed once.
    ///
    /// # Errors
    /// [`Error::Invalid`] if no entry has such a cookie and the backend notices.
    fn list(&self, cookie: u64, most: usize) -> Result<Vec<Entry>>;

    /// Makes a directory.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::ReadOnly`], [`Error::NoSpace`] and those of paths.
    fn create_directory(&self, path: &str) -> Result<()>;

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::NotDirectory`] and those of paths.
    fn remove_directory(&self, path: &str) -> Result<()>;

    /// Removes a name that is no directory's.
    ///
    /// # Errors
    /// [`Error::IsDirectory`] and those of paths.
    fn unlink(&self, path: &str) -> Result<()>;

    /// Renames `path` to `new_path` in `new`, and replaces what is there (`rename(2)`).
    ///
    /// # Errors
    /// [`Error::CrossDevice`] if `new` is of another tree.
    fn rename(&self, path: &str, new: &dyn Directory, new_path: &str) -> Result<()>;

    /// Gives the file at `path` another name (`linkat(2)`).
    ///
    /// # Errors
    /// [`Error::CrossDevice`] if `new` is of another tree; [`Error::NotPermitted`] for a directory.
    fn link(&self, path: &str, follow: Follow, new: &dyn Directory, new_path: &str) -> Result<()>;

    /// Makes a symlink at `path` to `target`.
    ///
    /// # Errors
    /// [`Error::Escapes`] if `target` is absolute: nobody could follow it.
    fn symlink(&self, target: &str, path: &str) -> Result<()>;

    /// Target of the symlink at a path.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none, but something else; [`Error::Escapes`] if it is absolute.
    fn read_link(&self, path: &str) -> Result<String>;

    /// Its path on the host, for messages.
    fn host_path(&self) -> Option<PathBuf> {
        None
    }

    /// Waits until changes of entries are on the disk, if there is one.
    ///
    /// # Errors
    /// Of the host.
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}
