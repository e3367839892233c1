//! Why an operation on files failed.

use rustix::io::Errno;

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $text:literal $(, $($errno:ident)|+)?;)*) => {
        /// Why an operation on files failed. Names and meanings are those of POSIX.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        pub enum Error {
            $($(#[$doc])* #[error($text)] $name,)*
        }

        impl From<Errno> for Error {
            fn from(errno: Errno) -> Error {
                match errno {
                    $($($(Errno::$errno)|+ => Error::$name,)?)*
                    _ => Error::Io,
                }
            }
        }
    };
}

errors! {
    /// The host refuses, or the file is of a type that is not opened.
    Access = "permission denied", ACCESS;
    /// Not now.
    Again = "try again", AGAIN;
    /// Not open for this.
    BadDescriptor = "not open for this", BADF;
    /// In use.
    Busy = "resource busy", BUSY;
    /// Two trees are involved.
    CrossDevice = "cross-device link", XDEV;
    /// The file is not what it was when its program was captured. No guest sees this error: it is ended.
    Changed = "the file is not what it was when the program was captured";
    /// The path leads out of the directory that it begins at.
    Escapes = "the path leads out of its directory";
    /// There is something.
    Exists = "file exists", EXIST;
    /// A name that is not UTF-8.
    IllegalName = "a name that is not UTF-8", ILSEQ;
    /// A signal came.
    Interrupted = "interrupted", INTR;
    /// An argument that makes no sense.
    Invalid = "invalid argument", INVAL;
    /// A device failed.
    Io = "input/output error", IO;
    /// A directory where there must be none.
    IsDirectory = "is a directory", ISDIR;
    /// Too many symlinks, or one where there must be none.
    Loop = "too many levels of symbolic links", LOOP;
    /// A path or a name is too long.
    NameTooLong = "file name too long", NAMETOOLONG;
    /// Nothing there to open it with, as the other end of a FIFO.
    NoDevice = "no such device or address", NXIO | NODEV;
    /// No memory.
    NoMemory = "out of memory", NOMEM;
    /// No space left.
    NoSpace = "no space left", NOSPC;
    /// A directory is not empty.
    NotEmpty = "directory not empty", NOTEMPTY;
    /// Nothing of this name.
    NotFound = "no such file or directory", NOENT;
    /// Not a directory.
    NotDirectory = "not a directory", NOTDIR;
    /// Nobody may.
    NotPermitted = "operation not permitted", PERM;
    /// The backend cannot do it.
    NotSupported = "not supported", OPNOTSUPP | NOSYS;
    /// A number that is too large for its type.
    Overflow = "value too large", OVERFLOW;
    /// The other end of a pipe is closed.
    Pipe = "broken pipe", PIPE;
    /// The quota is used up.
    Quota = "disk quota exceeded", DQUOT;
    /// The tree cannot be changed.
    ReadOnly = "read-only file system", ROFS;
    /// A handle of a remote file that is gone.
    Stale = "stale file handle", STALE;
    /// The host runs the file.
    TextBusy = "text file busy", TXTBSY;
    /// A file would be larger than it may be.
    TooBig = "file too large", FBIG;
    /// A file has as many names as it may.
    TooManyLinks = "too many links", MLINK;
    /// This process has too many open files.
    TooManyOpen = "too many open files", MFILE | NFILE;
    /// A part of the work is done, and others have their turn: the same operation is asked for again. No
    /// guest sees this error.
    Unfinished = "not finished yet";
}
