//! Rights of descriptors: a bit for each thing a guest may do with one.
//!
//! A descriptor has rights, and those that descriptors opened through it inherit. A guest can give them
//! up, and never gets one back.

use super::errno::Errno;
use std::ops::BitOr;

/// A set of rights, as preview1 numbers them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Rights(u64);

macro_rules! rights {
    ($($name:ident = $bit:literal;)*) => {
        impl Rights {
            $(pub(crate) const $name: Rights = Rights(1 << $bit);)*
        }
    };
}

rights! {
    FD_DATASYNC = 0;
    FD_READ = 1;
    FD_SEEK = 2;
    FD_FDSTAT_SET_FLAGS = 3;
    FD_SYNC = 4;
    FD_TELL = 5;
    FD_WRITE = 6;
    FD_ADVISE = 7;
    FD_ALLOCATE = 8;
    PATH_CREATE_DIRECTORY = 9;
    PATH_CREATE_FILE = 10;
    PATH_LINK_SOURCE = 11;
    PATH_LINK_TARGET = 12;
    PATH_OPEN = 13;
    FD_READDIR = 14;
    PATH_READLINK = 15;
    PATH_RENAME_SOURCE = 16;
    PATH_RENAME_TARGET = 17;
    PATH_FILESTAT_GET = 18;
    PATH_FILESTAT_SET_SIZE = 19;
    PATH_FILESTAT_SET_TIMES = 20;
    FD_FILESTAT_GET = 21;
    FD_FILESTAT_SET_SIZE = 22;
    FD_FILESTAT_SET_TIMES = 23;
    PATH_SYMLINK = 24;
    PATH_REMOVE_DIRECTORY = 25;
    PATH_UNLINK_FILE = 26;
    POLL_FD_READWRITE = 27;
    SOCK_SHUTDOWN = 28;
    SOCK_ACCEPT = 29;
}

impl Rights {
    /// None.
    pub(crate) const NONE: Rights = Rights(0);

    /// All that mean anything for a stream to read.
    pub(crate) const INPUT: Rights = Rights::FD_READ.or(Rights::STREAM);

    /// All that mean anything for a stream to write.
    pub(crate) const OUTPUT: Rights = Rights::FD_WRITE.or(Rights::STREAM);

    const STREAM: Rights =
        Rights::FD_FDSTAT_SET_FLAGS.or(Rights::FD_FILESTAT_GET).or(Rights::POLL_FD_READWRITE);

    /// All that mean anything for a listener.
    pub(crate) const LISTENER: Rights = Rights::SOCK_ACCEPT.or(Rights::STREAM);

    /// All that mean anything for a connection.
    pub(crate) const CONNECTION: Rights =
        Rights::INPUT.or(Rights::OUTPUT).or(Rights::SOCK_SHUTDOWN);

    /// All that mean anything for a regular file.
    pub(crate) const FILE: Rights = Rights::INPUT
        .or(Rights::OUTPUT)
        .or(Rights::FD_DATASYNC)
        .or(Rights::FD_SEEK)
        .or(Rights::FD_SYNC)
        .or(Rights::FD_TELL)
        .or(Rights::FD_ADVISE)
        .or(Rights::FD_ALLOCATE)
        .or(Rights::FD_FILESTAT_SET_SIZE)
        .or(Rights::FD_FILESTAT_SET_TIMES);

    /// All that mean anything for a directory.
    pub(crate) const DIRECTORY: Rights = Rights::FD_FDSTAT_SET_FLAGS
        .or(Rights::FD_SYNC)
        .or(Rights::FD_DATASYNC)
        .or(Rights::FD_READDIR)
        .or(Rights::FD_FILESTAT_GET)
        .or(Rights::FD_FILESTAT_SET_TIMES)
        .or(Rights::PATH_CREATE_DIRECTORY)
        .or(Rights::PATH_CREATE_FILE)
        .or(Rights::PATH_LINK_SOURCE)
        .or(Rights::PATH_LINK_TARGET)
        .or(Rights::PATH_OPEN)
        .or(Rights::PATH_READLINK)
        .or(Rights::PATH_RENAME_SOURCE)
        .or(Rights::PATH_RENAME_TARGET)
        .or(Rights::PATH_FILESTAT_GET)
        .or(Rights::PATH_FILESTAT_SET_SIZE)
        .or(Rights::PATH_FILESTAT_SET_TIMES)
        .or(Rights::PATH_SYMLINK)
        .or(Rights::PATH_REMOVE_DIRECTORY)
        .or(Rights::PATH_UNLINK_FILE);

    /// Those that only a file open to write can have.
    pub(crate) const WRITING: Rights =
        Rights::FD_WRITE.or(Rights::FD_ALLOCATE).or(Rights::FD_FILESTAT_SET_SIZE);

    const fn or(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    /// Those of both sets.
    pub(crate) fn and(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }

    /// Whether all of `others` are among them.
    pub(crate) fn has(self, others: Rights) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether one of `others` is among them.
    pub(crate) fn has_any(self, others: Rights) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether all of `others` are among them.
    ///
    /// # Errors
    /// [`Errno::Notcapable`] if not.
    pub(crate) fn check(self, others: Rights) -> Result<(), Errno> {
        if self.has(others) { Ok(()) } else { Err(Errno::Notcapable) }
    }

    /// The bits.
    pub(crate) fn bits(self) -> u64 {
        self.0
    }
}

impl From<u64> for Rights {
    fn from(bits: u64) -> Rights {
        Rights(bits)
    }
}

impl BitOr for Rights {
    type Output = Rights;

    fn bitor(self, other: Rights) -> Rights {
        self.or(other)
    }
}
